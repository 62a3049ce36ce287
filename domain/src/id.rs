//! Identities: `UUIDv7` newtypes, so that no two kinds can be mixed up.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use crate::time::UnixMs;

/// The text is not a UUID in its canonical form.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be a UUID")]
pub struct NotAnId;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new identity made at `now` from ten random bytes (RFC 9562 §5.7).
            #[must_use]
            pub fn new(now: UnixMs, random: [u8; 10]) -> Self {
                Self(Builder::from_unix_timestamp_millis(now.get().unsigned_abs(), &random).into_uuid())
            }

            /// The identity stored as this UUID.
            #[must_use]
            pub const fn from_uuid(id: Uuid) -> Self {
                Self(id)
            }

            /// When it was made, as its first 48 bits say (RFC 9562 §5.7).
            #[must_use]
            pub fn made_at(self) -> UnixMs {
                let ms = self.0.as_u128() >> 80;
                UnixMs::new(i64::try_from(ms).unwrap_or(i64::MAX))
            }

            /// The sixteen bytes of the UUID.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The UUID as it is stored.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let id = Uuid::try_parse(text).map_err(|_| NotAnId)?;
                // Braces, `urn:` and capitals also parse: only the form we print is ours.
                if id.hyphenated().to_string() == text { Ok(Self(id)) } else { Err(NotAnId) }
            }
        }
    )*};
}

ids! {
    /// A tenant.
    TenantId;
    /// A member of one tenant.
    MemberId;
    /// An invitation to become a member.
    InvitationId;
    /// One sort of violation that browsers reported.
    CspReportId;
    /// What somebody told of a weakness.
    SecurityReportId;
    /// An event that a provider told of.
    WebhookEventId;
    /// A request in which a provider told of events.
    WebhookDeliveryId;
    /// An endpoint of a tenant's own, to which webhooks are sent.
    WebhookEndpointId;
    /// An account at a provider that a member signs in with.
    IdentityId;
    /// A family of refresh tokens: one sign-in on one device, the session (`sid`) of its access tokens.
    FamilyId;
    /// A tenant's signing key (`kid`).
    SigningKeyId;
    /// One access token (`jti`).
    TokenId;
    /// One running server process.
    NodeId;
    /// One request.
    RequestId;
    /// One row of an audit log.
    AuditId;
    /// One letter that waits to be sent.
    MailId;
    /// A block of whoever kept on against a limit, and the ban that follows it.
    BlockId;
    /// An API key of a tenant, whatever its text is after a rotation.
    ApiKeyId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuid_v7_and_sort_by_time() {
        let early = TenantId::new(UnixMs::new(1_000), [255; 10]);
        let late = TenantId::new(UnixMs::new(2_000), [0; 10]);
        assert!(early < late);
        assert_eq!(early.uuid().get_version_num(), 7);
    }

    #[test]
    fn only_the_canonical_text_is_an_id() {
        let id = MemberId::new(UnixMs::new(1), [0xab; 10]);
        let text = id.to_string();
        assert_eq!(text.parse(), Ok(id));
        for other in [text.to_uppercase(), format!("{{{text}}}"), format!("urn:uuid:{text}"), text.replace('-', "")] {
            assert_eq!(other.parse::<MemberId>(), Err(NotAnId), "{other}");
        }
    }
}
