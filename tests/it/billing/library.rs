//! What we ask of Stripe is what its official library asks: the same methods, paths, forms and version.

use std::process::Command;

use serde_json::{Value, json};

use super::Scene;
use super::fake::{Call, KEY};
use crate::support::Engine;

/// The calls of the library, as it is told to make them.
fn same_calls(scene: &Scene, ours: &[Call]) -> Value {
    let of = |path: &str| &ours.iter().find(|call| call.target == path).expect(path).form;
    let (page, link) = (of("/v1/checkout/sessions"), of("/v1/account_links"));
    let (tenant, back) = (&scene.acme.id, &page["success_url"]);
    assert_eq!(&link["return_url"], back);
    json!([
        ["customers.create", { "metadata": { "freehold_tenant": tenant } }],
        ["checkout.sessions.list", { "customer": "cus_1", "status": "open", "limit": 10 }],
        ["checkout.sessions.create", { "mode": "subscription", "customer": "cus_1", "client_reference_id": tenant,
            "line_items": [{ "price": "price_pro", "quantity": 1 }],
            "subscription_data": { "metadata": { "freehold_tenant": tenant } },
            "success_url": back, "cancel_url": back, "expires_at": page["expires_at"].parse::<u64>().unwrap() }],
        ["checkout.sessions.list", { "customer": "cus_1", "status": "open", "limit": 10 }],
        ["checkout.sessions.expire", "cs_test_2"],
        ["billingPortal.sessions.create", { "customer": "cus_1", "return_url": back }],
        ["accounts.create", { "controller": { "stripe_dashboard": { "type": "express" },
            "fees": { "payer": "application" }, "losses": { "payments": "application" },
            "requirement_collection": "stripe" },
            "capabilities": { "card_payments": { "requested": true }, "transfers": { "requested": true } },
            "metadata": { "freehold_tenant": tenant } }],
        ["accountLinks.create", { "account": link["account"], "type": "account_onboarding", "refresh_url": back,
            "return_url": back }],
        ["accounts.createLoginLink", link["account"]],
        ["payouts.list", { "limit": 2, "starting_after": "po_0" }, { "stripeAccount": link["account"] }],
        ["accounts.del", link["account"]],
        ["prices.retrieve", "price_pro"],
        ["prices.retrieve", "price_business"],
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_ask_is_what_the_library_asks() {
    let mut scene = Scene::start(Engine::Sqlite).await;
    scene.checkout("pro").await.is(200);
    scene.checkout("pro").await.is(200);
    scene.post(super::PORTAL).await.is(200);
    scene.post("/v1/payouts/account/onboarding").await.is(200);
    let account = scene.fake.calls_of("POST", "/v1/account_links")[0].form["account"].clone();
    scene.fake.onboard(&account);
    scene.post("/v1/payouts/account/dashboard").await.is(200);
    scene.fake.pays_out(&[1, 2]);
    scene.get("/v1/payouts?limit=2&cursor=po_0").await.is(200);
    scene.conn.call("DELETE", "/v1/payouts/account", Some(&scene.ada.access)).await.is(204);
    let server = &scene.server;
    tokio::task::block_in_place(|| server.doctor(&[]));
    let mut ours = scene.fake.calls();
    let again = ours.iter().rposition(|call| call.target == "/v1/checkout/sessions").unwrap();
    ours.remove(again); // the second page: its time is another
    assert!(ours.iter().all(|call| (call.method == "POST") != call.once.is_empty()), "{ours:?}");

    let asked = same_calls(&scene, &ours).to_string();
    let (port, folder) = (scene.fake.port().to_string(), std::env::var("FREEHOLD_TEST_WEBHOOK_SDKS").unwrap());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/billing/stripe.mjs");
    let run = move || Command::new("node").args([script, &folder, &port, KEY, &asked]).output().unwrap();
    let before = scene.fake.calls().len();
    let ran = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let theirs = scene.fake.calls().split_off(before);
    assert_eq!(theirs.len(), ours.len(), "{theirs:?}");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let sorted = |call: &Call| {
            let (path, query) = call.target.split_once('?').unwrap_or((&call.target, ""));
            let mut query: Vec<_> = query.split('&').map(str::to_owned).collect();
            query.sort();
            (call.method.clone(), path.to_owned(), query, call.form.clone(), call.account.clone(), call.version.clone())
        };
        assert_eq!(sorted(ours), sorted(theirs));
    }
}
