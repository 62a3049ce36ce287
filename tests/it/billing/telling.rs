//! Who can tell of a plan: the platform's own account at Stripe, and nobody else.

use serde_json::{Value, json};

use super::{CONNECT, CREATED, OWN, PLAN, Scene, UPDATED, now_s};
use crate::support::{Conn, Engine, on_both_engines};
use crate::watch::until;
use crate::webhook_in::signed::{stripe, stripe_event_of};
use crate::webhook_in::{post, set_secret};

on_both_engines! {
    nobody_but_the_platforms_own_account_tells_of_a_plan
    a_plan_is_told_once_whoever_dies_between
    a_tenant_that_is_not_served_is_told_when_it_is
}

fn subscription(tenant: &str, id: &str) -> Value {
    json!({ "id": id, "object": "subscription", "customer": "cus_1", "status": "active",
        "metadata": { "freehold_tenant": tenant },
        "items": { "data": [{ "price": { "id": "price_business" }, "current_period_start": now_s() }] } })
}

async fn nobody_but_the_platforms_own_account_tells_of_a_plan(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    let globex = scene.server.tenant("globex");
    let mut elsewhere = Conn::to(&scene.server, &globex).await;
    let greta = elsewhere.sign_in(&globex).await;
    let forged = subscription(&scene.acme.id, "sub_1");
    // A tenant signs what it likes to itself, and for others.
    set_secret(&mut scene.conn, &scene.ada, "stripe", "whsec_acme0own0secret00").await;
    set_secret(&mut scene.conn, &scene.ada, "stripe-connect", "whsec_acme0connect0secret").await;
    set_secret(&mut elsewhere, &greta, "stripe", "whsec_globex0own0secret0").await;
    for (secret, of) in [
        ("whsec_acme0own0secret00", None),
        ("whsec_acme0connect0secret", Some("acct_1")),
        ("whsec_globex0own0secret0", None),
    ] {
        let conn = if secret == "whsec_globex0own0secret0" { &mut elsewhere } else { &mut scene.conn };
        let signed = stripe(secret, &stripe_event_of(&format!("evt_{secret}"), CREATED, (of, now_s()), &forged));
        assert_eq!(post(conn, &signed).await.unwrap().status, 200);
    }
    // So does whoever has an account that is connected to the platform.
    scene.tell_of((CONNECT, Some("acct_1")), CREATED, now_s(), &forged).await;
    // And nobody says with one secret what the other is for.
    let wrong = scene.tell_of((CONNECT, None), CREATED, now_s(), &forged).await;
    let other = scene.tell_of((OWN, Some("acct_1")), CREATED, now_s(), &forged).await;
    scene.all_done().await;
    let (conn, session) = &mut scene.operator;
    let parked = conn.get("/v1/webhooks/events?state=parked", Some(&session.access)).await.is(200).json();
    let parked = parked["items"].as_array().unwrap().iter();
    let mut told: Vec<_> = parked.map(|event| (event["event_id"].clone(), event["fault"].clone())).collect();
    told.sort_by_key(|(id, _)| id.as_str().unwrap().to_owned());
    let mut wanted = [wrong, other].map(|id| (json!(id), json!("wrong-secret")));
    wanted.sort_by_key(|(id, _)| id.as_str().unwrap().to_owned());
    assert_eq!(told, wanted);
    // Somebody else's, nobody's, and one of a tenant that there is not.
    scene.tell(CREATED, now_s(), &subscription(&globex.id, "sub_2")).await;
    for (n, of) in
        ["acme", "", "01890000-0000-7000-8000-000000000000", &scene.platform.id.clone()].into_iter().enumerate()
    {
        scene.tell(CREATED, now_s(), &subscription(of, &format!("sub_{}", n + 3))).await;
    }
    let on =
        async || (elsewhere.get(PLAN, Some(&greta.access)).await.is(200).json()["plan"] == "business").then_some(());
    until("globex has what it bought", on).await;
    let acme = scene.plan().await;
    assert_eq!((&acme["plan"], &acme["subscriptions"]), (&json!("free"), &json!([])));
    // What names a tenant that there is not is left for somebody to look at.
    let (conn, session) = &mut scene.operator;
    let left = async || {
        let waiting = conn.get("/v1/webhooks/events?state=waiting", Some(&session.access)).await.is(200).json();
        let [event] = &waiting["items"].as_array().unwrap()[..] else { return None };
        (event["fault"] == "tenant" && event["tries"].as_i64() >= Some(1)).then_some(())
    };
    until("one is tried again", left).await;
    // What the platform sells is nothing that the tenant sells.
    let sold = elsewhere.get("/v1/billing/subscriptions", Some(&greta.access)).await.is(200).json();
    let [sold] = &sold["items"].as_array().unwrap()[..] else { panic!("{sold}") };
    assert_eq!(sold["id"], "sub_1", "what it told itself");
    let sold = scene.get("/v1/billing/subscriptions").await.is(200).json();
    assert_eq!(sold["items"].as_array().unwrap().len(), 2, "its own and its account's: {sold}");
}

