//! `[passwords]`: what a hash costs, and where breached passwords are looked up.

use std::path::PathBuf;
use std::time::Duration;

use freehold_actors::breached::{Breached, BreachedRule, ServiceUrl, Source, WhenUnknown};
use freehold_domain::password::Argon2Params;

use super::values::Values;

const MEMORY_KIB: &str = "passwords.memory_kib";
const PASSES: &str = "passwords.passes";
const BREACHED_DIR: &str = "passwords.breached_dir";
const BREACHED_URL: &str = "passwords.breached_url";
const BREACHED_PAUSE: &str = "passwords.breached_pause_s";
const BREACHED_UNKNOWN: &str = "passwords.breached_unknown";
pub(super) const SETTINGS: &[&str] =
    &[MEMORY_KIB, PASSES, BREACHED_DIR, BREACHED_URL, BREACHED_PAUSE, BREACHED_UNKNOWN];

/// KiB times passes of the weakest row of OWASP's table (Password Storage Cheat Sheet: 7 MiB, 5 passes, 1 lane).
const WORK_MIN: u32 = 7_168 * 5;

/// How passwords are kept and which are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passwords {
    /// What a new hash costs: 7 MiB to 1 GiB, 1 to 32 passes, one lane, and no less work than OWASP's minimum.
    pub params: Argon2Params,
    /// Where breached passwords are looked up.
    pub breached: BreachedRule,
}

/// Fewest passes over so much memory that OWASP's minimum allows.
#[must_use]
pub(crate) const fn passes_min(memory_kib: u32) -> u32 {
    WORK_MIN.div_ceil(memory_kib)
}

pub(super) fn read(values: &mut Values) -> Option<Passwords> {
    let memory_kib = values.number(MEMORY_KIB, "KiB", 7_168..=1_048_576);
    let passes = values.number(PASSES, "passes", 1..=32);
    let unknown = values.read(BREACHED_UNKNOWN, "accept or refuse", "write one of the two", |text| match text {
        "accept" => Some(WhenUnknown::Accept),
        "refuse" => Some(WhenUnknown::Refuse),
        _ => None,
    });
    let source = breached_source(values);
    let (memory_kib, passes) = (memory_kib?, passes?);
    if passes < passes_min(memory_kib) {
        let fault = format!("with {passes} passes is less work than OWASP's minimum for argon2id");
        values.fault(MEMORY_KIB, &fault, &format!("at least {}", WORK_MIN.div_ceil(passes)));
        return None;
    }
    let params = Argon2Params::new(memory_kib, passes, 1).ok()?;
    Some(Passwords { params, breached: BreachedRule { source: source?, unknown: unknown? } })
}

/// Who knows the breached passwords: a folder or a service, not both.
fn breached_source(values: &mut Values) -> Option<Source> {
    let folder = breached_dir(values);
    let remedy = "write it like https://ranges.example.com; without TLS it must be a loopback address";
    let url = values.read(BREACHED_URL, "an address that passwords may be looked up at", remedy, ServiceUrl::parse);
    let pause = values.number(BREACHED_PAUSE, "seconds", 1..=3_600);
    if values.is_set(BREACHED_DIR) && values.is_set(BREACHED_URL) {
        values.fault(BREACHED_URL, "is set beside passwords.breached_dir", "keep one of the two");
        return None;
    }
    let pause = Duration::from_secs(pause?.into());
    Some(match (folder, url) {
        (Some(folder), _) => Source::Folder(folder),
        (None, Some(url)) => Source::Service { url, pause },
        (None, None) => Source::None,
    })
}

/// The folder, if one is set; that it is there is seen now, not at the first new password.
fn breached_dir(values: &mut Values) -> Option<PathBuf> {
    let remedy = "name the folder that holds 00000.txt to FFFFF.txt";
    values.read(BREACHED_DIR, "a folder of range files", remedy, |text| {
        let folder = PathBuf::from(text);
        Breached::is_folder_of_ranges(&folder).then_some(folder)
    })
}
