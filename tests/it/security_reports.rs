//! Reports of weaknesses: from anybody, sealed, for operators alone, answered once, and in time or seen to be late.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::audit;
use crate::operators::platform;
use crate::support::{Answer, Conn, Engine, Options, Server, on_both_engines};
use crate::watch::{metric, until};

const REPORTS: &str = "/v1/security-reports";
const FORM: &str = "/security/report";
const TEXT: &str = "cAnArY7t:\n\tan open door";
const REPORTER: &str = "Eve cAnArY7r <eve@example.com>";
const NOTE: &str = "cAnArY7n: closed, thank you";
const OPEN: &str = "freehold_security_reports_open";
const OVERDUE: &str = "freehold_security_reports_overdue";
const OLDEST: &str = "freehold_security_report_oldest_open_seconds";

on_both_engines! {
    a_report_is_sealed_told_of_by_letter_and_answered_once
    what_waits_too_long_is_counted_and_what_was_answered_long_ago_is_forgotten
    so_many_reports_wait_and_no_more
}

/// A server that counts what waits every second.
async fn start(engine: Engine) -> Server {
    let options = Options::new(engine).limits_off().env("FREEHOLD_TREE_RECONCILE_S", "1");
    let contact = "https://example.com/report, mailto:security@example.com";
    Server::start(options.env("FREEHOLD_SECURITY_CONTACT", contact)).await
}

async fn tell(conn: &mut Conn, text: &str) -> Answer {
    conn.post(REPORTS, None, &json!({ "text": text })).await
}

async fn gauge_is(server: &Server, name: &str, wanted: u64) {
    until(name, async || (metric(server, name).await == wanted).then_some(())).await;
}

/// Whether a file under this folder holds these bytes.
pub(crate) fn holds(folder: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            holds(&path, bytes)
        } else {
            fs::read(path).is_ok_and(|read| read.windows(bytes.len()).any(|window| window == bytes))
        }
    })
}

/// Whether what is stored holds these bytes.
async fn is_stored(server: &Server, engine: Engine, text: &str) -> bool {
    if engine == Engine::Sqlite {
        return holds(&server.data_dir(), text.as_bytes());
    }
    let find = "SELECT COUNT(*) FROM security_report WHERE POSITION($1 IN report_sealed) > 0 OR POSITION($1 IN note_sealed) > 0";
    let mut store = server.database().superuser().await;
    sqlx::query_scalar::<_, i64>(find).bind(text.as_bytes()).fetch_one(&mut store).await.unwrap() > 0
}

