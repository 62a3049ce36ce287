//! An authority that certifies what a test asks for, and a client that trusts it alone.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use freehold_domain::rfc3339;
use freehold_domain::time::UnixMs;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// How long a certificate holds, from the day before it was made: as long as a public authority would give it.
const DAYS: i64 = 90;

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

impl Files {
    /// Takes connections with this certificate.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        let chain = CertificateDer::pem_file_iter(&self.cert).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(&self.key).unwrap();
        TlsAcceptor::from(Arc::new(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap()))
    }
}

impl Authority {
    pub(crate) fn new() -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default(); // by the first test alone
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), root: root.der().clone(), root_pem: root.pem() }
    }

    /// Its own certificate, in a file of this folder.
    pub(crate) fn root_file(&self, folder: &Path) -> PathBuf {
        let path = folder.join("authority.crt");
        std::fs::write(&path, &self.root_pem).unwrap();
        path
    }

    /// Certifies these names, in files of this folder that are written whole or not at all.
    pub(crate) fn certify(&self, folder: &Path, file: &str, names: &[&str]) -> Files {
        self.certify_for(folder, file, names, DAYS)
    }

    /// The same, good until the midnight that so many days less one from now bring.
    pub(crate) fn certify_for(&self, folder: &Path, file: &str, names: &[&str], days: i64) -> Files {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, file); // or it is named like its authority
        let [(from_year, from_month, from_day), (to_year, to_month, to_day)] = [day(-1), day(days - 1)];
        params.not_before = date_time_ymd(from_year, from_month, from_day);
        params.not_after = date_time_ymd(to_year, to_month, to_day);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
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

/// The day so many days from now, as year, month and day.
fn day(from_now: i64) -> (i32, u8, u8) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let ms = i64::try_from(now.as_millis()).unwrap() + from_now * 86_400_000;
    let text = rfc3339::text(UnixMs::new(ms));
    let mut parts = text[.."2026-01-01".len()].split('-');
    let mut part = || parts.next().unwrap();
    (part().parse().unwrap(), part().parse().unwrap(), part().parse().unwrap())
}
