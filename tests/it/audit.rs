//! The audit log: what is in it, who may read it, and that nobody changes it unnoticed.

pub(crate) mod chain;

use serde_json::{Value, json};

use crate::second_factor::Authenticator;
use crate::support::{Answer, Conn, Engine, Options, Server, Session, Tenant, on_both_engines};

on_both_engines! {
    each_event_is_one_row_with_actor_address_and_request_id
    admins_of_the_tenant_read_the_log_and_nobody_else
    the_log_is_filtered_and_read_page_by_page
}

/// The whole log, the oldest first.
pub(super) async fn log(conn: &mut Conn, access: &str) -> Vec<Value> {
    let mut items = vec![];
    let mut path = "/v1/audit?limit=200".to_owned();
    loop {
        let page = conn.get(&path, Some(access)).await.is(200).json();
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/v1/audit?limit=200&cursor={cursor}"),
            None => break,
        }
    }
    items.reverse();
    items
}

/// What the log must hold, as it happens.
struct Expected {
    tenant: String,
    member: String,
    rows: Vec<Value>,
}

impl Expected {
    /// The request of `answer` did this to `subject`.
    fn request(&mut self, answer: &Answer, action: &str, actor: &Value, subject: Option<&str>) {
        let mut row = json!({
            "action": action, "actor": actor, "address": "127.0.0.1", "request_id": answer.header("x-request-id").unwrap(),
        });
        if let Some(subject) = subject {
            row["subject"] = json!(subject);
        }
        self.rows.push(row);
    }

    /// The member did it.
    fn member(&mut self, answer: &Answer, action: &str, subject: &str) {
        let actor = json!({ "kind": "member", "id": self.member });
        self.request(answer, action, &actor, Some(subject));
    }

    /// Somebody did it who had proved nothing.
    fn unknown(&mut self, answer: &Answer, action: &str, subject: Option<&str>) {
        self.request(answer, action, &json!({ "kind": "unknown" }), subject);
    }

    /// The command line did it.
    fn operator(&mut self, action: &str, more: &Value) {
        let mut row = json!({ "action": action, "actor": { "kind": "operator" }, "subject": self.tenant });
        row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.rows.push(row);
    }

    async fn signed_in(&mut self, conn: &mut Conn, tenant: &Tenant, password: &str) -> Session {
        let answer = conn.login(tenant, password).await;
        let session = Session::of(&answer);
        if self.member.is_empty() {
            let me = conn.get("/v1/me", Some(&session.access)).await.is(200).json();
            me["member"]["id"].as_str().unwrap().clone_into(&mut self.member);
        }
        self.member(&answer, "session.started", &session.id);
        session
    }
}

async fn each_event_is_one_row_with_actor_address_and_request_id(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let mut expected = Expected { tenant: acme.id.clone(), member: String::new(), rows: vec![] };
    expected.operator("tenant.created", &json!({}));
    let mine = expected.signed_in(&mut conn, &acme, &acme.password).await;
    ends(&mut conn, &acme, &mut expected, &mine).await;

    let new = json!({ "current_password": acme.password, "new_password": "another correct horse" });
    let mine = expected.signed_in(&mut conn, &acme, &acme.password).await;
    let changed = conn.post("/v1/auth/password", Some(&mine.access), &new).await;
    let mine = Session::of(&changed);
    expected.member(&changed, "password.changed", &expected.member.clone());
    expected.member(&changed, "session.started", &mine.id);

    let mine = second_factor(&mut conn, &mut expected, mine).await;

    // The failure that locks is a row; those before it, and whatever is refused because of the lock, are none.
    for (email, subject) in [(acme.email.as_str(), Some(expected.member.clone())), ("nobody@example.net", None)] {
        let guess = json!({ "email": email, "password": "not the password" });
        for nth in 1..=6 {
            let answer = conn.post("/v1/auth/login", None, &guess).await;
            if nth == 5 {
                answer.is_problem(401, "invalid-credentials");
                expected.unknown(&answer, "account.locked", subject.as_deref());
            }
        }
    }
    operators(&server, &mut expected);

    let log = log(&mut conn, &mine.access).await;
    let told: Vec<_> = log.iter().cloned().map(without_id_and_time).collect();
    assert_eq!(told, expected.rows);
    assert!(log.is_sorted_by_key(|item| moment(item["at"].as_str().unwrap())));
}

