//! Who vouches for a service: certificates of authorities, in a PEM file.

use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::keys::Refusal;
use super::tls::read_chain;

/// The certificates of the file at `path`: one at least, and each fit to be trusted.
pub(super) fn read(path: &str) -> Result<Vec<CertificateDer<'static>>, Refusal> {
    let bytes = read_chain(Path::new(path))?;
    let useless = || (format!("{path} holds no certificate in PEM that can be trusted"), "name the right file, in PEM");
    let roots: Vec<_> = CertificateDer::pem_slice_iter(&bytes).collect::<Result<_, _>>().map_err(|_| useless())?;
    let mut store = RootCertStore::empty();
    let all_fit = roots.iter().all(|root| store.add(root.clone()).is_ok());
    if all_fit && !roots.is_empty() { Ok(roots) } else { Err(useless()) }
}
