use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::keys::tests::{keys, kid, tenant};

mod forgeries;

const NOW: UnixMs = UnixMs::new(1_800_000_000_999);
const IAT: i64 = 1_800_000_000;
const ISSUER: &str = "https://acme.example.com";

fn grant() -> AccessGrant<'static> {
    AccessGrant {
        has_second_factor: false,
        operator: None,
        issuer: ISSUER,
        member: MemberId::new(NOW, [1; 10]),
        family: FamilyId::new(NOW, [2; 10]),
        role: Role::SalesRep,
        epoch: 7,
        token: TokenId::new(NOW, [3; 10]),
    }
}

fn valid() -> String {
    issue(&keys(1, &[1]), &grant(), NOW).unwrap().expose().clone()
}

fn check_at(token: &str, now: UnixMs) -> Result<AccessClaims, AccessTokenError> {
    verify(token, &keys(1, &[1]), tenant(1), ISSUER, now)
}

fn check(token: &str) -> Result<AccessClaims, AccessTokenError> {
    check_at(token, NOW)
}

fn parts(token: &str) -> [String; 3] {
    token.split('.').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap()
}

fn json_of(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn b64(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// A token with this header and payload text, signed by our own current key: what only a fault of ours could make.
fn sign(header: &str, payload: &str) -> String {
    let message = format!("{}.{}", b64(header), b64(payload));
    let key = keys(1, &[1]).signing_key(UnixMs::new(IAT * 1_000)).unwrap().encoding_key();
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::EdDSA).unwrap();
    format!("{message}.{signature}")
}

fn own_header() -> String {
    json_of(&parts(&valid())[0]).to_string()
}

fn own_claims() -> Value {
    json_of(&parts(&valid())[1])
}

#[test]
fn a_token_says_what_was_granted() {
    let token = valid();
    let claims = check(&token).unwrap();
    let AccessGrant { member, family, token: jti, .. } = grant();
    let expected = json!({
        "iss": ISSUER, "aud": "freehold", "sub": member, "tid": tenant(1), "sid": family, "role": "sales_rep",
        "epoch": 7, "iat": IAT, "exp": IAT + 900, "jti": jti,
    });
    assert_eq!(serde_json::to_value(&claims).unwrap(), expected);
    assert_eq!(json_of(&parts(&token)[0]), json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid(1)}));
    assert_eq!(check(&sign(&own_header(), &own_claims().to_string())), Ok(claims), "the forger's tool works");
}

#[test]
fn a_second_factor_is_told_and_methods_of_a_later_release_are_no_fault() {
    let grant = AccessGrant { has_second_factor: true, ..grant() };
    let token = issue(&keys(1, &[1]), &grant, NOW).unwrap().expose().clone();
    let claims = json_of(&parts(&token)[1]);
    assert_eq!(claims["amr"], json!(["mfa"]));
    assert!(check(&token).unwrap().has_second_factor() && !check(&valid()).unwrap().has_second_factor());
    let mut later = claims;
    later["amr"] = json!(["face", "mfa"]);
    assert!(check(&sign(&own_header(), &later.to_string())).unwrap().has_second_factor());
}

#[test]
fn an_operator_who_acts_as_a_member_is_told() {
    let operator = Acting { sub: MemberId::new(NOW, [9; 10]), sid: FamilyId::new(NOW, [8; 10]), epoch: 3 };
    let grant = AccessGrant { operator: Some(operator), ..grant() };
    let token = issue(&keys(1, &[1]), &grant, NOW).unwrap().expose().clone();
    assert_eq!(json_of(&parts(&token)[1])["act"], json!({ "sub": operator.sub, "sid": operator.sid, "epoch": 3 }));
    assert_eq!(check(&token).unwrap().act, Some(operator));
    assert_eq!(check(&valid()).unwrap().act, None);
}

#[test]
fn time_has_no_leeway() {
    let token = valid();
    for (ms, expected) in [
        (IAT * 1_000 - 1, Err(AccessTokenError::NotYet)),
        (IAT * 1_000, Ok(())),
        ((IAT + 900) * 1_000 - 1, Ok(())),
        ((IAT + 900) * 1_000, Err(AccessTokenError::Expired)),
        (i64::MAX, Err(AccessTokenError::Expired)),
        (0, Err(AccessTokenError::NotYet)),
    ] {
        assert_eq!(check_at(&token, UnixMs::new(ms)).map(drop), expected, "{ms}");
    }
}

#[test]
fn retired_keys_verify_until_withdrawn() {
    let token = valid();
    let verify = |signing: &[u8]| verify(&token, &keys(1, signing), tenant(1), ISSUER, NOW).map(drop);
    assert_eq!(verify(&[2, 1]), Ok(()));
    assert_eq!(verify(&[2]), Err(AccessTokenError::UnknownKey));
}

#[test]
fn another_tenant_refuses_it() {
    let token = valid();
    assert_eq!(verify(&token, &keys(2, &[2]), tenant(2), ISSUER, NOW), Err(AccessTokenError::UnknownKey));
    // Even with the same key under the same kid:
    assert_eq!(verify(&token, &keys(2, &[1]), tenant(2), ISSUER, NOW), Err(AccessTokenError::Tenant));
    assert_eq!(verify(&token, &keys(1, &[1]), tenant(2), ISSUER, NOW), Err(AccessTokenError::Tenant));
    assert_eq!(verify(&token, &keys(2, &[1]), tenant(1), ISSUER, NOW), Err(AccessTokenError::Tenant));
    let other = verify(&token, &keys(1, &[1]), tenant(1), "https://globex.example.com", NOW);
    assert_eq!(other, Err(AccessTokenError::Issuer));
}

#[test]
fn unknown_claims_are_ignored() {
    let mut claims = own_claims();
    claims["of_a_later_release"] = json!({"a": 1});
    assert!(check(&sign(&own_header(), &claims.to_string())).is_ok());
}
