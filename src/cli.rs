//! The command line: what may be asked of the program, and the code it ends with.

use std::ffi::OsString;
use std::io::{self, BufRead};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use freehold_domain::keys::MasterKeyId;
use freehold_domain::secret::Secret;
use freehold_domain::tier::{Allowance, Tier};
use freehold_domain::waf::{Mode, NoMode};
use freehold_domain::weight::Weight;

/// Bytes of a password on stdin.
const PASSWORD_BYTES_MAX: usize = 8 * 1024;

/// How the program ends (sysexits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// The command line is wrong.
    Usage = 64,
    /// What it names was refused: a slug, a password, a duplicate.
    Data = 65,
    /// Something needed is away or in use.
    Unavailable = 69,
    /// A fault of the program.
    Internal = 70,
    /// The configuration is wrong.
    Config = crate::config::EXIT_CONFIG,
}

impl Exit {
    /// The number the process ends with.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The end with this number; [`Exit::Internal`] for a number that is none.
    #[must_use]
    pub fn of(code: u8) -> Self {
        let all = [Self::Ok, Self::Usage, Self::Data, Self::Unavailable, Self::Config];
        all.into_iter().find(|exit| exit.code() == code).unwrap_or(Self::Internal)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

/// A multi-tenant security server in which every tenant owns its state.
///
/// Results go to stdout, one JSON object a line, or a word from `webhook verify`; everything else goes to stderr.
#[derive(Debug, Parser)]
#[command(name = "freehold", version, max_term_width = 100)]
pub struct Cli {
    /// A TOML file that overrides the defaults; the environment (`FREEHOLD_SECTION_KEY`) overrides both.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the server.
    Serve {
        /// Create the tenants acme and globex, and print their passwords; development on loopback addresses only.
        #[arg(long)]
        demo: bool,
    },
    /// Manage tenants, through the running server if there is one.
    #[command(subcommand)]
    Tenant(TenantVerb),
    /// Manage members, through the running server if there is one.
    #[command(subcommand)]
    Member(MemberVerb),
    /// Look after tenants' own domains, through the running server if there is one.
    #[command(subcommand)]
    Domain(DomainVerb),
    /// See which addresses the running server blocks at every host, and lift that.
    #[command(subcommand)]
    Address(AddressVerb),
    /// Manage operators, through the running server if there is one.
    #[command(subcommand)]
    Operator(OperatorVerb),
    /// Look after audit logs, through the running server if there is one.
    #[command(subcommand)]
    Audit(AuditVerb),
    /// Bring every store to this version's schema.
    Migrate {
        /// Only say what would be done.
        #[arg(long)]
        plan: bool,
    },
    /// Manage master keys.
    #[command(subcommand)]
    Keys(KeysVerb),
    /// Look at webhooks of providers.
    #[command(subcommand)]
    Webhook(WebhookVerb),
    /// Look at the server from outside, whether it runs or not, and name each finding with its remedy:
    /// `{"check", "ok", "found", "remedy"}` a line. Exit 0 when all is well, 78 when the configuration is faulty, else 65.
    Doctor {
        /// Instead, measure what a password hash costs on this machine, and propose the strongest parameters with which it
        /// takes no longer: 1 to 10000 ms.
        #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=10_000))]
        argon2_target_ms: Option<u64>,
    },
}

/// What to do with tenants.
#[derive(Debug, Subcommand)]
pub enum TenantVerb {
    /// Create a tenant and its first admin.
    Create {
        /// Its name in host names: a letter, then letters, digits and hyphens; at most 63.
        slug: String,
        /// The e-mail address the first admin signs in with.
        #[arg(long, value_name = "E")]
        admin_email: String,
        /// Read the admin's password from stdin, to the first newline; otherwise one is made and printed.
        #[arg(long)]
        admin_password_stdin: bool,
        /// Its name for people [default: the slug].
        #[arg(long, value_name = "N")]
        name: Option<String>,
    },
    /// List every tenant.
    List,
    /// Refuse a tenant's requests from now on.
    Suspend(Stated),
    /// Let a tenant be read and not changed.
    Freeze(Stated),
    /// Have a tenant's clients come again later, while it is moved away.
    Drain(Stated),
    /// Have a tenant's clients come again later.
    Hold(Stated),
    /// Take a tenant's requests again.
    Resume {
        /// Which tenant.
        slug: String,
    },
    /// Have another key sign a tenant's access tokens.
    RotateSigningKey {
        /// Which tenant.
        slug: String,
        /// Without announcing it: every access token dies. For a key that is not secret any more.
        #[arg(long)]
        at_once: bool,
    },
    /// Give a tenant a limit of its own, or take it back.
    Limit {
        /// Which tenant.
        slug: String,
        /// Which limit, as in X-RateLimit-Tier.
        #[arg(value_parser = tier)]
        tier: Tier,
        /// N/s, N/min, N/h, off, or default.
        limit: Allowance,
        /// Only try it: it refuses nothing, and `/v1/rate-limits` tells what it would have refused. Off and default end
        /// the trial of this tier.
        #[arg(long)]
        shadow: bool,
    },
    /// End every trial of a limit at a tenant, and forget what was counted for it.
    EndShadow {
        /// Which tenant.
        slug: String,
    },
    /// List who is blocked at a tenant for having kept on against a limit; of the server that runs here.
    Blocks {
        /// Which tenant.
        slug: String,
    },
    /// Lift such a block.
    Unblock {
        /// Which tenant.
        slug: String,
        /// Which block, as `blocks` lists it.
        id: String,
    },
    /// Decide what is done with a tenant's requests that the rules of `waf.rules` match, in a build with the feature `waf`.
    Waf {
        /// Which tenant.
        slug: String,
        /// off, detect, block, or default for what `waf.mode` says.
        #[arg(value_parser = waf_mode)]
        mode: WafMode,
    },
    /// Give a tenant so many times the share of an ordinary one: turns at the hashing threads, and places for requests in
    /// flight.
    Weight {
        /// Which tenant.
        slug: String,
        /// 1 to 16.
        weight: Weight,
    },
}

/// What to do with members.
#[derive(Debug, Subcommand)]
pub enum MemberVerb {
    /// Add members of another system from stdin: `{"email", "name", "role", "password_hash"}` a line. The hashes are
    /// argon2id, bcrypt, scrypt or PBKDF2 and are made anew at the first sign-in. Exit 65 if a line was refused.
    Import {
        /// Which tenant.
        slug: String,
    },
    /// Write every active member to stdout, in the lines that `import` reads; who has no password has no hash. Second
    /// factors, sessions and linked accounts stay. The tenant's audit log tells of it.
    Export {
        /// Which tenant.
        slug: String,
    },
}

/// What to do with tenants' own domains.
#[derive(Debug, Subcommand)]
pub enum DomainVerb {
    /// List a tenant's domains, and how each stands.
    List {
        /// Which tenant.
        slug: String,
    },
    /// Take a domain away from a tenant: it leads nowhere from the next request on.
    Remove {
        /// Which tenant.
        slug: String,
        /// Which domain.
        domain: String,
    },
}

/// What to do with operators.
#[derive(Debug, Subcommand)]
pub enum OperatorVerb {
    /// Create an operator: somebody who signs in at admin.{platform} and looks after tenants.
    Create {
        /// The e-mail address the operator signs in with.
        email: String,
        /// Read the password from stdin, to the first newline; otherwise one is made and printed.
        #[arg(long)]
        password_stdin: bool,
    },
}

/// What to do with addresses.
#[derive(Debug, Subcommand)]
pub enum AddressVerb {
    /// List which are blocked for having kept on against the limit of the node.
    Blocks,
    /// Lift such a block.
    Unblock {
        /// Which block, as `blocks` lists it.
        id: String,
    },
}

/// What to do with audit logs.
#[derive(Debug, Subcommand)]
pub enum AuditVerb {
    /// Check that no row was changed, taken away or moved; exit 65 names the first that was.
    Verify {
        /// Which tenant.
        slug: String,
    },
}

/// What to do with webhooks.
#[derive(Debug, Subcommand)]
pub enum WebhookVerb {
    /// Say of each line of stdin whether its delivery is signed: `accept`, or `reject` for what is not and for what cannot be
    /// read. A line is `{"provider", "secret", "secret_previous"?, "url", "method", "headers", "body_base64", "now_unix"}`, at
    /// most 4 MiB. Needs no store and no configuration.
    Verify,
}

/// A tenant that gets a state, why, and until when.
#[derive(Debug, clap::Args)]
pub struct Stated {
    /// Which tenant.
    pub slug: String,
    /// Why, for the audit log.
    #[arg(long, value_name = "R")]
    pub reason: Option<String>,
    /// When it is taken back by itself, like 2027-01-31T18:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

/// What to do with master keys.
#[derive(Debug, Subcommand)]
pub enum KeysVerb {
    /// Print a new entry for the front of `FREEHOLD_KEYS_MASTER`.
    New {
        /// Its id: 1 to 32 of a-z, 0-9 and - [default: made].
        #[arg(long)]
        id: Option<MasterKeyId>,
    },
    /// Seal anew by the newest key of the ring whatever an older one has sealed, through the running server if there is one,
    /// which must have read the ring (SIGHUP). `unused` tells which keys can be taken out of the ring then. Can be said again
    /// at any time: it goes on with what is left. Exit 65 if something does not open.
    Rotate,
}

impl Cli {
    /// Reads a command line, the program's name first.
    ///
    /// # Errors
    /// How to end when there is nothing to do: help and version were printed (0), or the command line is wrong and
    /// clap has said so on stderr (64).
    pub fn read(args: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Self, Exit> {
        Self::try_parse_from(args).map_err(|error| {
            // If nobody reads the message there is nobody to tell.
            let _ = error.print();
            exit_of(error.kind())
        })
    }
}

fn exit_of(kind: ErrorKind) -> Exit {
    if matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) { Exit::Ok } else { Exit::Usage }
}

/// The mode that a tenant is given; `None` for the server's own.
pub type WafMode = Option<Mode>;

fn waf_mode(text: &str) -> Result<WafMode, NoMode> {
    if text == "default" { Ok(None) } else { text.parse().map(Some) }
}

fn tier(text: &str) -> Result<Tier, String> {
    text.parse().map_err(|_| format!("must be one of {}", Tier::ALL.map(Tier::as_str).join(", ")))
}

/// Reads a password to the first newline or the end, at most 8 KiB.
///
/// # Errors
/// What the reader answers; `InvalidData` if it is longer or not UTF-8.
pub fn read_password(from: impl BufRead) -> io::Result<Secret<String>> {
    // Room for all of it at once: growing would leave copies in memory.
    let mut line = Vec::with_capacity(PASSWORD_BYTES_MAX + 1);
    let bytes_max = u64::try_from(line.capacity()).unwrap_or(u64::MAX);
    let read = from.take(bytes_max).read_until(b'\n', &mut line);
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    let line = Secret::new(line);
    read?;
    if line.expose().len() > PASSWORD_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the password is longer than 8 KiB"));
    }
    let text = str::from_utf8(line.expose());
    let text = text.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the password is not UTF-8"))?;
    Ok(Secret::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn read(line: &str) -> Result<Cli, Exit> {
        Cli::try_parse_from(line.split(' ')).map_err(|error| exit_of(error.kind()))
    }

    #[test]
    fn the_definition_holds() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_verbs_of_the_contract_are_read() {
        for line in [
            "freehold serve",
            "freehold serve --config f.toml --demo",
            "freehold --config f.toml serve",
            "freehold tenant create acme --admin-email a@example.com",
            "freehold tenant create acme --admin-email a@example.com --admin-password-stdin --name Acme",
            "freehold tenant list",
            "freehold tenant suspend acme --reason unpaid",
            "freehold tenant resume acme",
            "freehold tenant limit acme login-address 5/min",
            "freehold tenant limit acme export off",
            "freehold tenant limit acme export default",
            "freehold tenant limit acme export 3/h --shadow",
            "freehold tenant end-shadow acme",
            "freehold tenant blocks acme",
            "freehold tenant unblock acme 019a0000-0000-7000-8000-000000000000",
            "freehold address blocks",
            "freehold address unblock 019a0000-0000-7000-8000-000000000000",
            "freehold tenant waf acme detect",
            "freehold tenant waf acme default",
            "freehold tenant weight acme 16",
            "freehold migrate --plan",
            "freehold keys new --id k-1",
            "freehold webhook verify",
            "freehold keys rotate",
            "freehold doctor",
            "freehold doctor --argon2-target-ms 250",
            "freehold audit verify acme",
            "freehold member import acme",
            "freehold member export acme",
            "freehold domain list acme",
            "freehold domain remove acme shop.example.com",
        ] {
            assert!(read(line).is_ok(), "{line}");
        }
        assert_eq!(read("freehold tenant list --config f.toml").map(|cli| cli.config), Ok(Some("f.toml".into())));
    }

    #[test]
    fn anything_else_is_a_usage_error() {
        for line in [
            "freehold",
            "freehold tenant",
            "freehold sarve",
            "freehold serve now",
            "freehold tenant create acme",
            "freehold tenant limit acme login_address 5/min",
            "freehold tenant limit acme pin 5/m",
            "freehold tenant limit acme --shadow",
            "freehold tenant end-shadow",
            "freehold tenant unblock acme",
            "freehold tenant waf acme",
            "freehold tenant waf acme on",
            "freehold tenant weight acme 17",
            "freehold tenant weight acme 0",
            "freehold keys new --id K",
            "freehold doctor --argon2-target-ms 0",
            "freehold audit",
            "freehold webhook",
            "freehold webhook verify acme",
            "freehold audit verify",
        ] {
            assert_eq!(read(line).map(|_| ()), Err(Exit::Usage), "{line}");
        }
        assert_eq!(read("freehold --help").map(|_| ()), Err(Exit::Ok));
        assert_eq!(read("freehold tenant create --help").map(|_| ()), Err(Exit::Ok));
        assert_eq!(read("freehold --version").map(|_| ()), Err(Exit::Ok));
    }

    #[test]
    fn a_password_ends_at_the_first_newline() {
        let read =
            |text: &[u8]| read_password(text).map(|password| password.expose().clone()).map_err(|error| error.kind());
        assert_eq!(read(b"hunter2\nrest"), Ok("hunter2".to_owned()));
        assert_eq!(read(b" with space "), Ok(" with space ".to_owned()));
        assert_eq!(read(b""), Ok(String::new()));
        assert_eq!(read(b"\xff\n"), Err(io::ErrorKind::InvalidData));
        let longest = "x".repeat(PASSWORD_BYTES_MAX);
        assert_eq!(read(format!("{longest}\n").as_bytes()), Ok(longest.clone()));
        assert_eq!(read(format!("{longest}x").as_bytes()), Err(io::ErrorKind::InvalidData));
    }
}
