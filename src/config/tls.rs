//! The certificates of the public listener: `http.tls_cert` and `http.tls_key`, files that are read again when they change.

use std::fs::{self, File};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use freehold_domain::secret::Secret;
use freehold_http::certificates::{Certificate, Certificates, Pem};

use super::keys::{Refusal, read_private};
use super::values::Values;

const CERT: &str = "http.tls_cert";
const KEY: &str = "http.tls_key";
pub(super) const SETTINGS: [&str; 2] = [CERT, KEY];

/// Bytes of a file of certificates.
const CHAIN_BYTES_MAX: u64 = 1024 * 1024;

/// The files of the certificates, and what they held when the configuration was read.
#[derive(Debug)]
pub struct TlsFiles {
    pairs: Vec<Pair>,
    /// The platform's domain, for which one of them must be. `None` where that is ordered, and for a configuration that has none
    /// and so is refused.
    domain: Option<String>,
    /// What they held.
    pub certificates: Certificates,
}

#[derive(Debug)]
struct Pair {
    chain: PathBuf,
    key: PathBuf,
}

/// What tells one state of the files from another: of each the inode, the length and when it was changed. `None` for one
/// that cannot be looked at.
pub type Stamp = Vec<Option<(u64, u64, i64, i64)>>;

/// Which setting is at fault, and how.
type Fault = (&'static str, Refusal);

impl TlsFiles {
    /// Reads the files anew.
    ///
    /// # Errors
    /// What is wrong with the first that cannot be used.
    pub fn reread(&self) -> Result<Certificates, String> {
        certificates(&self.pairs, self.domain.as_deref()).map_err(|(_, (fault, _))| fault)
    }

    /// The files of the private keys.
    pub fn keys(&self) -> impl Iterator<Item = &Path> {
        self.pairs.iter().map(|pair| pair.key.as_path())
    }

    /// The state of the files now.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        let stamp = |path: &PathBuf| {
            let found = fs::metadata(path).ok()?;
            Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
        };
        self.pairs.iter().flat_map(|pair| [&pair.chain, &pair.key]).map(stamp).collect()
    }
}

pub(super) fn read(values: &mut Values, domain: Option<&str>) -> Option<TlsFiles> {
    let paths = |text: &str| -> Option<Vec<PathBuf>> {
        let path = |path: &str| (!path.trim().is_empty() && !path.contains('\0')).then(|| path.trim().into());
        text.split(',').map(path).collect()
    };
    let remedy = "write the path, or several with commas between, those of the keys in the same order";
    let chains = values.read(CERT, "a path", remedy, paths);
    let keys = values.read(KEY, "a path", remedy, paths);
    let (chains, keys) = match (chains, keys) {
        (Some(chains), Some(keys)) => (chains, keys),
        (None, None) => return None,
        (Some(_), None) => return missing(values, KEY, "set the file of its private key"),
        (None, Some(_)) => return missing(values, CERT, "set the file of its certificate"),
    };
    if chains.len() != keys.len() {
        values.fault(KEY, "names another number of files than FREEHOLD_HTTP_TLS_CERT", remedy);
        return None;
    }
    let pairs: Vec<_> = chains.into_iter().zip(keys).map(|(chain, key)| Pair { chain, key }).collect();
    let certificates =
        certificates(&pairs, domain).map_err(|(setting, (fault, remedy))| values.fault(setting, &fault, remedy));
    certificates.ok().map(|certificates| TlsFiles { pairs, domain: domain.map(str::to_owned), certificates })
}

fn missing(values: &mut Values, setting: &str, remedy: &str) -> Option<TlsFiles> {
    if !values.is_faulty(setting) {
        values.fault(setting, "not set, and the other of the two is", remedy);
    }
    None
}

fn certificates(pairs: &[Pair], domain: Option<&str>) -> Result<Certificates, Fault> {
    let one = |Pair { chain, key }: &Pair| {
        let pem = Pem {
            chain: read_chain(chain).map_err(|fault| (CERT, fault))?,
            key: Secret::new(read_private(key, None).map_err(|fault| (KEY, fault))?.expose().clone().into_bytes()),
        };
        Certificate::from_pem(&pem).map_err(|error| {
            let (setting, path) = if error.is_of_the_key() { (KEY, key) } else { (CERT, chain) };
            (setting, (format!("{} {error}", path.display()), "name the right file, in PEM"))
        })
    };
    let certificates = Certificates::new(pairs.iter().map(one).collect::<Result<_, _>>()?);
    let Some(domain) = domain.filter(|domain| !certificates.speak_for(domain)) else { return Ok(certificates) };
    Err((CERT, (format!("holds no certificate for {domain} or the names under it"), "name one that is for them")))
}

pub(super) fn read_chain(path: &Path) -> Result<Vec<u8>, Refusal> {
    let unreadable = |error: std::io::Error| {
        (format!("{} cannot be read ({})", path.display(), error.kind()), "name a file that the server may read")
    };
    let mut bytes = vec![];
    File::open(path).map_err(unreadable)?.take(CHAIN_BYTES_MAX).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}
