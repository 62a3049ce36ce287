//! Logs and stores: everything that happened, and no secret and no name of anybody.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::raw as wire;
use crate::second_factor::{Authenticator, raw};
use crate::support::{Conn, Database, Engine, Options, Server, Session, on_both_engines};
use crate::watch::{metric, until};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(30);

const EMAIL: &str = "canary-7f3a@example.com";
const PASSWORD: &str = "canary horse of 7f3a staple";
const NEW_PASSWORD: &str = "canary mule of 7f3a staple";
const WRONG_PASSWORD: &str = "canary wrong of 7f3a staple";
/// Where the account is to be moved to.
const MOVED: &str = "canary-new-7f3a@example.org";
const QUERY: &str = "canary-query-7f3a";

/// One line of a log.
#[track_caller]
fn line(text: &str) -> Value {
    let line: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("not a line of JSON: {text}"));
    assert!(line.is_object(), "{text}");
    line
}

/// Every file under a folder.
fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = vec![];
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if let Ok(bytes) = fs::read(&path) {
            found.push((path.display().to_string(), bytes));
        }
    }
    found
}

/// Every row of every table, as text.
async fn rows(database: &Database) -> Vec<(String, Vec<u8>)> {
    let mut connection = database.superuser().await;
    let tables = "SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables \
                  WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_type = 'BASE TABLE'";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut connection).await.unwrap();
    assert!(tables.len() >= 5, "{tables:?}");
    let mut found = vec![];
    for table in tables {
        let all = sqlx::raw_sql(AssertSqlSafe(format!("SELECT row::text FROM {table} row")));
        for row in all.fetch_all(&mut connection).await.unwrap() {
            found.push((table.clone(), row.get::<String, _>(0).into_bytes()));
        }
    }
    connection.close().await.unwrap();
    found
}

/// Asserts that none of the secrets stands in the text, plain or as PostgreSQL shows bytes.
#[track_caller]
fn holds_none(place: &str, text: &[u8], secrets: &[&str]) {
    for secret in secrets {
        let hex = secret.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        for form in [secret.as_bytes(), hex.as_bytes()] {
            assert!(!text.windows(form.len()).any(|window| window == form), "{secret} stands in {place}");
        }
    }
}

/// The texts of an API key that was rotated and used, and of one that was mistyped.
async fn api_keys(server: &Server, conn: &mut Conn, session: &Session) -> Vec<String> {
    let (access, new) = (Some(session.access.as_str()), json!({ "name": "server", "kind": "secret" }));
    let made = conn.post("/v1/api-keys", access, &new).await.is(201).json();
    let path = format!("/v1/api-keys/{}/rotate", made["id"].as_str().unwrap());
    let rotated = conn.post(&path, access, &json!({ "overlap_s": 60 })).await.is(200).json();
    let mut keys = [made, rotated].map(|shown| shown["key"].as_str().unwrap().to_owned()).to_vec();
    keys.push(format!("{}A", keys[0]));
    let mut api = Conn::open(server.http, "api.localhost").await;
    for (key, status) in keys.iter().zip([200, 200, 401]) {
        api.send(api.request("GET", "/v1/config", &[("x-nd-key", key.as_str())], b"")).await.is(status);
    }
    // The random part alone, too: what follows the tenant.
    let random: Vec<_> = keys.iter().map(|key| key["nd_secret_".len() + 22..][..42].to_owned()).collect();
    keys.extend(random);
    keys
}

on_both_engines! {
    no_secret_is_logged_or_stored
    no_token_of_a_letter_is_logged_or_stored
}

/// Nobody takes letters: they stay where they wait, and what they say is looked for there.
fn with_no_mail(options: Options) -> Options {
    options.env("FREEHOLD_MAIL_SMTP_URL", "smtp://127.0.0.1:1")
}

