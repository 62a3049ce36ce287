//! What was kept has its effect, exactly once, in whatever order it came; what fails is tried again, parked, and replayed.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::signed::{CONNECT, SHOPIFY, STRIPE, shopify, stripe, stripe_event, stripe_event_of};
use super::{EVENTS, Scene, taken};
use crate::support::{Conn, Engine, Options, on_both_engines};
use crate::tenants_apart::stolen;
use crate::watch::{metric, until};

pub(super) const SUBSCRIPTIONS: &str = "/v1/billing/subscriptions";
const ACCOUNTS: &str = "/v1/billing/accounts";
const CREATED: &str = "customer.subscription.created";
const UPDATED: &str = "customer.subscription.updated";
const DELETED: &str = "customer.subscription.deleted";
/// How often an effect is tried, and the pauses between.
const TRIES: i64 = 8;
const PAUSES_S: [u64; 7] = [5, 10, 20, 40, 80, 160, 320];

on_both_engines! {
    an_event_has_its_effect_once_whoever_dies_between
    what_is_older_changes_nothing_and_what_has_ended_stays_so
    accounts_stand_apart_and_nothing_else_of_a_body_is_stored
    what_fails_is_tried_again_parked_told_and_replayed
    what_cannot_be_read_is_parked_at_once_with_its_word
    a_tenant_that_is_not_served_waits_and_loses_nothing
    what_was_kept_before_anything_acted_on_it_is_acted_on_after_the_start
}

/// Now, in seconds.
pub(crate) fn now_s() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// A subscription in this state.
pub(super) fn subscription(id: &str, status: &str) -> Value {
    json!({ "id": id, "object": "subscription", "customer": "cus_1", "status": status, "cancel_at_period_end": false,
        "description": "canary04242424242424242", "items": { "data": [
            { "price": { "id": "price_1", "nickname": "canary0gold" }, "current_period_end": 1_792_592_000 } ] } })
}

impl Scene {
    /// Posts an event of the tenant's own account, and asserts that it is taken.
    async fn tell(&mut self, id: &str, kind: &str, created_s: i64, object: &Value) {
        let signed = stripe(STRIPE, &stripe_event_of(id, kind, (None, created_s), object));
        taken(&self.post(&signed).await);
    }

    /// The event with this id of the provider's.
    async fn event(&mut self, id: &str) -> Value {
        self.events().await.into_iter().find(|event| event["event_id"] == id).unwrap()
    }

    /// Waits until the event stands so.
    async fn stands(&mut self, id: &str, state: &str, tries: i64) -> Value {
        let what = format!("{id} is {state} after {tries} tries");
        let stands = async || Some(self.event(id).await).filter(|it| it["state"] == state && it["tries"] == tries);
        until(&what, stands).await.0
    }

    /// Waits until every event had its effect.
    pub(super) async fn all_done(&mut self) {
        let path = format!("{EVENTS}?state=waiting&limit=1");
        let done = async || (self.get(&path).await["items"] == json!([])).then_some(());
        until("nothing waits", done).await;
    }

    pub(super) async fn subscriptions(&mut self) -> Vec<Value> {
        self.get(SUBSCRIPTIONS).await["items"].as_array().unwrap().clone()
    }

    async fn fail(&self, id: &str, times: u32) {
        self.server.fault(json!({ "fault": "fail", "point": "inbox.effect", "of": id, "times": times })).await;
    }

    async fn replay(&mut self, event: &Value) -> crate::support::Answer {
        let path = format!("{EVENTS}/{}/replay", event["id"].as_str().unwrap());
        self.conn.call("POST", &path, Some(&self.ada.access)).await
    }
}

async fn an_event_has_its_effect_once_whoever_dies_between(engine: Engine) {
    let mut scene = Scene::on(Options::new(engine).limits_off()).await;
    let points = ["inbox.begun", "inbox.written", "inbox.committed"];
    for (n, point) in (1..).zip(points) {
        scene.server.abort_at(point).await;
        scene.tell(&format!("evt_{n}"), UPDATED, 1_790_000_000 + n, &subscription("sub_1", "active")).await;
        assert_eq!(scene.server.ended(), None, "{point}");
        scene.server = scene.server.restarted();
        scene.conn = Conn::to(&scene.server, &scene.acme).await;
        scene.all_done().await;
        let [sub] = &scene.subscriptions().await[..] else { panic!("{point}") };
        assert_eq!((sub["events"].as_i64(), &sub["event_id"]), (Some(n), &json!(format!("evt_{n}"))), "{point}");
    }
}

