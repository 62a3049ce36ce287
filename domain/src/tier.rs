//! Rate tiers: the named limits of the contract. What each admits, counts and does to whoever keeps on is data: [`Row`].

mod table;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::table::{Counts, Graduation, Row, Terms};

/// The largest `N` a limit may carry.
pub const BURST_MAX: u32 = 1_000_000;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

macro_rules! tiers {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        /// A named limit. What it counts is said with each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Tier { $($(#[$doc])* $name,)* }

        impl Tier {
            /// Every tier, in the order of the contract.
            pub const ALL: [Self; [$($text),*].len()] = [$(Self::$name),*];

            /// The name in `X-RateLimit-Tier`, settings and rows.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

impl Tier {
    /// Its row of the table.
    #[must_use]
    pub fn row(self) -> Row {
        table::row(self)
    }

    /// The limit where nothing is configured.
    #[must_use]
    pub fn default_limit(self) -> Limit {
        self.row().limit
    }
}

tiers! {
    /// Requests of one address to the node, before any tenant is known.
    Address = "address";
    /// Sign-in attempts of one address at a tenant.
    LoginAddress = "login-address";
    /// Sign-in attempts for one account, known or not.
    LoginAccount = "login-account";
    /// Registrations of one address, and those for one account.
    Signup = "signup";
    /// Password resets asked by one address, and those for one account.
    PasswordReset = "password-reset";
    /// Second-factor answers for one member.
    SecondFactor = "second-factor";
    /// PIN checks for one member.
    Pin = "pin";
    /// Public forms posted by one address.
    PublicForm = "public-form";
    /// Refresh rotations of one member.
    Refresh = "refresh";
    /// API requests of one member, with one secret API key, or of one visitor with a publishable one.
    ApiMember = "api-member";
    /// Requests of a whole tenant.
    ApiTenant = "api-tenant";
    /// Uploads of one member.
    Upload = "upload";
    /// Exports of one member.
    Export = "export";
    /// Chat requests of a tenant.
    AiChat = "ai-chat";
    /// Event batches of a tenant.
    Events = "events";
    /// Schema uploads of a tenant.
    Schema = "schema";
    /// Webhooks of one provider at a tenant.
    WebhookIn = "webhook-in";
    /// CSP reports of one address.
    CspReport = "csp-report";
    /// Requests of one operator.
    Operator = "operator";
}

/// The text names no tier.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("is not the name of a tier")]
pub struct NotATier;

impl FromStr for Tier {
    type Err = NotATier;

    fn from_str(text: &str) -> Result<Self, NotATier> {
        Self::ALL.into_iter().find(|tier| tier.as_str() == text).ok_or(NotATier)
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much a tier admits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    /// Everything; nothing is counted.
    Off,
    /// `burst` at once, and `burst` again in each `period`. `burst` is 1 to [`BURST_MAX`].
    Per {
        /// How many at once.
        burst: u32,
        /// In how long the bucket fills from empty.
        period: Duration,
    },
}

/// The text is not a limit.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be N/s, N/min or N/h with N from 1 to 1000000, or off")]
pub struct NotALimit;

impl Limit {
    /// The limit kept in a row as these two numbers; `burst` 0 means [`Limit::Off`].
    ///
    /// # Errors
    /// [`NotALimit`] for numbers no limit is kept as.
    pub fn from_row(burst: i64, period_ms: i64) -> Result<Self, NotALimit> {
        let burst = u32::try_from(burst).map_err(|_| NotALimit)?;
        let period = Duration::from_millis(u64::try_from(period_ms).map_err(|_| NotALimit)?);
        match burst {
            0 => Ok(Self::Off),
            1..=BURST_MAX if [SECOND, MINUTE, HOUR].contains(&period) => Ok(Self::Per { burst, period }),
            _ => Err(NotALimit),
        }
    }

    /// What each of so many nodes admits that share it: at least one at once.
    #[must_use]
    pub fn share_of(self, nodes: u32) -> Self {
        match self {
            Self::Off => Self::Off,
            Self::Per { burst, period } => Self::Per { burst: (burst / nodes.max(1)).max(1), period },
        }
    }

    /// The two numbers a row keeps: burst and period in milliseconds.
    #[must_use]
    pub fn to_row(self) -> (i64, i64) {
        match self {
            Self::Off => (0, 0),
            Self::Per { burst, period } => (i64::from(burst), i64::try_from(period.as_millis()).unwrap_or(i64::MAX)),
        }
    }
}

impl FromStr for Limit {
    type Err = NotALimit;

    fn from_str(text: &str) -> Result<Self, NotALimit> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let (burst, unit) = text.split_once('/').ok_or(NotALimit)?;
        let period = match unit {
            "s" => SECOND,
            "min" => MINUTE,
            "h" => HOUR,
            _ => return Err(NotALimit),
        };
        if !burst.bytes().all(|b| b.is_ascii_digit()) {
            return Err(NotALimit);
        }
        match burst.parse() {
            Ok(burst @ 1..=BURST_MAX) => Ok(Self::Per { burst, period }),
            _ => Err(NotALimit),
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("off"),
            Self::Per { burst, period } if *period == SECOND => write!(f, "{burst}/s"),
            Self::Per { burst, period } if *period == MINUTE => write!(f, "{burst}/min"),
            Self::Per { burst, period } => {
                write!(f, "{}/h", u128::from(*burst) * HOUR.as_millis() / period.as_millis())
            }
        }
    }
}

/// What one tenant is given in a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// A limit of its own.
    Own(Limit),
    /// The limit that everybody has who was given none.
    Default,
}

/// The text is no allowance.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("must be N/s, N/min or N/h with N from 1 to 1000000, off, or default")]
pub struct NotAnAllowance;

impl FromStr for Allowance {
    type Err = NotAnAllowance;

    fn from_str(text: &str) -> Result<Self, NotAnAllowance> {
        if text == "default" { Ok(Self::Default) } else { text.parse().map(Self::Own).map_err(|_| NotAnAllowance) }
    }
}

impl fmt::Display for Allowance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(limit) => limit.fmt(f),
            Self::Default => f.write_str("default"),
        }
    }
}

