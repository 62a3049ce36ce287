//! What holds for every request: TLS, headers, limits, logs, configuration.

use freehold_domain::security_report::{ANSWERED_KEPT, ANSWERED_WITHIN, OPEN_MAX};
use freehold_domain::tier::{Limit, Tier};
use serde_json::Value;

use super::super::entry::Entry;
use super::super::{TlsBy, View};
use crate::headers;
use crate::host::Place;
use crate::public::Cleartext;
use crate::serve::ServeOptions;

/// The tiers that something counts today. The others have a limit and nothing to limit yet.
const COUNTED: [Tier; 13] = [
    Tier::Address,
    Tier::LoginAddress,
    Tier::LoginAccount,
    Tier::Signup,
    Tier::PasswordReset,
    Tier::SecondFactor,
    Tier::Refresh,
    Tier::ApiMember,
    Tier::ApiTenant,
    Tier::PublicForm,
    Tier::WebhookIn,
    Tier::CspReport,
    Tier::Operator,
];

pub(super) fn entries(view: View<'_>) -> Vec<Entry> {
    let mut entries = vec![tls(view), hsts(view), policies()];
    entries.extend(fixed_headers());
    entries.extend([
        limits(view),
        stages(),
        Entry::new(
            "K8",
            "One client does not take the places of all.",
            "Connections are bounded in number, of one address too, and in the time that each may take.",
        )
        .with("connections_of_one_address_max", ServeOptions::default().per_address_max),
        request_filter(view),
        Entry::new(
            "K43",
            "What browsers report of pages is collected, in bounds, and shown to admins.",
            "Pages of tenants name a place to report to; it takes both formats and keeps each sort once, for a time.",
        ),
        Entry::new(
            "K75",
            "Every request has an id.",
            "Its answer, its log line and its rows in the audit log carry it.",
        ),
        configuration(view),
        disclosure(view),
        reports(),
    ]);
    entries
}

fn request_filter(view: View<'_>) -> Entry {
    let entry = Entry::new(
        "K12",
        "What scanners ask for is refused before a tenant is asked.",
        "A request filter, which is not a web application firewall: paths that climb, hide characters or look for other \
         software, and queries that are scripts or statements, are refused and counted.",
    );
    #[cfg(feature = "waf")]
    let entry = with_rules(view).unwrap_or(entry);
    entry.with("denied_networks", view.node.settings.denied_networks.len())
}

/// What is told where requests are compared with rules.
#[cfg(feature = "waf")]
fn with_rules(view: View<'_>) -> Option<Entry> {
    use freehold_domain::waf::Mode;

    let waf = view.deployment.waf.as_ref()?;
    let mode = Mode::in_force(view.node.settings.waf, view.settings.waf);
    let how = match mode {
        Mode::Off => return None,
        Mode::Detect => {
            "A request filter refuses and counts what scanners ask for; then a web application firewall compares head and \
             body of each request, without secrets, with rules, and counts those that match. It refuses none."
        }
        Mode::Block => {
            "A request filter refuses and counts what scanners ask for; then a web application firewall compares head and \
             body of each request, without secrets, with rules, and refuses those that they are against."
        }
    };
    let entry = Entry::new(
        "K12",
        "What scanners ask for is refused before a tenant is asked; requests are compared with rules.",
        how,
    );
    Some(entry.with("rule_set", waf.signatures.clone()).with("rules", waf.count).with("mode", mode.as_str()))
}

fn tls(view: View<'_>) -> Entry {
    let entry = |how| Entry::new("K16", "TLS 1.2 and 1.3 and nothing older; what comes without is sent to HTTPS.", how);
    let is_served = view.deployment.cleartext == Cleartext::Served;
    match view.deployment.tls {
        TlsBy::Server(_) => entry("The server speaks TLS itself, and on its listener nothing else; a plain listener, if there is one, only redirects, and answers a certificate authority that asks whose a host is.")
            .with("spoken_by", "the server")
            .with("versions", vec!["1.3", "1.2"]),
        TlsBy::Proxy => entry("A proxy that the operator trusts speaks TLS and says whether a request came over it.")
            .with("spoken_by", "a trusted proxy")
            .left_to_provider("Which versions of TLS its proxy speaks.")
            .unless(is_served, "In the development profile, what comes without TLS is served."),
        TlsBy::Nobody => entry("Not at all.")
            .with("spoken_by", "nobody")
            .unless(true, "Neither has this server certificates nor does it trust a proxy that speaks TLS."),
    }
}

