//! Tokens that are signed well and say something else, and tokens that are not signed well.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::super::key_set::{Found, KeyCache, KeySet};
use super::*;

const NOW: UnixMs = UnixMs::new(1_700_000_000_000);
const EXPECTED: Expected<'_> = Expected {
    issuer: "https://accounts.example.com",
    client_id: "client",
    nonce: "of this sign-in",
    hosted_domain: None,
};

fn ec() -> EncodingKey {
    EncodingKey::from_ec_der(include_bytes!("test-ec.der"))
}

fn rsa() -> EncodingKey {
    EncodingKey::from_rsa_der(include_bytes!("test-rsa.der"))
}

fn key(key: &EncodingKey, alg: Algorithm) -> ProviderKey {
    let mut jwk = serde_json::to_value(Jwk::from_encoding_key(key, alg).unwrap()).unwrap();
    jwk["kid"] = json!("k1");
    let mut cache = KeyCache::default();
    cache.take(KeySet::parse(&json!({ "keys": [jwk] }).to_string()).unwrap(), NOW);
    let Found::Key(key) = cache.find("k1", NOW) else { panic!("no key") };
    key
}

fn claims() -> Value {
    let now = NOW.as_secs();
    json!({
        "iss": EXPECTED.issuer, "aud": "client", "azp": "client", "sub": "1087", "nonce": EXPECTED.nonce, "iat": now,
        "exp": now + 3_600, "email": "Ada@example.com", "email_verified": true, "name": "Ada", "hd": "example.com", "at_hash": "x",
    })
}

fn sign(header: &Value, claims: &Value, key: &EncodingKey, alg: Algorithm) -> String {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let message = format!("{header}.{claims}");
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, alg).unwrap();
    format!("{message}.{signature}")
}

fn with(change: impl FnOnce(&mut Value)) -> String {
    let mut claims = claims();
    change(&mut claims);
    sign(&json!({ "alg": "ES256", "kid": "k1", "typ": "JWT" }), &claims, &ec(), Algorithm::ES256)
}

fn outcome(token: &str) -> Result<Profile, IdTokenError> {
    verify(token, &key(&ec(), Algorithm::ES256), &EXPECTED, NOW)
}

