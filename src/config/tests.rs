//! The configuration as a whole.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::time::Duration;

use freehold_actors::breached::Source;
use freehold_actors::domain_proofs::ProofRule;
use freehold_actors::integrations::IntegrationsRule;
use freehold_actors::mail::carrier::{Security, Way};
use freehold_actors::public_client::OutboundRule;
use freehold_domain::breaker::BreakerRule;
use freehold_domain::custom_domain::Rules;
use freehold_domain::delivery::Patience;
use freehold_domain::public_url::Reach;
use freehold_domain::stripe::PriceId;
use freehold_domain::tier::{Limit, Limits, Tier};

use super::scratch::Scratch;
use super::*;

const RING: &str = "k1:q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
const CANARY: &str = "cAnArY5ecret";

/// What production needs, and nothing else.
const PRODUCTION: [(&str, &str); 4] = [
    ("FREEHOLD_KEYS_MASTER", RING),
    ("FREEHOLD_PLATFORM_DOMAIN", "example.com"),
    ("FREEHOLD_PLATFORM_PUBLIC_URL", "https://example.com"),
    ("FREEHOLD_HTTP_TRUSTED_PROXIES", "10.0.0.1"),
];

fn env(changes: &[(&str, &str)]) -> Env {
    changes.iter().copied().collect()
}

/// Production with these variables changed; an empty value unsets one.
fn production(changes: &[(&str, &str)]) -> Result<Config, Faults> {
    let kept = PRODUCTION.into_iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    let env: Env = kept.chain(changes.iter().copied().filter(|(_, value)| !value.is_empty())).collect();
    Config::load(None, &env)
}

fn development(changes: &[(&str, &str)]) -> Result<Config, Faults> {
    let profile = [("FREEHOLD_PROFILE", "development")];
    Config::load(None, &profile.into_iter().chain(changes.iter().copied()).collect())
}

fn in_file(text: &str) -> Result<Config, Faults> {
    let scratch = Scratch::new();
    let path = scratch.write("freehold.toml", &format!("profile = 'development'\n{text}"), 0o600);
    Config::load(Some(&path), &env(&[]))
}

#[track_caller]
fn lines(result: Result<Config, Faults>) -> Vec<String> {
    result.expect_err("it is refused").to_string().lines().map(str::to_owned).collect()
}

/// The one line of a refusal.
#[track_caller]
fn line(result: Result<Config, Faults>) -> String {
    let lines = lines(result);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines.concat()
}

#[test]
fn development_needs_nothing() {
    let config = development(&[]).expect("the defaults are right");
    assert_eq!(config.profile, Profile::Development);
    assert_eq!(config.public_url_at(41_234).to_string(), "http://localhost:41234");
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.private.listen.to_string(), "127.0.0.1:9090");
    assert_eq!(config.data_dir, Path::new("./data"));
    assert!(matches!(config.database, Database::Sqlite));
    assert!(config.keys.master.is_none() && config.keys.file.is_none());
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.lockout, LockoutRule { failures_max: 5, lock: Duration::from_mins(15) });
    let tree = Tree {
        passivate: Duration::from_mins(5),
        quarantine: Duration::from_secs(30),
        reconcile: Duration::from_mins(1),
        unready_from: 10,
    };
    assert_eq!(config.tree, tree);
    let signing = Signing { rotate: Some(Duration::from_hours(90 * 24)), announced: Duration::from_hours(1) };
    assert_eq!(config.signing, signing);
    let rules = Rules {
        recheck: Duration::from_hours(24),
        retry: Duration::from_hours(1),
        detach_after: Duration::from_hours(72),
    };
    assert_eq!(config.domains, ProofRule { resolver: None, http_port: 80, private_networks: vec![], rules });
    let reach = Reach { private_networks: vec![], ports: vec![443..=443, 8_443..=8_443] };
    let IntegrationsRule { quickbooks, square, shopify, twilio_api_url } = &config.integrations;
    assert_eq!(shopify, &None);
    assert_eq!((quickbooks, square, twilio_api_url.to_string().as_str()), (&None, &None, "https://api.twilio.com"));
    assert_eq!(config.stripe, None);
    assert_eq!(config.outbound, OutboundRule { resolver: None, reach, roots: vec![] });
    assert_eq!(config.breaker, BreakerRule::USUAL);
    assert_eq!(config.refresh.coalesce, Duration::from_millis(50));
    assert_eq!(config.log.as_str(), "info");
}

