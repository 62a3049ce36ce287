//! Forward authentication: what a reverse proxy is told, and what an application behind a proxy gets.

mod proxies;

use serde_json::json;

use crate::support::{Answer, Conn, Engine, Options, Server, Session, Tenant, on_both_engines};

const FORWARD: &str = "/v1/auth/forward";

on_both_engines! {
    a_token_and_a_cookie_say_who_is_signed_in_until_they_do_not
    a_cookie_is_looked_at_and_not_spent
}

/// The cookie header of a session.
fn cookie(session: &Session) -> String {
    format!("other=1; __Host-freehold-refresh={}; last=2", session.refresh)
}

async fn ask(conn: &mut Conn, headers: &[(&str, &str)]) -> Answer {
    conn.send(conn.request("GET", FORWARD, headers, b"")).await
}

async fn ask_by_cookie(conn: &mut Conn, session: &Session) -> Answer {
    ask(conn, &[("cookie", &cookie(session))]).await
}

async fn ask_by_token(conn: &mut Conn, session: &Session) -> Answer {
    ask(conn, &[("authorization", &format!("Bearer {}", session.access))]).await
}

/// Asserts that the answer names the tenant's admin.
#[track_caller]
fn names(answer: &Answer, tenant: &Tenant, member: &str, role: &str) {
    let said = ["x-tenant-id", "x-user-id", "x-role"].map(|name| answer.is(204).header(name));
    assert_eq!(said, [Some(tenant.id.as_str()), Some(member), Some(role)]);
    assert_eq!((answer.header("cache-control"), answer.header("set-cookie")), (Some("no-store"), None));
}

#[track_caller]
fn is_refused(answer: &Answer, status: u16, slug: &str) {
    answer.is_problem(status, slug);
    assert!(["x-tenant-id", "x-user-id", "x-role"].iter().all(|name| answer.header(name).is_none()), "{answer:?}");
}

async fn member_of(conn: &mut Conn, session: &Session) -> String {
    conn.get("/v1/me", Some(&session.access)).await.is(200).json()["member"]["id"].as_str().unwrap().to_owned()
}

async fn a_token_and_a_cookie_say_who_is_signed_in_until_they_do_not(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    let member = member_of(&mut conn, &session).await;
    names(&ask_by_token(&mut conn, &session).await, &acme, &member, "admin");
    names(&ask_by_cookie(&mut conn, &session).await, &acme, &member, "admin");
    is_refused(&ask(&mut conn, &[]).await, 401, "unauthenticated");
    for bad in ["", "x", "nd_secret_x"] {
        let cookie = format!("__Host-freehold-refresh={bad}");
        is_refused(&ask(&mut conn, &[("cookie", &cookie)]).await, 401, "unauthenticated");
    }
    let unknown = Session { refresh: format!("{}{}", &session.refresh[..79], "A"), ..session.clone() };
    if unknown.refresh != session.refresh {
        is_refused(&ask_by_cookie(&mut conn, &unknown).await, 401, "unauthenticated");
    }
    // A token that was given and is not good is a refusal, whatever the cookie.
    let both = [("authorization", "Bearer x"), ("cookie", &cookie(&session))];
    is_refused(&ask(&mut conn, &both).await, 401, "unauthenticated");

    // Another tenant's.
    let globex = server.tenant("globex");
    let mut at_globex = Conn::to(&server, &globex).await;
    is_refused(&ask_by_token(&mut at_globex, &session).await, 401, "unauthenticated");
    is_refused(&ask_by_cookie(&mut at_globex, &session).await, 401, "unauthenticated");

    // Signed out: on the next request.
    let other = conn.sign_in(&acme).await;
    conn.call("POST", "/v1/auth/logout", Some(&other.access)).await.is(204);
    is_refused(&ask_by_token(&mut conn, &other).await, 401, "unauthenticated");
    is_refused(&ask_by_cookie(&mut conn, &other).await, 401, "unauthenticated");

    let state = |verb: &str| assert!(server.cli(&["tenant", verb, "acme"], "").status.success());
    state("suspend");
    is_refused(&ask_by_token(&mut conn, &session).await, 403, "tenant-suspended");
    is_refused(&ask_by_cookie(&mut conn, &session).await, 403, "tenant-suspended");
    state("resume");
    names(&ask_by_cookie(&mut conn, &session).await, &acme, &member, "admin");
}

