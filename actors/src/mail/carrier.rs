//! Who takes letters: an SMTP server, or a folder that the operator reads.
//!
//! What a server answers may name the recipient, so no more of it than its code is kept.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use freehold_domain::id::MailId;
use freehold_domain::letter::{Letter, Rendered, Sender};
use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, MultiPartKind, SinglePart};
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters, TlsParametersBuilder};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use rustls::pki_types::CertificateDer;
use tokio::fs;
use tokio::io::AsyncWriteExt as _;

/// How long a letter may take to be taken, the connection included.
pub const TAKEN_WITHIN: Duration = Duration::from_secs(10);

/// No people answer, and no machine should (RFC 3834 §5).
const AUTOMATIC: HeaderName = HeaderName::new_from_ascii_str("Auto-Submitted");

/// How letters leave the server.
#[derive(Clone, Debug)]
pub enum Way {
    /// Over SMTP.
    Smtp(Smtp),
    /// As files `{id}.eml` in this folder.
    Outbox(PathBuf),
}

/// An SMTP server.
#[derive(Clone, Debug)]
pub struct Smtp {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// User and password, where it wants them.
    pub login: Option<(String, Secret<String>)>,
    /// Who vouches for it, in the place of Mozilla's authorities.
    pub roots: Option<Vec<CertificateDer<'static>>>,
}

/// How the connection to an SMTP server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from its first byte.
    Tls,
    /// TLS before anything is sent; a server that cannot gets nothing.
    StartTls,
    /// Not at all: for a server on this machine.
    Plain,
}

/// The server's own address, as letters have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct From(Address);

/// The text is no address that mail can be sent from.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("is no address that mail can be sent from")]
pub struct NotAnAddress;

impl std::str::FromStr for From {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        text.parse().map(Self).map_err(|_| NotAnAddress)
    }
}

/// The TLS of this host cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("TLS cannot be set up for the mail server")]
pub struct NoTls;

/// Why a letter was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    /// Nobody was there to take it, or not in time: the next letter would fare no better.
    #[error("there is no answer")]
    Away,
    /// It was refused, with this code.
    #[error("it was refused with {0}")]
    Refused(u16),
    /// Its address is none that mail can be sent to.
    #[error("its address cannot be written in mail")]
    Unaddressable,
}

impl NotTaken {
    /// Its name in the metric.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Refused(_) => "refused",
            Self::Unaddressable => "unaddressable",
        }
    }
}

/// A letter with what belongs to sending it.
#[derive(Clone, Copy, Debug)]
pub struct Parcel<'a> {
    /// Its row, and its `Message-ID`.
    pub id: MailId,
    /// When it was written.
    pub written: UnixMs,
    /// The letter.
    pub letter: &'a Letter,
    /// Who writes.
    pub sender: Sender<'a>,
}

/// Takes letters.
pub struct Carrier {
    from: From,
    domain: String,
    way: Opened,
    protection: Option<Security>,
}

enum Opened {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Outbox(PathBuf),
}

impl Carrier {
    /// A carrier of letters that come from this address of the platform at `domain`. Connects to nobody yet; must be called
    /// in a runtime.
    ///
    /// # Errors
    /// [`NoTls`].
    pub fn new(from: From, domain: &str, way: Way) -> Result<Self, NoTls> {
        let protection = match &way {
            Way::Smtp(smtp) => Some(smtp.security),
            Way::Outbox(_) => None,
        };
        let way = match way {
            Way::Outbox(folder) => Opened::Outbox(folder),
            Way::Smtp(smtp) => Opened::Smtp(transport(smtp, domain)?),
        };
        Ok(Self { from, domain: domain.to_owned(), way, protection })
    }

    /// How the connection to the mail server is protected; `None` where letters become files.
    pub(super) const fn protection(&self) -> Option<Security> {
        self.protection
    }

    /// Hands one letter over.
    ///
    /// # Errors
    /// [`NotTaken`]; when it came too late the letter may have been taken all the same.
    pub async fn carry(&self, parcel: Parcel<'_>) -> Result<(), NotTaken> {
        let message = self.message(parcel).ok_or(NotTaken::Unaddressable)?;
        let carried = async {
            match &self.way {
                Opened::Smtp(transport) => taken(transport.send(message).await),
                Opened::Outbox(folder) => file(folder, parcel.id, &message.formatted()).await.map_err(|error| {
                    tracing::error!(%error, "a letter cannot be written to the outbox");
                    NotTaken::Away
                }),
            }
        };
        tokio::time::timeout(TAKEN_WITHIN, carried).await.unwrap_or(Err(NotTaken::Away))
    }

    /// Greets the mail server as for a letter, TLS and password included, and leaves. A folder is not looked at.
    ///
    /// # Errors
    /// [`NotTaken`]
    pub async fn greet(&self, within: Duration) -> Result<(), NotTaken> {
        let Opened::Smtp(transport) = &self.way else { return Ok(()) };
        let greeted = tokio::time::timeout(within, transport.test_connection()).await;
        match greeted.map(|answer| answer.map_err(|error| error.status())) {
            Ok(Ok(true)) => Ok(()),
            Ok(Err(Some(code))) => Err(NotTaken::Refused(code.into())),
            Ok(Ok(false) | Err(None)) | Err(_) => Err(NotTaken::Away),
        }
    }

