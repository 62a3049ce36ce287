//! Folders under `target/` that hold what a file of the repository pins.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Written last: what was cut off is installed anew.
const DONE: &str = "installed";

/// The whole path of the folder `home`; `install` fills it first, unless it did so with the same pins.
///
/// # Errors
/// The folder cannot be made, or `install` fails.
pub(crate) fn installed(home: &Path, pins: &str, install: impl FnOnce() -> Result<()>) -> Result<PathBuf> {
    if fs::read_to_string(home.join(DONE)).ok().as_deref() != Some(pins) {
        fs::create_dir_all(home)?;
        install()?;
        fs::write(home.join(DONE), pins)?;
    }
    home.canonicalize().with_context(|| format!("{} is gone", home.display()))
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn it_is_installed_once_for_the_same_pins_and_again_after_a_failure() {
        let home = std::env::temp_dir().join(format!("freehold-pinned-{}", std::process::id()));
        let mut times = 0;
        let mut count = || {
            times += 1;
            Ok(())
        };
        assert!(installed(&home, "one", || bail!("no network")).is_err());
        installed(&home, "one", &mut count).expect("a folder");
        installed(&home, "one", &mut count).expect("a folder");
        installed(&home, "two", &mut count).expect("a folder");
        assert_eq!(times, 2);
        fs::remove_dir_all(home).expect("it goes");
    }
}
