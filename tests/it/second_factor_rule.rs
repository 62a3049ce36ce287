//! A tenant that requires a second factor: who has none can enrol one, and nothing else.

use serde_json::{Value, json};

use crate::second_factor::Authenticator;
use crate::support::{Answer, Conn, Engine, Options, Server, Session, Tenant, on_both_engines};

on_both_engines! {
    whoever_must_enrol_can_do_nothing_else
    the_rule_names_roles_and_gives_grace
}

/// A server with one tenant that has these settings, a connection, and a session that began before they were made.
async fn ruled(engine: Engine, settings: &Value) -> (Server, Tenant, Conn, Session) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    conn.patch("/v1/settings", &session.access, settings).await.is(200);
    (server, acme, conn, session)
}

/// Asserts that a second factor must be enrolled before this.
#[track_caller]
pub(crate) fn must_enrol(answer: &Answer) {
    answer.is_problem(403, "forbidden");
    assert_eq!(answer.json()["second_factor_enrolment"], "required");
}

/// What a session may do: everything, or enrol alone.
#[derive(Clone, Copy, Debug, PartialEq)]
enum May {
    Everything,
    EnrolAlone,
}

/// The session of an answer, and whether it is told when a second factor is due.
#[track_caller]
pub(crate) fn started(answer: &Answer) -> (Session, bool) {
    (Session::of(answer), answer.json()["second_factor_due_at"].is_string())
}

async fn may(conn: &mut Conn, access: &str) -> May {
    let answer = conn.get("/v1/me", Some(access)).await;
    if answer.status == 200 {
        return May::Everything;
    }
    must_enrol(&answer);
    May::EnrolAlone
}

async fn whoever_must_enrol_can_do_nothing_else(engine: Engine) {
    let (_server, acme, mut conn, before) = ruled(engine, &json!({ "require_second_factor": "all" })).await;
    // The session that made the rule, a refreshed one and a new one: all of them on their next request.
    let refreshed = conn.refresh(&before.refresh).await;
    let new = conn.login(&acme, &acme.password).await;
    for access in [&before.access, &started(&refreshed).0.access, &started(&new).0.access] {
        assert_eq!(may(&mut conn, access).await, May::EnrolAlone);
    }
    assert!(started(&refreshed).1 && started(&new).1, "it is told when that is due");

    let (session, _) = started(&new);
    let access = Some(session.access.as_str());
    let password = json!({ "current_password": acme.password, "new_password": "another long password" });
    must_enrol(&conn.post("/v1/auth/password", access, &password).await);
    must_enrol(&conn.post("/v1/auth/backup-codes", access, &json!({})).await);
    must_enrol(&conn.call("DELETE", "/v1/auth/totp", access).await);
    must_enrol(&conn.call("DELETE", &format!("/v1/sessions/{}", before.id), access).await);
    for path in ["/v1/sessions", "/v1/audit", "/v1/settings"] {
        must_enrol(&conn.get(path, access).await);
    }
    must_enrol(&conn.patch("/v1/settings", &session.access, &json!({ "require_second_factor": "off" })).await);

    let enrolment = conn.post("/v1/auth/totp/enrol", access, &json!({})).await.is(200).json();
    let authenticator = Authenticator::of(enrolment["secret"].as_str().unwrap());
    assert_eq!(may(&mut conn, &session.access).await, May::EnrolAlone, "it is not confirmed");
    conn.post("/v1/auth/totp/confirm", access, &json!({ "code": authenticator.code(0) })).await.is(200);
    let (session, due) = started(&conn.refresh(&session.refresh).await);
    assert_eq!((may(&mut conn, &session.access).await, due), (May::Everything, false));

    // Whoever takes it away is where they were before.
    conn.call("DELETE", "/v1/auth/totp", Some(&session.access)).await.is(204);
    let (session, due) = started(&conn.refresh(&session.refresh).await);
    assert_eq!((may(&mut conn, &session.access).await, due), (May::EnrolAlone, true));
    conn.post("/v1/auth/logout", Some(&session.access), &json!({})).await.is(204);
}

async fn the_rule_names_roles_and_gives_grace(engine: Engine) {
    let rule = json!({ "require_second_factor": "roles", "second_factor_roles": ["sales_rep", "employee"] });
    let (server, acme, mut conn, admin) = ruled(engine, &rule).await;
    assert_eq!(may(&mut conn, &admin.access).await, May::Everything, "another role");
    let change = json!({ "second_factor_roles": ["admin"], "second_factor_grace_s": 3_600 });
    conn.patch("/v1/settings", &admin.access, &change).await.is(200);
    let answer = conn.refresh(&admin.refresh).await;
    let (within, due) = started(&answer);
    assert_eq!((may(&mut conn, &within.access).await, due), (May::Everything, true), "the grace has begun");

    // The grace began when the rule was made for this role, not when it is changed again.
    let due_at = answer.json()["second_factor_due_at"].clone();
    conn.patch("/v1/settings", &within.access, &json!({ "registration": "open" })).await.is(200);
    assert_eq!(conn.refresh(&within.refresh).await.is(200).json()["second_factor_due_at"], due_at);
    conn.patch("/v1/settings", &within.access, &json!({ "second_factor_grace_s": 0 })).await.is(200);
    assert_eq!(may(&mut conn, &within.access).await, May::EnrolAlone, "the grace is over");

    server.run_sql(&acme, "UPDATE member SET role = 'sales_rep'").await;
    let (session, due) = started(&conn.login(&acme, &acme.password).await);
    assert_eq!((may(&mut conn, &session.access).await, due), (May::Everything, false), "its role needs none");
}
