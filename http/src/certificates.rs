//! The certificates of the TLS listener: which one a client is shown, and for which hosts that one speaks.
//!
//! A client that names a host (SNI, RFC 6066 §3) is shown the first certificate of files that is good for that name, else the
//! one that was issued for it; one that names none is shown the first of all, else the one that was issued for the platform.
//! A name that no certificate is good for ends the handshake. A request for a host that the shown certificate is not good for
//! came over the wrong connection: 421 (RFC 9110 §15.5.20, RFC 9113 §9.1.1).

use std::collections::HashMap;
use std::sync::Arc;

use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

/// A chain of certificates and its private key, each in PEM.
#[derive(Debug)]
pub struct Pem {
    /// The certificate, then those that lead to its root.
    pub chain: Vec<u8>,
    /// The private key: PKCS#8, SEC1 or PKCS#1.
    pub key: Secret<Vec<u8>>,
}

/// Why a certificate cannot be used.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotACertificate {
    /// There is none.
    #[error("holds no certificate in PEM")]
    NoChain,
    /// The certificate cannot be read.
    #[error("holds a certificate that cannot be read")]
    Unreadable,
    /// There is no key.
    #[error("holds no private key in PEM that can be used")]
    NoKey,
    /// The key is another certificate's.
    #[error("is not the key of the certificate")]
    OtherKey,
}

impl NotACertificate {
    /// Whether the file of the key is at fault, and not the chain's.
    #[must_use]
    pub const fn is_of_the_key(self) -> bool {
        matches!(self, Self::NoKey | Self::OtherKey)
    }
}

/// One certificate.
#[derive(Clone, Debug)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    not_after: UnixMs,
}

/// A certificate that somebody was shown, without its key.
#[derive(Clone, Debug)]
pub struct Leaf {
    der: CertificateDer<'static>,
    not_after: UnixMs,
}

impl Leaf {
    /// Reads one. `None` for what is none.
    #[must_use]
    pub fn new(der: &CertificateDer<'_>) -> Option<Self> {
        Some(Self { not_after: not_after(der)?, der: der.clone().into_owned() })
    }

    /// Until when it is good.
    #[must_use]
    pub const fn not_after(&self) -> UnixMs {
        self.not_after
    }

    /// Whether it is good for this host: a name, or an address without brackets.
    #[must_use]
    pub fn speaks_for(&self, host: &str) -> bool {
        ParsedCertificate::try_from(&self.der).is_ok_and(|leaf| is_for(&leaf, host))
    }
}

fn not_after(der: &CertificateDer<'_>) -> Option<UnixMs> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    Some(UnixMs::new(parsed.validity().not_after.timestamp().saturating_mul(1_000)))
}

fn is_for(leaf: &ParsedCertificate<'_>, host: &str) -> bool {
    ServerName::try_from(host).is_ok_and(|name| verify_server_name(leaf, &name).is_ok())
}

/// Every certificate: those of files, in the order in which they are tried, and those that were issued, each for its host.
#[derive(Clone, Debug, Default)]
pub struct Certificates {
    files: Vec<Certificate>,
    issued: HashMap<Arc<str>, Certificate>,
    /// Whose issued one is shown where no host is named.
    platform: Option<Arc<str>>,
}

impl Certificate {
    /// Reads one.
    ///
    /// # Errors
    /// [`NotACertificate`]
    pub fn from_pem(pem: &Pem) -> Result<Self, NotACertificate> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem.chain)
            .collect::<Result<_, _>>()
            .map_err(|_| NotACertificate::NoChain)?;
        let leaf = chain.first().ok_or(NotACertificate::NoChain)?;
        let not_after = not_after(leaf).ok_or(NotACertificate::Unreadable)?;
        let key = PrivateKeyDer::from_pem_slice(pem.key.expose()).map_err(|_| NotACertificate::NoKey)?;
        let provider = CryptoProvider::get_default().ok_or(NotACertificate::NoKey)?;
        let key = provider.key_provider.load_private_key(key).map_err(|_| NotACertificate::NoKey)?;
        let key = CertifiedKey::new(chain, key);
        key.keys_match().map_err(|_| NotACertificate::OtherKey)?;
        Ok(Self { key: Arc::new(key), not_after })
    }

    /// Until when it is good.
    #[must_use]
    pub const fn not_after(&self) -> UnixMs {
        self.not_after
    }

    /// Whether it is good for this host: a name, or an address without brackets.
    fn speaks_for(&self, host: &str) -> bool {
        self.key.end_entity_cert().and_then(ParsedCertificate::try_from).is_ok_and(|leaf| is_for(&leaf, host))
    }
}

