//! What a tenant has decided for itself: who may register, who needs a second factor, how long sessions last.
//!
//! Every value has bounds, and none may be weaker than what the server promises of everybody. A tenant that has decided
//! nothing has the defaults.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::password::{MIN_WITH_SECOND_FACTOR, MIN_WITHOUT_SECOND_FACTOR};
use crate::rich_text::RichText;
use crate::role::Role;
use crate::shadow::ShadowLimits;
use crate::time::UnixMs;
use crate::waf::Mode;
use crate::weight::Weight;

const DAY_S: u32 = 24 * 3_600;

/// A setting that is a number, and what it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The setting's name.
    pub name: &'static str,
    /// Least.
    pub min: u32,
    /// Most.
    pub max: u32,
}

impl Bounds {
    /// Whether the number is within them.
    #[must_use]
    pub const fn hold(&self, number: u32) -> bool {
        self.min <= number && number <= self.max
    }
}

/// Seconds in which a member who must have a second factor may still do without.
pub const GRACE: Bounds = Bounds { name: "second_factor_grace_s", min: 0, max: 90 * DAY_S };
/// Seconds in which a refresh token that was just spent gives its successor again.
pub const REUSE_GRACE: Bounds = Bounds { name: "refresh_reuse_grace_s", min: 0, max: 60 };
/// Seconds after which a session that nobody refreshes has ended.
pub const IDLE: Bounds = Bounds { name: "session_idle_s", min: 15 * 60, max: 90 * DAY_S };
/// Seconds after which a session has ended, however often it is refreshed.
pub const LIFETIME: Bounds = Bounds { name: "session_lifetime_s", min: 15 * 60, max: 90 * DAY_S };
/// Fewest characters of a new password that alone opens an account (NIST SP 800-63B-4 §3.1.1.2).
pub const PASSWORD: Bounds = Bounds { name: "password_chars_min", min: chars(MIN_WITHOUT_SECOND_FACTOR), max: 64 };
/// Fewest characters of one that opens it only together with a second factor.
pub const PASSWORD_OF_TWO: Bounds =
    Bounds { name: "password_chars_min_with_second_factor", min: chars(MIN_WITH_SECOND_FACTOR), max: 64 };

#[expect(clippy::cast_possible_truncation, reason = "two constants far below the bound")]
const fn chars(count: usize) -> u32 {
    count as u32
}

/// Who may become a member without an invitation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// Nobody.
    #[default]
    Closed,
    /// Whoever can read mail at the address they give.
    Open,
}

/// Who must have a second factor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequireSecondFactor {
    /// Nobody: it is everybody's own choice.
    #[default]
    Off,
    /// Members with one of `second_factor_roles`.
    Roles,
    /// Everybody.
    All,
}

/// A tenant's settings. Stored as JSON: a field that a row does not have takes its default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TenantSettings {
    /// Who may register.
    pub registration: Registration,
    /// Who must have a second factor.
    pub require_second_factor: RequireSecondFactor,
    /// The roles that `require_second_factor: roles` means.
    pub second_factor_roles: BTreeSet<Role>,
    /// See [`GRACE`].
    pub second_factor_grace_s: u32,
    /// When more members came to need a second factor than before; their grace begins here.
    pub second_factor_required_at_ms: UnixMs,
    /// See [`REUSE_GRACE`].
    pub refresh_reuse_grace_s: u32,
    /// Whether an operator may act as a member, for support.
    pub support_access: bool,
    /// See [`IDLE`].
    pub session_idle_s: u32,
    /// See [`LIFETIME`].
    pub session_lifetime_s: u32,
    /// See [`PASSWORD`].
    pub password_chars_min: u32,
    /// See [`PASSWORD_OF_TWO`].
    pub password_chars_min_with_second_factor: u32,
    /// What the first page of the tenant's host says to whoever comes.
    pub notice_html: RichText,
    /// What is done with requests that rules match, where an operator decided it for this tenant: no admin changes it.
    pub waf: Option<Mode>,
    /// The tenant's share of what tenants share, which operators give: no admin changes it.
    pub weight: Weight,
    /// The limits that are tried on its traffic and refuse nothing, which operators set: no admin changes it.
    pub shadow_limits: ShadowLimits,
}

impl Default for TenantSettings {
    fn default() -> Self {
        Self {
            registration: Registration::default(),
            require_second_factor: RequireSecondFactor::default(),
            second_factor_roles: BTreeSet::new(),
            second_factor_grace_s: 0,
            second_factor_required_at_ms: UnixMs::new(0),
            refresh_reuse_grace_s: 0,
            support_access: false,
            session_idle_s: 30 * DAY_S,
            session_lifetime_s: 30 * DAY_S,
            password_chars_min: PASSWORD.min,
            password_chars_min_with_second_factor: PASSWORD_OF_TWO.min,
            notice_html: RichText::default(),
            waf: None,
            weight: Weight::default(),
            shadow_limits: ShadowLimits::default(),
        }
    }
}

