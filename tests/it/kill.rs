//! `kill -9` between any two steps, and clients that hang up: what was answered stands, and nothing lives twice.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::second_factor::{Enrolled, backup, challenge};
use crate::support::{Conn, Engine, Options, Server, Session, Tenant, on_both_engines};

const WRONG: &str = "not the password";
/// How long an outcome may take that nobody waits for.
const PATIENCE: Duration = Duration::from_secs(10);

on_both_engines! {
    a_rotation_cut_off_has_happened_or_not
    a_revocation_that_was_committed_stands
    a_charge_cut_off_counts_once_at_most
    a_sign_in_cut_off_leaves_a_whole_session_or_none
    a_second_step_cut_off_spends_its_code_with_a_whole_session_or_not_at_all
    a_refresh_whose_client_hung_up_has_happened_or_not
    a_wrong_sign_in_whose_client_hung_up_is_charged_and_hashed_or_neither
    a_sign_in_whose_client_hung_up_is_a_whole_session_or_none
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

/// Pairs are not held back: a server that is started again within the hold is another node to the one that died, and
/// answers 409 until it is over.
async fn a_rotation_cut_off_has_happened_or_not(engine: Engine) {
    let options = Options::new(engine).limits_off().env("FREEHOLD_REFRESH_COALESCE_MS", "0");
    let mut server = Server::start(options).await;
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
    assert_eq!(sessions(&mut conn, &other.access).await, std::slice::from_ref(&other.id));
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

/// The code, the challenge and the session are one.
async fn a_second_step_cut_off_spends_its_code_with_a_whole_session_or_not_at_all(engine: Engine) {
    let mut server = Server::start(Options::new(engine).limits_off()).await;
    for (point, committed) in [("second_factor.written", false), ("second_factor.committed", true)] {
        let tenant = server.tenant(&point.replace(['.', '_'], "-"));
        let mut conn = Conn::to(&server, &tenant).await;
        let Enrolled { session, codes, .. } = Enrolled::at(&mut conn, &tenant).await;
        let body = backup(&challenge(&mut conn, &tenant).await, &codes[0]);
        server = dies_at(server, &tenant, point, "/v1/auth/second-factor", body.clone()).await;
        let mut conn = Conn::to(&server, &tenant).await;
        let listed = sessions(&mut conn, &session.access).await;
        assert_eq!(listed.len(), 1 + usize::from(committed), "{point}");
        let again = conn.post("/v1/auth/second-factor", None, &body).await;
        if committed {
            again.is_problem(401, "invalid-credentials");
        } else {
            Session::of(&again);
        }
    }
}

/// Sends a request, hangs up after a while, and waits until nothing of it is under way.
async fn post_and_hang_up(server: &Server, tenant: &Tenant, path: &str, body: &Value, after: Duration) {
    let (body, host) = (body.to_string(), tenant.host());
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    tokio::time::sleep(after).await;
    stream.shutdown().await.unwrap();
    // The server hangs up as well when it has noticed; what it had begun goes on without a connection.
    drop(stream.read_to_end(&mut vec![]).await);
    let since = Instant::now();
    while server.private_get("/debug/tree").await.is(200).json()["in_flight"] != 0 {
        assert!(since.elapsed() < PATIENCE, "what was begun does not end");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The moments at which clients hang up: before the server can have read anything, and up to when it has answered.
fn moments() -> impl Iterator<Item = Duration> {
    (0..16).map(|n| Duration::from_millis(n * 2))
}

async fn a_refresh_whose_client_hung_up_has_happened_or_not(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let mut rotated = 0;
    for after in moments() {
        let session = conn.sign_in(&acme).await;
        let body = json!({ "refresh_token": session.refresh });
        post_and_hang_up(&server, &acme, "/v1/auth/refresh", &body, after).await;
        let listed = conn.get("/v1/sessions", Some(&session.access)).await.is(200).json();
        let mine = &listed["items"][0];
        assert_eq!(mine["id"], session.id.as_str());
        if mine["last_used_at"] == mine["created_at"] {
            // It never began: the token is what it was.
            let next = Session::of(&conn.refresh(&session.refresh).await);
            conn.call("POST", "/v1/auth/logout", Some(&next.access)).await.is(204);
        } else {
            // Nobody has the pair, and nobody gets it: the old token is a replay.
            conn.refresh(&session.refresh).await.is_problem(401, "unauthenticated");
            assert_eq!(conn.me(&session.access).await, 401);
            rotated += 1;
        }
    }
    assert!(rotated > 0);
}

/// What was begun is charged and hashed, and what was not is neither: so many attempts are left.
async fn a_wrong_sign_in_whose_client_hung_up_is_charged_and_hashed_or_neither(engine: Engine) {
    const FAILURES_MAX: u64 = 20;
    let max = FAILURES_MAX.to_string();
    let server = Server::start(Options::new(engine).limits_off().env("FREEHOLD_LOCKOUT_FAILURES_MAX", &max)).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    conn.sign_in(&acme).await;
    let before = server.count("hashes").await;
    for after in moments() {
        post_and_hang_up(&server, &acme, "/v1/auth/login", &login(&acme, WRONG), after).await;
    }
    let hashed = server.count("hashes").await - before;
    assert!(hashed > 0);
    for _ in hashed..FAILURES_MAX {
        conn.login(&acme, WRONG).await.is_problem(401, "invalid-credentials");
    }
    conn.login(&acme, &acme.password).await.is_problem(429, "account-locked");
    assert_eq!(server.count("hashes").await - before, FAILURES_MAX);
}

async fn a_sign_in_whose_client_hung_up_is_a_whole_session_or_none(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let mine = conn.sign_in(&acme).await;
    let before = server.count("hashes").await;
    for after in moments() {
        post_and_hang_up(&server, &acme, "/v1/auth/login", &login(&acme, &acme.password), after).await;
    }
    let begun = server.count("hashes").await - before;
    assert!(begun > 0);
    assert_eq!(sessions(&mut conn, &mine.access).await.len() as u64, 1 + begun);
    assert_eq!(conn.me(&mine.access).await, 200);
}
