//! Webhooks that a tenant sends to its own endpoints: what is told, how it is signed, and when it is tried again.
//!
//! An event is a row of the audit log, and tells no more than who did what to whom: whoever wants the rest asks the API, by a
//! token that can be revoked.
//!
//! ```text
//! Waiting(n) --due, breaker closed, claimed--> Sending(n + 1) --2xx--> Delivered
//!                                              Sending(n) --else, n < 8--> Waiting(n), due after SCHEDULE[n]
//!                                              Sending(8) --else--> Failed
//! Failed, Delivered --by hand--> Waiting(0)    Sending --nobody knows, after the lease--> Waiting
//! Endpoint active --fails for five days, or answers 410--> disabled --by hand--> active
//! ```
//!
//! Sources: Standard Webhooks (standard-webhooks/standard-webhooks, `spec/standard-webhooks.md`); for the profile `kontraktr`
//! what that product tells its users of its headers.

mod profile;
mod topics;

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use self::profile::{NoProfile, Profile, Told, message_id};
pub use self::topics::{NotTopics, TOPICS_MAX, Topics};
use crate::id::WebhookEndpointId;
use crate::keys::{Place, Sealable};
use crate::secret::Secret;
use crate::time::UnixMs;

/// The pause before each try: at once, then after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h and 10 h.
pub const SCHEDULE: [Duration; 8] = [
    Duration::ZERO,
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(10),
];
/// How long an endpoint may fail without a success between before nothing is sent there any more.
pub const DISABLED_AFTER: Duration = Duration::from_hours(5 * 24);
/// How long messages and their tries are known, and how far back they can be sent again.
pub const KEPT: Duration = Duration::from_hours(90 * 24);
/// How long an answer may take, the connection included.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Characters of an answer that are kept.
pub const ANSWER_CHARS_MAX: usize = 1_000;
/// Endpoints of a tenant.
pub const ENDPOINTS_MAX: usize = 20;
/// How long the secret before the one in force is good, where nothing else is said, and at most.
pub const OVERLAP_DEFAULT: Duration = Duration::from_hours(24);
/// See [`OVERLAP_DEFAULT`].
pub const OVERLAP_MAX: Duration = Duration::from_hours(7 * 24);
/// Characters of an endpoint's description.
pub const DESCRIPTION_CHARS_MAX: usize = 200;

const SECRET_PREFIX: &str = "whsec_";
const SECRET_BYTES: usize = 32;

/// When a message is tried again that was tried so often in vain; `None`: never.
#[must_use]
pub fn next_try(tries: u32, retry_after: Option<Duration>, now: UnixMs) -> Option<UnixMs> {
    let pause = *SCHEDULE.get(usize::try_from(tries).ok()?)?;
    let [.., longest] = SCHEDULE;
    Some(now.plus(pause.max(retry_after.unwrap_or_default().min(longest))))
}

/// Whether an endpoint has failed for too long.
#[must_use]
pub fn is_given_up(failing_since: UnixMs, now: UnixMs) -> bool {
    now.since(failing_since) >= DISABLED_AFTER
}

/// What an endpoint's messages are signed with: `whsec_` and 32 bytes in standard base64.
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointSecret(Secret<[u8; SECRET_BYTES]>);

impl EndpointSecret {
    /// One from bytes fresh from the system's random generator.
    #[must_use]
    pub const fn from_random(random: [u8; SECRET_BYTES]) -> Self {
        Self(Secret::new(random))
    }

    /// As its owner gets it, once.
    #[must_use]
    pub fn text(&self) -> Secret<String> {
        Secret::new(format!("{SECRET_PREFIX}{}", STANDARD.encode(self.0.expose())))
    }

    const fn key(&self) -> &[u8] {
        self.0.expose()
    }

