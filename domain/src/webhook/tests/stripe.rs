//! Stripe's header: its keys, its times, its many signatures.

use super::*;

const SECRET: &str = "whsec_test";
const BODY: &[u8] = br#"{"id":"evt_1"}"#;

fn mac(time: &str) -> String {
    hex(&sha256(SECRET, &[time.as_bytes(), b".", BODY]))
}

/// What becomes of this header, in which `{mac}` stands for the MAC of this time.
fn judged(header: &str, time: &str, now: UnixMs) -> Result<(), Refusal> {
    SIGNERS[0].good().signed(header.replace("{mac}", &mac(time))).with_body().asked(SECRET, None, now).map(drop)
}

impl Sent {
    fn with_body(self) -> Self {
        Self { body: BODY.to_vec(), ..self }
    }
}

#[test]
fn five_minutes_to_both_sides_and_no_second_more() {
    let at = |ms: i64| judged(&format!("t={NOW_S},v1={{mac}}"), &NOW_S.to_string(), UnixMs::new(NOW_S * 1_000 + ms));
    for ms in [0, 1, 999, 299_000, 300_000, 300_999, -1, -299_000, -300_000] {
        assert_eq!(at(ms), Ok(()), "{ms}");
    }
    assert_eq!(at(301_000), Err(Refusal::TooOld { age_s: 301 }));
    assert_eq!(at(3_600_000), Err(Refusal::TooOld { age_s: 3_600 }));
    assert_eq!(at(-300_001), Err(Refusal::FromTheFuture { ahead_s: 301 }));
    assert_eq!(at(-301_000), Err(Refusal::FromTheFuture { ahead_s: 301 }));
    assert_eq!(at(-NOW_S * 1_000), Err(Refusal::FromTheFuture { ahead_s: NOW_S }));
    // A time that is not signed says nothing.
    let unsigned = judged("t=1,v1={mac}", &NOW_S.to_string(), NOW);
    assert_eq!(unsigned, Err(Refusal::WrongSecret));
    let signed_at = SIGNERS[0].good().with(SIGNERS[0].secret, None, |delivery, secrets| {
        verify(Rule::Stripe, delivery, secrets, NOW).map(|verified| verified.signed_at())
    });
    assert_eq!(signed_at, Ok(Some(UnixMs::new(NOW_S * 1_000))));
}

#[test]
fn the_header_is_read_strictly() {
    let now = NOW_S.to_string();
    let other = "0".repeat(64);
    let bad = |fill: &str| format!("t={now},{}v1={{mac}}", fill.repeat(SIGNATURES_MAX - 1));
    let long = format!("t={now},v1={{mac}},x={}", "y".repeat(4_096));
    for (header, wanted) in [
        (format!("t={now},v1={{mac}}"), Ok(())),
        (format!("v1={{mac}},t={now}"), Ok(())),
        (format!("t={now},v1={{mac}},v0={other}"), Ok(())),
        (format!("t={now},v0={other},v2={other},v1={{mac}},scheme"), Ok(())),
        (format!("t={now},v1={other},v1={{mac}}"), Ok(())),
        (format!("t={now},v1={{mac}},v1={other}"), Ok(())),
        (format!("t={now},v1=,v1=nonsense,v1={{mac}}"), Ok(())),
        (bad(&format!("v1={other},")), Ok(())),
        (bad(&format!("v1={other},")) + ",v1=" + &other, Err(Refusal::Malformed)),
        (format!("t={now},v1={other}"), Err(Refusal::WrongSecret)),
        (format!("t={now},v0={{mac}}"), Err(Refusal::Malformed)),
        (format!("t={now},v2={{mac}}"), Err(Refusal::Malformed)),
        (format!("t={now},V1={{mac}}"), Err(Refusal::Malformed)),
        (format!("t={now}, v1={{mac}}"), Err(Refusal::Malformed)),
        (format!("t={now};v1={{mac}}"), Err(Refusal::Malformed)),
        (format!("t={now},v1={{mac}},t={now}"), Err(Refusal::Malformed)),
        (format!("t=1,t={now},v1={{mac}}"), Err(Refusal::Malformed)),
        (format!("t={now},t=1,v1={{mac}}"), Err(Refusal::Malformed)),
        (format!("t={now},v1={{mac}}0"), Err(Refusal::Malformed)),
        ("v1={mac}".to_owned(), Err(Refusal::Malformed)),
        (format!("t={now}"), Err(Refusal::Malformed)),
        (format!("t={now},v1="), Err(Refusal::Malformed)),
        (long, Err(Refusal::Malformed)),
    ] {
        assert_eq!(judged(&header, &now, NOW), wanted, "{header}");
    }
    let upper = format!("t={now},v1={}", mac(&now).to_uppercase());
    assert_eq!(judged(&upper, &now, NOW), Err(Refusal::Malformed));
}

#[test]
fn a_time_has_one_text() {
    for time in
        ["", "-1", "+1790000000", "01790000000", "1790000000.0", "1.79e9", " 1790000000", "1790000000x", "0x1", "１"]
    {
        assert_eq!(judged(&format!("t={time},v1={{mac}}"), time, NOW), Err(Refusal::Malformed), "{time}");
    }
    assert_eq!(judged("t=9999999999999,v1={mac}", "9999999999999", NOW), Err(Refusal::Malformed));
    let far = judged("t=999999999999,v1={mac}", "999999999999", NOW);
    assert_eq!(far, Err(Refusal::FromTheFuture { ahead_s: 999_999_999_999 - NOW_S }));
    assert_eq!(judged("t=0,v1={mac}", "0", UnixMs::new(0)), Ok(()));
}
