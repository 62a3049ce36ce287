//! Tokens under a good signature that are refused for what they say. The tenant is given a signing key whose seed the
//! test knows, sealed under its root key as any of its keys; the server signs with it, and so can the test.

use std::time::{SystemTime, UNIX_EPOCH};

use freehold_domain::id::{SigningKeyId, TenantId};
use freehold_domain::keys::{KeyVersion, MasterRing, Nonce, SigningKey};
use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use freehold_storage::signing_key::{self, SigningKeyRow};
use freehold_storage::{SqliteOptions, Store, root_key};
use jsonwebtoken::{Algorithm, Header};
use serde_json::{Map, Value, json};

use super::{SEED, foreign_key, is_refused, part};
use crate::support::{Conn, Engine, MASTER, Options, Server, Tenant};
use crate::watch::until;

/// Gives a tenant of a server that is stopped a new signing key with the seed of [`foreign_key`]; its `kid`.
async fn plant(server: &Server, tenant: &Tenant) -> SigningKeyId {
    let id: TenantId = tenant.id.parse().unwrap();
    let store = Store::open_sqlite(SqliteOptions { data_dir: server.data_dir(), open_files_max: 1 }).await.unwrap();
    let roots = root_key::all_of(&mut store.keys_read().await.unwrap(), id).await.unwrap();
    let row = roots.last().unwrap();
    let version = KeyVersion::new(u32::try_from(row.version).unwrap());
    let ring: MasterRing = MASTER.parse().unwrap();
    let root = ring.open_root(id, version, &row.master_key_id.parse().unwrap(), &row.sealed).unwrap();

    let created_at_ms = UnixMs::new(now_s() * 1_000 + 1_000);
    let key = SigningKey::from_seed(SigningKeyId::new(created_at_ms, [7; 10]), Secret::new(SEED)).unwrap();
    let row = SigningKeyRow {
        id: key.id(),
        public_key: key.verifying_key().public().to_vec(),
        private_sealed: key.seal(&root, id, Nonce::from_random([7; 12])).unwrap().into_bytes(),
        created_at_ms,
        retired_at_ms: None,
    };
    let mut tx = store.write(id).await.unwrap();
    for known in signing_key::all(&mut tx).await.unwrap() {
        assert!(signing_key::retire(&mut tx, known.id, known.created_at_ms).await.unwrap());
    }
    assert!(signing_key::insert(&mut tx, &row).await.unwrap());
    tx.commit().await.unwrap();
    store.close().await;
    key.id()
}

fn now_s() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// A token of these claims, signed with the planted key.
fn token(kid: SigningKeyId, typ: Option<&str>, claims: &Value) -> String {
    let typ = typ.map(str::to_owned);
    let header = Header { typ, kid: Some(kid.to_string()), ..Header::new(Algorithm::EdDSA) };
    jsonwebtoken::encode(&header, claims, &foreign_key()).unwrap()
}

/// A server with a tenant whose key the test has, a connection, and the claims of a token that was issued.
async fn signed_in() -> (Server, Tenant, Conn, SigningKeyId, Value) {
    let mut server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
    let acme = server.tenant("acme");
    assert_eq!(server.terminate(), Some(0));
    let kid = plant(&server, &acme).await;
    let server = server.restarted();
    let mut conn = Conn::to(&server, &acme).await;
    let issued = conn.sign_in(&acme).await.access;
    assert_eq!(part(&issued, 0)["kid"], kid.to_string(), "the server signs with the planted key");
    let claims = part(&issued, 1);
    (server, acme, conn, kid, claims)
}

#[tokio::test]
async fn a_good_signature_excuses_nothing() {
    let (server, acme, mut conn, kid, claims) = signed_in().await;
    let globex = server.tenant("globex");
    let with = |changes: Value| {
        let mut changed: Map<String, Value> = claims.as_object().unwrap().clone();
        changed.extend(changes.as_object().unwrap().clone());
        Value::Object(changed)
    };
    let lasting = |iat: i64, exp: i64| with(json!({ "iat": iat, "exp": exp }));
    let (iat, now) = (claims["iat"].as_i64().unwrap(), now_s());

    assert_eq!(conn.me(&token(kid, Some("at+jwt"), &claims)).await, 200, "what is not changed is good");
    assert_eq!(conn.me(&token(kid, Some("at+jwt"), &with(json!({ "new": 1 })))).await, 200);
    let mut wrong = vec![
        ("expired just now".to_owned(), lasting(now - 900, now)),
        ("expired a year ago".to_owned(), lasting(now - 31_536_900, now - 31_536_000)),
        ("not yet good".to_owned(), lasting(now + 60, now + 960)),
        ("too long".to_owned(), lasting(iat, iat + 901)),
        ("too short".to_owned(), lasting(iat, iat + 899)),
        ("for ever".to_owned(), with(json!({ "exp": i64::MAX }))),
        ("exp as text".to_owned(), with(json!({ "exp": (iat + 900).to_string() }))),
        ("another audience".to_owned(), with(json!({ "aud": "other" }))),
        ("an audience among others".to_owned(), with(json!({ "aud": ["freehold", "other"] }))),
        ("another tenant's issuer".to_owned(), with(json!({ "iss": "http://globex.localhost:8080" }))),
        ("another scheme's issuer".to_owned(), with(json!({ "iss": "https://acme.localhost:8080" }))),
        ("another tenant".to_owned(), with(json!({ "tid": globex.id }))),
        ("a role there is not".to_owned(), with(json!({ "role": "owner" }))),
    ];
    for name in ["iss", "aud", "sub", "tid", "sid", "role", "epoch", "iat", "exp", "jti"] {
        let mut without = claims.clone();
        assert!(without.as_object_mut().unwrap().remove(name).is_some(), "{name}");
        wrong.push((format!("without {name}"), without));
        wrong.push((format!("{name} is null"), with(json!({ name: null }))));
    }
    let mut tokens: Vec<_> =
        wrong.into_iter().map(|(what, claims)| (what, token(kid, Some("at+jwt"), &claims))).collect();
    for typ in [None, Some("JWT"), Some("rt+jwt"), Some("AT+JWT"), Some("application/at+jwt"), Some("")] {
        tokens.push((format!("typ {typ:?}"), token(kid, typ, &claims)));
    }
    for (what, token) in tokens {
        is_refused(&conn.get("/v1/me", Some(&token)).await, &what);
        is_refused(&conn.call("POST", "/v1/auth/logout", Some(&token)).await, &what);
    }
    // Nor is it good at another tenant, which has not this key.
    let good = token(kid, Some("at+jwt"), &claims);
    is_refused(&Conn::to(&server, &globex).await.get("/v1/me", Some(&good)).await, "at another tenant");
    assert_eq!(Conn::to(&server, &acme).await.me(&good).await, 200);
}

#[tokio::test]
async fn a_token_that_was_good_ends_with_its_time() {
    let (_server, _acme, mut conn, kid, mut claims) = signed_in().await;
    let exp = now_s() + 2;
    (claims["iat"], claims["exp"]) = (json!(exp - 900), json!(exp));
    let token = token(kid, Some("at+jwt"), &claims);
    assert_eq!(conn.me(&token).await, 200);
    // It was verified and is remembered, which does not keep it alive.
    until("it ends", async || (conn.me(&token).await == 401).then_some(())).await;
    assert!(now_s() >= exp, "not before its time");
    is_refused(&conn.get("/v1/me", Some(&token)).await, "ended");
}