/// A time as text that sorts: zeros at the end of a fraction are left out of the answer.
fn moment(at: &str) -> String {
    let at = at.trim_end_matches('Z');
    let (second, fraction) = at.split_once('.').unwrap_or((at, ""));
    format!("{second}.{fraction:0<9}")
}

/// What is done about a second factor; the session goes on.
async fn second_factor(conn: &mut Conn, expected: &mut Expected, mine: Session) -> Session {
    let member = expected.member.clone();
    let enrolment = conn.post("/v1/auth/totp/enrol", Some(&mine.access), &json!({})).await.is(200).json();
    let code = Authenticator::of(enrolment["secret"].as_str().unwrap()).code(0);
    let confirmed = conn.post("/v1/auth/totp/confirm", Some(&mine.access), &json!({ "code": code })).await;
    expected.member(confirmed.is(200), "second_factor.confirmed", &member);
    let mine = Session::of(&conn.refresh(&mine.refresh).await);
    let renewed = conn.post("/v1/auth/backup-codes", Some(&mine.access), &json!({})).await;
    expected.member(renewed.is(200), "backup_codes.renewed", &member);
    let removed = conn.call("DELETE", "/v1/auth/totp", Some(&mine.access)).await;
    expected.member(removed.is(204), "second_factor.removed", &member);
    Session::of(&conn.refresh(&mine.refresh).await)
}

/// Every way in which sessions end.
async fn ends(conn: &mut Conn, acme: &Tenant, expected: &mut Expected, mine: &Session) {
    let other = expected.signed_in(conn, acme, &acme.password).await;
    let answer = conn.call("POST", "/v1/auth/logout", Some(&other.access)).await;
    expected.member(answer.is(204), "session.ended", &other.id);

    let other = expected.signed_in(conn, acme, &acme.password).await;
    let answer = conn.call("DELETE", &format!("/v1/sessions/{}", other.id), Some(&mine.access)).await;
    expected.member(answer.is(204), "session.ended", &other.id);

    // A refresh is no row; a replay is one, once.
    let other = expected.signed_in(conn, acme, &acme.password).await;
    Session::of(&conn.refresh(&other.refresh).await);
    let answer = conn.refresh(&other.refresh).await;
    expected.unknown(answer.is(401), "session.replayed", Some(&other.id));
    conn.refresh(&other.refresh).await.is(401);

    // A spent token ends its session, but does not prove whose hand it is in.
    let other = expected.signed_in(conn, acme, &acme.password).await;
    Session::of(&conn.refresh(&other.refresh).await);
    let answer = conn.post("/v1/auth/logout", None, &json!({ "refresh_token": other.refresh })).await;
    expected.unknown(answer.is(204), "session.ended", Some(&other.id));

    let answer = conn.call("POST", "/v1/auth/logout-all", Some(&mine.access)).await;
    expected.member(answer.is(204), "sessions.ended", &expected.member.clone());
}

/// What the command line does to a tenant.
fn operators(server: &Server, expected: &mut Expected) {
    for (args, action, more) in [
        (
            &["tenant", "suspend", "acme", "--reason", "unpaid \"bill\""][..],
            "tenant.suspended",
            json!({ "reason": "unpaid \"bill\"" }),
        ),
        (&["tenant", "resume", "acme"], "tenant.resumed", json!({})),
        (&["tenant", "limit", "acme", "export", "7/h"], "tenant.limited", json!({ "tier": "export", "limit": "7/h" })),
    ] {
        let output = server.cli(args, "");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        expected.operator(action, &more);
    }
}

fn without_id_and_time(mut item: Value) -> Value {
    let fields = item.as_object_mut().unwrap();
    assert!(fields.remove("id").is_some_and(|id| id.as_str().unwrap().len() == 36));
    assert!(fields.remove("at").is_some_and(|at| at.as_str().unwrap().ends_with('Z')));
    item
}

