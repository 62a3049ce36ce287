//! The names of all settings: `http.listen` in the file is `FREEHOLD_HTTP_LISTEN` in the environment.

use freehold_domain::tier::Tier;

use super::{
    acme, billing, breakers, data, database, domains, env, http, integrations, keys, limits, lockout, log, mail, oauth,
    outbound, passwords, platform, profile, redis, refresh, security, signing, tree, waf,
};

/// Settings whose value is never shown. Addresses with a scheme are among them: they may carry a password.
const SECRET: [&str; 12] = [
    keys::MASTER,
    database::URL,
    database::MIGRATE_URL,
    redis::URL,
    platform::PUBLIC_URL,
    mail::SMTP_URL,
    oauth::GITHUB_SECRET,
    oauth::GOOGLE_SECRET,
    integrations::QUICKBOOKS_SECRET,
    integrations::SQUARE_SECRET,
    integrations::SHOPIFY_SECRET,
    billing::SECRET_KEY,
];

/// Edits between a wrong name and a right one for it to be what was meant.
const EDITS_MAX: usize = 3;

/// Bytes the end of a name needs to name it.
const TAIL_BYTES_MIN: usize = 3;

/// Every setting, as the file names it.
pub(super) fn all() -> Vec<String> {
    [
        profile::SETTINGS,
        platform::SETTINGS,
        http::SETTINGS,
        acme::SETTINGS,
        data::SETTINGS,
        database::SETTINGS,
        redis::SETTINGS,
        keys::SETTINGS,
        lockout::SETTINGS,
        passwords::SETTINGS,
        mail::SETTINGS,
        oauth::SETTINGS,
        integrations::SETTINGS,
        billing::SETTINGS,
        domains::SETTINGS,
        outbound::SETTINGS,
        breakers::SETTINGS,
        signing::SETTINGS,
        security::SETTINGS,
        tree::SETTINGS,
        refresh::SETTINGS,
        waf::SETTINGS,
        log::SETTINGS,
    ]
    .into_iter()
    .flatten()
    .map(|setting| (*setting).to_owned())
    .chain(Tier::ALL.into_iter().map(limits::setting))
    .collect()
}

/// What the environment calls `setting`.
pub(super) fn in_env(setting: &str) -> String {
    format!("{}{}", env::PREFIX, setting.replace('.', "_").to_uppercase())
}

/// Whether the value of `setting` must not be shown.
pub(super) fn is_secret(setting: &str) -> bool {
    SECRET.contains(&setting)
}

/// The one of `names` that `wrong` was probably meant to be: a few letters off, or all but its section.
pub(super) fn meant<'a>(wrong: &str, names: &'a [String]) -> Option<&'a str> {
    let tail = wrong.rsplit_once('.').map_or(wrong, |(_, tail)| tail);
    let tail = tail.strip_prefix(env::PREFIX).unwrap_or(tail);
    let (edits, nearest) = names.iter().map(|name| (edits(wrong, name), name)).min()?;
    if edits <= EDITS_MAX.min(tail.len() / 2) {
        return Some(nearest);
    }
    names.iter().find(|name| tail.len() >= TAIL_BYTES_MIN && name.ends_with(tail)).map(String::as_str)
}

/// The least number of letters to add, drop or change (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (done, have) in from.chars().enumerate() {
        let mut left = done + 1;
        let mut diagonal = done;
        let mut next = vec![left];
        for (want, above) in to.iter().zip(row.iter().skip(1)) {
            left = (diagonal + usize::from(have != *want)).min(left + 1).min(above + 1);
            diagonal = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (from, to, count) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            assert_eq!(edits(from, to), count, "{from} {to}");
        }
    }

    #[test]
    fn near_names_are_found() {
        let names: Vec<String> = all().iter().map(|setting| in_env(setting)).collect();
        for (wrong, right) in [
            ("FREEHOLD_HTTP_LISTN", Some("FREEHOLD_HTTP_LISTEN")),
            ("FREEHOLD_LIMITS_LOGIN-ADDRESS", Some("FREEHOLD_LIMITS_LOGIN_ADDRESS")),
            ("FREEHOLD_MASTER_FILE", Some("FREEHOLD_KEYS_MASTER_FILE")),
            ("FREEHOLD_COLOUR_SCHEME", None),
            ("FREEHOLD_", None),
        ] {
            assert_eq!(meant(wrong, &names), right, "{wrong}");
        }
    }
}
