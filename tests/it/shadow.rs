//! Limits that are tried on a tenant's traffic: what they would have refused is told, exactly, and nobody is refused anything.

use serde_json::{Value, json};

use crate::operators::platform;
use crate::support::{Answer, Conn, Engine, Options, Redis, Server, Session, Tenant, on_both_engines, time};
use crate::watch::{metric, number, panic_of, set_limit, until};

const LIMITS: &str = "/v1/rate-limits";
const NOBODYS: &str = "019a0000-0000-7000-8000-000000000000";

on_both_engines! {
    what_a_limit_would_refuse_is_told_and_nobody_is_refused
    operators_set_a_shadow_and_an_admin_only_sees_it
}

/// A server with a tenant, its admin and an operator.
struct Scene {
    server: Server,
    acme: Tenant,
    ada: (Conn, Session),
    platform: Tenant,
    operator: (Conn, Session),
}

impl Scene {
    /// Operators look as often as they like.
    async fn on(options: Options) -> Self {
        let server = Server::start(options.env("FREEHOLD_LIMITS_OPERATOR", "off")).await;
        let acme = server.tenant("acme");
        let mut conn = Conn::to(&server, &acme).await;
        let session = conn.sign_in(&acme).await;
        let platform = platform(&server).await;
        let mut operators = Conn::to(&server, &platform).await;
        let operator = operators.sign_in(&platform).await;
        Self { server, acme, ada: (conn, session), platform, operator: (operators, operator) }
    }

    async fn ada_asks(&mut self) -> Answer {
        self.ada.0.get("/v1/me", Some(&self.ada.1.access)).await
    }

    fn route(&self) -> String {
        format!("/v1/tenants/{}/rate-limits", self.acme.id)
    }

    /// What operators see of a tier's trial, which no request of the tenant's is spent on; `null` without one.
    async fn seen(&mut self, tier: &str) -> Value {
        let route = self.route();
        seen(&mut self.operator.0, &route, &self.operator.1.access, tier).await
    }

    async fn post(&mut self, body: &Value) -> Answer {
        let path = format!("{}/shadow", self.route());
        self.operator.0.post(&path, Some(&self.operator.1.access), body).await
    }
}

async fn seen(conn: &mut Conn, path: &str, access: &str, tier: &str) -> Value {
    let shown = conn.get(path, Some(access)).await.is(200).json();
    shown["tiers"].as_array().unwrap().iter().find(|row| row["tier"] == tier).unwrap()["shadow"].clone()
}

/// Requests that were counted, and those of them that would have been refused.
fn counts(seen: &Value) -> (u64, u64) {
    (seen["counted"].as_u64().unwrap(), seen["would_refuse"].as_u64().unwrap())
}

