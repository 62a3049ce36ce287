//! Access tokens: JWTs signed with the tenant's Ed25519 key, good for fifteen minutes and not a second more.
//!
//! A token is ours only if every one of these holds: at most 2,048 bytes; three parts of strict base64url; a header
//! of exactly `alg` `EdDSA`, `typ` `at+jwt` and a `kid` that names a current or retired key of this tenant (any other
//! field, so `crit`, `jku`, `jwk`, `x5u`, refuses it: keys never come from tokens); the signature; `iss`, `aud` and
//! `tid`; `exp` = `iat` + 900; `iat` ≤ now < `exp` in whole seconds. There is no leeway on either side: a node whose
//! clock is behind refuses tokens "from the future". Claims we do not know are ignored (RFC 7519 §4), so that nodes
//! of two releases can work side by side; a repeated claim refuses the token.
//!
//! Whether its session is still good is not asked here: that is the revocation snapshot's answer.
//!
//! Sources: RFC 7519, RFC 8725 (algorithm pinned, explicit typing), RFC 9068 (`at+jwt`), RFC 8037 (`EdDSA`).

use jsonwebtoken::{Algorithm, Header};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::{FamilyId, MemberId, SigningKeyId, TenantId, TokenId};
use crate::keys::{CryptoError, TenantKeys, VerifyingKey};
use crate::revocation::ACCESS_TTL;
use crate::role::Role;
use crate::secret::Secret;
use crate::time::UnixMs;

/// Seconds that an access token is good for.
pub const ACCESS_TOKEN_S: i64 = ACCESS_TTL.as_secs().cast_signed();
/// Most bytes of a token; a longer one is refused unread.
pub const ACCESS_TOKEN_BYTES_MAX: usize = 2_048;
/// The one audience.
pub const AUDIENCE: &str = "freehold";

const TYPE: &str = "at+jwt";

/// What an access token says.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct AccessClaims {
    /// Issuer: `{public scheme}://{slug}.{platform}[:port]`.
    pub iss: String,
    /// Audience: always [`AUDIENCE`].
    pub aud: String,
    /// The member.
    pub sub: MemberId,
    /// The tenant.
    pub tid: TenantId,
    /// The session: the family of its refresh tokens.
    pub sid: FamilyId,
    /// The member's role when it was issued.
    pub role: Role,
    /// The member's epoch when it was issued; tokens of an earlier one are dead.
    pub epoch: i64,
    /// Issued at, in unix seconds.
    pub iat: i64,
    /// Expires at, in unix seconds: `iat` + 900.
    pub exp: i64,
    /// The token itself.
    pub jti: TokenId,
    /// Who acts as the member: an operator, for support (RFC 8693 §4.1). Left out when it is the member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Acting>,
    /// How the member was authenticated, where there is more to say than that it was (RFC 9068 §2.2.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub amr: Vec<AuthMethod>,
}

/// Somebody who acts as the member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acting {
    /// The operator: a member of the platform's own tenant.
    pub sub: MemberId,
    /// The operator's own session, with which this one ends.
    pub sid: FamilyId,
    /// The operator's epoch when it was issued.
    pub epoch: i64,
}

/// An authentication method (RFC 8176 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// More than one factor: the member has a confirmed second one, and no session without it.
    Mfa,
    /// One of a later release.
    #[serde(other)]
    Other,
}

impl AccessClaims {
    /// Whether the member had a confirmed second factor when the token was issued.
    #[must_use]
    pub fn has_second_factor(&self) -> bool {
        self.amr.contains(&AuthMethod::Mfa)
    }
}

/// What a new token is to say. Tenant, audience and times are filled in.
#[derive(Clone, Copy, Debug)]
pub struct AccessGrant<'a> {
    /// The tenant's issuer.
    pub issuer: &'a str,
    /// The member.
    pub member: MemberId,
    /// The session.
    pub family: FamilyId,
    /// The member's role.
    pub role: Role,
    /// The member's epoch.
    pub epoch: i64,
    /// Whether the member has a confirmed second factor.
    pub has_second_factor: bool,
    /// The operator who acts as the member, if one does.
    pub operator: Option<Acting>,
    /// The new token's id.
    pub token: TokenId,
}

/// The token is not ours, or not now. For metrics and logs: a client learns only that it is refused.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum AccessTokenError {
    /// It has more than [`ACCESS_TOKEN_BYTES_MAX`] bytes.
    #[error("token is too long")]
    TooLong,
    /// It is not three parts of base64url, or its claims are not ours.
    #[error("token is malformed")]
    Malformed,
    /// Its header is not exactly the one we write.
    #[error("token header is not ours")]
    Header,
    /// Its `kid` names no key of the tenant.
    #[error("token key is unknown")]
    UnknownKey,
    /// Its signature does not verify.
    #[error("token signature is wrong")]
    Signature,
    /// It was issued by somebody else.
    #[error("token issuer is another")]
    Issuer,
    /// It was issued for somebody else.
    #[error("token audience is another")]
    Audience,
    /// It belongs to another tenant.
    #[error("token tenant is another")]
    Tenant,
    /// It does not live exactly 900 seconds.
    #[error("token lifetime is wrong")]
    Lifetime,
    /// Its `iat` lies in the future.
    #[error("token is not valid yet")]
    NotYet,
    /// Its time is over.
    #[error("token is expired")]
    Expired,
}

