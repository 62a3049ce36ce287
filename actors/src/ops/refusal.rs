//! Why an operation did not do what was asked: the expected failures, told apart by what the client should do next.

use freehold_domain::gcra::RateLimited;
use freehold_domain::integration::shopify::NotAShop;
use freehold_domain::lockout::Locked;
use freehold_domain::oauth::Refused;
use freehold_domain::password::TooShort;
use freehold_domain::plan::QuotaReached;
use freehold_domain::public_url::UrlRefused;
use freehold_domain::secret::Secret;
use freehold_storage::{Chain, StoreError};

use crate::ask::NoAnswer;
use crate::breached::Compromised;
use crate::gate::Full;
use crate::node::load::LoadError;
use crate::ops::domains::DomainRefusal;
use crate::password_pool::{HashFailed, QueueFull};

/// An expected failure. Whatever it says, nothing was changed, except that an attempt may have been counted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A rate tier is used up.
    #[error(transparent)]
    RateLimited(RateLimited),
    /// The account is locked.
    #[error(transparent)]
    Locked(Locked),
    /// Unknown account or wrong password.
    #[error("invalid credentials")]
    InvalidCredentials,
    /// The new password has appeared in a breach.
    #[error("the password has appeared in a breach")]
    Breached,
    /// The new password is one of the commonest.
    #[error("the password is one of the commonest")]
    Common,
    /// The password was right; a second factor is asked for. It carries the challenge to answer.
    #[error("a second factor is required")]
    SecondFactorRequired(Secret<String>),
    /// The session was started too long ago for what was asked.
    #[error("the sign-in is not fresh")]
    NotFresh,
    /// The token of an invitation is not good, or not for this address.
    #[error("not invited")]
    NotInvited,
    /// The tenant takes no registrations.
    #[error("registration is closed")]
    RegistrationClosed,
    /// The tenant does not allow operators to act as its members.
    #[error("no support access")]
    NoSupportAccess,
    /// The tenant would be left without an admin.
    #[error("the last admin stays")]
    LastAdmin,
    /// The tenant requires a second factor of the member, who has none.
    #[error("a second factor must be enrolled first")]
    MustEnrol,
    /// A second factor is required of some roles, and none is named.
    #[error("no role is named")]
    NoRoles,
    /// The new password has fewer characters than this.
    #[error(transparent)]
    TooShort(TooShort),
    /// A sign-in at a provider came to nothing.
    #[error(transparent)]
    OAuth(Refused),
    /// A wish about a custom domain was not done.
    #[error(transparent)]
    Domain(DomainRefusal),
    /// A URL is none that may be called.
    #[error(transparent)]
    Url(UrlRefused),
    /// The address of a service is none that may be called.
    #[error(transparent)]
    BaseUrl(UrlRefused),
    /// What is to be connected is no shop.
    #[error(transparent)]
    Shop(NotAShop),
    /// The shop leads nowhere where it may be called.
    #[error(transparent)]
    ShopUrl(UrlRefused),
    /// The provider says that the grant is over.
    #[error("the grant is over")]
    IntegrationExpired,
    /// The tenant's plan allows no more.
    #[error(transparent)]
    QuotaReached(QuotaReached),
    /// The tenant has a subscription, which is changed and not bought again.
    #[error("subscribed already")]
    Subscribed,
    /// Stripe does not close the account: there is money in it.
    #[error("the account for payouts stays")]
    PayoutAccountStays,
    /// There are as many as there may be.
    #[error("there are as many as there may be")]
    Enough,
    /// Too many reports of weaknesses wait for an answer.
    #[error("no room for reports")]
    NoRoomForReports,
    /// The report of a weakness was answered before.
    #[error("the report was answered")]
    ReportAnswered,
    /// The event had its effect.
    #[error("the event had its effect")]
    EventDone,
    /// The member could not sign in any more.
    #[error("the last way in stays")]
    LastWayIn,
    /// It is there already, or what it needs is not.
    #[error("collides with what is there")]
    Collides,
    /// No valid token.
    #[error("unauthenticated")]
    Unauthenticated,
    /// Two nodes were asked the same thing at once; nothing was revoked.
    #[error("asked of two nodes at once")]
    Conflict,
    /// Not there, or somebody else's.
    #[error("not found")]
    NotFound,
    /// Shed before any effect: a bounded queue is full or an actor did not start in time.
    #[error("overloaded")]
    Overloaded,
    /// The store or the tenant's actors are away, or the outcome is unknown.
    #[error("unavailable")]
    Unavailable,
    /// A stored value cannot be read: our fault.
    #[error("internal error")]
    Internal,
}

impl Refusal {
    /// What a failure of the store means to a caller. Logged here, where it is handled.
    #[must_use]
    pub fn from_store(error: &StoreError) -> Self {
        if error.is_transient() {
            tracing::warn!(error = %Chain(error), "the store did not answer");
            Self::Unavailable
        } else if matches!(error, StoreError::Full { .. }) {
            tracing::error!(error = %Chain(error), "the store has no room left");
            Self::Unavailable
        } else {
            tracing::error!(error = %Chain(error), "the store failed");
            Self::Internal
        }
    }
}

impl From<Compromised> for Refusal {
    fn from(compromised: Compromised) -> Self {
        match compromised {
            Compromised::Common => Self::Common,
            Compromised::Known => Self::Breached,
            Compromised::Unknown => Self::Unavailable,
        }
    }
}

impl From<NoAnswer> for Refusal {
    fn from(none: NoAnswer) -> Self {
        match none {
            NoAnswer::Late => Self::Overloaded,
            NoAnswer::Unstarted | NoAnswer::Unknown => Self::Unavailable,
        }
    }
}

impl From<LoadError> for Refusal {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Quarantined | LoadError::Unavailable | LoadError::UnknownMaster => Self::Unavailable,
            LoadError::Corrupt => Self::Internal,
        }
    }
}

impl From<Full> for Refusal {
    fn from(_: Full) -> Self {
        Self::Overloaded
    }
}

impl From<QueueFull> for Refusal {
    fn from(_: QueueFull) -> Self {
        Self::Overloaded
    }
}

impl From<HashFailed> for Refusal {
    fn from(_: HashFailed) -> Self {
        Self::Internal
    }
}

impl From<RateLimited> for Refusal {
    fn from(limited: RateLimited) -> Self {
        Self::RateLimited(limited)
    }
}

impl From<TooShort> for Refusal {
    fn from(short: TooShort) -> Self {
        Self::TooShort(short)
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self::OAuth(refused)
    }
}

impl From<DomainRefusal> for Refusal {
    fn from(refusal: DomainRefusal) -> Self {
        Self::Domain(refusal)
    }
}

impl From<Locked> for Refusal {
    fn from(locked: Locked) -> Self {
        Self::Locked(locked)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::from_store(&error)
    }
}
