//! TLS in front of a connection: 1.2 and 1.3, the certificate by the name that the client asks for.

use std::fmt;
use std::io;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{Error, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::certificates::{Certificate, Certificates, Shown};

/// What a listener speaks under HTTP.
#[derive(Clone, Debug)]
pub enum Transport {
    /// TCP.
    Plain,
    /// TLS over TCP.
    Tls(Arc<Tls>),
}

/// TLS with certificates that can be replaced while it runs: connections that are open go on with what they were shown.
pub struct Tls {
    acceptor: TlsAcceptor,
    current: Arc<ArcSwap<Certificates>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("current", &self.current).finish_non_exhaustive()
    }
}

impl Tls {
    /// TLS with these certificates.
    ///
    /// # Errors
    /// What the library refuses, which no certificates cause.
    pub fn new(certificates: Certificates) -> Result<Self, Error> {
        let current = Arc::new(ArcSwap::from_pointee(certificates));
        let mut config = ServerConfig::builder_with_protocol_versions(&[&TLS13, &TLS12])
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(ByName(Arc::clone(&current))));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = Ticketer::new()?; // sessions go on without state here, and their keys change every few hours
        Ok(Self { acceptor: Arc::new(config).into(), current })
    }

    /// Shows those of `files` from now on in the place of those of files before.
    pub fn replace_files(&self, files: &Certificates) {
        self.current.rcu(|current| current.with_files_of(files));
    }

    /// Shows these from now on, each for its host, and those that were issued for the hosts in `gone` no more.
    pub fn change_issued(&self, fresh: &[(Arc<str>, Certificate)], gone: &[String]) {
        self.current.rcu(|current| current.with_issued(fresh, gone));
    }

    /// The certificates that are shown now.
    #[must_use]
    pub fn certificates(&self) -> Arc<Certificates> {
        self.current.load_full()
    }

    /// Shakes hands; bound the time from outside.
    pub(super) async fn accept(&self, socket: TcpStream) -> io::Result<(TlsStream<TcpStream>, Shown)> {
        let stream = self.acceptor.accept(socket).await?;
        let shown = Shown::new(self.certificates(), stream.get_ref().1.server_name());
        Ok((stream, shown))
    }
}

/// Chooses the certificate by SNI.
#[derive(Debug)]
struct ByName(Arc<ArcSwap<Certificates>>);

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().shown_to(hello.server_name())
    }
}
