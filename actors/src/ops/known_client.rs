//! Whether a member has signed in from here before; who has not is written to.

use freehold_domain::device_cookie;
use freehold_domain::known_client::is_worth_a_letter;
use freehold_domain::letter::Content;
use freehold_storage::member::MemberRow;
use freehold_storage::{TenantTx, known_client};

use crate::ops::context::Context;
use crate::ops::refusal::Refusal;
use crate::ops::sign_in::email_of;

/// Notes from where a member signs in who is held, and writes to the member if that is news.
///
/// # Errors
/// What the store refuses; the transaction is lost.
pub(super) async fn note(cx: &Context, tx: &mut TenantTx, member: &MemberRow) -> Result<(), Refusal> {
    let now = cx.node.ambient.now();
    let (network, user_agent) = (cx.client.bucket.0, &cx.client.user_agent);
    let client = format!("{network:032x}{user_agent}");
    let mut keys = cx.live.keys.client_keys(member.id, &client);
    let Some(newest) = keys.next() else { return Err(Refusal::Internal) };
    if known_client::seen(tx, member.id, newest.bytes(), now).await? {
        return Ok(());
    }
    let is_another_known = known_client::is_any_known(tx, member.id).await?;
    let mut is_known = false;
    for older in keys {
        is_known |= known_client::seen(tx, member.id, older.bytes(), now).await?;
    }
    known_client::insert(tx, member.id, newest.bytes(), now).await?;
    let email = email_of(cx, member)?;
    let cookie = cx.client.device_cookie.as_ref();
    is_known |= cookie.is_some_and(|cookie| device_cookie::verify(&cx.live.keys, &email, cookie.expose()).is_some());
    if !is_known && is_worth_a_letter(is_another_known, member.created_at_ms, now) {
        let user_agent = cx.client.user_agent.to_string();
        cx.write_to(tx, email, Content::NewDevice { occasion: cx.occasion(), user_agent }).await?;
    }
    Ok(())
}