#[test]
fn production_names_everything_it_misses_at_once() {
    let names: Vec<String> = lines(Config::load(None, &env(&[])))
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, _)| name.to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "FREEHOLD_HTTP_TRUSTED_PROXIES",
            "FREEHOLD_KEYS_MASTER",
            "FREEHOLD_PLATFORM_DOMAIN",
            "FREEHOLD_PLATFORM_PUBLIC_URL"
        ]
    );
    let config = production(&[]).expect("these four suffice");
    assert_eq!(config.profile, Profile::Production);
    assert_eq!(config.public_url_at(8_080).origin_of("acme"), "https://acme.example.com");
    assert!(config.keys.master.is_some());
    for name in names {
        assert!(line(production(&[(&name, "")])).starts_with(&name));
    }
}

#[test]
fn a_certificate_comes_with_its_key_and_both_are_read() {
    for (changes, named) in [
        (vec![("FREEHOLD_HTTP_TLS_CERT", "a.pem")], "FREEHOLD_HTTP_TLS_KEY: not set"),
        (vec![("FREEHOLD_HTTP_TLS_KEY", "a.pem")], "FREEHOLD_HTTP_TLS_CERT: not set"),
        (
            vec![("FREEHOLD_HTTP_TLS_CERT", "a,b"), ("FREEHOLD_HTTP_TLS_KEY", "a")],
            "FREEHOLD_HTTP_TLS_KEY: names another",
        ),
        (
            vec![("FREEHOLD_HTTP_TLS_CERT", "/nonexistent/a"), ("FREEHOLD_HTTP_TLS_KEY", "/nonexistent/b")],
            "FREEHOLD_HTTP_TLS_CERT: /nonexistent/a cannot be read",
        ),
        (vec![("FREEHOLD_HTTP_REDIRECT_LISTEN", "127.0.0.1:80")], "FREEHOLD_HTTP_REDIRECT_LISTEN: sends to HTTPS"),
    ] {
        let line = line(production(&changes));
        assert!(line.starts_with(named), "{line}");
    }
}

#[test]
fn certificates_are_ordered_where_everything_is_there_for_it() {
    const DIRECTORY: (&str, &str) = ("FREEHOLD_ACME_DIRECTORY", "https://acme.example.com/directory");
    const AGREED: (&str, &str) = ("FREEHOLD_ACME_TERMS_AGREED", "true");
    const REDIRECT: (&str, &str) = ("FREEHOLD_HTTP_REDIRECT_LISTEN", "0.0.0.0:80");
    assert!(production(&[]).expect("it needs none").acme.is_none());
    let all = [
        DIRECTORY,
        AGREED,
        REDIRECT,
        ("FREEHOLD_ACME_CONTACT", "a@example.com"),
        ("FREEHOLD_HTTP_TRUSTED_PROXIES", ""),
    ];
    let config = production(&all).expect("it is TLS enough for production");
    assert!(config.public_url_at(443).origin_of("acme").starts_with("https://"));
    let rule = config.acme.expect("it is set");
    assert_eq!((rule.directory.as_str(), rule.contact.as_deref()), (DIRECTORY.1, Some("a@example.com")));
    assert!(rule.roots.is_none() && rule.retry.first == Duration::from_mins(1));

    for (changes, named) in [
        (vec![DIRECTORY, REDIRECT], "FREEHOLD_ACME_TERMS_AGREED: is not true"),
        (vec![DIRECTORY, REDIRECT, ("FREEHOLD_ACME_TERMS_AGREED", "false")], "FREEHOLD_ACME_TERMS_AGREED: is not true"),
        (vec![DIRECTORY, AGREED], "FREEHOLD_HTTP_REDIRECT_LISTEN: not set"),
        (vec![AGREED], "FREEHOLD_ACME_TERMS_AGREED: is set, and FREEHOLD_ACME_DIRECTORY is not"),
    ] {
        let line = line(production(&changes));
        assert!(line.starts_with(named), "{line}");
    }
    let scratch = Scratch::new();
    let empty = scratch.write("ca.pem", "nothing", 0o644).display().to_string();
    let line_ca = line(production(&[DIRECTORY, AGREED, REDIRECT, ("FREEHOLD_ACME_CA_FILE", &empty)]));
    assert!(line_ca.contains("holds no certificate"), "{line_ca}");
    let text = "http.redirect_listen = '0.0.0.0:80'\nacme.directory = 'https://a.test/d'\nacme.terms_agreed = true";
    assert!(in_file(text).expect("true needs no quotes").acme.is_some());
}