async fn a_cookie_is_looked_at_and_not_spent(engine: Engine) {
    const HOLD_MS: &str = "2000";
    let options = Options::new(engine).limits_off().env("FREEHOLD_REFRESH_COALESCE_MS", HOLD_MS);
    let server = Server::start(options).await;
    let acme = server.tenant("acme");
    let (mut conn, mut other) = (Conn::to(&server, &acme).await, Conn::to(&server, &acme).await);
    let first = conn.sign_in(&acme).await;
    let member = member_of(&mut conn, &first).await;
    for _ in 0..5 {
        names(&ask_by_cookie(&mut conn, &first).await, &acme, &member, "admin");
    }

    // While its successor is held back the old cookie is all that the browser has.
    let asking = async {
        let used = async |conn: &mut Conn| {
            let listed = conn.get("/v1/sessions", Some(&first.access)).await.is(200).json();
            let session = listed["items"][0].clone();
            session["last_used_at"] != session["created_at"]
        };
        while !used(&mut other).await {}
        names(&ask_by_cookie(&mut other, &first).await, &acme, &member, "admin");
    };
    let (refreshed, ()) = tokio::join!(conn.refresh(&first.refresh), asking);
    let next = Session::of(&refreshed);
    assert_eq!(next.id, first.id);

    // After that it is spent: refused, and nothing is revoked.
    for _ in 0..3 {
        is_refused(&ask_by_cookie(&mut conn, &first).await, 401, "unauthenticated");
        names(&ask_by_cookie(&mut conn, &next).await, &acme, &member, "admin");
    }
    assert_eq!(conn.me(&next.access).await, 200);
    Session::of(&conn.refresh(&next.refresh).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_alone_lets_nothing_be_changed_from_elsewhere() {
    const OURS: &str = "http://acme.localhost";
    let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    let (cookie, bearer) = (cookie(&session), format!("Bearer {}", session.access));
    let table = [
        ("GET", None, 204),
        ("GET", Some(("origin", "https://evil.test")), 204),
        ("POST", Some(("origin", OURS)), 204),
        ("POST", Some(("referer", "http://acme.localhost/page")), 204),
        ("POST", None, 403),
        ("POST", Some(("origin", "https://evil.test")), 403),
        ("POST", Some(("origin", "null")), 403),
        ("DELETE", Some(("origin", "http://globex.localhost")), 403),
        ("frob", Some(("referer", "https://evil.test/http://acme.localhost")), 403),
    ];
    for (method, origin, status) in table {
        for said in ["x-forwarded-method", "x-original-method"] {
            let mut headers = vec![("cookie", cookie.as_str()), (said, method)];
            headers.extend(origin);
            let answer = ask(&mut conn, &headers).await;
            assert_eq!(answer.status.as_u16(), status, "{method} {origin:?}: {answer:?}");
            if status == 403 {
                is_refused(&answer, 403, "csrf");
            }
            // Whoever knows a token was not made to send it.
            let mut headers = vec![("authorization", bearer.as_str()), (said, method)];
            headers.extend(origin);
            ask(&mut conn, &headers).await.is(204);
        }
    }
    let both = [("cookie", cookie.as_str()), ("x-original-method", "GET"), ("x-forwarded-method", "POST")];
    is_refused(&ask(&mut conn, &both).await, 403, "csrf");
}

/// Who must enrol a second factor can do nothing else, behind a proxy neither.
#[tokio::test(flavor = "multi_thread")]
async fn who_must_enrol_is_not_let_through() {
    let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    ask_by_cookie(&mut conn, &session).await.is(204);
    conn.patch("/v1/settings", &session.access, &json!({ "require_second_factor": "all" })).await.is(200);
    is_refused(&ask_by_cookie(&mut conn, &session).await, 401, "unauthenticated");
    is_refused(&ask_by_token(&mut conn, &session).await, 401, "unauthenticated");
}
