//! `[mail]`: how letters leave the server, and from whom they are.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use freehold_actors::mail::carrier::{From, Security, Smtp, Way};
use freehold_domain::delivery::Patience;
use freehold_domain::secret::Secret;

use super::data::OUTBOX_DIR;
use super::platform::Platform;
use super::roots;
use super::values::Values;

pub(super) const SMTP_URL: &str = "mail.smtp_url";
const SMTP_CA_FILE: &str = "mail.smtp_ca_file";
const OUTBOX: &str = "mail.outbox";
const FROM: &str = "mail.from";
const RETRY_S: &str = "mail.retry_s";
const GIVE_UP_S: &str = "mail.give_up_s";
pub(super) const SETTINGS: &[&str] = &[SMTP_URL, SMTP_CA_FILE, OUTBOX, FROM, RETRY_S, GIVE_UP_S];

const TLS_PORT: u16 = 465;
const SUBMISSION_PORT: u16 = 587;

/// How letters leave the server.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The server's own address.
    pub from: From,
    /// SMTP, or a folder.
    pub way: Way,
    /// How often a letter is tried: 1 second to an hour after the first try, and given up after a second to a week.
    pub patience: Patience,
}

pub(super) fn read(values: &mut Values, platform: Option<&Platform>, data_dir: Option<&Path>) -> Option<Mail> {
    let remedy = "write it like smtps://user:password@mail.example.com, special characters as %XX";
    let smtp = values.read(SMTP_URL, "an smtps or smtp address", remedy, parse_smtp);
    let roots = roots::setting(values, SMTP_CA_FILE);
    if values.is_set(SMTP_CA_FILE) && !values.is_set(SMTP_URL) && !values.is_faulty(SMTP_CA_FILE) {
        values.fault(SMTP_CA_FILE, "is set, and FREEHOLD_MAIL_SMTP_URL is not", "set both, or neither");
    }
    let outbox = values.read(OUTBOX, "a path", "write the path of a folder", |text| {
        (!text.contains('\0')).then(|| PathBuf::from(text))
    });
    if values.is_set(SMTP_URL) && values.is_set(OUTBOX) {
        values.fault(OUTBOX, "FREEHOLD_MAIL_SMTP_URL is set too", "unset one of the two");
    }
    let from: Option<From> =
        values.read(FROM, "an address", "write it like no-reply@example.com", |text| text.parse().ok());
    let retry_s = values.number(RETRY_S, "seconds", 1..=3_600);
    let give_up_s = values.number(GIVE_UP_S, "seconds", 1..=604_800);
    let default_from = || platform.and_then(|platform| format!("no-reply@{}", platform.domain).parse().ok());
    let from = if values.is_set(FROM) { from } else { default_from() };
    let default_outbox = || data_dir.map(|dir| dir.join(OUTBOX_DIR));
    let roots = roots?;
    let way = match (smtp, outbox) {
        (Some(smtp), _) => Some(Way::Smtp(Smtp { roots, ..smtp })),
        (None, _) if values.is_set(SMTP_URL) => None,
        (None, outbox) => outbox.or_else(default_outbox).map(Way::Outbox),
    };
    let seconds = |seconds: u32| Duration::from_secs(seconds.into());
    let patience = Patience { retry: seconds(retry_s?), give_up: seconds(give_up_s?) };
    Some(Mail { from: from?, way: way?, patience })
}

/// `smtps://` is TLS from the first byte; `smtp://` is TLS before anything is sent, and plain only to this machine.
fn parse_smtp(text: &str) -> Option<Smtp> {
    let (scheme, rest) = text.split_once("://")?;
    let (login, authority) = match rest.rsplit_once('@') {
        Some((login, authority)) => (Some(parse_login(login)?), authority),
        None => (None, rest),
    };
    let (host, port) = parse_authority(authority.strip_suffix('/').unwrap_or(authority))?;
    let (security, default_port) = match scheme {
        "smtps" => (Security::Tls, TLS_PORT),
        "smtp" if is_this_machine(&host) => (Security::Plain, SUBMISSION_PORT),
        "smtp" => (Security::StartTls, SUBMISSION_PORT),
        _ => return None,
    };
    Some(Smtp { host, port: port.unwrap_or(default_port), security, login, roots: None })
}

fn parse_login(text: &str) -> Option<(String, Secret<String>)> {
    let (user, password) = text.split_once(':')?;
    let (user, password) = (percent_decoded(user)?, Secret::new(percent_decoded(password)?));
    (!user.is_empty() && !password.expose().is_empty()).then_some((user, password))
}

fn parse_authority(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        }
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':');
    let port = port.map(|digits| digits.parse().ok().filter(|port| *port > 0 && !digits.starts_with('+')));
    let port = match port {
        Some(None) => return None,
        Some(Some(port)) => Some(port),
        None => None,
    };
    (!host.is_empty() && host.chars().all(named)).then(|| (host.to_ascii_lowercase(), port))
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The text with every `%XX` as the byte it stands for.
fn percent_decoded(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let (code, rest) = piece.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok().filter(|_| !code.starts_with('+'))?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_mail_servers() {
        let read = |text| parse_smtp(text).map(|smtp| (smtp.host, smtp.port, smtp.security));
        for (text, host, port, security) in [
            ("smtps://mail.example.com", "mail.example.com", 465, Security::Tls),
            ("smtps://Mail.Example.com:1465/", "mail.example.com", 1_465, Security::Tls),
            ("smtp://mail.example.com", "mail.example.com", 587, Security::StartTls),
            ("smtp://10.0.0.1:25", "10.0.0.1", 25, Security::StartTls),
            ("smtp://localhost", "localhost", 587, Security::Plain),
            ("smtp://127.0.0.1:1025", "127.0.0.1", 1_025, Security::Plain),
            ("smtp://[::1]:1025", "::1", 1_025, Security::Plain),
            ("smtps://127.0.0.1", "127.0.0.1", 465, Security::Tls),
        ] {
            assert_eq!(read(text), Some((host.to_owned(), port, security)), "{text}");
        }
        for wrong in [
            "mail.example.com",
            "http://mail.example.com",
            "smtp://",
            "smtp://:25",
            "smtp://a:0",
            "smtp://a:+1",
            "smtp://a:65536",
            "smtp://a/b",
            "smtp://a?tls=none",
            "smtp://user@a",
            "smtp://user:@a",
            "smtp://:x@a",
            "smtp://u%4:p@a",
            "smtp://u%+1:p@a",
            "smtp://u%00:p@a",
            "smtp://[::1",
            "smtp://[a]",
        ] {
            assert!(read(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_login_is_written_with_percent_signs() {
        let (user, password) =
            parse_smtp("smtps://me%40example.com:a%3Ab@c%25@mail.example.com").unwrap().login.unwrap();
        assert_eq!((user.as_str(), password.expose().as_str()), ("me@example.com", "a:b@c%"));
        let shown = format!("{:?}", parse_smtp("smtps://me:hunter2@mail.example.com"));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
