//! Whether a new password is one that others know: among the commonest, which are compiled in, or among those of a breach,
//! asked of a folder of range files or of a service that answers ranges. Nothing but the name of a range leaves the process.

mod service;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use freehold_domain::breached::BreachName;
use freehold_domain::breaker::{Circuit, Tripped};
use freehold_domain::common_passwords::is_common;
use freehold_domain::password::Password;
use tokio::fs;

use self::service::RangeService;
use crate::ambient::Ambient;
use crate::breaker::NoResult;
use crate::metric;
use crate::outbound::CallFailed;
pub use crate::outbound::ServiceUrl;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What becomes of a password when nobody can say whether it was breached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenUnknown {
    /// It is accepted, counted in a metric, and looked up again at the next sign-in.
    Accept,
    /// It is refused until somebody can say.
    Refuse,
}

/// Who knows the breached passwords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody: the commonest are refused, and no other is known to be breached.
    None,
    /// A folder of range files as the official downloader writes them: `00000.txt` to `FFFFF.txt`.
    Folder(PathBuf),
    /// A service that answers ranges at `{url}/range/{five hex digits}`.
    Service {
        /// Its address.
        url: ServiceUrl,
        /// How long it is left alone after failing again and again.
        pause: Duration,
    },
}

/// What the operator has set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreachedRule {
    /// Who is asked.
    pub source: Source,
    /// What becomes of a password when there is no answer.
    pub unknown: WhenUnknown,
}

/// Where passwords are looked up.
pub struct Breached {
    known: Known,
    unknown: WhenUnknown,
}

enum Known {
    Nowhere,
    Folder(PathBuf),
    Service(Box<RangeService>),
}

/// A new password that may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// As far as anybody knows it is nobody else's.
    Checked,
    /// Nobody could say: it is to be looked up again.
    Unchecked,
}

/// Why a new password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Compromised {
    /// It is among those that are tried first.
    #[error("the password is one of the commonest")]
    Common,
    /// It has appeared in a breach.
    #[error("the password has appeared in a breach")]
    Known,
    /// Nobody can say, and then none is accepted.
    #[error("the breached passwords cannot be read")]
    Unknown,
}

/// Why nobody can say.
#[derive(Debug, thiserror::Error)]
enum Unsaid {
    #[error("the range cannot be read")]
    Folder(#[from] io::Error),
    #[error("the service did not answer")]
    Service(#[from] CallFailed),
    #[error(transparent)]
    Tripped(#[from] Tripped),
    #[error("what was answered is no range")]
    NoRange,
}

impl From<NoResult<Self>> for Unsaid {
    fn from(none: NoResult<Self>) -> Self {
        match none {
            NoResult::Tripped(tripped) => tripped.into(),
            NoResult::Failed(unsaid) => unsaid,
        }
    }
}

impl Breached {
    /// Looks passwords up as `rule` says.
    ///
    /// # Errors
    /// When TLS cannot be had for a service.
    pub fn new(rule: BreachedRule, ambient: Ambient) -> Result<Self, rustls::Error> {
        let known = match rule.source {
            Source::None => Known::Nowhere,
            Source::Folder(folder) => Known::Folder(folder),
            Source::Service { url, pause } => Known::Service(Box::new(RangeService::at(url, pause, ambient)?)),
        };
        Ok(Self { known, unknown: rule.unknown })
    }

    /// Who is asked: `none`, `folder` or `service`.
    #[must_use]
    pub const fn source_name(&self) -> &'static str {
        match self.known {
            Known::Nowhere => "none",
            Known::Folder(_) => "folder",
            Known::Service(_) => "service",
        }
    }

    /// Whether each look-up is a call to a service outside.
    #[must_use]
    pub(crate) const fn calls_outside(&self) -> bool {
        matches!(self.known, Known::Service(_))
    }

    /// Whether the service is asked, or left alone for a while; `None` without one.
    #[must_use]
    pub fn circuit(&self) -> Option<Circuit> {
        match &self.known {
            Known::Nowhere | Known::Folder(_) => None,
            Known::Service(service) => Some(service.circuit()),
        }
    }

    /// What becomes of a password when there is no answer.
    #[must_use]
    pub const fn when_unknown(&self) -> WhenUnknown {
        self.unknown
    }

    /// Whether `folder` looks like one of range files: the first and the last are there.
    #[must_use]
    pub fn is_folder_of_ranges(folder: &Path) -> bool {
        ["00000", "FFFFF"].into_iter().all(|range| file(folder, range).is_file())
    }

    /// Refuses a new password that others know. Takes two seconds at most, whatever its source does.
    ///
    /// # Errors
    /// [`Compromised`].
    pub async fn check(&self, password: &Password) -> Result<Accepted, Compromised> {
        if is_common(password) {
            return Err(Compromised::Common);
        }
        match (self.is_breached(password).await, self.unknown) {
            (Some(false), _) => Ok(Accepted::Checked),
            (Some(true), _) => Err(Compromised::Known),
            (None, WhenUnknown::Accept) => Ok(Accepted::Unchecked),
            (None, WhenUnknown::Refuse) => Err(Compromised::Unknown),
        }
    }

    /// Whether the password has appeared in a breach; `None`, and counted, when nobody can say.
    pub async fn is_breached(&self, password: &Password) -> Option<bool> {
        match self.times_seen(&BreachName::of(password)).await {
            Ok(times) => Some(times > 0),
            Err(error) => {
                metrics::counter!(metric::BREACH_UNKNOWN).increment(1);
                tracing::warn!(error = %freehold_storage::Chain(&error), "nobody could say whether a password was breached");
                None
            }
        }
    }

    async fn times_seen(&self, name: &BreachName) -> Result<u64, Unsaid> {
        match &self.known {
            Known::Nowhere => Ok(0),
            Known::Folder(folder) => {
                let read = tokio::time::timeout(ANSWER_WITHIN, fs::read_to_string(file(folder, name.range()))).await;
                let range = read.unwrap_or_else(|late| Err(io::Error::new(io::ErrorKind::TimedOut, late)))?;
                name.count_in(&range).ok_or(Unsaid::NoRange)
            }
            Known::Service(service) => service.times_seen(name).await,
        }
    }
}

fn file(folder: &Path, range: &str) -> PathBuf {
    folder.join(format!("{range}.txt"))
}
