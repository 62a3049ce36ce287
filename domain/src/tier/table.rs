//! The table of the tiers, `tiers.toml`: compiled in, and read once.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::{Limit, Tier};

/// The table's text.
const TEXT: &str = include_str!("../../tiers.toml");

/// A tier's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The limit where nothing is configured.
    pub limit: Limit,
    /// Who is counted.
    pub counts: Counts,
    /// What becomes of whoever keeps on; `None` where nothing but 429 does.
    pub graduation: Option<Graduation>,
}

/// Whom a tier counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counts {
    /// Addresses: IPv4 whole, IPv6 by /64.
    Address,
    /// Addresses, and the accounts that they name.
    AddressOrAccount,
    /// Accounts, known or not.
    Account,
    /// Members.
    Member,
    /// Members, secret API keys, and each visitor with a publishable one.
    MemberOrKey,
    /// The tenant as a whole.
    Tenant,
    /// Providers of webhooks.
    Provider,
}

impl Counts {
    /// Its name in the table and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::AddressOrAccount => "address-or-account",
            Self::Account => "account",
            Self::Member => "member",
            Self::MemberOrKey => "member-or-key",
            Self::Tenant => "tenant",
            Self::Provider => "provider",
        }
    }
}

/// When whoever keeps on is blocked and banned, and for how long, in terms of the limit in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graduation {
    refused_bursts: u32,
    refused_min: u32,
    block_periods: u32,
    block_s: Bounds,
    ban_periods: u32,
    ban_s: Bounds,
}

/// The least and the most seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
struct Bounds(u64, u64);

impl Bounds {
    fn hold(self, wanted: Duration) -> Duration {
        wanted.clamp(Duration::from_secs(self.0), Duration::from_secs(self.1))
    }
}

/// What a graduation comes to under one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Within how long refusals add up to a block.
    pub period: Duration,
    /// How many of them do.
    pub block_after: u32,
    /// How long a block is.
    pub block: Duration,
    /// How many refusals during a block add up to a ban.
    pub ban_after: u32,
    /// How long a ban is.
    pub ban: Duration,
}

impl Graduation {
    /// What it comes to under `limit`; `None` where nothing is limited.
    #[must_use]
    pub fn under(self, limit: Limit) -> Option<Terms> {
        let Limit::Per { burst, period } = limit else { return None };
        let refused = self.refused_bursts.saturating_mul(burst).max(self.refused_min).max(1);
        Some(Terms {
            period,
            block_after: refused,
            block: self.block_s.hold(period.saturating_mul(self.block_periods)),
            ban_after: refused,
            ban: self.ban_s.hold(period.saturating_mul(self.ban_periods)),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    stages: BTreeMap<String, Graduation>,
    tiers: BTreeMap<String, Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(deserialize_with = "limit")]
    limit: Limit,
    subject: Counts,
    stages: Option<String>,
}

fn limit<'de, D: Deserializer<'de>>(from: D) -> Result<Limit, D::Error> {
    String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
}

/// What is wrong with a table.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    #[error("tiers.{0}: is not there")]
    Missing(Tier),
    #[error("tiers.{0}: there is no such tier")]
    Unknown(String),
    #[error("tiers.{0}: names stages that are not there")]
    NoStages(Tier),
    #[error("tiers.{0}: a limit cannot be off by default")]
    Off(Tier),
    #[error("stages.{0}: the least seconds are more than the most, or none")]
    Bounds(String),
}

static ROWS: LazyLock<[Row; Tier::ALL.len()]> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "the text is compiled in, and a test reads it")]
    parse(TEXT).expect("tiers.toml has no fault")
});

/// The row of `tier`.
pub(super) fn row(tier: Tier) -> Row {
    let [first, ..] = &*ROWS;
    ROWS.get(tier as usize).copied().unwrap_or(*first) // one for each: `as usize` is its place
}

