//! Keys that are pasted: sealed in their place, shown as four characters, and opened in the call alone.

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use super::fake::{API_KEY, CANARY, SID, TOKEN};
use super::{LIST, Scene, hex, is_stored, put_key, twilio};
use crate::support::{Conn, Engine, on_both_engines};

on_both_engines! {
    keys_are_set_tried_and_taken_away
    what_is_no_key_is_named
    only_a_fresh_session_of_an_admin_sets_one
    a_sealed_secret_opens_in_its_own_place_alone
}

async fn keys_are_set_tried_and_taken_away(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    let before = scene.shown("twilio").await;
    assert_eq!(before, json!({ "name": "twilio", "opened_by": "key", "available": true, "connected": null }));
    scene.check("twilio").await.is_problem(404, "not-found");
    scene.remove("twilio").await.is_problem(404, "not-found");

    let set = scene.put_key("twilio", &twilio()).await;
    assert_eq!(set.header("cache-control"), Some("no-store"));
    let set = set.is(200).json();
    assert_eq!((&set["account"], &set["last4"], &set["state"]), (&json!(SID), &json!("f00d"), &json!("connected")));
    assert_eq!(scene.shown("twilio").await["connected"], set);
    let works = scene.check("twilio").await.is(200).json();
    assert_eq!(works, json!({ "works": true, "outcome": "ok", "status": 200 }));

    let base_url = scene.fake.base_url();
    let key = json!({ "base_url": format!("{base_url}/"), "api_key": API_KEY });
    let set = scene.put_key("openai", &key).await.is(200).json();
    assert_eq!((&set["account"], &set["last4"]), (&json!(base_url), &json!("4321")));
    assert_eq!(scene.check("openai").await.is(200).json()["works"], true);

    // Another one takes its place; a wrong one is refused there, which says nothing of the service.
    let wrong = json!({ "base_url": base_url, "api_key": "sk-cAnArY-another-key" });
    scene.put_key("openai", &wrong).await.is(200);
    let refused = scene.check("openai").await.is(200).json();
    assert_eq!(refused, json!({ "works": false, "outcome": "refused", "status": 401 }));
    let breakers = scene.conn.get("/v1/breakers", Some(&scene.ada.access)).await.is(200).json();
    let shown: Vec<_> =
        breakers["items"].as_array().unwrap().iter().map(|item| (&item["name"], &item["state"])).collect();
    assert_eq!(shown, [(&json!("openai:api"), &json!("closed")), (&json!("twilio:api"), &json!("closed"))]);

    // A name that leads elsewhere meanwhile is not called.
    scene.names.addresses("ai.test", &["10.0.0.1"]);
    let away = scene.check("openai").await.is(200).json();
    assert_eq!(away, json!({ "works": false, "outcome": "private-address", "status": null }));

    for canary in [TOKEN, API_KEY, "another-key"] {
        assert!(!is_stored(&scene.server, engine, canary).await, "{canary} is stored as it is");
    }
    for name in ["twilio", "openai"] {
        assert_eq!(scene.remove(name).await.is(200).json(), json!({ "revoked": null }));
        assert_eq!(scene.shown(name).await["connected"], Value::Null);
        scene.check(name).await.is_problem(404, "not-found");
    }
    let (on, off) = ("integration.connected", "integration.disconnected");
    let wanted = [(on, "twilio"), (on, "openai"), (on, "openai"), (off, "twilio"), (off, "openai")];
    let mut told = scene.told().await;
    if told.first().is_some_and(|(action, _)| action == off) {
        told.reverse();
    }
    assert_eq!(told, wanted.map(|(action, of)| (action.to_owned(), of.to_owned())));
    let log = scene.server.log();
    for canary in [TOKEN, API_KEY, "another-key"] {
        assert!(!log.contains(canary), "{canary} is logged");
    }
}

async fn what_is_no_key_is_named(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    let base_url = scene.fake.base_url();
    for (name, body, field) in [
        ("twilio", json!({ "account_sid": SID }), "auth_token"),
        ("twilio", json!({ "account_sid": "AC1", "auth_token": TOKEN }), "account_sid"),
        ("twilio", json!({ "account_sid": SID, "auth_token": &TOKEN[1..] }), "auth_token"),
        ("twilio", json!({ "account_sid": SID, "auth_token": TOKEN, "api_key": API_KEY }), "api_key"),
        ("twilio", json!({ "account_sid": SID, "auth_token": null }), "auth_token"),
        ("openai", json!({ "base_url": base_url, "api_key": "short" }), "api_key"),
        ("openai", json!({ "base_url": format!("{base_url}?a=b"), "api_key": API_KEY }), "base_url"),
        ("openai", json!({ "base_url": "http://ai.test/v1", "api_key": API_KEY }), "base_url"),
        ("openai", json!({ "base_url": "https://10.0.0.1:8443/v1", "api_key": API_KEY }), "base_url"),
        ("openai", json!({ "base_url": "https://localhost:8443/v1", "api_key": API_KEY }), "base_url"),
    ] {
        let answer = scene.put_key(name, &body).await;
        answer.is_problem(400, "validation");
        assert_eq!(answer.json()["errors"][0]["field"], field, "{body}");
        assert!(!String::from_utf8_lossy(&answer.body).contains(API_KEY), "{answer:?}");
        assert_eq!(scene.shown(name).await["connected"], Value::Null);
    }
    for name in ["quickbooks", "stripe", "Twilio"] {
        scene.put_key(name, &twilio()).await.is_problem(404, "not-found");
    }
    assert!(scene.told().await.is_empty());
}