#[test]
fn production_refuses_what_development_takes() {
    for (name, value) in [
        ("FREEHOLD_PLATFORM_PUBLIC_URL", "http://example.com"),
        ("FREEHOLD_LIMITS_LOGIN_ADDRESS", "off"),
        ("FREEHOLD_LIMITS_ADDRESS", "off"),
    ] {
        assert!(line(production(&[(name, value)])).starts_with(name));
        let config = development(&[("FREEHOLD_PLATFORM_DOMAIN", "example.com"), (name, value)]);
        assert!(config.is_ok(), "{config:?}");
    }
    let local = [("FREEHOLD_PLATFORM_DOMAIN", "a.localhost"), ("FREEHOLD_PLATFORM_PUBLIC_URL", "https://a.localhost")];
    assert!(line(production(&local)).starts_with("FREEHOLD_PLATFORM_DOMAIN: is localhost"));
}

#[test]
fn a_malformed_value_is_one_line_with_its_name() {
    for (name, value) in [
        ("FREEHOLD_PLATFORM_DOMAIN", "exa mple.com"),
        ("FREEHOLD_PLATFORM_PUBLIC_URL", "example.com"),
        ("FREEHOLD_PLATFORM_PUBLIC_URL", "https://other.com"),
        ("FREEHOLD_HTTP_LISTEN", "localhost:8080"),
        ("FREEHOLD_HTTP_LISTEN", "127.0.0.1:9090\nFAKE: line"),
        ("FREEHOLD_PRIVATE_LISTEN", "127.0.0.1"),
        ("FREEHOLD_PRIVATE_LISTEN", "127.0.0.1:8080"),
        ("FREEHOLD_HTTP_TLS_CERT", " ,"),
        ("FREEHOLD_HTTP_TLS_KEY", " ,"),
        ("FREEHOLD_HTTP_TRUSTED_PROXIES", "0.0.0.0/0"),
        ("FREEHOLD_ACME_DIRECTORY", "http://acme.example.com/directory"),
        ("FREEHOLD_ACME_CONTACT", "mailto:a@example.com"),
        ("FREEHOLD_ACME_CA_FILE", "/nonexistent/ca.pem"),
        ("FREEHOLD_ACME_TERMS_AGREED", "1"),
        ("FREEHOLD_ACME_RETRY_S", "3601"),
        ("FREEHOLD_DATA_DIR", " "),
        ("FREEHOLD_DATABASE_URL", "mysql://db/x"),
        ("FREEHOLD_DATABASE_MIGRATE_URL", "postgres://db/x"),
        ("FREEHOLD_DATABASE_POOLER", "session"),
        ("FREEHOLD_DATABASE_POOLER", "transaction"),
        ("FREEHOLD_REDIS_URL", "rediss://localhost/#insecure"),
        ("FREEHOLD_REDIS_CA_FILE", "/nonexistent/ca.pem"),
        ("FREEHOLD_KEYS_MASTER", "k1:AAAA"),
        ("FREEHOLD_KEYS_MASTER_FILE", "/nonexistent/master"),
        ("FREEHOLD_LIMITS_API_TENANT", "10/day"),
        ("FREEHOLD_LIMITS_EXPORT", "0/h"),
        ("FREEHOLD_LOCKOUT_FAILURES_MAX", "0"),
        ("FREEHOLD_LOCKOUT_LOCK_S", "15min"),
        ("FREEHOLD_TREE_PASSIVATE_S", "-1"),
        ("FREEHOLD_TREE_UNREADY_FROM", "0"),
        ("FREEHOLD_TREE_QUARANTINE_S", "901"),
        ("FREEHOLD_REFRESH_COALESCE_MS", "+50"),
        ("FREEHOLD_MAIL_SMTP_URL", "mail.example.com"),
        ("FREEHOLD_MAIL_FROM", "Freehold <no-reply@example.com>"),
        ("FREEHOLD_MAIL_RETRY_S", "0"),
        ("FREEHOLD_MAIL_GIVE_UP_S", "604801"),
        ("FREEHOLD_LOG", "freehold=loud"),
        ("FREEHOLD_HTTP_LISTN", "127.0.0.1:80"),
    ] {
        let line = line(development(&[("FREEHOLD_PLATFORM_DOMAIN", "example.com"), (name, value)]));
        let remedy =
            line.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")).and_then(|rest| rest.split_once("; "));
        assert!(remedy.is_some_and(|(fault, remedy)| !fault.is_empty() && !remedy.is_empty()), "{line}");
    }
    assert!(
        lines(Config::load(None, &env(&[("FREEHOLD_PROFILE", "staging")])))
            .concat()
            .contains("FREEHOLD_PROFILE: \"staging\"")
    );
}

