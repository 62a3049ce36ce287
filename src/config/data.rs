//! `[data]`: the data directory, which is ours alone.

use std::fs::{self, DirBuilder, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::fault::Faults;
use super::names;
use super::values::Values;

const DIR: &str = "data.dir";
pub(super) const SETTINGS: &[&str] = &[DIR];

/// Bytes of the path of a Unix socket, without its NUL.
const SOCKET_PATH_BYTES_MAX: usize = if cfg!(target_os = "macos") { 103 } else { 107 };

/// The permission bits of everybody but the owner.
pub(super) const OTHERS: u32 = 0o077;

/// The master key that development makes for itself, in the data directory.
pub(crate) const DEVELOPMENT_KEY_FILE: &str = "development-master-key";

/// The passwords of the demo tenants, in the data directory.
pub(crate) const DEMO_FILE: &str = "demo.txt";

/// The letters of a server without a mail server, in the data directory.
pub(super) const OUTBOX_DIR: &str = "outbox";

/// The control socket of the server that owns `data_dir`.
#[must_use]
pub fn control_socket(data_dir: &Path) -> PathBuf {
    data_dir.join("control.sock")
}

/// The data directory. What it holds already is a fault where other users could read secrets in it.
pub(super) fn read(values: &mut Values) -> Option<PathBuf> {
    let data_dir = values.read(DIR, "a path", "write the path of a directory", |text| {
        (!text.contains('\0')).then(|| PathBuf::from(text))
    })?;
    for (fault, remedy) in exposed_in(&data_dir) {
        values.fault(DIR, &fault, remedy);
    }
    Some(data_dir)
}

/// The directory and what holds secrets in it, where others could read it. One that is not there yet holds nothing;
/// tenants' files are not looked at one by one, since there may be thousands: their folder is.
fn exposed_in(data_dir: &Path) -> Vec<(String, &'static str)> {
    let fault = |path: PathBuf| {
        // SQLite removes its side files when it likes.
        let (fault, remedy) = exposed(&fs::metadata(&path).ok()?)?;
        Some((format!("{} {fault}", path.display()), remedy))
    };
    secrets_in(data_dir).into_iter().filter_map(fault).collect()
}

/// The directory and what holds secrets in it; nothing where it is no directory, which [`prepare_data_dir`] refuses.
pub(crate) fn secrets_in(data_dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(data_dir) else { return vec![] };
    let held = entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(holds_secrets));
    [data_dir.to_owned()].into_iter().chain(held.map(|entry| entry.path())).collect()
}

/// The databases with their logs and the copies made before an upgrade, the tenants, the keys, the passwords and
/// the letters, whose links open accounts.
fn holds_secrets(name: &str) -> bool {
    ["system.db", "keys.db"].iter().any(|database| name.starts_with(database))
        || ["tenants", OUTBOX_DIR, DEVELOPMENT_KEY_FILE, DEMO_FILE].contains(&name)
}

fn exposed(found: &Metadata) -> Option<(String, &'static str)> {
    let remedy = if found.is_dir() { "make it private: chmod 700" } else { "make it private: chmod 600" };
    let permissions = found.mode() & 0o7777;
    (permissions & OTHERS != 0).then(|| (format!("is open to other users (mode {permissions:04o})"), remedy))
}

/// Makes `data_dir` with mode 0700 where it is missing, and checks that it is ours, that nobody else can enter it,
/// that it can be written and that its path leaves room for the control socket.
///
/// # Errors
/// One fault of `FREEHOLD_DATA_DIR`, the first met.
pub fn prepare_data_dir(data_dir: &Path) -> Result<(), Faults> {
    prepare(data_dir).map_err(|(fault, remedy)| {
        let mut faults = Faults::default();
        faults.add(&names::in_env(DIR), &format!("{} {fault}", data_dir.display()), remedy);
        faults
    })
}

fn prepare(data_dir: &Path) -> Result<(), (String, &'static str)> {
    if control_socket(data_dir).as_os_str().len() > SOCKET_PATH_BYTES_MAX {
        return Err(("is too long a path for the control socket in it".to_owned(), "choose a shorter one"));
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
    made.map_err(|error| {
        (format!("cannot be made ({})", error.kind()), "make it, or choose a directory that can be made")
    })?;
    let unreadable = |error: io::Error| (format!("cannot be read ({})", error.kind()), "choose another directory");
    let found = fs::metadata(data_dir).map_err(unreadable)?;
    if let Some(refusal) = exposed(&found) {
        return Err(refusal);
    }
    let ours = own_uid(data_dir).map_err(|error| {
        (format!("cannot be written ({})", error.kind()), "give this user the right to, or choose another directory")
    })?;
    if found.uid() != ours {
        let fault = format!("belongs to another user (uid {}, not {ours})", found.uid());
        return Err((fault, "change its owner, or choose another directory"));
    }
    Ok(())
}

/// The user this process makes files as: the owner of a file it just made in `dir`.
fn own_uid(dir: &Path) -> io::Result<u32> {
    let probe = dir.join(format!(".probe-{}", std::process::id()));
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&probe)?;
    let uid = file.metadata().map(|found| found.uid());
    fs::remove_file(&probe)?;
    uid
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::scratch::Scratch;

    #[test]
    fn a_missing_directory_is_made_private() {
        let scratch = Scratch::new();
        let dir = scratch.path().join("a/b");
        assert_eq!(prepare_data_dir(&dir), Ok(()));
        assert_eq!(fs::metadata(&dir).map(|found| found.mode() & 0o777).ok(), Some(0o700));
        assert_eq!(prepare_data_dir(&dir), Ok(()), "it is there and good");
        assert_eq!(fs::read_dir(&dir).map(Iterator::count).ok(), Some(0), "nothing stays behind");
    }

    #[test]
    fn what_is_not_a_private_directory_is_refused() {
        let scratch = Scratch::new();
        let line =
            |path: &Path| prepare_data_dir(path).map_err(|faults| faults.to_string()).expect_err("it is refused");

        let open = scratch.path().join("open");
        assert_eq!(prepare_data_dir(&open), Ok(()));
        fs::set_permissions(&open, Permissions::from_mode(0o750)).expect("chmod");
        let open = line(&open);
        assert!(open.starts_with("FREEHOLD_DATA_DIR: ") && open.contains("(mode 0750); make it private"), "{open}");

        let file = scratch.write("file", "", 0o600);
        assert!(line(&file).contains("cannot be made"));
        assert!(line(&file.join("under")).contains("cannot be made"));
        assert!(line(&scratch.path().join("x".repeat(120))).contains("too long"));
    }
}