async fn only_a_fresh_session_of_an_admin_sets_one(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    scene.conn.get(LIST, None).await.is_problem(401, "unauthenticated");
    scene.put_key("twilio", &twilio()).await.is(200);
    scene.server.clock_ahead(301).await;
    scene.put_key("twilio", &twilio()).await.is_problem(403, "forbidden");
    scene.remove("twilio").await.is_problem(403, "forbidden");
    scene
        .conn
        .call("POST", &format!("{LIST}/square/connect"), Some(&scene.ada.access))
        .await
        .is_problem(403, "forbidden");
    scene.check("twilio").await.is(200);
    scene.ada = scene.conn.sign_in(&scene.acme).await;
    scene.remove("twilio").await.is(200);
}

/// Whoever can write to the store cannot have one secret take the place of another.
async fn a_sealed_secret_opens_in_its_own_place_alone(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    let key = json!({ "base_url": scene.fake.base_url(), "api_key": API_KEY });
    scene.put_key("twilio", &twilio()).await.is(200);
    scene.put_key("openai", &key).await.is(200);
    scene.connect("quickbooks").await;
    scene.connect("square").await;

    // Of another row, and of another column of the same row.
    let row = "UPDATE integration SET secret_sealed = (SELECT i.secret_sealed FROM integration i WHERE i.name = 'openai') \
               WHERE name = 'twilio'";
    let column = "UPDATE integration SET secret_sealed = refresh_sealed WHERE name = 'quickbooks'";
    let tokens = "UPDATE integration SET secret_sealed = (SELECT i.secret_sealed FROM integration i WHERE i.name = 'quickbooks') \
                  WHERE name = 'square'";
    for (sql, name) in [(row, "twilio"), (tokens, "square"), (column, "quickbooks")] {
        assert_eq!(scene.check(name).await.is(200).json()["works"], true);
        scene.server.run_sql(&scene.acme, sql).await;
        let answer = scene.check(name).await;
        answer.is_problem(500, "internal");
        assert!(!String::from_utf8_lossy(&answer.body).contains(CANARY));
    }
    assert_eq!(scene.check("openai").await.is(200).json()["works"], true);

    // Of another tenant, at the same place.
    let globex = scene.server.tenant("globex");
    let mut conn = Conn::to(&scene.server, &globex).await;
    let eve = conn.sign_in(&globex).await;
    let other = json!({ "base_url": scene.fake.base_url(), "api_key": "sk-cAnArY-of-globex" });
    put_key(&mut conn, &eve.access, "openai", &other).await.is(200);
    let theirs = "SELECT secret_sealed FROM integration WHERE name = 'openai'";
    match engine {
        Engine::Postgres => {
            // Every tenant's row, to whoever may see them: acme's is the older one.
            let sql = format!(
                "UPDATE integration SET secret_sealed = ({theirs} ORDER BY set_at_ms LIMIT 1) WHERE name = 'openai' \
                 AND set_at_ms = (SELECT MAX(set_at_ms) FROM integration WHERE name = 'openai')"
            );
            scene.server.run_sql(&globex, &sql).await;
        }
        Engine::Sqlite => {
            let file = |id: &str| scene.server.data_dir().join(format!("tenants/{id}.db"));
            let mut connection = SqliteConnectOptions::new().filename(file(&scene.acme.id)).connect().await.unwrap();
            let sealed: Vec<u8> = sqlx::query_scalar(theirs).fetch_one(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            let sql = format!("UPDATE integration SET secret_sealed = x'{}' WHERE name = 'openai'", hex(&sealed));
            scene.server.run_sql(&globex, &sql).await;
        }
    }
    conn.call("POST", &format!("{LIST}/openai/check"), Some(&eve.access)).await.is_problem(500, "internal");
    assert_eq!(scene.check("openai").await.is(200).json()["works"], true);
}