#[test]
fn unknown_names_are_refused_with_a_guess() {
    assert_eq!(
        line(development(&[("FREEHOLD_DATA_DIRR", "x")])),
        "FREEHOLD_DATA_DIRR: is not a setting; did you mean FREEHOLD_DATA_DIR?"
    );
    assert!(development(&[("FREEHOLD_TEST_X", "1"), ("FREEHOLD_FAULT_Y", "1"), ("PATH", "/bin")]).is_ok());
    for (text, name, remedy) in [
        ("[http]\nlistn = '127.0.0.1:1'", "FREEHOLD_HTTP_LISTN", "did you mean `http.listen`?"),
        ("[server]\nlisten = '127.0.0.1:1'", "FREEHOLD_SERVER_LISTEN", "did you mean `http.listen`?"),
        ("[http.listen]\nport = 1", "FREEHOLD_HTTP_LISTEN", "put the value in quotes"),
        ("http = 1", "FREEHOLD_HTTP", "documents every key"),
        ("[colours]", "FREEHOLD_COLOURS", "documents every key"),
    ] {
        let line = line(in_file(text));
        assert!(
            line.starts_with(&format!("{name}: `")) && line.contains("freehold.toml; ") && line.contains(remedy),
            "{line}"
        );
    }
}

#[test]
fn a_hash_is_never_weaker_than_owasp_allows() {
    let with = |memory_kib, passes| {
        development(&[("FREEHOLD_PASSWORDS_MEMORY_KIB", memory_kib), ("FREEHOLD_PASSWORDS_PASSES", passes)])
    };
    for (memory_kib, passes) in [("19456", "2"), ("12288", "3"), ("9216", "4"), ("7168", "5"), ("47104", "1")] {
        assert_eq!(
            with(memory_kib, passes).expect("OWASP has it").passwords.params.memory_kib().to_string(),
            memory_kib
        );
    }
    let weak = line(with("12288", "2"));
    assert!(weak.starts_with("FREEHOLD_PASSWORDS_MEMORY_KIB: ") && weak.contains("at least 17920"), "{weak}");
}

