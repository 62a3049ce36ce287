//! How the tenant's security stands, as far as its store knows.

use freehold_domain::access_token::AccessClaims;
use freehold_domain::time::UnixMs;
use freehold_storage::{Isolation, mail, signing_key};

use crate::ops::context::Context;
use crate::ops::refusal::Refusal;
use crate::ops::signing_keys::items;

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecurityState {
    /// Since when the key that signs is published.
    pub key_made: UnixMs,
    /// When it is due to be followed by another, or is followed already; `None` for never.
    pub key_due: Option<UnixMs>,
    /// Letters of the tenant that wait.
    pub letters_waiting: i64,
    /// What keeps it apart from other tenants: `files`, or `row_level_security`.
    pub kept_apart_by: &'static str,
    /// Whether that holds.
    pub is_kept_apart: bool,
}

/// Reads it.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn read(cx: &Context, caller: &AccessClaims) -> Result<SecurityState, Refusal> {
    cx.admit_member(caller).await?;
    let mut tx = cx.node.store.read(cx.slot.id).await?;
    let keys = signing_key::all(&mut tx).await?;
    let letters_waiting = mail::waiting(&mut tx).await?;
    drop(tx);
    let key = items(&keys, cx.node.ambient.now()).into_iter().find(|key| key.is_signing).ok_or(Refusal::Internal)?;
    let scheduled = cx.node.settings.signing_rotate.map(|period| key.created_at.plus(period));
    let (key_made, key_due) = (key.created_at, key.signs_until.or(scheduled));
    let (kept_apart_by, is_kept_apart) = match cx.node.store.isolation().await? {
        Isolation::Files => ("files", true),
        Isolation::RowLevelSecurity { fault } => ("row_level_security", fault.is_none()),
    };
    Ok(SecurityState { key_made, key_due, letters_waiting, kept_apart_by, is_kept_apart })
}
