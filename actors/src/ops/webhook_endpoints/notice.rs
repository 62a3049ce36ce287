//! The letter to a tenant's admins that one of its endpoints is told no more.

use freehold_domain::id::MemberId;
use freehold_domain::keys::{CryptoError, Sealed, TenantKeys};
use freehold_domain::letter::{Content, Letter};
use freehold_domain::role::Role;
use freehold_storage::{TenantTx, roster};

use crate::mail::{self, NotEnqueued};
use crate::node::Node;
use crate::ops::sign_in::email_place;

/// Admins who are written to.
const ADMINS_MAX: u32 = 10;

/// Writes to the admins of the tenant that nothing is sent to `url` any more, and why.
///
/// # Errors
/// [`NotEnqueued`]; the transaction is lost.
pub(crate) async fn write(
    tx: &mut TenantTx,
    node: &Node,
    keys: &TenantKeys,
    (url, why): (&str, &str),
) -> Result<(), NotEnqueued> {
    for admin in roster::of_role(tx, Role::Admin.as_str(), ADMINS_MAX).await? {
        let to = open(keys, &admin.id, admin.email_sealed)?;
        let content = Content::WebhookDisabled { url: url.to_owned(), gone: why == "gone" };
        mail::enqueue(tx, node, keys, &Letter { to, content }).await?;
    }
    Ok(())
}

fn open(keys: &TenantKeys, id: &MemberId, sealed: Vec<u8>) -> Result<freehold_domain::email::Email, CryptoError> {
    let sealed = Sealed::from_stored(sealed).map_err(|_| CryptoError)?;
    keys.open_sealed(&email_place(id), &sealed)
}