impl Certificates {
    /// These of files, tried in this order, and none that was issued.
    #[must_use]
    pub fn new(files: Vec<Certificate>) -> Self {
        Self { files, ..Self::default() }
    }

    /// The same, of the platform at this domain.
    #[must_use]
    pub fn of_platform(mut self, domain: &str) -> Self {
        self.platform = Some(domain.into());
        self
    }

    /// Those of `files` in the place of these, with those that were issued here.
    pub(crate) fn with_files_of(&self, files: &Self) -> Self {
        let Self { issued, platform, .. } = self.clone();
        Self { files: files.files.clone(), issued, platform }
    }

    /// With these issued for their hosts, and without those of the hosts in `gone`.
    pub(crate) fn with_issued(&self, fresh: &[(Arc<str>, Certificate)], gone: &[String]) -> Self {
        let mut changed = self.clone();
        for host in gone {
            changed.issued.remove(host.as_str());
        }
        changed.issued.extend(fresh.iter().cloned());
        changed
    }

    /// Each of those of files.
    pub fn of_files(&self) -> impl Iterator<Item = &Certificate> {
        self.files.iter()
    }

    /// The one that was issued for this host.
    #[must_use]
    pub fn issued_for(&self, host: &str) -> Option<&Certificate> {
        self.issued.get(host)
    }

    /// Whether one of files is good for this domain, or for the names under it.
    #[must_use]
    pub fn speak_for(&self, domain: &str) -> bool {
        self.have_file_for(domain) || self.have_file_for(&format!("tenant.{domain}"))
    }

    /// Whether one of files is good for this host.
    #[must_use]
    pub fn have_file_for(&self, host: &str) -> bool {
        self.files.iter().any(|certificate| certificate.speaks_for(host))
    }

    /// The key with which a client is answered that names this host, or none.
    pub(crate) fn shown_to(&self, sni: Option<&str>) -> Option<Arc<CertifiedKey>> {
        self.found(sni).map(|certificate| Arc::clone(&certificate.key))
    }

    fn found(&self, sni: Option<&str>) -> Option<&Certificate> {
        match sni {
            None => self.files.first().or_else(|| self.issued.get(self.platform.as_ref()?)),
            Some(name) => self
                .files
                .iter()
                .find(|certificate| certificate.speaks_for(name))
                .or_else(|| self.issued.get(name.to_ascii_lowercase().as_str())),
        }
    }
}

/// What a client was shown when its connection began: an extension of every request over TLS.
#[derive(Clone, Debug)]
pub struct Shown {
    certificates: Arc<Certificates>,
    sni: Option<Arc<str>>,
}

impl Shown {
    pub(crate) fn new(certificates: Arc<Certificates>, sni: Option<&str>) -> Self {
        Self { certificates, sni: sni.map(|name| name.to_ascii_lowercase().into()) }
    }

