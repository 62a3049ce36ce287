//! Members who come from another system, with the hashes of their passwords as that system made them.
//!
//! A hash is verified as it is and made anew at the member's next sign-in (`upkeep`), when the password is also looked up
//! among the breached ones: nobody could do that before.

use freehold_domain::audit::{Action, Actor, Detail, Event};
use freehold_domain::email::Email;
use freehold_domain::keys::TenantKeys;
use freehold_domain::password::PasswordHash;
use freehold_domain::role::Role;
use freehold_domain::slug::Slug;
use freehold_storage::member::MemberRow;

use crate::node::{Node, load};
use crate::ops::audit;
use crate::ops::new_member::{self, NewMember};
use crate::ops::tenants::{self, Name, TenantRefusal};

/// A member to be.
pub struct Newcomer {
    /// The e-mail address, by which they sign in.
    pub email: Email,
    /// The name.
    pub name: Name,
    /// The role.
    pub role: Role,
    /// The hash of the password; without one the member has to ask for a new password.
    pub hash: Option<PasswordHash>,
}

/// What became of a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// A member now.
    Imported,
    /// The address is a member's already; nothing was changed.
    Duplicate,
}

/// Makes `newcomers` members, each with a row in the audit log, in one transaction; the answers are in their order.
///
/// # Errors
/// [`TenantRefusal::Unknown`], or what the store refuses: then none of them is a member.
pub async fn import(node: &Node, slug: &Slug, newcomers: &[Newcomer]) -> Result<Vec<Arrival>, TenantRefusal> {
    let slot = tenants::slot(node, slug).await?;
    let keys = load::keys(node, &slot).await?;
    let mut tx = node.store.write(slot.id).await?;
    let (mut arrivals, mut members) = (vec![], vec![]);
    for newcomer in newcomers {
        let row = row(node, &keys, newcomer)?;
        if !new_member::insert(&mut tx, &keys, &newcomer.email, &row).await? {
            arrivals.push(Arrival::Duplicate);
            continue;
        }
        arrivals.push(Arrival::Imported);
        members.push(row.id);
    }
    for id in members {
        let subject = Some(id.uuid());
        let event =
            Event { action: Action::MemberImported, actor: Actor::Operator(None), subject, detail: Detail::default() };
        audit::record(&mut tx, node, &keys, &event).await?;
    }
    tx.commit().await?;
    Ok(arrivals)
}

fn row(node: &Node, keys: &TenantKeys, newcomer: &Newcomer) -> Result<MemberRow, TenantRefusal> {
    let Newcomer { email, name, role, hash } = newcomer;
    let password_hash = hash.as_ref().map(PasswordHash::text);
    let new = NewMember { email, name, role: *role, unchecked: password_hash.is_some(), password_hash };
    new.row(node, keys).map_err(|_| TenantRefusal::Internal)
}
