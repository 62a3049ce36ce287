//! Every way we know to forge an access token from a valid one or from none.

use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use jsonwebtoken::EncodingKey;
use proptest::prelude::*;

use super::*;

#[test]
fn foreign_headers_are_refused() {
    let [_, payload, signature] = parts(&valid());
    let kid = kid(1).to_string();
    let mut headers: Vec<String> = Vec::new();
    for alg in [
        "none", "None", "NONE", "nOnE", "", " none", "HS256", "HS512", "RS256", "ES256", "PS256", "eddsa", "EDDSA",
        "Ed25519", "EdDSA ", "EdDSA\0",
    ] {
        headers.push(json!({"alg": alg, "typ": "at+jwt", "kid": kid}).to_string());
    }
    for typ in ["JWT", "at+JWT", "AT+JWT", "application/at+jwt", "", "at+jwt ", "refresh+jwt"] {
        headers.push(json!({"alg": "EdDSA", "typ": typ, "kid": kid}).to_string());
    }
    for extra in ["crit", "jku", "jwk", "x5u", "x5c", "x5t", "cty", "zip", "enc", "b64", "url", "nonce", "anything"] {
        let mut header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid});
        header[extra] = if extra == "crit" { json!(["exp"]) } else { json!("https://attacker.example/keys") };
        headers.push(header.to_string());
    }
    headers.extend([
        json!({"alg": "EdDSA", "kid": kid}).to_string(),
        json!({"typ": "at+jwt", "kid": kid}).to_string(),
        json!({"alg": "EdDSA", "typ": "at+jwt"}).to_string(),
        json!({"alg": "EdDSA", "typ": null, "kid": kid}).to_string(),
        json!({"alg": ["EdDSA"], "typ": "at+jwt", "kid": kid}).to_string(),
        format!(r#"{{"alg":"none","alg":"EdDSA","typ":"at+jwt","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"x","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"Ed\u0044SA","typ":"at+jwt","kid":"{kid}"}}"#),
        format!(r#"{{"alg":"EdDSA","typ":"at+jwt","kid":"{kid}"}} trailing"#),
        format!(r#"["EdDSA","at+jwt","{kid}"]"#),
        "{}".into(),
        "null".into(),
        String::new(),
    ]);
    for header in headers {
        // Once with the old signature and once signed anew: the header alone must be enough to refuse it.
        let resigned = sign(&header, &own_claims().to_string());
        for token in
            [format!("{}.{payload}.{signature}", b64(&header)), resigned, format!("{}.{payload}.", b64(&header))]
        {
            let refused = check(&token).unwrap_err();
            assert!(matches!(refused, AccessTokenError::Header | AccessTokenError::Malformed), "{header}: {refused}");
        }
    }
}

#[test]
fn foreign_keys_are_refused() {
    let (id, unhyphenated, braced) =
        (kid(2).to_string(), kid(1).to_string().replace('-', ""), format!("{{{}}}", kid(1)));
    for other in ["", "unknown", "../../etc/passwd", "' OR 1=1 --", &id, &unhyphenated, &braced] {
        let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": other}).to_string();
        assert_eq!(check(&sign(&header, &own_claims().to_string())), Err(AccessTokenError::UnknownKey), "{other}");
    }
    // Another tenant's key under our kid.
    let message = format!("{}.{}", b64(own_header()), b64(own_claims().to_string()));
    let foreign = keys(2, &[9]).signing_key(UnixMs::new(IAT * 1_000)).unwrap().encoding_key();
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &foreign, Algorithm::EdDSA).unwrap();
    assert_eq!(check(&format!("{message}.{signature}")), Err(AccessTokenError::Signature));
    // The public key as an HMAC secret, in the spellings a confused library might take.
    let public = *keys(1, &[1]).signing_key(UnixMs::new(IAT * 1_000)).unwrap().verifying_key().public();
    for secret in [public.to_vec(), b64(public).into_bytes(), STANDARD.encode(public).into_bytes(), vec![]] {
        for (alg, name) in [(Algorithm::HS256, "HS256"), (Algorithm::HS384, "HS384"), (Algorithm::HS512, "HS512")] {
            for header_alg in [name, "EdDSA"] {
                let header = json!({"alg": header_alg, "typ": "at+jwt", "kid": kid(1)}).to_string();
                let message = format!("{}.{}", b64(header), b64(own_claims().to_string()));
                let key = EncodingKey::from_secret(&secret);
                let mac = jsonwebtoken::crypto::sign(message.as_bytes(), &key, alg).unwrap();
                check(&format!("{message}.{mac}")).unwrap_err();
            }
        }
    }
}

#[test]
fn foreign_claims_are_refused_even_when_signed() {
    use AccessTokenError::{Audience, Issuer, Lifetime, Malformed, NotYet, Tenant};
    let changed = |name: &str, value: Value| {
        let mut claims = own_claims();
        claims[name] = value;
        sign(&own_header(), &claims.to_string())
    };
    for (name, value, expected) in [
        ("iss", json!("https://evil.example"), Issuer),
        ("iss", json!(format!("{ISSUER}/")), Issuer),
        ("iss", json!([ISSUER]), Malformed),
        ("aud", json!("other"), Audience),
        ("aud", json!(["freehold"]), Malformed),
        ("tid", json!(tenant(2)), Tenant),
        ("exp", json!(IAT + 901), Lifetime),
        ("exp", json!(IAT + 899), Lifetime),
        ("exp", json!(i64::MAX), Lifetime),
        ("exp", json!(-1), Lifetime),
        ("exp", json!("1800000900"), Malformed),
        ("exp", json!(1_800_000_900.5), Malformed),
        ("exp", Value::Null, Malformed),
        ("iat", json!(IAT + 1), Lifetime),
        ("iat", json!(i64::MAX), Lifetime),
        ("role", json!("owner"), Malformed),
        ("sub", json!("root"), Malformed),
        ("epoch", json!("7"), Malformed),
    ] {
        assert_eq!(check(&changed(name, value.clone())), Err(expected), "{name} {value}");
    }
    let mut later = own_claims();
    (later["iat"], later["exp"]) = (json!(IAT + 1), json!(IAT + 901));
    assert_eq!(check(&sign(&own_header(), &later.to_string())), Err(NotYet));
    for name in ["iss", "aud", "sub", "tid", "sid", "role", "epoch", "iat", "exp", "jti"] {
        let mut claims = own_claims();
        claims.as_object_mut().unwrap().remove(name);
        assert_eq!(check(&sign(&own_header(), &claims.to_string())), Err(Malformed), "{name}");
        let text = own_claims().to_string();
        let twice = format!(r#"{{"{name}":{},{}"#, own_claims()[name], &text[1..]);
        assert_eq!(check(&sign(&own_header(), &twice)), Err(Malformed), "{name} twice");
    }
}

#[test]
fn other_texts_of_the_same_token_are_refused() {
    let token = valid();
    let [header, payload, signature] = parts(&token);
    let bytes = URL_SAFE_NO_PAD.decode(&signature).unwrap();
    // The last of 86 characters carries 4 unused bits.
    let (front, last) = signature.split_at(signature.len() - 1);
    let loose = format!("{front}{}", char::from(last.bytes().next().unwrap() + 1));
    let mut texts = vec![
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        header.clone(),
        format!("{header}.{payload}"),
        format!("{header}.{payload}."),
        format!(".{payload}.{signature}"),
        format!("{header}..{signature}"),
        format!("{token}."),
        format!("{token}.{signature}"),
        format!(".{token}"),
        format!("{token}="),
        format!("{header}.{payload}.{}", URL_SAFE.encode(&bytes)),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}.{loose}"),
        format!("{header}.{payload}.{}", b64(&bytes[..63])),
        format!("{header}.{payload}.{}", b64([&bytes[..], &[0]].concat())),
        format!("{header}.{payload}.{}", b64([0; 64])),
        format!("{payload}.{header}.{signature}"),
        format!("{header}.{payload}.{}", b64(plus_order(&bytes))),
        format!("Bearer {token}"),
    ];
    for space in [" ", "\n", "\r\n", "\t", "\0", "\u{a0}", "\u{feff}"] {
        texts.extend([format!("{space}{token}"), format!("{token}{space}"), token.replace('.', &format!("{space}."))]);
    }
    for text in texts {
        assert_ne!(text, token);
        assert!(check(&text).is_err(), "{text}");
    }
    assert_eq!(check(&format!("{token}{}", "A".repeat(2_048))), Err(AccessTokenError::TooLong));
}

/// The same signature with the group order added to its scalar: valid to a verifier that forgets RFC 8032 §5.1.7.
fn plus_order(signature: &[u8]) -> Vec<u8> {
    let order: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let (point, scalar) = signature.split_at(32);
    let mut carry = 0_u16;
    let sum = scalar.iter().zip(order).map(|(a, b)| {
        let digit = u16::from(*a) + u16::from(b) + carry;
        carry = digit >> 8;
        digit.to_le_bytes()[0]
    });
    let sum: Vec<u8> = sum.collect();
    [point, &sum].concat()
}

#[test]
fn every_flipped_bit_is_refused() {
    let token = valid();
    for (at, byte) in token.bytes().enumerate() {
        for bit in 0..7 {
            let mut forged = token.clone().into_bytes();
            forged[at] = byte ^ (1 << bit);
            let forged = String::from_utf8(forged).unwrap();
            assert!(check(&forged).is_err(), "{forged}");
        }
    }
}

proptest! {
    #[test]
    fn no_text_panics_or_passes(text in "\\PC{0,200}", header in "\\PC{0,60}", payload in "\\PC{0,60}") {
        prop_assert!(check(&text).is_err());
        let token = [b64(&header), b64(&payload), b64(&text)].join(".");
        prop_assert!(check(&token).is_err());
        prop_assert!(check(&sign(&own_header(), &payload)).is_err());
    }
}
