use std::slice::from_ref;

use super::*;
use crate::time::UnixMs;

pub(crate) fn tenant(n: u8) -> TenantId {
    TenantId::new(UnixMs::new(1), [n; 10])
}

pub(crate) fn kid(n: u8) -> SigningKeyId {
    SigningKeyId::new(UnixMs::new(1), [n; 10])
}

fn root(version: u32) -> RootKey {
    RootKey::from_random(KeyVersion::new(version), [u8::try_from(version).unwrap(); 32])
}

fn stored(tenant: TenantId, n: u8, root: &RootKey) -> StoredSigningKey {
    let key = SigningKey::from_seed(kid(n), Secret::new([n; 32])).unwrap();
    let seed = key.seal(root, tenant, Nonce::from_random([n; 12])).unwrap();
    StoredSigningKey { id: kid(n), seed, made: UnixMs::new(1), signs_until: None }
}

/// Keys of tenant `of` whose signing keys have the seeds and ids `signing`, the current one first.
pub(crate) fn keys(of: u8, signing: &[u8]) -> TenantKeys {
    let mut signing: Vec<_> = signing.iter().map(|n| stored(tenant(of), *n, &root(1))).collect();
    for ended in signing.iter_mut().skip(1) {
        ended.signs_until = Some(ENDED);
    }
    signing.reverse();
    TenantKeys::open(tenant(of), &[root(1)], &signing).unwrap()
}

/// [`keys`] with one signing key and the root keys up to this version.
pub(crate) fn keys_of_versions(of: u8, newest: u32) -> TenantKeys {
    let roots: Vec<_> = (1..=newest).map(root).collect();
    TenantKeys::open(tenant(of), &roots, &[stored(tenant(of), 1, &root(1))]).unwrap()
}

const ENDED: UnixMs = UnixMs::new(1_000);

const PLACE: Place<'static> = Place { table: "member", column: "email", row: &[1; 16] };

#[test]
fn older_versions_open_and_the_newest_seals() {
    let email: Email = "ada@example.com".parse().unwrap();
    let signing = [stored(tenant(1), 1, &root(1))];
    let before = TenantKeys::open(tenant(1), &[root(1)], &signing).unwrap();
    let old = before.seal(&PLACE, &email, Nonce::from_random([1; 12])).unwrap();

    let after = TenantKeys::open(tenant(1), &[root(1), root(2)], &signing).unwrap();
    assert_eq!(after.version(), KeyVersion::new(2));
    assert_eq!(after.open_sealed(&PLACE, &old).unwrap(), email);
    let new = after.seal(&PLACE, &email, Nonce::from_random([2; 12])).unwrap();
    assert_eq!((old.key_version().get(), new.key_version().get()), (1, 2));
    assert_eq!(before.open_sealed(&PLACE, &new), Err(CryptoError));
    assert_eq!(keys(2, &[1]).open_sealed(&PLACE, &old), Err(CryptoError));

    assert_eq!(after.email_keys(&email).collect::<Vec<_>>(), [after.email_key(&email), before.email_key(&email)]);
}

#[test]
fn lookups_are_by_tenant_and_purpose() {
    let (a, b) = (keys(1, &[1]), keys(2, &[1]));
    let ada: Email = "Ada@Example.com".parse().unwrap();
    assert_eq!(a.email_key(&ada), a.email_key(&"ada@example.com".parse().unwrap()));
    assert_ne!(a.email_key(&ada), a.email_key(&"bob@example.com".parse().unwrap()));
    assert_ne!(a.email_key(&ada), b.email_key(&ada));
    assert_ne!(a.lockout_key(&ada), a.email_key(&ada));
    assert_ne!(a.lockout_key(&ada), b.lockout_key(&ada));
}

#[test]
fn a_second_factor_has_a_counter_of_its_own_for_each_member_and_tenant() {
    let (a, b) = (keys(1, &[1]), keys(2, &[1]));
    let [ada, bob] = [1, 2].map(|n| MemberId::from_uuid(uuid::Uuid::from_bytes([n; 16])));
    assert_eq!(a.second_factor_lockout_key(ada), a.second_factor_lockout_key(ada));
    assert_ne!(a.second_factor_lockout_key(ada), a.second_factor_lockout_key(bob));
    assert_ne!(a.second_factor_lockout_key(ada), b.second_factor_lockout_key(ada));
    assert_ne!(a.second_factor_lockout_key(ada), a.device_lockout_key(ada.as_bytes()));
}

#[test]
fn a_device_cookie_is_the_tenants_own() {
    let (a, b) = (keys(1, &[1]), keys(2, &[1]));
    let tag = a.device_cookie_tag(b"device");
    assert!(a.verify_device_cookie(b"device", &tag));
    assert!(!a.verify_device_cookie(b"devicf", &tag));
    assert!(!a.verify_device_cookie(b"device", &tag[..31]));
    assert!(!b.verify_device_cookie(b"device", &tag));
}

#[test]
fn a_key_verifies_before_it_signs_and_after_and_others_do_not() {
    let keys = keys(1, &[2, 1]);
    let published = |now| {
        let jwks = serde_json::to_value(keys.jwks(now)).unwrap();
        let keys = jwks["keys"].as_array().unwrap().iter();
        keys.inspect(|key| assert!(key.get("d").is_none())).map(|key| key["kid"].clone()).collect::<Vec<_>>()
    };
    let (one, two) = (kid(1).to_string(), kid(2).to_string());
    let before = UnixMs::new(ENDED.get() - 1);
    assert_eq!(keys.signing_key(before).unwrap().id(), kid(1));
    assert_eq!(published(before), [one.as_str(), &two]);
    assert_eq!(keys.signing_key(ENDED).unwrap().id(), kid(2));
    assert_eq!(published(ENDED), [two.as_str(), &one]);
    assert_eq!(published(ENDED.plus(signing_rotation::KEPT)), [two.as_str()]);
    assert_eq!(keys.verifying_key(kid(2)), keys.signing_key(ENDED).map(SigningKey::verifying_key));
    assert_eq!(keys.verifying_key(kid(1)).map(VerifyingKey::id), Some(kid(1)));
    assert_eq!(keys.verifying_key(kid(3)), None);
}

#[test]
fn an_incomplete_set_says_what_is_missing() {
    let open = |roots: &[RootKey], signing: &[StoredSigningKey]| TenantKeys::open(tenant(1), roots, signing).err();
    let (one, two) = (stored(tenant(1), 1, &root(1)), stored(tenant(1), 2, &root(2)));
    let stolen = stored(tenant(2), 1, &root(1));
    assert_eq!(open(&[], from_ref(&one)), Some(TenantKeysError::NoRootKey));
    assert_eq!(open(&[root(1)], &[]), Some(TenantKeysError::NoSigningKey));
    let ended = StoredSigningKey { signs_until: Some(ENDED), ..one.clone() };
    assert_eq!(open(&[root(1)], &[ended]), Some(TenantKeysError::NoSigningKey));
    assert_eq!(open(&[root(1), root(1)], from_ref(&one)), Some(TenantKeysError::DuplicateVersion(KeyVersion::new(1))));
    let missing = TenantKeysError::MissingVersion { id: kid(2), version: KeyVersion::new(2) };
    assert_eq!(open(&[root(1)], &[one, two]), Some(missing));
    assert_eq!(open(&[root(1)], &[stolen]), Some(TenantKeysError::SigningKey(kid(1))));
}

#[test]
fn a_hundred_thousand_tenants_fit() {
    assert!(size_of::<TenantKeys>() <= 320, "{}", size_of::<TenantKeys>());
}
