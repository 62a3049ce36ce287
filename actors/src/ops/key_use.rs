//! Requests in the name of an API key.

use std::sync::Arc;

use freehold_domain::api_key::{KeyHash, KeyKind};
use freehold_domain::gcra::{Layer, Subject};
use freehold_domain::tenant_state::TenantState;
use freehold_domain::tier::Tier;
use freehold_domain::time::UnixMs;
use freehold_storage::{Chain, StoreError, api_key};

use crate::api_keys::{self, LiveKey};
use crate::ops::context::Context;
use crate::ops::refusal::Refusal;

/// The key whose hash was presented, if it is good now. Counts nothing: whoever guesses has the address's limit to
/// spend and not the tenant's.
///
/// # Errors
/// [`Refusal::Unauthenticated`]; [`Refusal::Unavailable`] when neither change feed nor store has answered for long.
pub async fn present(cx: &Context, presented: &KeyHash) -> Result<Arc<LiveKey>, Refusal> {
    let now = cx.node.ambient.now();
    let key = cx.live.api_keys.find(presented, now).ok_or(Refusal::Unauthenticated)?;
    cx.node.confirm_by(async || stands(cx, &key, presented, now).await).await?;
    Ok(key)
}

/// Whether the store has the key as good, too.
async fn stands(cx: &Context, key: &LiveKey, presented: &KeyHash, now: UnixMs) -> Result<bool, StoreError> {
    let row = api_key::by_id(&mut cx.node.store.read(cx.slot.id).await?, key.known.id).await?;
    let known = row.map(api_keys::known).transpose()?;
    Ok(known.is_some_and(|known| known.admits(presented, now)))
}

/// Counts one request of a key, and notes in the background that it was used.
///
/// # Errors
/// As [`Context::admit`].
pub async fn admit(cx: &Context, key: &Arc<LiveKey>) -> Result<(), Refusal> {
    cx.admit(&[Layer { tier: Tier::ApiMember, subject: subject(cx, key) }, cx.tenant_layer()]).await?;
    note_use(cx, key);
    Ok(())
}

/// Whose bucket it is. Everybody sees a publishable key: each address that uses it has one of its own, so that one
/// visitor of a page does not use up what is there for all. A secret one is one caller, wherever it calls from.
fn subject(cx: &Context, key: &LiveKey) -> Subject {
    match key.known.kind {
        KeyKind::Secret => Subject::key(key.known.id),
        KeyKind::Publishable => Subject::visitor(key.known.id, cx.client.bucket),
    }
}

/// Notes that the key was used, once a minute. Nobody waits for it, and it may be lost.
fn note_use(cx: &Context, key: &Arc<LiveKey>) {
    let now = cx.node.ambient.now();
    if cx.slot.standing().state_at(now) != TenantState::Active || !key.note(now) {
        return;
    }
    let (cx, id) = (cx.clone(), key.known.id);
    tokio::spawn(async move {
        let noted = async {
            let mut tx = cx.node.store.write(cx.slot.id).await?;
            api_key::used(&mut tx, id, now).await?;
            tx.commit().await
        };
        if let Err(error) = noted.await {
            tracing::warn!(tenant.id = %cx.slot.id, error = %Chain(&error), "the use of an API key could not be noted");
        }
    });
}
