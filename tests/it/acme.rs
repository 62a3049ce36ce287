//! Certificates by ACME: ordered, proved, shown, kept and renewed by the server itself, at a real authority.

mod limited;
mod pebble;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use self::limited::Limited;
use self::pebble::{DOMAIN, Pebble, leaf};
use crate::domains::names::Names;
use crate::support::{Authority, Conn, Engine, Folder, Options, Server, on_both_engines};
use crate::watch::{metric, until};

/// Ninety days.
const LONG_S: u32 = 90 * 24 * 3_600;
/// The platform's own hosts.
const OWN: [&str; 3] = ["example.test", "api.example.test", "admin.example.test"];
const ISSUED: &str = "freehold_acme_orders_total{outcome=\"issued\"}";
/// How every private key on P-256 begins, in PEM and in base64 of either alphabet: PKCS#8 with its algorithm.
const KEY_IN_BASE64: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0w";
/// The same in DER: version, `ecPublicKey`, `prime256v1`.
const KEY_IN_DER: &[u8] =
    b"\x02\x01\x00\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x04";

on_both_engines! {
    every_host_has_a_certificate_soon_and_keeps_it
}

async fn every_host_has_a_certificate_soon_and_keeps_it(engine: Engine) {
    let pebble = Pebble::start(LONG_S).await;
    let server = Server::start(pebble.options(engine)).await;
    for host in OWN {
        pebble.shown(server.http, host).await;
    }
    let acme = server.tenant("acme");
    let shown = pebble.shown(server.http, "acme.example.test").await;
    let stream = pebble.connect(server.http, "acme.example.test").await.unwrap();
    let mut conn = Conn::over(stream, "acme.example.test").await;
    let session = conn.sign_in(&acme).await;
    assert_eq!(conn.me(&session.access).await, 200);
    let status = conn.get("/v1/security-status", Some(&session.access)).await;
    let certificates = status.is(200).json()["certificates"].clone();
    assert_eq!(
        (certificates.as_array().unwrap().len(), &certificates[0]["days_left"]),
        (1, &89.into()),
        "its own alone"
    );

    // A connection is for its host alone, and a name that nobody has gets none.
    let stream = pebble.connect(server.http, "acme.example.test").await.unwrap();
    Conn::over(stream, "api.example.test").await.get("/", None).await.is_problem(421, "misdirected-request");
    assert!(pebble.connect(server.http, "nobody.example.test").await.is_none());

    counted(&[&server], 4).await;
    assert_eq!(pebble.issued(), 4, "one for each host");
    hosts_without(&server, 0).await;
    assert!(metric(&server, "freehold_acme_certificate_left_seconds").await > 89 * 24 * 3_600);
    assert_eq!(metric(&server, "freehold_acme_orders_total").await, 4, "none failed: {}", server.log());
    keys_are_sealed(&server, engine).await;

    let server = server.restarted();
    assert_eq!(pebble.shown(server.http, "acme.example.test").await, shown, "what was there is shown again");
    server.tenant("globex");
    pebble.shown(server.http, "globex.example.test").await;
    counted(&[&server], 1).await;
    assert_eq!(pebble.issued(), 5, "and nothing is ordered twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_domain_has_a_certificate_too_and_its_proof_stays_over_plain_http() {
    const SHOP: &str = "shop.test";
    let (pebble, names) = (Pebble::start(LONG_S).await, Names::start().await);
    let (_, port) = pebble.asks_at().rsplit_once(':').map(|(host, port)| (host.to_owned(), port.to_owned())).unwrap();
    let options = pebble
        .options(Engine::Sqlite)
        .env("FREEHOLD_DOMAINS_RESOLVER", &names.address.to_string())
        .env("FREEHOLD_DOMAINS_HTTP_PORT", &port)
        .env("FREEHOLD_DOMAINS_PRIVATE_CIDRS", "127.0.0.1/32");
    let server = Server::start(options).await;
    let acme = server.tenant("acme");
    pebble.shown(server.http, "acme.example.test").await;
    let stream = pebble.connect(server.http, "acme.example.test").await.unwrap();
    let mut conn = Conn::over(stream, "acme.example.test").await;
    let access = conn.sign_in(&acme).await.access;
    let claimed = conn.post("/v1/domains", Some(&access), &json!({ "domain": SHOP })).await.is(201).json();
    let plain = server.redirect.unwrap();
    let get = async |path: &str| Conn::open(plain, SHOP).await.get(path, None).await;
    let proof = "/.well-known/freehold-domain-verification";
    get(proof).await.is_problem(404, "not-found");
    assert!(pebble.connect(server.http, SHOP).await.is_none(), "what is only claimed has no certificate");

    let txt = &claimed["proof"]["txt"];
    names.texts(txt["name"].as_str().unwrap(), &[txt["value"].as_str().unwrap()]);
    let verify = async |conn: &mut Conn| {
        until("it may be looked at", async || {
            let answer = conn.post("/v1/domains/shop.test/verify", Some(&access), &json!({})).await;
            (answer.header("retry-after").is_none()).then_some(answer)
        })
        .await
        .0
    };
    verify(&mut conn).await.is(200);
    pebble.shown(server.http, SHOP).await;
    let mut shop = Conn::over(pebble.connect(server.http, SHOP).await.unwrap(), SHOP).await;
    let answer = shop.get("/v1/me", Some(&access)).await;
    assert_eq!(answer.is(200).header("strict-transport-security"), Some("max-age=63072000"));
    let mut wrong = Conn::over(pebble.connect(server.http, SHOP).await.unwrap(), "acme.example.test").await;
    wrong.get("/v1/me", Some(&access)).await.is_problem(421, "misdirected-request");
    assert_eq!(get("/x?y").await.is(308).header("location"), Some("https://shop.test/x?y"));

    // The domain leads here: its page is ours, and proves it without the DNS.
    names.texts(txt["name"].as_str().unwrap(), &[]);
    names.addresses(SHOP, &["127.0.0.1"]);
    assert_eq!(get(proof).await.is(200).body, format!("{}\n", claimed["proof"]["http"]["body"].as_str().unwrap()));
    assert_eq!(verify(&mut conn).await.is(200).json()["state"], "attached");
    // Whatever the state of its tenant.
    assert!(server.cli(&["tenant", "suspend", "acme"], "").status.success());
    get(proof).await.is(200);
    shop.get(proof, None).await.is(200);
    shop.get("/v1/me", Some(&access)).await.is_problem(403, "tenant-suspended");
    assert!(server.cli(&["tenant", "resume", "acme"], "").status.success());
    // But where the DNS names somebody else, the page that is ours proves nothing.
    names.texts(txt["name"].as_str().unwrap(), &["freehold-domain-verification=0123456789abcdefghjkmnpqrstvwxyz"]);
    let told = verify(&mut conn).await;
    told.is_problem(400, "validation");
    let told = conn.get("/v1/domains/shop.test", Some(&access)).await.is(200).json();
    assert_eq!((&told["state"], told["ends_at"].is_string()), (&json!("failing"), true));
}

/// Waits until so many orders are counted as issued: a certificate is shown a moment before its order is.
async fn counted(servers: &[&Server], count: u64) {
    let all = async || {
        let mut sum = 0;
        for server in servers {
            sum += metric(server, ISSUED).await;
        }
        (sum == count).then_some(())
    };
    until("every order is counted, once", all).await;
}

/// Waits until so many hosts have no certificate.
async fn hosts_without(server: &Server, count: u64) {
    let gauge = "freehold_acme_hosts_without_certificate";
    until(gauge, async || (metric(server, gauge).await == count).then_some(())).await;
}

/// No private key lies open, neither in the store nor in the log.
async fn keys_are_sealed(server: &Server, engine: Engine) {
    let known = rcgen::KeyPair::generate().unwrap();
    assert!(known.serialize_pem().contains(KEY_IN_BASE64), "this is what a key would look like");
    assert!(has(&known.serialize_der(), KEY_IN_DER));
    assert!(!server.log().contains("PRIVATE KEY") && !server.log().contains(KEY_IN_BASE64));
    let mut stored = vec![];
    if engine == Engine::Sqlite {
        gather(&server.data_dir(), &mut stored);
        assert!(has(&stored, b"-----BEGIN CERTIFICATE-----"), "the certificates lie there");
    } else {
        let mut connection = server.database().superuser().await;
        let sql = "SELECT sealed FROM keys.acme_account UNION ALL SELECT key_sealed FROM keys.acme_certificate";
        let rows: Vec<Vec<u8>> = sqlx::query_scalar(sql).fetch_all(&mut connection).await.unwrap();
        assert_eq!(rows.len(), 5);
        stored = rows.concat();
    }
    for open in [b"PRIVATE KEY".as_slice(), KEY_IN_BASE64.as_bytes(), KEY_IN_DER, b"key_pkcs8"] {
        assert!(!has(&stored, open), "{}", String::from_utf8_lossy(open));
    }
}

fn has(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// Everything in the files of this folder.
fn gather(folder: &Path, bytes: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            gather(&entry.path(), bytes);
        } else if kind.is_file() {
            bytes.extend(std::fs::read(entry.path()).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_before_it_ends_and_no_connection_is_dropped() {
    let pebble = Pebble::start(45).await;
    let server = Server::start(pebble.options(Engine::Sqlite)).await;
    let acme = server.tenant("acme");
    let host = "acme.example.test";
    let before = pebble.shown(server.http, host).await;
    let mut open = Conn::over(pebble.connect(server.http, host).await.unwrap(), host).await;
    let session = open.sign_in(&acme).await;
    // Every handshake on the way finds a certificate that is good: the client looks at its time.
    let since = Instant::now();
    loop {
        let stream = pebble.connect(server.http, host).await.expect("one is good at any time");
        if leaf(&stream) != before {
            break;
        }
        assert!(since.elapsed() < Duration::from_mins(1), "it is never renewed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let took = since.elapsed();
    assert!(took > Duration::from_secs(20), "not before two thirds of its time are over: {took:?}");
    assert_eq!(open.me(&session.access).await, 200, "a connection that was open goes on");
    assert!(metric(&server, ISSUED).await > 4, "and so it is for the other hosts");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_away_stops_nothing_and_is_asked_less_and_less() {
    let mut pebble = Pebble::start(LONG_S).await;
    let server = Server::start(pebble.options(Engine::Sqlite)).await;
    let acme = server.tenant("acme");
    let host = "acme.example.test";
    pebble.shown(server.http, host).await;
    let mut conn = Conn::over(pebble.connect(server.http, host).await.unwrap(), host).await;
    let session = conn.sign_in(&acme).await;

    pebble.end();
    server.tenant("globex");
    let failed = async || {
        let log = server.log();
        let lines = log.lines().filter(|line| line.contains("a certificate was not issued"));
        let lines: Vec<serde_json::Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
        (lines.len() >= 3).then_some(lines)
    };
    let (lines, _) = until("it is tried again", failed).await;
    let number = |line: &serde_json::Value, field: &str| find(line, field).as_u64().unwrap();
    for line in &lines {
        assert_eq!(find(line, "acme.host"), "globex.example.test");
    }
    let told: Vec<_> = lines.iter().map(|line| (number(line, "acme.failures"), number(line, "acme.retry_s"))).collect();
    assert!(told[2].0 == 3 && told[2].1 >= 3, "1, 2, 4 seconds, a quarter more or less: {told:?}");
    assert_eq!(conn.me(&session.access).await, 200);

    // It comes back and remembers nothing, the account neither.
    pebble.begin().await;
    pebble.shown(server.http, "globex.example.test").await;
    let (log, _) =
        until("it is said", async || Some(server.log()).filter(|log| log.contains("does not know the account"))).await;
    assert_eq!(log.matches("an account was made").count(), 2, "{log}");
    hosts_without(&server, 0).await;
    assert_eq!(pebble.issued(), 1, "the others keep what they have");
}

/// A field of a line of the log, wherever it stands.
fn find<'a>(line: &'a serde_json::Value, field: &str) -> &'a serde_json::Value {
    line.get(field).or_else(|| line["fields"].get(field)).unwrap_or_else(|| panic!("no {field}: {line}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_whose_limit_is_reached_is_left_alone_as_long_as_it_says() {
    let limited = Limited::start(7_200).await;
    let server = Server::start(limited.options()).await;
    let refused = async |server: &Server| metric(server, "freehold_acme_orders_total{outcome=\"refused\"}").await;
    until("every host was refused", async || (refused(&server).await == 3).then_some(())).await;
    let log = server.log();
    let first = log.lines().find(|line| line.contains("a certificate was not issued")).unwrap();
    let first: serde_json::Value = serde_json::from_str(first).unwrap();
    assert!(find(&first, "acme.retry_s").as_u64().unwrap() >= 7_200, "{first}");
    assert!(find(&first, "error").as_str().unwrap().contains("rateLimited"), "{first}");
    // A host that is new asks nobody either, for as long; a restart forgets that pause, and no host that was refused.
    server.tenant("acme");
    hosts_without(&server, 4).await;
    assert_eq!((limited.asked(), refused(&server).await), (3, 3));
    let server = server.restarted();
    until("the new host was refused", async || (refused(&server).await == 1).then_some(())).await;
    hosts_without(&server, 4).await;
    assert_eq!(limited.asked(), 4, "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn challenges_are_answered_on_the_plain_listener_and_nothing_else_is() {
    let pebble = Pebble::absent(LONG_S);
    let server = Server::start(pebble.options(Engine::Sqlite)).await;
    let token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";
    let path = |token: &str| format!("/.well-known/acme-challenge/{token}");
    // An order that is under way, for one host.
    let row = format!("INSERT INTO acme_challenge VALUES ('{token}', 'shop.test', '{token}.thumb', 9000000000000)");
    run_on_keys(&server, &row).await;
    let plain = server.redirect.unwrap();
    let get = async |host: &str, path: &str| Conn::open(plain, host).await.get(path, None).await;

    let answer = get("shop.test", &path(token)).await;
    assert_eq!(
        (answer.is(200).body.as_ref(), answer.header("content-type")),
        (format!("{token}.thumb").as_bytes(), Some("application/octet-stream"))
    );
    assert!(answer.header("x-request-id").is_some() && answer.header("x-content-type-options").is_some(), "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    get("example.test", &path(token)).await.is_problem(404, "not-found");
    for unknown in [
        "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oB",
        "short",
        "",
        "..%2f..%2fetc%2fpasswd",
        "a/b",
        &format!("{token}="),
    ] {
        get("shop.test", &path(unknown)).await.is_problem(404, "not-found");
    }
    // All else goes to HTTPS as before, where there is something, and an unknown host nowhere.
    assert_eq!(get("example.test", "/x").await.is(308).header("location"), Some("https://example.test/x"));
    let posted = Conn::open(plain, "example.test").await.call("POST", &path(token), None).await;
    posted.is(308);
    get("shop.test", "/x").await.is_problem(404, "not-found");

    // No certificate is there yet: the handshake is refused, and the server is up.
    let authority = Authority::new();
    assert!(authority.connect(server.http, DOMAIN, &[&rustls::version::TLS13], &["http/1.1"]).await.is_err());
    server.private_get("/readyz").await.is(200);
}

/// Where nothing is ordered nothing is answered.
#[tokio::test(flavor = "multi_thread")]
async fn without_an_authority_a_challenge_is_sent_on_like_everything() {
    let (authority, folder) = (Authority::new(), Folder::new());
    let files = authority.certify(folder.path(), "platform", &[DOMAIN]);
    let options = Options::new(Engine::Sqlite)
        .env("FREEHOLD_PLATFORM_DOMAIN", DOMAIN)
        .env("FREEHOLD_PLATFORM_PUBLIC_URL", "https://example.test")
        .env("FREEHOLD_HTTP_TLS_CERT", &files.cert.display().to_string())
        .env("FREEHOLD_HTTP_TLS_KEY", &files.key.display().to_string())
        .env("FREEHOLD_HTTP_REDIRECT_LISTEN", "127.0.0.1:0");
    let server = Server::start(options).await;
    let path = "/.well-known/acme-challenge/evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA";
    Conn::open(server.redirect.unwrap(), DOMAIN).await.get(path, None).await.is(308);
}

async fn run_on_keys(server: &Server, sql: &str) {
    use sqlx::{ConnectOptions as _, Connection as _};
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(server.data_dir().join("keys.db"));
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_good_for_a_host_comes_before_what_could_be_ordered() {
    let pebble = Pebble::start(LONG_S).await;
    let (authority, folder) = (Authority::new(), Folder::new());
    let [domain, api, admin] = OWN;
    let files = authority.certify(folder.path(), "api", &[api]);
    let options = pebble
        .options(Engine::Sqlite)
        .env("FREEHOLD_HTTP_TLS_CERT", &files.cert.display().to_string())
        .env("FREEHOLD_HTTP_TLS_KEY", &files.key.display().to_string());
    let server = Server::start(options).await;
    for host in [domain, admin] {
        pebble.shown(server.http, host).await;
    }
    let by_file = async || authority.connect(server.http, api, &[&rustls::version::TLS13], &["http/1.1"]).await;
    let before = leaf(&by_file().await.unwrap());
    authority.certify(folder.path(), "api", &[api]);
    until("the new file is shown", async || Some(by_file().await.ok()?).filter(|stream| leaf(stream) != before)).await;
    assert!(pebble.connect(server.http, domain).await.is_some(), "what was issued stays");
    assert_eq!(pebble.issued(), 2, "none for the host of the file");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_nodes_one_orders_for_a_host_and_both_show_it() {
    const TENANTS: usize = 9;
    let pebble = Pebble::start(LONG_S).await;
    let one = Server::start(pebble.options(Engine::Postgres)).await;
    let two = one.another_with(&[("FREEHOLD_HTTP_REDIRECT_LISTEN", "127.0.0.1:0")]);
    for number in 0..TENANTS {
        one.tenant(&format!("tenant-{number}"));
    }
    let hosts: Vec<String> = (0..TENANTS).map(|number| format!("tenant-{number}.example.test")).collect();
    for host in OWN.into_iter().chain(hosts.iter().map(String::as_str)) {
        assert_eq!(pebble.shown(one.http, host).await, pebble.shown(two.http, host).await, "{host}");
    }
    counted(&[&one, &two], TENANTS as u64 + 3).await;
    assert_eq!(pebble.issued(), TENANTS + 3, "each host once");
    assert_eq!(one.log().matches("an account was made").count() + two.log().matches("an account was made").count(), 1);
}

/// The node that the authority asks has a file for every host and orders nothing; the other one is not reached by it.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_answers_the_authority_for_the_order_of_another() {
    let pebble = Pebble::start(LONG_S).await;
    let (authority, folder) = (Authority::new(), Folder::new());
    let files = authority.certify(folder.path(), "all", &[DOMAIN, "*.example.test"]);
    let orders =
        Server::start(pebble.options(Engine::Postgres).env("FREEHOLD_HTTP_REDIRECT_LISTEN", "127.0.0.1:0")).await;
    let asked = orders.another_with(&[
        ("FREEHOLD_HTTP_REDIRECT_LISTEN", &pebble.asks_at()),
        ("FREEHOLD_HTTP_TLS_CERT", &files.cert.display().to_string()),
        ("FREEHOLD_HTTP_TLS_KEY", &files.key.display().to_string()),
    ]);
    for host in OWN {
        pebble.shown(orders.http, host).await;
    }
    counted(&[&orders], 3).await;
    assert_eq!(metric(&asked, "freehold_acme_orders_total").await, 0);
}
