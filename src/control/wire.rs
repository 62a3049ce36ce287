//! What is said on the control socket.

use std::time::Duration;

use freehold_domain::secret::Secret;
use freehold_domain::tenant_state::TenantState;
use freehold_domain::tier::{Allowance, Limit, Tier};
use freehold_domain::waf::Mode;
use freehold_domain::weight::Weight;
use serde::{Deserialize, Serialize};

/// Bytes of a request, its newline included.
pub(super) const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// What is asked of the server. Slugs and addresses are checked by who answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Create a tenant and its first admin.
    TenantCreate {
        /// Its name in host names.
        slug: String,
        /// Its name for people; the slug if absent.
        name: Option<String>,
        /// What the first admin signs in with.
        admin_email: String,
        /// The first admin's password; made by the server if absent.
        #[serde(default, with = "secret_text")]
        admin_password: Option<Secret<String>>,
    },
    /// List every tenant.
    TenantList,
    /// Give a tenant a state from now on.
    TenantState {
        /// Which tenant.
        slug: String,
        /// What becomes of its requests.
        #[serde(with = "as_text")]
        state: TenantState,
        /// Why.
        reason: Option<String>,
        /// When the state ends by itself: RFC 3339.
        until: Option<String>,
    },
    /// Give a tenant a limit of its own, or take it back.
    TenantLimit {
        /// Which tenant.
        slug: String,
        /// Which limit.
        #[serde(with = "as_text")]
        tier: Tier,
        /// How much it admits.
        #[serde(with = "as_text")]
        limit: Allowance,
    },
    /// Try a limit on a tenant's traffic.
    TenantShadow {
        /// Which tenant.
        slug: String,
        /// Which limit.
        #[serde(with = "as_text")]
        tier: Tier,
        /// How much it would admit.
        #[serde(with = "as_text")]
        limit: Limit,
    },
    /// End every trial of a limit at a tenant.
    TenantEndShadow {
        /// Which tenant.
        slug: String,
    },
    /// List who is blocked at a tenant.
    TenantBlocks {
        /// Which tenant.
        slug: String,
    },
    /// Lift a block of a tenant.
    TenantUnblock {
        /// Which tenant.
        slug: String,
        /// Which block.
        id: String,
    },
    /// Decide what is done with a tenant's requests that rules match.
    TenantWaf {
        /// Which tenant.
        slug: String,
        /// What; what the server does with those of all, if absent.
        mode: Option<Mode>,
    },
    /// Give a tenant a weight.
    TenantWeight {
        /// Which tenant.
        slug: String,
        /// How many times the share of an ordinary tenant.
        weight: Weight,
    },
    /// Have another key sign a tenant's access tokens.
    TenantRotateSigningKey {
        /// Which tenant.
        slug: String,
        /// Whether the keys before are withdrawn.
        at_once: bool,
    },
    /// Add members who come from another system.
    MemberImport {
        /// Which tenant.
        slug: String,
        /// A member a line, as the lines were read.
        #[serde(with = "secret_lines")]
        lines: Secret<String>,
    },
    /// Tell every member with the hash of the password, and how many there are.
    MemberExport {
        /// Which tenant.
        slug: String,
    },
    /// List a tenant's own domains.
    DomainList {
        /// Which tenant.
        slug: String,
    },
    /// Take a domain away from a tenant.
    DomainRemove {
        /// Which tenant.
        slug: String,
        /// Which domain.
        domain: String,
    },
    /// List which addresses are blocked.
    AddressBlocks,
    /// Lift the block of an address.
    AddressUnblock {
        /// Which block.
        id: String,
    },
    /// Make an operator.
    OperatorCreate {
        /// What the operator signs in with.
        email: String,
        /// The operator's password; made by the server if absent.
        #[serde(default, with = "secret_text")]
        password: Option<Secret<String>>,
    },
    /// Tell which master key seals, and how much is sealed by others.
    KeysStanding,
    /// Seal the next batch of that anew.
    KeysReseal {
        /// Where to go on, as the batch before told; at the beginning, if absent.
        after: Option<String>,
    },
    /// End a rotation of the master key.
    KeysSettle {
        /// How much was sealed anew.
        resealed: u64,
    },
    /// Check a tenant's audit log.
    AuditVerify {
        /// Which tenant.
        slug: String,
    },
}

impl Request {
    /// Whether it is about what a running server keeps in memory, so that nothing else can answer it.
    pub(crate) const fn needs_server(&self) -> bool {
        matches!(
            self,
            Self::TenantBlocks { .. } | Self::TenantUnblock { .. } | Self::AddressBlocks | Self::AddressUnblock { .. }
        )
    }

    /// How long the server may take for everything.
    pub(super) const fn answer_max(&self) -> Duration {
        match self {
            Self::AuditVerify { .. } | Self::MemberExport { .. } => Duration::from_hours(1),
            Self::TenantCreate { .. }
            | Self::TenantList
            | Self::TenantState { .. }
            | Self::TenantLimit { .. }
            | Self::TenantShadow { .. }
            | Self::TenantEndShadow { .. }
            | Self::TenantBlocks { .. }
            | Self::TenantUnblock { .. }
            | Self::AddressBlocks
            | Self::AddressUnblock { .. }
            | Self::TenantWaf { .. }
            | Self::TenantWeight { .. }
            | Self::TenantRotateSigningKey { .. }
            | Self::MemberImport { .. }
            | Self::DomainList { .. }
            | Self::DomainRemove { .. }
            | Self::OperatorCreate { .. }
            | Self::KeysStanding
            | Self::KeysReseal { .. }
            | Self::KeysSettle { .. } => Duration::from_mins(1),
        }
    }
}

/// One line of the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", content = "value", rename_all = "snake_case")]
pub enum Reply {
    /// One result, for stdout.
    Item(serde_json::Value),
    /// Everything was done; the last line.
    Done,
    /// It was refused and nothing changed; the last line.
    Refused {
        /// The code the command line ends with.
        exit: u8,
        /// Why, for stderr.
        message: String,
    },
}

impl Reply {
    /// Whether nothing comes after it.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        matches!(self, Self::Done | Self::Refused { .. })
    }
}

/// A secret crosses this socket, and only this one, as text.
mod secret_text {
    use super::{Deserialize, Secret};
    use serde::{Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde gives a reference to the field")]
    pub(super) fn serialize<S: Serializer>(secret: &Option<Secret<String>>, to: S) -> Result<S::Ok, S::Error> {
        match secret {
            Some(secret) => to.serialize_some(secret.expose()),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret<String>>, D::Error> {
        Ok(Option::<String>::deserialize(from)?.map(Secret::new))
    }
}

/// The same for what is always there.
mod secret_lines {
    use super::{Deserialize, Secret};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(secret: &Secret<String>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(secret.expose())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Secret<String>, D::Error> {
        String::deserialize(from).map(Secret::new)
    }
}

/// Tiers and limits, as the command line writes them.
mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<T: Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}
