//! Rotation of the master key: what an older key of the ring has sealed is sealed anew by the newest, while everything is
//! served.
//!
//! In batches, each a transaction of its own, in which a row is changed only as it was read. So nothing is lost to a second
//! rotation, to a tenant that is made or deleted meanwhile, or to a process that dies: whoever begins again finds what is
//! left, and only that.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use freehold_domain::audit::{Action, Actor, Changed, Detail, Event};
use freehold_domain::id::TenantId;
use freehold_domain::keys::{CryptoError, KeyVersion, MasterError, MasterKeyId, MasterRing, ServerSecret};
use freehold_domain::slug::Slug;
use freehold_storage::master_seal::{self, Kept, SealRow, Sealing};
use freehold_storage::{StoreError, master_check};
use uuid::Uuid;

use crate::fault;
use crate::metric;
use crate::node::Node;
use crate::ops::audit::{self, NotRecorded};
use crate::ops::tenants::{self, TenantRefusal};

/// How many rows a transaction seals anew: few enough to be done within its time at a slow database.
const BATCH: u32 = 64;
/// More master keys than anything was ever sealed by.
const MASTERS_MAX: u32 = 1_000;

/// How far a rotation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The key that seals.
    pub master: MasterKeyId,
    /// How many rows it seals.
    pub done: u64,
    /// How many rows another key seals.
    pub left: u64,
}

/// Where a rotation goes on: behind this row, with this one's kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(Kept);

/// The text is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not where a rotation could go on")]
pub struct NotACursor;

impl Default for Cursor {
    fn default() -> Self {
        Self(Kept::Root { tenant: TenantId::from_uuid(Uuid::nil()), version: 0 })
    }
}

impl Cursor {
    /// The beginning of the next kind; `None` behind the last.
    fn next_kind(&self) -> Option<Self> {
        match self.0 {
            Kept::Root { .. } => Some(Self(Kept::AcmeAccount { directory: String::new() })),
            Kept::AcmeAccount { .. } => Some(Self(Kept::CertificateKey { host: String::new() })),
            Kept::CertificateKey { .. } => None,
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kept::Root { tenant, version } => write!(f, "root/{tenant}/{version}"),
            Kept::AcmeAccount { directory } => write!(f, "account/{directory}"),
            Kept::CertificateKey { host } => write!(f, "certificate/{host}"),
        }
    }
}

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let (kind, rest) = text.split_once('/').ok_or(NotACursor)?;
        Ok(Self(match kind {
            "root" => {
                let (tenant, version) = rest.split_once('/').ok_or(NotACursor)?;
                let tenant = TenantId::from_uuid(tenant.parse().map_err(|_| NotACursor)?);
                Kept::Root { tenant, version: version.parse().map_err(|_| NotACursor)? }
            }
            "account" => Kept::AcmeAccount { directory: rest.to_owned() },
            "certificate" => Kept::CertificateKey { host: rest.to_owned() },
            _ => return Err(NotACursor),
        }))
    }
}

/// A row that cannot be sealed anew: it stays as it is.
#[derive(Debug)]
pub struct Unopened {
    /// What it keeps.
    pub kept: Kept,
    /// The master key that it is sealed by.
    pub master: String,
    /// Why.
    pub fault: Unsealable,
}