fn parse(text: &str) -> Result<[Row; Tier::ALL.len()], Fault> {
    let File { stages, mut tiers } = toml::from_str(text)?;
    let is_bad = |Bounds(least, most): Bounds| least == 0 || least > most;
    if let Some((name, _)) = stages.iter().find(|(_, stage)| is_bad(stage.block_s) || is_bad(stage.ban_s)) {
        return Err(Fault::Bounds(name.clone()));
    }
    let mut rows = [Row { limit: Limit::Off, counts: Counts::Address, graduation: None }; Tier::ALL.len()];
    for (row, tier) in rows.iter_mut().zip(Tier::ALL) {
        let written = tiers.remove(tier.as_str()).ok_or(Fault::Missing(tier))?;
        if written.limit == Limit::Off {
            return Err(Fault::Off(tier));
        }
        let named = written.stages.map(|name| stages.get(&name).copied().ok_or(Fault::NoStages(tier)));
        *row = Row { limit: written.limit, counts: written.subject, graduation: named.transpose()? };
    }
    match tiers.into_keys().next() {
        Some(unknown) => Err(Fault::Unknown(unknown)),
        None => Ok(rows),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> String {
        parse(text).expect_err("a fault").to_string()
    }

    #[test]
    fn every_tier_has_one_row_and_the_defaults_are_those_of_the_contract() {
        let rows = parse(TEXT).unwrap();
        let contract = "address 600/min login-address 30/min login-account 10/min signup 5/min password-reset 5/min \
                        second-factor 10/min pin 10/min public-form 10/min refresh 60/min api-member 100/min \
                        api-tenant 6000/min upload 20/min export 5/h ai-chat 20/min events 60/min schema 10/min \
                        webhook-in 600/min csp-report 60/min operator 60/min";
        let ours: Vec<_> = Tier::ALL.iter().zip(rows).map(|(tier, row)| format!("{tier} {}", row.limit)).collect();
        assert_eq!(ours.join(" "), contract);
    }

    #[test]
    fn what_a_stranger_can_fill_for_somebody_else_stops_at_429() {
        let ungraduated: Vec<_> = Tier::ALL.into_iter().filter(|tier| row(*tier).graduation.is_none()).collect();
        let open = [Tier::LoginAccount, Tier::ApiTenant, Tier::AiChat, Tier::Events, Tier::Schema, Tier::WebhookIn];
        assert_eq!(ungraduated, open);
        for tier in open {
            assert!(matches!(row(tier).counts, Counts::Account | Counts::Tenant | Counts::Provider), "{tier}");
        }
    }

    #[test]
    fn terms_follow_the_limit_in_force() {
        let graduation = row(Tier::ApiMember).graduation.unwrap();
        let under = |text: &str| {
            let terms = graduation.under(text.parse().unwrap()).unwrap();
            assert_eq!(terms.block_after, terms.ban_after);
            (terms.block_after, terms.block.as_secs(), terms.ban.as_secs())
        };
        assert_eq!(under("100/min"), (300, 120, 900));
        assert_eq!(under("6/min"), (30, 120, 900));
        assert_eq!(under("5/h"), (30, 3_600, 7_200));
        assert_eq!(under("1000000/s"), (3_000_000, 60, 900));
        assert_eq!(graduation.under(Limit::Off), None);
    }

    #[test]
    fn a_table_with_a_fault_names_it() {
        assert!(fault(&TEXT.replace("[tiers.pin]", "[tiers.pim]")).contains("tiers.pin"));
        assert!(fault(&format!("{TEXT}\n[tiers.more]\nlimit = \"1/s\"\nsubject = \"tenant\"")).contains("tiers.more"));
        assert!(fault(&TEXT.replacen("stages = \"graduated\"", "stages = \"gradual\"", 1)).contains("tiers.address"));
        assert!(fault(&TEXT.replace("600/min", "600/m")).contains("limit"));
        assert!(fault(&TEXT.replace("\"5/h\"", "\"off\"")).contains("tiers.export"));
        assert!(fault(&TEXT.replace("[60, 3600]", "[60, 36]")).contains("stages.graduated"));
        assert!(fault(&TEXT.replacen("subject = \"tenant\"", "subject = \"everybody\"", 1)).contains("everybody"));
    }

    #[test]
    fn names_are_those_of_the_table() {
        let written: File = toml::from_str(TEXT).unwrap();
        for Written { subject, .. } in written.tiers.values() {
            assert!(TEXT.contains(&format!("subject = \"{}\"", subject.as_str())), "{subject:?}");
        }
    }
}
