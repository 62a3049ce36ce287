//! A member to be, as a row: sealed, under a new id, whatever way it came.

use freehold_domain::email::Email;
use freehold_domain::id::MemberId;
use freehold_domain::keys::{CryptoError, TenantKeys};
use freehold_domain::role::Role;
use freehold_domain::secret::Secret;
use freehold_storage::member::{self, MemberRow};
use freehold_storage::{StoreError, TenantTx};

use crate::node::Node;
use crate::ops::sign_in::{email_place, name_place};
use crate::ops::tenants::Name;

/// What is known of a member before there is one.
pub(super) struct NewMember<'a> {
    /// The e-mail address, which is its owner's.
    pub(super) email: &'a Email,
    /// The name.
    pub(super) name: &'a Name,
    /// The role.
    pub(super) role: Role,
    /// The hash of the password, where there is one.
    pub(super) password_hash: Option<Secret<String>>,
    /// Whether nobody could say if the password was breached.
    pub(super) unchecked: bool,
}

impl NewMember<'_> {
    /// The row of a member who joins now.
    ///
    /// # Errors
    /// [`CryptoError`] when it cannot be sealed.
    pub(super) fn row(self, node: &Node, keys: &TenantKeys) -> Result<MemberRow, CryptoError> {
        let now = node.ambient.now();
        let id = MemberId::new(now, node.ambient.random());
        Ok(MemberRow {
            id,
            email_key: keys.email_key(self.email).bytes().to_vec(),
            email_sealed: keys.seal(&email_place(&id), self.email, node.nonce())?.into_bytes(),
            name_sealed: keys.seal(&name_place(&id), self.name, node.nonce())?.into_bytes(),
            password_hash: self.password_hash,
            role: self.role.as_str().to_owned(),
            credential_version: 1,
            epoch: 1,
            created_at_ms: now,
            deactivated_at_ms: None,
            password_unchecked_at_ms: self.unchecked.then_some(now),
        })
    }
}

/// Adds a member. `false` when the address is a member's already, under whichever version of the tenant's keys.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub(super) async fn insert(
    tx: &mut TenantTx,
    keys: &TenantKeys,
    email: &Email,
    row: &MemberRow,
) -> Result<bool, StoreError> {
    for key in keys.email_keys(email) {
        if member::by_email_key(tx, key.bytes()).await?.is_some() {
            return Ok(false);
        }
    }
    member::insert(tx, row).await
}
