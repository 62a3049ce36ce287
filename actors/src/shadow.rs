//! The limits that are tried on a tenant's traffic, as the shell that counts requests sees them.

use freehold_domain::gcra::Layer;
use freehold_domain::time::UnixMs;

use crate::metric;
use crate::slot::TenantSlot;

/// Counts a request that was admitted; whoever asked learns nothing of it.
pub(crate) fn count(slot: &TenantSlot, layers: &[Layer], now: UnixMs) {
    if let Some(tier) = slot.cells.shadow().count(layers, now) {
        metrics::counter!(metric::RATE_SHADOW_REFUSED, "tier" => tier.as_str()).increment(1);
    }
}
