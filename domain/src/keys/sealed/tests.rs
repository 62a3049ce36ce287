use proptest::prelude::*;

use super::*;
use crate::keys::{Purpose, RootKey};
use crate::time::UnixMs;

const VERSION: KeyVersion = KeyVersion::new(3);

fn tenant(n: u8) -> TenantId {
    TenantId::new(UnixMs::new(1), [n; 10])
}

fn key(n: u8) -> DerivedKey {
    RootKey::from_random(VERSION, [n; 32]).derive(Purpose::Field, tenant(1)).unwrap()
}

fn seal(place: &Place<'_>, value: &[u8]) -> Sealed<Secret<Vec<u8>>> {
    let nonce = Nonce::from_random([9; 12]);
    Sealed::seal((VERSION, &key(1)), tenant(1), place, &Secret::new(value.to_vec()), nonce).unwrap()
}

const PLACE: Place<'static> = Place { table: "member", column: "email", row: &[1; 16] };

#[test]
fn the_layout_is_fixed() {
    let sealed = seal(&PLACE, b"hello");
    assert_eq!(sealed.bytes().len(), 33 + 5);
    assert_eq!(sealed.bytes()[..17], [[1, 0, 0, 0, 3].as_slice(), &[9; 12]].concat());
    assert_eq!(sealed.key_version(), VERSION);
    assert_eq!(format!("{sealed:?}"), "[sealed]");

    let mut associated = b"freehold/v1/\x01\0\0\0\x03".to_vec();
    for part in [tenant(1).uuid().as_bytes(), b"member".as_slice(), b"email", &[1; 16]] {
        associated.extend([0, 0, 0, 0, 0, 0, 0, u8::try_from(part.len()).unwrap()]);
        associated.extend(part);
    }
    assert_eq!(aead_open(key(1).bytes(), &associated, &sealed.bytes()[5..]).unwrap().expose(), b"hello");
}

#[test]
fn a_moved_value_does_not_open() {
    let sealed = seal(&PLACE, b"hello");
    assert_eq!(sealed.open(&key(1), tenant(1), &PLACE).unwrap().expose(), b"hello");
    for place in [
        Place { table: "invitation", ..PLACE },
        Place { column: "name", ..PLACE },
        Place { row: &[2; 16], ..PLACE },
        Place { row: &[1; 15], ..PLACE },
        Place { row: &[], ..PLACE },
        Place { table: "membere", column: "mail", ..PLACE },
        Place { table: "", column: "memberemail", ..PLACE },
    ] {
        assert_eq!(sealed.open(&key(1), tenant(1), &place), Err(CryptoError), "{place:?}");
    }
    assert_eq!(sealed.open(&key(1), tenant(2), &PLACE), Err(CryptoError));
    assert_eq!(sealed.open(&key(2), tenant(1), &PLACE), Err(CryptoError));
}

#[test]
fn plaintext_is_not_a_sealed_value() {
    for bytes in
        [&b""[..], b"ada@example.com", &[0x01; 32], &[0x02; 64], b"a long plaintext that is more than 33 bytes"]
    {
        assert_eq!(Sealed::<Email>::from_stored(bytes.to_vec()), Err(NotSealed));
    }
    let sealed = seal(&PLACE, b"");
    assert_eq!(Sealed::from_stored(sealed.bytes().to_vec()), Ok(sealed));
}

#[test]
fn values_survive_and_wrong_types_do_not() {
    fn round<T: Sealable>(value: &T) -> T {
        T::from_plaintext(value.to_plaintext().expose()).unwrap()
    }
    let email: Email = "ada@example.com".parse().unwrap();
    assert_eq!(round(&email), email);
    let name: OneLine<20> = "Ada Lovelace".parse().unwrap();
    assert_eq!(round(&name), name);
    assert_eq!(round(&Secret::new([1_u8; 20])), Secret::new([1; 20]));
    assert_eq!(round(&Secret::new("text".to_owned())), Secret::new("text".to_owned()));
    assert!(Email::from_plaintext(b"ada").is_none());
    assert!(OneLine::<3>::from_plaintext(b"four").is_none());
    assert!(Secret::<[u8; 20]>::from_plaintext(&[1; 19]).is_none());
    assert!(Secret::<String>::from_plaintext(&[0xff]).is_none());
}

proptest! {
    #[test]
    fn a_changed_bit_does_not_open(value: Vec<u8>, at: prop::sample::Index, bit in 0_u8..8) {
        let mut bytes = seal(&PLACE, &value).into_bytes();
        *at.get_mut(&mut bytes) ^= 1 << bit;
        if let Ok(changed) = Sealed::<Secret<Vec<u8>>>::from_stored(bytes) {
            prop_assert_eq!(changed.open(&key(1), tenant(1), &PLACE), Err(CryptoError));
        }
    }

    #[test]
    fn a_value_cut_or_grown_does_not_open(value: Vec<u8>, cut in 1_usize..40, grown in 1_usize..40) {
        let bytes = seal(&PLACE, &value).into_bytes();
        let shorter = bytes[..bytes.len().saturating_sub(cut)].to_vec();
        let longer = [bytes.clone(), vec![0; grown]].concat();
        for changed in [shorter, longer].into_iter().filter_map(|b| Sealed::<Secret<Vec<u8>>>::from_stored(b).ok()) {
            prop_assert_eq!(changed.open(&key(1), tenant(1), &PLACE), Err(CryptoError));
        }
    }

    #[test]
    fn only_the_same_place_opens(row: Vec<u8>, other: Vec<u8>, value: Vec<u8>) {
        let sealed = seal(&Place { row: &row, ..PLACE }, &value);
        let opened = sealed.open(&key(1), tenant(1), &Place { row: &other, ..PLACE });
        prop_assert_eq!(opened.is_ok(), row == other);
        let opened = sealed.open(&key(1), tenant(1), &Place { row: &row, ..PLACE }).map(|value| value.expose().clone());
        prop_assert_eq!(opened, Ok(value));
    }
}
