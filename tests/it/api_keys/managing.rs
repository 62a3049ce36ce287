//! Who manages keys, with what, and how many.

use serde_json::{Value, json};

use super::{KEYS, SHOP, Scene};
use crate::support::{Conn, Engine, Session, on_both_engines, open_many};

on_both_engines! {
    only_an_admin_with_a_fresh_session_makes_and_rotates_keys
    a_tenant_has_a_hundred_keys_however_many_are_made_at_once
}

async fn only_an_admin_with_a_fresh_session_makes_and_rotates_keys(engine: Engine) {
    let mut scene = Scene::new(engine).await;
    let (id, key) = scene.secret().await;
    let new = json!({ "name": "another", "kind": "secret" });
    let (rotate, overlap) = (format!("{KEYS}/{id}/rotate"), json!({ "overlap_s": 0 }));
    for (method, path) in [("GET", KEYS), ("DELETE", &format!("{KEYS}/{id}"))] {
        scene.conn.call(method, path, None).await.is_problem(401, "unauthenticated");
    }
    scene.conn.post(KEYS, None, &new).await.is_problem(401, "unauthenticated");

    scene.server.run_sql(&scene.acme, "UPDATE token_family SET created_at_ms = created_at_ms - 300000").await;
    for (path, body) in [(KEYS, &new), (&rotate, &overlap)] {
        let answer = scene.post(path, body).await;
        answer.is_problem(403, "forbidden");
        assert!(answer.json()["detail"].as_str().unwrap().contains("sign in again"), "{answer:?}");
    }
    let access = scene.access.clone();
    scene.conn.get(KEYS, Some(&access)).await.is(200);

    scene.server.run_sql(&scene.acme, "UPDATE member SET role = 'sales_rep'").await;
    let access = Session::of(&scene.conn.login(&scene.acme, &scene.acme.password).await).access;
    for (method, path) in [("GET", KEYS), ("DELETE", &format!("{KEYS}/{id}"))] {
        scene.conn.call(method, path, Some(&access)).await.is_problem(403, "forbidden");
    }
    for (path, body) in [(KEYS, &new), (&rotate, &overlap)] {
        scene.conn.post(path, Some(&access), body).await.is_problem(403, "forbidden");
    }
    scene.config(&key).await.is(200);
    // Revoking does not wait for a fresh session: it makes nothing weaker.
    scene.server.run_sql(&scene.acme, "UPDATE member SET role = 'admin'").await;
    scene.server.run_sql(&scene.acme, "UPDATE token_family SET created_at_ms = created_at_ms - 300000").await;
    let access = scene.access.clone();
    scene.conn.call("DELETE", &format!("{KEYS}/{id}"), Some(&access)).await.is(204);
    assert_eq!(scene.listed().await, Vec::<Value>::new());
}

async fn a_tenant_has_a_hundred_keys_however_many_are_made_at_once(engine: Engine) {
    const AT_ONCE: usize = 4;
    let mut scene = Scene::new(engine).await;
    let body = json!({ "name": "one of many", "kind": "secret" });
    for _ in 0..98 {
        scene.made(body.clone()).await;
    }
    let mut conns = open_many(&scene.server, &scene.acme, AT_ONCE).await;
    let access = scene.access.as_str();
    let post = |conn: Conn| {
        let (mut conn, body) = (conn, body.clone());
        async move { conn.post(KEYS, Some(access), &body).await.status.as_u16() }
    };
    let [a, b, c, d] = [(); AT_ONCE].map(|()| post(conns.pop().unwrap()));
    let (a, b, c, d) = tokio::join!(a, b, c, d);
    let mut statuses = [a, b, c, d];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 201, 409, 409]);
    let listed = scene.listed().await;
    assert_eq!(listed.len(), 100);
    // A revoked one makes room.
    let access = scene.access.clone();
    let path = format!("{KEYS}/{}", listed[0]["id"].as_str().unwrap());
    scene.conn.call("DELETE", &path, Some(&access)).await.is(204);
    let (_, key) = scene.made(body).await;
    scene.config(&key).await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_key_is_named_and_makes_none() {
    let mut scene = Scene::new(Engine::Sqlite).await;
    let (id, key) = scene.secret().await;
    let many: Vec<_> = (0..21).map(|n| format!("https://shop{n}.example")).collect();
    let origins = |origins: Value| json!({ "name": "x", "kind": "publishable", "allowed_origins": origins });
    let scopes = |scopes: Value| json!({ "name": "x", "kind": "secret", "scopes": scopes });
    let table: Vec<(Value, &[&str])> = vec![
        (json!({}), &["name", "kind"]),
        (json!({ "name": "", "kind": "secret" }), &["name"]),
        (json!({ "name": "a\nb", "kind": "secret" }), &["name"]),
        (json!({ "name": "x".repeat(101), "kind": "live" }), &["name", "kind"]),
        (json!({ "name": 5, "kind": "secret" }), &["name"]),
        (json!({ "name": "x", "kind": "secret", "key": "mine" }), &["key"]),
        (json!({ "name": "x", "kind": "publishable" }), &["allowed_origins"]),
        (json!({ "name": "x", "kind": "secret", "allowed_origins": [SHOP] }), &["allowed_origins"]),
        (json!({ "name": "x", "kind": "secret", "expires_at": "tomorrow" }), &["expires_at"]),
        (json!({ "name": "x", "kind": "secret", "expires_at": "2001-01-01T00:00:00Z" }), &["expires_at"]),
        (origins(json!([])), &["allowed_origins"]),
        (origins(json!(["*"])), &["allowed_origins[0]"]),
        (origins(json!([SHOP, "https://*.shop.example", "null"])), &["allowed_origins[1]", "allowed_origins[2]"]),
        (origins(json!([SHOP, "https://shop.example:443"])), &["allowed_origins[1]"]),
        (origins(json!(["https://shop.example/path"])), &["allowed_origins[0]"]),
        (origins(json!(["shop.example"])), &["allowed_origins[0]"]),
        (origins(json!(["ftp://shop.example"])), &["allowed_origins[0]"]),
        (origins(json!(many)), &["allowed_origins"]),
        (origins(json!([5])), &["allowed_origins[0]"]),
        (scopes(json!([])), &["scopes"]),
        (scopes(json!(["chat", "admin"])), &["scopes[1]"]),
        (scopes(json!(["chat", "chat"])), &["scopes[1]"]),
        (scopes(json!("chat")), &["scopes"]),
    ];
    for (body, fields) in table {
        crate::bad_input::is_invalid(&scene.post(KEYS, &body).await, fields, &body.to_string());
    }
    let rotate = format!("{KEYS}/{id}/rotate");
    for body in [
        json!({}),
        json!({ "overlap_s": -1 }),
        json!({ "overlap_s": 604_801 }),
        json!({ "overlap_s": 1.5 }),
        json!({ "overlap_s": "1" }),
        json!({ "overlap_s": null }),
    ] {
        crate::bad_input::is_invalid(&scene.post(&rotate, &body).await, &["overlap_s"], &body.to_string());
    }
    let access = scene.access.clone();
    for query in ["limit=0", "cursor=x", "kind=secret"] {
        scene.conn.get(&format!("{KEYS}?{query}"), Some(&access)).await.is_problem(400, "validation");
    }
    scene.config(&key).await.is(200);
    assert_eq!(scene.listed().await.len(), 1);
}
