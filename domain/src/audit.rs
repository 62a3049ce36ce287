//! The audit log: what happened at a tenant, who did it, and a [`chain`] that shows when the account of it was changed.
//!
//! An [`Event`] is what an operation tells. Where it came from and what else belongs to it may be personal: that is its
//! [`Detail`], which is sealed as a whole.

pub mod chain;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::id::MemberId;
use crate::keys::{Place, Sealable};
use crate::secret::Secret;

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident $text:literal;)*) => {
        /// What happened. The names are part of the public contract: none is ever renamed or used again.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// Every action, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name in rows and JSON.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

actions! {
    /// A member signed in; the subject is the session.
    SessionStarted "session.started";
    /// A session was ended by its member; the subject is the session.
    SessionEnded "session.ended";
    /// A spent refresh token was presented and its session ended; the subject is the session.
    SessionReplayed "session.replayed";
    /// Every session of a member was ended; the subject is the member.
    SessionsEnded "sessions.ended";
    /// A member changed the password; the subject is the member.
    PasswordChanged "password.changed";
    /// Somebody asked for a new password; the subject is the member, if there is one.
    PasswordResetRequested "password.reset_requested";
    /// A member chose a new password by a link that was sent; the subject is the member.
    PasswordReset "password.reset";
    /// A member asked for another e-mail address, which is to be confirmed; the subject is the member.
    EmailChangeRequested "email.change_requested";
    /// A member's e-mail address was changed; the subject is the member.
    EmailChanged "email.changed";
    /// Somebody registered, with an address that is to be confirmed.
    RegistrationRequested "registration.requested";
    /// Somebody who registered confirmed the address and is a member; the subject is the member.
    MemberRegistered "member.registered";
    /// A password that was accepted when nobody could say turned out to be breached; the subject is the member.
    PasswordBreached "password.breached";
    /// A member confirmed a second factor; the subject is the member.
    SecondFactorConfirmed "second_factor.confirmed";
    /// A member took the second factor away; the subject is the member.
    SecondFactorRemoved "second_factor.removed";
    /// A member got new backup codes; the subject is the member.
    BackupCodesRenewed "backup_codes.renewed";
    /// Another key will sign the tenant's access tokens; the subject is the key.
    SigningKeyRotated "signing_key.rotated";
    /// Another key signs them at once, and those before are withdrawn; the subject is the key.
    SigningKeysWithdrawn "signing_keys.withdrawn";
    /// An admin made an API key; the subject is the key.
    ApiKeyCreated "api_key.created";
    /// An admin gave an API key another text; the subject is the key.
    ApiKeyRotated "api_key.rotated";
    /// An admin revoked an API key; the subject is the key.
    ApiKeyRevoked "api_key.revoked";
    /// Failures locked an account; the subject is its member, if it has one.
    AccountLocked "account.locked";
    /// A member's second factor was taken away for one who had lost it; the subject is the member.
    SecondFactorReset "second_factor.reset";
    /// Somebody was invited, or sent the invitation again; the subject is the invitation.
    InvitationSent "invitation.sent";
    /// An invitation was taken back; the subject is the invitation.
    InvitationRevoked "invitation.revoked";
    /// Somebody became a member; the subject is the member.
    MemberJoined "member.joined";
    /// Somebody became a member who came from another system; the subject is the member.
    MemberImported "member.imported";
    /// The members were taken along, with the hashes of their passwords; the subject is the tenant.
    MembersExported "members.exported";
    /// A member got another role; the subject is the member.
    MemberRoleChanged "member.role_changed";
    /// A member got another name; the subject is the member.
    MemberRenamed "member.renamed";
    /// A member was deactivated; the subject is the member.
    MemberDeactivated "member.deactivated";
    /// A deactivated member was made active again; the subject is the member.
    MemberReactivated "member.reactivated";
    /// A member was deleted; the subject is what was the member.
    MemberDeleted "member.deleted";
    /// An operator began to act as a member, for support; the subject is the member.
    SupportStarted "support.started";
    /// A member may sign in by an account at a provider from now on; the subject is the member.
    IdentityLinked "identity.linked";
    /// A member may do so no longer; the subject is the member.
    IdentityUnlinked "identity.unlinked";
    /// An admin cleared the list of what browsers reported; the subject is the tenant.
    CspReportsCleared "csp_reports.cleared";
    /// Somebody told of a weakness; the subject is the report. At the platform alone, like the next one.
    SecurityReportReceived "security_report.received";
    /// An operator noted that a report was answered; the subject is the report.
    SecurityReportAnswered "security_report.answered";
    /// What older master keys had sealed was sealed anew by the newest; the subject is the platform's tenant. There alone.
    MasterKeyRotated "master_key.rotated";
    /// An admin changed the tenant's settings; the subject is the tenant.
    SettingsChanged "settings.changed";
    /// A custom domain was claimed; the subject of this and the next ones is the tenant.
    DomainClaimed "domain.claimed";
    /// A custom domain was proved, and leads to the tenant.
    DomainAttached "domain.attached";
    /// What browsers are told of names under a custom domain was changed.
    DomainChanged "domain.changed";
    /// The proof of a custom domain was gone for too long: it leads nowhere.
    DomainDetached "domain.detached";
    /// A custom domain was given up or taken away.
    DomainRemoved "domain.removed";
    /// Somebody who was blocked and kept on was banned for a while; the subject is the member or the key, if it is one.
    RateLimitBanned "rate_limit.banned";
    /// A block or a ban was lifted; the subject is the member or the key, if it was one.
    RateLimitLifted "rate_limit.lifted";
    /// A secret with which webhooks are verified was set.
    WebhookSecretSet "webhook_secret.set";
    /// A secret with which webhooks were verified was taken away.
    WebhookSecretRemoved "webhook_secret.removed";
    /// An endpoint of webhooks was made; the subject of this and the next ones is the endpoint.
    WebhookEndpointCreated "webhook_endpoint.created";
    /// An admin changed where it is, what it is told or how.
    WebhookEndpointChanged "webhook_endpoint.changed";
    /// An admin gave it another secret.
    WebhookEndpointRotated "webhook_endpoint.rotated";
    /// An admin had it told that it was tried; it alone is told of that, whatever it wants.
    WebhookEndpointTested "webhook_endpoint.tested";
    /// Nothing is sent to it any more: an admin said so, or it failed for too long.
    WebhookEndpointDisabled "webhook_endpoint.disabled";
    /// An admin had messages sent to it again.
    WebhookEndpointEnabled "webhook_endpoint.enabled";
    /// An admin took it away.
    WebhookEndpointRemoved "webhook_endpoint.removed";
    /// An admin had it told again of what it was told, or should have been.
    WebhookEndpointReplayed "webhook_endpoint.replayed";
    /// An admin opened a circuit breaker; the subject is the tenant.
    BreakerOpened "breaker.opened";
    /// An admin closed one; the subject is the tenant.
    BreakerReset "breaker.reset";
    /// What opens an integration was set, or allowed at its provider; the subject of this and the next ones is the tenant.
    IntegrationConnected "integration.connected";
    /// It was taken away.
    IntegrationDisconnected "integration.disconnected";
    /// Its provider was to be told of that and did not answer: what it gave out may be good there until it ends.
    IntegrationNotRevoked "integration.not_revoked";
    /// Its provider says that the grant is over: it is not called until somebody connects it again.
    IntegrationExpired "integration.expired";
    /// What the tenant pays the platform for changed its plan; the subject of this and the next ones is the tenant.
    PlanChanged "plan.changed";
    /// An admin opened the page at which a plan is paid for.
    PlanCheckoutOpened "plan.checkout_opened";
    /// An admin opened the portal, where what is paid for is changed.
    PlanPortalOpened "plan.portal_opened";
    /// An account was made at which the tenant is paid out.
    PayoutAccountMade "payout_account.made";
    /// An admin opened the page at which its owner is asked what the provider of payments wants to know.
    PayoutOnboardingOpened "payout_account.onboarding_opened";
    /// An admin opened the page that shows what it was paid.
    PayoutDashboardOpened "payout_account.dashboard_opened";
    /// It was closed.
    PayoutAccountClosed "payout_account.closed";
    /// An event that was received is to have its effect after all; the subject is the event.
    WebhookEventReplayed "webhook_event.replayed";
    /// The tenant was made: the first row of every log. The subject is the tenant.
    TenantCreated "tenant.created";
    /// The tenant was suspended.
    TenantSuspended "tenant.suspended";
    /// The tenant was resumed.
    TenantResumed "tenant.resumed";
    /// The tenant was made read-only.
    TenantFrozen "tenant.frozen";
    /// The tenant is being moved away.
    TenantDrained "tenant.drained";
    /// The tenant was taken out of service for a while.
    TenantHeld "tenant.held";
    /// The tenant was given a limit of its own.
    TenantLimited "tenant.limited";
}

/// The text names no action.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("is not a known action")]
pub struct NotAnAction;

impl FromStr for Action {
    type Err = NotAnAction;

    fn from_str(text: &str) -> Result<Self, NotAnAction> {
        Self::ALL.iter().copied().find(|action| action.as_str() == text).ok_or(NotAnAction)
    }
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A member who had proved to be that.
    Member(MemberId),
    /// An operator: which member of the platform's own tenant, or none by the command line.
    Operator(Option<MemberId>),
    /// The server itself.
    System,
    /// Somebody who had proved nothing.
    Unknown,
}

/// The text names neither a member nor a kind of actor.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be a member's id, operator, system or unknown")]
pub struct NotAnActor;

impl Actor {
    /// The name of its kind in rows and JSON.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Member(_) => "member",
            Self::Operator(_) => "operator",
            Self::System => "system",
            Self::Unknown => "unknown",
        }
    }

    /// Which member of this tenant, or of the platform's own, if it is one.
    #[must_use]
    pub const fn member(self) -> Option<MemberId> {
        match self {
            Self::Member(id) => Some(id),
            Self::Operator(id) => id,
            Self::System | Self::Unknown => None,
        }
    }
}

