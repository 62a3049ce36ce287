//! Device cookies: a browser that has signed in before has a failure counter of its own, so that a stranger's wrong
//! guesses lock the account for strangers and not for its owner.
//!
//! The cookie is `device.version.tag`: sixteen random bytes, the version of the credential it was issued for, and the
//! tenant's keyed tag over both and the account. It proves nothing but that this device signed in to this account with
//! this credential; it opens no session. A changed password voids it, so whoever once knew the old one gains nothing.
//!
//! Source: OWASP, "Slow Down Online Guessing Attacks with Device Cookies"; ASVS 5.0 §6.1.1.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::email::Email;
use crate::keys::{LookupKey, TenantKeys};
use crate::secret::Secret;

const DEVICE_BYTES: usize = 16;
const VERSION_BYTES: usize = 8;
const TAG_BYTES: usize = 32;

/// A device that has signed in to an account before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// The counter that takes the account's place for it.
    pub counter: LookupKey,
    /// The credential it signed in with; for any other it is a stranger.
    pub credential_version: i64,
}

/// The cookie for a device that has just signed in to the account.
#[must_use]
pub fn issue(keys: &TenantKeys, email: &Email, device: [u8; DEVICE_BYTES], credential_version: i64) -> Secret<String> {
    let tag = keys.device_cookie_tag(&content(keys, email, device, credential_version));
    let device = URL_SAFE_NO_PAD.encode(device);
    Secret::new(format!("{device}.{credential_version}.{}", URL_SAFE_NO_PAD.encode(tag)))
}

/// The device that this cookie was issued to, for this account at this tenant. `None` for anything else.
#[must_use]
pub fn verify(keys: &TenantKeys, email: &Email, cookie: &str) -> Option<Device> {
    let (device, rest) = cookie.split_once('.')?;
    let (version, tag) = rest.split_once('.')?;
    let credential_version: i64 = version.parse().ok()?;
    let device: [u8; DEVICE_BYTES] = URL_SAFE_NO_PAD.decode(device).ok()?.try_into().ok()?;
    let tag: [u8; TAG_BYTES] = URL_SAFE_NO_PAD.decode(tag).ok()?.try_into().ok()?;
    let content = content(keys, email, device, credential_version);
    let canonical = credential_version.to_string() == version;
    (canonical && keys.verify_device_cookie(&content, &tag))
        .then(|| Device { counter: keys.device_lockout_key(&content), credential_version })
}

/// Device, version and account, each of fixed length.
fn content(keys: &TenantKeys, email: &Email, device: [u8; DEVICE_BYTES], credential_version: i64) -> Vec<u8> {
    let mut content = Vec::with_capacity(DEVICE_BYTES + VERSION_BYTES + TAG_BYTES);
    content.extend(device);
    content.extend(credential_version.to_be_bytes());
    content.extend(keys.lockout_key(email).bytes());
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
        TenantKeys::open(tenant, &[root], &[StoredSigningKey { id, seed, made: UnixMs::new(1), signs_until: None }])
            .unwrap()
    }

    #[test]
    fn a_device_has_a_counter_of_its_own_for_its_account_at_its_tenant_alone() {
        let (mine, other) = (keys(1), keys(2));
        let (ada, bob): (Email, Email) = ("ada@example.com".parse().unwrap(), "bob@example.com".parse().unwrap());
        let cookie = issue(&mine, &ada, [7; 16], 3);
        let device = verify(&mine, &ada, cookie.expose()).unwrap();
        assert_eq!(device.credential_version, 3);
        assert_ne!(device.counter, mine.lockout_key(&ada));
        let second = issue(&mine, &ada, [8; 16], 3);
        assert_ne!(device.counter, verify(&mine, &ada, second.expose()).unwrap().counter);
        assert_eq!(verify(&mine, &bob, cookie.expose()), None);
        assert_eq!(verify(&other, &ada, cookie.expose()), None);
    }

    #[test]
    fn a_cookie_that_was_touched_is_no_cookie() {
        let (keys, ada): (TenantKeys, Email) = (keys(1), "ada@example.com".parse().unwrap());
        let cookie = issue(&keys, &ada, [7; 16], 3);
        let cookie = cookie.expose().as_str();
        for at in 0..cookie.len() {
            let mut bytes = cookie.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'4' { b'5' } else { b'4' };
            let touched = String::from_utf8(bytes).unwrap();
            assert_eq!(verify(&keys, &ada, &touched), None, "{touched}");
        }
        for other in ["", "..", "a.1.b", &format!("{cookie}="), &format!("{cookie}."), &cookie.replace(".3.", ".+3.")] {
            assert_eq!(verify(&keys, &ada, other), None, "{other}");
        }
    }
}
