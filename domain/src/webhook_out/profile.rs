//! The words of a message and its signatures, in one of two profiles.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;
use uuid::Uuid;

use super::EndpointSecret;
use crate::id::{AuditId, TenantId};
use crate::rfc3339;
use crate::time::UnixMs;
use crate::webhook::to_hex;

/// How an endpoint is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature`, a signature by each secret that is good.
    #[default]
    Standard,
    /// Kontraktr's: `X-Webhook-Id`, `X-Webhook-Timestamp` and `X-Webhook-Signature`, one signature, by the newest secret.
    Kontraktr,
}

/// The text names no profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of standard, kontraktr")]
pub struct NoProfile;

impl Profile {
    /// Its name in rows and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Kontraktr => "kontraktr",
        }
    }

    /// The body of a message, byte by byte the same whenever it is written.
    #[must_use]
    pub fn body(self, told: &Told<'_>) -> Vec<u8> {
        let timestamp = rfc3339::text(told.at);
        let data = Data {
            id: told.event,
            tenant: told.tenant,
            actor_kind: told.actor_kind,
            actor: told.actor,
            subject: told.subject,
        };
        let body = match self {
            Self::Standard => serde_json::to_vec(&Standard { r#type: told.kind, timestamp: &timestamp, data }),
            Self::Kontraktr => serde_json::to_vec(&Kontraktr { event: told.kind, timestamp: &timestamp, data }),
        };
        body.unwrap_or_default() // texts alone: cannot fail
    }

    /// The headers of a message that is sent at `now`: `secrets` are those that are good, the newest first.
    #[must_use]
    pub fn headers(
        self,
        event: AuditId,
        body: &[u8],
        secrets: &[EndpointSecret],
        now: UnixMs,
    ) -> Vec<(&'static str, String)> {
        let (id, time) = (message_id(event), now.as_secs().to_string());
        match self {
            Self::Standard => {
                let sign = |secret: &EndpointSecret| {
                    let mac = mac(secret.key(), &[id.as_bytes(), b".", time.as_bytes(), b".", body]);
                    format!("v1,{}", STANDARD.encode(mac))
                };
                let signatures: Vec<_> = secrets.iter().map(sign).collect();
                vec![("webhook-id", id), ("webhook-timestamp", time), ("webhook-signature", signatures.join(" "))]
            }
            Self::Kontraktr => {
                let sign = |secret: &EndpointSecret| {
                    let mac = mac(secret.text().expose().as_bytes(), &[time.as_bytes(), b".", body]);
                    format!("sha256={}", to_hex(&mac))
                };
                let signature = secrets.first().map(sign).unwrap_or_default();
                vec![("x-webhook-id", id), ("x-webhook-timestamp", time), ("x-webhook-signature", signature)]
            }
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Profile {
    type Err = NoProfile;

    fn from_str(text: &str) -> Result<Self, NoProfile> {
        [Self::Standard, Self::Kontraktr].into_iter().find(|profile| profile.as_str() == text).ok_or(NoProfile)
    }
}

/// What a message tells of: a row of the audit log without its detail.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// Which row.
    pub event: AuditId,
    /// Whose.
    pub tenant: TenantId,
    /// What happened.
    pub kind: &'a str,
    /// When.
    pub at: UnixMs,
    /// What kind of actor did it.
    pub actor_kind: &'a str,
    /// Which member, if it was one.
    pub actor: Option<Uuid>,
    /// To whom or what.
    pub subject: Option<Uuid>,
}

/// The id of the message that tells of an event: the same to every endpoint and with every try, so that a receiver can know
/// what it has had.
#[must_use]
pub fn message_id(event: AuditId) -> String {
    format!("msg_{}", event.uuid().simple())
}

#[derive(Serialize)]
struct Standard<'a> {
    r#type: &'a str,
    timestamp: &'a str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Kontraktr<'a> {
    event: &'a str,
    timestamp: &'a str,
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    id: AuditId,
    tenant: TenantId,
    actor_kind: &'a str,
    actor: Option<Uuid>,
    subject: Option<Uuid>,
}

fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return [0; 32] }; // HMAC takes keys of any length
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs::new(1_800_000_000_120);

    fn told() -> Told<'static> {
        let id = |n: u128| Uuid::from_u128(n);
        Told {
            event: AuditId::from_uuid(id(1)),
            tenant: TenantId::from_uuid(id(2)),
            kind: "member.joined",
            at: NOW,
            actor_kind: "system",
            actor: None,
            subject: Some(id(3)),
        }
    }

    #[test]
    fn a_body_says_what_happened_and_no_more() {
        let text = |profile: Profile| String::from_utf8(profile.body(&told())).unwrap();
        let data = r#""timestamp":"2027-01-15T08:00:00.12Z","data":{"id":"00000000-0000-0000-0000-000000000001","tenant":"00000000-0000-0000-0000-000000000002","actor_kind":"system","actor":null,"subject":"00000000-0000-0000-0000-000000000003"}}"#;
        assert_eq!(text(Profile::Standard), format!(r#"{{"type":"member.joined",{data}"#));
        assert_eq!(text(Profile::Kontraktr), format!(r#"{{"event":"member.joined",{data}"#));
    }

    /// The signatures are what `openssl dgst -sha256 -hmac` and `-macopt hexkey:` say of the same texts.
    #[test]
    fn signatures_are_those_of_others() {
        let (old, new) = (EndpointSecret::from_random([7; 32]), EndpointSecret::from_random([8; 32]));
        let headers = Profile::Standard.headers(told().event, b"{}", &[new.clone(), old.clone()], NOW);
        assert_eq!(headers[0], ("webhook-id", "msg_00000000000000000000000000000001".to_owned()));
        assert_eq!(headers[1], ("webhook-timestamp", "1800000000".to_owned()));
        let both: Vec<_> = headers[2].1.split(' ').collect();
        assert_eq!(both[1], "v1,kISFN4a33ftg3T8dKrLYjZNBwDxF6JmgY7vONAx+7nM=");
        assert_eq!(Profile::Standard.headers(told().event, b"{}", std::slice::from_ref(&old), NOW)[2].1, both[1]);
        assert_ne!(both[0], both[1]);
        let headers = Profile::Kontraktr.headers(told().event, b"{}", &[old, new], NOW);
        assert_eq!(
            headers[2],
            (
                "x-webhook-signature",
                "sha256=a467022998783b5745a1021003126b3d151311c4d9d8c6b424ba7270bb49bf8a".to_owned()
            )
        );
    }
}