    /// Where that of an endpoint is sealed for.
    #[must_use]
    pub const fn place(endpoint: &WebhookEndpointId) -> Place<'_> {
        Place { table: "webhook_endpoint", column: "secret_sealed", row: endpoint.as_bytes() }
    }

    /// Where the one before it is.
    #[must_use]
    pub const fn previous_place(endpoint: &WebhookEndpointId) -> Place<'_> {
        Place { table: "webhook_endpoint", column: "previous_sealed", row: endpoint.as_bytes() }
    }
}

impl fmt::Debug for EndpointSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Sealable for EndpointSecret {
    fn to_plaintext(&self) -> Secret<Vec<u8>> {
        Secret::new(self.0.expose().to_vec())
    }

    fn from_plaintext(plaintext: &[u8]) -> Option<Self> {
        plaintext.try_into().ok().map(Self::from_random)
    }
}

/// What an endpoint answered, cut to [`ANSWER_CHARS_MAX`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered(Secret<String>);

impl Answered {
    /// What can be shown of these bytes.
    #[must_use]
    pub fn cut(body: &[u8]) -> Self {
        Self(Secret::new(String::from_utf8_lossy(body).chars().take(ANSWER_CHARS_MAX).collect()))
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        self.0.expose()
    }

    /// Where that to a try is sealed for: the id of the message and the number of the try.
    #[must_use]
    pub const fn place(row: &[u8]) -> Place<'_> {
        Place { table: "webhook_attempt", column: "answer_sealed", row }
    }
}

impl Sealable for Answered {
    fn to_plaintext(&self) -> Secret<Vec<u8>> {
        Secret::new(self.0.expose().clone().into_bytes())
    }

    fn from_plaintext(plaintext: &[u8]) -> Option<Self> {
        String::from_utf8(plaintext.to_vec()).ok().map(|text| Self(Secret::new(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: UnixMs = UnixMs::new(1_700_000_000_000);

    #[test]
    fn a_message_is_tried_eight_times_over_twenty_seven_hours() {
        let mut at = T0;
        let pauses: Vec<_> = (0..)
            .map_while(|tries| {
                let next = next_try(tries, None, at)?;
                let pause = next.since(at).as_secs();
                at = next;
                Some(pause)
            })
            .collect();
        assert_eq!(pauses, [0, 5, 300, 1_800, 7_200, 18_000, 36_000, 36_000]);
        assert_eq!(next_try(u32::MAX, None, T0), None);
    }

    #[test]
    fn who_asks_for_time_gets_it_within_reason() {
        let asked =
            |tries, seconds| next_try(tries, Some(Duration::from_secs(seconds)), T0).map(|at| at.since(T0).as_secs());
        assert_eq!(asked(1, 60), Some(60));
        assert_eq!(asked(2, 60), Some(300), "not sooner than the schedule has it");
        assert_eq!(asked(1, 999_999), Some(36_000));
        assert_eq!(asked(8, 60), None);
    }

    #[test]
    fn five_days_are_the_end() {
        let end = T0.plus(DISABLED_AFTER);
        assert!(is_given_up(T0, end) && !is_given_up(T0, end.minus(Duration::from_millis(1))));
    }

    #[test]
    fn a_secret_reads_back_and_is_not_shown() {
        let secret = EndpointSecret::from_random([7; 32]);
        assert_eq!(secret.text().expose(), "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
        assert_eq!(EndpointSecret::from_plaintext(secret.to_plaintext().expose()), Some(secret.clone()));
        assert_eq!(EndpointSecret::from_plaintext(b"short"), None);
        assert_eq!(format!("{secret:?}"), "[secret]");
    }

    #[test]
    fn an_answer_is_cut_and_can_be_anything() {
        assert_eq!(Answered::cut("é".repeat(2_000).as_bytes()).text().chars().count(), ANSWER_CHARS_MAX);
        let odd = Answered::cut(&[0xff, b'a', 0]);
        assert_eq!(odd.text(), "\u{fffd}a\0");
        assert_eq!(Answered::from_plaintext(odd.to_plaintext().expose()), Some(odd));
    }
}