async fn a_report_is_sealed_told_of_by_letter_and_answered_once(engine: Engine) {
    let server = start(engine).await;
    let (acme, platform) = (server.tenant("acme"), platform(&server).await);
    let mut conn = Conn::to(&server, &acme).await;
    let answer = conn.post(REPORTS, None, &json!({ "text": TEXT, "reporter": REPORTER })).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let receipt = answer.is(201).json();
    let id = receipt["id"].as_str().unwrap();
    let (received, due) = (receipt["received_at"].as_str().unwrap(), receipt["due_at"].as_str().unwrap());
    assert!(received[10..] == due[10..] && received < due, "whole days: {receipt}");

    let letter = server.letters(1).await.remove(0);
    assert_eq!((letter.header("To"), letter.header("Subject")), ("security@example.com", "A report of a weakness"));
    assert!(letter.text.contains(id) && !format!("{letter:?}").contains("cAnArY7"), "{letter:?}");

    // Its own tenant's admin is nobody to it.
    let admin = conn.sign_in(&acme).await.access;
    conn.get(REPORTS, Some(&admin)).await.is_problem(405, "method-not-allowed");
    conn.get(&format!("{REPORTS}/{id}"), Some(&admin)).await.is_problem(404, "not-found");
    let mut operators = Conn::to(&server, &platform).await;
    operators.get(REPORTS, None).await.is_problem(401, "unauthenticated");
    operators.get(REPORTS, Some(&admin)).await.is_problem(401, "unauthenticated");

    let session = operators.sign_in(&platform).await;
    let (access, one) = (Some(session.access.as_str()), format!("{REPORTS}/{id}"));
    tell(&mut conn, "another").await.is(201);
    gauge_is(&server, OPEN, 2).await;
    let part = operators.get("/v1/security-reports?limit=1", access).await.is(200).json();
    let listed = json!({ "id": id, "state": "open", "received_at": received, "due_at": due, "host": "acme.localhost",
        "reporter": REPORTER, "answered_at": null, "answered_by": null });
    assert_eq!((&part["items"], &part["next_cursor"]), (&json!([listed]), &json!(id)));
    let rest = operators.get(&format!("{REPORTS}?cursor={id}"), access).await.is(200).json();
    assert_eq!((rest["items"].as_array().unwrap().len(), &rest["items"][0]["reporter"]), (1, &Value::Null));
    let read = operators.get(&one, access).await.is(200).json();
    assert_eq!((&read["text"], read.get("note")), (&json!(TEXT), None));

    let post = format!("{one}/answer");
    operators.post(&post, None, &json!({ "note": NOTE })).await.is_problem(401, "unauthenticated");
    let answered = operators.post(&post, access, &json!({ "note": NOTE })).await.is(200).json();
    let me = operators.get("/v1/me", access).await.json()["member"]["id"].clone();
    assert_eq!(
        (&answered["state"], &answered["note"], &answered["answered_by"]),
        (&json!("answered"), &json!(NOTE), &me)
    );
    operators.post(&post, access, &json!({ "note": "no" })).await.is_problem(409, "conflict");
    assert_eq!(operators.get(&one, access).await.is(200).json(), answered, "the first answer stands");
    let nobodys = format!("{REPORTS}/019a0000-0000-7000-8000-000000000000");
    operators.get(&nobodys, access).await.is_problem(404, "not-found");
    operators.post(&format!("{nobodys}/answer"), access, &json!({ "note": NOTE })).await.is_problem(404, "not-found");
    gauge_is(&server, OPEN, 1).await;

    let log = audit::log(&mut operators, &session.access).await;
    for (action, kind) in [("security_report.received", "unknown"), ("security_report.answered", "member")] {
        let row = log.iter().find(|row| row["action"] == action && row["subject"] == id).unwrap();
        assert_eq!(row["actor"]["kind"], kind, "{row}");
    }
    assert!(server.cli(&["audit", "verify", "admin"], "").status.success());
    for canary in ["cAnArY7t", "cAnArY7r", "cAnArY7n"] {
        assert!(!is_stored(&server, engine, canary).await, "{canary} is stored as it is");
        assert!(!server.log().contains(canary), "{canary} is logged");
    }
}

async fn what_waits_too_long_is_counted_and_what_was_answered_long_ago_is_forgotten(engine: Engine) {
    const HOURS_49: &str = "UPDATE security_report SET received_at_ms = received_at_ms - 176400000";
    let server = start(engine).await;
    let platform = platform(&server).await;
    let mut conn = Conn::open(server.http, "localhost").await;
    let id = tell(&mut conn, "late").await.is(201).json()["id"].as_str().unwrap().to_owned();
    gauge_is(&server, OPEN, 1).await;
    assert_eq!(metric(&server, OVERDUE).await, 0);
    server.run_sql(&platform, HOURS_49).await;
    tell(&mut conn, "in time").await.is(201);
    gauge_is(&server, OVERDUE, 1).await;
    gauge_is(&server, OPEN, 2).await;
    let age_s = metric(&server, OLDEST).await;
    assert!((49 * 3_600..50 * 3_600).contains(&age_s), "{age_s}");

    let mut operators = Conn::to(&server, &platform).await;
    let access = operators.sign_in(&platform).await.access;
    let states = async |conn: &mut Conn, access: &str| {
        let list = conn.get(REPORTS, Some(access)).await.is(200).json();
        let states = list["items"].as_array().unwrap().iter().map(|item| item["state"].as_str().unwrap().to_owned());
        states.collect::<Vec<_>>()
    };
    assert_eq!(states(&mut operators, &access).await, ["overdue", "open"]);
    operators.post(&format!("{REPORTS}/{id}/answer"), Some(&access), &json!({ "note": NOTE })).await.is(200);
    gauge_is(&server, OVERDUE, 0).await;
    assert!(metric(&server, OLDEST).await < 3_600);
    assert_eq!(states(&mut operators, &access).await, ["answered", "open"]);

    // A year and a day ago. What is still open stays, however old it is.
    let year = "UPDATE security_report SET received_at_ms = received_at_ms - 31622400000, \
                answered_at_ms = answered_at_ms - 31622400000";
    server.run_sql(&platform, year).await;
    let server = server.restarted();
    let mut operators = Conn::to(&server, &platform).await;
    let access = operators.sign_in(&platform).await.access;
    let swept = async || (states(&mut operators, &access).await == ["overdue"]).then_some(());
    until("the answered one is forgotten", swept).await;
}

