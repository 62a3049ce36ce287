//! What happens is told, signed as it says, by the schedule, and as often as it takes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::receiver::{Heard, Mode, status};
use super::{ENDPOINTS, Scene};
use crate::support::{Conn, Engine, Options, Server, on_both_engines, time};
use crate::tenants_apart::stolen;
use crate::watch::until;
use crate::webhooks::libraries;

on_both_engines! {
    what_happens_is_told_signed_and_once
    a_message_is_tried_by_the_schedule_and_again_by_hand
    an_endpoint_that_fails_for_five_days_is_told_no_more_until_it_is_enabled
    a_kill_at_any_step_loses_nothing_that_happened
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// The signature of Standard Webhooks, computed here.
fn signature(secret: &str, heard: &Heard) -> String {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let text = format!("{}.{}.{}", heard.headers["webhook-id"], heard.headers["webhook-timestamp"], heard.body);
    format!("v1,{}", STANDARD.encode(mac(&key, &text)))
}

fn ids(heard: &[Heard]) -> Vec<String> {
    heard.iter().map(|heard| heard.headers["webhook-id"].clone()).collect()
}

/// The library of Standard Webhooks accepts it, and nothing that was spoiled.
fn library_agrees(secret: &str, heard: &Heard) {
    let asked = |secret: &str, body: &str| {
        let body_base64 = STANDARD.encode(body);
        let headers = json!(heard.headers);
        json!({ "ask": "verify", "provider": "standard", "secret": secret, "headers": headers, "body_base64": body_base64 })
    };
    let other = format!("whsec_{}", STANDARD.encode([7; 32]));
    let spoiled = heard.body.replacen("member", "Member", 1);
    let said = libraries(&[asked(secret, &heard.body), asked(&other, &heard.body), asked(secret, &spoiled)]);
    assert_eq!(said, [json!({ "ok": true }), json!({ "ok": false }), json!({ "ok": false })]);
}

async fn what_happens_is_told_signed_and_once(engine: Engine) {
    let mut scene = Scene::on(Options::new(engine)).await;
    let (all, secret) = scene.endpoint("/all", &["*"]).await;
    scene.hears("/all", 1).await; // its own making
    let (some, _) = scene.endpoint("/some", &["session.started"]).await;
    let url = scene.receiver.url("/compatible");
    let body = json!({ "url": url, "topics": ["session.*"], "profile": "kontraktr", "description": "Zapier" });
    let compatible = scene.create(&body).await.is(201).json();
    scene.happen().await;

    let heard = scene.hears("/all", 4).await;
    let kinds: Vec<Value> = heard.iter().map(|heard| serde_json::from_str(&heard.body).unwrap()).collect();
    let named: Vec<_> = kinds.iter().map(|told| told["type"].as_str().unwrap()).collect();
    let wanted =
        ["webhook_endpoint.created", "webhook_endpoint.created", "webhook_endpoint.created", "session.started"];
    assert_eq!(named, wanted, "in order, its own making too");
    let told = &kinds[3];
    assert_eq!(told["data"]["tenant"], scene.acme.id);
    assert_eq!((&told["data"]["actor_kind"], told["data"].as_object().unwrap().len()), (&json!("member"), 5));
    for heard in &heard {
        assert_eq!(heard.headers["webhook-signature"], signature(&secret, heard));
        assert_eq!(heard.headers["content-type"], "application/json");
        assert!(heard.headers["user-agent"].starts_with("freehold/"), "{heard:?}");
    }
    let log = crate::audit::log(&mut scene.conn, &scene.ada.access).await;
    let started = log.iter().rfind(|row| row["action"] == "session.started").unwrap();
    assert_eq!(told["data"]["id"], started["id"]);
    assert_eq!(heard[3].headers["x-request-id"], started["request_id"].as_str().unwrap());
    assert_eq!(time(&told["timestamp"]), time(&started["at"]));

    library_agrees(&secret, &heard[3]);
    let only = scene.hears("/some", 1).await;
    assert_eq!((ids(&only), only.len()), (vec![heard[3].headers["webhook-id"].clone()], 1), "one id for all endpoints");
    let theirs = scene.hears("/compatible", 1).await.remove(0);
    let text = format!("{}.{}", theirs.headers["x-webhook-timestamp"], theirs.body);
    let key = compatible["secret"].as_str().unwrap();
    let hex = mac(key.as_bytes(), &text).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    assert_eq!(theirs.headers["x-webhook-signature"], format!("sha256={hex}"));
    let told: Value = serde_json::from_str(&theirs.body).unwrap();
    assert_eq!((&told["event"], told["data"]["subject"].is_string()), (&json!("session.started"), true));

    // While a secret is rolled, both sign; what was delivered is written down, and is not sent again by itself.
    scene.settles(&some, "delivered", 1).await;
    let rotated = scene.act(&some, "rotate").await.is(200).json();
    scene.happen().await;
    let both = scene.hears("/some", 2).await.remove(1);
    let signatures: Vec<_> = both.headers["webhook-signature"].split(' ').map(str::to_owned).collect();
    assert_eq!((signatures.len(), &signatures[0]), (2, &signature(rotated["secret"].as_str().unwrap(), &both)));
    assert!(time(&rotated["previous_until"]) > time(&rotated["created_at"]));
    let rotated = scene.post(&format!("{ENDPOINTS}/{some}/rotate"), &json!({ "overlap_s": 0 })).await.is(200).json();
    assert_eq!(rotated["previous_until"], Value::Null);
    scene.happen().await;
    let one = scene.hears("/some", 3).await.remove(2);
    assert_eq!(one.headers["webhook-signature"], signature(rotated["secret"].as_str().unwrap(), &one));
    let delivered = scene.settles(&some, "delivered", 1).await;
    let whole = scene.message(&some, &delivered).await;
    assert_eq!((&whole["body"], &whole["message_id"]), (&json!(one.body), &json!(one.headers["webhook-id"])));
    assert_eq!((&whole["tries"][0]["outcome"], &whole["tries"][0]["status"]), (&json!("delivered"), &json!(200)));

    kept_apart_and_sealed(&mut scene, engine, (&all, &secret)).await;
}

/// Another tenant has none of it, and nobody who has the store can sign.
async fn kept_apart_and_sealed(scene: &mut Scene, engine: Engine, (all, secret): (&str, &str)) {
    let globex = scene.server.tenant("globex");
    let mut elsewhere = Conn::to(&scene.server, &globex).await;
    let greta = elsewhere.sign_in(&globex).await;
    assert_eq!(elsewhere.get(ENDPOINTS, Some(&greta.access)).await.is(200).json()["items"], json!([]));
    for path in ["", "/messages", "/messages/1"] {
        let path = format!("{ENDPOINTS}/{all}{path}");
        elsewhere.get(&path, Some(&greta.access)).await.is_problem(404, "not-found");
    }
    let needle = secret.strip_prefix("whsec_").unwrap();
    let raw = STANDARD.decode(needle).unwrap();
    for (place, bytes) in stolen(&scene.server, engine).await {
        for needle in [needle.as_bytes(), &raw] {
            assert!(!bytes.windows(needle.len()).any(|window| window == needle), "{place}");
        }
    }
    assert!(!scene.server.log().contains(needle), "the log");
    assert!(scene.server.cli(&["audit", "verify", "acme"], "").status.success());
}

async fn a_message_is_tried_by_the_schedule_and_again_by_hand(engine: Engine) {
    // No breaker may hold up what the schedule is to show.
    let options =
        Options::new(engine).env("FREEHOLD_BREAKERS_FAILURES", "1000").env("FREEHOLD_BREAKERS_PERCENT", "100");
    let mut scene = Scene::on(options).await;
    let (id, _) = scene.endpoint("/hook", &["session.started"]).await;
    scene.receiver.set("/hook", Mode::Answer(500, "", "canary0answer".repeat(200)));
    scene.happen().await;
    let mut pauses = vec![];
    for (attempt, pause) in (1..).zip([5, 300, 1_800, 7_200, 18_000, 36_000, 36_000]) {
        let message = scene.messages(&id).await.into_iter().find(|message| message["kind"] == "session.started");
        let waiting = match message {
            Some(message) if message["attempts"] == attempt => message,
            _ => {
                until("tried", async || {
                    let all = scene.messages(&id).await;
                    all.into_iter().find(|one| one["kind"] == "session.started" && one["attempts"] == attempt)
                })
                .await
                .0
            }
        };
        let whole = until("written down", async || {
            let whole = scene.message(&id, &waiting).await;
            (whole["tries"].as_array().unwrap().len() == usize::try_from(attempt).unwrap()).then_some(whole)
        })
        .await
        .0;
        let tried = &whole["tries"][0];
        assert_eq!((&tried["outcome"], &tried["status"]), (&json!("status"), &json!(500)));
        assert_eq!(tried["answer"].as_str().unwrap().len(), 1_000);
        let wait = time(&whole["next_try_at"]).since(time(&tried["at"]));
        pauses.push(wait.as_secs());
        scene.later(pause + 1).await;
    }
    assert_eq!(pauses, [5, 300, 1_800, 7_200, 18_000, 36_000, 36_000]);
    let failed = async || {
        let all = scene.messages(&id).await;
        all.into_iter().find(|one| one["kind"] == "session.started" && one["state"] == "failed")
    };
    let failed = until("it is tried no more", failed).await.0;
    assert_eq!((&failed["attempts"], &failed["next_try_at"]), (&json!(8), &Value::Null));
    let part = scene.get(&format!("{ENDPOINTS}/{id}/messages?state=failed")).await;
    assert_eq!(part["items"].as_array().unwrap().len(), 1);

    // By hand it is sent again, the same as before.
    scene.receiver.set("/hook", status(204));
    let path = format!("{ENDPOINTS}/{id}/messages/{}/replay", failed["number"]);
    scene.conn.call("POST", &path, Some(&scene.ada.access)).await.is(202);
    until("it is delivered", async || {
        let message = scene.message(&id, &failed).await;
        (message["state"] == "delivered" && message["attempts"] == 9).then_some(())
    })
    .await;
    let mut heard = scene.receiver.heard("/hook");
    heard.retain(|heard| heard.body.contains("session.started"));
    assert_eq!(heard.len(), 9);
    assert!(heard.windows(2).all(|two| two[0].body == two[1].body && ids(&two[..1]) == ids(&two[1..])));
    for (place, bytes) in stolen(&scene.server, engine).await {
        assert!(!bytes.windows(13).any(|window| window == b"canary0answer"), "{place}");
    }
}

async fn an_endpoint_that_fails_for_five_days_is_told_no_more_until_it_is_enabled(engine: Engine) {
    const DAY_S: u64 = 24 * 3_600;
    let options =
        Options::new(engine).env("FREEHOLD_BREAKERS_FAILURES", "1000").env("FREEHOLD_BREAKERS_PERCENT", "100");
    let mut scene = Scene::on(options).await;
    let (id, _) = scene.endpoint("/hook", &["session.started"]).await;
    let path = format!("{ENDPOINTS}/{id}");
    scene.receiver.set("/hook", status(503));
    scene.happen().await;
    scene.settles(&id, "waiting", 1).await;
    assert!(scene.get(&path).await["failing_since"].is_string());
    scene.later(5 * DAY_S - 60).await;
    let settled = async || scene.messages(&id).await.iter().all(|message| message["attempts"] != 0).then_some(());
    until("it was tried", settled).await;
    assert_eq!(scene.get(&path).await["disabled_at"], Value::Null, "not yet");
    scene.later(61).await;
    let disabled = async || Some(scene.get(&path).await).filter(|shown| shown["disabled_at"].is_string());
    assert_eq!(until("it is told no more", disabled).await.0["disabled_why"], "failing");
    let letters = scene.server.letters(1).await;
    let letter = letters.iter().find(|letter| letter.text.contains("told of events no more")).unwrap();
    assert!(letter.text.contains(&scene.receiver.url("/hook")), "{}", letter.text);
    let log = crate::audit::log(&mut scene.conn, &scene.ada.access).await;
    assert!(log.iter().any(|row| row["action"] == "webhook_endpoint.disabled" && row["actor"]["kind"] == "system"));

    // Nothing comes there now, and what happens is not forgotten.
    let before = scene.receiver.heard("/hook").len();
    scene.act(&id, "test").await.is_problem(409, "conflict");
    let since = json!({ "since": log[0]["at"] });
    scene.post(&format!("{path}/replay"), &since).await.is_problem(409, "conflict");
    scene.happen().await;
    scene.happen().await;
    scene.receiver.set("/hook", status(200));
    let enabled = scene.act(&id, "enable").await.is(200).json();
    assert_eq!((&enabled["disabled_at"], &enabled["failing_since"]), (&Value::Null, &Value::Null));
    let replayed = scene.post(&format!("{path}/replay"), &since).await.is(202).json();
    assert!(replayed["queued"].as_u64().unwrap() >= 2, "{replayed}");
    let delivered = async || {
        let all = scene.messages(&id).await;
        let started: Vec<_> = all.iter().filter(|message| message["kind"] == "session.started").cloned().collect();
        let is_done = started.iter().all(|message| message["state"] == "delivered");
        (is_done && !started.is_empty()).then_some(started.len())
    };
    let told = until("everything is told", delivered).await.0;
    let log = crate::audit::log(&mut scene.conn, &scene.ada.access).await;
    let started = log.iter().filter(|row| row["action"] == "session.started");
    assert_eq!(told, started.count(), "from the first sign-in on, before the endpoint was there");
    assert!(scene.receiver.heard("/hook").len() > before);
    assert_eq!(scene.post(&format!("{path}/replay"), &since).await.is(202).json()["queued"], 0, "not twice");

    // One that says it is gone is told nothing more at once.
    scene.ada = scene.conn.sign_in(&scene.acme).await;
    let (gone, _) = scene.endpoint("/gone", &["session.started"]).await;
    scene.receiver.set("/gone", status(410));
    scene.happen().await;
    let shown =
        async || Some(scene.get(&format!("{ENDPOINTS}/{gone}")).await).filter(|one| one["disabled_at"].is_string());
    assert_eq!(until("it is gone", shown).await.0["disabled_why"], "gone");
}

async fn a_kill_at_any_step_loses_nothing_that_happened(engine: Engine) {
    let mut scene = Scene::on(Options::new(engine)).await;
    let (id, secret) = scene.endpoint("/hook", &["session.started", "webhook_endpoint.created"]).await;
    scene.settles(&id, "delivered", 1).await; // nothing is under way that would come to a point first
    for (n, point) in ["webhook_out.looked", "webhook_out.claimed", "webhook_out.sent"].into_iter().enumerate() {
        scene.server.abort_at(point).await;
        let mut other = Conn::to(&scene.server, &scene.acme).await;
        let body = json!({ "email": scene.acme.email, "password": scene.acme.password });
        drop(other.try_post("/v1/auth/login", None, &body).await);
        scene.server.ended();
        scene = scene.restarted().await; // which signs in, too
        scene.server.clock_ahead(100).await; // whatever was claimed is free again, also by a clock that was ahead
        scene.act(&id, "test").await.is(202);
        let all = async || {
            let messages = scene.messages(&id).await;
            let started: Vec<_> = messages.iter().filter(|one| one["kind"] == "session.started").collect();
            let is_told = messages.iter().all(|one| one["state"] == "delivered");
            (is_told && started.len() == 2 * (n + 1)).then_some(())
        };
        until(point, all).await;
    }
    let heard: Vec<_> =
        scene.receiver.heard("/hook").into_iter().filter(|heard| heard.body.contains("session.started")).collect();
    let mut told = ids(&heard);
    told.sort();
    told.dedup();
    assert_eq!(told.len(), 6, "each that happened");
    assert!(heard.len() <= 7, "one was told twice at most: it was told and not yet written down");
    assert!(heard.iter().all(|heard| heard.headers["webhook-signature"] == signature(&secret, heard)));
}

/// Two nodes share a store, and have the same messages to send at the same time: each is sent by one of them.
#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_tell_each_event_once() {
    const EVENTS: usize = 60;
    let mut scene = Scene::on(Options::new(Engine::Postgres)).await;
    let (id, _) = scene.endpoint("/hook", &["session.started"]).await;
    scene.endpoint("/other", &["member.joined"]).await; // so that both nodes know that something is told
    let since = scene.get(&format!("{ENDPOINTS}/{id}")).await["created_at"].clone();
    let second: Server = scene.server.another();
    scene.act(&id, "disable").await.is(200);
    for n in 0..EVENTS {
        let server = if n % 2 == 0 { &scene.server } else { &second };
        let mut conn = Conn::to(server, &scene.acme).await;
        conn.sign_in(&scene.acme).await;
    }
    scene.act(&id, "enable").await.is(200);
    // One node is asked to tell it all, and the other has something to tell itself.
    let (path, body) = (format!("{ENDPOINTS}/{id}/replay"), json!({ "since": since }));
    let mut there = Conn::to(&second, &scene.acme).await;
    let (replayed, _) =
        tokio::join!(scene.conn.post(&path, Some(&scene.ada.access), &body), there.sign_in(&scene.acme));
    assert!(replayed.is(202).json()["queued"].as_u64().unwrap() >= 60);
    let told = async || {
        let all = scene.messages(&id).await;
        (all.len() == EVENTS + 1 && all.iter().all(|message| message["state"] == "delivered")).then_some(all)
    };
    let all = until("all are told", told).await.0;
    assert!(all.iter().all(|message| message["attempts"] == 1), "{all:?}");
    let mut told = ids(&scene.receiver.heard("/hook"));
    assert_eq!(told.len(), EVENTS + 1);
    told.sort();
    told.dedup();
    assert_eq!(told.len(), EVENTS + 1);
}