    /// The letter as a message of text and HTML. `None` when its address cannot be written.
    fn message(&self, Parcel { id, written, letter, sender }: Parcel<'_>) -> Option<Message> {
        let Rendered { sender, subject, text, html } = letter.content.render(sender);
        let to: Address = letter.to.as_str().parse().ok()?;
        let written = UNIX_EPOCH + Duration::from_millis(u64::try_from(written.get()).unwrap_or(0));
        let both = MultiPart::builder().kind(MultiPartKind::Alternative).boundary(format!("freehold-{id}"));
        let part = |kind, body| SinglePart::builder().header(kind).body::<String>(body);
        let both = both.singlepart(part(ContentType::TEXT_PLAIN, text));
        Message::builder()
            .from(Mailbox::new(Some(sender), self.from.0.clone()))
            .to(Mailbox::new(None, to))
            .subject(subject)
            .date(written)
            .message_id(Some(format!("<{id}@{}>", self.domain)))
            .raw_header(HeaderValue::new(AUTOMATIC, "auto-generated".to_owned()))
            .multipart(both.singlepart(part(ContentType::TEXT_HTML, html)))
            .ok()
    }
}

fn transport(smtp: Smtp, domain: &str) -> Result<AsyncSmtpTransport<Tokio1Executor>, NoTls> {
    let parameters = || parameters(&smtp).map_err(|_| NoTls);
    let tls = match smtp.security {
        Security::Tls => Tls::Wrapper(parameters()?),
        Security::StartTls => Tls::Required(parameters()?),
        Security::Plain => Tls::None,
    };
    let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(smtp.host)
        .port(smtp.port)
        .tls(tls)
        .timeout(Some(TAKEN_WITHIN))
        .hello_name(ClientId::Domain(domain.to_owned()))
        .pool_config(PoolConfig::new().max_size(u32::try_from(super::dispatch::ROUNDS_MAX).unwrap_or(u32::MAX)));
    Ok(match smtp.login {
        Some((user, password)) => builder.credentials(Credentials::new(user, password.expose().clone())).build(),
        None => builder.build(),
    })
}

fn parameters(smtp: &Smtp) -> Result<TlsParameters, lettre::transport::smtp::Error> {
    let builder = TlsParameters::builder(smtp.host.clone());
    let Some(roots) = &smtp.roots else { return builder.build() };
    let own = builder.certificate_store(CertificateStore::None);
    let add = |builder: TlsParametersBuilder, root: &CertificateDer<'_>| {
        Certificate::from_der(root.to_vec()).map(|root| builder.add_root_certificate(root))
    };
    roots.iter().try_fold(own, add)?.build()
}

fn taken<T>(answer: Result<T, lettre::transport::smtp::Error>) -> Result<(), NotTaken> {
    match answer {
        Ok(_) => Ok(()),
        Err(error) => Err(error.status().map_or(NotTaken::Away, |code| NotTaken::Refused(code.into()))),
    }
}

/// Writes a file of our own eyes only, whole or not at all.
async fn file(folder: &Path, id: MailId, bytes: &[u8]) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).await?;
    let partial = folder.join(format!(".{id}.partial"));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial).await?;
    file.write_all(bytes).await?;
    file.sync_all().await?;
    fs::rename(&partial, folder.join(format!("{id}.eml"))).await?;
    fs::File::open(folder).await?.sync_all().await
}

#[cfg(test)]
mod tests {
    use freehold_domain::letter::Content;

    use super::*;

    fn carrier() -> Carrier {
        let from = "no-reply@example.com".parse().unwrap();
        Carrier::new(from, "example.com", Way::Outbox(PathBuf::new())).unwrap()
    }

    fn shown(to: &str, name: &str) -> Option<String> {
        let letter = Letter { to: to.parse().unwrap(), content: Content::NoAccount };
        let sender = Sender { name, origin: "https://acme.example.com" };
        let id = MailId::new(UnixMs::new(1_795_729_620_000), [7; 10]);
        let parcel = Parcel { id, written: UnixMs::new(1_795_729_620_000), letter: &letter, sender };
        carrier().message(parcel).map(|message| String::from_utf8(message.formatted()).unwrap())
    }

    #[test]
    fn a_message_has_both_forms_and_the_head_of_an_automatic_one() {
        let message = shown("ada@example.com", "Acme").unwrap();
        let (head, body) = message.split_once("\r\n\r\n").unwrap();
        for line in [
            "From: Acme <no-reply@example.com>",
            "To: ada@example.com",
            "Subject: No account at Acme",
            "Date: Thu, 26 Nov 2026 21:47:00 +0000",
            "Auto-Submitted: auto-generated",
            "MIME-Version: 1.0",
        ] {
            assert!(head.lines().any(|known| known == line), "{line} in {head}");
        }
        assert!(head.contains("Message-ID: <") && head.contains("@example.com>"), "{head}");
        assert!(head.contains("multipart/alternative"), "{head}");
        let kinds: Vec<_> = body.matches("Content-Type: text/").collect();
        assert_eq!(kinds.len(), 2);
        assert!(body.find("text/plain") < body.find("text/html"), "the best form comes last");
    }

    #[test]
    fn no_name_begins_another_header() {
        let (name, known) = ("A\r\nBcc: x@example.com\n\n<b>\"", ["From", "To", "Subject", "Date", "Message-ID"]);
        let message = shown("ada@example.com", name).unwrap();
        let (head, _) = message.split_once("\r\n\r\n").unwrap();
        for line in head.split("\r\n").filter(|line| !line.starts_with([' ', '\t'])) {
            let (name, _) = line.split_once(": ").unwrap();
            let ours = ["Auto-Submitted", "MIME-Version", "Content-Type"].contains(&name) || known.contains(&name);
            assert!(ours && !line.contains(['\r', '\n']), "{line}");
        }
    }

    #[test]
    fn addresses_beyond_ascii_are_written() {
        assert!(shown("ärger@müller.example", "Acme").is_some());
        assert!(shown("root@localhost", "Acme").is_some());
    }
}