/// A member's id, or the name of another kind.
impl FromStr for Actor {
    type Err = NotAnActor;

    fn from_str(text: &str) -> Result<Self, NotAnActor> {
        let named = [Self::Operator(None), Self::System, Self::Unknown].into_iter().find(|actor| actor.kind() == text);
        named.or_else(|| text.parse().ok().map(Self::Member)).ok_or(NotAnActor)
    }
}

/// What belongs to an event and may be personal.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// The address that the request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The request's id, as its answer carried it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Why, in an operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Which limit was set, or by which somebody was banned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// What it was set to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// Who was banned, or is no more, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whom: Option<String>,
    /// Which custom domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Which source of webhooks, breaker or integration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What was changed, from what to what.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Changed>,
}

/// One thing that an event changed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Its name.
    pub field: String,
    /// What it was.
    pub from: String,
    /// What it is now.
    pub to: String,
}

impl Detail {
    /// Where the detail of the row with this id is sealed.
    #[must_use]
    pub const fn place(row: &[u8; 16]) -> Place<'_> {
        Place { table: "audit", column: "detail_sealed", row }
    }
}

impl fmt::Debug for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[detail]")
    }
}

impl Sealable for Detail {
    fn to_plaintext(&self) -> Secret<Vec<u8>> {
        Secret::new(serde_json::to_vec(self).unwrap_or_default()) // texts alone: cannot fail
    }

