//! The members of a tenant to take along, with the hashes of their passwords: what `import` reads.

use freehold_domain::audit::{Action, Actor, Detail, Event};
use freehold_domain::email::Email;
use freehold_domain::keys::{CryptoError, Sealed, TenantKeys};
use freehold_domain::role::Role;
use freehold_domain::secret::Secret;
use freehold_domain::slug::Slug;
use freehold_storage::member::{self, MemberRow};

use crate::node::{Node, load};
use crate::ops::audit;
use crate::ops::sign_in::{name_place, opened_email};
use crate::ops::tenants::{self, Name, TenantRefusal};

const PAGE: u32 = 200;

/// A member, as another system can take them over.
pub struct Leaver {
    /// The e-mail address.
    pub email: Email,
    /// The name.
    pub name: Name,
    /// The role.
    pub role: Role,
    /// The hash of the password, as a PHC string or as it was imported; `None` without a password.
    pub password_hash: Option<Secret<String>>,
}

/// The members of a tenant, oldest first.
pub struct Export {
    /// Those who are active.
    pub members: Vec<Leaver>,
    /// How many more there are who are deactivated.
    pub deactivated: u64,
}

/// Everybody who may sign in at this tenant; the tenant's audit log says so first.
///
/// # Errors
/// [`TenantRefusal::Unknown`], or what the store refuses.
pub async fn export(node: &Node, slug: &Slug) -> Result<Export, TenantRefusal> {
    let slot = tenants::slot(node, slug).await?;
    let keys = load::keys(node, &slot).await?;
    let event = Event {
        action: Action::MembersExported,
        actor: Actor::Operator(None),
        subject: Some(slot.id.uuid()),
        detail: Detail::default(),
    };
    let mut tx = node.store.write(slot.id).await?;
    audit::record(&mut tx, node, &keys, &event).await?;
    tx.commit().await?;
    let (mut members, mut deactivated, mut after) = (vec![], 0, None);
    let mut tx = node.store.read(slot.id).await?;
    loop {
        let rows = member::page(&mut tx, after, PAGE).await?;
        for row in &rows {
            match row.deactivated_at_ms {
                None => members.push(leaver(&keys, row)?),
                Some(_) => deactivated += 1,
            }
        }
        match rows.last() {
            Some(last) if rows.len() == PAGE as usize => after = Some(last.id),
            _ => return Ok(Export { members, deactivated }),
        }
    }
}

fn leaver(keys: &TenantKeys, row: &MemberRow) -> Result<Leaver, TenantRefusal> {
    let name = Sealed::from_stored(row.name_sealed.clone()).map_err(|_| CryptoError);
    let name = name.and_then(|sealed| keys.open_sealed(&name_place(&row.id), &sealed));
    Ok(Leaver {
        email: opened_email(keys, row).map_err(|_| TenantRefusal::Internal)?,
        name: name.map_err(|_| TenantRefusal::Internal)?,
        role: row.role.parse().map_err(|_| TenantRefusal::Internal)?,
        password_hash: row.password_hash.clone(),
    })
}
