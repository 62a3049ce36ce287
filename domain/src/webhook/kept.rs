//! What is kept of a delivery: its body, sealed.

use crate::id::WebhookDeliveryId;
use crate::keys::{Place, Sealable};
use crate::secret::Secret;

/// A body as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body(Secret<Vec<u8>>);

impl Body {
    /// These bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(Secret::new(bytes.to_vec()))
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.expose()
    }

    /// Where that of this delivery is sealed for.
    #[must_use]
    pub const fn place(delivery: &WebhookDeliveryId) -> Place<'_> {
        Place { table: "webhook_delivery", column: "body_sealed", row: delivery.as_bytes() }
    }
}

impl Sealable for Body {
    fn to_plaintext(&self) -> Secret<Vec<u8>> {
        self.0.clone()
    }

    fn from_plaintext(plaintext: &[u8]) -> Option<Self> {
        Some(Self::new(plaintext))
    }
}
