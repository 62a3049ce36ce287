//! `[security]`: where whoever has found a weakness may tell of it.

use std::time::Duration;

use freehold_domain::disclosure::{Contact, Disclosure};

use super::values::Values;

const CONTACT: &str = "security.contact";
const EXPIRES_DAYS: &str = "security.expires_days";
const POLICY_URL: &str = "security.policy_url";
const LANGUAGES: &str = "security.preferred_languages";
pub(super) const SETTINGS: &[&str] = &[CONTACT, EXPIRES_DAYS, POLICY_URL, LANGUAGES];

const DAY: Duration = Duration::from_hours(24);
/// A hunter reads them from the first on.
const CONTACTS_MAX: usize = 8;

/// What stands in `security.txt`, if there is one. The outer `None` comes with a fault.
#[expect(clippy::option_option, reason = "read wrongly, and not set, are two things")]
pub(super) fn read(values: &mut Values) -> Option<Option<Disclosure>> {
    let remedy = "write mailto:security@example.com or an https address; several with commas between";
    let contacts = values.read(CONTACT, "one to eight mailto or https addresses", remedy, contacts);
    let days = values.number(EXPIRES_DAYS, "days", 1..=365);
    let policy = values
        .read(POLICY_URL, "an https address", "write it like https://example.com/disclosure", |text| text.parse().ok());
    let remedy = "write tags with commas between, like en,de";
    let languages = values.read(LANGUAGES, "a list of language tags", remedy, |text| text.parse().ok());
    if !values.is_set(CONTACT) {
        for (setting, is_given) in [(POLICY_URL, policy.is_some()), (LANGUAGES, languages.is_some())] {
            if is_given {
                values.fault(setting, "is set, and FREEHOLD_SECURITY_CONTACT is not", "set both, or neither");
            }
        }
    }
    let holds = DAY * days?;
    Some(contacts.map(|contacts| Disclosure { contacts, holds, policy, languages }))
}

fn contacts(text: &str) -> Option<Vec<Contact>> {
    let contacts: Option<Vec<Contact>> =
        text.split(',').map(|contact| contact.trim_matches(' ').parse().ok()).collect();
    contacts.filter(|contacts| contacts.len() <= CONTACTS_MAX)
}