#[test]
fn breached_passwords_have_one_source() {
    const URL: &str = "FREEHOLD_PASSWORDS_BREACHED_URL";
    let source = |changes: &[(&str, &str)]| development(changes).map(|config| config.passwords.breached.source);
    assert_eq!(source(&[]), Ok(Source::None));
    let service = source(&[(URL, "https://ranges.example.com/"), ("FREEHOLD_PASSWORDS_BREACHED_PAUSE_S", "7")]);
    let Ok(Source::Service { url, pause }) = service else { panic!("{service:?}") };
    assert_eq!((url.to_string().as_str(), pause.as_secs()), ("https://ranges.example.com", 7));
    for (text, name) in
        [("http://ranges.example.com", URL), ("ranges.example.com", URL), ("https://u@example.com", URL)]
    {
        assert!(line(development(&[(URL, text)])).starts_with(name), "{text}");
    }
    assert!(line(development(&[("FREEHOLD_PASSWORDS_BREACHED_PAUSE_S", "0")])).contains("from 1 to 3600"));
    let scratch = Scratch::new();
    for range in ["00000.txt", "FFFFF.txt"] {
        scratch.write(range, "", 0o644);
    }
    let folder = scratch.path().display().to_string();
    let folder = ("FREEHOLD_PASSWORDS_BREACHED_DIR", folder.as_str());
    assert_eq!(source(&[folder]), Ok(Source::Folder(scratch.path().to_owned())));
    assert!(line(development(&[folder, (URL, "https://ranges.example.com")])).starts_with(URL));
}

#[test]
fn the_file_overrides_the_defaults_and_the_environment_both() {
    let scratch = Scratch::new();
    let text = "profile = 'development'\nhttp.listen = '127.0.0.1:1'\nprivate.listen = '127.0.0.1:2'\n\
                lockout.failures_max = 7\nhttp.trusted_proxies = ['::1', '10.0.0.0/8']\nlimits.pin = '1/s'";
    let path = scratch.write("freehold.toml", text, 0o644);
    let config =
        Config::load(Some(&path), &env(&[("FREEHOLD_HTTP_LISTEN", "127.0.0.1:3"), ("FREEHOLD_LIMITS_PIN", "2/s")]));
    let config = config.expect("it is right");
    assert_eq!((config.http.listen.port(), config.private.listen.port(), config.lockout.failures_max), (3, 2, 7));
    assert_eq!(config.http.trusted_proxies.len(), 2);
    assert_eq!(config.limits.get(Tier::Pin), Limit::Per { burst: 2, period: Duration::from_secs(1) });
}

#[test]
fn a_file_that_cannot_be_read_is_a_fault() {
    let absent = Path::new("/nonexistent/freehold.toml");
    assert!(line(Config::load(Some(absent), &env(&[]))).starts_with("--config: cannot read"));
    let broken = line(in_file(&format!("[keys]\nmaster = \"{CANARY}\nx = 1")));
    assert!(broken.starts_with("--config: line 3 in ") && !broken.contains(CANARY), "{broken}");
}

#[test]
fn the_key_file_is_private_and_apart() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    fs::DirBuilder::new().mode(0o700).create(&data).expect("a data directory");
    let load = |path: &Path| {
        let [data, path] = [&data, path].map(|path| path.display().to_string());
        production(&[("FREEHOLD_DATA_DIR", &data), ("FREEHOLD_KEYS_MASTER", ""), ("FREEHOLD_KEYS_MASTER_FILE", &path)])
    };
    let good = scratch.write("good", &format!("{RING}\n"), 0o400);
    let config = load(&good).expect("it is right");
    assert!(config.keys.master.is_some());
    assert!(config.keys.reread(&data).is_ok_and(|ring| ring.is_some()));
    fs::remove_file(&good).expect("it goes");
    assert!(config.keys.reread(&data).is_err());

    let inside = scratch.write("data/master", RING, 0o600);
    let link = scratch.path().join("link");
    std::os::unix::fs::symlink(&inside, &link).expect("a link");
    for (path, fault) in [
        (inside, "is under the data directory"),
        (link, "is under the data directory"),
        (scratch.write("open", RING, 0o640), "is open to other users (mode 0640)"),
        (scratch.write("wrong", CANARY, 0o600), "an entry is not id:key"),
        (scratch.path().to_owned(), "is not a file"),
        (scratch.path().join("absent"), "cannot be read"),
    ] {
        let refusal = line(load(&path));
        assert!(
            refusal.starts_with("FREEHOLD_KEYS_MASTER_FILE: ") && refusal.contains(fault) && !refusal.contains(CANARY),
            "{refusal}"
        );
    }
}

