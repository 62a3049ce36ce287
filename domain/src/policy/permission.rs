//! What this server can allow or refuse a member: a row is a verb on one of its own resources.

use std::fmt;

macro_rules! permissions {
    ($($name:ident $resource:literal $verb:literal $meaning:literal;)*) => {
        /// Something that a member may do or not. A route of the server asks for one of them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Permission {
            $(#[doc = $meaning] $name,)*
        }

        impl Permission {
            /// Every permission, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// `resource.verb`
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => concat!($resource, ".", $verb),)* }
            }

            /// What it is done to, as the policy calls it.
            #[must_use]
            pub const fn resource(self) -> &'static str {
                match self { $(Self::$name => $resource,)* }
            }

            /// What is done.
            #[must_use]
            pub const fn verb(self) -> &'static str {
                match self { $(Self::$name => $verb,)* }
            }
        }
    };
}

permissions! {
    OwnProfileRead "own_profile" "read" "To see who one is signed in as.";
    OwnProfileChange "own_profile" "change" "To change one's name and e-mail address.";
    OwnSessionsList "own_sessions" "list" "To see where one is signed in.";
    OwnSessionsEnd "own_sessions" "end" "To end a session of one's own.";
    OwnCredentialsChange "own_credentials" "change" "To change one's password, second factor and linked identities.";
    MembersList "members" "list" "To see who the members are.";
    MembersRead "members" "read" "To see one member.";
    MembersInvite "members" "invite" "To invite somebody, with a role.";
    MembersChange "members" "change" "To change a member's role and name.";
    MembersDeactivate "members" "deactivate" "To deactivate a member and to take that back.";
    MembersDelete "members" "delete" "To delete a member with all that is personal.";
    MembersResetSecondFactor "members" "reset_second_factor" "To take a member's second factor away.";
    InvitationsList "invitations" "list" "To see which invitations are open.";
    InvitationsResend "invitations" "resend" "To send an invitation once more.";
    InvitationsRevoke "invitations" "revoke" "To take an invitation back.";
    SettingsRead "settings" "read" "To see the tenant's settings.";
    SettingsChange "settings" "change" "To change the tenant's settings.";
    ApiKeysList "api_keys" "list" "To see which API keys there are.";
    ApiKeysCreate "api_keys" "create" "To make an API key.";
    ApiKeysRotate "api_keys" "rotate" "To replace an API key by a new one.";
    ApiKeysRevoke "api_keys" "revoke" "To end an API key.";
    SigningKeysList "signing_keys" "list" "To see which keys sign access tokens.";
    SigningKeysRotate "signing_keys" "rotate" "To have another key sign access tokens.";
    DomainsList "domains" "list" "To see the tenant's own domains, and what proves them.";
    DomainsChange "domains" "change" "To claim, verify and give up a domain of the tenant's own.";
    WebhooksRead "webhooks" "read" "To see what providers told of, and why deliveries were refused.";
    WebhooksChange "webhooks" "change" "To set with what deliveries of providers are verified, and to act on an event anew.";
    IntegrationsRead "integrations" "read" "To see which services outside are connected.";
    IntegrationsChange "integrations" "change" "To connect a service outside, to try it, and to disconnect it.";
    BillingRead "billing" "read" "To see the plan, the payouts, and what the provider of payments told of subscriptions and accounts.";
    BillingChange "billing" "change" "To buy and change the plan, and to have the tenant paid out.";
    CspReportsList "csp_reports" "list" "To see what browsers report of the tenant's pages.";
    CspReportsClear "csp_reports" "clear" "To forget what browsers reported.";
    RateLimitsRead "rate_limits" "read" "To see the limits, and who is blocked for having kept on against them.";
    RateLimitsLift "rate_limits" "lift" "To lift such a block.";
    SecurityRead "security" "read" "To see how the tenant's security stands.";
    AuditRead "audit" "read" "To read the audit log.";
    TenantsList "tenants" "list" "To see which tenants there are; at the platform's own host alone, like all that follow.";
    TenantsCreate "tenants" "create" "To make a tenant.";
    TenantsSetState "tenants" "set_state" "To suspend, freeze, drain, hold and resume a tenant.";
    TenantsSetWeight "tenants" "set_weight" "To say what share a tenant has of what tenants share.";
    TenantsReadTree "tenants" "read_tree" "To see the actors of a tenant.";
    TenantsImpersonate "tenants" "impersonate" "To act as a member of a tenant, for support.";
    TenantsReadRateLimits "tenants" "read_rate_limits" "To see the limits of a tenant, and who is blocked there.";
    TenantsLiftBlock "tenants" "lift_block" "To lift such a block.";
    TenantsSetLimit "tenants" "set_limit" "To give a tenant a rate limit of its own.";
    TenantsSetShadow "tenants" "set_shadow" "To try limits on a tenant's traffic that refuse nothing.";
    AddressesList "addresses" "list" "To see which addresses are blocked, whatever they ask for.";
    AddressesLift "addresses" "lift" "To lift such a block.";
    SecurityReportsList "security_reports" "list" "To read what anybody told of weaknesses.";
    SecurityReportsAnswer "security_reports" "answer" "To note that whoever told of a weakness was answered.";
}

impl Permission {
    /// Whether an operator who acts as a member, for support, may do it too, where the member may: to look, at what is
    /// neither a credential, a key, another member nor an export.
    #[must_use]
    pub const fn is_open_to_support(self) -> bool {
        matches!(self, Self::OwnProfileRead | Self::OwnSessionsList | Self::SettingsRead | Self::AuditRead)
    }

    /// The permission to do this to that.
    #[must_use]
    pub fn find(resource: &str, verb: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.resource() == resource && known.verb() == verb)
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
