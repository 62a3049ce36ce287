//! What the server promises is told from what it runs with, and so is where to tell of a weakness.

use rustls::version::{TLS12, TLS13};
use serde_json::{Value, json};

use crate::operators::platform;
use crate::support::{Answer, Authority, Conn, Engine, Folder, Options, Server, Session, on_both_engines, time};
use crate::watch::{metric, set_limit, until};

const PAGE: &str = "/security";
const JSON: &str = "/security.json";
const TXT: &str = "/.well-known/security.txt";
const STATUS: &str = "/v1/security-status";
const HTML: &str = "text/html; charset=utf-8";

on_both_engines! {
    a_tenants_host_tells_what_the_tenant_has_set_and_no_other_does
    admins_see_how_it_stands_now
}

async fn start(env: &[(&str, &str)]) -> Server {
    Server::start(env.iter().fold(Options::new(Engine::Sqlite), |options, (name, value)| options.env(name, value)))
        .await
}

async fn told(server: &Server, host: &str) -> Value {
    Conn::open(server.http, host).await.get(JSON, None).await.is(200).json()
}

/// The promises with this number of which `name` is a parameter.
fn of<'a>(told: &'a Value, id: &str, name: &str) -> &'a Value {
    let all = told["promises"].as_array().unwrap();
    let found: Vec<_> =
        all.iter().filter(|entry| entry["id"] == id && entry["parameters"].get(name).is_some()).collect();
    assert_eq!(found.len(), 1, "{id} {name}: {told}");
    found[0]
}

fn parameter<'a>(told: &'a Value, id: &str, name: &str) -> &'a Value {
    &of(told, id, name)["parameters"][name]
}

/// Whether it is kept; what is not says why.
fn kept(told: &Value, id: &str, name: &str) -> bool {
    let entry = of(told, id, name);
    let kept = entry["kept"].as_bool().unwrap();
    assert_eq!(entry["why_not"].is_null(), kept, "{entry}");
    kept
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_is_changed_is_told_changed() {
    let server = start(&[
        ("FREEHOLD_LIMITS_ADDRESS", "off"), // a server that was killed begins with empty buckets
        ("FREEHOLD_LIMITS_LOGIN_ADDRESS", "7/h"),
        ("FREEHOLD_LOCKOUT_FAILURES_MAX", "3"),
        ("FREEHOLD_LOCKOUT_LOCK_S", "1234"),
        ("FREEHOLD_PASSWORDS_MEMORY_KIB", "20481"),
        ("FREEHOLD_SIGNING_ROTATE_DAYS", "31"),
        ("FREEHOLD_TREE_RECONCILE_S", "17"),
        ("FREEHOLD_REFRESH_COALESCE_MS", "41"),
    ])
    .await;
    let security = told(&server, "localhost").await;
    for (id, name, value) in [
        ("K27", "failures_max", json!(3)),
        ("K27", "lock_s", json!(1_234)),
        ("K24", "memory_kib", json!(20_481)),
        ("K24", "passes", json!(2)),
        ("K28", "rotate_days", json!(31)),
        ("K28", "expires_in_s", json!(900)),
        ("K32", "compared_every_s", json!(17)),
        ("K30", "together_ms", json!(41)),
        ("K29", "session_lifetime_s", json!(30 * 24 * 3_600)),
        ("K33", "step_s", json!(30)),
        ("K35", "codes", json!(10)),
        ("K35", "bits_of_a_code", json!(120)),
    ] {
        assert_eq!((parameter(&security, id, name), kept(&security, id, name)), (&value, true), "{id} {name}");
    }
    for (tier, limit) in [("address", "off"), ("login-address", "7/h"), ("login-account", "10/min")] {
        assert_eq!(*parameter(&security, "K53", tier), limit);
    }
    let page = text(&Conn::open(server.http, "localhost").await.get(PAGE, None).await);
    for row in ["<th scope=\"row\">login-address</th><td>7/h</td>", "<th scope=\"row\">lock s</th><td>1234</td>"] {
        assert!(page.contains(row), "{row}: {page}");
    }
    let server = server.restarted_with("FREEHOLD_LOCKOUT_LOCK_S", "4321");
    assert_eq!(*parameter(&told(&server, "localhost").await, "K27", "lock_s"), 4_321);
    let page = text(&Conn::open(server.http, "localhost").await.get(PAGE, None).await);
    assert!(page.contains("<td>4321</td>") && !page.contains("<td>1234</td>"), "{page}");
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.is(200).body.to_vec()).unwrap()
}