#[test]
fn a_key_in_the_config_file_is_private_too_and_there_is_one_ring() {
    let scratch = Scratch::new();
    let text = format!("profile = 'development'\nkeys.master = '{RING}'");
    let open = scratch.write("open.toml", &text, 0o644);
    let line_open = line(Config::load(Some(&open), &env(&[])));
    assert!(
        line_open.starts_with("FREEHOLD_KEYS_MASTER: the key stands in a file that is open to other users"),
        "{line_open}"
    );
    let closed = scratch.write("closed.toml", &text, 0o600);
    assert!(Config::load(Some(&closed), &env(&[])).is_ok());
    let file = scratch.write("master", RING, 0o600).display().to_string();
    let both = line(development(&[("FREEHOLD_KEYS_MASTER", RING), ("FREEHOLD_KEYS_MASTER_FILE", &file)]));
    assert!(both.contains("FREEHOLD_KEYS_MASTER_FILE is set too"), "{both}");
}

#[test]
fn no_secret_is_ever_shown() {
    let secret = format!("{CANARY}://user:{CANARY}@host/{CANARY}");
    for name in [
        "PLATFORM_PUBLIC_URL",
        "DATABASE_URL",
        "DATABASE_MIGRATE_URL",
        "REDIS_URL",
        "KEYS_MASTER",
        "KEYS_MASTR",
        "MAIL_SMTP_URL",
    ] {
        let shown = line(development(&[(&format!("FREEHOLD_{name}"), &secret)]));
        assert!(!shown.contains(CANARY), "{shown}");
    }
    let url = format!("postgres://role:{CANARY}@host/db");
    let config = development(&[("FREEHOLD_DATABASE_URL", &url), ("FREEHOLD_KEYS_MASTER", RING)]).expect("it is right");
    let shown = format!("{config:?} {:?}", env(&[("FREEHOLD_KEYS_MASTER", CANARY)]));
    assert!(!shown.contains(CANARY) && !shown.contains("q83v"), "{shown}");
}

#[test]
fn letters_leave_one_way_and_from_the_platform() {
    let config = development(&[]).expect("the defaults are right");
    assert_eq!(config.mail.from, "no-reply@localhost".parse().expect("an address"));
    assert!(matches!(config.mail.way, Way::Outbox(folder) if folder == Path::new("./data/outbox")));
    assert_eq!(config.mail.patience, Patience::default());
    let url = format!("smtps://user:{CANARY}@mail.example.com");
    let smtp = [("FREEHOLD_MAIL_SMTP_URL", url.as_str())];
    let config = production(&smtp).expect("it is right");
    assert_eq!(config.mail.from, "no-reply@example.com".parse().expect("an address"));
    assert!(matches!(&config.mail.way, Way::Smtp(smtp) if smtp.security == Security::Tls));
    assert!(!format!("{config:?}").contains(CANARY));
    let both = line(development(&[smtp[0], ("FREEHOLD_MAIL_OUTBOX", "/tmp")]));
    assert!(both.starts_with("FREEHOLD_MAIL_OUTBOX: FREEHOLD_MAIL_SMTP_URL is set too"), "{both}");
}

#[test]
fn demo_is_development_on_loopback() {
    assert_eq!(Config::load_demo(None, &env(&[])).map(|config| config.profile), Ok(Profile::Development));
    assert!(
        line(Config::load_demo(None, &env(&[("FREEHOLD_PROFILE", "production")])))
            .starts_with("FREEHOLD_PROFILE: is production")
    );
    let open = Config::load_demo(None, &env(&[("FREEHOLD_HTTP_LISTEN", "0.0.0.0:0")]));
    assert!(line(open).starts_with("FREEHOLD_HTTP_LISTEN: is not a loopback address"));
    let both = env(&[("FREEHOLD_HTTP_LISTEN", "0.0.0.0:0"), ("FREEHOLD_LOG", "=")]);
    assert_eq!(lines(Config::load_demo(None, &both)).len(), 2, "one fault hides no other");
}

