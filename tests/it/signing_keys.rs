//! Signing keys are replaced without a token dying, on every node and for everybody who keeps the published keys, or all
//! at once where a key is not secret any more.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::support::{Conn, Engine, Options, Server, Session, Tenant, on_both_engines};
use crate::watch::until;

const KEYS: &str = "/v1/signing-keys";
const ROTATE: &str = "/v1/signing-keys/rotate";
const JWKS: &str = "/.well-known/jwks.json";
/// How long a key is published before it signs.
const ANNOUNCED_S: &str = "2";

on_both_engines! {
    a_key_is_published_before_it_signs_and_after
    a_withdrawn_key_takes_its_tokens_with_it
    a_key_that_is_old_has_a_successor
    only_a_fresh_admin_rotates
}

/// The keys that are published, the one that signs first.
async fn published(conn: &mut Conn) -> Vec<String> {
    let keys = conn.get(JWKS, None).await.is(200).json()["keys"].as_array().unwrap().clone();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

/// Which key signed this token.
fn kid(session: &Session) -> String {
    let header = URL_SAFE_NO_PAD.decode(session.access.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

/// A session that this key signed, as soon as it signs.
async fn signed_by(conn: &mut Conn, tenant: &Tenant, key: &str) -> Session {
    let conn = tokio::sync::Mutex::new(conn);
    until("it signs", async || {
        let session = conn.lock().await.sign_in(tenant).await;
        (kid(&session) == key).then_some(session)
    })
    .await
    .0
}

async fn start(engine: Engine, name: &str, value: &str) -> (Server, Tenant, Conn) {
    let server = Server::start(Options::new(engine).limits_off().env(name, value)).await;
    let acme = server.tenant("acme");
    let conn = Conn::to(&server, &acme).await;
    (server, acme, conn)
}

async fn a_key_is_published_before_it_signs_and_after(engine: Engine) {
    let (_server, acme, mut conn) = start(engine, "FREEHOLD_SIGNING_ANNOUNCED_S", ANNOUNCED_S).await;
    let before = conn.sign_in(&acme).await;
    let old = kid(&before);
    assert_eq!(conn.get(JWKS, None).await.header("cache-control"), Some("public, max-age=1"));
    let rotated = conn.post(ROTATE, Some(&before.access), &json!({ "takeover": "announced" })).await.is(200).json();
    let keys = rotated["items"].as_array().unwrap();
    let new = keys[1]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        (keys[0]["id"].as_str(), &keys[0]["signing"], &keys[1]["signing"]),
        (Some(old.as_str()), &json!(true), &json!(false))
    );
    assert!(keys[0]["signs_until"].is_string() && keys[1]["signs_until"].is_null(), "{keys:?}");
    assert_eq!(published(&mut conn).await, [old.as_str(), &new]);
    conn.post(ROTATE, Some(&before.access), &json!({})).await.is_problem(409, "conflict");

    let after = signed_by(&mut conn, &acme, &new).await;
    assert_eq!(published(&mut conn).await, [new.as_str(), &old]);
    assert_eq!((conn.me(&before.access).await, conn.me(&after.access).await), (200, 200));
    let listed = conn.get(KEYS, Some(&after.access)).await.is(200).json();
    assert_eq!((&listed["items"][0]["signing"], &listed["items"][1]["signing"]), (&json!(false), &json!(true)));
    assert!(listed["next_cursor"].is_null());
    let audit = conn.get("/v1/audit?action=signing_key.rotated", Some(&after.access)).await.is(200).json();
    assert_eq!(audit["items"][0]["subject"], new);
}

async fn a_withdrawn_key_takes_its_tokens_with_it(engine: Engine) {
    let (server, acme, mut conn) = start(engine, "FREEHOLD_SIGNING_ANNOUNCED_S", "3600").await;
    let session = conn.sign_in(&acme).await;
    assert_eq!(conn.me(&session.access).await, 200);
    conn.post(ROTATE, Some(&session.access), &json!({})).await.is(200); // one is announced: it is withdrawn too
    let output = server.cli(&["tenant", "rotate-signing-key", "acme", "--at-once"], "");
    assert!(output.status.success(), "{output:?}");
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(published(&mut conn).await, [line["id"].as_str().unwrap()]);

    assert_eq!(conn.me(&session.access).await, 401);
    let next = Session::of(&conn.refresh(&session.refresh).await);
    assert_eq!((kid(&next).as_str(), conn.me(&next.access).await), (line["id"].as_str().unwrap(), 200));
    let audit = conn.get("/v1/audit?action=signing_keys.withdrawn", Some(&next.access)).await.is(200).json();
    assert_eq!(audit["items"][0]["actor"]["kind"], "operator", "{audit}");
    assert!(server.cli(&["audit", "verify", "acme"], "").status.success());
    assert_eq!(server.cli(&["tenant", "rotate-signing-key", "nobody"], "").status.code(), Some(65));
    assert!(server.cli(&["tenant", "rotate-signing-key", "acme"], "").status.success());
    let twice = server.cli(&["tenant", "rotate-signing-key", "acme"], "");
    assert_eq!(twice.status.code(), Some(65), "{twice:?}");
}

async fn a_key_that_is_old_has_a_successor(engine: Engine) {
    let (server, acme, mut conn) = start(engine, "FREEHOLD_TREE_RECONCILE_S", "1").await;
    let first = conn.sign_in(&acme).await;
    let ninety_days = "UPDATE signing_key SET created_at_ms = created_at_ms - 7776000000";
    server.run_sql(&acme, ninety_days).await;
    // The tenant is loaded anew, as after any change of it.
    server.cli(&["tenant", "limit", "acme", "export", "7/h"], "");
    let conn = tokio::sync::Mutex::new(&mut conn);
    let keys = until("another is published", async || {
        let keys = published(&mut **conn.lock().await).await;
        (keys.len() > 1).then_some(keys)
    })
    .await
    .0;
    assert_eq!((keys.len(), keys[0].clone()), (2, kid(&first)), "it does not sign yet");
    // What has signed for the last time goes when its last token has expired.
    let conn = conn.into_inner();
    let long_ago = "UPDATE signing_key SET retired_at_ms = retired_at_ms - 90000000 WHERE retired_at_ms IS NOT NULL";
    server.run_sql(&acme, long_ago).await;
    server.cli(&["tenant", "limit", "acme", "export", "8/h"], "");
    assert_eq!(published(conn).await, keys[1..]);
}

async fn only_a_fresh_admin_rotates(engine: Engine) {
    let (server, acme, mut conn) = start(engine, "FREEHOLD_SIGNING_ANNOUNCED_S", "3600").await;
    let session = conn.sign_in(&acme).await;
    conn.post(ROTATE, None, &json!({})).await.is_problem(401, "unauthenticated");
    let wrong = conn.post(ROTATE, Some(&session.access), &json!({ "takeover": "whenever" })).await;
    wrong.is_problem(400, "validation");
    assert_eq!(wrong.json()["errors"][0]["field"], "takeover");
    server.run_sql(&acme, "UPDATE token_family SET created_at_ms = created_at_ms - 300000").await;
    conn.post(ROTATE, Some(&session.access), &json!({})).await.is_problem(403, "forbidden");
    assert_eq!(published(&mut conn).await.len(), 1);
}

/// Two nodes: both announce the same key, both sign with it when its time has come, and what one signs the other takes.
#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_take_over_together() {
    let options = Options::new(Engine::Postgres).limits_off().env("FREEHOLD_SIGNING_ANNOUNCED_S", ANNOUNCED_S);
    let one = Server::start(options).await;
    let two = one.another();
    let acme = one.tenant("acme");
    let (mut on_one, mut on_two) = (Conn::to(&one, &acme).await, Conn::to(&two, &acme).await);
    let before = on_one.sign_in(&acme).await;
    assert_eq!(on_two.me(&before.access).await, 200);
    let rotated = on_one.post(ROTATE, Some(&before.access), &json!({})).await.is(200).json();
    let new = rotated["items"][1]["id"].as_str().unwrap().to_owned();
    let (from_two, from_one) = tokio::join!(signed_by(&mut on_two, &acme, &new), signed_by(&mut on_one, &acme, &new));
    for session in [&before, &from_one, &from_two] {
        assert_eq!((on_one.me(&session.access).await, on_two.me(&session.access).await), (200, 200));
    }
    // Two who rotate at the same moment: one does.
    let nothing = json!({});
    let access = Some(from_one.access.as_str());
    let (a, b) = tokio::join!(on_one.post(ROTATE, access, &nothing), on_two.post(ROTATE, access, &nothing));
    let mut answers = [a.status.as_u16(), b.status.as_u16()];
    answers.sort_unstable();
    assert_eq!(answers, [200, 409], "{a:?} {b:?}");
}