    /// Whether the certificate that was shown is good for this host too, an address in brackets or without.
    pub(crate) fn speaks_for(&self, host: &str) -> bool {
        if self.sni.as_deref() == Some(host) {
            return true;
        }
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let shown = self.certificates.found(self.sni.as_deref());
        shown.is_some_and(|certificate| certificate.speaks_for(host))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A certificate of these names that nobody vouches for, and its key.
    fn pem(names: &[&str]) -> Pem {
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        Pem { chain: made.cert.pem().into_bytes(), key: Secret::new(made.signing_key.serialize_pem().into_bytes()) }
    }

    fn certificate(names: &[&str]) -> Certificate {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Certificate::from_pem(&pem(names)).expect("a certificate")
    }

    fn certificates() -> Arc<Certificates> {
        let platform = certificate(&["*.example.com", "example.com", "127.0.0.1"]);
        Arc::new(Certificates::new(vec![platform, certificate(&["shop.test"])]))
    }

    /// Where among those of files the one is that is shown.
    fn place(all: &Certificates, sni: Option<&str>) -> Option<usize> {
        let shown = all.shown_to(sni)?;
        all.files.iter().position(|file| Arc::ptr_eq(&file.key, &shown))
    }

    #[test]
    fn a_client_is_shown_the_certificate_of_its_host() {
        let all = certificates();
        let index = |sni| place(&all, sni);
        assert_eq!(index(None), Some(0));
        for (name, expected) in [
            ("acme.example.com", Some(0)),
            ("ACME.Example.Com", Some(0)),
            ("example.com", Some(0)),
            ("shop.test", Some(1)),
            ("a.b.example.com", None),
            ("www.shop.test", None),
            ("evil.test", None),
            ("", None),
            ("bad name", None),
        ] {
            assert_eq!(index(Some(name)), expected, "{name}");
        }
        assert!(Certificates::default().shown_to(None).is_none());
        assert!(all.speak_for("example.com") && all.speak_for("shop.test") && !all.speak_for("other.test"));
    }

    #[test]
    fn what_was_issued_is_shown_where_no_file_is_good() {
        let one = certificate(&["acme.example.com"]);
        let issued = [("shop.test".into(), certificate(&["shop.test"])), ("acme.example.com".into(), one.clone())];
        let none = Certificates::default().of_platform("acme.example.com");
        let both = certificates().with_issued(&issued, &[]);
        let alone = none.with_issued(&issued, &["evil.test".to_owned()]);
        assert_eq!(place(&both, Some("shop.test")), Some(1), "a file comes first");
        assert!(both.have_file_for("shop.test") && !alone.have_file_for("shop.test"));
        let shown = |all: &Certificates, sni| all.shown_to(sni).is_some_and(|key| Arc::ptr_eq(&key, &one.key));
        assert!(shown(&alone, Some("Acme.Example.com")) && shown(&alone, None));
        assert!(alone.shown_to(Some("other.test")).is_none() && none.shown_to(None).is_none());

        let without = alone.with_issued(&[], &["acme.example.com".to_owned()]);
        assert!(without.issued_for("acme.example.com").is_none() && without.issued_for("shop.test").is_some());
        let with_files = alone.with_files_of(&certificates());
        assert_eq!(place(&with_files, None), Some(0));
        assert!(with_files.issued_for("acme.example.com").is_some(), "files take nothing away");
        let shown = Shown::new(Arc::new(alone), Some("acme.example.com"));
        assert!(shown.speaks_for("acme.example.com") && !shown.speaks_for("shop.test"));
    }

    #[test]
    fn a_connection_serves_the_hosts_of_the_certificate_it_began_with() {
        let shown = |sni| Shown::new(certificates(), sni);
        let acme = shown(Some("Acme.example.com"));
        assert!(acme.speaks_for("acme.example.com") && acme.speaks_for("globex.example.com"));
        assert!(!acme.speaks_for("shop.test") && !acme.speaks_for("evil.test"));
        assert!(!shown(Some("shop.test")).speaks_for("acme.example.com"));
        assert!(shown(None).speaks_for("127.0.0.1") && !shown(None).speaks_for("[::1]"));
    }

    #[test]
    fn what_is_no_certificate_says_what_is_wrong() {
        drop(certificates());
        let (one, two) = (pem(&["a.test"]), pem(&["b.test"]));
        let made = |chain: &[u8], key: &Pem| {
            let pem = Pem { chain: chain.to_vec(), key: key.key.clone() };
            Certificate::from_pem(&pem).map(|_| ()).map_err(|error| (error, error.is_of_the_key()))
        };
        assert_eq!(made(&one.chain, &one), Ok(()));
        assert_eq!(made(b"", &one), Err((NotACertificate::NoChain, false)));
        assert_eq!(made(&one.chain, &two), Err((NotACertificate::OtherKey, true)));
        let no_key = Pem { chain: vec![], key: Secret::new(one.chain.clone()) };
        assert_eq!(made(&one.chain, &no_key), Err((NotACertificate::NoKey, true)));
        let garbled = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(made(garbled, &one), Err((NotACertificate::Unreadable, false)));
    }
}