#[test]
fn a_place_to_tell_of_weaknesses_is_whole_or_named() {
    assert_eq!(development(&[]).expect("it needs none").disclosure, None);
    let contact = ("FREEHOLD_SECURITY_CONTACT", "mailto:a@example.com, https://example.com/x");
    let disclosure = development(&[contact]).expect("two contacts").disclosure.expect("they are set");
    let contacts: Vec<_> = disclosure.contacts.iter().map(ToString::to_string).collect();
    assert_eq!(contacts, ["mailto:a@example.com", "https://example.com/x"]);
    assert_eq!(
        (disclosure.holds, disclosure.policy, disclosure.languages),
        (Duration::from_hours(180 * 24), None, None)
    );
    let listed = in_file("[security]\ncontact = ['mailto:a@example.com', 'mailto:b@example.com']");
    assert_eq!(listed.expect("a list").disclosure.expect("it is set").contacts.len(), 2);
    for (name, value) in [
        ("FREEHOLD_SECURITY_CONTACT", "mailto:a@example.com\r\nExpires: 2999-01-01T00:00:00Z"),
        ("FREEHOLD_SECURITY_CONTACT", "mailto:a@example.com,"),
        ("FREEHOLD_SECURITY_CONTACT", "http://example.com"),
        ("FREEHOLD_SECURITY_CONTACT", &["mailto:a@example.com"; 9].join(",")),
        ("FREEHOLD_SECURITY_EXPIRES_DAYS", "0"),
        // Nothing would tell them.
        ("FREEHOLD_SECURITY_POLICY_URL", "https://example.com/policy"),
        ("FREEHOLD_SECURITY_PREFERRED_LANGUAGES", "en"),
    ] {
        let line = line(development(&[(name, value)]));
        assert!(line.starts_with(&format!("{name}: ")), "{line}");
    }
}

#[test]
fn plans_are_sold_with_a_key_and_both_prices() {
    const KEY: (&str, &str) = ("FREEHOLD_BILLING_STRIPE_SECRET_KEY", "sk_test_1");
    const PRO: (&str, &str) = ("FREEHOLD_BILLING_PRICE_PRO", "price_1");
    const BUSINESS: (&str, &str) = ("FREEHOLD_BILLING_PRICE_BUSINESS", "price_2");
    let sold =
        production(&[KEY, PRO, BUSINESS, ("FREEHOLD_BILLING_API_KEYS_MAX", "0,off , 7")]).unwrap().stripe.unwrap();
    assert_eq!((sold.secret_key.expose().as_str(), sold.pays_out), ("sk_test_1", false));
    assert_eq!(sold.api_url.to_string(), "https://api.stripe.com");
    let by_plan = sold.plans.allowances.map(|allowance| allowance.by_plan);
    assert_eq!(by_plan, [[Some(3), Some(25), None], [Some(0), None, Some(7)], [Some(1), Some(10), None]]);
    let several = ("FREEHOLD_BILLING_PRICE_PRO", "price_9, price_1");
    let pro = production(&[KEY, several, BUSINESS]).unwrap().stripe.unwrap().plans.pro;
    assert_eq!(
        (pro.sold.as_str(), pro.before.iter().map(PriceId::as_str).collect::<Vec<_>>()),
        ("price_9", vec!["price_1"])
    );
    assert_eq!(sold.plans.grace, Duration::from_hours(7 * 24));
    for (given, named) in [
        (vec![KEY, PRO], BUSINESS.0),
        (vec![KEY, BUSINESS], PRO.0),
        (vec![PRO], KEY.0),
        (vec![PRO, BUSINESS], KEY.0),
        (vec![KEY, PRO, (BUSINESS.0, "price_3,price_1")], BUSINESS.0),
    ] {
        let line = line(production(&given));
        assert!(line.starts_with(&format!("{named}: ")), "{line}");
    }
}
