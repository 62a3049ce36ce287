//! Access tokens: who can make one (the tenant's key), who can check one (anybody), and what is not one.

mod well_signed;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};

use crate::raw;
use crate::support::{Answer, Conn, Engine, Options, Server, Session};

/// The seed of a key that anybody could make.
const SEED: [u8; 32] = [7; 32];

/// Its private key in PKCS #8.
fn foreign_key() -> EncodingKey {
    let prefix = [48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32];
    EncodingKey::from_ed_der(&[prefix.as_slice(), &SEED].concat())
}

fn part(token: &str, index: usize) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(index).unwrap()).unwrap()).unwrap()
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// The same token with this header and these claims, and its old signature.
fn edited(token: &str, header: &Value, claims: &Value) -> String {
    format!("{}.{}.{}", encode(header), encode(claims), token.rsplit('.').next().unwrap())
}

/// The token with one member of its claims changed.
fn claiming(token: &str, name: &str, value: Value) -> String {
    let mut claims = part(token, 1);
    claims[name] = value;
    edited(token, &part(token, 0), &claims)
}

/// The claims under another header, signed with this key.
fn signed(token: &str, header: &Header, key: &EncodingKey) -> String {
    jsonwebtoken::encode(header, &part(token, 1), key).unwrap()
}

async fn jwks(conn: &mut Conn) -> Value {
    conn.get("/.well-known/jwks.json", None).await.is(200).json()
}

#[track_caller]
fn is_refused(answer: &Answer, what: &str) {
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (401, "unauthenticated"), "{what}");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""), "{what}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    assert_eq!(answer.header("set-cookie"), None, "{what}");
}

#[tokio::test]
async fn anybody_can_check_a_token_with_the_published_key() {
    let server = Server::start(Options::new(Engine::Sqlite)).await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;

    let answer = conn.get("/.well-known/jwks.json", None).await;
    assert_eq!(answer.is(200).header("content-type"), Some("application/jwk-set+json"));
    let keys = answer.json()["keys"].as_array().unwrap().clone();
    assert_eq!(keys.len(), 1);
    let (kid, x) = (keys[0]["kid"].as_str().unwrap(), keys[0]["x"].as_str().unwrap());
    let wanted = json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": kid, "x": x });
    assert_eq!(keys[0], wanted);
    assert_eq!(part(&session.access, 0), json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": kid }));

    let mut rules = Validation::new(Algorithm::EdDSA);
    rules.set_audience(&["freehold"]);
    rules.set_issuer(&["http://acme.localhost:8080"]);
    rules.leeway = 0;
    let key = DecodingKey::from_ed_components(x).unwrap();
    let claims = jsonwebtoken::decode::<Value>(&session.access, &key, &rules).unwrap().claims;
    let mut names: Vec<_> = claims.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["aud", "epoch", "exp", "iat", "iss", "jti", "role", "sid", "sub", "tid"]);
    assert_eq!(
        (&claims["tid"], &claims["sid"], &claims["role"]),
        (&json!(acme.id), &json!(session.id), &json!("admin"))
    );
    assert_eq!(claims["exp"].as_i64().unwrap(), claims["iat"].as_i64().unwrap() + 900);
    let me = conn.get("/v1/me", Some(&session.access)).await.is(200).json();
    assert_eq!(me["member"]["id"], claims["sub"]);

    // Another tenant has another key, and neither checks the other's tokens.
    let theirs = jwks(&mut Conn::to(&server, &globex).await).await;
    assert_ne!(theirs["keys"][0]["x"], x);
    let theirs = DecodingKey::from_ed_components(theirs["keys"][0]["x"].as_str().unwrap()).unwrap();
    assert!(jsonwebtoken::decode::<Value>(&session.access, &theirs, &rules).is_err());
    // And nothing private is published.
    assert!(!String::from_utf8_lossy(&answer.body).contains("\"d\""));
}

