use super::*;
use crate::time::UnixMs;

fn id(text: &str) -> MasterKeyId {
    text.parse().unwrap()
}

fn entry(name: &str, n: u8) -> String {
    MasterRing::generate_entry(&id(name), &Secret::new([n; 32])).expose().clone()
}

fn ring(entries: &[(&str, u8)]) -> MasterRing {
    entries.iter().map(|(name, n)| entry(name, *n)).collect::<Vec<_>>().join(",").parse().unwrap()
}

fn nonce() -> Nonce {
    Nonce::from_random([5; 12])
}

fn tenant(n: u8) -> TenantId {
    TenantId::new(UnixMs::new(1), [n; 10])
}

#[test]
fn the_first_entry_is_the_newest() {
    let ring = ring(&[("2026-b", 2), ("2026-a", 1)]);
    assert_eq!(ring.newest().as_str(), "2026-b");
    assert_eq!(ring.ids().map(MasterKeyId::as_str).collect::<Vec<_>>(), ["2026-b", "2026-a"]);
    let debug = format!("{ring:?}");
    assert!(debug.contains("[secret]") && !debug.contains('2'.to_string().repeat(3).as_str()), "{debug}");
}

#[test]
fn faults_are_named_without_the_key() {
    let key = "A".repeat(43) + "=";
    let b = "B".repeat(43) + "="; // its last character has unused bits set
    for (text, expected) in [
        (String::new(), RingError::Empty),
        (key.clone(), RingError::Shape(1)),
        (format!("a:{key}:b"), RingError::Shape(1)),
        (format!("{},", entry("a", 1)), RingError::Shape(2)),
        (format!("{},,{}", entry("a", 1), entry("b", 2)), RingError::Shape(2)),
        (format!(":{key}"), RingError::Id(1)),
        (format!("A:{key}"), RingError::Id(1)),
        (format!(" a:{key}"), RingError::Id(1)),
        (format!("{}:{key}", "a".repeat(33)), RingError::Id(1)),
        (format!("{}, b:{key}", entry("a", 1)), RingError::Id(2)),
        (format!("{key}:a"), RingError::Id(1)),
        (format!("a:{key}\n"), RingError::Base64(id("a"))),
        (format!("a: {key}"), RingError::Base64(id("a"))),
        (format!("a:{}", "A".repeat(43)), RingError::Base64(id("a"))),
        (format!("a:{b}"), RingError::Base64(id("a"))),
        (format!("a:{}=", "-".repeat(43)), RingError::Base64(id("a"))),
        ("a:".into(), RingError::KeyBytes { id: id("a"), bytes: 0 }),
        (format!("a:{}", "A".repeat(44)), RingError::KeyBytes { id: id("a"), bytes: 33 }),
        (format!("a:{}==", "A".repeat(22)), RingError::KeyBytes { id: id("a"), bytes: 16 }),
        (format!("{},{}", entry("a", 1), entry("a", 2)), RingError::DuplicateId(id("a"))),
        (format!("{},{}", entry("a", 1), entry("b", 1)), RingError::DuplicateKey(id("a"), id("b"))),
    ] {
        let refused = text.parse::<MasterRing>().unwrap_err();
        assert_eq!(refused, expected, "{text}");
        assert!(!refused.to_string().contains("AAAA"), "{refused}");
    }
}

#[test]
fn an_id_is_short_and_plain() {
    assert_eq!(id(&"a".repeat(32)).to_string(), "a".repeat(32));
    for text in ["", "A", "a_b", "a/b", "ä", "a b", &"a".repeat(33)] {
        assert_eq!(text.parse::<MasterKeyId>(), Err(NotAMasterKeyId));
    }
}

#[test]
fn the_check_value_knows_its_ring() {
    let (key_id, sealed) = ring(&[("a", 1)]).seal_check(nonce()).unwrap();
    assert_eq!(key_id, id("a"));
    assert_eq!(ring(&[("b", 2), ("a", 1)]).verify_check(&key_id, &sealed), Ok(()));
    assert_eq!(ring(&[("b", 1)]).verify_check(&key_id, &sealed), Err(MasterError::UnknownKey(id("a"))));
    assert_eq!(ring(&[("a", 2)]).verify_check(&key_id, &sealed), Err(MasterError::DoesNotOpen(id("a"))));
    for changed in [vec![], vec![1], vec![1; 40], [&[2], &sealed[1..]].concat(), sealed[..sealed.len() - 1].to_vec()] {
        assert_eq!(ring(&[("a", 1)]).verify_check(&key_id, &changed), Err(MasterError::DoesNotOpen(id("a"))));
    }
}

#[test]
fn a_root_opens_only_as_itself() {
    let old = ring(&[("a", 1)]);
    let root = RootKey::from_random(KeyVersion::new(2), [7; 32]);
    let (key_id, sealed) = old.seal_root(tenant(1), &root, nonce()).unwrap();
    let both = ring(&[("b", 2), ("a", 1)]);
    let opened = both.open_root(tenant(1), root.version(), &key_id, &sealed).unwrap();
    assert_eq!((opened.version(), opened.bytes()), (root.version(), root.bytes()));

    let refused = Some(MasterError::DoesNotOpen(key_id.clone()));
    assert_eq!(both.open_root(tenant(2), root.version(), &key_id, &sealed).err(), refused);
    assert_eq!(both.open_root(tenant(1), KeyVersion::new(1), &key_id, &sealed).err(), refused);
    assert_eq!(both.verify_check(&key_id, &sealed).err(), refused);
    assert_eq!(
        both.open_root(tenant(1), root.version(), &id("b"), &sealed).err(),
        Some(MasterError::DoesNotOpen(id("b")))
    );
    let (renewed, _) = both.seal_root(tenant(1), &opened, nonce()).unwrap();
    assert_eq!(&renewed, both.newest());
}

#[test]
fn a_secret_of_the_server_opens_only_as_itself() {
    let (old, new) = (ring(&[("a", 1)]), ring(&[("b", 2), ("a", 1)]));
    let secret = Secret::new(b"a private key".to_vec());
    let key_of = |host| ServerSecret::CertificateKey { host };
    let (sealed_by, sealed) = old.seal_own(key_of("shop.test"), &secret, nonce()).unwrap();
    assert_eq!(sealed_by, id("a"));
    assert!(!sealed.windows(7).any(|bytes| bytes == b"private"));
    assert_eq!(new.open_own(key_of("shop.test"), &sealed_by, &sealed).unwrap(), secret, "an older key opens too");
    let does_not_open =
        |which| new.open_own(which, &sealed_by, &sealed).err() == Some(MasterError::DoesNotOpen(id("a")));
    assert!(does_not_open(key_of("shop.tes")) && does_not_open(key_of("evil.test")));
    assert!(does_not_open(ServerSecret::AcmeAccount { directory: "shop.test" }));
    assert_eq!(new.open_own(key_of("shop.test"), &id("c"), &sealed), Err(MasterError::UnknownKey(id("c"))));
    assert!(new.verify_check(&sealed_by, &sealed).is_err());
}
