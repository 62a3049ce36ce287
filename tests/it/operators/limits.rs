//! Limits of a tenant's own: operators give them and take them back, from afar and by the command line.

use serde_json::{Value, json};

use super::{operator, platform};
use crate::audit;
use crate::support::{Answer, Conn, Engine, Options, Server, on_both_engines};
use crate::watch::number;

on_both_engines! {
    a_limit_of_a_tenants_own_is_given_and_taken_back
    what_is_no_limit_changes_nothing
}

async fn row(conn: &mut Conn, access: &str, tier: &str) -> Value {
    let page = conn.get("/v1/rate-limits", Some(access)).await.is(200).json();
    page["tiers"].as_array().unwrap().iter().find(|row| row["tier"] == tier).unwrap().clone()
}

fn in_force(answer: &Answer) -> (Option<&str>, u64) {
    (answer.is(200).header("x-ratelimit-tier"), number(answer, "x-ratelimit-limit"))
}

async fn a_limit_of_a_tenants_own_is_given_and_taken_back(engine: Engine) {
    let options = Options::new(engine).limits_off().env("FREEHOLD_LIMITS_API_MEMBER", "90/min");
    let server = Server::start(options).await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    let (mut ada, mut greta) = (Conn::to(&server, &acme).await, Conn::to(&server, &globex).await);
    let (adas, gretas) = (ada.sign_in(&acme).await.access, greta.sign_in(&globex).await.access);
    let (mut olga, session) = operator(&server).await;
    let (path, access) = (format!("/v1/tenants/{}/rate-limits", acme.id), Some(session.access.as_str()));
    assert_eq!(in_force(&ada.get("/v1/me", Some(&adas)).await), (Some("api-member"), 90));
    assert_eq!(row(&mut ada, &adas, "api-member").await["default"], Value::Null);

    let wish = json!({ "tier": "api-member", "limit": "7/min" });
    for _ in 0..2 {
        let given = olga.post(&path, access, &wish).await.is(200).json();
        let expected = json!({ "id": acme.id, "slug": "acme", "tier": "api-member", "limit": "7/min", "own": true });
        assert_eq!(given, expected);
    }
    assert_eq!(in_force(&ada.get("/v1/me", Some(&adas)).await), (Some("api-member"), 7));
    let told = row(&mut ada, &adas, "api-member").await;
    assert_eq!((&told["limit"], &told["default"]), (&json!("7/min"), &json!("90/min")));
    assert_eq!(in_force(&greta.get("/v1/me", Some(&gretas)).await), (Some("api-member"), 90));

    let back = json!({ "tier": "api-member", "limit": "default" });
    for _ in 0..2 {
        let given = olga.post(&path, access, &back).await.is(200).json();
        assert_eq!((&given["limit"], &given["own"]), (&json!("90/min"), &json!(false)));
    }
    assert_eq!(in_force(&ada.get("/v1/me", Some(&adas)).await), (Some("api-member"), 90));
    assert_eq!(row(&mut ada, &adas, "api-member").await["default"], Value::Null);

    // The same by the command line; and what was given says so in the logs, once where repeating changed nothing.
    for (limit, expected) in [("3/h", json!("3/h")), ("default", json!("5/h"))] {
        let done = server.cli(&["tenant", "limit", "acme", "export", limit], "");
        let told: Value = serde_json::from_slice(&done.stdout).unwrap();
        assert_eq!((&told["limit"], &told["own"]), (&expected, &json!(limit != "default")));
    }
    let rows = audit::log(&mut ada, &adas).await;
    let limited: Vec<_> = rows.iter().filter(|row| row["action"] == "tenant.limited").collect();
    let of = |row: &&Value| (row["tier"].clone(), row["limit"].clone());
    let told: Vec<_> = limited.iter().map(of).collect();
    let (member, export) = (json!("api-member"), json!("export"));
    let expected = [
        (member.clone(), json!("7/min")),
        (member.clone(), json!("7/min")),
        (member, json!("default")),
        (export.clone(), json!("3/h")),
        (export, json!("default")),
    ];
    assert_eq!(told, expected);
    let operators = audit::log(&mut olga, &session.access).await;
    assert_eq!(operators.iter().filter(|row| row["action"] == "tenant.limited").count(), 4);
    assert!(server.cli(&["audit", "verify", "acme"], "").status.success());
}

async fn what_is_no_limit_changes_nothing(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let platform = platform(&server).await;
    let mut olga = Conn::to(&server, &platform).await;
    let session = olga.sign_in(&platform).await;
    let access = Some(session.access.as_str());
    let path = format!("/v1/tenants/{}/rate-limits", acme.id);
    for (body, field) in [
        (json!({ "tier": "pin", "limit": "off" }), "limit"),
        (json!({ "tier": "pin", "limit": "5/day" }), "limit"),
        (json!({ "tier": "pin", "limit": "0/s" }), "limit"),
        (json!({ "tier": "pin", "limit": "05/s" }), "limit"),
        (json!({ "tier": "pin", "limit": 5 }), "limit"),
        (json!({ "tier": "pin" }), "limit"),
        (json!({ "tier": "address", "limit": "5/s" }), "tier"),
        (json!({ "tier": "PIN", "limit": "5/s" }), "tier"),
        (json!({ "limit": "5/s" }), "tier"),
        (json!({ "tier": "pin", "limit": "5/s", "shadow": true }), "shadow"),
    ] {
        let answer = olga.post(&path, access, &body).await;
        answer.is_problem(400, "validation");
        assert_eq!(answer.json()["errors"][0]["field"], field, "{body}: {answer:?}");
    }
    let good = json!({ "tier": "pin", "limit": "5/s" });
    let unknown = "/v1/tenants/019a0000-0000-7000-8000-000000000000/rate-limits";
    olga.post(unknown, access, &good).await.is_problem(404, "not-found");
    olga.post(&path, None, &good).await.is_problem(401, "unauthenticated");
    // A tenant's own admin finds no such route.
    let mut ada = Conn::to(&server, &acme).await;
    let adas = ada.sign_in(&acme).await.access;
    ada.post(&path, Some(&adas), &good).await.is_problem(404, "not-found");
    let rows = audit::log(&mut ada, &adas).await;
    assert!(rows.iter().all(|row| row["action"] != "tenant.limited"), "{rows:?}");
}
