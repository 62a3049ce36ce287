//! What a request is counted in, and where that is.

use std::sync::Arc;

use freehold_domain::gcra::{Layer, RateLimited};
use freehold_domain::tier::Tier;
use freehold_domain::time::UnixMs;

use crate::node::Node;
use crate::ops::context::{Client, Counted};
use crate::ops::refusal::Refusal;
use crate::penalties::Ban;
use crate::rate_limits;
use crate::slot::{Live, TenantSlot};

/// What a request is told of these layers while the tenant as a whole has had its limit: what its bucket would say, without
/// asking for it. A flood costs its tenant's actor nothing.
fn exhausted(live: &Live, layers: &[Layer], now: UnixMs) -> Option<RateLimited> {
    let known = live.exhausted.load();
    let (limited, at) = known.as_deref()?;
    let is_asked = layers.iter().any(|layer| (layer.tier, layer.subject) == (limited.reading.tier, limited.subject));
    if is_asked { limited.after(now.since(*at)) } else { None }
}

impl Node {
    /// Counts one request of a tenant in every layer, or in none.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`] when a layer has no room; [`Refusal::Overloaded`] or [`Refusal::Unavailable`] when the
    /// tenant's actor cannot say: a limit that cannot be asked is not bypassed.
    pub async fn admit(
        &self,
        slot: &Arc<TenantSlot>,
        live: &Live,
        layers: &[Layer],
        counted: &Counted,
    ) -> Result<(), Refusal> {
        if !live.counts(layers) {
            return Ok(());
        }
        if let Some(limited) = exhausted(live, layers, self.ambient.now()) {
            return counted.decided(Err(limited));
        }
        let decision = self.ask(slot, |reply| rate_limits::Msg::Admit(layers.into(), reply)).await?;
        counted.decided(decision)
    }

    /// Counts one request of an address, before any tenant is known; `is_foreign` is one that a page of somebody else made a
    /// browser send, which brings nobody any nearer to a block.
    ///
    /// # Errors
    /// [`Refusal::RateLimited`] when the address has no room.
    pub fn admit_address(&self, client: &Client, is_foreign: bool, counted: &Counted) -> Result<(), Refusal> {
        let limit = self.settings.limits.get(Tier::Address);
        let (decision, banned) = self.addresses.admit(client.bucket, limit, is_foreign, self.unseen, self.ambient);
        if let Some((layer, block)) = banned {
            self.bans.tell(Ban { tenant: None, layer, block });
        }
        counted.decided(decision)
    }

    /// Where requests are counted: in `memory`, `shared` with other nodes, or `alone`, each node its share.
    #[must_use]
    pub fn counting(&self) -> &'static str {
        match &self.shared_counters {
            None => "memory",
            Some(shared) if shared.is_here() => "shared",
            Some(_) => "alone",
        }
    }
}
