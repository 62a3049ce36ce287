//! The places of the node: for requests, and for bodies that are still being sent.

use freehold_domain::gcra::Subject;

use crate::gate::{self, Full, Pass, Places};
use crate::metric;
use crate::node::Node;
use crate::shares::Resource;
use crate::slot::TenantSlot;

impl Node {
    /// Takes a place on the node and one of the tenant's, and one of its few for large bodies where the request has one,
    /// from this address.
    ///
    /// # Errors
    /// [`Full`] when one of them is full; nothing was done.
    pub fn enter(&self, slot: &TenantSlot, large_of: Option<Subject>) -> Result<Places, Full> {
        let of_tenant = |_: &Full| Resource::Places.refused();
        let enter = || {
            let large = large_of.map(|address| slot.enter_large(address).inspect_err(of_tenant)).transpose()?;
            Ok(Places {
                _large: large,
                _node: self.gate.enter(gate::NODE_MAX)?,
                _tenant: slot.enter(self.ambient.now()).inspect_err(of_tenant)?,
            })
        };
        enter().inspect_err(|_: &Full| metrics::counter!(metric::SHED, "reason" => "gate").increment(1))
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
