//! A server that is configured wrongly says everything that is wrong, one line each, and never starts.

mod keys;

use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Folder, freehold};

/// A ring, and in it what must never be shown.
const RING: &str = "k1:q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
const CANARY: &str = "cAnArY5ecret";
/// How soon a refusal must come: nothing is opened before it, so nothing is waited for.
const REFUSED_WITHIN: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);

/// What production needs, and nothing else.
const PRODUCTION: [(&str, &str); 4] = [
    ("FREEHOLD_KEYS_MASTER", RING),
    ("FREEHOLD_PLATFORM_DOMAIN", "example.com"),
    ("FREEHOLD_PLATFORM_PUBLIC_URL", "https://example.com"),
    ("FREEHOLD_HTTP_TRUSTED_PROXIES", "10.0.0.1"),
];

/// How a program ended that should not have started.
struct Refusal {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    took: Duration,
}

impl Refusal {
    /// Runs `freehold` with these arguments and nothing but these variables, in a folder of its own.
    fn of(args: &[&str], env: &[(&str, &str)]) -> Self {
        let folder = Folder::new();
        let since = Instant::now();
        let mut child = freehold()
            .args(args)
            .envs(env.iter().copied())
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if since.elapsed() > PATIENCE {
                child.kill().unwrap();
            }
            thread::yield_now();
        };
        let took = since.elapsed();
        let (mut stdout, mut stderr) = (String::new(), String::new());
        child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is made: {stderr}");
        Self { code: status.code(), stdout, stderr, took }
    }

    /// The names of the settings that are refused: one line each, `NAME: fault; remedy`, and nothing else said.
    #[track_caller]
    fn names(&self) -> Vec<String> {
        assert_eq!((self.code, self.stdout.as_str()), (Some(78), ""), "{}", self.stderr);
        let name = |line: &str| {
            let parts = line.split_once(": ").and_then(|(name, rest)| Some((name, rest.split_once("; ")?)));
            let (name, (fault, remedy)) = parts.unwrap_or_else(|| panic!("{line}"));
            assert!(!fault.is_empty() && !remedy.is_empty(), "{line}");
            name.to_owned()
        };
        self.stderr.lines().map(name).collect()
    }
}

/// `serve` with what production needs, changed by these; an empty value unsets one.
fn production(changes: &[(&str, &str)]) -> Refusal {
    let kept = PRODUCTION.into_iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
    let env: Vec<_> = kept.chain(changes.iter().copied().filter(|(_, value)| !value.is_empty())).collect();
    Refusal::of(&["serve"], &env)
}

/// An address of ours: whoever would listen there before refusing could not, and would say that instead.
fn held() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn production_names_everything_it_misses_at_once_and_soon() {
    let (_http, http) = held();
    let (_private, private) = held();
    let listen = [("FREEHOLD_HTTP_LISTEN", &*http.to_string()), ("FREEHOLD_PRIVATE_LISTEN", &*private.to_string())];
    let refusal = Refusal::of(&["serve"], &listen);
    let wanted = [
        "FREEHOLD_HTTP_TRUSTED_PROXIES",
        "FREEHOLD_KEYS_MASTER",
        "FREEHOLD_PLATFORM_DOMAIN",
        "FREEHOLD_PLATFORM_PUBLIC_URL",
    ];
    assert_eq!(refusal.names(), wanted);
    assert!(refusal.took < REFUSED_WITHIN, "{:?}", refusal.took);
    for name in wanted {
        assert_eq!(production(&[(name, ""), listen[0], listen[1]]).names(), [name]);
    }
    // The verbs are as careful as the server.
    for verb in [["tenant", "list"].as_slice(), &["migrate"], &["tenant", "suspend", "acme"]] {
        assert_eq!(Refusal::of(verb, &[]).names(), wanted, "{verb:?}");
    }
}

