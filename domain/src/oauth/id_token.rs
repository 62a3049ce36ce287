//! Id tokens of an OpenID provider: what it signs about who has signed in, for this client and this sign-in alone.
//!
//! A token is believed only if every one of these holds: at most 16 KiB; three parts of strict base64url; `alg` is RS256 or
//! ES256 and is what the key that `kid` names signs with; no `crit`; the signature; `iss` is the provider; `aud` is this
//! client, and with other audiences beside it `azp` says that it was issued to this client; `nonce` is that of the sign-in;
//! issued within ten minutes, not expired, and from the future by no more than a minute; `hd` is the wanted domain, where
//! one is wanted. An address counts only with `email_verified: true`.
//!
//! Sources: OpenID Connect Core 1.0 §3.1.3.7, RFC 8725 §3.1 and §3.2.

use serde::Deserialize;

use super::key_set::{ProviderKey, SignedWith};
use super::{Profile, Subject};
use crate::time::UnixMs;

const BYTES_MAX: usize = 16 * 1024;
/// Seconds since it was issued: it comes straight from the token endpoint.
const AGE_S_MAX: i64 = 10 * 60;
/// Seconds that the provider's clock may be ahead.
const AHEAD_S_MAX: i64 = 60;

/// What an id token must say.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The provider.
    pub issuer: &'a str,
    /// This client.
    pub client_id: &'a str,
    /// The nonce of the sign-in.
    pub nonce: &'a str,
    /// The one domain whose accounts are admitted, if there is one.
    pub hosted_domain: Option<&'a str>,
}

/// The token is not believed. For logs: nobody who signs in learns which it was.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdTokenError {
    /// It is too long, not three parts of base64url, or its claims are not those of an id token.
    #[error("id token is malformed")]
    Malformed,
    /// It is signed with another algorithm, or demands what is not understood.
    #[error("id token header is not acceptable")]
    Header,
    /// Its signature does not verify, or the key signs with another algorithm.
    #[error("id token signature is wrong")]
    Signature,
    /// Somebody else issued it.
    #[error("id token issuer is another")]
    Issuer,
    /// It was issued for somebody else.
    #[error("id token audience is another")]
    Audience,
    /// It was issued for another sign-in.
    #[error("id token nonce is another")]
    Nonce,
    /// It is expired, too old, or from the future.
    #[error("id token time is over or not yet there")]
    Time,
    /// The account is of another domain.
    #[error("id token hosted domain is another")]
    HostedDomain,
}

/// The answer of a token endpoint.
#[derive(Deserialize)]
struct Answer {
    id_token: String,
}

#[derive(Deserialize)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
    crit: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: Audience,
    azp: Option<String>,
    sub: String,
    nonce: Option<String>,
    iat: i64,
    exp: i64,
    email: Option<String>,
    #[serde(default)]
    email_verified: Option<bool>,
    name: Option<String>,
    hd: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Claims {
    /// OpenID Connect Core §3.1.3.7, steps 3 to 5.
    fn is_for(&self, client_id: &str) -> bool {
        let named = match &self.aud {
            Audience::One(one) => one == client_id,
            Audience::Many(many) if many.len() > 1 && self.azp.is_none() => false,
            Audience::Many(many) => many.iter().any(|one| one == client_id),
        };
        named && self.azp.as_deref().is_none_or(|azp| azp == client_id)
    }

    const fn is_timely(&self, now_s: i64) -> bool {
        now_s < self.exp
            && self.iat <= now_s.saturating_add(AHEAD_S_MAX)
            && self.iat >= now_s.saturating_sub(AGE_S_MAX)
            && self.iat < self.exp
    }
}

/// The id token in the answer of a token endpoint.
///
/// # Errors
/// [`IdTokenError::Malformed`] when there is none.
pub fn in_answer(answer: &str) -> Result<String, IdTokenError> {
    serde_json::from_str(answer).map(|Answer { id_token }| id_token).map_err(|_| IdTokenError::Malformed)
}

/// The name of the key that is said to have signed a token: nothing vouches for it yet.
///
/// # Errors
/// [`IdTokenError::Malformed`] or [`IdTokenError::Header`].
pub fn key_id(token: &str) -> Result<String, IdTokenError> {
    Ok(header(parts(token)?.0)?.1)
}

/// What a token vouches for that this key has signed and that says what is expected at `now`.
///
/// # Errors
/// [`IdTokenError`] for everything else, as the module says.
pub fn verify(token: &str, key: &ProviderKey, expected: &Expected<'_>, now: UnixMs) -> Result<Profile, IdTokenError> {
    let (head, payload, message, signature) = parts(token)?;
    if header(head)?.0 != key.with {
        return Err(IdTokenError::Signature);
    }
    match jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key.key, key.with.algorithm()) {
        Ok(true) => {}
        Ok(false) | Err(_) => return Err(IdTokenError::Signature),
    }
    let claims: Claims = serde_json::from_slice(&object(payload)?).map_err(|_| IdTokenError::Malformed)?;
    if claims.iss != expected.issuer {
        return Err(IdTokenError::Issuer);
    }
    if !claims.is_for(expected.client_id) {
        return Err(IdTokenError::Audience);
    }
    if claims.nonce.as_deref() != Some(expected.nonce) {
        return Err(IdTokenError::Nonce);
    }
    if !claims.is_timely(now.as_secs()) {
        return Err(IdTokenError::Time);
    }
    if expected.hosted_domain.is_some_and(|wanted| claims.hd.as_deref() != Some(wanted)) {
        return Err(IdTokenError::HostedDomain);
    }
    profile(claims)
}

fn profile(claims: Claims) -> Result<Profile, IdTokenError> {
    let subject = Subject::parse(&claims.sub).ok_or(IdTokenError::Malformed)?;
    let account = claims.email.as_ref().and_then(|email| email.parse().ok());
    let email = claims.email.filter(|_| claims.email_verified == Some(true)).and_then(|email| email.parse().ok());
    Ok(Profile { subject, account, email, name: claims.name.and_then(|name| name.parse().ok()) })
}

/// Header, payload, what is signed, and the signature.
fn parts(token: &str) -> Result<(&str, &str, &str, &str), IdTokenError> {
    if token.len() > BYTES_MAX {
        return Err(IdTokenError::Malformed);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(IdTokenError::Malformed)?;
    let (head, payload) = message.split_once('.').ok_or(IdTokenError::Malformed)?;
    Ok((head, payload, message, signature))
}

fn header(part: &str) -> Result<(SignedWith, String), IdTokenError> {
    let bytes = object(part)?;
    let header: Header<'_> = serde_json::from_slice(&bytes).map_err(|_| IdTokenError::Header)?;
    let with = SignedWith::parse(header.alg).filter(|_| header.crit.is_none()).ok_or(IdTokenError::Header)?;
    Ok((with, header.kid.to_owned()))
}

/// The JSON object in one part of a token.
fn object(part: &str) -> Result<Vec<u8>, IdTokenError> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part);
    bytes.ok().filter(|bytes| bytes.starts_with(b"{")).ok_or(IdTokenError::Malformed)
}

#[cfg(test)]
mod tests;
