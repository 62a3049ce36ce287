//! API keys: made, rotated and revoked by admins, and what they open at the API host.

mod entering;
mod managing;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::audit;
use crate::support::{Answer, Conn, Engine, Options, Server, Tenant, on_both_engines};
use crate::watch::until;

const KEYS: &str = "/v1/api-keys";
const CONFIG: &str = "/v1/config";
const SHOP: &str = "https://shop.example";

on_both_engines! {
    a_key_lives_from_its_making_to_its_end
    the_text_before_a_rotation_works_for_its_overlap
    a_key_ends_with_its_time
    what_is_of_one_tenant_opens_nothing_of_another
}

/// A server with a tenant, its admin signed in, and a connection to the API host.
pub(crate) struct Scene {
    server: Server,
    acme: Tenant,
    conn: Conn,
    access: String,
    api: Conn,
}

impl Scene {
    async fn new(engine: Engine) -> Self {
        Self::with(Options::new(engine).limits_off()).await
    }

    async fn with(options: Options) -> Self {
        let server = Server::start(options).await;
        let acme = server.tenant("acme");
        let mut conn = Conn::to(&server, &acme).await;
        let access = conn.sign_in(&acme).await.access;
        let api = Conn::open(server.http, "api.localhost").await;
        Self { server, acme, conn, access, api }
    }

    async fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.conn.post(path, Some(&self.access), body).await
    }

    /// A new key: its id and its text.
    async fn made(&mut self, body: Value) -> (String, String) {
        shown(self.post(KEYS, &body).await.is(201))
    }

    async fn secret(&mut self) -> (String, String) {
        self.made(json!({ "name": "server", "kind": "secret" })).await
    }

    async fn publishable(&mut self) -> (String, String) {
        self.made(json!({ "name": "shop", "kind": "publishable", "allowed_origins": [SHOP] })).await
    }

    /// The text that a rotation gives the key.
    async fn rotated(&mut self, id: &str, overlap_s: u64) -> String {
        let answer = self.post(&format!("{KEYS}/{id}/rotate"), &json!({ "overlap_s": overlap_s })).await;
        shown(answer.is(200)).1
    }

    async fn listed(&mut self) -> Vec<Value> {
        let page = self.conn.get(&format!("{KEYS}?limit=200"), Some(&self.access)).await.is(200).json();
        page["items"].as_array().unwrap().clone()
    }

    /// `GET /v1/config` with this key, from a page of the shop when it is publishable.
    async fn config(&mut self, key: &str) -> Answer {
        config(&mut self.api, key).await
    }
}

pub(crate) async fn config(api: &mut Conn, key: &str) -> Answer {
    let mut headers = vec![("x-nd-key", key)];
    headers.extend(key.starts_with("nd_live_").then_some(("origin", SHOP)));
    api.send(api.request("GET", CONFIG, &headers, b"")).await
}

#[track_caller]
fn shown(answer: &Answer) -> (String, String) {
    let body = answer.json();
    let text = |name: &str| body[name].as_str().unwrap_or_else(|| panic!("no {name}: {body}")).to_owned();
    (text("id"), text("key"))
}

/// A time so many seconds from now, as in RFC 3339.
fn from_now(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_secs(seconds);
    let (days, second) = (now.as_secs() / 86_400, now.as_secs() % 86_400);
    // Days since 0000-03-01 in eras of 400 years (Howard Hinnant's `civil_from_days`).
    let of_era = (days + 719_468) % 146_097;
    let era = (days + 719_468) / 146_097;
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * shifted + 2) / 5 + 1, (shifted + 2) % 12 + 1);
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

