//! Endpoints are made, changed and taken away by admins; bad input changes nothing.

use serde_json::{Value, json};

use super::{ENDPOINTS, Scene};
use crate::support::{Engine, Options, on_both_engines};

on_both_engines! {
    endpoints_are_made_changed_and_taken_away
}

async fn endpoints_are_made_changed_and_taken_away(engine: Engine) {
    let mut scene = Scene::on(Options::new(engine)).await;
    let url = scene.receiver.url("/hook");
    for (body, field) in [
        (json!({ "topics": ["*"] }), "url"),
        (json!({ "url": url }), "topics"),
        (json!({ "url": url, "topics": [] }), "topics"),
        (json!({ "url": url, "topics": ["nothing.*"] }), "topics"),
        (json!({ "url": url, "topics": ["*", "*"] }), "topics"),
        (json!({ "url": url, "topics": ["*"], "profile": "svix" }), "profile"),
        (json!({ "url": url, "topics": ["*"], "description": "a\nb" }), "description"),
        (json!({ "url": url, "topics": ["*"], "description": "a".repeat(201) }), "description"),
        (json!({ "url": url, "topics": ["*"], "description": "4242 4242 4242 4242" }), "description"),
        (json!({ "url": url, "topics": ["*"], "secret": "mine" }), "secret"),
    ] {
        let refused = scene.create(&body).await;
        refused.is_problem(400, "validation");
        assert_eq!(refused.json()["errors"][0]["field"], field, "{body}");
    }
    let (id, secret) = scene.endpoint("/hook", &["session.*", "member.joined"]).await;
    let path = format!("{ENDPOINTS}/{id}");
    let shown = scene.get(&path).await;
    assert!(shown["secret"].is_null() && secret.ends_with(shown["last4"].as_str().unwrap()), "{shown}");
    assert_eq!((&shown["profile"], &shown["topics"]), (&json!("standard"), &json!(["session.*", "member.joined"])));
    let change = json!({ "topics": ["member.*"], "description": "CRM", "profile": "kontraktr" });
    let changed = scene.conn.patch(&path, &scene.ada.access, &change).await.is(200).json();
    assert_eq!((&changed["url"], &changed["description"]), (&json!(url), &json!("CRM")));
    assert_eq!((&changed["topics"], &changed["profile"]), (&json!(["member.*"]), &json!("kontraktr")));
    assert_eq!(scene.get(&path).await, changed);
    scene.conn.patch(&path, &scene.ada.access, &json!({ "topics": null })).await.is_problem(400, "validation");
    let disabled = scene.act(&id, "disable").await.is(200).json();
    assert_eq!(disabled["disabled_why"], "by-hand");
    scene.act(&id, "disable").await.is(200);
    assert_eq!(scene.act(&id, "enable").await.is(200).json()["disabled_at"], Value::Null);
    for (path, body) in [
        (format!("{path}/rotate"), json!({ "overlap_s": 604_801 })),
        (format!("{path}/replay"), json!({ "since": "yesterday" })),
        (format!("{path}/replay"), json!({})),
    ] {
        scene.post(&path, &body).await.is_problem(400, "validation");
    }
    let messages = format!("{path}/messages");
    for query in ["?state=lost", "?cursor=0", "?cursor=x", "?limit=0", "?limit=201"] {
        scene.conn.get(&format!("{messages}{query}"), Some(&scene.ada.access)).await.is_problem(400, "validation");
    }
    for number in ["0", "01", "-1", "x", "999999"] {
        let path = format!("{messages}/{number}");
        scene.conn.get(&path, Some(&scene.ada.access)).await.is_problem(404, "not-found");
    }

    // Twenty are the most, whoever makes them at once.
    for _ in 1..20 {
        scene.endpoint("/more", &["member.joined"]).await;
    }
    let body = json!({ "url": url, "topics": ["*"] });
    scene.create(&body).await.is_problem(409, "conflict");
    scene.conn.call("DELETE", &path, Some(&scene.ada.access)).await.is(204);
    scene.conn.call("DELETE", &path, Some(&scene.ada.access)).await.is_problem(404, "not-found");
    scene.conn.get(&path, Some(&scene.ada.access)).await.is_problem(404, "not-found");
    scene.create(&body).await.is(201);

    // A session that is not fresh sends nothing elsewhere.
    scene.server.clock_ahead(301).await;
    let theirs = scene.get(ENDPOINTS).await["items"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("{ENDPOINTS}/{theirs}");
    scene.create(&body).await.is_problem(403, "forbidden");
    scene.conn.patch(&path, &scene.ada.access, &json!({ "url": url })).await.is_problem(403, "forbidden");
    scene.act(&theirs, "rotate").await.is_problem(403, "forbidden");
    scene.conn.call("DELETE", &path, Some(&scene.ada.access)).await.is_problem(403, "forbidden");

    let log = crate::audit::log(&mut scene.conn, &scene.ada.access).await;
    let of: Vec<_> = log.iter().filter(|row| row["subject"] == id).map(|row| row["action"].as_str().unwrap()).collect();
    let acts = ["created", "changed", "disabled", "enabled", "removed"].map(|act| format!("webhook_endpoint.{act}"));
    assert_eq!(of, acts);
}
