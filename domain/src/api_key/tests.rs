use proptest::prelude::*;

use super::*;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn key(kind: KeyKind, tenant: [u8; 16], secret: [u8; 32]) -> ApiKey {
    ApiKey::from_random(kind, TenantId::from_uuid(Uuid::from_bytes(tenant)), secret)
}

fn is_refused(text: &str) -> bool {
    text.parse::<ApiKey>() == Err(NotAnApiKey)
}

/// The check value of the catalogue of CRC algorithms.
#[test]
fn crc_32_known_answer() {
    assert_eq!(crc32([b"1234".as_slice(), b"", b"56789"]), 0xCBF4_3926);
}

#[test]
fn the_text_is_fixed() {
    let text = key(KeyKind::Secret, [0xAB; 16], [0; 32]).text();
    assert_eq!(text.expose(), &format!("nd_secret_{}qw{}Nm4GAg", "q6ur".repeat(5), "A".repeat(42)));
    let text = key(KeyKind::Publishable, [0xAB; 16], [0; 32]).text();
    assert_eq!(text.expose().len(), "nd_live_".len() + PAYLOAD_CHARS);
}

#[test]
fn every_wrong_character_is_refused() {
    for kind in KeyKind::ALL {
        let text = key(kind, [0x5A; 16], std::array::from_fn(|n| u8::try_from(n * 7).unwrap())).text();
        let text = text.expose().as_bytes();
        for place in 0..text.len() {
            for other in ALPHABET.iter().copied().chain([b'+', b'/', b'=', b'.', b' ', 0]) {
                let mut typo = text.to_vec();
                typo[place] = other;
                assert_eq!(is_refused(std::str::from_utf8(&typo).unwrap()), other != text[place], "{place} {other}");
            }
            let mut short = text.to_vec();
            short.remove(place);
            assert!(is_refused(std::str::from_utf8(&short).unwrap()));
            let mut long = text.to_vec();
            long.insert(place, b'A');
            assert!(is_refused(std::str::from_utf8(&long).unwrap()));
        }
        for place in 1..text.len() {
            let mut swapped = text.to_vec();
            swapped.swap(place - 1, place);
            let differs = text[place - 1] != text[place];
            assert_eq!(is_refused(std::str::from_utf8(&swapped).unwrap()), differs, "{place}");
        }
    }
}

#[test]
fn no_other_text_is_the_same_key() {
    let text = key(KeyKind::Publishable, [0xAB; 16], [0xFB; 32]).text().expose().clone();
    let (front, last) = text.split_at(text.len() - 1);
    let others = [
        text.to_uppercase(),
        text.replace("nd_live_", "nd_secret_"),
        text.replace("nd_live_", "ND_LIVE_"),
        text.replace("nd_live_", ""),
        format!("{text}="),
        format!("{text}=="),
        format!(" {text}"),
        format!("{text}\n"),
        format!("{front}{}", char::from(last.bytes().next().unwrap() + 1)), // the same bits, unused ones set
        format!("nd_live_{}", "é".repeat(35)),
        "nd_live_".to_owned(),
        String::new(),
    ];
    for other in others {
        assert!(is_refused(&other), "{other}");
    }
    assert!(!is_refused(&text));
}

#[test]
fn the_hash_binds_kind_tenant_and_secret() {
    let hash = key(KeyKind::Secret, [1; 16], [2; 32]).hash();
    assert_eq!(hash, key(KeyKind::Secret, [1; 16], [2; 32]).hash());
    assert_ne!(hash, key(KeyKind::Publishable, [1; 16], [2; 32]).hash());
    assert_ne!(hash, key(KeyKind::Secret, [3; 16], [2; 32]).hash());
    assert_ne!(hash, key(KeyKind::Secret, [1; 16], [3; 32]).hash());
    let input = [b"freehold/v1/api-key/nd_secret_".as_slice(), &[1; 16], &[2; 32]].concat();
    assert_eq!(hash.bytes().as_slice(), Sha256::digest(&input).as_slice());
    assert_eq!(format!("{hash:?}{:?}", key(KeyKind::Secret, [1; 16], [0xEE; 32]).secret), "KeyHash[secret]");
}

#[test]
fn kinds_read_back() {
    for kind in KeyKind::ALL {
        assert_eq!(kind.as_str().parse(), Ok(kind));
    }
    for other in ["", "Secret", "live", "publishable "] {
        assert_eq!(other.parse::<KeyKind>(), Err(NotAKeyKind), "{other}");
    }
}

proptest! {
    #[test]
    fn every_key_survives_its_text(secret: [u8; 32], tenant: [u8; 16], is_secret: bool) {
        let kind = if is_secret { KeyKind::Secret } else { KeyKind::Publishable };
        let key = key(kind, tenant, secret);
        let text = key.text();
        prop_assert_eq!(text.expose().parse(), Ok(key.clone()));
        let last4 = key.last4();
        prop_assert!(last4.len() == LAST_CHARS && text.expose().ends_with(&last4));
    }
}
