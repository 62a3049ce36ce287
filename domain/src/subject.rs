//! Who stands behind the subject of a bucket: what a subject is made of, and how that is read back.
//!
//! ```text
//! IPv4 address     0…0 | 32 bits                          IPv6 network   64 bits | 0…0
//! member           its UUIDv7, of variant 10              account        half an HMAC
//! secret API key   its UUIDv7 with the variant 11         visitor        a publishable key's, xor address, variant 01
//! session          its UUIDv7 with the variant 01, where members are counted and no keys
//! ```
//!
//! Who is addressed by an HMAC is nobody whom a request can be held against: anybody can name anybody's account.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use uuid::Uuid;

use crate::gcra::{Layer, Subject};
use crate::id::{ApiKeyId, FamilyId, MemberId};
use crate::tier::Counts;

/// The two bits of a UUID's variant, and what they are in the id of a member or a key.
const VARIANT: u128 = 0b11 << 62;
const OF_AN_ID: u128 = 0b10 << 62;
/// What they are in the subject of a secret key.
const SECRET: u128 = 0b11 << 62;
/// In that of a visitor.
const VISITOR: u128 = 0b01 << 62;
/// And in that of a session.
const SESSION: u128 = 0b01 << 62;

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Whoever calls from this address; of IPv6 from its /64.
    Address(IpAddr),
    /// Whoever names one account.
    Account,
    /// A member.
    Member(MemberId),
    /// Whoever has a token of one session, living or dead.
    Session(FamilyId),
    /// Whoever holds a secret API key.
    Key(ApiKeyId),
    /// Whoever shows a publishable API key from one address.
    Visitor,
    /// A whole tenant, or a provider of its.
    Many,
}

impl Who {
    /// Who is counted in this bucket.
    #[must_use]
    pub fn of(layer: Layer) -> Self {
        let Subject(bits) = layer.subject;
        match (layer.tier.row().counts, layer.subject.address()) {
            (Counts::Address | Counts::AddressOrAccount, Some(address)) => Self::Address(address),
            (Counts::Address | Counts::AddressOrAccount | Counts::Account, _) => Self::Account,
            (Counts::MemberOrKey, _) if bits & VARIANT == SECRET => {
                Self::Key(ApiKeyId::from_uuid(Uuid::from_u128(bits ^ SECRET ^ OF_AN_ID)))
            }
            (Counts::MemberOrKey, _) if bits & VARIANT == VISITOR => Self::Visitor,
            (Counts::Member, _) if bits & VARIANT == SESSION => {
                Self::Session(FamilyId::from_uuid(Uuid::from_u128(bits ^ SESSION ^ OF_AN_ID)))
            }
            (Counts::Member | Counts::MemberOrKey, _) => Self::Member(MemberId::from_uuid(Uuid::from_u128(bits))),
            (Counts::Tenant | Counts::Provider, _) => Self::Many,
        }
    }

    /// Whether what is counted is the doing of one who can be held responsible, so that nobody else fills the bucket. Whoever
    /// has a token that a session once had can fill that session's, and nobody is kept from another by it.
    #[must_use]
    pub const fn is_responsible(self) -> bool {
        match self {
            Self::Address(_) | Self::Member(_) | Self::Session(_) | Self::Key(_) | Self::Visitor => true,
            Self::Account | Self::Many => false,
        }
    }

    /// The member, the session or the key, if it is one.
    #[must_use]
    pub const fn id(self) -> Option<Uuid> {
        match self {
            Self::Member(id) => Some(id.uuid()),
            Self::Session(id) => Some(id.uuid()),
            Self::Key(id) => Some(id.uuid()),
            Self::Address(_) | Self::Account | Self::Visitor | Self::Many => None,
        }
    }
}

impl Subject {
    /// The holder of a secret API key.
    #[must_use]
    pub fn key(id: ApiKeyId) -> Self {
        Self(id.uuid().as_u128() ^ OF_AN_ID ^ SECRET)
    }

    /// Whoever has a token of this session.
    #[must_use]
    pub fn session(id: FamilyId) -> Self {
        Self(id.uuid().as_u128() ^ OF_AN_ID ^ SESSION)
    }

    /// Whoever shows a publishable API key at the address of this bucket.
    #[must_use]
    pub fn visitor(id: ApiKeyId, Self(address): Self) -> Self {
        Self(id.uuid().as_u128() ^ OF_AN_ID ^ VISITOR ^ address)
    }

    /// The address of a visitor with this key; `None` for whoever is none.
    #[must_use]
    pub fn visits_from(self, id: ApiKeyId) -> Option<IpAddr> {
        Self(self.0 ^ id.uuid().as_u128() ^ OF_AN_ID ^ VISITOR).address()
    }

    /// The address, or the first one of an IPv6 network, that this is, if it is one.
    #[must_use]
    fn address(self) -> Option<IpAddr> {
        let Self(bits) = self;
        match u32::try_from(bits) {
            Ok(four) => Some(Ipv4Addr::from_bits(four).into()),
            Err(_) if bits << 64 == 0 => Some(Ipv6Addr::from_bits(bits).into()),
            Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tier::Tier;
    use crate::time::UnixMs;

    const NOW: UnixMs = UnixMs::new(1_700_000_000_000);

    fn who(tier: Tier, subject: Subject) -> Who {
        Who::of(Layer { tier, subject })
    }

    #[test]
    fn whoever_is_counted_is_read_back() {
        let four: IpAddr = "192.0.2.7".parse().unwrap();
        let six: IpAddr = "2001:db8:1:2::".parse().unwrap();
        let (key, other) = (ApiKeyId::new(NOW, [9; 10]), ApiKeyId::new(NOW, [8; 10]));
        let member = MemberId::new(NOW, [7; 10]);
        for address in [four, six] {
            let subject = Subject(match address {
                IpAddr::V4(four) => four.to_bits().into(),
                IpAddr::V6(six) => six.to_bits(),
            });
            assert_eq!(who(Tier::Signup, subject), Who::Address(address));
            let visitor = Subject::visitor(key, subject);
            assert_eq!(who(Tier::ApiMember, visitor), Who::Visitor);
            assert_eq!((visitor.visits_from(key), visitor.visits_from(other)), (Some(address), None));
        }
        let subject = Subject(member.uuid().as_u128());
        for tier in [Tier::ApiMember, Tier::Refresh, Tier::Operator] {
            assert_eq!(who(tier, subject), Who::Member(member));
            assert_eq!(who(tier, subject).id(), Some(member.uuid()));
        }
        let session = FamilyId::new(NOW, [6; 10]);
        assert_eq!(who(Tier::Refresh, Subject::session(session)), Who::Session(session));
        assert_eq!(who(Tier::Refresh, Subject::session(session)).id(), Some(session.uuid()));
        assert_eq!(who(Tier::ApiMember, Subject::key(key)), Who::Key(key));
        assert_eq!(subject.visits_from(key), None);
    }

    #[test]
    fn nobody_is_held_responsible_for_what_others_can_fill() {
        let hmac = Subject(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
        for tier in [Tier::Signup, Tier::PasswordReset, Tier::LoginAccount] {
            assert_eq!((who(tier, hmac), who(tier, hmac).is_responsible()), (Who::Account, false), "{tier}");
        }
        assert!(!who(Tier::ApiTenant, Subject::TENANT).is_responsible());
        assert!(who(Tier::Signup, Subject(0x0a00_0001)).is_responsible());
    }
}
