//! Addresses, methods and parameters that are not there.

use serde_json::json;

use super::{Scene, is_invalid};
use crate::raw;

#[tokio::test]
async fn unknown_routes_are_not_found() {
    let mut scene = Scene::new().await;
    let access = scene.session.access.clone();
    for path in [
        "/nothing", "/v1", "/v1/", "/v1/me/", "/V1/ME", "//v1/me", "/v1//me", "/v1/../v1/me", "/v1/./me", "/v1/%6de",
        "/v1/me%00", "/v1/me%2f", "/v1/me;x=1", "/v2/me", "/v1/auth", "/v1/auth/", "/v1/tenants", "/.env", "/metrics",
        "/debug/tree", "/livez", "/problems/", "/problems/nothing", "/v1/sessions/x/y",
    ] {
        scene.conn.get(path, Some(&access)).await.is_problem(404, "not-found");
    }
    for id in ["x", "%00", "..", "019a0000-0000-7000-8000-00000000000", "019A0000000070008000000000000000"] {
        let answer = scene.conn.call("DELETE", &format!("/v1/sessions/{id}"), Some(&access)).await;
        answer.is_problem(404, "not-found");
    }
    raw::ask(&scene.server, "OPTIONS * HTTP/1.1\r\nhost: acme.localhost\r\n\r\n").await.is_problem(404, "not-found");
    let long = format!("/v1/me?{}", "x".repeat(9_000));
    scene.conn.get(&long, Some(&access)).await.is_problem(414, "uri-too-long");
    scene.nothing_changed().await;
}

#[tokio::test]
async fn methods_that_a_route_has_not_are_told_those_it_has() {
    let scene = Scene::new().await;
    let routes = [
        ("/v1/me", "GET,HEAD"),
        ("/v1/sessions", "GET,HEAD"),
        ("/v1/sessions/019a0000-0000-7000-8000-000000000000", "DELETE"),
        ("/v1/auth/login", "POST"),
        ("/v1/auth/logout", "POST"),
        ("/.well-known/jwks.json", "GET,HEAD"),
    ];
    for (path, allowed) in routes {
        for method in ["TRACE", "FROB", "get", "OPTIONS", "PUT", "PATCH", "QUERY", "X".repeat(60).as_str()] {
            let request = format!("{method} {path} HTTP/1.1\r\nhost: acme.localhost\r\ncontent-length: 0\r\n\r\n");
            let answer = raw::ask(&scene.server, request).await;
            answer.is_problem(405, "method-not-allowed");
            assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
            // TRACE in particular says nothing back (cross-site tracing).
            assert!(!String::from_utf8_lossy(&answer.body).contains("acme"), "{answer:?}");
        }
    }
    let connect =
        raw::ask(&scene.server, "CONNECT acme.localhost:80 HTTP/1.1\r\nhost: acme.localhost:80\r\n\r\n").await;
    connect.is_problem(405, "method-not-allowed");
    assert!(connect.header("allow").is_some());
    scene.nothing_changed().await;
}

#[tokio::test]
async fn parameters_are_known_and_come_once() {
    let mut scene = Scene::new().await;
    let access = scene.session.access.clone();
    let cases: [(&str, &[&str]); 22] = [
        ("/v1/me?x=1", &["x"]),
        ("/v1/me?x", &["x"]),
        ("/v1/me?access_token=abc", &["access_token"]),
        ("/v1/me?limit=1&x=1", &["limit", "x"]),
        ("/v1/me?%3Cscript%3E=1", &["(query)"]),
        ("/v1/sessions?x=1", &["x"]),
        ("/v1/sessions?limit=0", &["limit"]),
        ("/v1/sessions?limit=201", &["limit"]),
        ("/v1/sessions?limit=abc", &["limit"]),
        ("/v1/sessions?limit=", &["limit"]),
        ("/v1/sessions?limit=-1", &["limit"]),
        ("/v1/sessions?limit=%2B1", &["limit"]),
        ("/v1/sessions?limit=1e1", &["limit"]),
        ("/v1/sessions?limit=4294967297", &["limit"]),
        ("/v1/sessions?limit=1&limit=1", &["limit"]),
        ("/v1/sessions?limit=1&li%6Dit=2", &["limit"]),
        ("/v1/sessions?cursor=", &["cursor"]),
        ("/v1/sessions?cursor=x", &["cursor"]),
        ("/v1/sessions?cursor=%00", &["cursor"]),
        ("/v1/sessions?cursor=%0d%0a", &["cursor"]),
        ("/v1/sessions?limit=%ff", &["(query)"]),
        ("/v1/sessions?limit=%4", &["(query)"]),
    ];
    for (target, fields) in cases {
        is_invalid(&scene.conn.get(target, Some(&access)).await, fields, target);
    }
    for good in ["limit=1", "limit=200", "", "limit=%35", "limit=1&cursor=00000000-0000-7000-8000-000000000000"] {
        let page = scene.conn.get(&format!("/v1/sessions?{good}"), Some(&access)).await.is(200).json();
        assert_eq!(
            (page["items"][0]["id"].as_str(), &page["next_cursor"]),
            (Some(&*scene.session.id), &json!(null)),
            "{good}"
        );
    }
    scene.nothing_changed().await;
}