fn hsts(view: View<'_>) -> Entry {
    let settings = &view.node.settings;
    let is_told = settings.public_scheme == "https" && !matches!(view.deployment.tls, TlsBy::Nobody);
    let value = headers::hsts_at(&settings.platform_domain, &Place::Apex).filter(|_| is_told);
    let entry = Entry::new(
        "K17",
        "Browsers that came once come by HTTPS alone, for two years, to every host of the platform.",
        "Every answer over TLS says so, errors included.",
    );
    let is_off = value.is_none();
    entry
        .with("strict-transport-security", value)
        .unless(is_off, "Nobody speaks TLS here, or the platform's name is one of this machine alone.")
}

fn policies() -> Entry {
    let [page, other] = headers::policies("{nonce}");
    Entry::new(
        "K41",
        "No answer lets a browser load, run or frame what is not the server's own.",
        "Every answer has a content security policy, and every page a nonce of its own, without which nothing inline runs.",
    )
    .with("policy_of_pages", page)
    .with("policy_of_everything_else", other)
    .with("nonce_bits", 128)
}

fn fixed_headers() -> [Entry; 3] {
    let told = headers::fixed();
    let value = |wanted: &str| told.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
    [
        ("K46", "No other site can frame an answer.", "x-frame-options"),
        ("K47", "Other sites learn of no more than the origin that led to them.", "referrer-policy"),
        ("K48", "Pages may not use camera, microphone and position.", "permissions-policy"),
    ]
    .map(|(id, promise, name)| {
        Entry::new(id, promise, "Every answer says so, errors included.").with(name, value(name))
    })
}

fn limits(view: View<'_>) -> Entry {
    let entry = Entry::new(
        "K53",
        "Requests are limited, and a limited one is told truly how long to wait.",
        "Buckets that fill evenly, counted for addresses, accounts, members, keys and tenants; 429 with Retry-After.",
    );
    let entry = COUNTED.into_iter().fold(entry, |entry, tier| entry.with(tier.as_str(), view.limit(tier).to_string()));
    let is_off = |tier: &Tier| view.limit(*tier) == Limit::Off;
    let off: Vec<&str> = COUNTED.iter().filter(|tier| is_off(tier)).map(|tier| tier.as_str()).collect();
    let unused = Tier::ALL.into_iter().filter(|tier| !COUNTED.contains(tier)).map(|tier| Value::from(tier.as_str()));
    let why = format!("Switched off: {}.", off.join(", "));
    entry.with("not_built_yet", Value::Array(unused.collect())).unless(!off.is_empty(), &why)
}

fn stages() -> Entry {
    let graduated = COUNTED.into_iter().filter(|tier| tier.row().graduation.is_some());
    Entry::new(
        "K4",
        "Whoever is limited and keeps on is blocked, and then banned for a while; whoever waits as told is let in.",
        "Refusals that come before the wait is over are counted, of those who can be held responsible. Each stage is told with \
         Retry-After, counted, shown to admins, and can be lifted by them.",
    )
    .with("tiers", graduated.map(|tier| Value::from(tier.as_str())).collect::<Vec<_>>())
}

fn configuration(view: View<'_>) -> Entry {
    let is_development = !view.deployment.is_production;
    Entry::new(
        "K14",
        "No default of development and no secret that is missing goes into production.",
        "A server that is configured wrongly names every fault and does not start.",
    )
    .with("profile", if is_development { "development" } else { "production" })
    .unless(is_development, "This server runs in the development profile, in which what is missing has a default.")
}

fn disclosure(view: View<'_>) -> Entry {
    let is_missing = view.deployment.disclosure.is_none();
    Entry::new(
        "K94",
        "Whoever finds a weakness knows whom to tell.",
        "Every host of the platform serves /.well-known/security.txt (RFC 9116), which never has expired.",
    )
    .unless(is_missing, "The operator has named nobody to tell.")
}

fn reports() -> Entry {
    Entry::new(
        "A40",
        "A report of a weakness starts a clock of 48 hours, and whoever runs the server sees it run out.",
        "Once there is an operator, every host but the API's has a form at /security/report. A report is kept sealed and read by \
         operators alone; the letter that tells of it says nothing of what it says. Metrics tell how many wait, how many for \
         too long, and for how long the oldest.",
    )
    .with("answered_within_h", ANSWERED_WITHIN.as_secs() / 3_600)
    .with("waiting_max", OPEN_MAX)
    .with("answered_kept_days", ANSWERED_KEPT.as_secs() / 86_400)
    .with("counted_by", Tier::PublicForm.as_str())
}
