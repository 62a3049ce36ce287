//! The profile: how much the configuration must hold before the server starts.

use super::values::Values;

const PROFILE: &str = "profile";
pub(super) const SETTINGS: &[&str] = &[PROFILE];

/// What the server is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Real users: a master key, a real domain, https and every limit are required.
    Production,
    /// One machine, nobody's data: whatever is missing has a default.
    Development,
}

/// The profile that is set. A faulty one counts as production, so that nothing else stays unsaid, but with the file
/// unread nothing is said to be missing.
pub(super) fn read(values: &mut Values) -> Profile {
    let read = values.read(PROFILE, "a profile", "write production or development", |text| match text {
        "production" => Some(Profile::Production),
        "development" => Some(Profile::Development),
        _ => None,
    });
    if values.is_file_read() { read.unwrap_or(Profile::Production) } else { Profile::Development }
}

/// The profile under `--demo`: development, and a fault where production was asked for.
pub(super) fn read_demo(values: &mut Values) -> Profile {
    if values.is_chosen(PROFILE) && read(values) == Profile::Production && !values.is_faulty(PROFILE) {
        values.fault(PROFILE, "is production, and --demo is for development", "leave --demo out, or set development");
    }
    Profile::Development
}
