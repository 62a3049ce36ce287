//! Custom domains, in the system store: who claims which, and to whom each leads. A name is attached to one tenant at most:
//! a partial unique index sees to that, whoever is first.

use freehold_domain::id::TenantId;
use freehold_domain::time::UnixMs;

use crate::args;
use crate::error::StoreError;
use crate::sql::queries;
use crate::tenant_tx::{Row, SystemTx};

queries! {
    DOMAIN_CLAIM (5) = "
        INSERT INTO custom_domain (tenant, domain, challenge, claimed_at_ms, hsts_subdomains)
        SELECT $1, $2, $3, $4, 0 WHERE (SELECT COUNT(*) FROM custom_domain WHERE tenant = $1) < $5
        ON CONFLICT DO NOTHING";
    DOMAIN_LIST (1) = "
        SELECT tenant, domain, challenge, claimed_at_ms, attached_at_ms, looked_at_ms, failing_since_ms, look_at_ms, hsts_subdomains
        FROM custom_domain WHERE tenant = $1 ORDER BY domain";
    DOMAIN_ONE (2) = "
        SELECT tenant, domain, challenge, claimed_at_ms, attached_at_ms, looked_at_ms, failing_since_ms, look_at_ms, hsts_subdomains
        FROM custom_domain WHERE tenant = $1 AND domain = $2";
    DOMAIN_ATTACHED (1) = "
        SELECT tenant, domain, challenge, claimed_at_ms, attached_at_ms, looked_at_ms, failing_since_ms, look_at_ms, hsts_subdomains
        FROM custom_domain WHERE domain = $1 AND attached_at_ms IS NOT NULL";
    DOMAIN_ATTACHED_PAGE (2) = "
        SELECT tenant, domain, challenge, claimed_at_ms, attached_at_ms, looked_at_ms, failing_since_ms, look_at_ms, hsts_subdomains
        FROM custom_domain WHERE attached_at_ms IS NOT NULL AND domain > $1 ORDER BY domain LIMIT $2";
    DOMAIN_DUE (2) = "
        SELECT tenant, domain, challenge, claimed_at_ms, attached_at_ms, looked_at_ms, failing_since_ms, look_at_ms, hsts_subdomains
        FROM custom_domain WHERE look_at_ms <= $1 ORDER BY look_at_ms LIMIT $2";
    DOMAIN_TAKE (4) = "
        UPDATE custom_domain SET look_at_ms = $4 WHERE tenant = $1 AND domain = $2 AND look_at_ms = $3";
    DOMAIN_BEGIN_LOOK (4) = "
        UPDATE custom_domain SET looked_at_ms = $3
        WHERE tenant = $1 AND domain = $2 AND (looked_at_ms IS NULL OR looked_at_ms <= $4)";
    DOMAIN_ATTACH (4) = "
        UPDATE custom_domain SET attached_at_ms = $3, failing_since_ms = NULL, look_at_ms = $4
        WHERE tenant = $1 AND domain = $2 AND attached_at_ms IS NULL";
    DOMAIN_KEEP (5) = "
        UPDATE custom_domain SET looked_at_ms = $3, failing_since_ms = $4, look_at_ms = $5
        WHERE tenant = $1 AND domain = $2 AND attached_at_ms IS NOT NULL";
    DOMAIN_DETACH (3) = "
        UPDATE custom_domain SET attached_at_ms = NULL, failing_since_ms = NULL, look_at_ms = NULL, claimed_at_ms = $3
        WHERE tenant = $1 AND domain = $2 AND attached_at_ms IS NOT NULL";
    DOMAIN_SET_HSTS (3) = "
        UPDATE custom_domain SET hsts_subdomains = $3 WHERE tenant = $1 AND domain = $2";
    DOMAIN_DELETE (2) = "DELETE FROM custom_domain WHERE tenant = $1 AND domain = $2";
    DOMAIN_SWEEP (2) = "
        DELETE FROM custom_domain WHERE (tenant, domain) IN
            (SELECT tenant, domain FROM custom_domain
             WHERE attached_at_ms IS NULL AND claimed_at_ms <= $1 ORDER BY claimed_at_ms LIMIT $2)";
}

/// A name that a tenant claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomDomainRow {
    /// Who claims it.
    pub tenant: TenantId,
    /// The name, in A-labels.
    pub domain: String,
    /// What the proof must show.
    pub challenge: String,
    /// When it was claimed, or detached.
    pub claimed_at_ms: UnixMs,
    /// Since when it leads to the tenant, if it does.
    pub attached_at_ms: Option<UnixMs>,
    /// When the proof was last looked for.
    pub looked_at_ms: Option<UnixMs>,
    /// Since when the proof of an attached name is gone, if it is.
    pub failing_since_ms: Option<UnixMs>,
    /// When the proof of an attached name is looked for again.
    pub look_at_ms: Option<UnixMs>,
    /// Whether browsers are told to take names under it for its own (HSTS, `includeSubDomains`).
    pub hsts_subdomains: bool,
}

