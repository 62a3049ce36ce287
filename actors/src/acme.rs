//! Certificates by ACME (RFC 8555): for each host that is wanted one certificate, ordered, kept sealed, shown and renewed.
//!
//! ```text
//! wanted hosts ─┐                                       ┌─ challenge table ── any node's plain listener answers
//! certificates ─┴─ due? ── claim (lease) ── order ──────┤
//!      ▲                                                └─ key sealed, certificate kept ── every node shows it
//!      └────────────────── read again every five seconds ───────────────────────────────────────────┘
//! ```
//!
//! On several nodes one orders for a host at a time. What an order that failed is worth is said by [`freehold_domain::acme`].
//! Nothing here keeps a request waiting: a host without a certificate has none until there is one.

mod account;
mod caller;
mod challenges;
mod held;
mod keeper;
mod order;
mod wanted;

use freehold_domain::acme::Retry;
use freehold_domain::secret::Secret;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

pub use self::challenges::{Challenges, NoAnswer};
pub use self::keeper::keep;

/// What the operator has set.
#[derive(Clone, Debug)]
pub struct AcmeRule {
    /// The directory of the certificate authority: an `https` address.
    pub directory: String,
    /// Where the authority may write to, an e-mail address.
    pub contact: Option<String>,
    /// Who vouches for the authority's own server. Without any: Mozilla's roots.
    pub roots: Option<Vec<CertificateDer<'static>>>,
    /// How soon an order that failed is tried again.
    pub retry: Retry,
}

/// A certificate that is good to be shown.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The host that it is for.
    pub host: String,
    /// The certificate and those that lead to its root, in PEM.
    pub chain: Vec<u8>,
    /// Its private key, in PEM.
    pub key: Secret<Vec<u8>>,
}

/// Who shows certificates to clients.
pub trait Showcase: Send + Sync {
    /// Whether it has one for this host from somewhere else: then none is ordered.
    fn has_its_own(&self, host: &str) -> bool;

    /// Shows these from now on, each in the place of the one before for its host, and those of the hosts in `gone` no more.
    fn change(&self, fresh: Vec<Issued>, gone: &[String]);
}

impl AcmeRule {
    /// What the authority's server must prove itself with.
    fn roots(&self) -> RootCertStore {
        let Some(own) = &self.roots else {
            return RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(own.iter().cloned());
        roots
    }
}