/// A setting, and what it is in words.
type Named = (&'static str, String);

impl TenantSettings {
    /// Whether members of this role must have a second factor.
    #[must_use]
    pub fn requires_second_factor(&self, role: Role) -> bool {
        match self.require_second_factor {
            RequireSecondFactor::Off => false,
            RequireSecondFactor::Roles => self.second_factor_roles.contains(&role),
            RequireSecondFactor::All => true,
        }
    }

    /// From when on a member of this role who joined then can do nothing without a second factor but enrol one; `None`
    /// where none is required.
    #[must_use]
    pub fn second_factor_due(&self, role: Role, joined: UnixMs) -> Option<UnixMs> {
        let begins = self.second_factor_required_at_ms.max(joined);
        self.requires_second_factor(role).then(|| begins.plus(seconds(self.second_factor_grace_s)))
    }

    /// Fewest characters of a new password of a member of this role. The shorter bound holds only where a second factor
    /// is always asked for.
    #[must_use]
    pub fn password_chars_min(&self, role: Role, has_second_factor: bool) -> usize {
        let two = has_second_factor && self.requires_second_factor(role);
        let min = if two { self.password_chars_min_with_second_factor } else { self.password_chars_min };
        usize::try_from(min).unwrap_or(usize::MAX)
    }

    /// For how long a spent refresh token gives its successor again; `None` where it never does.
    #[must_use]
    pub fn reuse_grace(&self) -> Option<Duration> {
        Some(self.refresh_reuse_grace_s).filter(|grace| *grace > 0).map(seconds)
    }

    /// How long a session lives, however often it is refreshed.
    #[must_use]
    pub fn session_lifetime(&self) -> Duration {
        seconds(self.session_lifetime_s)
    }

    /// How long a session lives that nobody refreshes.
    #[must_use]
    pub fn session_idle(&self) -> Duration {
        seconds(self.session_idle_s)
    }

    /// Whether a session has ended by these settings: nobody refreshed it in time, or its time is over.
    #[must_use]
    pub fn has_ended(&self, created: UnixMs, last_used: UnixMs, now: UnixMs) -> bool {
        now >= last_used.plus(self.session_idle()) || now >= created.plus(self.session_lifetime())
    }

    /// Takes `next` for what it replaces: where more roles need a second factor than before, their grace begins now.
    ///
    /// # Errors
    /// [`NoRoles`] when a second factor is required of no role.
    pub fn replaced_by(&self, next: Self, now: UnixMs) -> Result<Self, NoRoles> {
        if next.require_second_factor == RequireSecondFactor::Roles && next.second_factor_roles.is_empty() {
            return Err(NoRoles);
        }
        let is_new = |role: &Role| next.requires_second_factor(*role) && !self.requires_second_factor(*role);
        let rises = Role::ALL.iter().any(is_new);
        let second_factor_required_at_ms = if rises { now } else { self.second_factor_required_at_ms };
        Ok(Self { second_factor_required_at_ms, ..next })
    }

    /// What differs from `other`: the setting, what it is there, what it is here.
    #[must_use]
    pub fn changes_since(&self, other: &Self) -> Vec<(&'static str, String, String)> {
        let both = other.named().into_iter().zip(self.named());
        both.filter(|(was, is)| was != is).map(|((name, was), (_, is))| (name, was, is)).collect()
    }

    fn named(&self) -> [Named; 14] {
        let roles: Vec<_> = self.second_factor_roles.iter().map(|role| role.as_str()).collect();
        [
            ("registration", word(self.registration)),
            ("require_second_factor", word(self.require_second_factor)),
            ("second_factor_roles", roles.join(" ")),
            (GRACE.name, self.second_factor_grace_s.to_string()),
            (REUSE_GRACE.name, self.refresh_reuse_grace_s.to_string()),
            ("support_access", self.support_access.to_string()),
            (IDLE.name, self.session_idle_s.to_string()),
            (LIFETIME.name, self.session_lifetime_s.to_string()),
            (PASSWORD.name, self.password_chars_min.to_string()),
            (PASSWORD_OF_TWO.name, self.password_chars_min_with_second_factor.to_string()),
            ("notice_html", self.notice_html.told()),
            ("waf", self.waf.map_or("default", Mode::as_str).to_owned()),
            ("weight", self.weight.to_string()),
            ("shadow_limits", self.shadow_limits.told()),
        ]
    }
}

/// A second factor is required of some roles, and none is named.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("must name a role where require_second_factor is roles")]
pub struct NoRoles;

fn seconds(count: u32) -> Duration {
    Duration::from_secs(count.into())
}

/// A setting's word, as it is in JSON.
fn word(setting: impl Serialize) -> String {
    let value = serde_json::to_value(setting).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: UnixMs = UnixMs::new(1_700_000_000_000);

    fn after(s: u64) -> UnixMs {
        T0.plus(Duration::from_secs(s))
    }

    #[test]
    fn defaults_are_within_the_bounds_and_read_back_from_nothing() {
        let settings = TenantSettings::default();
        assert_eq!(serde_json::from_str::<TenantSettings>("{}").expect("settings"), settings);
        assert!(GRACE.hold(settings.second_factor_grace_s) && REUSE_GRACE.hold(settings.refresh_reuse_grace_s));
        assert!(IDLE.hold(settings.session_idle_s) && LIFETIME.hold(settings.session_lifetime_s));
        assert_eq!((settings.password_chars_min, settings.password_chars_min_with_second_factor), (15, 8));
        assert!(!settings.support_access && settings.registration == Registration::Closed);
        let newer = r#"{"registration": "open", "of_a_later_release": 1}"#;
        assert_eq!(serde_json::from_str::<TenantSettings>(newer).expect("settings").registration, Registration::Open);
    }

    #[test]
    fn a_second_factor_is_due_after_the_grace_of_the_rule_or_of_the_member() {
        let grace = TenantSettings { second_factor_grace_s: 60, ..TenantSettings::default() };
        let rule = |require, roles: &[Role]| {
            let next = TenantSettings {
                require_second_factor: require,
                second_factor_roles: roles.iter().copied().collect(),
                ..grace.clone()
            };
            grace.replaced_by(next, after(100)).expect("settings")
        };
        let off = rule(RequireSecondFactor::Off, &[Role::Admin]);
        let admins = rule(RequireSecondFactor::Roles, &[Role::Admin]);
        let all = rule(RequireSecondFactor::All, &[]);
        for (settings, role, joined, due) in [
            (&off, Role::Admin, T0, None),
            (&admins, Role::Employee, T0, None),
            (&admins, Role::Admin, T0, Some(after(160))),
            (&admins, Role::Admin, after(500), Some(after(560))),
            (&all, Role::Employee, T0, Some(after(160))),
        ] {
            assert_eq!(settings.second_factor_due(role, joined), due);
        }
        assert_eq!(
            grace
                .replaced_by(TenantSettings { require_second_factor: RequireSecondFactor::Roles, ..grace.clone() }, T0),
            Err(NoRoles)
        );
        // Less, or the same, starts no new grace; more does.
        assert_eq!(
            all.replaced_by(admins.clone(), after(900)).expect("settings").second_factor_required_at_ms,
            after(100)
        );
        assert_eq!(
            admins.replaced_by(all.clone(), after(900)).expect("settings").second_factor_required_at_ms,
            after(900)
        );
    }

    #[test]
    fn the_shorter_password_needs_a_second_factor_that_is_always_asked_for() {
        let all = TenantSettings { require_second_factor: RequireSecondFactor::All, ..TenantSettings::default() };
        let off = TenantSettings::default();
        for (settings, has, min) in [(&all, true, 8), (&all, false, 15), (&off, true, 15), (&off, false, 15)] {
            assert_eq!(settings.password_chars_min(Role::Employee, has), min);
        }
    }

    #[test]
    fn a_session_ends_when_it_is_idle_or_old() {
        let settings = TenantSettings { session_idle_s: 900, session_lifetime_s: 3_600, ..TenantSettings::default() };
        for (used, now, ended) in [(0, 899, false), (0, 900, true), (3_000, 3_599, false), (3_000, 3_600, true)] {
            assert_eq!(settings.has_ended(T0, after(used), after(now)), ended, "{used} {now}");
        }
    }

    #[test]
    fn changes_are_told_by_name() {
        let was = TenantSettings::default();
        let is = TenantSettings {
            registration: Registration::Open,
            refresh_reuse_grace_s: 10,
            second_factor_roles: [Role::Admin, Role::SalesRep].into(),
            ..was.clone()
        };
        let told = is.changes_since(&was);
        let told: Vec<_> = told.iter().map(|(name, was, is)| (*name, was.as_str(), is.as_str())).collect();
        assert_eq!(
            told,
            [
                ("registration", "closed", "open"),
                ("second_factor_roles", "", "admin sales_rep"),
                ("refresh_reuse_grace_s", "0", "10")
            ]
        );
        assert!(was.changes_since(&was).is_empty());
    }
}
