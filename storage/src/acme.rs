//! Certificates by ACME, beside the keys: accounts and private keys sealed by the master key, which node orders for which
//! host, and the answers to challenges, so that any node can give them.
//!
//! One node orders for a host: it claims the host's order by a conditional update with a lease, and what it brings back is
//! kept only while it holds that. Statements that sweep say their conditions twice: PostgreSQL looks at a row that a rival
//! has changed meanwhile with the outer ones.

use freehold_domain::acme::Validity;
use freehold_domain::id::NodeId;
use freehold_domain::time::UnixMs;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{KeysTx, Row};

queries! {
    ACME_ACCOUNT_OF (1) = "SELECT master_key_id, sealed FROM acme_account WHERE directory = $1";
    ACME_ACCOUNT_INSERT (4) = "
        INSERT INTO acme_account (directory, master_key_id, sealed, created_at_ms) VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING";
    ACME_ACCOUNT_DELETE (2) = "DELETE FROM acme_account WHERE directory = $1 AND sealed = $2";

    ACME_CERTIFICATE_PAGE (2) = "
        SELECT host, issued_at_ms FROM acme_certificate WHERE host > $1 ORDER BY host LIMIT $2";
    ACME_CERTIFICATE_OF (1) = "
        SELECT host, chain, master_key_id, key_sealed, not_before_ms, not_after_ms, issued_at_ms
        FROM acme_certificate WHERE host = $1";
    ACME_CERTIFICATE_INSERT (7) = "
        INSERT INTO acme_certificate
            (host, chain, master_key_id, key_sealed, not_before_ms, not_after_ms, issued_at_ms)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT DO NOTHING";
    ACME_CERTIFICATE_DELETE (1) = "DELETE FROM acme_certificate WHERE host = $1";
    ACME_CERTIFICATE_SWEEP (2) = "
        DELETE FROM acme_certificate WHERE not_after_ms < $1 AND host IN
            (SELECT host FROM acme_certificate WHERE not_after_ms < $1 ORDER BY not_after_ms LIMIT $2)";

    ACME_ORDER_INSERT (1) = "
        INSERT INTO acme_order (host, holder, leased_until_ms, failures, next_try_at_ms) VALUES ($1, NULL, 0, 0, 0)
        ON CONFLICT DO NOTHING";
    ACME_ORDER_OF (1) = "SELECT failures, leased_until_ms, next_try_at_ms FROM acme_order WHERE host = $1";
    ACME_ORDER_CLAIM (4) = "
        UPDATE acme_order SET holder = $2, leased_until_ms = $4
        WHERE host = $1 AND leased_until_ms <= $3 AND next_try_at_ms <= $3";
    ACME_ORDER_FAILED (4) = "
        UPDATE acme_order SET failures = $3, next_try_at_ms = $4, leased_until_ms = 0 WHERE host = $1 AND holder = $2";
    ACME_ORDER_DONE (2) = "DELETE FROM acme_order WHERE host = $1 AND holder = $2";
    ACME_ORDER_RELEASE (1) = "UPDATE acme_order SET leased_until_ms = 0 WHERE holder = $1";
    ACME_ORDER_RELEASE_ALL (0) = "UPDATE acme_order SET leased_until_ms = 0 WHERE leased_until_ms > 0";
    ACME_ORDER_SWEEP (2) = "
        DELETE FROM acme_order WHERE next_try_at_ms < $1 AND leased_until_ms < $1 AND host IN
            (SELECT host FROM acme_order WHERE next_try_at_ms < $1 AND leased_until_ms < $1 ORDER BY host LIMIT $2)";

    ACME_CHALLENGE_INSERT (4) = "
        INSERT INTO acme_challenge (token, host, key_authorization, expires_at_ms) VALUES ($1, $2, $3, $4)
        ON CONFLICT DO NOTHING";
    ACME_CHALLENGE_ANSWER (3) = "
        SELECT key_authorization FROM acme_challenge WHERE token = $1 AND host = $2 AND expires_at_ms > $3";
    ACME_CHALLENGE_DELETE (1) = "DELETE FROM acme_challenge WHERE host = $1";
    ACME_CHALLENGE_SWEEP (2) = "
        DELETE FROM acme_challenge WHERE expires_at_ms <= $1 AND token IN
            (SELECT token FROM acme_challenge WHERE expires_at_ms <= $1 ORDER BY token LIMIT $2)";
}