async fn what_is_older_changes_nothing_and_what_has_ended_stays_so(engine: Engine) {
    let mut scene = Scene::on(Options::new(engine).limits_off()).await;
    let at = now_s();
    let mut before = Value::Null;
    let steps = [
        ("evt_1", UPDATED, at, "past_due", "past_due", "evt_1"),
        ("evt_2", UPDATED, at - 3_600, "active", "past_due", "evt_1"), // an hour late
        ("evt_3", CREATED, at, "incomplete", "past_due", "evt_1"),     // of the same second, and before by its nature
        ("evt_4", UPDATED, at + 1, "active", "active", "evt_4"),
        ("evt_5", DELETED, at + 2, "canceled", "canceled", "evt_5"),
        ("evt_6", UPDATED, at + 3, "active", "canceled", "evt_5"), // it never comes back
        ("evt_7", CREATED, at - 7_200, "trialing", "canceled", "evt_5"),
    ];
    for (n, (id, kind, created_s, said, status, newest)) in (1..).zip(steps) {
        for _ in 0..2 {
            scene.tell(id, kind, created_s, &subscription("sub_1", said)).await;
        }
        scene.stands(id, "done", 0).await;
        let [sub] = &scene.subscriptions().await[..] else { panic!("{id}") };
        assert_eq!(
            (&sub["status"], &sub["event_id"], sub["events"].as_i64()),
            (&json!(status), &json!(newest), Some(n)),
            "{id}"
        );
        if newest == id {
            before = sub.clone();
        }
        assert_eq!(sub["updated_at"], before["updated_at"], "{id}");
    }
    let [sub] = &scene.subscriptions().await[..] else { panic!() };
    assert_eq!((&sub["account"], &sub["id"], &sub["customer"]), (&Value::Null, &json!("sub_1"), &json!("cus_1")));
    assert_eq!((&sub["price"], &sub["current_period_end"]), (&json!("price_1"), &json!("2026-10-21T14:13:20Z")));
    assert_eq!(sub["cancel_at_period_end"], false);
}

async fn accounts_stand_apart_and_nothing_else_of_a_body_is_stored(engine: Engine) {
    let mut scene = Scene::on(Options::new(engine).limits_off()).await;
    let at = now_s();
    scene.tell("evt_1", DELETED, at, &subscription("sub_1", "canceled")).await;
    // The same id at a connected account is somebody else's.
    for account in ["acct_1", "acct_2"] {
        let id = format!("evt_{account}");
        let body = stripe_event_of(&id, UPDATED, (Some(account), at), &subscription("sub_1", "trialing"));
        taken(&scene.post(&stripe(CONNECT, &body)).await);
        let object = json!({ "id": account, "charges_enabled": account == "acct_1", "payouts_enabled": false,
            "details_submitted": true, "email": "canary0@example.com" });
        let body = stripe_event_of(&format!("{id}_a"), "account.updated", (Some(account), at), &object);
        taken(&scene.post(&stripe(CONNECT, &body)).await);
    }
    scene.all_done().await;
    let (mut told, mut path) = (vec![], format!("{SUBSCRIPTIONS}?limit=1"));
    loop {
        let part = scene.get(&path).await;
        let [sub] = &part["items"].as_array().unwrap()[..] else { panic!("{part}") };
        told.push((sub["account"].clone(), sub["status"].clone()));
        let Some(cursor) = part["next_cursor"].as_str() else { break };
        path = format!("{SUBSCRIPTIONS}?limit=1&cursor={cursor}");
    }
    let wanted = [(Value::Null, "canceled"), (json!("acct_1"), "trialing"), (json!("acct_2"), "trialing")];
    assert_eq!(told, wanted.map(|(account, status)| (account, json!(status))));
    let accounts = scene.get(ACCOUNTS).await["items"].clone();
    let told = |n: usize| (accounts[n]["id"].as_str().unwrap(), accounts[n]["charges_enabled"].as_bool().unwrap());
    assert_eq!((told(0), told(1), accounts.as_array().unwrap().len()), (("acct_1", true), ("acct_2", false), 2));
    for path in [SUBSCRIPTIONS, ACCOUNTS] {
        for cursor in ["sub_1", ".", "acct_1.", "x.sub_1", ".acct_1.sub_1"] {
            let answer = scene.conn.get(&format!("{path}?cursor={cursor}"), Some(&scene.ada.access)).await;
            answer.is_problem(400, "validation");
        }
    }

    // Nothing else of a body is stored, and another tenant sees none of it.
    for (place, bytes) in stolen(&scene.server, engine).await {
        for needle in ["canary0", "4242424242424242"] {
            assert!(!bytes.windows(needle.len()).any(|window| window == needle.as_bytes()), "{place}: {needle}");
        }
    }
    let globex = scene.server.tenant("globex");
    let mut elsewhere = Conn::to(&scene.server, &globex).await;
    let greta = elsewhere.sign_in(&globex).await;
    for path in [SUBSCRIPTIONS, ACCOUNTS] {
        assert_eq!(elsewhere.get(path, Some(&greta.access)).await.is(200).json()["items"], json!([]));
    }
    let theirs = format!("{EVENTS}/{}/replay", scene.event("evt_1").await["id"].as_str().unwrap());
    elsewhere.call("POST", &theirs, Some(&greta.access)).await.is_problem(404, "not-found");
}