#[tokio::test]
async fn what_the_tenant_did_not_sign_is_refused() {
    let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    let theirs = Conn::to(&server, &globex).await.sign_in(&globex).await;
    let token = session.access.as_str();
    let (header, claims) = (part(token, 0), part(token, 1));
    let public = jwks(&mut conn).await["keys"][0]["x"].as_str().unwrap().to_owned();
    let kid = header["kid"].as_str().unwrap().to_owned();

    let none = |alg: &str, signature: &str| {
        format!("{}.{}.{signature}", encode(&json!({ "typ": "at+jwt", "alg": alg, "kid": kid })), encode(&claims))
    };
    let hmac = |alg: Algorithm, secret: &[u8]| {
        let header = Header { typ: Some("at+jwt".into()), kid: Some(kid.clone()), ..Header::new(alg) };
        signed(token, &header, &EncodingKey::from_secret(secret))
    };
    let own = |change: &dyn Fn(&mut Header)| {
        let mut header = Header { typ: Some("at+jwt".into()), kid: Some(kid.clone()), ..Header::new(Algorithm::EdDSA) };
        change(&mut header);
        signed(token, &header, &foreign_key())
    };
    let raw_public = URL_SAFE_NO_PAD.decode(&public).unwrap();
    let signature = token.rsplit('.').next().unwrap();
    let forged = [
        ("alg none", none("none", "")),
        ("alg none, signed", none("none", signature)),
        ("alg NoNe", none("NoNe", "")),
        ("alg missing", edited(token, &json!({ "typ": "at+jwt", "kid": kid }), &claims)),
        ("alg renamed", none("HS256", signature)),
        ("HS256 with the public key", hmac(Algorithm::HS256, &raw_public)),
        ("HS256 with the public key's text", hmac(Algorithm::HS256, public.as_bytes())),
        ("HS512 with the public key", hmac(Algorithm::HS512, &raw_public)),
        ("HS256 with an empty key", hmac(Algorithm::HS256, b"")),
        ("another key under the tenant's kid", own(&|_| ())),
        ("another key, no kid", own(&|header| header.kid = None)),
        ("another key, unknown kid", own(&|header| header.kid = Some("019a0000-0000-7000-8000-000000000000".into()))),
        ("another key, kid as a path", own(&|header| header.kid = Some("../../../../dev/null".into()))),
        ("another key, fetched from its maker", own(&|header| header.jku = Some("http://127.0.0.1:1/jwks".into()))),
        ("typ JWT", edited(token, &json!({ "typ": "JWT", "alg": "EdDSA", "kid": kid }), &claims)),
        ("no typ", edited(token, &json!({ "alg": "EdDSA", "kid": kid }), &claims)),
        ("crit", edited(token, &json!({ "typ": "at+jwt", "alg": "EdDSA", "kid": kid, "crit": ["b64"] }), &claims)),
        ("role changed", claiming(token, "role", json!("owner"))),
        ("tenant changed", claiming(token, "tid", json!(globex.id))),
        ("session changed", claiming(token, "sid", json!(theirs.id))),
        ("longer", claiming(token, "exp", json!(claims["exp"].as_i64().unwrap() + 1))),
        ("expired", claiming(token, "exp", json!(1))),
        ("epoch", claiming(token, "epoch", json!(i64::MAX))),
        ("audience", claiming(token, "aud", json!(["freehold"]))),
        ("another tenant's", theirs.access.clone()),
        (
            "another tenant's signature",
            format!("{}.{}.{}", encode(&header), encode(&claims), theirs.access.rsplit('.').next().unwrap()),
        ),
        ("a refresh token", session.refresh.clone()),
    ];
    for (what, forged) in forged {
        is_refused(&conn.get("/v1/me", Some(&forged)).await, what);
        is_refused(&conn.call("POST", "/v1/auth/logout", Some(&forged)).await, what);
        is_refused(&conn.call("DELETE", &format!("/v1/sessions/{}", session.id), Some(&forged)).await, what);
    }
    // The refusals were the tokens': this one lives.
    assert_eq!(conn.me(token).await, 200);
    assert_eq!(Conn::to(&server, &globex).await.me(&theirs.access).await, 200);
}

#[tokio::test]
async fn every_changed_character_voids_a_token() {
    let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let token = conn.sign_in(&acme).await.access;
    let mut changed = vec![];
    for at in (0..token.len()).step_by(7).chain(token.len() - 3..token.len()) {
        let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
        changed.push([&token[..at], other, &token[at + 1..]].concat());
    }
    let parts: Vec<_> = token.split('.').collect();
    changed.extend((1..token.len()).step_by(41).map(|end| token[..end].to_owned()));
    changed.extend([
        token[..token.len() - 1].to_owned(),
        format!("{token}A"),
        format!("{token}="),
        format!("{token}.x"),
        format!("{token}."),
        format!(".{token}"),
        parts[..2].join("."),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}..{}", parts[0], parts[2]),
        format!("{}.{}.{}", parts[1], parts[0], parts[2]),
        token.replace('.', ".."),
        token.replace('-', "+").replace('_', "/") + "=",
        STANDARD.encode(&token),
        "..".into(),
        "null".into(),
        "x".repeat(20_000),
    ]);
    for wrong in changed {
        is_refused(&conn.get("/v1/me", Some(&wrong)).await, &wrong);
    }
    assert_eq!(conn.me(&token).await, 200);
}

