//! `[acme]`: certificates from an authority that speaks ACME, ordered and renewed by the server itself.

use std::time::Duration;

use freehold_actors::acme::AcmeRule;
use freehold_actors::outbound::ServiceUrl;
use freehold_domain::acme::Retry;
use freehold_domain::email::Email;

use super::http::REDIRECT_LISTEN;
use super::roots;
use super::values::Values;

pub(super) const DIRECTORY: &str = "acme.directory";
const TERMS_AGREED: &str = "acme.terms_agreed";
const CONTACT: &str = "acme.contact";
const CA_FILE: &str = "acme.ca_file";
const RETRY_S: &str = "acme.retry_s";
pub(super) const SETTINGS: &[&str] = &[DIRECTORY, TERMS_AGREED, CONTACT, CA_FILE, RETRY_S];

/// How certificates are ordered, if they are. The outer `None` comes with a fault.
#[expect(clippy::option_option, reason = "read wrongly, and not set, are two things")]
pub(super) fn read(values: &mut Values) -> Option<Option<AcmeRule>> {
    let remedy = "write it like https://acme-v02.api.letsencrypt.org/directory";
    let directory = values.read(DIRECTORY, "an https address", remedy, directory);
    let terms_agreed = values.read(TERMS_AGREED, "true or false", "write true or false", |text| text.parse().ok());
    let contact = values.read(CONTACT, "an e-mail address", "write it like certificates@example.com", |text| {
        text.parse::<Email>().ok()
    });
    let roots = roots::setting(values, CA_FILE);
    let retry_s = values.number(RETRY_S, "seconds", 1..=3_600);
    if !values.is_set(DIRECTORY) {
        for setting in [TERMS_AGREED, CONTACT, CA_FILE] {
            if values.is_set(setting) && !values.is_faulty(setting) {
                values.fault(setting, "is set, and FREEHOLD_ACME_DIRECTORY is not", "set both, or neither");
            }
        }
        return Some(None);
    }
    let directory = directory?;
    if terms_agreed != Some(true) && !values.is_faulty(TERMS_AGREED) {
        values.fault(
            TERMS_AGREED,
            "is not true, and the authority orders nothing without",
            "read the authority's terms of service, and set it to true if you agree",
        );
    }
    if !values.is_set(REDIRECT_LISTEN) && !values.is_faulty(REDIRECT_LISTEN) {
        values.fault(
            REDIRECT_LISTEN,
            "not set, and there an authority asks whose a host is",
            "set it to what the authority reaches as port 80 of every host, like 0.0.0.0:80",
        );
    }
    let contact = contact.map(|contact| contact.as_str().to_owned());
    let retry = Retry { first: Duration::from_secs(u64::from(retry_s?)) };
    Some(Some(AcmeRule { directory, contact, roots: roots?, retry }))
}

fn directory(text: &str) -> Option<String> {
    ServiceUrl::parse(text).filter(|_| text.starts_with("https://")).map(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_an_https_address() {
        for good in ["https://acme-v02.api.letsencrypt.org/directory", "https://127.0.0.1:14000/dir"] {
            assert_eq!(directory(good).as_deref(), Some(good));
        }
        for bad in ["http://127.0.0.1:14000/dir", "acme.example.com", "https://u@example.com/dir", "https://", ""] {
            assert_eq!(directory(bad), None, "{bad}");
        }
    }
}