async fn no_secret_is_logged_or_stored(engine: Engine) {
    let server = Server::start(with_no_mail(Options::new(engine).env("FREEHOLD_LOG", "trace").limits_off())).await;
    let args = ["tenant", "create", "acme", "--admin-email", EMAIL, "--admin-password-stdin"];
    let made = server.cli(&args, &format!("{PASSWORD}\n"));
    assert!(made.status.success(), "{made:?}");
    let mut conn = Conn::open(server.http, "acme.localhost").await;
    let login = |password: &str| json!({ "email": EMAIL, "password": password });
    let first = Session::of(&conn.post("/v1/auth/login", None, &login(PASSWORD)).await);
    conn.post("/v1/auth/login", None, &login(WRONG_PASSWORD)).await.is_problem(401, "invalid-credentials");
    let second = Session::of(&conn.refresh(&first.refresh).await);
    conn.get(&format!("/v1/me?{QUERY}=1"), Some(&second.access)).await.is_problem(400, "validation");
    conn.get(&format!("/{QUERY}"), Some(&second.access)).await.is_problem(404, "not-found");
    for actor in ["lockouts", "sessions"] {
        server.fault(json!({ "fault": "panic", "slug": "acme", "actor": actor })).await;
        // Whatever a request meets while the actor is gone, it says nothing either.
        drop(conn.post("/v1/auth/login", None, &login(WRONG_PASSWORD)).await);
    }
    let change = json!({ "current_password": PASSWORD, "new_password": NEW_PASSWORD });
    let third = Session::of(&conn.post("/v1/auth/password", Some(&second.access), &change).await);
    conn.get("/v1/sessions", Some(&third.access)).await.is(200);
    let keys = api_keys(&server, &mut conn, &third).await;
    let enrolment = conn.post("/v1/auth/totp/enrol", Some(&third.access), &json!({})).await.is(200).json();
    let secret = enrolment["secret"].as_str().unwrap();
    let code = json!({ "code": Authenticator::of(secret).code(0) });
    let confirmed = conn.post("/v1/auth/totp/confirm", Some(&third.access), &code).await.is(200).json();
    let codes: Vec<_> =
        confirmed["backup_codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
    let challenged = conn.post("/v1/auth/login", None, &login(NEW_PASSWORD)).await;
    challenged.is_problem(401, "second-factor-required");
    let challenged = challenged.json();
    let answer = json!({ "challenge": challenged["challenge"], "backup_code": codes[0] });
    let fourth = Session::of(&conn.post("/v1/auth/second-factor", None, &answer).await);
    let moved = json!({ "new_email": MOVED });
    conn.post("/v1/auth/email/change", Some(&fourth.access), &moved).await.is(202);
    conn.post("/v1/auth/password/forgot", None, &json!({ "email": EMAIL })).await.is(202);
    conn.call("POST", "/v1/auth/logout", Some(&fourth.access)).await.is(204);

    let mut secrets =
        vec![EMAIL, MOVED, "canary-7f3a", "canary-new-7f3a", PASSWORD, NEW_PASSWORD, WRONG_PASSWORD, "7f3a staple"];
    let said = [made.stdout.as_slice(), &made.stderr].concat();
    holds_none("what the command line said", &said, &secrets[4..]);
    let plain: Vec<_> = codes.iter().map(|code| code.replace('-', "")).collect();
    secrets.extend(codes.iter().copied().chain(plain.iter().map(String::as_str)));
    secrets.extend([
        secret,
        challenged["challenge"].as_str().unwrap(),
        &challenged["challenge"].as_str().unwrap()[4..],
    ]);
    for session in [&first, &second, &third, &fourth] {
        secrets.extend([session.access.as_str(), &session.access[200..], &session.refresh]);
        // The secret part: 32 bytes in base64url, in which an underscore may stand too.
        secrets.push(&session.refresh[session.refresh.len() - 43..]);
    }
    secrets.extend(keys.iter().map(String::as_str));
    secrets.push("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"); // the master key of the tests
    let log = server.log();
    assert!(log.contains("\"TRACE\"") && log.lines().count() > 50, "{log}");
    holds_none("the log", log.as_bytes(), &secrets);
    holds_none("the log", log.as_bytes(), &[QUERY]);
    log.lines().for_each(|text| drop(line(text)));

    let mut places = files(&server.data_dir());
    if engine == Engine::Postgres {
        places.extend(rows(server.database()).await);
    }
    assert!(places.len() >= 4, "{places:?}");
    let raw = raw(secret);
    let hex = raw.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    for (place, text) in places {
        holds_none(&place, &text, &secrets);
        holds_none(&place, &text, &[&hex]);
        assert!(!text.windows(raw.len()).any(|window| window == raw), "the secret of the authenticator is in {place}");
    }
}

async fn no_token_of_a_letter_is_logged_or_stored(engine: Engine) {
    let server = Server::start(Options::new(engine).env("FREEHOLD_LOG", "trace").limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let access = conn.sign_in(&acme).await.access;
    conn.patch("/v1/settings", &access, &json!({ "registration": "open" })).await.is(200);
    let newcomer = json!({ "email": "joan@example.com", "password": PASSWORD, "name": "Joan" });
    let invited = json!({ "email": "grace@example.com", "role": "employee" });
    conn.post("/v1/auth/register", None, &newcomer).await.is(202);
    conn.post("/v1/invitations", Some(&access), &invited).await.is(201);
    conn.post("/v1/auth/email/change", Some(&access), &json!({ "new_email": MOVED })).await.is(202);
    conn.post("/v1/auth/password/forgot", None, &json!({ "email": acme.email })).await.is(202);
    let letters = server.letters(5).await; // one of them tells the old address
    let tokens: Vec<_> = ["/auth/verify", "/auth/invitation", "/auth/reset"]
        .into_iter()
        .flat_map(|page| {
            letters.iter().filter(move |letter| letter.text.contains(page)).map(move |letter| letter.token(page))
        })
        .collect();
    assert_eq!(tokens.len(), 4, "{letters:?}");
    // Used, too: that is logged and stored.
    let [verify, change, invitation, reset] = &tokens[..] else { unreachable!() };
    for (path, body, status) in [
        ("/v1/auth/email/verify", json!({ "token": verify }), 204),
        ("/v1/auth/email/verify", json!({ "token": change }), 204),
        ("/v1/auth/password/reset", json!({ "token": reset, "new_password": NEW_PASSWORD }), 401),
        (
            "/v1/auth/register",
            json!({ "email": "grace@example.com", "password": PASSWORD, "name": "Grace", "invitation": invitation }),
            201,
        ),
    ] {
        conn.post(path, None, &body).await.is(status);
    }
    // The part of a token that is random, too: 32 bytes in base64url.
    let random: Vec<_> = tokens.iter().map(|token| token[token.len() - 43..].to_owned()).collect();
    let secrets: Vec<_> = tokens.iter().chain(&random).map(String::as_str).collect();
    holds_none("the log", server.log().as_bytes(), &secrets);
    let outbox = server.data_dir().join("outbox").display().to_string();
    let mut places = files(&server.data_dir());
    places.retain(|(place, _)| !place.starts_with(&outbox));
    if engine == Engine::Postgres {
        places.extend(rows(server.database()).await);
    }
    assert!(places.len() >= 4, "{places:?}");
    for (place, text) in &places {
        holds_none(place, text, &secrets);
    }
}

#[tokio::test]
async fn a_request_is_found_in_the_log_by_its_id() {
    let server = Server::start(Options::new(Engine::Sqlite)).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let signed_in = conn.login(&acme, &acme.password).await;
    let access = Session::of(&signed_in).access;
    let mut wanted = vec![(signed_in, "POST", "/v1/auth/login")];
    wanted.push((conn.get("/v1/me", Some(&access)).await, "GET", "/v1/me"));
    wanted.push((conn.get("/v1/me", None).await, "GET", "/v1/me"));
    wanted.push((conn.get("/nothing", None).await, "GET", "-"));
    wanted.push((conn.call("DELETE", "/v1/sessions/secret-id", Some(&access)).await, "DELETE", "/v1/sessions/{id}"));
    wanted.push((conn.call("FROB", "/v1/me", None).await, "other", "/v1/me"));

    let mut ids: Vec<_> = wanted.iter().map(|(answer, ..)| answer.header("x-request-id").unwrap().to_owned()).collect();
    let mut server = server;
    assert_eq!(server.terminate(), Some(0));
    let lines = settled(&server);
    for (answer, method, route) in &wanted {
        let id = answer.header("x-request-id").unwrap();
        let own: Vec<_> =
            lines.iter().filter(|line| line["request.id"] == id && line["target"] == "freehold::access").collect();
        let [line] = own[..] else { panic!("{id}: {own:?}") };
        assert_eq!(line["http.status"], answer.status.as_u16(), "{line}");
        assert_eq!(
            (line["http.method"].as_str(), line["http.route"].as_str()),
            (Some(*method), Some(*route)),
            "{line}"
        );
        assert_eq!((&line["tenant.slug"], line["duration_ms"].is_u64()), (&json!("acme"), true), "{line}");
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), wanted.len());
}

/// The log of a server that has ended, to its last line.
fn settled(server: &Server) -> Vec<Value> {
    let mut log = server.log();
    while !log.contains("stopping") {
        std::thread::yield_now();
        log = server.log();
    }
    log.lines().map(line).collect()
}

/// The only line of the access log for which this holds.
#[track_caller]
fn the_one(lines: &[Value], holds: impl Fn(&Value) -> bool) -> &Value {
    let own: Vec<_> = lines.iter().filter(|line| line["target"] == "freehold::access" && holds(line)).collect();
    let [line] = own[..] else { panic!("{own:?}") };
    line
}

#[tokio::test]
async fn what_is_no_request_is_logged_and_counted_like_one() {
    let mut server = Server::start(Options::new(Engine::Sqlite)).await;
    let answer = wire::ask(&server, "nonsense-7f3a\r\n\r\n").await;
    answer.is_problem(400, "validation");
    let metrics = server.private_get("/metrics").await;
    let metrics = String::from_utf8_lossy(&metrics.body);
    let series = "freehold_http_requests_total{route=\"-\",method=\"other\",status=\"400\"} 1";
    assert!(metrics.lines().any(|line| line == series), "{metrics}");
    assert_eq!(server.terminate(), Some(0));
    let lines = settled(&server);
    let line = the_one(&lines, |line| line["request.id"] == answer.header("x-request-id").unwrap());
    assert_eq!(
        (&line["http.status"], &line["http.method"], &line["http.route"]),
        (&json!(400), &json!("other"), &json!("-"))
    );
    assert_eq!(line["client.key"], "127.0.0.1");
    assert!(!server.log().contains("nonsense-7f3a"), "{}", server.log());
}

#[tokio::test]
async fn a_request_whose_client_hung_up_is_logged_and_counted_too() {
    let mut server = Server::start(Options::new(Engine::Sqlite)).await;
    let acme = server.tenant("acme");
    Conn::to(&server, &acme).await.sign_in(&acme).await;
    let body = json!({ "email": acme.email, "password": acme.password }).to_string();
    let head = format!(
        "POST /v1/auth/login HTTP/1.1\r\nhost: acme.localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    server.fault(json!({ "fault": "stall", "slug": "acme", "actor": "lockouts", "stall_ms": 1_000 })).await;
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    // It goes while its attempt waits to be charged.
    let under_way = async || (metric(&server, "freehold_requests_in_flight").await == 1).then_some(());
    until("it is under way", under_way).await;
    drop(stream);
    let series = "freehold_http_requests_total{route=\"/v1/auth/login\",method=\"POST\",status=\"499\"} 1";
    let counted =
        async { while !String::from_utf8_lossy(&server.private_get("/metrics").await.body).contains(series) {} };
    tokio::time::timeout(PATIENCE, counted).await.expect("the request is counted");
    assert_eq!(server.terminate(), Some(0));
    let lines = settled(&server);
    let line = the_one(&lines, |line| line["http.route"] == "/v1/auth/login" && line["http.status"] != 200);
    assert_eq!((&line["http.status"], &line["tenant.slug"]), (&json!(499), &json!("acme")), "{line}");
}

#[tokio::test]
async fn a_client_does_not_name_its_requests() {
    let server = Server::start(Options::new(Engine::Sqlite)).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let mut seen = vec![];
    for given in ["mine-7f3a", "019a0000-0000-7000-8000-000000000000", "x\tforged\t{}"] {
        let answer = conn.send(conn.request("GET", "/v1/me", &[("x-request-id", given)], b"")).await;
        answer.is_problem(401, "unauthenticated");
        let id = answer.header("x-request-id").unwrap().to_owned();
        assert_ne!(id, given);
        // A UUIDv7: the version and the variant are in their places.
        assert_eq!((id.len(), &id[14..15], id.split('-').count()), (36, "7", 5), "{id}");
        seen.push(id);
    }
    seen.dedup();
    assert_eq!(seen.len(), 3);
    let log = server.log();
    assert!(!log.contains("mine-7f3a") && !log.contains("forged"), "{log}");
}

#[tokio::test]
async fn a_trusted_proxy_names_requests_and_clients() {
    let server = Server::start(Options::new(Engine::Sqlite).env("FREEHOLD_HTTP_TRUSTED_PROXIES", "127.0.0.1")).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let headers =
        [("x-request-id", "theirs-7f3a"), ("x-forwarded-for", "198.51.100.7"), ("content-type", "application/json")];
    let body = json!({ "email": acme.email, "password": acme.password }).to_string();
    let answer = conn.send(conn.request("POST", "/v1/auth/login", &headers, body.as_bytes())).await;
    assert_eq!(answer.header("x-request-id"), Some("theirs-7f3a"));
    let listed = conn.get("/v1/sessions", Some(&Session::of(&answer).access)).await.is(200).json();
    assert_eq!(listed["items"][0]["address"], "198.51.100.7");
    for bad in ["", "two words", "x".repeat(200).as_str()] {
        let answer = conn.send(conn.request("GET", "/v1/me", &[("x-request-id", bad)], b"")).await;
        assert_eq!(answer.header("x-request-id").unwrap().len(), 36, "{bad}");
    }
    let mut server = server;
    assert_eq!(server.terminate(), Some(0));
    assert!(settled(&server).iter().any(|line| line["request.id"] == "theirs-7f3a" && line["http.status"] == 200));
}

#[tokio::test]
async fn a_failure_of_the_store_is_logged_with_its_causes() {
    let mut server = Server::start(Options::new(Engine::Sqlite)).await;
    let acme = server.tenant("acme");
    assert_eq!(server.terminate(), Some(0));
    let file = server.data_dir().join(format!("tenants/{}.db", acme.id));
    fs::write(file, "no database, but long enough to be read as one".repeat(100)).unwrap();
    let mut server = server.restarted();
    let answer = Conn::to(&server, &acme).await.login(&acme, &acme.password).await;
    assert!(answer.status.is_server_error(), "{answer:?}");
    assert_eq!(server.terminate(), Some(0));
    let lines = settled(&server);
    let line = lines.iter().find(|line| line["message"] == "a tenant could not be read");
    let error = line.unwrap_or_else(|| panic!("{lines:#?}"))["error"].as_str().unwrap();
    assert!(error.starts_with("the store's file is damaged: ") && error.contains("file is not a database"), "{error}");
}