/// Every setting with a value that is none.
const GARBLED: [(&str, &str); 133] = [
    ("FREEHOLD_ACME_CA_FILE", "/nonexistent/ca.pem"),
    ("FREEHOLD_ACME_CONTACT", "nobody"),
    ("FREEHOLD_ACME_DIRECTORY", "http://acme.example.com"),
    ("FREEHOLD_ACME_RETRY_S", "0"),
    ("FREEHOLD_ACME_TERMS_AGREED", "yes"),
    ("FREEHOLD_BILLING_API_KEYS_MAX", "2, 20"),
    ("FREEHOLD_BILLING_MEMBERS_MAX", "3, -1, off"),
    ("FREEHOLD_BILLING_PAST_DUE_GRACE_DAYS", "91"),
    ("FREEHOLD_BILLING_PAYOUTS", "yes"),
    ("FREEHOLD_BILLING_PRICE_BUSINESS", "prod_1"),
    ("FREEHOLD_BILLING_PRICE_PRO", "20 EUR"),
    ("FREEHOLD_BILLING_STRIPE_API_URL", "http://api.stripe.com"),
    ("FREEHOLD_BILLING_STRIPE_SECRET_KEY", "cAnArY5ecret\twice"),
    ("FREEHOLD_BILLING_STRIPE_SECRET_KEY_FILE", "/nonexistent/secret"),
    ("FREEHOLD_BILLING_WEBHOOK_ENDPOINTS_MAX", "1, 10, off, off"),
    ("FREEHOLD_BREAKERS_FAILURES", "0"),
    ("FREEHOLD_BREAKERS_PAUSE_S", "1h"),
    ("FREEHOLD_BREAKERS_PERCENT", "101"),
    ("FREEHOLD_BREAKERS_PROBES", "-1"),
    ("FREEHOLD_DATABASE_POOLER", "session"),
    ("FREEHOLD_DATABASE_MIGRATE_URL", "postgres://u:cAnArY5ecret@db.example.com/x?sslmode=require"),
    ("FREEHOLD_DATABASE_URL", "mysql://cAnArY5ecret@db/x"),
    ("FREEHOLD_DATA_DIR", " "),
    ("FREEHOLD_HTTP_LISTEN", "localhost:80"),
    ("FREEHOLD_HTTP_TLS_CERT", " ,"),
    ("FREEHOLD_HTTP_TLS_KEY", " ,"),
    ("FREEHOLD_HTTP_REDIRECT_LISTEN", "80"),
    ("FREEHOLD_HTTP_TRUSTED_PROXIES", "0.0.0.0/0"),
    ("FREEHOLD_HTTP_DENIED_CIDRS", "::/0"),
    ("FREEHOLD_PLATFORM_RESERVED_SLUGS", "shop,Bad Name"),
    ("FREEHOLD_INTEGRATIONS_QUICKBOOKS_API_URL", "http://api.example.com"),
    ("FREEHOLD_INTEGRATIONS_QUICKBOOKS_AUTHORIZE_URL", "intuit.com"),
    ("FREEHOLD_INTEGRATIONS_QUICKBOOKS_CLIENT_ID", "two words"),
    ("FREEHOLD_INTEGRATIONS_QUICKBOOKS_CLIENT_SECRET", "cAnArY5ecret and more"),
    ("FREEHOLD_INTEGRATIONS_QUICKBOOKS_CLIENT_SECRET_FILE", "/nonexistent/secret"),
    ("FREEHOLD_INTEGRATIONS_QUICKBOOKS_REVOKE_URL", "https://"),
    ("FREEHOLD_INTEGRATIONS_QUICKBOOKS_TOKEN_URL", "https://example.com/?x=y"),
    ("FREEHOLD_INTEGRATIONS_SQUARE_API_URL", "http://10.0.0.1"),
    ("FREEHOLD_INTEGRATIONS_SQUARE_AUTHORIZE_URL", "ftp://squareup.com"),
    ("FREEHOLD_INTEGRATIONS_SQUARE_CLIENT_ID", "tw\u{f6}"),
    ("FREEHOLD_INTEGRATIONS_SQUARE_CLIENT_SECRET", "cAnArY5ecret\twice"),
    ("FREEHOLD_INTEGRATIONS_SQUARE_CLIENT_SECRET_FILE", "/nonexistent/secret"),
    ("FREEHOLD_INTEGRATIONS_SQUARE_REVOKE_URL", "https://u@example.com"),
    ("FREEHOLD_INTEGRATIONS_SQUARE_TOKEN_URL", "/token"),
    ("FREEHOLD_INTEGRATIONS_SHOPIFY_CLIENT_ID", "two words"),
    ("FREEHOLD_INTEGRATIONS_SHOPIFY_CLIENT_SECRET", "cAnArY5ecret and more"),
    ("FREEHOLD_INTEGRATIONS_SHOPIFY_CLIENT_SECRET_FILE", "/nonexistent/secret"),
    ("FREEHOLD_INTEGRATIONS_SHOPIFY_DOMAIN", "com"),
    ("FREEHOLD_INTEGRATIONS_SHOPIFY_SCOPES", "read products"),
    ("FREEHOLD_INTEGRATIONS_TWILIO_API_URL", "http://api.twilio.com"),
    ("FREEHOLD_KEYS_MASTER", "k1:cAnArY5ecret"),
    ("FREEHOLD_KEYS_MASTER_FILE", "/nonexistent/master"),
    ("FREEHOLD_LIMITS_ADDRESS", "many"),
    ("FREEHOLD_LIMITS_AI_CHAT", "0/s"),
    ("FREEHOLD_LIMITS_API_MEMBER", "-1/s"),
    ("FREEHOLD_LIMITS_API_TENANT", "10/day"),
    ("FREEHOLD_LIMITS_CSP_REPORT", "10"),
    ("FREEHOLD_LIMITS_EVENTS", "/min"),
    ("FREEHOLD_LIMITS_EXPORT", "5/h x"),
    ("FREEHOLD_LIMITS_LOGIN_ACCOUNT", "1.5/s"),
    ("FREEHOLD_LIMITS_LOGIN_ADDRESS", "99999999/s"),
    ("FREEHOLD_LIMITS_OPERATOR", "+5/s"),
    ("FREEHOLD_LIMITS_PASSWORD_RESET", "5 / min"),
    ("FREEHOLD_LIMITS_PIN", "OFF"),
    ("FREEHOLD_LIMITS_PUBLIC_FORM", "off"),
    ("FREEHOLD_LIMITS_REFRESH", "off"),
    ("FREEHOLD_LIMITS_SCHEMA", "x/min"),
    ("FREEHOLD_LIMITS_SECOND_FACTOR", "10/m"),
    ("FREEHOLD_LIMITS_SIGNUP", "10/min/min"),
    ("FREEHOLD_LIMITS_UPLOAD", "min"),
    ("FREEHOLD_LIMITS_WEBHOOK_IN", "1e3/min"),
    ("FREEHOLD_LISTEN", "127.0.0.1:80"),
    ("FREEHOLD_LOCKOUT_FAILURES_MAX", "0"),
    ("FREEHOLD_LOCKOUT_LOCK_S", "15min"),
    ("FREEHOLD_LOG", "freehold=loud"),
    ("FREEHOLD_MAIL_FROM", "nobody"),
    ("FREEHOLD_MAIL_GIVE_UP_S", "0"),
    ("FREEHOLD_MAIL_OUTBOX", " "),
    ("FREEHOLD_MAIL_RETRY_S", "1h"),
    ("FREEHOLD_MAIL_SMTP_CA_FILE", "/nonexistent/ca.pem"),
    ("FREEHOLD_MAIL_SMTP_URL", "imap://cAnArY5ecret@mail.example.com"),
    ("FREEHOLD_OAUTH_GITHUB_API_URL", "http://api.github.com"),
    ("FREEHOLD_OAUTH_GITHUB_AUTHORIZE_URL", "github.com"),
    ("FREEHOLD_OAUTH_GITHUB_CLIENT_ID", "two words"),
    ("FREEHOLD_OAUTH_GITHUB_CLIENT_SECRET", "cAnArY5ecret and more"),
    ("FREEHOLD_OAUTH_GITHUB_CLIENT_SECRET_FILE", "/nonexistent/secret"),
    ("FREEHOLD_OAUTH_GITHUB_TOKEN_URL", "https://github.com/?x=y"),
    ("FREEHOLD_OAUTH_GOOGLE_AUTHORIZE_URL", "ftp://accounts.google.com"),
    ("FREEHOLD_OAUTH_GOOGLE_CLIENT_ID", "tw\u{f6}"),
    ("FREEHOLD_OAUTH_GOOGLE_CLIENT_SECRET", "cAnArY5ecret\twice"),
    ("FREEHOLD_OAUTH_GOOGLE_CLIENT_SECRET_FILE", "/nonexistent/secret"),
    ("FREEHOLD_OAUTH_GOOGLE_HD", "@example.com"),
    ("FREEHOLD_OAUTH_GOOGLE_ISSUER", "accounts.google.com"),
    ("FREEHOLD_OAUTH_GOOGLE_JWKS_URL", "http://10.0.0.1/keys"),
    ("FREEHOLD_OAUTH_GOOGLE_TOKEN_URL", "https://u:p@example.com"),
    ("FREEHOLD_OUTBOUND_CA_FILE", "/nonexistent/ca.pem"),
    ("FREEHOLD_OUTBOUND_PORTS", "https"),
    ("FREEHOLD_OUTBOUND_PRIVATE_CIDRS", "0.0.0.0/0"),
    ("FREEHOLD_PASSWORDS_BREACHED_DIR", "/no/such/folder"),
    ("FREEHOLD_PASSWORDS_BREACHED_URL", "http://ranges.example.com"),
    ("FREEHOLD_PASSWORDS_BREACHED_PAUSE_S", "0"),
    ("FREEHOLD_PASSWORDS_BREACHED_UNKNOWN", "maybe"),
    ("FREEHOLD_PASSWORDS_MEMORY_KIB", "7167"),
    ("FREEHOLD_PASSWORDS_PASSES", "0"),
    ("FREEHOLD_PLATFORM_DOMAIN", "exa mple.com"),
    ("FREEHOLD_PLATFORM_PUBLIC_URL", "https://user:cAnArY5ecret@example.com"),
    ("FREEHOLD_PLATFORM_OPERATOR_CIDRS", "0.0.0.0/0"),
    ("FREEHOLD_PRIVATE_LISTEN", "127.0.0.1"),
    ("FREEHOLD_PROFILE", "staging"),
    ("FREEHOLD_REDIS_CA_FILE", "/nonexistent"),
    ("FREEHOLD_REDIS_URL", "rediss://:cAnArY5ecret@localhost/#insecure"),
    ("FREEHOLD_REFRESH_COALESCE_MS", "+50"),
    ("FREEHOLD_TREE_PASSIVATE_S", "-1"),
    ("FREEHOLD_TREE_UNREADY_FROM", "0"),
    ("FREEHOLD_TREE_QUARANTINE_S", "901"),
    ("FREEHOLD_TREE_RECONCILE_S", "301"),
    ("FREEHOLD_SECURITY_CONTACT", "security@example.com"),
    ("FREEHOLD_SECURITY_EXPIRES_DAYS", "366"),
    ("FREEHOLD_SECURITY_POLICY_URL", "http://example.com"),
    ("FREEHOLD_SECURITY_PREFERRED_LANGUAGES", "english please"),
    ("FREEHOLD_DOMAINS_RESOLVER", "dns.example.com"),
    ("FREEHOLD_DOMAINS_HTTP_PORT", "8080"),
    ("FREEHOLD_DOMAINS_PRIVATE_CIDRS", "0.0.0.0/0"),
    ("FREEHOLD_DOMAINS_RECHECK_S", "0"),
    ("FREEHOLD_DOMAINS_RETRY_S", "x"),
    ("FREEHOLD_DOMAINS_DETACH_AFTER_S", "-1"),
    ("FREEHOLD_SIGNING_ROTATE_DAYS", "3651"),
    ("FREEHOLD_SIGNING_ANNOUNCED_S", "0"),
    ("FREEHOLD_WAF_RULES", "a.conf,,b.conf"),
    ("FREEHOLD_WAF_MODE", "on"),
    ("FREEHOLD_keys_master", "cAnArY5ecret"),
    ("FREEHOLD_KEYS_MASTR", "cAnArY5ecret"),
    ("FREEHOLD_DATABASE_PASSWORD", "cAnArY5ecret"),
];