#[tokio::test]
async fn a_bearer_token_comes_once_and_in_its_header() {
    let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let token = conn.sign_in(&acme).await.access;
    let basic = STANDARD.encode(format!("{}:{}", acme.email, acme.password));
    for line in [
        format!("Bearer {token} x"),
        format!("Bearer {token}, Bearer {token}"),
        format!("Bearer \"{token}\""),
        format!("Bearer {} {}", &token[..20], &token[20..]),
    ] {
        is_refused(&conn.send(conn.request("GET", "/v1/me", &[("authorization", &line)], b"")).await, &line);
    }
    // As many spaces as one likes (RFC 9110 §11.4).
    let spaced = format!("Bearer   {token}");
    conn.send(conn.request("GET", "/v1/me", &[("authorization", &spaced)], b"")).await.is(200);
    let good = format!("Bearer {token}");
    for second in [good.as_str(), "Bearer x", "Basic eDp4"] {
        let twice = [("authorization", good.as_str()), ("authorization", second)];
        is_refused(&conn.send(conn.request("GET", "/v1/me", &twice, b"")).await, second);
    }
    let invisible =
        [b"GET /v1/me HTTP/1.1\r\nhost: acme.localhost\r\nauthorization: Bearer \xff\xfe\r\n\r\n".as_slice()].concat();
    is_refused(&raw::ask(&server, invisible).await, "not text");

    // No bearer token at all: the challenge names no error (RFC 6750 §3.1).
    let foreign = [
        format!("Basic {basic}"),
        format!("Token {token}"),
        format!("DPoP {token}"),
        format!("Bearer{token}"),
        format!("Bearer\t{token}"),
        format!("Bearer:{token}"),
        token.clone(),
        "Bearer".into(),
        String::new(),
    ];
    let elsewhere = [("cookie", format!("access_token={token}")), ("x-authorization", good.clone())];
    let nothing =
        foreign.map(|line| vec![("authorization", line)]).into_iter().chain(elsewhere.map(|header| vec![header]));
    for nothing in nothing.chain([vec![]]) {
        let headers: Vec<_> = nothing.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = conn.send(conn.request("GET", "/v1/me", &headers, b"")).await;
        answer.is_problem(401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{headers:?}");
    }
    conn.get(&format!("/v1/me?access_token={token}"), None).await.is_problem(401, "unauthenticated");
    for good in [format!("bearer {token}"), format!("BEARER {token}"), format!("  Bearer {token}  ")] {
        conn.send(conn.request("GET", "/v1/me", &[("authorization", &good)], b"")).await.is(200);
    }
}

#[tokio::test]
async fn what_is_no_refresh_token_of_this_tenant_is_refused_alike() {
    let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    let theirs = Conn::to(&server, &globex).await.sign_in(&globex).await;
    let dead = conn.sign_in(&acme).await;
    conn.call("POST", "/v1/auth/logout", Some(&dead.access)).await.is(204);
    let token = session.refresh.as_str();
    let last = token.len() - 1;
    let wrong_end = if token.ends_with('A') { "B" } else { "A" };
    let mut bodies = vec![];
    for wrong in [
        session.access.as_str(),
        &theirs.refresh,
        &dead.refresh,
        &token[..last],
        &format!("{}{wrong_end}", &token[..last]),
        &format!("{token}A"),
        &format!(" {token}"),
        &format!("{token} "),
        &token.to_uppercase(),
        "",
        "x",
        &"x".repeat(10_000),
    ] {
        let answer = conn.refresh(wrong).await;
        is_refused(&answer, wrong);
        let mut body = answer.json();
        body["request_id"].take();
        bodies.push(body);
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "one body for all: {bodies:?}");
    // Guessing at a session revokes nothing: its id is no secret.
    Session::of(&conn.refresh(token).await);
    Session::of(&Conn::to(&server, &globex).await.refresh(&theirs.refresh).await);
}