async fn what_fails_is_tried_again_parked_told_and_replayed(engine: Engine) {
    let mut scene = Scene::on(Options::new(engine).limits_off()).await;
    scene.fail("evt_bad", u32::MAX).await;
    scene.tell("evt_bad", UPDATED, 1_790_000_000, &subscription("sub_bad", "active")).await;
    scene.tell("evt_good", UPDATED, 1_790_000_000, &subscription("sub_good", "active")).await;
    // It holds up no other.
    scene.stands("evt_good", "done", 0).await;
    for (tries, pause_s) in (1..).zip(PAUSES_S) {
        let event = scene.stands("evt_bad", "waiting", tries).await;
        assert_eq!((&event["fault"], event["next_try_at"].is_string()), (&json!("injected"), true), "{event}");
        scene.server.clock_ahead(pause_s + 1).await;
    }
    let parked = scene.stands("evt_bad", "parked", TRIES).await;
    assert_eq!((&parked["fault"], &parked["next_try_at"]), (&json!("injected"), &Value::Null));
    let told = scene.get(&format!("{EVENTS}?state=parked")).await;
    assert_eq!((told["items"].as_array().unwrap().len(), &told["items"][0]), (1, &parked));
    assert_eq!(metric(&scene.server, "freehold_webhook_inbox_total{outcome=\"parked\"}").await, 1);
    assert_eq!(metric(&scene.server, "freehold_webhook_inbox_total{outcome=\"retried\"}").await, 7);
    assert!(scene.server.log().contains("a webhook was parked"), "{}", scene.server.log());
    let waits = async || metric(&scene.server, "freehold_webhook_inbox_tenants_waiting").await == 0;
    until("nobody waits", async || waits().await.then_some(())).await;
    assert_eq!(scene.subscriptions().await.len(), 1, "it had no effect");

    // The button: as if it were new. A second time there is nothing to do.
    scene.fail("evt_bad", 0).await;
    let again = scene.replay(&parked).await.is(200).json();
    assert_eq!((&again["state"], &again["tries"], &again["fault"]), (&json!("waiting"), &json!(0), &Value::Null));
    let done = scene.stands("evt_bad", "done", 0).await;
    let bad = async |scene: &mut Scene| {
        let subs = scene.subscriptions().await;
        subs.into_iter().find(|sub| sub["id"] == "sub_bad").map(|sub| sub["events"].as_i64().unwrap())
    };
    assert_eq!(bad(&mut scene).await, Some(1));
    scene.replay(&done).await.is_problem(409, "conflict");
    scene.all_done().await;
    assert_eq!(bad(&mut scene).await, Some(1), "once");
    let log = crate::audit::log(&mut scene.conn, &scene.ada.access).await;
    let rows: Vec<_> = log.iter().filter(|row| row["action"] == "webhook_event.replayed").collect();
    assert_eq!((rows.len(), &rows[0]["subject"]), (1, &parked["id"]));

    // What waits for its next try need not.
    scene.fail("evt_late", 1).await;
    scene.tell("evt_late", UPDATED, 1_790_000_000, &subscription("sub_late", "active")).await;
    let late = scene.stands("evt_late", "waiting", 1).await;
    scene.replay(&late).await.is(200);
    scene.stands("evt_late", "done", 0).await;

    let nobodys = json!({ "id": "019a0000-0000-7000-8000-000000000000" });
    scene.replay(&nobodys).await.is_problem(404, "not-found");
    let answer = scene.conn.get(&format!("{EVENTS}?state=failed"), Some(&scene.ada.access)).await;
    answer.is_problem(400, "validation");
}

