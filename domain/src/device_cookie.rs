//! Device cookies: a browser that has signed in before has a failure counter of its own, so that a stranger's wrong
//! guesses lock the account for strangers and not for its owner.
//!
//! The cookie is `device.tag` in base64url: sixteen random bytes, and the tenant's keyed tag over them and the account.
//! It proves nothing but that this device signed in to this account once; it opens no session.
//!
//! Source: OWASP, "Slow Down Online Guessing Attacks with Device Cookies"; ASVS 5.0 §6.1.1.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::email::Email;
use crate::keys::{LookupKey, TenantKeys};
use crate::secret::Secret;

const DEVICE_BYTES: usize = 16;
const TAG_BYTES: usize = 32;

/// The cookie for a device that has just signed in to the account.
#[must_use]
pub fn issue(keys: &TenantKeys, email: &Email, device: [u8; DEVICE_BYTES]) -> Secret<String> {
    let tag = keys.device_cookie_tag(&content(keys, email, &device));
    Secret::new(format!("{}.{}", URL_SAFE_NO_PAD.encode(device), URL_SAFE_NO_PAD.encode(tag)))
}

/// The account's counter for whoever presents this cookie: the device's own, or without a good cookie the account's.
#[must_use]
pub fn counter(keys: &TenantKeys, email: &Email, cookie: Option<&str>) -> LookupKey {
    match cookie.and_then(|text| verify(keys, email, text)) {
        Some(device) => keys.device_lockout_key(&content(keys, email, &device)),
        None => keys.lockout_key(email),
    }
}

fn verify(keys: &TenantKeys, email: &Email, text: &str) -> Option<[u8; DEVICE_BYTES]> {
    let (device, tag) = text.split_once('.')?;
    let device: [u8; DEVICE_BYTES] = URL_SAFE_NO_PAD.decode(device).ok()?.try_into().ok()?;
    let tag: [u8; TAG_BYTES] = URL_SAFE_NO_PAD.decode(tag).ok()?.try_into().ok()?;
    keys.verify_device_cookie(&content(keys, email, &device), &tag).then_some(device)
}

/// Device and account, each of fixed length.
fn content(keys: &TenantKeys, email: &Email, device: &[u8; DEVICE_BYTES]) -> [u8; DEVICE_BYTES + TAG_BYTES] {
    let mut content = [0; DEVICE_BYTES + TAG_BYTES];
    let (front, back) = content.split_at_mut(DEVICE_BYTES);
    front.copy_from_slice(device);
    back.copy_from_slice(keys.lockout_key(email).bytes());
    content
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{SigningKeyId, TenantId};
    use crate::keys::{KeyVersion, Nonce, RootKey, SigningKey, StoredSigningKey};
    use crate::time::UnixMs;

    fn keys(seed: u8) -> TenantKeys {
        let tenant = TenantId::new(UnixMs::new(1), [seed; 10]);
        let root = RootKey::from_random(KeyVersion::FIRST, [seed; 32]);
        let id = SigningKeyId::new(UnixMs::new(1), [seed; 10]);
        let key = SigningKey::from_seed(id, Secret::new([seed; 32])).unwrap();
        let seed = key.seal(&root, tenant, Nonce::from_random([seed; 12])).unwrap();
        TenantKeys::open(tenant, &[root], &[StoredSigningKey { id, seed }]).unwrap()
    }

    #[test]
    fn a_device_has_a_counter_of_its_own_for_its_account_at_its_tenant_alone() {
        let (mine, other) = (keys(1), keys(2));
        let (ada, bob): (Email, Email) = ("ada@example.com".parse().unwrap(), "bob@example.com".parse().unwrap());
        let cookie = issue(&mine, &ada, [7; 16]);
        let cookie = cookie.expose().as_str();
        let own = counter(&mine, &ada, Some(cookie));
        assert_ne!(own, mine.lockout_key(&ada));
        assert_eq!(own, counter(&mine, &ada, Some(cookie)));
        assert_ne!(own, counter(&mine, &ada, Some(issue(&mine, &ada, [8; 16]).expose())));
        assert_eq!(counter(&mine, &bob, Some(cookie)), mine.lockout_key(&bob));
        assert_eq!(counter(&other, &ada, Some(cookie)), other.lockout_key(&ada));
    }

    #[test]
    fn a_cookie_that_was_touched_is_no_cookie() {
        let (keys, ada): (TenantKeys, Email) = (keys(1), "ada@example.com".parse().unwrap());
        let cookie = issue(&keys, &ada, [7; 16]);
        let cookie = cookie.expose().as_str();
        for at in 0..cookie.len() {
            let mut bytes = cookie.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let touched = String::from_utf8(bytes).unwrap();
            assert_eq!(counter(&keys, &ada, Some(&touched)), keys.lockout_key(&ada), "{touched}");
        }
        for other in ["", ".", "a.b", &format!("{cookie}="), &format!("{cookie}.")] {
            assert_eq!(counter(&keys, &ada, Some(other)), keys.lockout_key(&ada), "{other}");
        }
    }
}
