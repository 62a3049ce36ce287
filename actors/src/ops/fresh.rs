//! What only a session that was started a short while ago may do: whoever finds an unlocked screen cannot.

use std::time::Duration;

use freehold_domain::access_token::AccessClaims;
use freehold_storage::{TenantTx, family};

use crate::ops::context::Context;
use crate::ops::refusal::Refusal;

/// How old the session may be.
const FRESH: Duration = Duration::from_mins(5);

/// Begins to write for a session that was started a short while ago.
///
/// # Errors
/// [`Refusal::NotFresh`] when it was started earlier.
pub(super) async fn begin_fresh(cx: &Context, caller: &AccessClaims) -> Result<TenantTx, Refusal> {
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let session = family::by_id(&mut tx, caller.sid).await?.ok_or(Refusal::Unauthenticated)?;
    let age = cx.node.ambient.now().since(session.family.created_at_ms);
    if age < FRESH { Ok(tx) } else { Err(Refusal::NotFresh) }
}
