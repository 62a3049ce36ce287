//! The places of the node: for requests, and for bodies that are still being sent.

use crate::gate::{self, Full, Pass};
use crate::metric;
use crate::node::Node;
use crate::slot::TenantSlot;

impl Node {
    /// Takes a place on the node and one of the tenant's.
    ///
    /// # Errors
    /// [`Full`] when either is full; nothing was done.
    pub fn enter(&self, slot: &TenantSlot) -> Result<(Pass, Pass), Full> {
        let passes = self
            .gate
            .enter(gate::NODE_MAX)
            .and_then(|node| slot.enter(self.ambient.now()).map(|tenant| (node, tenant)));
        if passes.is_err() {
            metrics::counter!(metric::SHED, "reason" => "gate").increment(1);
        }
        passes
    }

    /// A place for a request whose body is still being sent: it is not in flight yet.
    ///
    /// # Errors
    /// [`Full`] when [`gate::SENDING_MAX`] are being sent.
    pub fn receive(&self) -> Result<Pass, Full> {
        let shed = |_: &Full| metrics::counter!(metric::SHED, "reason" => "sending").increment(1);
        self.sending.enter(gate::SENDING_MAX).inspect_err(shed)
    }

    /// How many bodies are being sent.
    #[must_use]
    pub fn receiving(&self) -> u32 {
        self.sending.taken()
    }

    /// How many requests are in flight.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.gate.taken()
    }
}
