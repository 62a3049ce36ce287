//! Who vouches for a service: certificates of authorities, in a PEM file.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::keys::Refusal;
use super::tls::read_chain;
use super::values::Values;

/// The certificates of the file that `setting` names, if it names one. The outer `None` comes with a fault.
#[expect(clippy::option_option, reason = "read wrongly, and not set, are two things")]
pub(super) fn setting(values: &mut Values, setting: &str) -> Option<Option<Vec<CertificateDer<'static>>>> {
    let path = values.read(setting, "a path", "write the path of a PEM file", |text| Some(text.to_owned()));
    match path.as_deref().map(read).transpose() {
        Ok(roots) => Some(roots),
        Err((fault, remedy)) => {
            values.fault(setting, &fault, remedy);
            None
        }
    }
}

/// The same as it is written there, for whoever reads PEM.
#[expect(clippy::option_option, reason = "read wrongly, and not set, are two things")]
pub(super) fn pem(values: &mut Values, setting: &str) -> Option<Option<Vec<u8>>> {
    let path = values.read(setting, "a path", "write the path of a PEM file", |text| Some(text.to_owned()));
    match path.as_deref().map(|path| read(path).and_then(|_| read_chain(Path::new(path)))).transpose() {
        Ok(text) => Some(text),
        Err((fault, remedy)) => {
            values.fault(setting, &fault, remedy);
            None
        }
    }
}

/// The certificates of the file at `path`: one at least, and each fit to be trusted.
fn read(path: &str) -> Result<Vec<CertificateDer<'static>>, Refusal> {
    let bytes = read_chain(Path::new(path))?;
    let useless = || (format!("{path} holds no certificate in PEM that can be trusted"), "name the right file, in PEM");
    let roots: Vec<_> = CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>().map_err(|_| useless())?;
    let mut store = RootCertStore::empty();
    let all_fit = roots.iter().all(|root| store.add(root.clone()).is_ok());
    if all_fit && !roots.is_empty() { Ok(roots) } else { Err(useless()) }
}