impl TryFrom<Row> for CustomDomainRow {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let time = |name| Ok::<_, StoreError>(row.get::<Option<i64>>(name)?.map(UnixMs::new));
        Ok(Self {
            tenant: TenantId::from_uuid(row.get("tenant")?),
            domain: row.get("domain")?,
            challenge: row.get("challenge")?,
            claimed_at_ms: UnixMs::new(row.get("claimed_at_ms")?),
            attached_at_ms: time("attached_at_ms")?,
            looked_at_ms: time("looked_at_ms")?,
            failing_since_ms: time("failing_since_ms")?,
            look_at_ms: time("look_at_ms")?,
            hsts_subdomains: row.get::<i64>("hsts_subdomains")? != 0,
        })
    }
}

/// Adds a claim while the tenant has fewer than `max` names. `false` when it has not, or has claimed this one already.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn claim(
    tx: &mut SystemTx,
    tenant: TenantId,
    domain: &str,
    challenge: &str,
    now: UnixMs,
    max: i64,
) -> Result<bool, StoreError> {
    Ok(tx.execute(DOMAIN_CLAIM, args![tenant, domain, challenge, now, max]).await? == 1)
}

/// Every name of a tenant, by name.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn list(tx: &mut SystemTx, tenant: TenantId) -> Result<Vec<CustomDomainRow>, StoreError> {
    tx.fetch_all(DOMAIN_LIST, args![tenant]).await
}

/// A name as this tenant claims it.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn one(tx: &mut SystemTx, tenant: TenantId, domain: &str) -> Result<Option<CustomDomainRow>, StoreError> {
    tx.fetch_optional(DOMAIN_ONE, args![tenant, domain]).await
}

/// The claim by which a name is attached, if it is.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn attached(tx: &mut SystemTx, domain: &str) -> Result<Option<CustomDomainRow>, StoreError> {
    tx.fetch_optional(DOMAIN_ATTACHED, args![domain]).await
}

/// The next `limit` attached names after `after`, by name; the empty text is before all.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn attached_page(tx: &mut SystemTx, after: &str, limit: u32) -> Result<Vec<CustomDomainRow>, StoreError> {
    tx.fetch_all(DOMAIN_ATTACHED_PAGE, args![after, i64::from(limit)]).await
}

/// Attached names whose proof is to be looked for by now, longest due first.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn due(tx: &mut SystemTx, now: UnixMs, limit: u32) -> Result<Vec<CustomDomainRow>, StoreError> {
    tx.fetch_all(DOMAIN_DUE, args![now, i64::from(limit)]).await
}

/// Takes the look that is due at `due`: nobody else takes it, and it is due again at `again` if nothing comes of it.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn take(
    tx: &mut SystemTx,
    tenant: TenantId,
    domain: &str,
    due: UnixMs,
    again: UnixMs,
) -> Result<bool, StoreError> {
    Ok(tx.execute(DOMAIN_TAKE, args![tenant, domain, due, again]).await? == 1)
}

/// Begins a look that somebody asks for. `false` when the last one began after `before`, or there is no such name.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn begin_look(
    tx: &mut SystemTx,
    tenant: TenantId,
    domain: &str,
    now: UnixMs,
    before: UnixMs,
) -> Result<bool, StoreError> {
    Ok(tx.execute(DOMAIN_BEGIN_LOOK, args![tenant, domain, now, before]).await? == 1)
}

/// Attaches a name to the tenant that proved it. `false` when it is attached to it already, or not claimed any more.
///
/// # Errors
/// [`StoreError::Conflict`] when it is attached to another tenant; [`StoreError`]; the transaction is lost.
pub async fn attach(
    tx: &mut SystemTx,
    tenant: TenantId,
    domain: &str,
    now: UnixMs,
    look_at: UnixMs,
) -> Result<bool, StoreError> {
    Ok(tx.execute(DOMAIN_ATTACH, args![tenant, domain, now, look_at]).await? == 1)
}

/// Notes what a look at an attached name found. `false` when it is not attached any more.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn keep(
    tx: &mut SystemTx,
    tenant: TenantId,
    domain: &str,
    now: UnixMs,
    (failing_since, look_at): (Option<UnixMs>, UnixMs),
) -> Result<bool, StoreError> {
    Ok(tx.execute(DOMAIN_KEEP, args![tenant, domain, now, failing_since, look_at]).await? == 1)
}

/// Detaches a name; the claim stays for a while. `false` when it was not attached.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn detach(tx: &mut SystemTx, tenant: TenantId, domain: &str, now: UnixMs) -> Result<bool, StoreError> {
    Ok(tx.execute(DOMAIN_DETACH, args![tenant, domain, now]).await? == 1)
}

/// Sets what browsers are told of names under it. `false` when there is no such name.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn set_hsts(
    tx: &mut SystemTx,
    tenant: TenantId,
    domain: &str,
    hsts_subdomains: bool,
) -> Result<bool, StoreError> {
    Ok(tx.execute(DOMAIN_SET_HSTS, args![tenant, domain, i64::from(hsts_subdomains)]).await? == 1)
}

/// Takes a name away. `false` when there was none.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn delete(tx: &mut SystemTx, tenant: TenantId, domain: &str) -> Result<bool, StoreError> {
    Ok(tx.execute(DOMAIN_DELETE, args![tenant, domain]).await? == 1)
}

/// Deletes up to `limit` claims of names that are not attached, from `before` or earlier; answers how many.
///
/// # Errors
/// [`StoreError`]; the transaction is lost.
pub async fn sweep(tx: &mut SystemTx, before: UnixMs, limit: u32) -> Result<u64, StoreError> {
    tx.execute(DOMAIN_SWEEP, args![before, i64::from(limit)]).await
}