async fn admins_of_the_tenant_read_the_log_and_nobody_else(engine: Engine) {
    let server = Server::start(Options::new(engine)).await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    let (mut at_acme, mut at_globex) = (Conn::to(&server, &acme).await, Conn::to(&server, &globex).await);
    let mine = at_acme.sign_in(&acme).await;
    at_acme.sign_in(&acme).await;
    let theirs = at_globex.sign_in(&globex).await;
    let counted = at_acme.get("/v1/audit", Some(&mine.access)).await;
    assert_eq!(counted.is(200).header("x-ratelimit-tier"), Some("api-member"));
    assert_eq!(counted.header("cache-control"), Some("no-store"));

    let (ours, of_globex) = (log(&mut at_acme, &mine.access).await, log(&mut at_globex, &theirs.access).await);
    assert_eq!((ours.len(), of_globex.len()), (3, 2));
    assert!(ours.iter().all(|row| !of_globex.contains(row)));
    assert_eq!(of_globex[0]["subject"], globex.id);
    at_globex.get("/v1/audit", Some(&mine.access)).await.is_problem(401, "unauthenticated");
    at_acme.get("/v1/audit", None).await.is_problem(401, "unauthenticated");

    chain::raw(&server, &acme, engine).await.run("UPDATE member SET role = 'employee'").await;
    let no_admin = at_acme.sign_in(&acme).await;
    for path in ["/v1/audit", "/v1/audit?limit=x"] {
        at_acme.get(path, Some(&no_admin.access)).await.is_problem(403, "forbidden");
    }
}

/// The numbers of sign-ins that the log has for this query, the newest first; `sessions` are in order.
async fn found(conn: &mut Conn, access: &str, query: &str) -> Vec<String> {
    let page = conn.get(&format!("/v1/audit?{query}"), Some(access)).await.is(200).json();
    page["items"].as_array().unwrap().iter().map(|item| item["subject"].as_str().unwrap().to_owned()).collect()
}

async fn the_log_is_filtered_and_read_page_by_page(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let mut sessions = vec![];
    for _ in 0..5 {
        sessions.push(conn.sign_in(&acme).await);
    }
    let me = sessions[0].access.clone();
    let started: Vec<_> = sessions.iter().rev().map(|session| session.id.clone()).collect();
    let all: Vec<_> = started.iter().cloned().chain([acme.id.clone()]).collect();
    let log = log(&mut conn, &me).await;
    let member = log[1]["actor"]["id"].as_str().unwrap().to_owned();
    let at = |nth: usize| log[nth]["at"].as_str().unwrap().to_owned();

    assert_eq!(found(&mut conn, &me, "").await, all);
    assert_eq!(found(&mut conn, &me, "action=session.started").await, started);
    assert_eq!(found(&mut conn, &me, "action=session.ended").await, Vec::<String>::new());
    assert_eq!(found(&mut conn, &me, &format!("actor={member}")).await, started);
    assert_eq!(found(&mut conn, &me, "actor=operator").await, [acme.id.as_str()]);
    assert_eq!(found(&mut conn, &me, "actor=unknown").await, Vec::<String>::new());
    assert_eq!(found(&mut conn, &me, &format!("actor=operator&since={}", at(1))).await, Vec::<String>::new());
    assert_eq!(found(&mut conn, &me, &format!("since={}", at(3))).await, started[..3]);
    assert_eq!(found(&mut conn, &me, &format!("since={}&until={}", at(2), at(4))).await, started[2..4]);

    // Pages of two of what is filtered, also while the log grows.
    let mut seen = vec![];
    let mut path = "/v1/audit?limit=2&action=session.started".to_owned();
    loop {
        let page = conn.get(&path, Some(&me)).await.is(200).json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["subject"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/audit?limit=2&action=session.started&cursor={cursor}");
        conn.sign_in(&acme).await;
    }
    assert_eq!(seen, started);

    for (bad, field) in [
        ("actor=ada", "actor"),
        ("actor=", "actor"),
        ("action=session", "action"),
        ("since=yesterday", "since"),
        ("until=2026-11-22", "until"),
        ("since=2026-11-22T08:00:00Z&until=2026-11-22T09:00:00%2B01:00", "until"),
        ("cursor=x", "cursor"),
        ("cursor=0", "cursor"),
        ("limit=0", "limit"),
        ("subject=x", "(unknown)"),
    ] {
        let answer = conn.get(&format!("/v1/audit?{bad}"), Some(&me)).await;
        answer.is_problem(400, "validation");
        let faults = answer.json()["errors"].as_array().unwrap().clone();
        assert!(faults.len() == 1 && (faults[0]["field"] == field || field == "(unknown)"), "{bad}: {faults:?}");
    }
    let two = conn.get("/v1/audit?actor=x&until=x", Some(&me)).await.json();
    assert_eq!(two["errors"].as_array().unwrap().len(), 2);
}