async fn a_tenants_host_tells_what_the_tenant_has_set_and_no_other_does(engine: Engine) {
    let server = Server::start(Options::new(engine)).await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    let mut conn = Conn::to(&server, &acme).await;
    set_limit(&server, "acme", "login-account", "3/h");
    assert!(server.cli(&["tenant", "weight", "acme", "3"], "").status.success());
    let session = conn.sign_in(&acme).await;
    let settings = json!({ "session_idle_s": 4_000, "registration": "open", "support_access": true,
        "require_second_factor": "all", "second_factor_grace_s": 7_200, "refresh_reuse_grace_s": 9 });
    conn.patch("/v1/settings", &session.access, &settings).await.is(200);
    let (mine, other) = (told(&server, &acme.host()).await, told(&server, &globex.host()).await);
    let everybodys = told(&server, "localhost").await;
    assert_eq!(
        [&mine["tenant"], &other["tenant"], &everybodys["tenant"]],
        [&json!("acme"), &json!("globex"), &json!(null)]
    );
    for (id, name, of_acme, of_others) in [
        ("K53", "login-account", json!("3/h"), json!("10/min")),
        ("K29", "session_idle_s", json!(4_000), json!(30 * 24 * 3_600)),
        ("K30", "grace_s", json!(9), json!(0)),
        ("K34", "required_of", json!("everybody"), json!("nobody")),
        ("K34", "grace_s", json!(7_200), json!(0)),
        ("A12", "registration", json!("open"), json!("closed")),
        ("K38", "support_access", json!(true), json!(false)),
        ("K8", "weight", json!(3), json!(1)),
        ("K8", "requests_of_a_tenant_max", json!(768), json!(256)),
    ] {
        let values = [&mine, &other, &everybodys].map(|told| parameter(told, id, name));
        assert_eq!(values, [&of_acme, &of_others, &of_others], "{id} {name}");
    }
    for (told, open) in [(&mine, true), (&other, false), (&everybodys, false)] {
        let all =
            [kept(told, "A12", "registration"), kept(told, "K38", "support_access"), kept(told, "K34", "required_of")];
        assert_eq!(all, [!open, !open, open], "{told}");
    }
    assert!(!other.to_string().contains("acme") && !everybodys.to_string().contains("acme"));

    let (name, is_postgres) = match engine {
        Engine::Sqlite => ("sqlite", false),
        Engine::Postgres => ("postgresql", true),
    };
    assert_eq!((parameter(&mine, "A1", "engine"), kept(&mine, "A1", "engine")), (&json!(name), is_postgres));
    assert!(kept(&mine, "A3", "engine"));
    // What is told is in memory: not every request has read. PostgreSQL is read by the change feed all the time, and what
    // runs in the background may read.
    if engine == Engine::Sqlite {
        let before = server.count("transactions").await;
        for path in [PAGE, JSON].repeat(4) {
            conn.get(path, None).await.is(200);
        }
        let read = server.count("transactions").await - before;
        assert!(read < 4, "{read}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_off_or_left_to_others_says_so() {
    let server =
        Server::start(Options::new(Engine::Sqlite).limits_off().env("FREEHOLD_SIGNING_ROTATE_DAYS", "0")).await;
    let security = told(&server, "localhost").await;
    for (id, name) in [
        ("K14", "profile"),
        ("K16", "spoken_by"),
        ("K17", "strict-transport-security"),
        ("K26", "looked_up_in"),
        ("K28", "rotate_days"),
        ("K34", "required_of"),
        ("K53", "login-address"),
        ("A1", "engine"),
        ("A12", "sent_by"),
        ("A13", "configured"),
        ("A14", "configured"),
    ] {
        assert!(!kept(&security, id, name), "{id}");
    }
    let why = of(&security, "K53", "signup")["why_not"].as_str().unwrap();
    assert!(why.contains("login-address") && !why.contains("csp-report"), "{why}");
    let all = security["promises"].as_array().unwrap();
    assert!(all.iter().any(|entry| entry["id"] == "K94" && entry["kept"] == false), "{security}");
    for id in ["K8", "K10", "K19"] {
        let of_provider = |entry: &&Value| entry["id"] == id && entry["hosting_provider"].is_string();
        let entry = all.iter().find(of_provider).unwrap();
        assert_eq!(entry["kept"], false, "{entry}");
    }
    let page = text(&Conn::open(server.http, "localhost").await.get(PAGE, None).await);
    let why = page.matches("<strong>Why not:</strong>").count();
    assert_eq!(why, all.iter().filter(|entry| entry["kept"] == false).count());
    assert_eq!(page.matches("<section>").count(), all.len());
}

/// What is told is in the table of promises, whose every row names its tests, or it is somebody else's to keep.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_told_that_no_test_holds() {
    let security = told(&start(&[]).await, "localhost").await;
    let rows =
        include_str!("../../docs/promises.md").lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let held: Vec<&str> = rows.flat_map(|ids| ids.split(", ")).collect();
    for entry in security["promises"].as_array().unwrap() {
        let is_held = held.contains(&entry["id"].as_str().unwrap());
        assert!(is_held || (entry["kept"] == false && entry["hosting_provider"].is_string()), "{entry}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_host_of_ours_tells_and_the_page_keeps_its_policy() {
    let server = start(&[]).await;
    let acme = server.tenant("acme");
    platform(&server).await;
    let mut nonces = vec![];
    for host in ["localhost", "api.localhost", "admin.localhost", &acme.host()] {
        let mut conn = Conn::open(server.http, host).await;
        let answer = conn.get(PAGE, None).await;
        let (page, policy) = (text(&answer), answer.header("content-security-policy").unwrap().to_owned());
        assert_eq!((answer.header("content-type"), answer.header("cache-control")), (Some(HTML), Some("no-store")));
        let nonce = page.split_once("<style nonce=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
        assert!(policy.contains(&format!("style-src 'nonce-{nonce}'")), "{policy}");
        assert_eq!(page.matches("<style").count(), 1);
        let page = page.replacen("<link rel=\"icon\" href=\"data:,\">", "", 1); // there is none
        for inline in ["<script", " style=", " onload=", "javascript:", "<img", "<link", "http:", "https:"] {
            assert!(!page.contains(inline), "{inline}: {page}");
        }
        nonces.push(nonce);

        let answer = conn.get(JSON, None).await;
        assert_eq!(answer.header("cache-control"), Some("public, max-age=60"), "{host}");
        assert!(answer.header("x-ratelimit-tier").is_some(), "it is counted: {answer:?}");
        let security = answer.is(200).json();
        for (id, name) in [("K46", "x-frame-options"), ("K47", "referrer-policy"), ("K48", "permissions-policy")] {
            assert_eq!(parameter(&security, id, name).as_str(), answer.header(name), "{host}");
        }
        let other = parameter(&security, "K41", "policy_of_everything_else");
        assert_eq!(other.as_str(), answer.header("content-security-policy"));
        let of_pages = parameter(&security, "K41", "policy_of_pages").as_str().unwrap();
        assert!(policy.starts_with(&of_pages.replace("{nonce}", nonces.last().unwrap())), "{policy}");
        assert_eq!(security["server"], concat!("freehold ", env!("CARGO_PKG_VERSION")));
        conn.call("POST", PAGE, None).await.is_problem(405, "method-not-allowed");
    }
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), 4, "each page has its own");
    for host in ["evil.test", "nobody.localhost", "127.0.0.1"] {
        for path in [PAGE, JSON, TXT] {
            Conn::open(server.http, host).await.get(path, None).await.is_problem(404, "not-found");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_depends_on_is_not_named() {
    let folder = Folder::new();
    let data = folder.path().join("cAnArYdata");
    let server = start(&[
        ("FREEHOLD_MAIL_SMTP_URL", "smtps://cAnArYuser:cAnArYpass@mail.canary.example"),
        ("FREEHOLD_PASSWORDS_BREACHED_URL", "https://ranges.canary.example"),
        ("FREEHOLD_OAUTH_GITHUB_CLIENT_ID", "cAnArYid"),
        ("FREEHOLD_OAUTH_GITHUB_CLIENT_SECRET", "cAnArYsecret"),
        ("FREEHOLD_OAUTH_GITHUB_API_URL", "https://github.canary.example"),
        ("FREEHOLD_PLATFORM_OPERATOR_CIDRS", "10.11.12.0/24"),
        ("FREEHOLD_DATA_DIR", data.to_str().unwrap()),
    ])
    .await;
    let mut conn = Conn::open(server.http, "localhost").await;
    let security = conn.get(JSON, None).await.is(200).json();
    assert_eq!(*parameter(&security, "A12", "sent_by"), "SMTP over TLS");
    assert!(kept(&security, "A12", "sent_by") && kept(&security, "A13", "configured"));
    assert_eq!(
        (parameter(&security, "K26", "looked_up_in"), kept(&security, "K26", "looked_up_in")),
        (&json!("service"), true)
    );
    for told in [security.to_string(), text(&conn.get(PAGE, None).await)] {
        for hidden in ["cAnArY", "canary", "10.11.12", folder.path().to_str().unwrap()] {
            assert!(!told.contains(hidden), "{hidden}: {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_tls_is_told_and_what_browsers_are_told_too() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let files = authority.certify(folder.path(), "platform", &["*.example.test", "example.test"]);
    let platform = [
        ("FREEHOLD_PLATFORM_DOMAIN", "example.test"),
        ("FREEHOLD_PLATFORM_PUBLIC_URL", "https://example.test:8443"),
        ("FREEHOLD_SECURITY_CONTACT", "mailto:security@example.test"),
    ];
    let (cert, key) = (files.cert.display().to_string(), files.key.display().to_string());
    let tls = [("FREEHOLD_HTTP_TLS_CERT", cert.as_str()), ("FREEHOLD_HTTP_TLS_KEY", &key)];
    let server = start(&[platform.as_slice(), &tls].concat()).await;
    let stream = authority.connect(server.http, "api.example.test", &[&TLS13, &TLS12], &["http/1.1"]).await.unwrap();
    let mut conn = Conn::over(stream, "api.example.test").await;
    let answer = conn.get(JSON, None).await;
    let security = answer.is(200).json();
    let spoken = (parameter(&security, "K16", "spoken_by"), parameter(&security, "K16", "versions"));
    assert_eq!((spoken, kept(&security, "K16", "versions")), ((&json!("the server"), &json!(["1.3", "1.2"])), true));
    let hsts = parameter(&security, "K17", "strict-transport-security");
    assert_eq!((hsts.as_str(), hsts.is_string()), (answer.header("strict-transport-security"), true));
    let acme = server.tenant("acme");
    let stream = authority.connect(server.http, "acme.example.test", &[&TLS13, &TLS12], &["http/1.1"]).await.unwrap();
    let mut admin = Conn::over(stream, "acme.example.test").await;
    let session = admin.sign_in(&acme).await;
    let status = admin.get(STATUS, Some(&session.access)).await.is(200).json();
    let certificates = status["certificates"].as_array().unwrap();
    assert!(certificates.len() == 1 && certificates[0]["days_left"].as_i64().unwrap() > 0, "{status}");
    let canonical = "\nCanonical: https://api.example.test:8443/.well-known/security.txt\n";
    assert!(text(&conn.get(TXT, None).await).contains(canonical));

    let server = start(&[platform.as_slice(), &[("FREEHOLD_HTTP_TRUSTED_PROXIES", "127.0.0.1")]].concat()).await;
    let security = told(&server, "example.test").await;
    let entry = of(&security, "K16", "spoken_by");
    assert_eq!(entry["parameters"]["spoken_by"], "a trusted proxy");
    assert!(
        entry["kept"] == false && entry["hosting_provider"].is_string(),
        "development serves what comes without: {entry}"
    );
    assert!(kept(&security, "K17", "strict-transport-security"));
}

/// With a mail server and a service of breached passwords that are away.
async fn admins_see_how_it_stands_now(engine: Engine) {
    let options = Options::new(engine)
        .limits_off()
        .env("FREEHOLD_MAIL_SMTP_URL", "smtp://127.0.0.1:1")
        .env("FREEHOLD_PASSWORDS_BREACHED_URL", "http://127.0.0.1:1")
        .env("FREEHOLD_PASSWORDS_BREACHED_PAUSE_S", "3600")
        .env("FREEHOLD_PASSWORDS_PASSES", "3")
        .env("FREEHOLD_SIGNING_ROTATE_DAYS", "31");
    let server = Server::start(options).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let mut session = conn.sign_in(&acme).await;
    let answer = conn.get(STATUS, Some(&session.access)).await;
    let status = answer.is(200).json();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(status["argon2"], json!({ "memory_kib": 19_456, "passes": 3, "lanes": 1 }));
    assert_eq!(status["breached_passwords"], json!({ "source": "service", "circuit": "closed" }));
    assert_eq!((&status["letters_waiting"], &status["counters"]), (&json!(0), &json!("memory")));
    let kept_by = if engine == Engine::Sqlite { "files" } else { "row_level_security" };
    assert_eq!(status["isolation"], json!({ "kept_by": kept_by, "holds": true }));
    assert_eq!((&status["certificates"], &status["signing_key"]["age_days"]), (&json!([]), &json!(0)));
    let keys = conn.get("/v1/signing-keys", Some(&session.access)).await.is(200).json();
    let key = &status["signing_key"];
    assert_eq!(key["created_at"], keys["items"][0]["created_at"]);
    assert!(time(&key["due_at"]) > time(&key["created_at"]), "{status}");

    // Each change of the password asks the service, and writes a letter.
    let mut current = acme.password.clone();
    for n in 0..3 {
        let new = format!("an altogether new password {n}");
        let body = json!({ "current_password": current, "new_password": new });
        session = Session::of(&conn.post("/v1/auth/password", Some(&session.access), &body).await);
        current = new;
    }
    let status = conn.get(STATUS, Some(&session.access)).await.is(200).json();
    assert_eq!((&status["breached_passwords"]["circuit"], &status["letters_waiting"]), (&json!("open"), &json!(3)));
}

/// What is promised of row-level security is looked at while the server runs: an admin sees it lost, the metric tells it
/// and the node is unready until it is back.
#[tokio::test(flavor = "multi_thread")]
async fn row_level_security_that_is_lost_is_told_and_the_node_unready() {
    let options = Options::new(Engine::Postgres).limits_off().env("FREEHOLD_TREE_RECONCILE_S", "1");
    let server = Server::start(options).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let access = conn.sign_in(&acme).await.access;
    let url = server.database().url();
    let role = url.trim_start_matches("postgres://").split('@').next().unwrap();
    for (lost, found) in [
        ("ALTER TABLE member NO FORCE ROW LEVEL SECURITY", "ALTER TABLE member FORCE ROW LEVEL SECURITY"),
        (&*format!("ALTER ROLE {role} BYPASSRLS"), &*format!("ALTER ROLE {role} NOBYPASSRLS")),
    ] {
        for (sql, holds, ready) in [(lost, false, 503), (found, true, 200)] {
            server.run_sql(&acme, sql).await;
            let status = conn.get(STATUS, Some(&access)).await.is(200).json();
            assert_eq!(status["isolation"], json!({ "kept_by": "row_level_security", "holds": holds }), "{sql}");
            until(sql, async || (server.private_get("/readyz").await.status == ready).then_some(())).await;
            until(sql, async || (metric(&server, "freehold_tenants_isolated").await == u64::from(holds)).then_some(()))
                .await;
        }
    }
    assert!(server.log().contains("does not keep tenants apart"));
}

/// The fields of a `security.txt`.
fn fields(answer: &Answer) -> Vec<(String, String)> {
    let lines = text(answer);
    let lines = lines.lines().map(|line| line.split_once(": ").unwrap_or_else(|| panic!("{line:?}")));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn security_txt_says_whom_to_tell_and_holds_in_future() {
    let server = start(&[("FREEHOLD_LIMITS_ADDRESS", "off")]).await;
    Conn::open(server.http, "localhost").await.get(TXT, None).await.is_problem(404, "not-found");
    let server =
        server.restarted_with("FREEHOLD_SECURITY_CONTACT", "mailto:security@example.com, https://example.com/report");
    let acme = server.tenant("acme");
    for host in ["localhost", "api.localhost", &acme.host()] {
        let answer = Conn::open(server.http, host).await.get(TXT, None).await;
        assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
        let fields = fields(&answer);
        let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["Contact", "Contact", "Expires"], "{fields:?}");
        assert_eq!(fields[0].1, "mailto:security@example.com");
        assert_eq!(fields[1].1, "https://example.com/report");
        let days = days_left(&fields[2].1);
        assert!((178.9..=180.0).contains(&days), "{days} {fields:?}");
    }
    let security = told(&server, "localhost").await;
    let entry = security["promises"].as_array().unwrap().iter().find(|entry| entry["id"] == "K94").unwrap();
    assert_eq!(entry["kept"], true, "{entry}");
    let server = start(&[
        ("FREEHOLD_SECURITY_CONTACT", "mailto:security@example.com"),
        ("FREEHOLD_SECURITY_EXPIRES_DAYS", "1"),
        ("FREEHOLD_SECURITY_POLICY_URL", "https://example.com/policy"),
        ("FREEHOLD_SECURITY_PREFERRED_LANGUAGES", "en,de"),
    ])
    .await;
    let fields = fields(&Conn::open(server.http, "localhost").await.get(TXT, None).await);
    let days = days_left(&fields[1].1);
    assert!(days > 0.0 && days <= 1.0, "{days}");
    let wanted = [("Policy", "https://example.com/policy"), ("Preferred-Languages", "en, de")];
    assert_eq!(fields[2..], wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

/// How many days from now it is until this midnight in UTC, like `2027-01-15T00:00:00Z` (days from the civil date: Fliegel
/// and Van Flandern, 1968).
fn days_left(text: &str) -> f64 {
    let date: Vec<i32> =
        text.strip_suffix("T00:00:00Z").unwrap().split('-').map(|part| part.parse().unwrap()).collect();
    let (y, m, d) = (date[0], date[1], date[2]);
    let a = (m - 14) / 12;
    let julian =
        1_461 * (y + 4_800 + a) / 4 + 367 * (m - 2 - 12 * a) / 12 - 3 * ((y + 4_900 + a) / 100) / 4 + d - 32_075;
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64() / 86_400.0;
    f64::from(julian - 2_440_588) - now
}