async fn what_cannot_be_read_is_parked_at_once_with_its_word(engine: Engine) {
    let mut scene = Scene::on(Options::new(engine).limits_off()).await;
    let cases = [
        ("evt_1", subscription("in_1", "active"), "subscription-id"),
        ("evt_2", subscription("sub_1", "enchanted"), "status"),
        ("evt_3", json!({ "id": "sub_1", "status": "active" }), "customer-id"),
        ("evt_4", json!(["sub_1"]), "body"),
    ];
    for (id, object, word) in cases {
        scene.tell(id, UPDATED, 1_790_000_000, &object).await;
        assert_eq!(scene.stands(id, "parked", 1).await["fault"], word);
    }
    let no_time = json!({ "id": "evt_5", "type": UPDATED, "data": { "object": subscription("sub_1", "active") } });
    taken(&scene.post(&stripe(STRIPE, no_time.to_string().as_bytes())).await);
    assert_eq!(scene.stands("evt_5", "parked", 1).await["fault"], "no-time");
    let body = stripe_event_of("evt_6", UPDATED, (Some("4242"), 1_790_000_000), &subscription("sub_1", "active"));
    taken(&scene.post(&stripe(CONNECT, &body)).await);
    assert_eq!(scene.stands("evt_6", "parked", 1).await["fault"], "account-id");
    // Read again it is the same again.
    let event = scene.event("evt_6").await;
    scene.replay(&event).await.is(200);
    scene.stands("evt_6", "parked", 1).await;
    assert_eq!(scene.subscriptions().await, Vec::<Value>::new());

    // What has no effect is done with being kept.
    scene.server.abort_at("inbox.begun").await;
    scene.tell("evt_paid", "invoice.paid", 1_790_000_000, &json!({ "id": "in_1" })).await;
    taken(&scene.post(&shopify(SHOPIFY, "one", b"{}")).await);
    for id in ["evt_paid", "one"] {
        let event = scene.event(id).await;
        assert_eq!(
            (&event["state"], &event["tries"], &event["next_try_at"]),
            (&json!("done"), &json!(0), &Value::Null)
        );
    }
}

async fn a_tenant_that_is_not_served_waits_and_loses_nothing(engine: Engine) {
    let mut scene = Scene::on(Options::new(engine).limits_off()).await;
    let globex = scene.server.tenant("globex");
    let mut elsewhere = Conn::to(&scene.server, &globex).await;
    let greta = elsewhere.sign_in(&globex).await;
    super::set_secret(&mut elsewhere, &greta, "stripe", STRIPE).await;
    for (n, verb) in (1..).zip(["suspend", "freeze"]) {
        let (ours, theirs) = (format!("evt_{verb}"), format!("evt_{verb}_elsewhere"));
        scene.fail(&ours, 1).await;
        scene.fail(&theirs, 1).await;
        let signed = stripe(STRIPE, &stripe_event(&theirs));
        taken(&super::post(&mut elsewhere, &signed).await.unwrap());
        scene.tell(&ours, UPDATED, 1_790_000_000, &subscription("sub_1", "active")).await;
        scene.stands(&ours, "waiting", 1).await;
        assert!(scene.server.cli(&["tenant", verb, "acme"], "").status.success());
        scene.server.clock_ahead(6).await;
        // The other tenant's is due with ours, and done.
        let done = async || {
            let subs = elsewhere.get(SUBSCRIPTIONS, Some(&greta.access)).await.is(200).json();
            (subs["items"][0]["events"] == n).then_some(())
        };
        until("the other tenant's is done", done).await;
        assert!(scene.server.cli(&["tenant", "resume", "acme"], "").status.success());
        let event = scene.event(&ours).await;
        assert_eq!((&event["state"], &event["tries"]), (&json!("waiting"), &json!(1)), "{verb}");
        scene.server.clock_ahead(61).await;
        scene.stands(&ours, "done", 1).await;
        assert_eq!(scene.subscriptions().await[0]["events"].as_i64(), Some(n), "{verb}");
    }
}

async fn what_was_kept_before_anything_acted_on_it_is_acted_on_after_the_start(engine: Engine) {
    let mut scene = Scene::on(Options::new(engine).limits_off()).await;
    scene.tell("evt_paid", "invoice.paid", 1_790_000_000, &json!({ "id": "in_1" })).await;
    for n in 0..40 {
        scene.tell(&format!("evt_{n}"), UPDATED, 1_790_000_000 + n, &subscription("sub_1", "active")).await;
    }
    scene.all_done().await;
    scene.server.kill();
    // As the migration leaves what there was.
    let before = "UPDATE webhook_event SET state = DEFAULT, tries = DEFAULT, next_try_at_ms = DEFAULT; DELETE FROM stripe_subscription";
    let before = if engine == Engine::Sqlite {
        before.replace(
            "state = DEFAULT, tries = DEFAULT, next_try_at_ms = DEFAULT",
            "state = 'waiting', next_try_at_ms = 0",
        )
    } else {
        before.to_owned()
    };
    scene.server.run_sql(&scene.acme, &before).await;
    scene.server = scene.server.restarted();
    scene.conn = Conn::to(&scene.server, &scene.acme).await;
    scene.all_done().await;
    let [sub] = &scene.subscriptions().await[..] else { panic!() };
    assert_eq!((sub["events"].as_i64(), &sub["event_id"]), (Some(40), &json!("evt_39")));
}
