//! Keys that admins paste: what one can be, and its one plaintext.

use serde::{Deserialize, Serialize};

use super::Integration;
use crate::keys::Sealable;
use crate::secret::Secret;

/// Characters of a key of a service that speaks like `OpenAI`'s.
pub const API_KEY_CHARS_MAX: usize = 512;
/// And at least: shorter ones are guessed.
pub const API_KEY_CHARS_MIN: usize = 8;

const SID_FRONT: &str = "AC";
const SID_HEX: usize = 32;
const TOKEN_HEX: usize = 32;

/// A key and what it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// Of an account at Twilio.
    Twilio {
        /// The account: `AC` and 32 hexadecimal digits.
        account_sid: String,
        /// Its auth token: 32 hexadecimal digits.
        auth_token: Secret<String>,
    },
    /// Of a service that speaks like `OpenAI`'s.
    OpenAi {
        /// Where it is: an address of [`crate::public_url`], without a query and without a slash at its end.
        base_url: String,
        /// Its key.
        api_key: Secret<String>,
    },
}

/// A text is no part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// The account of Twilio.
    #[error("must be AC and 32 hexadecimal digits")]
    AccountSid,
    /// The token of Twilio.
    #[error("must be 32 hexadecimal digits")]
    AuthToken,
    /// The address.
    #[error("must not have a query")]
    BaseUrl,
    /// The key.
    #[error("must have {API_KEY_CHARS_MIN} to {API_KEY_CHARS_MAX} visible ASCII characters")]
    ApiKey,
}

impl NotAKey {
    /// The field whose text it is.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::AccountSid => "account_sid",
            Self::AuthToken => "auth_token",
            Self::BaseUrl => "base_url",
            Self::ApiKey => "api_key",
        }
    }
}

#[derive(Serialize)]
struct Stored<'a> {
    account: &'a str,
    secret: &'a str,
}

#[derive(Deserialize)]
struct Read {
    account: String,
    secret: String,
}

impl Key {
    /// A key of Twilio's.
    ///
    /// # Errors
    /// [`NotAKey`]; nothing of the text is told.
    pub fn twilio(account_sid: String, auth_token: Secret<String>) -> Result<Self, NotAKey> {
        let is_sid = account_sid.strip_prefix(SID_FRONT).is_some_and(|digits| is_hex(digits, SID_HEX));
        if !is_sid {
            return Err(NotAKey::AccountSid);
        }
        if !is_hex(auth_token.expose(), TOKEN_HEX) {
            return Err(NotAKey::AuthToken);
        }
        Ok(Self::Twilio { account_sid, auth_token })
    }

    /// A key of a service that speaks like `OpenAI`'s, at an address that may be called.
    ///
    /// # Errors
    /// [`NotAKey`]; nothing of the text is told.
    pub fn open_ai(base_url: &str, api_key: Secret<String>) -> Result<Self, NotAKey> {
        if base_url.contains(['?', '#']) {
            return Err(NotAKey::BaseUrl);
        }
        let key = api_key.expose();
        let fits = (API_KEY_CHARS_MIN..=API_KEY_CHARS_MAX).contains(&key.len());
        if !fits || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(NotAKey::ApiKey);
        }
        Ok(Self::OpenAi { base_url: base_url.trim_end_matches('/').to_owned(), api_key })
    }

    /// For what it is.
    #[must_use]
    pub const fn integration(&self) -> Integration {
        match self {
            Self::Twilio { .. } => Integration::Twilio,
            Self::OpenAi { .. } => Integration::OpenAi,
        }
    }

    /// What is not secret of it: the account, or the address.
    #[must_use]
    pub fn account(&self) -> &str {
        match self {
            Self::Twilio { account_sid: account, .. } | Self::OpenAi { base_url: account, .. } => account,
        }
    }

    /// What is shown of the secret.
    #[must_use]
    pub fn last4(&self) -> String {
        self.secret().last4()
    }

    const fn secret(&self) -> &Secret<String> {
        match self {
            Self::Twilio { auth_token: secret, .. } | Self::OpenAi { api_key: secret, .. } => secret,
        }
    }
}

/// Which kind it is the plaintext does not say: it is bound to the row, which does. What reads back is told by its account.
impl Sealable for Key {
    fn to_plaintext(&self) -> Secret<Vec<u8>> {
        let stored = Stored { account: self.account(), secret: self.secret().expose() };
        Secret::new(serde_json::to_vec(&stored).unwrap_or_default()) // texts alone: cannot fail
    }

    fn from_plaintext(plaintext: &[u8]) -> Option<Self> {
        let Read { account, secret } = serde_json::from_slice(plaintext).ok()?;
        let secret = Secret::new(secret);
        if account.starts_with(SID_FRONT) {
            Self::twilio(account, secret).ok()
        } else {
            Self::open_ai(&account, secret).ok()
        }
    }
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret<String> {
        Secret::new(text.to_owned())
    }

    #[test]
    fn what_is_no_key_is_named() {
        let (sid, token) = (format!("AC{}", "0aF1".repeat(8)), "0123456789abcdef".repeat(2));
        assert!(Key::twilio(sid.clone(), secret(&token)).is_ok());
        for wrong in ["", "AC", &sid[..33], &format!("{sid}0"), &sid.replace("AC", "ac"), &sid.replace('F', "g")] {
            assert_eq!(Key::twilio(wrong.to_owned(), secret(&token)), Err(NotAKey::AccountSid), "{wrong}");
        }
        for wrong in ["", &token[..31], &format!("{token}0"), &token.replace('f', " ")] {
            assert_eq!(Key::twilio(sid.clone(), secret(wrong)), Err(NotAKey::AuthToken), "{wrong}");
        }
        let url = "https://api.openai.com/v1";
        assert!(Key::open_ai(url, secret("sk-12345")).is_ok());
        for wrong in ["", "1234567", "sk 123456", "sk-é123456", &"k".repeat(513)] {
            assert_eq!(Key::open_ai(url, secret(wrong)), Err(NotAKey::ApiKey), "{wrong}");
        }
        assert_eq!(Key::open_ai("https://a.example/?q", secret("sk-12345")), Err(NotAKey::BaseUrl));
    }

    #[test]
    fn keys_read_back_and_are_not_shown() {
        let sid = format!("AC{}", "0".repeat(32));
        let twilio = Key::twilio(sid.clone(), secret(&"ab".repeat(16))).unwrap();
        let other = Key::open_ai("https://api.openai.com/v1/", secret("sk-\"\\12345")).unwrap();
        assert_eq!((twilio.account(), other.account()), (sid.as_str(), "https://api.openai.com/v1"));
        assert_eq!((twilio.last4().as_str(), other.last4().as_str()), ("abab", "2345"));
        for key in [twilio, other] {
            assert_eq!(Key::from_plaintext(key.to_plaintext().expose()), Some(key.clone()));
            assert!(!format!("{key:?}").contains("abab") && !format!("{key:?}").contains("2345"), "{key:?}");
        }
        assert_eq!(Key::from_plaintext(b"{}"), None);
    }
}
