//! Two tenants with the same member: neither sees the other's, and a stolen store names nobody.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sqlx::Row as _;

use crate::support::{Conn, Engine, Options, Server, Session, on_both_engines};

/// A client that is easy to find again.
const USER_AGENT: &str = "Tell-Tale-Browser/7";

on_both_engines! {
    what_is_of_one_tenant_is_nothing_at_another
    a_stolen_store_names_nobody
}

/// One part of an access token: 0 is the header, 1 the claims.
fn part(access: &str, index: usize) -> Value {
    let part = access.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The same token under another header.
fn with_header_of(access: &str, other: &str) -> String {
    let (_, rest) = access.split_once('.').unwrap();
    format!("{}.{rest}", other.split_once('.').unwrap().0)
}

async fn what_is_of_one_tenant_is_nothing_at_another(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    assert_eq!(acme.email, globex.email);
    let (mut at_acme, mut at_globex) = (Conn::to(&server, &acme).await, Conn::to(&server, &globex).await);
    at_globex.login(&globex, &acme.password).await.is_problem(401, "invalid-credentials");
    let (mine, theirs) = (at_acme.sign_in(&acme).await, at_globex.sign_in(&globex).await);

    // Each sees itself and its own session, and nothing else.
    for (conn, tenant, session) in [(&mut at_acme, &acme, &mine), (&mut at_globex, &globex, &theirs)] {
        let me = conn.get("/v1/me", Some(&session.access)).await.is(200).json();
        assert_eq!((&me["tenant"]["id"], &me["session_id"]), (&json!(tenant.id), &json!(session.id)));
        let listed = conn.get("/v1/sessions", Some(&session.access)).await.is(200).json();
        let ids: Vec<_> = listed["items"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
        assert_eq!(ids, [&json!(session.id)]);
        let (header, claims) = (part(&session.access, 0), part(&session.access, 1));
        let public = conn.get("/.well-known/jwks.json", None).await.is(200).json();
        let kids: Vec<_> = public["keys"].as_array().unwrap().iter().map(|key| &key["kid"]).collect();
        assert_eq!(kids, [&header["kid"]]);
        let named = (&claims["tid"], claims["iss"].as_str(), &claims["sid"]);
        let issuer = format!("http://{}:8080", tenant.host());
        assert_eq!(named, (&json!(tenant.id), Some(issuer.as_str()), &json!(session.id)));
    }
    assert_ne!(part(&mine.access, 0)["kid"], part(&theirs.access, 0)["kid"]);
    assert_ne!(part(&mine.access, 1)["sub"], part(&theirs.access, 1)["sub"]);

    // Tokens of the one at the other, as they are and under the other's key id.
    for token in [mine.access.clone(), with_header_of(&mine.access, &theirs.access), mine.refresh.clone()] {
        let bearer = Some(token.as_str());
        let own = format!("/v1/sessions/{}", mine.id);
        for (method, path) in [
            ("GET", "/v1/me"),
            ("GET", "/v1/sessions"),
            ("DELETE", own.as_str()),
            ("POST", "/v1/auth/logout"),
            ("POST", "/v1/auth/logout-all"),
        ] {
            at_globex.call(method, path, bearer).await.is_problem(401, "unauthenticated");
        }
    }
    assert_eq!(at_acme.me(&with_header_of(&mine.access, &theirs.access)).await, 401);
    let body = json!({ "refresh_token": mine.refresh });
    for path in ["/v1/auth/refresh", "/v1/auth/logout", "/v1/auth/logout-all"] {
        at_globex.post(path, None, &body).await.is_problem(401, "unauthenticated");
    }
    let path = format!("/v1/sessions/{}", mine.id);
    at_globex.call("DELETE", &path, Some(&theirs.access)).await.is_problem(404, "not-found");

    // Whatever the other does with its own, nothing of this is spent or revoked.
    let new = json!({ "current_password": globex.password, "new_password": acme.password });
    let theirs = Session::of(&at_globex.post("/v1/auth/password", Some(&theirs.access), &new).await);
    at_globex.call("POST", "/v1/auth/logout-all", Some(&theirs.access)).await.is(204);
    assert_eq!(at_acme.me(&mine.access).await, 200);
    let mine = Session::of(&at_acme.refresh(&mine.refresh).await);
    assert_eq!(at_acme.me(&mine.access).await, 200);
    at_acme.sign_in(&acme).await;
}

/// Everything a thief of the store has, as text in which bytes stand for themselves or as hexadecimal digits.
pub(crate) async fn stolen(server: &Server, engine: Engine) -> Vec<(String, Vec<u8>)> {
    match engine {
        Engine::Sqlite => ["", "tenants"].into_iter().flat_map(|folder| files(server, folder)).collect(),
        Engine::Postgres => tables(server).await,
    }
}

/// The files of a folder of the data directory.
fn files(server: &Server, folder: &str) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(server.data_dir().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let file = |path: std::path::PathBuf| {
        let name = path.strip_prefix(server.data_dir()).unwrap().display().to_string();
        (name, std::fs::read(&path).unwrap())
    };
    entries.filter(|path| path.is_file()).map(file).collect()
}

/// The rows of every table, bytes as hexadecimal digits.
async fn tables(server: &Server) -> Vec<(String, Vec<u8>)> {
    let rows = "SELECT format('%s.%s', schemaname, tablename) AS name,
                       query_to_xml(format('SELECT t::text AS row FROM %I.%I t', schemaname, tablename),
                                    true, false, '')::text AS rows
                FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
    let tables = sqlx::query(rows).fetch_all(&mut server.database().superuser().await).await.unwrap();
    tables.iter().map(|table| (table.get("name"), table.get::<String, _>("rows").into_bytes())).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
}

async fn a_stolen_store_names_nobody(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let body = json!({ "email": acme.email, "password": acme.password }).to_string();
    let headers = [("content-type", "application/json"), ("user-agent", USER_AGENT)];
    let first = Session::of(&conn.send(conn.request("POST", "/v1/auth/login", &headers, body.as_bytes())).await);
    let next = Session::of(&conn.refresh(&first.refresh).await);
    let unknown = json!({ "email": "nobody@example.net", "password": "a guess that was wrong" });
    conn.post("/v1/auth/login", None, &unknown).await.is_problem(401, "invalid-credentials");
    let listed = conn.get("/v1/sessions", Some(&next.access)).await.is(200).json();
    assert_eq!(listed["items"][0]["user_agent"], USER_AGENT);
    assert_eq!(listed["items"][0]["address"], "127.0.0.1");

    let mut needles: Vec<(&str, Vec<u8>)> = [
        ("e-mail", acme.email.as_str()),
        ("name in the e-mail", "ada@"),
        ("domain of the e-mail", "example.com"),
        ("unknown e-mail", "nobody@example.net"),
        ("password", &acme.password),
        ("wrong password", "a guess that was wrong"),
        ("user agent", USER_AGENT),
        ("address", "127.0.0.1"),
        ("spent refresh token", &first.refresh),
        ("refresh token", &next.refresh),
        ("access token", &next.access),
    ]
    .map(|(name, text)| (name, text.as_bytes().to_vec()))
    .into();
    for session in [&first, &next] {
        // The secret part alone, as text and as the bytes it stands for.
        let secret = session.refresh.get(37..).unwrap();
        needles.push(("secret of a refresh token", secret.as_bytes().to_vec()));
        needles.push(("bytes of a refresh token", URL_SAFE_NO_PAD.decode(secret).unwrap()));
    }
    let stolen = stolen(&server, engine).await;
    for (place, bytes) in &stolen {
        for (name, needle) in &needles {
            let found = holds(bytes, needle) || holds(bytes, hex(needle).as_bytes());
            assert!(!found, "{place} holds the {name}");
        }
    }

    // What is meant to be there is found: the search sees text and bytes.
    let all: Vec<u8> = stolen.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    assert!(holds(&all, b"acme") && holds(&all, b"$argon2id$"));
    let family = first.id.replace('-', "");
    let family: Vec<u8> = (0..16).map(|n| u8::from_str_radix(&family[2 * n..2 * n + 2], 16).unwrap()).collect();
    assert!(holds(&all, &family) || holds(&all, first.id.as_bytes()));
    let places: BTreeSet<_> = stolen.iter().map(|(place, _)| place.rsplit('/').next().unwrap().to_owned()).collect();
    let expected = match engine {
        Engine::Sqlite => vec!["system.db".to_owned(), format!("{}.db", acme.id), format!("{}.db-wal", acme.id)],
        Engine::Postgres => ["public.member", "public.token_family", "public.lockout"].map(str::to_owned).into(),
    };
    assert!(expected.iter().all(|place| places.contains(place)), "{places:?}");
}