    fn from_plaintext(plaintext: &[u8]) -> Option<Self> {
        serde_json::from_slice(plaintext).ok()
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What.
    pub action: Action,
    /// Who did it.
    pub actor: Actor,
    /// Whom or what it was done to, as [`Action`] says.
    pub subject: Option<Uuid>,
    /// From where, and what else there is to say.
    pub detail: Detail,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::UnixMs;

    #[test]
    fn names_are_unique_and_read_back() {
        for action in Action::ALL {
            assert_eq!(action.as_str().parse(), Ok(*action));
        }
        assert_eq!("session".parse::<Action>(), Err(NotAnAction));

        let member = MemberId::new(UnixMs::new(1), [7; 10]);
        for actor in [Actor::Operator(None), Actor::System, Actor::Unknown] {
            assert_eq!((actor.kind().parse(), actor.member()), (Ok(actor), None));
        }
        assert_eq!(member.to_string().parse(), Ok(Actor::Member(member)));
        for other in ["", "member", "Operator", "ada@example.com"] {
            assert_eq!(other.parse::<Actor>(), Err(NotAnActor), "{other}");
        }
    }

    #[test]
    fn a_detail_reads_back_and_is_not_shown() {
        let detail =
            Detail { address: Some("192.0.2.1".to_owned()), reason: Some("a \"b\"\n".to_owned()), ..Detail::default() };
        assert_eq!(Detail::from_plaintext(detail.to_plaintext().expose()), Some(detail.clone()));
        assert!(!format!("{detail:?}").contains("192"));
        assert_eq!(Detail::from_plaintext(b"{}"), Some(Detail::default()));
    }
}
