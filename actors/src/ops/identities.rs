//! A member's own accounts at providers: which there are, and taking one away.

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::{Action, Actor};
use freehold_domain::id::IdentityId;
use freehold_domain::keys::{Place, Sealed};
use freehold_domain::letter::CredentialChange;
use freehold_domain::oauth::{Account, IDENTITIES_MAX, Provider};
use freehold_domain::time::UnixMs;
use freehold_storage::identity::{self, IdentityRow};
use freehold_storage::member;

use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::fresh::begin_fresh;
use crate::ops::logout::commit;
use crate::ops::refusal::Refusal;
use crate::ops::sign_in::email_of;
use crate::ops::totp::raise;

/// An account that a member signs in with, as the API tells of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityItem {
    /// The identity.
    pub id: IdentityId,
    /// Where the account is.
    pub provider: Provider,
    /// What it is called there, as it was told when it was linked.
    pub account: Option<Account>,
    /// Since when.
    pub linked_at: UnixMs,
}

/// The caller's accounts, oldest first.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn list(cx: &Context, caller: &AccessClaims) -> Result<Vec<IdentityItem>, Refusal> {
    cx.admit_member(caller).await?;
    let mut tx = cx.node.store.read(cx.slot.id).await?;
    let rows = identity::all_of(&mut tx, caller.sub, IDENTITIES_MAX).await?;
    rows.iter().map(|row| item(cx, row)).collect()
}

/// Takes one of the caller's accounts away. What the member signs in with is another now: every other session is dead on
/// its next request, and sign-ins with the account that are under way come to nothing.
///
/// # Errors
/// [`Refusal::NotFresh`]; [`Refusal::NotFound`] for one that is not the caller's; [`Refusal::LastWayIn`].
pub async fn unlink(cx: &Context, caller: &AccessClaims, id: IdentityId) -> Result<(), Refusal> {
    cx.admit_member(caller).await?;
    let mut tx = begin_fresh(cx, caller).await?;
    // The member first, and held: of two that go at once, the second sees that it is the last.
    let deaths = raise(&mut tx, caller, cx.node.ambient.now()).await?;
    if !identity::delete(&mut tx, id, caller.sub).await? {
        return Err(Refusal::NotFound);
    }
    let member = member::by_id(&mut tx, caller.sub).await?.ok_or(Refusal::Unauthenticated)?;
    if member.password_hash.is_none() && identity::all_of(&mut tx, caller.sub, 1).await?.is_empty() {
        return Err(Refusal::LastWayIn);
    }
    cx.write_of_change(&mut tx, email_of(cx, &member)?, CredentialChange::IdentityUnlinked).await?;
    audit::record_request(&mut tx, cx, Action::IdentityUnlinked, Actor::Member(caller.sub), caller.sub.uuid()).await?;
    commit(cx, tx, &deaths).await?;
    tracing::info!(tenant.id = %cx.slot.id, member.id = %caller.sub, "an identity was unlinked");
    Ok(())
}

/// An identity as the API tells of it.
pub(super) fn item(cx: &Context, row: &IdentityRow) -> Result<IdentityItem, Refusal> {
    let open = |bytes: &Vec<u8>| {
        let sealed = Sealed::from_stored(bytes.clone()).map_err(|_| Refusal::Internal)?;
        cx.live.keys.open_sealed(&account_place(&row.id), &sealed).map_err(|_| Refusal::Internal)
    };
    Ok(IdentityItem {
        id: row.id,
        provider: row.provider.parse().map_err(|_| Refusal::Internal)?,
        account: row.account_sealed.as_ref().map(open).transpose()?,
        linked_at: row.created_at_ms,
    })
}

/// Where an account's name is sealed.
pub(super) fn account_place(id: &IdentityId) -> Place<'_> {
    Place { table: "identity", column: "account_sealed", row: id.as_bytes() }
}
