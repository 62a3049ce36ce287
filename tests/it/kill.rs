//! `kill -9` between any two steps, and clients that hang up: what was answered stands, and nothing lives twice.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::{Conn, Engine, Options, Server, Session, Tenant, on_both_engines};

const WRONG: &str = "not the password";
/// How long an outcome may take that nobody waits for.
const PATIENCE: Duration = Duration::from_secs(10);

on_both_engines! {
    a_rotation_cut_off_has_happened_or_not
    a_revocation_that_was_committed_stands
    a_charge_cut_off_counts_once_at_most
    a_sign_in_cut_off_leaves_a_whole_session_or_none
    a_refresh_whose_client_hung_up_has_rotated
    a_wrong_sign_in_whose_client_hung_up_is_hashed_and_charged
    a_sign_in_whose_client_hung_up_is_a_session
}

/// Lets the server die at a point of what `body` asks for, and starts another on what it left.
async fn dies_at(mut server: Server, tenant: &Tenant, point: &str, path: &str, body: Value) -> Server {
    server.abort_at(point).await;
    let answer = Conn::to(&server, tenant).await.try_post(path, None, &body).await;
    assert!(answer.is_none(), "{point} was not reached: {answer:?}");
    assert_eq!(server.ended(), None, "{point}");
    server.restarted()
}

fn login(tenant: &Tenant, password: &str) -> Value {
    json!({ "email": tenant.email, "password": password })
}

