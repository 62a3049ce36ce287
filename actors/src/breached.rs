//! Whether a new password has appeared in a breach, asked of a folder of range files as the official downloader writes
//! them: `00000.txt` to `FFFFF.txt`. Nothing leaves the machine.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use freehold_domain::breached::BreachName;
use freehold_domain::password::Password;
use tokio::fs;

use crate::metric;

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// What becomes of a password when nobody can say whether it was breached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenUnknown {
    /// It is accepted, and counted in a metric.
    Accept,
    /// It is refused until somebody can say.
    Refuse,
}

/// Where breached passwords are looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breached {
    /// The range files; without them no password is known to be breached.
    pub folder: Option<PathBuf>,
    /// What becomes of a password when its range cannot be read.
    pub unknown: WhenUnknown,
}

/// Why a new password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Compromised {
    /// It has appeared in a breach.
    #[error("the password has appeared in a breach")]
    Known,
    /// Nobody can say, and then none is accepted.
    #[error("the breached passwords cannot be read")]
    Unknown,
}

impl Breached {
    /// Whether `folder` looks like one of range files: the first and the last are there.
    #[must_use]
    pub fn is_folder_of_ranges(folder: &Path) -> bool {
        ["00000", "FFFFF"].into_iter().all(|range| file(folder, range).is_file())
    }

    /// Refuses a new password that has appeared in a breach.
    ///
    /// # Errors
    /// [`Compromised`].
    pub async fn check(&self, password: &Password) -> Result<(), Compromised> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let name = BreachName::of(password);
        let read = tokio::time::timeout(ANSWER_WITHIN, fs::read_to_string(file(folder, name.range()))).await;
        let range = read.unwrap_or_else(|late| Err(io::Error::new(io::ErrorKind::TimedOut, late)));
        let counted = range.and_then(|range| name.count_in(&range).ok_or_else(|| io::ErrorKind::InvalidData.into()));
        match (counted, self.unknown) {
            (Ok(0), _) => Ok(()),
            (Ok(_), _) => Err(Compromised::Known),
            (Err(error), unknown) => {
                metrics::counter!(metric::BREACH_UNKNOWN).increment(1);
                tracing::warn!(%error, "a range of breached passwords could not be read");
                if unknown == WhenUnknown::Accept { Ok(()) } else { Err(Compromised::Unknown) }
            }
        }
    }
}

fn file(folder: &Path, range: &str) -> PathBuf {
    folder.join(format!("{range}.txt"))
}
