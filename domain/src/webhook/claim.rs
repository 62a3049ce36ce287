//! What a delivery claims: that one of these signatures is the MAC of one of these texts.

use std::borrow::Cow;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use super::encoding::{self, MAC_BYTES, SHA1_MAC_BYTES};
use super::{Delivery, Refusal};
use crate::secret::Secret;

/// Signatures of one provider's kind, each decoded and of the right length.
pub(super) enum Signatures {
    /// With HMAC-SHA-256.
    Sha256(Vec<[u8; MAC_BYTES]>),
    /// With HMAC-SHA-1, for Twilio's auth tokens.
    Sha1([u8; SHA1_MAC_BYTES]),
}

/// One of `signatures` is the MAC of one of `heads` with `rest` behind it.
pub(super) struct Claim<'a> {
    pub(super) signatures: Signatures,
    /// How the signed text may begin: one way, or the ways a URL is written.
    pub(super) heads: Vec<Cow<'a, [u8]>>,
    pub(super) rest: Cow<'a, [u8]>,
    /// The time that is signed with it, in seconds.
    pub(super) signed_at_s: Option<i64>,
}

impl<'a> Claim<'a> {
    /// The one signature in base64 in the header `name` is HMAC-SHA-256 of `head` and the body.
    pub(super) fn in_base64(delivery: &Delivery<'a>, name: &str, head: &'a [u8]) -> Result<Self, Refusal> {
        let signature = encoding::base64(signature(delivery, name)?).ok_or(Refusal::Malformed)?;
        Ok(Self {
            signatures: Signatures::Sha256(vec![signature]),
            heads: vec![head.into()],
            rest: delivery.body.into(),
            signed_at_s: None,
        })
    }

    /// Whether `secret` makes it true. Every text is signed and every signature compared, whether or not one fitted already;
    /// a blank secret makes nothing true.
    pub(super) fn is_signed_with(&self, secret: &Secret<String>) -> Choice {
        let key = secret.expose().as_bytes();
        let any = self.heads.iter().fold(Choice::from(0), |any, head| any | self.is_mac_of(key, head));
        any & Choice::from(u8::from(!secret.expose().trim().is_empty()))
    }

    fn is_mac_of(&self, key: &[u8], head: &[u8]) -> Choice {
        let text = [head, &self.rest];
        match &self.signatures {
            Signatures::Sha256(signatures) => equals_any::<Hmac<Sha256>>(key, &text, signatures.iter().map(|s| &s[..])),
            Signatures::Sha1(signature) => equals_any::<Hmac<Sha1>>(key, &text, [&signature[..]]),
        }
    }
}

/// Whether one of `signatures` is the MAC of `parts` one behind the other. All of them are compared.
fn equals_any<'s, M: Mac + KeyInit>(
    key: &[u8],
    parts: &[&[u8]],
    signatures: impl IntoIterator<Item = &'s [u8]>,
) -> Choice {
    let none = Choice::from(0);
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return none }; // HMAC takes every length
    for part in parts {
        mac.update(part);
    }
    let mac = mac.finalize().into_bytes();
    signatures.into_iter().fold(none, |any, signature| any | mac.as_slice().ct_eq(signature))
}

/// The value of the one header of this name.
pub(super) fn signature<'a>(delivery: &Delivery<'a>, name: &str) -> Result<&'a str, Refusal> {
    match only(delivery, name) {
        Ok(value) => str::from_utf8(value.ok_or(Refusal::NoSignature)?).map_err(|_| Refusal::Malformed),
        Err(TwoOfThem) => Err(Refusal::TwoSignatures),
    }
}

/// There is more than one header of a name.
pub(super) struct TwoOfThem;

/// The one header of this name, if there is one.
pub(super) fn only<'a>(delivery: &Delivery<'a>, name: &str) -> Result<Option<&'a [u8]>, TwoOfThem> {
    let mut of_name = delivery.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    let first = of_name.next().map(|(_, value)| *value);
    if of_name.next().is_some() { Err(TwoOfThem) } else { Ok(first) }
}

/// Asserts what all but Twilio's deliveries have: they are posted, with a body.
pub(super) fn posts_a_body(delivery: &Delivery<'_>) -> Result<(), Refusal> {
    if delivery.method != "POST" {
        return Err(Refusal::Method);
    }
    if delivery.body.is_empty() { Err(Refusal::EmptyBody) } else { Ok(()) }
}