#[test]
fn every_setting_that_is_garbled_is_named_and_no_secret_with_it() {
    for (name, value) in GARBLED {
        let refusal = production(&[(name, value)]);
        let names = refusal.names();
        assert!(names.iter().any(|named| named == name), "{name}: {}", refusal.stderr);
        assert!(names.len() == 1 || name == "FREEHOLD_KEYS_MASTER_FILE", "{name}: {}", refusal.stderr);
        assert!(!refusal.stderr.contains(CANARY), "{}", refusal.stderr);
    }
    let mut wanted: Vec<_> = GARBLED.iter().map(|(name, _)| (*name).to_owned()).collect();
    let all = production(&GARBLED);
    let mut names = all.names();
    names.dedup();
    wanted.sort();
    assert_eq!(names, wanted, "every fault at once, sorted");
    assert!(!all.stderr.contains(CANARY), "{}", all.stderr);
}

#[test]
fn the_table_of_garbled_settings_has_every_setting() {
    let defaults = include_str!("../../config.default.toml");
    let mut section = String::new();
    let mut settings = vec![];
    for line in defaults.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_uppercase() + "_";
        } else if let Some((name, _)) = line.trim_start_matches("# ").split_once(" = ")
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            settings.push(format!("FREEHOLD_{section}{}", name.to_uppercase()));
        }
    }
    assert!(settings.len() > 35, "{settings:?}");
    for setting in settings {
        assert!(GARBLED.iter().any(|(name, _)| *name == setting), "{setting}");
    }
}