/// The header we write and the only one we read. Borrowed text has no escapes: one spelling for each value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OwnHeader<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
}

/// SHA-256 of a token: the name under which a verified one may be remembered.
#[must_use]
pub fn token_digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// A new access token of the keys' tenant, signed with its current key.
///
/// # Errors
/// [`CryptoError`] when the library cannot sign.
pub fn issue(keys: &TenantKeys, grant: &AccessGrant<'_>, now: UnixMs) -> Result<Secret<String>, CryptoError> {
    let iat = now.as_secs();
    let claims = AccessClaims {
        iss: grant.issuer.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: grant.member,
        tid: keys.tenant(),
        sid: grant.family,
        role: grant.role,
        epoch: grant.epoch,
        iat,
        exp: iat + ACCESS_TOKEN_S,
        jti: grant.token,
        act: grant.operator,
        amr: if grant.has_second_factor { vec![AuthMethod::Mfa] } else { vec![] },
    };
    let key = keys.signing_key(now).ok_or(CryptoError)?;
    let header = Header { typ: Some(TYPE.into()), kid: Some(key.id().to_string()), ..Header::new(Algorithm::EdDSA) };
    jsonwebtoken::encode(&header, &claims, &key.encoding_key()).map(Secret::new).map_err(|_| CryptoError)
}

/// The claims of a token of `tenant`, issued by `issuer` and good at `now`.
///
/// # Errors
/// [`AccessTokenError`] for everything else, as the module says; also when `keys` are not `tenant`'s.
pub fn verify(
    token: &str,
    keys: &TenantKeys,
    tenant: TenantId,
    issuer: &str,
    now: UnixMs,
) -> Result<AccessClaims, AccessTokenError> {
    let claims = signed_claims(token, keys)?;
    if claims.iss != issuer {
        return Err(AccessTokenError::Issuer);
    }
    if claims.aud != AUDIENCE {
        return Err(AccessTokenError::Audience);
    }
    if claims.tid != tenant || keys.tenant() != tenant {
        return Err(AccessTokenError::Tenant);
    }
    if claims.iat.checked_add(ACCESS_TOKEN_S) != Some(claims.exp) {
        return Err(AccessTokenError::Lifetime);
    }
    match now.as_secs() {
        now if now < claims.iat => Err(AccessTokenError::NotYet),
        now if now >= claims.exp => Err(AccessTokenError::Expired),
        _ => Ok(claims),
    }
}

/// The claims that one of our own keys has signed. They are read only after the signature was found good.
fn signed_claims(token: &str, keys: &TenantKeys) -> Result<AccessClaims, AccessTokenError> {
    if token.len() > ACCESS_TOKEN_BYTES_MAX {
        return Err(AccessTokenError::TooLong);
    }
    let (message, signature) = token.rsplit_once('.').ok_or(AccessTokenError::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(AccessTokenError::Malformed)?;
    let key = key_of(header, keys)?.decoding_key();
    let payload = object(payload)?;
    match jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, Algorithm::EdDSA) {
        Ok(true) => serde_json::from_slice(&payload).map_err(|_| AccessTokenError::Malformed),
        Ok(false) => Err(AccessTokenError::Signature),
        Err(_) => Err(AccessTokenError::Malformed),
    }
}

/// Reads the header, which nothing vouches for yet, only to find out which of our own keys must have signed.
fn key_of<'k>(header: &str, keys: &'k TenantKeys) -> Result<&'k VerifyingKey, AccessTokenError> {
    let header = object(header)?;
    let header: OwnHeader<'_> = serde_json::from_slice(&header).map_err(|_| AccessTokenError::Header)?;
    if header.alg != "EdDSA" || header.typ != TYPE {
        return Err(AccessTokenError::Header);
    }
    let kid: SigningKeyId = header.kid.parse().map_err(|_| AccessTokenError::UnknownKey)?;
    keys.verifying_key(kid).ok_or(AccessTokenError::UnknownKey)
}

/// The JSON object in one part of a token. An array would do for serde, but has no names to check.
fn object(part: &str) -> Result<Vec<u8>, AccessTokenError> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part);
    bytes.ok().filter(|bytes| bytes.starts_with(b"{")).ok_or(AccessTokenError::Malformed)
}

#[cfg(test)]
mod tests;