async fn a_plan_is_told_once_whoever_dies_between(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    let points = ["inbox.begun", "inbox.passed_on", "inbox.written", "inbox.committed"];
    for (n, point) in points.into_iter().enumerate() {
        let (status, plan) = if n % 2 == 0 { ("active", "business") } else { ("unpaid", "free") };
        let object = super::with(&subscription(&scene.acme.id, "sub_1"), "status", json!(status));
        scene.server.abort_at(point).await;
        scene.tell(UPDATED, now_s() + i64::try_from(n).unwrap(), &object).await;
        assert_eq!(scene.server.ended(), None, "{point}");
        scene.server = scene.server.restarted();
        scene.reconnect().await;
        scene.is_on(plan).await;
        scene.all_done().await;
        let changes = scene.logged().await.iter().filter(|action| *action == "plan.changed").count();
        assert_eq!(changes, n + 1, "{point}");
    }
}

async fn a_tenant_that_is_not_served_is_told_when_it_is(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    let globex = scene.server.tenant("globex");
    let verb = |verb: &str| format!("/v1/tenants/{}/{verb}", scene.acme.id);
    let (hold, resume, suspend) = (verb("hold"), verb("resume"), verb("suspend"));
    let (conn, session) = &mut scene.operator;
    conn.post(&hold, Some(&session.access), &json!({})).await.is(200);
    let id = scene.tell(CREATED, now_s(), &subscription(&scene.acme.id, "sub_1")).await;
    // It holds up no other.
    scene.tell(CREATED, now_s(), &subscription(&globex.id, "sub_2")).await;
    let mut elsewhere = Conn::to(&scene.server, &globex).await;
    let greta = elsewhere.sign_in(&globex).await;
    let on =
        async || (elsewhere.get(PLAN, Some(&greta.access)).await.is(200).json()["plan"] == "business").then_some(());
    until("globex has what it bought", on).await;
    let (conn, session) = &mut scene.operator;
    let waits = async || {
        let waiting = conn.get("/v1/webhooks/events?state=waiting", Some(&session.access)).await.is(200).json();
        let event = waiting["items"].as_array().unwrap().iter().find(|event| event["event_id"] == id.as_str())?.clone();
        (event["tries"] == 1).then_some(event)
    };
    let event = until("it is tried again", waits).await.0;
    assert_eq!(event["fault"], "tenant");
    conn.post(&resume, Some(&session.access), &json!({})).await.is(200);
    scene.server.clock_ahead(6).await;
    scene.is_on("business").await;

    // One that is suspended is told at once, for it pays, perhaps, to be resumed.
    let (conn, session) = &mut scene.operator;
    conn.post(&suspend, Some(&session.access), &json!({})).await.is(200);
    let unpaid = super::with(&subscription(&scene.acme.id, "sub_1"), "status", json!("unpaid"));
    scene.tell(UPDATED, now_s() + 1, &unpaid).await;
    scene.all_done().await;
    let (conn, session) = &mut scene.operator;
    conn.post(&resume, Some(&session.access), &json!({})).await.is(200);
    assert_eq!(scene.plan().await["plan"], "free");
}