/// A secret, and the master key that it is sealed under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedRow {
    /// The master key's id.
    pub master_key_id: String,
    /// The secret, sealed.
    pub sealed: Vec<u8>,
}

/// A host's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRow {
    /// The host.
    pub host: String,
    /// The certificate and those that lead to its root, in PEM.
    pub chain: String,
    /// Its private key.
    pub key: SealedRow,
    /// While it is good.
    pub validity: Validity,
    /// When it came: what tells it from the one before.
    pub issued_at_ms: UnixMs,
}

/// That a host has a certificate, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedRow {
    /// The host.
    pub host: String,
    /// When it came.
    pub issued_at_ms: UnixMs,
}

/// How the order of a host stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderRow {
    /// How often in a row it failed.
    pub failures: i64,
    /// Until when a node has it.
    pub leased_until_ms: UnixMs,
    /// Before this nobody tries.
    pub next_try_at_ms: UnixMs,
}

impl TryFrom<Row> for SealedRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self { master_key_id: row.get("master_key_id")?, sealed: row.get("sealed")? })
    }
}

impl TryFrom<Row> for CertificateRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            host: row.get("host")?,
            chain: row.get("chain")?,
            key: SealedRow { master_key_id: row.get("master_key_id")?, sealed: row.get("key_sealed")? },
            validity: Validity {
                not_before: UnixMs::new(row.get("not_before_ms")?),
                not_after: UnixMs::new(row.get("not_after_ms")?),
            },
            issued_at_ms: UnixMs::new(row.get("issued_at_ms")?),
        })
    }
}

impl TryFrom<Row> for IssuedRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self { host: row.get("host")?, issued_at_ms: UnixMs::new(row.get("issued_at_ms")?) })
    }
}

impl TryFrom<Row> for OrderRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            failures: row.get("failures")?,
            leased_until_ms: UnixMs::new(row.get("leased_until_ms")?),
            next_try_at_ms: UnixMs::new(row.get("next_try_at_ms")?),
        })
    }
}

struct KeyAuthorization(String);

impl TryFrom<Row> for KeyAuthorization {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        row.get("key_authorization").map(Self)
    }
}

/// The account at the authority with this directory.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn account(tx: &mut KeysTx, directory: &str) -> Result<Option<SealedRow>, StoreError> {
    tx.fetch_optional(ACME_ACCOUNT_OF, args![directory]).await
}

/// Keeps the account at an authority. `false` when there is one: that one is everybody's.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn insert_account(
    tx: &mut KeysTx,
    directory: &str,
    account: &SealedRow,
    now: UnixMs,
) -> Result<bool, StoreError> {
    let args = args![directory, account.master_key_id.as_str(), account.sealed.as_slice(), now];
    Ok(tx.execute(ACME_ACCOUNT_INSERT, args).await? == 1)
}

/// Forgets this account, which its authority does not know or nobody can open, unless another has taken its place.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn delete_account(tx: &mut KeysTx, directory: &str, account: &SealedRow) -> Result<(), StoreError> {
    tx.execute(ACME_ACCOUNT_DELETE, args![directory, account.sealed.as_slice()]).await?;
    Ok(())
}

/// Which certificates there are: the next `limit` after the host `after`, by host; the empty host is before all.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn issued(tx: &mut KeysTx, after: &str, limit: u32) -> Result<Vec<IssuedRow>, StoreError> {
    tx.fetch_all(ACME_CERTIFICATE_PAGE, args![after, i64::from(limit)]).await
}

/// The certificate of this host.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn certificate(tx: &mut KeysTx, host: &str) -> Result<Option<CertificateRow>, StoreError> {
    tx.fetch_optional(ACME_CERTIFICATE_OF, args![host]).await
}