async fn a_key_lives_from_its_making_to_its_end(engine: Engine) {
    let mut scene = Scene::new(engine).await;
    assert_eq!(scene.listed().await, Vec::<Value>::new());
    let body = json!({
        "name": "Shop front", "kind": "publishable", "scopes": ["config", "chat"],
        "allowed_origins": ["https://Shop.Example:443", "http://localhost:3000"], "expires_at": "2999-01-01T00:00:00Z",
    });
    let made = scene.post(KEYS, &body).await;
    assert_eq!(made.is(201).header("cache-control"), Some("no-store"));
    let (live_id, live) = shown(&made);
    let mut expected = made.json();
    expected.as_object_mut().unwrap().remove("key");
    let member = expected["created_by"].clone();
    assert!(member.as_str().is_some_and(|id| id.len() == 36) && expected["created_at"].is_string());
    let wanted = json!({
        "id": live_id, "name": "Shop front", "kind": "publishable", "scopes": ["chat", "config"],
        "allowed_origins": [SHOP, "http://localhost:3000"], "last4": live[live.len() - 4..],
        "created_at": expected["created_at"], "created_by": member, "expires_at": "2999-01-01T00:00:00Z",
        "last_used_at": null, "previous_until": null,
    });
    assert_eq!(expected, wanted);
    let (secret_id, secret) = scene.secret().await;
    assert!(live.starts_with("nd_live_") && secret.starts_with("nd_secret_"));
    let listed = scene.listed().await;
    assert_eq!((listed.len(), &listed[0], listed[1]["id"].as_str()), (2, &wanted, Some(secret_id.as_str())));
    assert_eq!(listed[1]["scopes"], json!(["chat", "events", "schema:read", "schema:write", "config"]));
    assert_eq!((&listed[1]["expires_at"], &listed[1]["allowed_origins"]), (&Value::Null, &json!([])));

    // Page by page.
    let access = scene.access.clone();
    let first = scene.conn.get(&format!("{KEYS}?limit=1"), Some(&access)).await.is(200).json();
    assert_eq!((&first["items"], &first["next_cursor"]), (&json!([wanted]), &json!(live_id)));
    let next = scene.conn.get(&format!("{KEYS}?limit=1&cursor={live_id}"), Some(&access)).await.is(200).json();
    assert_eq!((&next["items"][0]["id"], &next["next_cursor"]), (&json!(secret_id), &Value::Null));

    let answer = scene.config(&live).await;
    let wanted = json!({
        "tenant": { "slug": "acme", "name": "acme" },
        "key": { "id": live_id, "kind": "publishable", "scopes": ["chat", "config"] },
    });
    assert_eq!(answer.is(200).json(), wanted);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("set-cookie").is_none());
    assert_eq!(scene.config(&secret).await.is(200).json()["key"]["id"], json!(secret_id));
    until("the use is noted", async || {
        scene.listed().await.iter().all(|key| key["last_used_at"].is_string()).then_some(())
    })
    .await;

    let access = scene.access.clone();
    let rotated = scene.rotated(&secret_id, 0).await;
    scene.conn.call("DELETE", &format!("{KEYS}/{live_id}"), Some(&access)).await.is(204);
    scene.config(&live).await.is_problem(401, "unauthenticated");
    scene.config(&rotated).await.is(200);
    for gone in [live_id.as_str(), "019a0000-0000-7000-8000-000000000000", "x"] {
        scene.conn.call("DELETE", &format!("{KEYS}/{gone}"), Some(&access)).await.is_problem(404, "not-found");
        let rotate = scene.post(&format!("{KEYS}/{gone}/rotate"), &json!({ "overlap_s": 0 })).await;
        rotate.is_problem(404, "not-found");
    }
    assert_eq!(scene.listed().await.len(), 1);

    is_recorded(&audit::log(&mut scene.conn, &access).await, &member, &live_id, &secret_id);
}

/// Asserts that what was done to the keys is in the log, by whom and from where.
#[track_caller]
fn is_recorded(log: &[Value], member: &Value, live_id: &str, secret_id: &str) {
    let told: Vec<_> = log.iter().filter(|row| row["action"].as_str().unwrap().starts_with("api_key.")).collect();
    let rows = [
        ("api_key.created", live_id),
        ("api_key.created", secret_id),
        ("api_key.rotated", secret_id),
        ("api_key.revoked", live_id),
    ];
    assert_eq!(told.len(), rows.len(), "{log:?}");
    for (row, (action, subject)) in told.into_iter().zip(rows) {
        assert_eq!((row["action"].as_str(), row["subject"].as_str()), (Some(action), Some(subject)));
        assert_eq!(row["actor"], json!({ "kind": "member", "id": member }));
        assert!(row["address"] == "127.0.0.1" && row["request_id"].is_string());
    }
}

