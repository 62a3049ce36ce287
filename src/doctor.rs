//! `freehold doctor`: how a server stands, looked at from outside; every finding is named with its remedy.
//!
//! It takes no lock, writes nothing, and asks the server nothing but what anybody may: it can run at any time, as the server's
//! user. Each check is a line of its own as soon as it is done. What depends on something that failed is not looked at.

mod argon2;
mod client;
mod counters;
mod database;
mod finding;
mod listeners;
mod machine;
mod mail;
mod network;
mod stripe;
mod tls;

use std::time::Duration;

pub use argon2::propose_for;
use freehold_domain::time::UnixMs;

use self::finding::{Finding, Report};
use crate::cli::Exit;
use crate::clock::AMBIENT;
use crate::config::{Config, Faults, Profile};
use crate::failure::Failure;

/// How far two clocks may be apart: tokens have no leeway, and the answer was under way for a while.
const SKEW_MS_MAX: u64 = 5_000;
/// A check that takes longer says so.
const QUIET_FOR: Duration = Duration::from_secs(2);

/// Looks at everything and tells it.
///
/// # Errors
/// Exit 78 when the configuration is faulty, and 65 when there is another finding; 69 when nobody reads the result.
pub async fn examine(config: Result<Config, Faults>) -> Result<(), Failure> {
    let mut report = Report::default();
    let config = match config {
        Ok(config) => config,
        Err(faults) => {
            for fault in faults.iter() {
                report.tell(&Finding::bad(
                    "configuration",
                    format!("{}: {}", fault.name(), fault.wrong()),
                    fault.remedy(),
                ))?;
            }
            report.tell(&machine::user(None))?;
            report.tell(&machine::descriptors(None))?;
            return report.end(Exit::Config);
        }
    };
    report.tell(&Finding::good("configuration", "every setting is right"))?;
    let server = machine::find(&config.data_dir).await;
    report.tell(&machine::server(server.as_ref()))?;
    report.tell(&machine::user(server.as_ref()))?;
    report.tell(&machine::descriptors(server.as_ref()))?;
    report.tell(&machine::data_dir(&config, server.as_ref()))?;
    report.tell(&machine::secret_files(&config, server.as_ref()))?;
    report.tell(&master_key(&config))?;
    #[cfg(feature = "waf")]
    for finding in rules(&config) {
        report.tell(&finding)?;
    }
    report.tell(&network::private_address(&config))?;
    report.tell(&network::trusted_proxies(&config))?;
    watched(&mut report, "private-listener", listeners::private(&config)).await?;
    watched(&mut report, "public-listener", listeners::public(&config)).await?;
    watched(&mut report, "redirect-listener", listeners::redirect(&config)).await?;
    watched(&mut report, "tls", tls::look(&config)).await?;
    watched(&mut report, "database", database::look(&config)).await?;
    watched(&mut report, "shared-counters", counters::look(&config)).await?;
    watched(&mut report, "mail", mail::look(&config)).await?;
    watched(&mut report, "stripe", stripe::look(&config)).await?;
    watched(&mut report, "password-hash", async { vec![argon2::cost(config.passwords.params)] }).await?;
    report.tell(&backups(&config))?;
    report.end(Exit::Data)
}

/// Tells what `looked` finds, and says on stderr that it is at it when that takes long.
async fn watched(report: &mut Report, check: &str, looked: impl Future<Output = Vec<Finding>>) -> Result<(), Failure> {
    let mut looked = Box::pin(looked);
    let in_time = tokio::time::timeout(QUIET_FOR, &mut looked).await;
    let findings = if let Ok(findings) = in_time {
        findings
    } else {
        tracing::info!(check, "still looking");
        looked.await
    };
    findings.iter().try_for_each(|finding| report.tell(finding))
}

/// Whether there is one, and where: the configuration refuses a file under the data directory.
fn master_key(config: &Config) -> Finding {
    const CHECK: &str = "master-key";
    let Some(ring) = &config.keys.master else {
        let data_dir = config.data_dir.display();
        let found = format!("none is set: development keeps one in {data_dir}, beside what it seals");
        return match config.profile {
            Profile::Development => Finding::good(CHECK, found),
            Profile::Production => Finding::bad(CHECK, found, "make one with `freehold keys new` and keep it apart"),
        };
    };
    let from = config.keys.file.as_ref().map_or("a setting".to_owned(), |file| file.display().to_string());
    Finding::good(
        CHECK,
        format!("{} from {from}, outside the data directory; {} seals", counted(ring.ids().count()), ring.newest()),
    )
}

/// Whether the rules that requests are compared with can be read.
#[cfg(feature = "waf")]
fn rules(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "waf-rules";
    let Some(waf) = &config.waf else { return vec![] };
    match freehold_http::waf::Waf::load(&waf.rules, 1) {
        Ok(loaded) => vec![Finding::good(CHECK, format!("{} rules are read, in the mode {}", loaded.count, waf.mode))],
        Err(faults) => {
            let bad =
                |fault| Finding::bad(CHECK, format!("FREEHOLD_WAF_RULES: {fault}"), "mend the file, or leave it out");
            faults.iter().map(bad).collect()
        }
    }
}

fn counted(keys: usize) -> String {
    if keys == 1 { "one key".to_owned() } else { format!("{keys} keys") }
}

/// No finding: there is nothing here that could be broken. But nobody should learn it later.
fn backups(config: &Config) -> Finding {
    let what = match config.database {
        crate::config::Database::Sqlite => config.data_dir.display().to_string(),
        crate::config::Database::Postgres { .. } => format!("the database and {}", config.data_dir.display()),
    };
    Finding::good("backups", format!("this server makes none: back up {what}, and the master key apart from it"))
}

/// Whether another's clock agrees with ours.
fn clock(check: &'static str, whose: &str, theirs: UnixMs) -> Finding {
    let apart_ms = theirs.get().abs_diff(AMBIENT.wall().get());
    let found = format!("{whose} clock is {}.{:03} s from this one", apart_ms / 1_000, apart_ms % 1_000);
    if apart_ms <= SKEW_MS_MAX {
        return Finding::good(check, found);
    }
    Finding::bad(check, found, "run chrony or systemd-timesyncd on every machine, and wait until they agree")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_apart_in_both_directions() {
        let at = |ms: i64| clock("clock", "its", UnixMs::new(AMBIENT.wall().get() + ms)).is_good();
        assert!(at(0) && at(4_000) && at(-4_000));
        assert!(!at(7_000) && !at(-7_000));
    }
}
