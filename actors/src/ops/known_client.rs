//! Whether a member has signed in from here before; who has not is written to.

use freehold_domain::device_cookie;
use freehold_domain::id::MemberId;
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
    let client = client(cx);
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
    let device = cookie.and_then(|cookie| device_cookie::verify(&cx.live.keys, &email, cookie.expose()));
    is_known |= device.is_some_and(|device| device.credential_version == member.credential_version);
    if !is_known && is_worth_a_letter(is_another_known, member.created_at_ms, now) {
        let user_agent = cx.client.user_agent.to_string();
        cx.write_to(tx, email, Content::NewDevice { occasion: cx.occasion(), user_agent }).await?;
    }
    Ok(())
}

/// Forgets from where the member has signed in: whoever else knew the password is a stranger with the next one. The client
/// that this request comes from is known.
///
/// # Errors
/// What the store refuses; the transaction is lost.
pub(super) async fn forget_others(cx: &Context, tx: &mut TenantTx, member: MemberId) -> Result<(), Refusal> {
    known_client::forget(tx, member).await?;
    let newest = cx.live.keys.client_keys(member, &client(cx)).next().ok_or(Refusal::Internal)?;
    Ok(known_client::insert(tx, member, newest.bytes(), cx.node.ambient.now()).await?)
}

/// What a client is told by that shows no cookie: its network and what it says that it is.
fn client(cx: &Context) -> String {
    format!("{:032x}{}", cx.client.bucket.0, cx.client.user_agent)
}
