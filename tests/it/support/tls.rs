//! An authority that certifies what a test asks for, and a client that trusts it alone.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Who certifies.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    root: CertificateDer<'static>,
    /// The root, in PEM.
    pub(crate) root_pem: String,
}

/// The files of a certificate.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default(); // by the first test alone
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), root: root.der().clone(), root_pem: root.pem() }
    }

    /// Certifies these names, in files of this folder that are written whole or not at all.
    pub(crate) fn certify(&self, folder: &Path, file: &str, names: &[&str]) -> Files {
        self.certify_until(folder, file, names, None)
    }

    /// The same, good until so many seconds after 1970.
    pub(crate) fn certify_until(&self, folder: &Path, file: &str, names: &[&str], until_s: Option<u64>) -> Files {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        if let Some(until_s) = until_s {
            params.not_after = std::time::UNIX_EPOCH.checked_add(Duration::from_secs(until_s)).unwrap().into();
        }
        let cert = params.signed_by(&key, &self.issuer).unwrap();
        let files = Files { cert: folder.join(format!("{file}.crt")), key: folder.join(format!("{file}.key")) };
        for (path, text) in [(&files.key, key.serialize_pem()), (&files.cert, cert.pem())] {
            let fresh = path.with_extension("new");
            std::fs::write(&fresh, text).unwrap();
            std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600)).unwrap();
            std::fs::rename(&fresh, path).unwrap();
        }
        files
    }

    /// Shakes hands as a client that asks for `name` and speaks these versions and protocols.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        name: &str,
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        connect(&self.root, address, name, versions, alpn).await
    }
}

/// Shakes hands as a client that trusts this root alone.
pub(crate) async fn connect(
    root: &CertificateDer<'static>,
    address: SocketAddr,
    name: &str,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let mut config =
        ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let socket = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name.to_owned()).unwrap(), socket).await
}
