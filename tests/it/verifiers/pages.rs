//! The HTTP Observatory on a page, and the CSP Evaluator on every policy that is sent.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{DOMAIN, HOST, Scene, node, said};
use crate::openapi::operations;
use crate::support::{Answer, Conn};

const ADMIN: &str = "admin.example.test";
const API: &str = "api.example.test";

/// The most that a site can have that is on no preload list, sets no cookie on its pages and loads no script from elsewhere.
const SCORE: i64 = 130;

#[tokio::test(flavor = "multi_thread")]
async fn the_http_observatory_grades_pages_a_plus() {
    let scene = Scene::new().await;
    let ports = [scene.server.http, scene.server.redirect.unwrap()].map(|address| address.port().to_string());
    let authority = scene.authority.root_file(scene.folder.path());
    for page in [HOST.to_owned(), format!("{HOST}/security"), format!("{HOST}/auth/reset")] {
        let mut scan = node("observatory.mjs");
        let verdict = said(scan.arg(&page).args(&ports).env("NODE_EXTRA_CA_CERTS", &authority), "");
        let graded = &verdict["scan"];
        assert_eq!((&graded["grade"], &graded["testsFailed"]), (&json!("A+"), &json!(0)), "{page}: {verdict}");
        assert!(graded["score"].as_i64().unwrap() >= SCORE, "{page}: {verdict}");
        assert_eq!(graded["statusCode"], 200, "{page}: {verdict}");
        let redirected = &verdict["tests"]["redirection"];
        assert_eq!(redirected["result"], "redirection-to-https", "{page}: {redirected}");
    }
}

/// Everything that is described, asked for by nobody in particular, and what is refused on the way.
async fn answers(conn: &mut Conn) -> Vec<(String, Answer)> {
    let mut answers = vec![];
    for (method, path, _) in operations(conn).await {
        let target = path
            .replace("{slug}", "not-found")
            .replace("{id}", "019a0000-0000-7000-8000-000000000000")
            .replace("{provider}", "google");
        answers.push((format!("{method} {path}"), conn.call(&method, &target, None).await));
    }
    for (method, target) in [("GET", "/nothing"), ("PUT", "/"), ("GET", "/.env"), ("GET", "/?q=%3Cscript%3E")] {
        answers.push((format!("{method} {target}"), conn.call(method, target, None).await));
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn the_csp_evaluator_finds_nothing_in_any_policy() {
    let scene = Scene::new().await;
    let mut sent = vec![];
    for host in [HOST, ADMIN, API] {
        let mut conn = scene.conn(host).await;
        sent.extend(answers(&mut conn).await);
    }
    for path in ["/", "/security", "/nothing"] {
        sent.push((path.to_owned(), scene.conn(DOMAIN).await.get(path, None).await));
    }
    let mut plain = Conn::open(scene.server.redirect.unwrap(), HOST).await;
    sent.push(("without TLS".to_owned(), plain.get("/", None).await));
    assert!(sent.len() > 100, "{}", sent.len());
    let (mut pages, mut policies) = (0, BTreeSet::new());
    for (what, answer) in &sent {
        let policy = answer.header("content-security-policy").unwrap_or_else(|| panic!("{what}: {answer:?}"));
        assert_eq!(answer.headers.get_all("content-security-policy").iter().count(), 1, "{what}: {answer:?}");
        pages += usize::from(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
        policies.insert(policy);
    }
    assert!(pages >= 20 && policies.len() > pages / 2, "{pages} pages, {} policies", policies.len());
    let found = said(&mut node("policies.mjs"), &json!(policies).to_string());
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), policies.len());
    for (policy, findings) in policies.iter().zip(found) {
        let left: Vec<_> = findings.as_array().unwrap().iter().filter(|finding| !is_wanted(finding)).collect();
        assert!(left.is_empty(), "{policy}: {left:?}");
    }
}

/// What its mode for strict policies proposes and we do without.
///
/// - `'unsafe-inline'` and `https:` in `script-src`, for browsers that know no nonces or no `'strict-dynamic'`: such a browser
///   runs no script of ours at all, rather than everybody's.
/// - Trusted Types for what is not a page: no script runs in it.
fn is_wanted(finding: &Value) -> bool {
    let wanted = [
        ("STRICT_CSP", "UNSAFE_INLINE_FALLBACK"),
        ("STRICT_CSP", "ALLOWLIST_FALLBACK"),
        ("INFO", "REQUIRE_TRUSTED_TYPES_FOR_SCRIPTS"),
    ];
    finding["strict"] == true
        && wanted.iter().any(|(severity, kind)| finding["severity"] == *severity && finding["type"] == *kind)
}
