//! `[keys]`: the master ring, from the environment, the file, or a file of its own.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use freehold_domain::keys::{MasterRing, RingError};
use freehold_domain::secret::Secret;

use super::data::OTHERS;
use super::fault::Faults;
use super::names;
use super::profile::Profile;
use super::values::{Source, Values};

pub(super) const MASTER: &str = "keys.master";
const MASTER_FILE: &str = "keys.master_file";
pub(super) const SETTINGS: &[&str] = &[MASTER, MASTER_FILE];

const RING_REMEDY: &str =
    "write id:key[,id:key], newest first: id of a-z 0-9 -, key 32 bytes in base64, as `freehold keys new` makes";

/// Bytes of a master key file.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// What is wrong with a key file, and what to do.
pub(super) type Refusal = (String, &'static str);

/// The master ring and where it is read from.
#[derive(Debug)]
pub struct Keys {
    /// The ring. `None` only in development: the caller makes one and says so.
    pub master: Option<MasterRing>,
    /// The file the ring came from, if it came from one of its own.
    pub file: Option<PathBuf>,
}

impl Keys {
    /// Reads the ring's file again, with every check. `None` when the ring is not in a file of its own: a variable
    /// cannot change under a running process.
    ///
    /// # Errors
    /// What is wrong with the file now; the ring in use stays.
    pub fn reread(&self, data_dir: &Path) -> Result<Option<MasterRing>, Faults> {
        let refused = |fault: &str, remedy: &str| {
            let mut faults = Faults::default();
            faults.add(&names::in_env(MASTER_FILE), fault, remedy);
            faults
        };
        let Some(path) = &self.file else { return Ok(None) };
        let text = read_private(path, Some(data_dir)).map_err(|(fault, remedy)| refused(&fault, remedy))?;
        let ring = text.expose().trim().parse::<MasterRing>();
        ring.map(Some).map_err(|error| refused(&in_file(path, not_a_ring(&error)), RING_REMEDY))
    }
}

pub(super) fn read(values: &mut Values, profile: Profile, data_dir: Option<&Path>) -> Keys {
    let path = values
        .read(MASTER_FILE, "a path", "write the path of the file", |text| (!text.contains('\0')).then(|| text.into()));
    let from_file = path.as_ref().and_then(|path: &PathBuf| {
        let text =
            read_private(path, data_dir).map_err(|(fault, remedy)| values.fault(MASTER_FILE, &fault, remedy)).ok()?;
        let ring = text.expose().trim().parse::<MasterRing>();
        ring.map_err(|error| values.fault(MASTER_FILE, &in_file(path, not_a_ring(&error)), RING_REMEDY)).ok()
    });
    let parsed = values.read(MASTER, "text", RING_REMEDY, |text| Some(text.trim().parse::<MasterRing>()));
    let from_value =
        parsed.and_then(|ring| ring.map_err(|error| values.fault(MASTER, not_a_ring(&error), RING_REMEDY)).ok());
    if let Some(Source::File(file)) = values.source(MASTER).cloned()
        && let Err((fault, remedy)) = check_private(&file, data_dir)
    {
        values.fault(MASTER, &format!("the key stands in a file that {fault}"), remedy);
    }
    if values.is_set(MASTER) && values.is_set(MASTER_FILE) {
        values.fault(MASTER, "FREEHOLD_KEYS_MASTER_FILE is set too", "unset one of the two");
    }
    let missing = !(values.is_set(MASTER)
        || values.is_set(MASTER_FILE)
        || values.is_faulty(MASTER)
        || values.is_faulty(MASTER_FILE));
    if missing && profile == Profile::Production {
        values.fault(
            MASTER,
            "not set, and production requires a master key",
            "make one with `freehold keys new`, keep it safe and set it",
        );
    }
    Keys { master: from_file.or(from_value), file: path }
}

fn in_file(path: &Path, fault: &str) -> String {
    format!("{}: {fault}", path.display())
}

/// Why a text is not a ring, with nothing of the text: even what should be an id may be a key in the wrong place.
fn not_a_ring(error: &RingError) -> &'static str {
    match error {
        RingError::Empty => "is empty",
        RingError::Shape(_) => "an entry is not id:key",
        RingError::Id(_) => "an id is not 1 to 32 of a-z, 0-9 and -",
        RingError::Base64(_) => "a key is not standard base64",
        RingError::KeyBytes { .. } => "a key is not 32 bytes long",
        RingError::DuplicateId(_) => "an id is given twice",
        RingError::DuplicateKey(..) => "two ids have the same key",
    }
}

/// The text of a file only its owner can read, not under the data directory.
pub(super) fn read_private(path: &Path, data_dir: Option<&Path>) -> Result<Secret<String>, Refusal> {
    check_private(path, data_dir).map_err(|(fault, remedy)| (format!("{} {fault}", path.display()), remedy))?;
    let unreadable = |error: io::Error| {
        (format!("{} cannot be read ({})", path.display(), error.kind()), "name a readable text file")
    };
    let mut file = File::open(path).map_err(unreadable)?;
    // What was checked by its path may have been replaced since.
    check_mode(file.metadata().map_err(unreadable)?.mode())
        .map_err(|(fault, remedy)| (format!("{} {fault}", path.display()), remedy))?;
    let mut text = String::new();
    let read = file.by_ref().take(FILE_BYTES_MAX).read_to_string(&mut text);
    let text = Secret::new(text);
    read.map_err(unreadable)?;
    Ok(text)
}

fn check_private(path: &Path, data_dir: Option<&Path>) -> Result<(), Refusal> {
    let unreadable = |error: io::Error| (format!("cannot be read ({})", error.kind()), "name a readable text file");
    let found = fs::metadata(path).map_err(unreadable)?;
    if !found.is_file() {
        return Err(("is not a file".to_owned(), "name a readable text file"));
    }
    check_mode(found.mode())?;
    // A data directory that is not there yet holds nothing.
    if let Some(data_dir) = data_dir.and_then(|dir| dir.canonicalize().ok())
        && path.canonicalize().map_err(unreadable)?.starts_with(data_dir)
    {
        let remedy = "move it elsewhere: a copy of the data must not hold its key";
        return Err(("is under the data directory".to_owned(), remedy));
    }
    Ok(())
}

fn check_mode(mode: u32) -> Result<(), Refusal> {
    if mode & OTHERS == 0 {
        return Ok(());
    }
    Err((format!("is open to other users (mode {:04o})", mode & 0o7777), "make it private: chmod 600"))
}
