//! Loading a parked tenant: its keys, its limits, its settings, its API keys, and what it revoked of late.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwapOption;
use freehold_domain::api_key::KEYS_MAX;
use freehold_domain::keys::{KeyVersion, MasterError, MasterKeyId, RootKey, Sealed, StoredSigningKey, TenantKeys};
use freehold_domain::revocation::DEPTH;
use freehold_domain::settings::{Registration, RequireSecondFactor, TenantSettings};
use freehold_domain::tier::{Limit, Limits, Tier};
use freehold_domain::time::CLOCKS_APART_MAX;
use freehold_domain::waf::Mode;
use freehold_storage::root_key::{self, RootKeyRow};
use freehold_storage::{
    Chain, StoreError, TenantTx, api_key, breaker, rate_limit, setting, signing_key, webhook_endpoint, webhook_source,
};

use crate::api_keys::ApiKeys;
use crate::changes;
use crate::metric;
use crate::node::Node;
use crate::sessions::Commits;
use crate::slot::{Live, Published, TenantSlot};
use crate::webhook_sources::WebhookSources;

/// Why a tenant could not be activated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Its actors failed too often; see [`TenantSlot::quarantined_for`].
    #[error("the tenant is quarantined")]
    Quarantined,
    /// The store did not answer.
    #[error("the store did not answer")]
    Unavailable,
    /// It is sealed by a master key that the ring of this node does not have: its ring is to be read again.
    #[error("the tenant is sealed by a master key that this node does not have")]
    UnknownMaster,
    /// What is stored cannot be read, or not with the keys at hand.
    #[error("the stored tenant cannot be read")]
    Corrupt,
}

impl From<StoreError> for LoadError {
    fn from(error: StoreError) -> Self {
        let meaning = if error.is_transient() { Self::Unavailable } else { Self::Corrupt };
        tracing::warn!(error = %Chain(&error), "a tenant could not be read");
        meaning
    }
}

/// Reads what an active tenant needs.
///
/// # Errors
/// [`LoadError`] when the store is away or what it holds cannot be opened.
pub(crate) async fn load(node: &Node, slot: &TenantSlot) -> Result<Live, LoadError> {
    let now = node.ambient.now();
    let roots = roots(node, slot).await?;
    let mut tx = node.store.read(slot.id).await?;
    let signing = signing(&mut tx).await?;
    let overrides = rate_limit::all(&mut tx).await?;
    let settings = in_force(node, slot, versioned_settings(&mut tx).await?.0);
    let api_keys = ApiKeys::read(api_key::live(&mut tx, now, KEYS_MAX).await?)?;
    let webhook_sources = WebhookSources::read(webhook_source::all(&mut tx).await?)?;
    let dead = changes::reconciled(&mut tx, now.minus(DEPTH + CLOCKS_APART_MAX)).await?;
    let breakers = breaker::all(&mut tx).await?;
    let tells = webhook_endpoint::any(&mut tx).await?;
    drop(tx);
    if node.settings.waf.is_none() && settings.waf.is_some_and(|mode| mode != Mode::Off) {
        tracing::warn!(tenant.id = %slot.id, "a tenant's requests are to be inspected, and there are no rules for it");
    }
    let keys = TenantKeys::open(slot.id, &roots, &signing).map_err(|error| corrupt(slot, &error))?;
    slot.bury_all(&dead);
    slot.cells.breakers().restore(breakers, now);
    Ok(Live {
        number: node.loads.fetch_add(1, Ordering::Relaxed),
        keys,
        issuer: node.settings.issuer(&slot.slug).into(),
        limits: limits(&node.settings.limits, overrides)?,
        settings,
        api_keys,
        webhook_sources,
        tells,
        exhausted: ArcSwapOption::empty(),
        commits: Commits::default(),
        tenant: ArcSwapOption::empty(),
        rate_limits: Published::default(),
        sessions: Published::default(),
        lockouts: Published::default(),
        breakers: Published::default(),
    })
}

/// The keys alone, for what is done to a tenant without waking it.
///
/// # Errors
/// As [`load`].
pub(crate) async fn keys(node: &Node, slot: &TenantSlot) -> Result<TenantKeys, LoadError> {
    let roots = roots(node, slot).await?;
    let signing = signing(&mut node.store.read(slot.id).await?).await?;
    TenantKeys::open(slot.id, &roots, &signing).map_err(|error| corrupt(slot, &error))
}