#[test]
fn production_refuses_the_defaults_of_development() {
    let cases: [(&str, &str); 6] = [
        ("FREEHOLD_PLATFORM_PUBLIC_URL", "http://example.com"),
        ("FREEHOLD_LIMITS_ADDRESS", "off"),
        ("FREEHOLD_LIMITS_LOGIN_ACCOUNT", "off"),
        ("FREEHOLD_LIMITS_EXPORT", "off"),
        ("FREEHOLD_PLATFORM_PUBLIC_URL", "https://example.org"),
        ("FREEHOLD_PRIVATE_LISTEN", "127.0.0.1:8080"),
    ];
    for (name, value) in cases {
        assert_eq!(production(&[(name, value)]).names(), [name], "{value}");
    }
    for domain in ["localhost", "dev.localhost"] {
        let url = format!("https://{domain}");
        let local = [("FREEHOLD_PLATFORM_DOMAIN", domain), ("FREEHOLD_PLATFORM_PUBLIC_URL", &*url)];
        assert_eq!(production(&local).names(), ["FREEHOLD_PLATFORM_DOMAIN"]);
    }
    // Set to nothing is not unset: the name is there, and its value is none.
    let empty = Refusal::of(&["serve"], &[("FREEHOLD_PROFILE", "")]);
    assert_eq!(empty.code, Some(78), "{}", empty.stderr);
}

