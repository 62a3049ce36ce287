//! Where a tenant is paid out: an account that is made once, told of by webhooks, read at Stripe and closed there.

use serde_json::{Value, json};

use super::fake::Mode;
use super::{CONNECT, Scene, now_s};
use crate::support::{Conn, Engine, on_both_engines};
use crate::watch::until;

const ACCOUNT: &str = "/v1/payouts/account";
const ONBOARDING: &str = "/v1/payouts/account/onboarding";
const DASHBOARD: &str = "/v1/payouts/account/dashboard";
const PAYOUTS: &str = "/v1/payouts";

on_both_engines! {
    a_tenant_is_onboarded_paid_out_and_closed
    an_account_is_told_of_by_itself_alone
}

async fn a_tenant_is_onboarded_paid_out_and_closed(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    for (method, path) in [("GET", ACCOUNT), ("GET", PAYOUTS), ("POST", DASHBOARD), ("DELETE", ACCOUNT)] {
        scene.conn.call(method, path, Some(&scene.ada.access)).await.is_problem(404, "not-found");
    }
    let url = scene.post(ONBOARDING).await.is(200).json()["url"].as_str().unwrap().to_owned();
    assert!(url.ends_with("/onboard/acct_1"), "{url}");
    let unknown = json!({ "id": "acct_1", "charges_enabled": null, "payouts_enabled": null, "details_submitted": null,
        "as_of": null });
    assert_eq!(scene.get(ACCOUNT).await.is(200).json(), unknown);
    scene.post(DASHBOARD).await.is_problem(409, "conflict");
    scene.post(ONBOARDING).await.is(200);
    let made = scene.fake.calls_of("POST", "/v1/accounts");
    assert_eq!(made.len(), 1, "the account is the same");
    assert_eq!(made[0].form["metadata[freehold_tenant]"], scene.acme.id);

    let at = now_s();
    let account = scene.fake.onboard("acct_1");
    scene.tell_of((CONNECT, Some("acct_1")), "account.updated", at, &account).await;
    let told = async || {
        let account = scene.get(ACCOUNT).await.is(200).json();
        (account["payouts_enabled"] == true && account["as_of"].is_string()).then_some(())
    };
    until("the account is told of", told).await;
    assert!(scene.post(DASHBOARD).await.is(200).json()["url"].as_str().unwrap().ends_with("/express/acct_1"));

    assert_eq!(scene.get(PAYOUTS).await.is(200).json(), json!({ "items": [], "next_cursor": null }));
    scene.fake.pays_out(&[1_099, -500, 7]);
    let mut path = format!("{PAYOUTS}?limit=2");
    let mut amounts = vec![];
    loop {
        let part = scene.get(&path).await.is(200).json();
        amounts.extend(part["items"].as_array().unwrap().iter().map(|payout| payout["amount"].clone()));
        assert!(part["items"][0].get("destination").is_none(), "{part}");
        let Some(cursor) = part["next_cursor"].as_str() else { break };
        path = format!("{PAYOUTS}?limit=2&cursor={cursor}");
    }
    assert_eq!(amounts, [json!(1_099), json!(-500), json!(7)]);
    let first = scene.get(&format!("{PAYOUTS}?limit=1")).await.is(200).json()["items"][0].clone();
    let wanted = json!({ "id": "po_0", "amount": 1_099, "currency": "eur", "status": "paid",
        "created_at": "2026-09-21T14:13:20Z", "arrives_at": "2026-09-22T14:13:20Z" });
    assert_eq!(first, wanted);
    scene.get(&format!("{PAYOUTS}?cursor=acct_1")).await.is_problem(400, "validation");
    assert!(scene.fake.calls_of("GET", PAYOUTS).iter().all(|call| call.account == "acct_1"));

    scene.fake.is_rich(true);
    scene.conn.call("DELETE", ACCOUNT, Some(&scene.ada.access)).await.is_problem(409, "payout-account-stays");
    scene.get(ACCOUNT).await.is(200);
    scene.fake.is_rich(false);
    scene.fake.mode(Mode::Refuses);
    scene.conn.call("DELETE", ACCOUNT, Some(&scene.ada.access)).await.is_problem(503, "unavailable");
    scene.post(DASHBOARD).await.is_problem(503, "unavailable");
    scene.fake.mode(Mode::Good);
    scene.conn.call("DELETE", ACCOUNT, Some(&scene.ada.access)).await.is(204);
    scene.get(ACCOUNT).await.is_problem(404, "not-found");
    scene.conn.call("DELETE", ACCOUNT, Some(&scene.ada.access)).await.is_problem(404, "not-found");
    // Another one is another one, of which nothing is known.
    scene.post(ONBOARDING).await.is(200);
    let another = scene.get(ACCOUNT).await.is(200).json();
    assert_eq!((&another["id"], &another["payouts_enabled"]), (&json!("acct_2"), &Value::Null));

    let logged = scene.logged().await;
    let wanted =
        ["made", "onboarding_opened", "onboarding_opened", "dashboard_opened", "closed", "made", "onboarding_opened"];
    assert_eq!(logged, wanted.map(|action| format!("payout_account.{action}")));
    // Somebody who signed in long ago opens and closes nothing.
    scene.server.clock_ahead(301).await;
    for (method, path) in [("POST", ONBOARDING), ("POST", DASHBOARD), ("DELETE", ACCOUNT), ("POST", super::PORTAL)] {
        scene.conn.call(method, path, Some(&scene.ada.access)).await.is_problem(403, "forbidden");
    }
}

async fn an_account_is_told_of_by_itself_alone(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    let globex = scene.server.tenant("globex");
    let mut elsewhere = Conn::to(&scene.server, &globex).await;
    let greta = elsewhere.sign_in(&globex).await;
    scene.post(ONBOARDING).await.is(200);
    elsewhere.call("POST", ONBOARDING, Some(&greta.access)).await.is(200);
    let (mine, theirs) = (scene.fake.onboard("acct_1"), scene.fake.onboard("acct_2"));
    // One that names another tenant, one of another's account, and one that the tenant does not have.
    let at = now_s();
    let forged = super::with(&theirs, "metadata", mine["metadata"].clone());
    scene.tell_of((CONNECT, Some("acct_2")), "account.updated", at, &forged).await;
    scene.tell_of((CONNECT, Some("acct_2")), "account.updated", at, &mine).await;
    let strange = super::with(&mine, "id", json!("acct_9"));
    scene.tell_of((CONNECT, Some("acct_9")), "account.updated", at, &strange).await;
    scene.all_done().await;
    assert_eq!(scene.get(ACCOUNT).await.is(200).json()["payouts_enabled"], Value::Null);
    assert_eq!(elsewhere.get(ACCOUNT, Some(&greta.access)).await.is(200).json()["payouts_enabled"], Value::Null);
    scene.tell_of((CONNECT, Some("acct_2")), "account.updated", at, &theirs).await;
    scene.all_done().await;
    assert_eq!(elsewhere.get(ACCOUNT, Some(&greta.access)).await.is(200).json()["payouts_enabled"], true);
    assert_eq!(scene.get(ACCOUNT).await.is(200).json()["payouts_enabled"], Value::Null);
}