/// The limit of every tier: the defaults, what the operator set, what one tenant was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits([Limit; Tier::ALL.len()]);

impl Default for Limits {
    fn default() -> Self {
        Self(Tier::ALL.map(Tier::default_limit))
    }
}

impl Limits {
    /// The limit of `tier`.
    #[must_use]
    pub fn get(&self, tier: Tier) -> Limit {
        self.0.get(tier as usize).copied().unwrap_or_else(|| tier.default_limit())
    }

    /// Gives `tier` this limit.
    pub fn set(&mut self, tier: Tier, limit: Limit) {
        if let Some(slot) = self.0.get_mut(tier as usize) {
            *slot = limit;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_limits_read_back() {
        for tier in Tier::ALL {
            assert_eq!(tier.as_str().parse(), Ok(tier));
            let limit = tier.default_limit();
            assert_eq!(limit.to_string().parse(), Ok(limit), "{tier}");
            let (burst, period_ms) = limit.to_row();
            assert_eq!(Limit::from_row(burst, period_ms), Ok(limit));
        }
        assert_eq!("off".parse(), Ok(Limit::Off));
        assert_eq!(Limit::from_row(0, 0), Ok(Limit::Off));
    }

    #[test]
    fn other_texts_are_no_limits() {
        for text in ["", "10", "10/m", "0/s", "-1/s", "+1/s", "1000001/s", "1/s ", "1.5/s", "OFF", "1/min/h"] {
            assert_eq!(text.parse::<Limit>(), Err(NotALimit), "{text}");
        }
        assert_eq!(Limit::from_row(5, 7), Err(NotALimit));
        assert_eq!(Limit::from_row(-5, 1_000), Err(NotALimit));
    }

    #[test]
    fn an_allowance_is_a_limit_or_the_default() {
        for text in ["off", "5/s", "600/min", "3/h", "default"] {
            assert_eq!(text.parse::<Allowance>().unwrap().to_string(), text);
        }
        assert_eq!("Default".parse::<Allowance>(), Err(NotAnAllowance));
        assert_eq!("5/m".parse::<Allowance>(), Err(NotAnAllowance));
    }

    #[test]
    fn one_tier_changes_alone() {
        let mut limits = Limits::default();
        limits.set(Tier::Refresh, Limit::Off);
        for tier in Tier::ALL {
            let expected = if tier == Tier::Refresh { Limit::Off } else { tier.default_limit() };
            assert_eq!(limits.get(tier), expected);
        }
    }
}
