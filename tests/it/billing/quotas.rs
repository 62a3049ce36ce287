//! As much as the plan allows and no more, whoever asks and however many at once; and nothing is taken away.

use serde_json::{Value, json};

use super::{DELETED, Scene, now_s};
use crate::support::{Answer, Conn, Engine, Session, on_both_engines};

on_both_engines! {
    a_plan_bounds_members_keys_and_endpoints
    of_many_who_ask_at_once_as_many_get_one_as_the_plan_allows
}

const KEYS: &str = "/v1/api-keys";

async fn key(conn: &mut Conn, session: &Session, name: &str) -> Answer {
    let new = json!({ "name": name, "kind": "secret", "scopes": ["schema:read"] });
    conn.post(KEYS, Some(&session.access), &new).await
}

async fn invite(scene: &mut Scene, email: &str) -> Answer {
    let new = json!({ "email": email, "role": "employee" });
    scene.conn.post("/v1/invitations", Some(&scene.ada.access), &new).await
}

async fn endpoint(scene: &mut Scene) -> Answer {
    let new = json!({ "url": "https://93.184.215.14/hook", "topics": ["member.*"] });
    scene.conn.post("/v1/webhooks/endpoints", Some(&scene.ada.access), &new).await
}

#[track_caller]
fn is_reached(answer: &Answer, quota: &str, limit: u32, plan: &str) {
    answer.is_problem(403, "quota-reached");
    let told = answer.json();
    assert_eq!((&told["quota"], &told["limit"], &told["plan"]), (&json!(quota), &json!(limit), &json!(plan)));
}

async fn a_plan_bounds_members_keys_and_endpoints(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    key(&mut scene.conn, &scene.ada, "one").await.is(201);
    is_reached(&key(&mut scene.conn, &scene.ada, "two").await, "api_keys", 1, "free");
    is_reached(&endpoint(&mut scene).await, "webhook_endpoints", 0, "free");
    // Two are invited, one more comes in.
    let mut tokens = vec![];
    for (n, who) in ["bob@example.com", "eve@example.com"].into_iter().enumerate() {
        invite(&mut scene, who).await.is(201);
        let letters = scene.server.letters(n + 1).await;
        tokens.push((who, letters[n].token("/auth/invitation")));
    }
    let accept = async |conn: &mut Conn, (email, token): &(&str, String)| {
        let new = json!({ "email": email, "password": "a password of theirs", "name": "N", "invitation": token });
        conn.post("/v1/auth/register", None, &new).await
    };
    let bob = accept(&mut scene.conn, &tokens[0]).await.is(201).json()["member"]["id"].as_str().unwrap().to_owned();
    is_reached(&accept(&mut scene.conn, &tokens[1]).await, "members", 2, "free");
    is_reached(&invite(&mut scene, "dan@example.com").await, "members", 2, "free");
    // Who is deactivated makes room, and comes back only where there is some.
    let member = |verb: &str| format!("/v1/members/{bob}/{verb}");
    scene.post(&member("deactivate")).await.is(200);
    accept(&mut scene.conn, &tokens[1]).await.is(201);
    is_reached(&scene.post(&member("reactivate")).await, "members", 2, "free");

    let subscription = scene.buy("pro").await;
    scene.post(&member("reactivate")).await.is(200);
    scene.post(&member("reactivate")).await.is(200);
    for name in ["two", "three"] {
        key(&mut scene.conn, &scene.ada, name).await.is(201);
    }
    is_reached(&key(&mut scene.conn, &scene.ada, "four").await, "api_keys", 3, "pro");
    for _ in 0..2 {
        endpoint(&mut scene).await.is(201);
    }
    is_reached(&endpoint(&mut scene).await, "webhook_endpoints", 2, "pro");

    // Nothing is taken away from who has more than the plan allows; there is no more.
    scene.tell(DELETED, now_s() + 9, &subscription).await;
    scene.is_on("free").await;
    let used = scene.plan().await["quotas"]
        .as_array()
        .unwrap()
        .iter()
        .map(|quota| quota["used"].clone())
        .collect::<Vec<Value>>();
    assert_eq!(used, [json!(3), json!(3), json!(2)]);
    is_reached(&key(&mut scene.conn, &scene.ada, "five").await, "api_keys", 1, "free");
    scene.conn.sign_in(&scene.acme).await;
}

async fn of_many_who_ask_at_once_as_many_get_one_as_the_plan_allows(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    scene.buy("pro").await;
    let ask = async |n: usize| {
        let mut conn = Conn::to(&scene.server, &scene.acme).await;
        key(&mut conn, &scene.ada, &format!("key {n}")).await.status.as_u16()
    };
    let four = async |n| <[u16; 4]>::from(tokio::join!(ask(n), ask(n + 1), ask(n + 2), ask(n + 3)));
    let (some, others) = tokio::join!(four(0), four(4));
    let mut all = [some, others].concat();
    all.sort_unstable();
    assert_eq!(all, [201, 201, 201, 403, 403, 403, 403, 403]);

    // Members: six who were let in one after the other, and come back at once.
    let mut away = vec![];
    for n in 0..6 {
        let email = format!("m{n}@example.com");
        invite(&mut scene, &email).await.is(201);
        let token = scene.server.letters(n + 1).await[n].token("/auth/invitation");
        let new = json!({ "email": email, "password": "a password of theirs", "name": "N", "invitation": token });
        let joined = scene.conn.post("/v1/auth/register", None, &new).await.is(201).json();
        away.push(joined["member"]["id"].as_str().unwrap().to_owned());
        scene.post(&format!("/v1/members/{}/deactivate", away[n])).await.is(200);
    }
    for _ in 0..3 {
        let back = async |n: usize| {
            let mut conn = Conn::to(&scene.server, &scene.acme).await;
            let path = format!("/v1/members/{}/reactivate", away[n]);
            conn.call("POST", &path, Some(&scene.ada.access)).await.status.as_u16()
        };
        let three = async |n| <[u16; 3]>::from(tokio::join!(back(n), back(n + 1), back(n + 2)));
        let (some, others) = tokio::join!(three(0), three(3));
        let mut all = [some, others].concat();
        all.sort_unstable();
        assert_eq!(all, [200, 200, 200, 403, 403, 403], "with Ada they are four");
        for member in &away {
            scene.conn.call("POST", &format!("/v1/members/{member}/deactivate"), Some(&scene.ada.access)).await.is(200);
        }
    }
}