#[test]
fn a_demonstration_is_never_production_and_never_reached_from_elsewhere() {
    let production = [("FREEHOLD_PROFILE", "production")];
    assert!(Refusal::of(&["serve", "--demo"], &production).names().contains(&"FREEHOLD_PROFILE".to_owned()));
    for (name, address) in [
        ("FREEHOLD_HTTP_LISTEN", "0.0.0.0:0"),
        ("FREEHOLD_HTTP_LISTEN", "[::]:0"),
        ("FREEHOLD_HTTP_LISTEN", "192.0.2.1:8080"),
        ("FREEHOLD_PRIVATE_LISTEN", "0.0.0.0:0"),
    ] {
        assert_eq!(Refusal::of(&["serve", "--demo"], &[(name, address)]).names(), [name], "{address}");
    }
    // Nothing else that is wrong hides them.
    let all = [
        ("FREEHOLD_HTTP_LISTEN", "0.0.0.0:0"),
        ("FREEHOLD_LOCKOUT_LOCK_S", "15min"),
        ("FREEHOLD_PRIVATE_LISTEN", "localhost"),
        ("FREEHOLD_PROFILE", "production"),
    ];
    assert_eq!(Refusal::of(&["serve", "--demo"], &all).names(), all.map(|(name, _)| name));
}

#[test]
fn a_file_is_checked_like_the_environment_and_weaker_than_it() {
    let folder = Folder::new();
    let path = folder.path().join("freehold.toml");
    let config = path.to_str().unwrap();
    let with = |text: &str, env: &[(&str, &str)]| {
        std::fs::write(&path, text).unwrap();
        Refusal::of(&["serve", "--config", config], env)
    };
    let refusal =
        with("profile = 'staging'\nlock_s = 5\n[lockout]\nfailures_max = 'x'\nlock_s = 0\n[nothing]\nx = 1\n", &[]);
    let names = refusal.names();
    for name in [
        "FREEHOLD_PROFILE",
        "FREEHOLD_LOCK_S",
        "FREEHOLD_LOCKOUT_FAILURES_MAX",
        "FREEHOLD_LOCKOUT_LOCK_S",
        "FREEHOLD_NOTHING_X",
    ] {
        assert!(names.iter().any(|named| named == name), "{name}: {}", refusal.stderr);
    }
    assert!(refusal.stderr.contains("freehold.toml"), "{}", refusal.stderr);
    let broken = with(&format!("[keys]\nmaster = '{CANARY}"), &[("FREEHOLD_PROFILE", "development")]);
    assert_eq!((broken.names(), broken.stderr.contains(CANARY)), (vec!["--config".to_owned()], false));
    let missing = Refusal::of(&["serve", "--config", "/nonexistent/freehold.toml"], &PRODUCTION);
    assert_eq!(missing.names(), ["--config"]);
    // What the environment mends is not wrong.
    let mended = with(
        "profile = 'development'\n[lockout]\nlock_s = 0\n",
        &[("FREEHOLD_LOCKOUT_LOCK_S", "5"), ("FREEHOLD_LOG", "=")],
    );
    assert_eq!(mended.names(), ["FREEHOLD_LOG"]);
}