#[test]
fn a_good_token_is_believed() {
    let seen = outcome(&with(|_| ())).unwrap();
    assert_eq!(seen.subject.as_str(), "1087");
    assert_eq!(seen.email.unwrap().as_str(), "ada@example.com");
    assert_eq!((seen.account.unwrap().as_str(), seen.name.unwrap().as_str()), ("Ada@example.com", "Ada"));
    let rs256 = sign(&json!({ "alg": "RS256", "kid": "k1" }), &claims(), &rsa(), Algorithm::RS256);
    assert!(verify(&rs256, &key(&rsa(), Algorithm::RS256), &EXPECTED, NOW).is_ok());
    assert_eq!(key_id(&rs256).as_deref(), Ok("k1"));
    assert_eq!(in_answer(r#"{"id_token": "a.b.c", "access_token": "x"}"#).as_deref(), Ok("a.b.c"));
    assert_eq!(in_answer(r#"{"error": "invalid_grant"}"#), Err(IdTokenError::Malformed));
}

#[test]
fn a_good_signature_excuses_nothing() {
    use IdTokenError::{Audience, Issuer, Malformed, Nonce, Time};
    let now = NOW.as_secs();
    for (name, value, wanted) in [
        ("iss", json!("https://accounts.example.com/"), Issuer),
        ("iss", json!("accounts.example.com"), Issuer),
        ("aud", json!("other"), Audience),
        ("aud", json!(["other"]), Audience),
        ("aud", json!([]), Audience),
        ("azp", json!("other"), Audience),
        ("nonce", json!("of another sign-in"), Nonce),
        ("nonce", Value::Null, Nonce),
        ("nonce", json!(""), Nonce),
        ("exp", json!(now), Time),
        ("exp", json!(now - 1), Time),
        ("iat", json!(now + 61), Time),
        ("iat", json!(now - 601), Time),
        ("iat", json!(i64::MAX), Time),
        ("exp", json!("soon"), Malformed),
        ("iat", Value::Null, Malformed),
        ("sub", json!(""), Malformed),
        ("sub", json!(1087), Malformed),
        ("sub", Value::Null, Malformed),
        ("aud", Value::Null, Malformed),
        ("email_verified", json!("true"), Malformed),
    ] {
        assert_eq!(outcome(&with(|claims| claims[name] = value.clone())).err(), Some(wanted), "{name}: {value}");
    }
    assert!(outcome(&with(|claims| claims["iat"] = json!(now + 60))).is_ok());
}

#[test]
fn with_other_audiences_it_says_for_whom_it_was_issued() {
    let both = json!(["client", "other"]);
    assert!(outcome(&with(|claims| claims["aud"] = both.clone())).is_ok());
    let silent = with(|claims| {
        claims["aud"] = both.clone();
        claims["azp"] = Value::Null;
    });
    assert_eq!(outcome(&silent).err(), Some(IdTokenError::Audience));
    assert!(outcome(&with(|claims| claims["azp"] = Value::Null)).is_ok());
}

#[test]
fn an_address_counts_only_when_it_is_verified() {
    for not in [json!(false), Value::Null] {
        let seen = outcome(&with(|claims| claims["email_verified"] = not.clone())).unwrap();
        assert_eq!(seen.email, None, "{not}");
    }
    assert_eq!(outcome(&with(|claims| claims["email"] = json!("no address"))).unwrap().email, None);
}

#[test]
fn a_wanted_domain_is_the_whole_domain() {
    let hd = |token: &str, wanted| {
        let expected = Expected { hosted_domain: Some(wanted), ..EXPECTED };
        verify(token, &key(&ec(), Algorithm::ES256), &expected, NOW).map(|_| ())
    };
    assert_eq!(hd(&with(|_| ()), "example.com"), Ok(()));
    for other in [json!("evil.example.com"), json!("example.com.evil"), json!(""), Value::Null] {
        let token = with(|claims| claims["hd"] = other.clone());
        assert_eq!(hd(&token, "example.com"), Err(IdTokenError::HostedDomain), "{other}");
    }
}

#[test]
fn whatever_is_not_signed_by_the_named_key_is_refused() {
    use IdTokenError::{Header, Malformed, Signature};
    let good = with(|_| ());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let payload = message.split_once('.').unwrap().1;
    let head = |header: Value| format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header.to_string()));
    let public = serde_json::to_vec(&Jwk::from_encoding_key(&ec(), Algorithm::ES256).unwrap()).unwrap();
    let shared = EncodingKey::from_secret(&public);
    let hs256 = sign(&json!({ "alg": "HS256", "kid": "k1" }), &claims(), &shared, Algorithm::HS256);
    let as_es256 = hs256.replacen(hs256.split('.').next().unwrap(), good.split('.').next().unwrap(), 1);
    let rs256 = sign(&json!({ "alg": "RS256", "kid": "k1" }), &claims(), &rsa(), Algorithm::RS256);
    for (token, wanted) in [
        (format!("{}.", head(json!({ "alg": "none", "kid": "k1" }))), Header),
        (format!("{}.{signature}", head(json!({ "alg": "none", "kid": "k1" }))), Header),
        (hs256, Header),
        (as_es256, Signature),
        (rs256, Signature),
        (format!("{}.{signature}", head(json!({ "alg": "ES256" }))), Header),
        (format!("{}.{signature}", head(json!({ "alg": "ES256", "kid": "k1", "crit": ["x"] }))), Header),
        (format!("{}.{signature}", head(json!({ "alg": "ES256", "kid": "k1", "jwk": {} }))), Signature),
        (format!("{message}."), Signature),
        (format!("{message}.{}", &signature[..80]), Signature),
        (message.to_owned(), Malformed),
        (String::new(), Malformed),
        ("..".to_owned(), Malformed),
        (format!("{good}{}", "A".repeat(BYTES_MAX)), Malformed),
    ] {
        assert_eq!(outcome(&token).err(), Some(wanted), "{token}");
    }
    let late = verify(&good, &key(&ec(), Algorithm::ES256), &EXPECTED, NOW.plus(Duration::from_hours(1)));
    assert_eq!(late.err(), Some(IdTokenError::Time));
}