/// The root key that seals what is sealed now.
///
/// # Errors
/// As [`load`].
pub(crate) async fn newest_root(node: &Node, slot: &TenantSlot) -> Result<RootKey, LoadError> {
    roots(node, slot).await?.into_iter().max_by_key(RootKey::version).ok_or(LoadError::Corrupt)
}

/// Opens the tenant's root keys. A row may have been read before a rotation and be opened after the old key was taken out of
/// the ring: what has no key is read once more.
async fn roots(node: &Node, slot: &TenantSlot) -> Result<Vec<RootKey>, LoadError> {
    match opened_roots(node, slot).await {
        Err(LoadError::UnknownMaster) => {}
        outcome => return outcome,
    }
    let outcome = opened_roots(node, slot).await;
    if matches!(outcome, Err(LoadError::UnknownMaster)) {
        metrics::counter!(metric::MASTER_UNKNOWN).increment(1);
        tracing::error!(
            tenant.id = %slot.id,
            "a tenant is sealed by a master key that this node does not have: add it to the ring and send SIGHUP"
        );
    }
    outcome
}

async fn opened_roots(node: &Node, slot: &TenantSlot) -> Result<Vec<RootKey>, LoadError> {
    let rows = root_key::all_of(&mut node.store.keys_read().await?, slot.id).await?;
    let ring = node.ring.load();
    let open = |row: RootKeyRow| {
        let id: MasterKeyId = row.master_key_id.parse().map_err(|_| LoadError::Corrupt)?;
        let version = KeyVersion::new(u32::try_from(row.version).map_err(|_| LoadError::Corrupt)?);
        ring.open_root(slot.id, version, &id, &row.sealed).map_err(|error| match error {
            MasterError::UnknownKey(id) => {
                tracing::warn!(tenant.id = %slot.id, keys.master = %id, "the master ring has no such key");
                LoadError::UnknownMaster
            }
            MasterError::DoesNotOpen(_) => corrupt(slot, &error),
        })
    };
    rows.into_iter().map(open).collect()
}

/// In the order in which they sign.
async fn signing(tx: &mut TenantTx) -> Result<Vec<StoredSigningKey>, LoadError> {
    let mut signing = vec![];
    for row in signing_key::all(tx).await? {
        let seed = Sealed::from_stored(row.private_sealed).map_err(|_| LoadError::Corrupt)?;
        signing.push(StoredSigningKey { id: row.id, seed, made: row.created_at_ms, signs_until: row.retired_at_ms });
    }
    Ok(signing)
}

/// What the tenant has decided for itself, and the version of that. The defaults where it has decided nothing.
pub(crate) async fn versioned_settings(tx: &mut TenantTx) -> Result<(TenantSettings, Option<i64>), LoadError> {
    let Some(row) = setting::get(tx).await? else { return Ok((TenantSettings::default(), None)) };
    let settings = serde_json::from_str(&row.body).map_err(|error| {
        tracing::error!(%error, "a tenant's settings cannot be read");
        LoadError::Corrupt
    })?;
    Ok((settings, Some(row.version)))
}

/// What is in force of what the tenant has decided: the platform's own tenant decides less.
pub(crate) fn in_force(node: &Node, slot: &TenantSlot, mut settings: TenantSettings) -> TenantSettings {
    if slot.slug.is_platform() {
        settings.registration = Registration::Closed; // nobody becomes an operator unasked
        if node.settings.operators_need_second_factor {
            settings.require_second_factor = RequireSecondFactor::All;
            settings.second_factor_grace_s = 0;
        }
    }
    settings
}

fn corrupt(slot: &TenantSlot, error: &dyn std::error::Error) -> LoadError {
    tracing::error!(tenant.id = %slot.id, %error, "a tenant's keys do not open");
    LoadError::Corrupt
}

/// The node's limits with the tenant's own instead; one shared table where it has none.
fn limits(common: &Arc<Limits>, overrides: Vec<rate_limit::RateLimitRow>) -> Result<Arc<Limits>, LoadError> {
    if overrides.is_empty() {
        return Ok(Arc::clone(common));
    }
    let mut own = Limits::clone(common);
    for row in overrides {
        let tier: Tier = row.tier.parse().map_err(|_| LoadError::Corrupt)?;
        own.set(tier, Limit::from_row(row.burst, row.period_ms).map_err(|_| LoadError::Corrupt)?);
    }
    Ok(Arc::new(own))
}
