//! Browsers report of pages: in both formats, once for each sort, in bounds, and nobody but an admin reads it.

use hyper::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::support::{Answer, Conn, Engine, Options, Server, Tenant, on_both_engines};
use crate::watch::metric;

const REPORT: &str = "/csp-report";
const REPORTS: &str = "/v1/csp-reports";
const SINGLE: &str = "application/csp-report";
const LIST: &str = "application/reports+json";

on_both_engines! {
    both_formats_are_kept_once_without_what_may_be_secret
    a_flood_is_limited_and_the_list_is_bounded
}

async fn report(conn: &mut Conn, media_type: &str, body: &str) -> Answer {
    conn.send(conn.request("POST", REPORT, &[(CONTENT_TYPE.as_str(), media_type)], body.as_bytes())).await
}

fn single(document: &str) -> String {
    let report = json!({ "document-uri": document, "effective-directive": "script-src-elem", "blocked-uri": "inline" });
    json!({ "csp-report": report }).to_string()
}

fn listed(documents: &[String]) -> String {
    let one = |document: &String| {
        let body = json!({ "documentURL": document, "effectiveDirective": "script-src-elem", "blockedURL": "inline",
            "sample": "secret sample" });
        json!({ "type": "csp-violation", "age": 10, "url": document, "user_agent": "x", "body": body })
    };
    Value::Array(documents.iter().map(one).collect()).to_string()
}

async fn start(engine: Engine, limit: &str) -> (Server, Tenant, Conn) {
    let server = Server::start(Options::new(engine).limits_off().env("FREEHOLD_LIMITS_CSP_REPORT", limit)).await;
    let acme = server.tenant("acme");
    let conn = Conn::to(&server, &acme).await;
    (server, acme, conn)
}

async fn both_formats_are_kept_once_without_what_may_be_secret(engine: Engine) {
    let (server, acme, mut conn) = start(engine, "off").await;
    let page = "http://acme.localhost/auth/reset?token=secret#token=secret";
    report(&mut conn, SINGLE, &single(page)).await.is(204);
    report(&mut conn, LIST, &listed(&[page.to_owned(), "http://acme.localhost/".to_owned()])).await.is(204);
    report(&mut conn, LIST, &listed(&["http://globex.localhost/x".to_owned(), "ab".to_owned()])).await.is(204);
    report(&mut conn, "application/reports+json; charset=utf-8", r#"[{"type": "deprecation", "body": {}}]"#)
        .await
        .is(204);
    for (media_type, body, status, slug) in [
        ("application/json", "{}", 415, "unsupported-media-type"),
        ("text/plain", "{}", 415, "unsupported-media-type"),
        (SINGLE, "{}", 400, "validation"),
        (SINGLE, "nonsense", 400, "validation"),
        (LIST, "{}", 400, "validation"),
        (SINGLE, &format!("{{\"csp-report\": \"{}\"}}", "x".repeat(20_000)), 413, "payload-too-large"),
    ] {
        report(&mut conn, media_type, body).await.is_problem(status, slug);
    }
    let mut conn = Conn::to(&server, &acme).await; // too large a body ends its connection
    let session = conn.sign_in(&acme).await;
    conn.get(REPORTS, None).await.is_problem(401, "unauthenticated");
    let list = conn.get(REPORTS, Some(&session.access)).await.is(200).json();
    let items = list["items"].as_array().unwrap();
    // Two that are new in one millisecond have no order.
    let times = |document: &str| items.iter().find(|item| item["document"] == document).map(|item| &item["times"]);
    assert_eq!((items.len(), times("http://acme.localhost/auth/reset")), (2, Some(&json!(2))), "{list}");
    assert_eq!(times("http://acme.localhost/"), Some(&json!(1)), "{list}");
    assert!(!list.to_string().contains("secret"), "{list}");
    assert_eq!(metric(&server, "freehold_csp_reports_total{disposition=\"enforce\"}").await, 3);

    let part = conn.get("/v1/csp-reports?limit=1", Some(&session.access)).await.is(200).json();
    let next = format!("/v1/csp-reports?cursor={}", part["next_cursor"].as_str().unwrap());
    assert_eq!(conn.get(&next, Some(&session.access)).await.is(200).json()["items"][0], items[1]);
    let globex = server.tenant("globex");
    let mut other = Conn::to(&server, &globex).await;
    let stranger = other.sign_in(&globex).await;
    assert_eq!(other.get(REPORTS, Some(&stranger.access)).await.is(200).json()["items"], json!([]));
    conn.call("DELETE", REPORTS, Some(&session.access)).await.is(204);
    assert_eq!(conn.get(REPORTS, Some(&session.access)).await.is(200).json()["items"], json!([]));
}

async fn a_flood_is_limited_and_the_list_is_bounded(engine: Engine) {
    let (_server, acme, mut conn) = start(engine, "13/h").await;
    let pages = |from: usize| (from..from + 20).map(|n| format!("http://acme.localhost/{n}")).collect::<Vec<_>>();
    for n in 0..13 {
        report(&mut conn, LIST, &listed(&pages(20 * n))).await.is(204);
    }
    let limited = report(&mut conn, LIST, &listed(&pages(0))).await;
    limited.is_problem(429, "rate-limited");
    assert_eq!(limited.json()["tier"], "csp-report");
    let session = conn.sign_in(&acme).await;
    let list = conn.get("/v1/csp-reports?limit=200", Some(&session.access)).await.is(200).json();
    assert_eq!((list["items"].as_array().unwrap().len(), &list["next_cursor"]), (200, &Value::Null), "of 260 sorts");
    let newest = format!("http://acme.localhost/{}", 20 * 13 - 1);
    assert!(
        list["items"].as_array().unwrap().iter().any(|item| item["document"] == newest),
        "those that came least gave way"
    );
}

/// A page says where to report, and an answer that is no page does not.
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_a_tenant_say_where_to_report() {
    let (_server, _, mut conn) = start(Engine::Sqlite, "off").await;
    let page = conn.get("/auth/reset", None).await;
    let policy = page.is(200).header("content-security-policy").unwrap();
    assert!(policy.ends_with("report-uri /csp-report"), "browsers take nothing else over plain HTTP: {policy}");
    let api = conn.get("/.well-known/jwks.json", None).await;
    assert!(!api.header("content-security-policy").unwrap().contains("report"), "{api:?}");
}