async fn the_text_before_a_rotation_works_for_its_overlap(engine: Engine) {
    let mut scene = Scene::new(engine).await;
    let (id, first) = scene.publishable().await;
    scene.config(&first).await.is(200);
    let second = scene.rotated(&id, 600).await;
    assert!(first != second && second.starts_with("nd_live_"));
    let item = scene.listed().await[0].clone();
    assert!(item["previous_until"].is_string() && second.ends_with(item["last4"].as_str().unwrap()), "{item}");
    for (text, status) in [(&first, 200), (&second, 200)] {
        scene.config(text).await.is(status);
    }
    // One more, and the first is dead at once, whatever its overlap was.
    let third = scene.rotated(&id, 600).await;
    for (text, status) in [(&first, 401), (&second, 200), (&third, 200)] {
        scene.config(text).await.is(status);
    }
    // Without an overlap all others are.
    let fourth = scene.rotated(&id, 0).await;
    for (text, status) in [(&second, 401), (&third, 401), (&fourth, 200)] {
        scene.config(text).await.is(status);
    }
    assert_eq!(scene.listed().await[0]["previous_until"], Value::Null);

    // And an overlap ends by itself.
    let fifth = scene.rotated(&id, 1).await;
    let began = Instant::now();
    until("the overlap has ended", async || (scene.config(&fourth).await.status == 401).then_some(())).await;
    assert!(began.elapsed() < Duration::from_secs(10));
    scene.config(&fifth).await.is(200);
    assert_eq!(scene.listed().await[0]["previous_until"], Value::Null);
    assert_eq!(scene.listed().await.len(), 1);
}

async fn a_key_ends_with_its_time(engine: Engine) {
    let mut scene = Scene::new(engine).await;
    let mut body = json!({ "name": "for a while", "kind": "secret", "expires_at": from_now(3) });
    let (id, key) = scene.made(body.clone()).await;
    scene.config(&key).await.is(200);
    until("the key has ended", async || (scene.config(&key).await.status == 401).then_some(())).await;
    let rotate = scene.post(&format!("{KEYS}/{id}/rotate"), &json!({ "overlap_s": 0 })).await;
    rotate.is_problem(409, "conflict");
    assert_eq!(scene.listed().await.len(), 1, "its admins still see it");
    body["expires_at"] = json!(from_now(0));
    let late = scene.post(KEYS, &body).await;
    late.is_problem(400, "validation");
    assert_eq!(late.json()["errors"], json!([{ "field": "expires_at", "message": "must be in the future" }]));
}

async fn what_is_of_one_tenant_opens_nothing_of_another(engine: Engine) {
    let mut scene = Scene::new(engine).await;
    let globex = scene.server.tenant("globex");
    let mut at_globex = Conn::to(&scene.server, &globex).await;
    let theirs = at_globex.sign_in(&globex).await.access;
    let (id, key) = scene.secret().await;
    let bearer = format!("Bearer {key}");
    for header in [("x-nd-key", key.as_str()), ("authorization", &bearer)] {
        for path in ["/v1/me", KEYS, CONFIG] {
            let answer = at_globex.send(at_globex.request("GET", path, &[header], b"")).await;
            assert!([401, 404].contains(&answer.status.as_u16()), "{path}: {answer:?}");
            let own = scene.conn.send(scene.conn.request("GET", path, &[header], b"")).await;
            assert!([401, 404].contains(&own.status.as_u16()), "{path}: {own:?}");
        }
    }
    let listed = at_globex.get(KEYS, Some(&theirs)).await.is(200).json();
    assert_eq!(listed["items"], json!([]));
    let path = format!("{KEYS}/{id}");
    at_globex.call("DELETE", &path, Some(&theirs)).await.is_problem(404, "not-found");
    let rotate = json!({ "overlap_s": 0 });
    at_globex.post(&format!("{path}/rotate"), Some(&theirs), &rotate).await.is_problem(404, "not-found");
    assert_eq!(scene.config(&key).await.is(200).json()["tenant"]["slug"], "acme");
    // The tenant's token opens nothing at the API host.
    let access = scene.access.clone();
    scene.api.get(CONFIG, Some(&access)).await.is_problem(401, "unauthenticated");
}
