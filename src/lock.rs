//! The lock of a data directory: one server owns it at a time.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Holds a data directory until dropped or the process ends, however it ends.
#[derive(Debug)]
pub struct DataDirLock {
    data_dir: PathBuf,
    _file: File,
}

/// Why a data directory could not be locked.
#[derive(Debug)]
pub enum NotLocked {
    /// Another process owns it.
    Held {
        /// The directory.
        data_dir: PathBuf,
    },
    /// Its lock file cannot be used.
    Io(io::Error),
}

impl DataDirLock {
    /// Locks `data_dir`, by its file `lock` (0600), without waiting. The file stays behind; only the lock on it counts.
    ///
    /// # Errors
    /// [`NotLocked`].
    pub fn acquire(data_dir: &Path) -> Result<Self, NotLocked> {
        let path = data_dir.join("lock");
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(NotLocked::Io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { data_dir: data_dir.to_owned(), _file: file }),
            Err(TryLockError::WouldBlock) => Err(NotLocked::Held { data_dir: data_dir.to_owned() }),
            Err(TryLockError::Error(error)) => Err(NotLocked::Io(error)),
        }
    }

    /// The directory that is held.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }
}

impl fmt::Display for NotLocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { data_dir } => write!(f, "another process owns the data directory {}", data_dir.display()),
            Self::Io(_) => f.write_str("the data directory cannot be locked"),
        }
    }
}

impl std::error::Error for NotLocked {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Held { .. } => None,
            Self::Io(error) => Some(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::scratch::Scratch;

    #[test]
    fn one_at_a_time() {
        let scratch = Scratch::new();
        let first = DataDirLock::acquire(scratch.path()).expect("nobody has it");
        let second = DataDirLock::acquire(scratch.path());
        assert!(matches!(second, Err(NotLocked::Held { data_dir }) if data_dir == first.data_dir()));
        let mode = fs::metadata(scratch.path().join("lock")).map(|found| found.permissions().mode() & 0o777).ok();
        assert_eq!(mode, Some(0o600));
        drop(first);
        assert!(DataDirLock::acquire(scratch.path()).is_ok());
    }

    #[test]
    fn a_missing_directory_is_not_held() {
        let absent = DataDirLock::acquire(Path::new("/nonexistent/data"));
        assert!(matches!(absent, Err(NotLocked::Io(error)) if error.kind() == io::ErrorKind::NotFound));
    }
}
