//! The part of an event's body that an effect is read from.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Unreadable;
use crate::id::TenantId;
use crate::time::UnixMs;

#[derive(Deserialize)]
struct Event<T> {
    data: Data<T>,
}

#[derive(Deserialize)]
struct Data<T> {
    object: T,
}

/// Something named by its id, or told whole.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Reference {
    Id(String),
    Object { id: String },
}

impl Reference {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Id(id) | Self::Object { id } => id,
        }
    }
}

/// What this server writes into the metadata of what it makes.
#[derive(Deserialize)]
pub(super) struct Metadata {
    freehold_tenant: Option<String>,
}

impl Metadata {
    /// The tenant that it names.
    pub(super) fn tenant(&self) -> Option<TenantId> {
        self.freehold_tenant.as_ref()?.parse().ok()
    }
}

/// `data.object` of the event.
pub(super) fn object<T: DeserializeOwned>(body: &[u8]) -> Result<T, Unreadable> {
    let event: Event<T> = serde_json::from_slice(body).map_err(|_| Unreadable::Body)?;
    Ok(event.data.object)
}

/// A time in seconds.
pub(super) const fn seconds(seconds: i64) -> UnixMs {
    UnixMs::new(seconds.saturating_mul(1_000))
}
