//! Passwords, the second factor, and the ways in.

use freehold_actors::breached::WhenUnknown;
use freehold_actors::mail::carrier::Security as Protection;
use freehold_domain::backup_code::{CODE_BYTES, CODES};
use freehold_domain::challenge::{ANSWERS_MAX, CHALLENGE_TTL};
use freehold_domain::oauth::Provider;
use freehold_domain::settings::{Registration, RequireSecondFactor};
use freehold_domain::totp::{DIGITS, SECRET_BYTES, STEP_S, WINDOW};

use super::super::View;
use super::super::entry::Entry;

pub(super) fn entries(view: View<'_>) -> Vec<Entry> {
    let mut entries = vec![hashes(view), lengths(view), breached(view), lockout(view), totp(), second_factor(view)];
    entries.extend([
        Entry::new(
            "K25",
            "A password is never stored or logged.",
            "It is hashed in memory that is wiped, and shown to no log.",
        ),
        Entry::new(
            "K35",
            "Whoever loses the second factor has backup codes, each good once.",
            "They are shown once, and new ones void the old; of each there is a SHA-256 and nothing else.",
        )
        .with("codes", CODES)
        .with("bits_of_a_code", 8 * CODE_BYTES),
        registration(view),
        letters(view),
    ]);
    entries.extend(providers(view));
    entries
}

fn hashes(view: View<'_>) -> Entry {
    let params = view.node.pool.params();
    Entry::new(
        "K24",
        "Passwords are kept as argon2id with stated parameters, never weaker than OWASP's minimum.",
        "A hash that was made with others is made anew at its member's next sign-in.",
    )
    .with("memory_kib", params.memory_kib())
    .with("passes", params.passes())
    .with("lanes", params.lanes())
}

fn lengths(view: View<'_>) -> Entry {
    Entry::new(
        "K24",
        "New passwords are long; what they are made of is free.",
        "The shorter length holds only for who is always asked for a second factor too.",
    )
    .with("characters_min", view.settings.password_chars_min)
    .with("characters_min_with_second_factor", view.settings.password_chars_min_with_second_factor)
}

fn breached(view: View<'_>) -> Entry {
    let breached = &view.node.breached;
    let unknown = match breached.when_unknown() {
        WhenUnknown::Accept => "accepted, and looked up again at the next sign-in",
        WhenUnknown::Refuse => "refused",
    };
    let source = breached.source_name();
    Entry::new(
        "K26",
        "A new password that has appeared in a breach is refused.",
        "It is looked up in a list; of a service that has the list five hex digits of its SHA-1 are asked and nothing else.",
    )
    .with("looked_up_in", source)
    .with("when_nobody_can_say", unknown)
    .unless(source == "none", "The operator has named no list: the commonest passwords are refused, and no others.")
}

fn lockout(view: View<'_>) -> Entry {
    let rule = view.node.settings.lockout;
    Entry::new(
        "K27",
        "Failures in a row lock an account for a time, whatever comes in parallel and whatever crashes.",
        "Each attempt is charged, durably, before its password is looked at.",
    )
    .with("failures_max", rule.failures_max)
    .with("lock_s", rule.lock.as_secs())
}

fn totp() -> Entry {
    Entry::new(
        "K33",
        "Every member can have a second factor; its codes work once.",
        "TOTP (RFC 6238). Answers are limited and locked like passwords; the secret is sealed.",
    )
    .with("algorithm", "HMAC-SHA-1")
    .with("digits", DIGITS)
    .with("step_s", STEP_S)
    .with("steps_early_or_late", WINDOW)
    .with("secret_bits", 8 * SECRET_BYTES)
    .with("answers_to_a_challenge_max", ANSWERS_MAX)
    .with("challenge_s", CHALLENGE_TTL.as_secs())
}

fn second_factor(view: View<'_>) -> Entry {
    let settings = view.settings;
    let roles: Vec<&str> = settings.second_factor_roles.iter().map(|role| role.as_str()).collect();
    let (rule, roles) = match settings.require_second_factor {
        RequireSecondFactor::Off => ("nobody", vec![]),
        RequireSecondFactor::Roles => ("members with one of the roles", roles),
        RequireSecondFactor::All => ("everybody", vec![]),
    };
    let is_off = settings.require_second_factor == RequireSecondFactor::Off;
    let why = match view.tenant {
        Some(_) => "This tenant requires a second factor of nobody: it is each member's choice.",
        None => "A tenant that has set nothing requires it of nobody.",
    };
    Entry::new(
        "K34",
        "Whoever must have a second factor and has none can do nothing but enrol one, whatever way they came in.",
        "Whom a tenant requires it of is for its admins to set, and in force on the next request.",
    )
    .with("required_of", rule)
    .with("roles", roles)
    .with("grace_s", settings.second_factor_grace_s)
    .with("operators_must_have_one", view.node.settings.operators_need_second_factor)
    .unless(is_off, why)
}

fn registration(view: View<'_>) -> Entry {
    let is_open = view.settings.registration == Registration::Open;
    Entry::new(
        "A12",
        "Nobody becomes a member without an invitation.",
        "Admins invite; asking, signing in and registering tell nobody who has an account.",
    )
    .with("registration", if is_open { "open" } else { "closed" })
    .unless(is_open, "This tenant lets everybody register who reads mail at the address they give.")
}

fn letters(view: View<'_>) -> Entry {
    let protection = view.node.post.protection();
    let way = match protection {
        Some(Protection::Tls) => "SMTP over TLS",
        Some(Protection::StartTls) => "SMTP with STARTTLS, without which nothing is sent",
        Some(Protection::Plain) => "SMTP in the clear, to this machine alone",
        None => "files in an outbox",
    };
    Entry::new(
        "A12",
        "Letters are sent, and tried again until they are taken or given up.",
        "They are stored, sealed, together with what they are about; the server that sends them is the operator's to name.",
    )
    .with("sent_by", way)
    .unless(protection.is_none(), "No mail server is named: letters become files in a folder, and reach nobody by themselves.")
}

fn providers(view: View<'_>) -> [Entry; 2] {
    [
        (
            Provider::GitHub,
            "A13",
            "Members can sign in with GitHub, by the account they linked and never by an address.",
        ),
        (
            Provider::Google,
            "A14",
            "Members can sign in with Google, by the account they linked and never by an address.",
        ),
    ]
    .map(|(provider, id, promise)| {
        let is_there = view.node.providers.has(provider);
        Entry::new(id, promise, "State, PKCE and a cookie bind the sign-in to its browser and tenant; each works once.")
            .with("configured", is_there)
            .unless(!is_there, "The operator has no client there.")
    })
}
