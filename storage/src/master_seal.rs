//! Everything that a master key seals, wherever it is kept: how much of it each key seals, and sealing it anew.
//!
//! What is sealed anew is changed only as it was read, by a conditional update: of two who seal a row anew the second does
//! nothing, and a row that was deleted or replaced meanwhile stays so.

use freehold_domain::id::TenantId;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{KeysTx, Row};

queries! {
    MASTER_SEAL_COUNTS (1) = "
        SELECT master_key_id, CAST(COUNT(*) AS BIGINT) AS things FROM
            (SELECT master_key_id FROM root_key
             UNION ALL SELECT master_key_id FROM acme_account
             UNION ALL SELECT master_key_id FROM acme_certificate) AS everything
        GROUP BY master_key_id ORDER BY master_key_id LIMIT $1";

    MASTER_SEAL_ROOTS (4) = "
        SELECT tenant, version, master_key_id, sealed FROM root_key
        WHERE master_key_id <> $1 AND (tenant, version) > ($2, $3) ORDER BY tenant, version LIMIT $4";
    MASTER_SEAL_ACCOUNTS (3) = "
        SELECT directory, master_key_id, sealed FROM acme_account
        WHERE master_key_id <> $1 AND directory > $2 ORDER BY directory LIMIT $3";
    MASTER_SEAL_CERTIFICATES (3) = "
        SELECT host, master_key_id, key_sealed AS sealed FROM acme_certificate
        WHERE master_key_id <> $1 AND host > $2 ORDER BY host LIMIT $3";

    MASTER_SEAL_ROOT (6) = "
        UPDATE root_key SET master_key_id = $5, sealed = $6
        WHERE tenant = $1 AND version = $2 AND master_key_id = $3 AND sealed = $4";
    MASTER_SEAL_ACCOUNT (5) = "
        UPDATE acme_account SET master_key_id = $4, sealed = $5
        WHERE directory = $1 AND master_key_id = $2 AND sealed = $3";
    MASTER_SEAL_CERTIFICATE (5) = "
        UPDATE acme_certificate SET master_key_id = $4, key_sealed = $5
        WHERE host = $1 AND master_key_id = $2 AND key_sealed = $3";
}

/// How much a master key seals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealing {
    /// The master key's id.
    pub master_key_id: String,
    /// How many rows it seals.
    pub things: i64,
}

/// What a row keeps sealed. The order is that in which [`not_by`] goes through them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kept {
    /// A version of a tenant's root key.
    Root {
        /// The tenant.
        tenant: TenantId,
        /// The version.
        version: i64,
    },
    /// The account at a certificate authority.
    AcmeAccount {
        /// The authority's directory.
        directory: String,
    },
    /// The private key of a certificate.
    CertificateKey {
        /// The host.
        host: String,
    },
}

/// A row, as it is sealed now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealRow {
    /// What it keeps.
    pub kept: Kept,
    /// The master key that seals it.
    pub master_key_id: String,
    /// The secret, sealed.
    pub sealed: Vec<u8>,
}

impl TryFrom<Row> for Sealing {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self { master_key_id: row.get("master_key_id")?, things: row.get("things")? })
    }
}

/// One kind of row: what tells it from the others of its kind, read by `kept`.
macro_rules! rows_of {
    ($($name:ident, |$row:ident| $kept:expr;)*) => {$(
        struct $name(SealRow);

        impl TryFrom<Row> for $name {
            type Error = StoreError;

            fn try_from($row: Row) -> Result<Self, StoreError> {
                let (master_key_id, sealed) = ($row.get("master_key_id")?, $row.get("sealed")?);
                Ok(Self(SealRow { kept: $kept, master_key_id, sealed }))
            }
        }
    )*};
}

rows_of! {
    RootSeal, |row| Kept::Root { tenant: TenantId::from_uuid(row.get("tenant")?), version: row.get("version")? };
    AccountSeal, |row| Kept::AcmeAccount { directory: row.get("directory")? };
    CertificateSeal, |row| Kept::CertificateKey { host: row.get("host")? };
}

/// How much each master key seals, by the keys' ids; at most `limit` keys. Reads everything.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn counts(tx: &mut KeysTx, limit: u32) -> Result<Vec<Sealing>, StoreError> {
    tx.fetch_all(MASTER_SEAL_COUNTS, args![i64::from(limit)]).await
}

/// The next `limit` rows of the kind of `after` that the master key `newest` does not seal, after that one and in order.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn not_by(tx: &mut KeysTx, newest: &str, after: &Kept, limit: u32) -> Result<Vec<SealRow>, StoreError> {
    let limit = i64::from(limit);
    Ok(match after {
        Kept::Root { tenant, version } => {
            let rows = tx.fetch_all(MASTER_SEAL_ROOTS, args![newest, *tenant, *version, limit]).await?;
            rows.into_iter().map(|RootSeal(row)| row).collect()
        }
        Kept::AcmeAccount { directory } => {
            let rows = tx.fetch_all(MASTER_SEAL_ACCOUNTS, args![newest, directory.as_str(), limit]).await?;
            rows.into_iter().map(|AccountSeal(row)| row).collect()
        }
        Kept::CertificateKey { host } => {
            let rows = tx.fetch_all(MASTER_SEAL_CERTIFICATES, args![newest, host.as_str(), limit]).await?;
            rows.into_iter().map(|CertificateSeal(row)| row).collect()
        }
    })
}

/// Puts what was sealed anew by `master_key_id` in the place of `old`. `false` when that is not as it was read any more:
/// then nothing is changed.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn replace(tx: &mut KeysTx, old: &SealRow, master_key_id: &str, sealed: &[u8]) -> Result<bool, StoreError> {
    let (old_id, old_sealed) = (old.master_key_id.as_str(), old.sealed.as_slice());
    let changed = match &old.kept {
        Kept::Root { tenant, version } => {
            let args = args![*tenant, *version, old_id, old_sealed, master_key_id, sealed];
            tx.execute(MASTER_SEAL_ROOT, args).await?
        }
        Kept::AcmeAccount { directory } => {
            let args = args![directory.as_str(), old_id, old_sealed, master_key_id, sealed];
            tx.execute(MASTER_SEAL_ACCOUNT, args).await?
        }
        Kept::CertificateKey { host } => {
            let args = args![host.as_str(), old_id, old_sealed, master_key_id, sealed];
            tx.execute(MASTER_SEAL_CERTIFICATE, args).await?
        }
    };
    Ok(changed == 1)
}
