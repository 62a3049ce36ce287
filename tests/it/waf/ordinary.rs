//! What clients of this server send, at the paranoia with which the rule set comes: nothing matches, in any mode.

use serde_json::{Value, json};

use super::{MATCHES, UNSEEN, start};
use crate::support::{Conn, Engine, Server};
use crate::watch::metric;

/// Passwords that look like attacks.
const PASSWORDS: [&str; 24] = [
    "P@ss'w0rd\\\"--; and more",
    "' or 1=1 -- and more",
    "a;b|c&d$(e)`f` and more",
    "<Tr0ub4dor&3> and more",
    "../../../etc/passwd and",
    "x'); DROP TABLE users;--",
    "Pa$$w0rd!#%^&*()_+ more",
    "1=1 and 2=2 or '3'='3'",
    "{{7*7}} ${7*7} #{7*7}",
    "select * from members",
    "\u{e4}\u{f6}\u{fc}\u{20ac} and some others",
    "\"quoted\" \\ \\\\ \\\" more",
    "c:\\windows\\system32\\cmd",
    "it's Alice's & Bob's one",
    "rm -rf / ; cat /etc/hosts",
    "~!@#$%^&*()_+{}|:<>?[]",
    "admin'-- and some more",
    "I want to drop the union",
    "sleep(5) benchmark(9,9)",
    "%27%20or%201%3D1%20--%20",
    "@#$%!&*('_') and others",
    "<script>alert(1)</script>",
    "${jndi:ldap://x.test/a}",
    "<?php phpinfo(); ?> more",
];

#[tokio::test(flavor = "multi_thread")]
async fn odd_passwords_sign_in_and_match_nothing() {
    let server = start(Engine::Sqlite, "block").await;
    let mut made = vec![];
    for (index, password) in PASSWORDS.into_iter().enumerate() {
        let (slug, email) = (format!("t{index}"), format!("o'neil+{index}@example.com"));
        let args = ["tenant", "create", &slug, "--admin-email", &email, "--admin-password-stdin"];
        let done = server.cli(&args, &format!("{password}\n"));
        assert!(done.status.success(), "{password}: {}", String::from_utf8_lossy(&done.stderr));
        made.push((slug, email, password));
    }
    for (slug, email, password) in made {
        let mut conn = Conn::open(server.http, &format!("{slug}.localhost")).await;
        let right = json!({ "email": email, "password": password });
        let session = conn.post("/v1/auth/login", None, &right).await.is(200).json();
        let access = session["access_token"].as_str().unwrap().to_owned();
        let wrong = json!({ "email": email, "password": format!("{password} ") });
        conn.post("/v1/auth/login", None, &wrong).await.is_problem(401, "invalid-credentials");
        let change = json!({ "current_password": password, "new_password": format!("{password} too") });
        conn.post("/v1/auth/password", Some(&access), &change).await.is(200);
    }
    matches_nothing(&server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_ask_for_matches_nothing_and_is_answered_as_ever() {
    for mode in ["detect", "block"] {
        let server = start(Engine::Sqlite, mode).await;
        let acme = server.tenant("acme");
        let mut conn = Conn::to(&server, &acme).await;
        let session = conn.sign_in(&acme).await;
        let access = Some(session.access.as_str());
        for path in PATHS {
            conn.get(path, access).await.is(200);
        }
        for (path, body, status) in bodies() {
            let answer = conn.post(path, access, &body).await;
            assert_eq!(answer.status.as_u16(), status, "{path} {body}: {answer:?}");
        }
        let change = json!({ "registration": "open", "refresh_reuse_grace_s": 10 });
        conn.patch("/v1/settings", &session.access, &change).await.is(200);
        let new = json!({ "email": "o'brien@example.com", "password": "' or '1'='1' -- and", "name": "Se\u{e1}n O'Brien & Co" });
        conn.post("/v1/auth/register", None, &new).await.is(202);
        let report = json!({ "csp-report": { "document-uri": "https://acme.example.com/", "blocked-uri": "https://x.test/x.js",
            "effective-directive": "script-src-elem", "original-policy": "default-src 'none'; script-src 'nonce-abc'" } });
        let headers = [("content-type", "application/csp-report"), ("user-agent", BROWSER)];
        conn.send(conn.request("POST", "/csp-report", &headers, report.to_string().as_bytes())).await.is(204);
        let ended = conn.call("DELETE", "/v1/sessions/019a0000-0000-7000-8000-000000000000", access).await;
        ended.is_problem(404, "not-found");
        let cookie = format!("__Host-freehold-refresh={}; theme=dark; x=' or 1=1 --", session.refresh);
        let headers = [("cookie", cookie.as_str()), ("origin", "http://acme.localhost:8080"), ("user-agent", BROWSER)];
        conn.send(conn.request("POST", "/v1/auth/refresh", &headers, b"")).await.is(200);
        matches_nothing(&server).await;
    }
}

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

const PATHS: [&str; 17] = [
    "/",
    "/v1/me",
    "/v1/sessions",
    "/v1/settings",
    "/v1/members",
    "/v1/members?limit=200&cursor=019a0000-0000-7000-8000-000000000000",
    "/v1/audit?action=session.started&since=2026-01-01T00%3A00%3A00%2B02%3A00",
    "/v1/invitations?limit=1",
    "/v1/api-keys",
    "/v1/csp-reports",
    "/v1/security-status",
    "/.well-known/jwks.json",
    "/openapi.json",
    "/help/roles",
    "/security",
    "/security.json",
    "/problems/not-found",
];

fn bodies() -> Vec<(&'static str, Value, u16)> {
    vec![
        ("/v1/invitations", json!({ "email": "li.o'neil@example.com", "role": "employee" }), 201),
        (
            "/v1/api-keys",
            json!({ "name": "Shop & \"Sons\" (1)", "kind": "publishable",
            "allowed_origins": ["https://shop.example.com", "http://localhost:3000"] }),
            201,
        ),
        ("/v1/auth/password/forgot", json!({ "email": "ada@example.com" }), 202),
        ("/v1/auth/refresh", json!({ "refresh_token": "q3J9x8b8sYw1Uu0vT2pAq3J9x8b8sYw1Uu0vT2pA--1" }), 401),
        ("/v1/auth/second-factor", json!({ "challenge": "1--x8b8sYw1Uu0vT2pA' or 1=1", "totp": "123456" }), 401),
        ("/v1/auth/totp/enrol", json!({}), 200),
        ("/v1/domains", json!({ "domain": "shop.example.com" }), 201),
    ]
}

async fn matches_nothing(server: &Server) {
    assert_eq!((metric(server, MATCHES).await, metric(server, UNSEEN).await), (0, 0), "{}", server.log());
}
