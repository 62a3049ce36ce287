//! TLS: what a client is shown, for whom and until when, and that nothing old is spoken.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use freehold_http::certificates::Leaf;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::client::{connect, within};
use super::finding::Finding;
use crate::clock::AMBIENT;
use crate::config::Config;

/// A certificate that ends sooner should have been renewed.
const DAYS_LEFT_MIN: i64 = 14;
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;
/// The content type of an alert (RFC 8446 §5.1).
const ALERT: u8 = 21;

/// Whether the server speaks TLS itself.
pub(super) const fn is_spoken(config: &Config) -> bool {
    config.http.tls.is_some() || config.acme.is_some()
}

/// The certificates of the server's own hosts, and the versions.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let listen = config.http.listen;
    // Who cannot be reached was told with the public listener.
    if !is_spoken(config) || listen.port() == 0 || connect(listen).await.is_err() {
        return vec![];
    }
    let domain = config.platform.domain.as_str();
    let mut findings = vec![];
    for host in [domain.to_owned(), format!("api.{domain}"), format!("admin.{domain}")] {
        findings.push(certificate(config, &host).await);
    }
    findings.push(old_versions(listen).await);
    findings
}

/// Shakes hands as a client that asks for `host`, whatever it is shown.
pub(super) async fn shake_hands(stream: TcpStream, host: &str) -> io::Result<TlsStream<TcpStream>> {
    let provider = CryptoProvider::get_default().ok_or_else(|| io::Error::other("there is no TLS"))?;
    let mut client = ClientConfig::builder()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Whichever(Arc::clone(provider))))
        .with_no_client_auth();
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    within(TlsConnector::from(Arc::new(client)).connect(name, stream)).await
}

async fn certificate(config: &Config, host: &str) -> Finding {
    const CHECK: &str = "certificate";
    let shown = async {
        let stream = shake_hands(connect(config.http.listen).await?, host).await?;
        let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).and_then(Leaf::new);
        leaf.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it cannot be read"))
    };
    let remedy = if config.acme.is_some() {
        "see the lines with acme.host in the log: the authority must reach port 80 of this host's address"
    } else {
        "renew it and put it in the place of the old file, which is read again by itself"
    };
    match shown.await {
        Err(error) => {
            Finding::bad(CHECK, format!("no certificate is shown for {host} ({error})"), missing_remedy(config, remedy))
        }
        Ok(leaf) if !leaf.speaks_for(host) => {
            let found = format!("the certificate that is shown for {host} is for others");
            Finding::bad(CHECK, found, missing_remedy(config, remedy))
        }
        Ok(leaf) => {
            let left_ms = leaf.not_after().get() - AMBIENT.wall().get();
            let days = left_ms.div_euclid(DAY_MS);
            if left_ms < 0 {
                Finding::bad(CHECK, format!("the certificate for {host} ended {} days ago", -days), remedy)
            } else if days < DAYS_LEFT_MIN {
                Finding::bad(CHECK, format!("the certificate for {host} ends in {days} days"), remedy)
            } else {
                Finding::good(CHECK, format!("the certificate for {host} is good for {days} days"))
            }
        }
    }
}

const fn missing_remedy<'a>(config: &Config, ordered: &'a str) -> &'a str {
    if config.acme.is_some() {
        ordered
    } else {
        "name one in FREEHOLD_HTTP_TLS_CERT that is for the domain and *.domain"
    }
}

/// A client that knows no more than TLS 1.1 (RFC 8996).
async fn old_versions(listen: SocketAddr) -> Finding {
    const CHECK: &str = "tls-versions";
    let answered = async {
        let mut stream = connect(listen).await?;
        let mut first = vec![];
        within(async {
            stream.write_all(&hello_of_tls_1_1()).await?;
            (&mut stream).take(1).read_to_end(&mut first).await
        })
        .await?;
        Ok::<_, io::Error>(first)
    };
    match answered.await.map(|first| first.first().copied()) {
        Ok(Some(ALERT) | None) => Finding::good(CHECK, "TLS 1.1 is refused"),
        Ok(Some(_)) => Finding::bad(CHECK, "TLS 1.1 is spoken", "take whatever speaks it from before the server"),
        // Hanging up is a refusal too.
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Finding::good(CHECK, "TLS 1.1 is refused"),
        Err(error) => {
            Finding::bad(CHECK, format!("TLS 1.1 is not refused ({error})"), "see that this port is the server's")
        }
    }
}

/// RFC 4346 §7.4.1.2: version 3.2, a random, no session, three cipher suites, no compression; then groups, point formats and
/// signatures, so that nothing but its version is wrong with it.
fn hello_of_tls_1_1() -> Vec<u8> {
    let mut body = vec![3, 2];
    body.extend(AMBIENT.random::<32>());
    body.extend([0, 0, 6, 0xc0, 0x14, 0xc0, 0x13, 0, 0x2f, 1, 0]);
    body.extend([0, 22, 0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3]);
    let length = u8::try_from(body.len()).unwrap_or(u8::MAX);
    let mut hello = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    hello.extend(body);
    hello
}

/// Takes whichever certificate it is shown, to look at it: nothing secret is sent to whoever shows it.
#[derive(Debug)]
struct Whichever(Arc<CryptoProvider>);

impl ServerCertVerifier for Whichever {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