async fn so_many_reports_wait_and_no_more(engine: Engine) {
    let server = start(engine).await;
    let platform = platform(&server).await;
    let mut conn = Conn::open(server.http, "localhost").await;
    let first = tell(&mut conn, "first").await.is(201).json()["id"].as_str().unwrap().to_owned();
    for _ in 1..500 {
        tell(&mut conn, "more").await.is(201);
    }
    let refused = tell(&mut conn, "too many").await;
    refused.is_problem(409, "conflict");
    assert!(refused.json()["detail"].as_str().unwrap().contains("/.well-known/security.txt"), "{refused:?}");
    let mut operators = Conn::to(&server, &platform).await;
    let access = operators.sign_in(&platform).await.access;
    operators.post(&format!("{REPORTS}/{first}/answer"), Some(&access), &json!({ "note": NOTE })).await.is(200);
    tell(&mut conn, "in its place").await.is(201);
    tell(&mut conn, "too many").await.is_problem(409, "conflict");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_host_has_the_form_and_takes_reports_however_its_tenant_stands() {
    let server = start(Engine::Sqlite).await;
    let acme = server.tenant("acme");
    let mut apex = Conn::open(server.http, "localhost").await;
    apex.get(FORM, None).await.is_problem(404, "not-found"); // nobody would read it
    tell(&mut apex, "to nobody").await.is_problem(404, "not-found");
    let platform = platform(&server).await;
    assert!(server.cli(&["tenant", "suspend", "acme"], "").status.success());
    let mut hosts = vec!["localhost".to_owned(), acme.host(), platform.host()];
    for host in &hosts {
        let mut conn = Conn::open(server.http, host).await;
        let answer = conn.get(FORM, None).await;
        let page = String::from_utf8(answer.is(200).body.to_vec()).unwrap();
        assert!(page.contains("data-post=\"/v1/security-reports\"") && page.contains("within 48 hours"), "{page}");
        let policy = answer.header("content-security-policy").unwrap();
        let nonce = page.split_once("<script nonce=\"").unwrap().1.split_once('"').unwrap().0;
        assert!(policy.contains(&format!("'nonce-{nonce}'")), "{policy}");
        tell(&mut conn, "a report").await.is(201);
    }
    Conn::to(&server, &acme).await.get("/security", None).await.is_problem(403, "tenant-suspended");
    for host in ["nobody.localhost", "api.localhost", "127.0.0.1", "evil.test", "www.localhost"] {
        let mut conn = Conn::open(server.http, host).await;
        conn.get(FORM, None).await.is_problem(404, "not-found");
        assert!(matches!(tell(&mut conn, "x").await.status.as_u16(), 401 | 404), "{host}");
    }

    // Operators may come from elsewhere alone; whoever tells may come from anywhere.
    assert!(server.cli(&["tenant", "resume", "acme"], "").status.success());
    let server = server.restarted_with("FREEHOLD_PLATFORM_OPERATOR_CIDRS", "10.11.12.0/24");
    let admin = hosts.pop().unwrap();
    for host in &hosts {
        tell(&mut Conn::open(server.http, host).await, "a report").await.is(201);
    }
    let mut conn = Conn::open(server.http, &admin).await;
    conn.get(FORM, None).await.is_problem(404, "not-found");
    tell(&mut conn, "x").await.is_problem(404, "not-found");
    for (host, link) in [
        (acme.host(), "<a href=\"/security/report\">"),
        ("localhost".to_owned(), "<a href=\"//localhost:8080/security/report\">"),
        ("api.localhost".to_owned(), "<a href=\"//localhost:8080/security/report\">"),
    ] {
        let page = Conn::open(server.http, &host).await.get("/security", None).await;
        assert!(String::from_utf8_lossy(&page.is(200).body).contains(link), "{host}: {page:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_report_is_named_and_other_sites_send_none() {
    let server = start(Engine::Sqlite).await;
    let acme = server.tenant("acme");
    let platform = platform(&server).await;
    let mut conn = Conn::to(&server, &acme).await;
    let long = |chars: usize| "ä".repeat(chars);
    for (body, field) in [
        (json!({}), "text"),
        (json!({ "text": null }), "text"),
        (json!({ "text": "" }), "text"),
        (json!({ "text": " \n\t" }), "text"),
        (json!({ "text": "a\u{1b}[2J" }), "text"),
        (json!({ "text": long(10_001) }), "text"),
        (json!({ "text": ["a"] }), "text"),
        (json!({ "text": "a", "reporter": "" }), "reporter"),
        (json!({ "text": "a", "reporter": null }), "reporter"),
        (json!({ "text": "a", "reporter": "Eve\r\nBcc: x" }), "reporter"),
        (json!({ "text": "a", "reporter": long(255) }), "reporter"),
        (json!({ "text": "a", "host": "other.example" }), "host"),
    ] {
        let answer = conn.post(REPORTS, None, &body).await;
        answer.is_problem(400, "validation");
        let errors = answer.json()["errors"].clone();
        let fields: Vec<_> = errors.as_array().unwrap().iter().map(|error| error["field"].as_str().unwrap()).collect();
        assert_eq!(fields, [field], "{body}");
    }
    let typed = conn.request("POST", REPORTS, &[("content-type", "text/plain")], b"{\"text\": \"a\"}");
    conn.send(typed).await.is_problem(415, "unsupported-media-type");

    let body = json!({ "text": long(10_000), "reporter": long(254) }).to_string();
    for (origin, status) in [
        ("https://evil.test", 403),
        ("null", 403),
        ("http://acme.localhost.evil.test", 403),
        ("http://globex.localhost:8080", 403),
        ("http://acme.localhost", 201),
        ("http://acme.localhost:8080", 201),
    ] {
        let headers = [("content-type", "application/json"), ("origin", origin)];
        let answer = conn.send(conn.request("POST", REPORTS, &headers, body.as_bytes())).await;
        assert_eq!(answer.status, status, "{origin}: {answer:?}");
        assert!(status == 201 || answer.problem() == "csrf", "{origin}: {answer:?}");
    }
    let mut operators = Conn::to(&server, &platform).await;
    let access = operators.sign_in(&platform).await.access;
    let list = operators.get(REPORTS, Some(&access)).await.is(200).json();
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "nothing of what was refused is there");
    let post = format!("{REPORTS}/{}/answer", items[0]["id"].as_str().unwrap());
    for note in [json!(null), json!(""), json!("a\0"), json!(long(2_001))] {
        operators.post(&post, Some(&access), &json!({ "note": note })).await.is_problem(400, "validation");
    }
    operators.get("/v1/security-reports?cursor=nonsense", Some(&access)).await.is_problem(400, "validation");
    operators.get("/v1/security-reports/nonsense", Some(&access)).await.is_problem(404, "not-found");
    operators.post(&post, Some(&access), &json!({ "note": long(2_000) })).await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_tells_so_often_by_whatever_host_and_operators_are_not_counted_for_it() {
    let options = Options::new(Engine::Sqlite).limits_off().env("FREEHOLD_LIMITS_PUBLIC_FORM", "30/h");
    let server = Server::start(options.env("FREEHOLD_LIMITS_API_TENANT", "20/h")).await;
    let acme = server.tenant("acme");
    let platform = platform(&server).await;
    tell(&mut Conn::to(&server, &acme).await, "one").await.is(201);
    let mut apex = Conn::open(server.http, "localhost").await;
    for _ in 1..30 {
        assert_eq!(tell(&mut apex, "another").await.is(201).header("x-ratelimit-tier"), Some("public-form"));
    }
    let limited = tell(&mut apex, "too many").await;
    limited.is_problem(429, "rate-limited");
    assert_eq!(limited.json()["tier"], "public-form");
    let mut operators = Conn::to(&server, &platform).await;
    let access = operators.sign_in(&platform).await.access;
    let list = operators.get(REPORTS, Some(&access)).await.is(200).json();
    assert_eq!(list["items"].as_array().unwrap().len(), 30, "what strangers send is not counted against operators");
}