/// Ends the order of its host that `holder` has, and keeps what came of it in the place of the certificate before. `false`
/// when somebody else has the order by now; then do not commit.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn finish(tx: &mut KeysTx, holder: NodeId, certificate: &CertificateRow) -> Result<bool, StoreError> {
    let CertificateRow { host, chain, key, validity, issued_at_ms } = certificate;
    if tx.execute(ACME_ORDER_DONE, args![host.as_str(), holder]).await? == 0 {
        return Ok(false);
    }
    tx.execute(ACME_CERTIFICATE_DELETE, args![host.as_str()]).await?;
    let (sealed_by, sealed) = (key.master_key_id.as_str(), key.sealed.as_slice());
    let (not_before, not_after) = (validity.not_before, validity.not_after);
    let args = args![host.as_str(), chain.as_str(), sealed_by, sealed, not_before, not_after, *issued_at_ms];
    Ok(tx.execute(ACME_CERTIFICATE_INSERT, args).await? == 1)
}

/// Takes the order of this host until `until`, unless somebody has it or it rests. `false` then, and [`order`] says how long.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn claim(
    tx: &mut KeysTx,
    host: &str,
    holder: NodeId,
    now: UnixMs,
    until: UnixMs,
) -> Result<bool, StoreError> {
    tx.execute(ACME_ORDER_INSERT, args![host]).await?;
    Ok(tx.execute(ACME_ORDER_CLAIM, args![host, holder, now, until]).await? == 1)
}

/// How the order of this host stands.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn order(tx: &mut KeysTx, host: &str) -> Result<Option<OrderRow>, StoreError> {
    tx.fetch_optional(ACME_ORDER_OF, args![host]).await
}

/// Ends the order of this host that `holder` has: it failed for the `failures`-th time in a row, and rests until `next_try`.
/// `false` when somebody else has it by now.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn fail(
    tx: &mut KeysTx,
    host: &str,
    holder: NodeId,
    failures: i64,
    next_try: UnixMs,
) -> Result<bool, StoreError> {
    Ok(tx.execute(ACME_ORDER_FAILED, args![host, holder, failures, next_try]).await? == 1)
}

/// Lets go of every order that `holder` has: it stops.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn release(tx: &mut KeysTx, holder: NodeId) -> Result<u64, StoreError> {
    tx.execute(ACME_ORDER_RELEASE, args![holder]).await
}

/// Lets go of every order. For the one process that owns its store, when it starts.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn release_all(tx: &mut KeysTx) -> Result<u64, StoreError> {
    tx.execute(ACME_ORDER_RELEASE_ALL, args![]).await
}

/// Has every node answer `key_authorization` to whoever asks `host` for this token, until `expires`.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn insert_challenge(
    tx: &mut KeysTx,
    token: &str,
    host: &str,
    key_authorization: &str,
    expires: UnixMs,
) -> Result<bool, StoreError> {
    Ok(tx.execute(ACME_CHALLENGE_INSERT, args![token, host, key_authorization, expires]).await? == 1)
}

/// What is answered to whoever asks this host for this token.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn challenge_answer(
    tx: &mut KeysTx,
    token: &str,
    host: &str,
    now: UnixMs,
) -> Result<Option<String>, StoreError> {
    let found: Option<KeyAuthorization> = tx.fetch_optional(ACME_CHALLENGE_ANSWER, args![token, host, now]).await?;
    Ok(found.map(|KeyAuthorization(text)| text))
}

/// Forgets the challenges of this host: they are answered.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn delete_challenges(tx: &mut KeysTx, host: &str) -> Result<(), StoreError> {
    tx.execute(ACME_CHALLENGE_DELETE, args![host]).await?;
    Ok(())
}

/// Deletes up to `limit` rows of each kind that nobody needs: certificates that ended before `before`, orders that nobody
/// has tried since then, and challenges that nobody may answer at `now` any more.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn sweep(tx: &mut KeysTx, before: UnixMs, now: UnixMs, limit: u32) -> Result<u64, StoreError> {
    let limit = i64::from(limit);
    let certificates = tx.execute(ACME_CERTIFICATE_SWEEP, args![before, limit]).await?;
    let orders = tx.execute(ACME_ORDER_SWEEP, args![before, limit]).await?;
    Ok(certificates + orders + tx.execute(ACME_CHALLENGE_SWEEP, args![now, limit]).await?)
}