#[track_caller]
fn shadow(server: &Server, args: &[&str]) -> Value {
    let done = server.cli(&[&["tenant"], args].concat(), "");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

async fn would_refuse(server: &Server, tier: &str) -> u64 {
    metric(server, &format!("freehold_rate_shadow_refused_total{{tier=\"{tier}\"}}")).await
}

async fn what_a_limit_would_refuse_is_told_and_nobody_is_refused(engine: Engine) {
    let mut scene = Scene::on(Options::new(engine).limits_off()).await;
    let globex = scene.server.tenant("globex");
    let mut other = Conn::to(&scene.server, &globex).await;
    let elsewhere = other.sign_in(&globex).await.access;
    for slug in ["acme", "globex"] {
        set_limit(&scene.server, slug, "api-member", "20/h");
    }
    assert_eq!(scene.seen("api-member").await, Value::Null);
    let set = shadow(&scene.server, &["limit", "acme", "api-member", "5/h", "--shadow"]);
    assert_eq!(set, json!({ "slug": "acme", "tier": "api-member", "limit": "5/h", "shadow": true }));
    let new = scene.seen("api-member").await;
    assert_eq!((counts(&new), &new["limit"], &new["would_refuse_last_at"]), ((0, 0), &json!("5/h"), &Value::Null));

    // Every one is admitted, and told of the limit in force alone.
    for n in 1..=20 {
        let answer = scene.ada_asks().await;
        answer.is(200);
        assert_eq!(answer.header("x-ratelimit-tier"), Some("api-member"));
        assert_eq!((number(&answer, "x-ratelimit-limit"), number(&answer, "x-ratelimit-remaining")), (20, 20 - n));
        let expected = (n, n.saturating_sub(5));
        assert_eq!(would_refuse(&scene.server, "api-member").await, expected.1);
        if n % 5 == 0 {
            assert_eq!(counts(&scene.seen("api-member").await), expected);
        }
    }
    // What the limit in force refuses is no matter of the shadow's.
    for _ in 0..3 {
        scene.ada_asks().await.is_problem(429, "rate-limited");
    }
    let told = scene.seen("api-member").await;
    assert_eq!((counts(&told), &told["would_refuse_subjects"], &told["not_counted"]), ((20, 15), &json!(1), &json!(0)));
    let (since, last) = (time(&told["since"]), time(&told["would_refuse_last_at"]));
    assert!(since <= time(&told["counted_since"]) && since < last, "{told}");
    assert_eq!(scene.seen("api-tenant").await, Value::Null, "which is not tried");

    // Another tenant has no part in it.
    for n in 1..=7 {
        let answer = other.get("/v1/me", Some(&elsewhere)).await;
        assert_eq!(number(answer.is(200), "x-ratelimit-remaining"), 20 - n);
    }
    assert_eq!(seen(&mut other, LIMITS, &elsewhere, "api-member").await, Value::Null);
    assert_eq!(would_refuse(&scene.server, "api-member").await, 15);

    // Where nothing is limited it is tried all the same, and nothing is told of it.
    set_limit(&scene.server, "acme", "api-member", "off");
    let answer = scene.ada_asks().await;
    assert_eq!((answer.is(200).header("x-ratelimit-limit"), answer.header("x-ratelimit-tier")), (None, None));
    assert_eq!(counts(&scene.seen("api-member").await), (21, 16));
    // The log of the server has no line about any of it.
    assert!(!scene.server.log().to_lowercase().contains("shadow"), "{}", scene.server.log());

    // Whoever ends it forgets it; begun anew it has counted nothing, and its buckets are full.
    assert_eq!(shadow(&scene.server, &["end-shadow", "acme"]), json!({ "slug": "acme", "shadow": false }));
    assert_eq!(scene.seen("api-member").await, Value::Null);
    scene.ada_asks().await.is(200);
    shadow(&scene.server, &["limit", "acme", "api-member", "5/h", "--shadow"]);
    assert_eq!(counts(&scene.seen("api-member").await), (0, 0));
    for _ in 0..6 {
        scene.ada_asks().await.is(200);
    }
    assert_eq!(counts(&scene.seen("api-member").await), (6, 1));
    assert_eq!(would_refuse(&scene.server, "api-member").await, 17);

    // The same numbers in force refuse what they were said to refuse.
    set_limit(&scene.server, "acme", "api-member", "5/h");
    let answers = [scene.ada_asks().await, scene.ada_asks().await];
    assert_eq!(
        counts(&scene.seen("api-member").await).1,
        1 + answers.iter().filter(|a| a.status == 200).count() as u64
    );
    for _ in 0..5 {
        scene.ada_asks().await;
    }
    scene.ada_asks().await.is_problem(429, "rate-limited");
}

async fn operators_set_a_shadow_and_an_admin_only_sees_it(engine: Engine) {
    let mut scene = Scene::on(Options::new(engine).limits_off()).await;
    let set = scene.post(&json!({ "tier": "api-tenant", "limit": "2/h" })).await.is(200).json();
    assert_eq!(set, json!({ "id": scene.acme.id, "slug": "acme", "tier": "api-tenant", "limit": "2/h" }));
    for _ in 0..2 {
        scene.ada_asks().await.is(200);
    }
    // The request that looks is the third, and counted before it is answered.
    let (access, path) = (scene.ada.1.access.clone(), format!("{}/shadow", scene.route()));
    let seen_by_ada = seen(&mut scene.ada.0, LIMITS, &access, "api-tenant").await;
    assert_eq!((counts(&seen_by_ada), &seen_by_ada["would_refuse_subjects"]), ((3, 1), &json!(1)));
    assert_eq!(scene.seen("api-tenant").await, seen_by_ada, "operators see the same");

    // Repeating goes on with what was counted, and leaves no row.
    scene.post(&json!({ "tier": "api-tenant", "limit": "2/h" })).await.is(200);
    assert_eq!(scene.seen("api-tenant").await, seen_by_ada);
    scene.post(&json!({ "tier": "export", "limit": "1000000/s" })).await.is(200);
    scene.post(&json!({ "tier": "export", "limit": "off" })).await.is(200);
    assert_eq!((scene.seen("export").await, counts(&scene.seen("api-tenant").await)), (Value::Null, (3, 1)));

    // An admin does not reach it: not there, not at the operators' host, not with the settings.
    scene
        .ada
        .0
        .post(&path, Some(&access), &json!({ "tier": "pin", "limit": "1/h" }))
        .await
        .is_problem(404, "not-found");
    scene.ada.0.call("DELETE", &path, Some(&access)).await.is_problem(404, "not-found");
    let body = json!({ "tier": "pin", "limit": "1/h" });
    scene.operator.0.post(&path, Some(&access), &body).await.is_problem(401, "unauthenticated");
    scene.operator.0.call("DELETE", &path, None).await.is_problem(401, "unauthenticated");
    let reached = scene.ada.0.patch("/v1/settings", &access, &json!({ "shadow_limits": {} })).await;
    reached.is_problem(400, "validation");
    scene.ada.0.patch("/v1/settings", &access, &json!({ "session_idle_s": 4_000 })).await.is(200);
    assert_eq!((scene.seen("pin").await, &scene.seen("api-tenant").await["limit"]), (Value::Null, &json!("2/h")));

    let faults = [("address", "1/h"), ("nothing", "1/h"), ("pin", "01/h"), ("pin", "0/h"), ("pin", "1/day")];
    for (tier, limit) in faults {
        scene.post(&json!({ "tier": tier, "limit": limit })).await.is_problem(400, "validation");
    }
    let operator = Some(scene.operator.1.access.clone());
    let nobodys = path.replace(&scene.acme.id, NOBODYS);
    scene.operator.0.post(&nobodys, operator.as_deref(), &body).await.is_problem(404, "not-found");
    for (slug, tier, exit) in [("acme", "address", 65), ("nobody", "pin", 65), ("acme", "nothing", 64)] {
        let refused = scene.server.cli(&["tenant", "limit", slug, tier, "1/h", "--shadow"], "");
        assert_eq!(refused.status.code(), Some(exit), "{slug} {tier}");
    }

    shadow(&scene.server, &["limit", "acme", "pin", "1/h", "--shadow"]);
    scene.operator.0.call("DELETE", &path, operator.as_deref()).await.is(204);
    scene.operator.0.call("DELETE", &path, operator.as_deref()).await.is(204);
    assert_eq!((scene.seen("pin").await, scene.seen("api-tenant").await), (Value::Null, Value::Null));
    let log = scene.ada.0.get("/v1/audit?action=settings.changed", Some(&access)).await.is(200).json();
    let rows = log["items"].as_array().unwrap().iter().rev();
    let of_shadow = rows.filter(|row| row["changes"][0]["field"] == "shadow_limits");
    let changes: Vec<_> = of_shadow.map(|row| (&row["changes"][0]["from"], &row["changes"][0]["to"])).collect();
    let (tenants, exports) = ("api-tenant 2/h", "api-tenant 2/h, export 1000000/s");
    let pins = "pin 1/h, api-tenant 2/h";
    let told = [("", tenants), (tenants, exports), (exports, tenants), (tenants, pins), (pins, "")];
    assert_eq!(changes, told.map(|(from, to)| (json!(from), json!(to))).each_ref().map(|(from, to)| (from, to)));
    assert!(scene.server.cli(&["audit", "verify", "acme"], "").status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_outlive_actors_and_idle_tenants_and_end_with_the_node() {
    let mut scene = Scene::on(Options::new(Engine::Sqlite).limits_off().env("FREEHOLD_TREE_PASSIVATE_S", "1")).await;
    shadow(&scene.server, &["limit", "acme", "api-member", "2/h", "--shadow"]);
    for _ in 0..3 {
        scene.ada_asks().await.is(200);
    }
    let told = scene.seen("api-member").await;
    assert_eq!(counts(&told), (3, 1));
    panic_of(&scene.server, "acme", "rate_limits").await;
    scene.ada_asks().await.is(200);
    assert_eq!(counts(&scene.seen("api-member").await), (4, 2));
    until("everybody is parked", async || (metric(&scene.server, "freehold_tenants_active").await == 0).then_some(()))
        .await;
    scene.ada_asks().await.is(200);
    let later = scene.seen("api-member").await;
    assert_eq!((counts(&later), &later["counted_since"]), ((5, 3), &told["counted_since"]));

    scene.server = scene.server.restarted();
    (scene.ada.0, scene.operator.0) =
        (Conn::to(&scene.server, &scene.acme).await, Conn::to(&scene.server, &scene.platform).await);
    scene.ada_asks().await.is(200);
    let anew = scene.seen("api-member").await;
    assert_eq!((counts(&anew), &anew["limit"], &anew["since"]), ((1, 0), &told["limit"], &told["since"]));
    assert!(time(&anew["counted_since"]) > time(&later["would_refuse_last_at"]), "{anew}");
}

/// With counters that the nodes share, too: what is tried is each node's own.
#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_is_in_force_on_every_node_and_each_tells_of_its_own_requests() {
    let redis = Redis::start(&[]);
    let options = Options::new(Engine::Postgres).limits_off().env("FREEHOLD_REDIS_URL", &redis.url());
    let mut scene = Scene::on(options).await;
    let two = scene.server.another();
    let (mut ada, mut operators) = (Conn::to(&two, &scene.acme).await, Conn::to(&two, &scene.platform).await);
    let (access, operator, route) = (scene.ada.1.access.clone(), scene.operator.1.access.clone(), scene.route());
    assert_eq!(ada.me(&access).await, 200);
    for server in [&scene.server, &two] {
        until("counters are shared", async || (metric(server, "freehold_counters_shared").await == 1).then_some(()))
            .await;
    }
    set_limit(&scene.server, "acme", "api-member", "100/h");
    shadow(&scene.server, &["limit", "acme", "api-member", "2/h", "--shadow"]);
    until("the other node has learnt of it", async || {
        let seen = seen(&mut operators, &route, &operator, "api-member").await;
        (seen != Value::Null).then_some(())
    })
    .await;
    let mut remaining = 100;
    for _ in 0..3 {
        for answer in [scene.ada_asks().await, ada.get("/v1/me", Some(&access)).await] {
            remaining -= 1;
            assert_eq!(number(answer.is(200), "x-ratelimit-remaining"), remaining, "one limit, in force on both");
        }
    }
    ada.get("/v1/me", Some(&access)).await.is(200);
    assert_eq!(counts(&scene.seen("api-member").await), (3, 1));
    assert_eq!(counts(&seen(&mut operators, &route, &operator, "api-member").await), (4, 2));

    // The keeper is asked about what is in force, and not about what is only tried.
    set_limit(&scene.server, "acme", "api-member", "off");
    scene.ada_asks().await.is(200);
    assert_eq!(counts(&scene.seen("api-member").await), (4, 2));
    shadow(&scene.server, &["end-shadow", "acme"]);
    until("the other node has learnt of its end", async || {
        let seen = seen(&mut operators, &route, &operator, "api-member").await;
        (seen == Value::Null).then_some(())
    })
    .await;
}