/// Why a row cannot be sealed anew.
#[derive(Debug, thiserror::Error)]
pub enum Unsealable {
    /// It does not open.
    #[error(transparent)]
    Master(#[from] MasterError),
    /// It cannot be sealed.
    #[error("it cannot be sealed")]
    Crypto(#[from] CryptoError),
    /// The row is not one that this server writes.
    #[error("the row cannot be read")]
    Row,
}

/// What a batch came to.
#[derive(Debug)]
pub struct Batch {
    /// The key that sealed: another than before when the ring was read again meanwhile.
    pub master: MasterKeyId,
    /// How many rows were sealed anew.
    pub resealed: u64,
    /// What was not.
    pub unopened: Vec<Unopened>,
    /// Where to go on; `None` at the end.
    pub next: Option<Cursor>,
}

/// How a rotation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The older keys of the ring that seal nothing any more: they can be taken out.
    pub unused: Vec<MasterKeyId>,
}

/// A rotation could not be ended.
#[derive(Debug, thiserror::Error)]
pub enum NotSettled {
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is done, and its row in the platform's audit log is not there.
    #[error("it is done, but could not be recorded in the audit log")]
    Unrecorded(#[source] NotRecorded),
}

/// Which keys seal something, and how much. Reads everything that is sealed.
///
/// # Errors
/// [`StoreError`]
pub async fn standing(node: &Node) -> Result<Standing, StoreError> {
    let counts = master_seal::counts(&mut node.store.keys_read().await?, MASTERS_MAX).await?;
    let master = node.ring.load().newest().clone();
    let (done, left): (Vec<_>, Vec<_>) = counts.iter().partition(|sealing| sealing.master_key_id == master.as_str());
    Ok(Standing { master, done: sum(&done), left: sum(&left) })
}

fn sum(sealings: &[&Sealing]) -> u64 {
    sealings.iter().map(|sealing| u64::try_from(sealing.things).unwrap_or_default()).sum()
}

/// Seals the next rows anew, in one transaction.
///
/// # Errors
/// [`StoreError`]; then nothing of the batch is done.
pub async fn reseal(node: &Node, after: &Cursor) -> Result<Batch, StoreError> {
    let mut tx = node.store.keys_write().await?;
    let ring = node.ring.load_full();
    let master = ring.newest().clone();
    let rows = master_seal::not_by(&mut tx, master.as_str(), &after.0, BATCH).await?;
    let next = match rows.last() {
        Some(last) if rows.len() == BATCH as usize => Some(Cursor(last.kept.clone())),
        _ => after.next_kind(),
    };
    let (mut resealed, mut unopened) = (0, vec![]);
    for row in rows {
        match sealed_anew(node, &ring, &row) {
            // Whoever was faster has sealed it anew, replaced it, or taken it away.
            Ok(sealed) => resealed += u64::from(master_seal::replace(&mut tx, &row, master.as_str(), &sealed).await?),
            Err(fault) => unopened.push(Unopened { kept: row.kept, master: row.master_key_id, fault }),
        }
    }
    if resealed > 0 {
        fault::reach("master_keys.written");
        tx.commit().await?;
        fault::reach("master_keys.committed");
        metrics::counter!(metric::MASTER_RESEALED).increment(resealed);
    }
    Ok(Batch { master, resealed, unopened, next })
}

/// What the row keeps, sealed by the newest key of the ring.
fn sealed_anew(node: &Node, ring: &MasterRing, row: &SealRow) -> Result<Vec<u8>, Unsealable> {
    let id: MasterKeyId = row.master_key_id.parse().map_err(|_| Unsealable::Row)?;
    let own = |which| -> Result<Vec<u8>, Unsealable> {
        Ok(ring.seal_own(which, &ring.open_own(which, &id, &row.sealed)?, node.nonce())?.1)
    };
    match &row.kept {
        Kept::Root { tenant, version } => {
            let version = KeyVersion::new(u32::try_from(*version).map_err(|_| Unsealable::Row)?);
            let root = ring.open_root(*tenant, version, &id, &row.sealed)?;
            Ok(ring.seal_root(*tenant, &root, node.nonce())?.1)
        }
        Kept::AcmeAccount { directory } => own(ServerSecret::AcmeAccount { directory }),
        Kept::CertificateKey { host } => own(ServerSecret::CertificateKey { host }),
    }
}

/// Ends a rotation that has sealed so many rows anew: from here on a ring of older keys alone, if they seal nothing, is not
/// this store's. What was changed is a row of the platform's audit log, where there is a platform.
///
/// # Errors
/// [`NotSettled`]
pub async fn settle(node: &Node, resealed: u64) -> Result<Settled, NotSettled> {
    let ring = node.ring.load_full();
    let newest = ring.newest();
    let mut tx = node.store.keys_write().await?;
    let counts = master_seal::counts(&mut tx, MASTERS_MAX).await?;
    let is_used = |id: &str| id == newest.as_str() || counts.iter().any(|sealing| sealing.master_key_id == id);
    let mut retired = vec![];
    for check in master_check::all(&mut tx).await? {
        if !is_used(&check.key_id) && master_check::delete(&mut tx, &check.key_id).await? {
            retired.push(check.key_id);
        }
    }
    if !retired.is_empty() {
        tx.commit().await?;
    }
    let unused: Vec<_> = ring.ids().filter(|id| !is_used(id.as_str())).cloned().collect();
    if resealed > 0 || !retired.is_empty() {
        tracing::info!(
            keys.master = %newest,
            keys.resealed = resealed,
            keys.retired = retired.join(","),
            "the master key was rotated"
        );
        record(node, &ring, retired).await?;
    }
    Ok(Settled { unused })
}

/// Tells the operators, if there are any.
async fn record(node: &Node, ring: &MasterRing, retired: Vec<String>) -> Result<(), NotSettled> {
    let slot = match tenants::slot(node, &Slug::platform()).await {
        Ok(slot) => slot,
        Err(TenantRefusal::Unknown(_)) => return Ok(()),
        Err(TenantRefusal::Store(error)) => return Err(NotSettled::Unrecorded(error.into())),
        Err(error) => {
            tracing::error!(%error, "the platform's tenant is not found");
            return Ok(());
        }
    };
    let older: BTreeSet<String> = ring.ids().skip(1).map(MasterKeyId::to_string).chain(retired).collect();
    let from = older.into_iter().collect::<Vec<_>>().join(",");
    let change = Changed { field: "master_key".to_owned(), from, to: ring.newest().to_string() };
    let event = Event {
        action: Action::MasterKeyRotated,
        actor: Actor::Operator(None),
        subject: Some(slot.id.uuid()),
        detail: Detail { changes: vec![change], ..Detail::default() },
    };
    audit::record_alone(node, &slot, &event).await.map_err(NotSettled::Unrecorded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_goes_through_every_kind() {
        let tenant = TenantId::from_uuid(Uuid::from_u128(7));
        for kept in [
            Kept::Root { tenant, version: 3 },
            Kept::AcmeAccount { directory: "https://acme.example.com/a/b".to_owned() },
            Kept::AcmeAccount { directory: String::new() },
            Kept::CertificateKey { host: "shop.test".to_owned() },
        ] {
            let cursor = Cursor(kept);
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for text in ["", "root", "root/", "root/7/1", "roots/x", "root/00000000-0000-0000-0000-000000000007/x"] {
            assert_eq!(text.parse::<Cursor>(), Err(NotACursor), "{text}");
        }
        let mut kinds = 0;
        let mut next = Some(Cursor::default());
        while let Some(cursor) = next {
            kinds += 1;
            next = cursor.next_kind();
        }
        assert_eq!(kinds, 3);
    }
}
