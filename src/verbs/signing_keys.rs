//! `freehold tenant rotate-signing-key`.

use freehold_actors::node::Node;
use freehold_actors::node::load::LoadError;
use freehold_actors::ops::audit::NotRecorded;
use freehold_actors::ops::signing_keys::{RotationRefusal, Takeover, rotate_tenant};
use freehold_actors::ops::tenants::By;
use freehold_domain::slug::Slug;
use serde_json::{Value, json};

use super::refused;
use crate::cli::Exit;
use crate::failure::{Failure, chain};

/// Gives a tenant another key; its published keys, in the order in which they sign.
pub(super) async fn perform(node: &Node, slug: &Slug, takeover: Takeover) -> Result<Vec<Value>, Failure> {
    let keys = rotate_tenant(node, slug, takeover, &By::CommandLine).await.map_err(|error| failure(&error))?;
    let line = |key: freehold_actors::ops::signing_keys::SigningKeyItem| {
        json!({
            "id": key.id, "signing": key.is_signing, "created_at_ms": key.created_at,
            "signs_until_ms": key.signs_until,
        })
    };
    Ok(keys.into_iter().map(line).collect())
}

fn failure(error: &RotationRefusal) -> Failure {
    let exit = match error {
        RotationRefusal::Tenant(refusal) => return refused(refusal),
        RotationRefusal::Announced(_) => Exit::Data,
        RotationRefusal::Store(_)
        | RotationRefusal::Keys(LoadError::Unavailable | LoadError::UnknownMaster | LoadError::Quarantined)
        | RotationRefusal::NotRecorded(NotRecorded::Store(_) | NotRecorded::Keys(_)) => Exit::Unavailable,
        RotationRefusal::Crypto(_)
        | RotationRefusal::Keys(LoadError::Corrupt)
        | RotationRefusal::NotRecorded(NotRecorded::Crypto(_)) => Exit::Internal,
    };
    Failure::new(exit, chain(error))
}