/// The ids of the member's sessions.
async fn sessions(conn: &mut Conn, access: &str) -> Vec<String> {
    let listed = conn.get("/v1/sessions", Some(access)).await.is(200).json();
    listed["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

async fn a_rotation_cut_off_has_happened_or_not(engine: Engine) {
    let mut server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    for (point, committed) in [("rotation.begun", false), ("rotation.written", false), ("rotation.committed", true)] {
        let mut conn = Conn::to(&server, &acme).await;
        let (first, other) = (conn.sign_in(&acme).await, conn.sign_in(&acme).await);
        let session = Session::of(&conn.refresh(&first.refresh).await);
        server = dies_at(server, &acme, point, "/v1/auth/refresh", json!({ "refresh_token": session.refresh })).await;
        let mut conn = Conn::to(&server, &acme).await;
        assert_eq!(conn.me(&session.access).await, 200, "{point}: what was answered before stands");
        let again = conn.refresh(&session.refresh).await;
        if committed {
            // The reply is lost, so somebody may have the successor: the old token is a replay.
            again.is_problem(401, "unauthenticated");
            assert_eq!(conn.me(&session.access).await, 401, "{point}");
            assert!(!sessions(&mut conn, &other.access).await.contains(&session.id), "{point}");
        } else {
            let next = Session::of(&again);
            assert_eq!(conn.me(&next.access).await, 200, "{point}");
            // One token of the family was live, and it is not the one it had before.
            conn.refresh(&session.refresh).await.is_problem(401, "unauthenticated");
            conn.refresh(&next.refresh).await.is_problem(401, "unauthenticated");
        }
        conn.sign_in(&acme).await;
        Session::of(&conn.refresh(&other.refresh).await);
    }
}

async fn a_revocation_that_was_committed_stands(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let (first, other) = (conn.sign_in(&acme).await, conn.sign_in(&acme).await);
    let next = Session::of(&conn.refresh(&first.refresh).await);
    let replay = json!({ "refresh_token": first.refresh });
    let server = dies_at(server, &acme, "revocation.committed", "/v1/auth/refresh", replay).await;
    let mut conn = Conn::to(&server, &acme).await;
    assert_eq!(conn.me(&next.access).await, 401);
    conn.refresh(&next.refresh).await.is_problem(401, "unauthenticated");
    assert_eq!(sessions(&mut conn, &other.access).await, [other.id.clone()]);
    conn.sign_in(&acme).await;
}

/// Of three failures that were answered and one that was cut off, three or four are counted: three before the commit,
/// four after it.
async fn a_charge_cut_off_counts_once_at_most(engine: Engine) {
    let mut server = Server::start(Options::new(engine).limits_off()).await;
    for (point, counted) in
        [("lockout.begun", 3), ("lockout.written", 3), ("lockout.committed", 4), ("lockout.answered", 4)]
    {
        let tenant = server.tenant(&point.replace('.', "-"));
        let mut conn = Conn::to(&server, &tenant).await;
        for _ in 0..3 {
            conn.login(&tenant, WRONG).await.is_problem(401, "invalid-credentials");
        }
        server = dies_at(server, &tenant, point, "/v1/auth/login", login(&tenant, WRONG)).await;
        let mut conn = Conn::to(&server, &tenant).await;
        for _ in counted..5 {
            conn.login(&tenant, WRONG).await.is_problem(401, "invalid-credentials");
        }
        conn.login(&tenant, &tenant.password).await.is_problem(429, "account-locked");
    }
}

async fn a_sign_in_cut_off_leaves_a_whole_session_or_none(engine: Engine) {
    let mut server = Server::start(Options::new(engine).limits_off()).await;
    for (point, committed) in [("sign_in.written", false), ("sign_in.committed", true)] {
        let tenant = server.tenant(&point.replace(['.', '_'], "-"));
        let mut conn = Conn::to(&server, &tenant).await;
        let before = conn.sign_in(&tenant).await;
        for _ in 0..3 {
            conn.login(&tenant, WRONG).await.is_problem(401, "invalid-credentials");
        }
        server = dies_at(server, &tenant, point, "/v1/auth/login", login(&tenant, &tenant.password)).await;
        let mut conn = Conn::to(&server, &tenant).await;
        let listed = sessions(&mut conn, &before.access).await;
        assert_eq!((&listed[0], listed.len()), (&before.id, 1 + usize::from(committed)), "{point}");
        // The session and the reset of the failures are one: with the attempt itself they were four.
        for _ in 0..if committed { 4 } else { 1 } {
            conn.login(&tenant, WRONG).await.is_problem(401, "invalid-credentials");
        }
        if committed {
            conn.sign_in(&tenant).await;
        } else {
            conn.login(&tenant, &tenant.password).await.is_problem(429, "account-locked");
        }
        assert_eq!(conn.me(&before.access).await, 200);
    }
}

/// Sends a request and hangs up before there can be an answer.
async fn post_and_hang_up(server: &Server, tenant: &Tenant, path: &str, body: &Value) {
    let (body, host) = (body.to_string(), tenant.host());
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
}

/// Asks until the answer is yes.
async fn until(mut ask: impl AsyncFnMut() -> bool) {
    let since = Instant::now();
    while !ask().await {
        assert!(since.elapsed() < PATIENCE, "it did not happen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn a_refresh_whose_client_hung_up_has_rotated(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    for _ in 0..5 {
        let session = conn.sign_in(&acme).await;
        let body = json!({ "refresh_token": session.refresh });
        post_and_hang_up(&server, &acme, "/v1/auth/refresh", &body).await;
        until(async || {
            let mut conn = Conn::to(&server, &acme).await;
            let listed = conn.get("/v1/sessions?limit=200", Some(&session.access)).await.is(200).json();
            let mut items = listed["items"].as_array().unwrap().iter();
            let item = items.find(|item| item["id"] == session.id.as_str()).unwrap();
            item["last_used_at"] != item["created_at"]
        })
        .await;
        // While the pair is held, whoever asks joins; nobody had it before.
        tokio::time::sleep(Duration::from_millis(60)).await;
        conn.refresh(&session.refresh).await.is_problem(401, "unauthenticated");
        assert_eq!(conn.me(&session.access).await, 401);
    }
}

async fn a_wrong_sign_in_whose_client_hung_up_is_hashed_and_charged(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    conn.sign_in(&acme).await;
    let hashed = server.count("hashes").await;
    for _ in 0..5 {
        post_and_hang_up(&server, &acme, "/v1/auth/login", &login(&acme, WRONG)).await;
    }
    until(async || server.count("hashes").await == hashed + 5).await;
    conn.login(&acme, &acme.password).await.is_problem(429, "account-locked");
    assert_eq!(server.count("hashes").await, hashed + 5);
}

async fn a_sign_in_whose_client_hung_up_is_a_session(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let mine = conn.sign_in(&acme).await;
    post_and_hang_up(&server, &acme, "/v1/auth/login", &login(&acme, &acme.password)).await;
    until(async || sessions(&mut Conn::to(&server, &acme).await, &mine.access).await.len() == 2).await;
    assert_eq!(conn.me(&mine.access).await, 200);
}
