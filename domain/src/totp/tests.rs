use proptest::prelude::*;

use super::*;

fn rfc_secret() -> TotpSecret {
    TotpSecret::from_random(*b"12345678901234567890")
}

fn at_s(seconds: i64) -> UnixMs {
    UnixMs::new(seconds * 1_000)
}

fn code(text: &str) -> Code {
    text.parse().unwrap()
}

/// RFC 6238 appendix B, for SHA-1: the last six of its eight digits.
#[test]
fn rfc_6238() {
    for (seconds, eight) in [
        (59, "94287082"),
        (1_111_111_109, "07081804"),
        (1_111_111_111, "14050471"),
        (1_234_567_890, "89005924"),
        (2_000_000_000, "69279037"),
        (20_000_000_000, "65353130"),
    ] {
        let six = &eight[2..];
        assert_eq!(rfc_secret().code_at(at_s(seconds)).expose(), six);
        assert_eq!(rfc_secret().verify(&code(six), Step::default(), at_s(seconds)), Some(Step::new(seconds / 30)));
    }
}

/// RFC 4226 appendix D: the codes of the counters 0 to 9.
#[test]
fn rfc_4226() {
    let codes = ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
    for (counter, expected) in (0..).zip(codes) {
        assert_eq!(rfc_secret().code_at(at_s(counter * 30)).expose(), expected);
    }
}

#[test]
fn a_code_is_taken_one_step_early_or_late_and_no_more() {
    let secret = rfc_secret();
    let (now, step) = (at_s(30_000_015), 1_000_000);
    for away in -3..=3 {
        let code = secret.code_at(at_s((step + away) * 30));
        let expected = (-1..=1).contains(&away).then_some(Step::new(step + away));
        assert_eq!(secret.verify(&code, Step::default(), now), expected, "{away}");
    }
    // The edges of the step, to the millisecond.
    let code = secret.code_at(now);
    assert!(secret.verify(&code, Step::default(), UnixMs::new((step - 1) * 30_000)).is_some());
    assert!(secret.verify(&code, Step::default(), UnixMs::new((step - 1) * 30_000 - 1)).is_none());
    assert!(secret.verify(&code, Step::default(), UnixMs::new((step + 2) * 30_000 - 1)).is_some());
    assert!(secret.verify(&code, Step::default(), UnixMs::new((step + 2) * 30_000)).is_none());
}

#[test]
fn a_step_at_or_below_the_last_is_never_accepted() {
    let secret = rfc_secret();
    let (now, step) = (at_s(30_000_015), 1_000_000);
    let [before, current, next] = [-1, 0, 1].map(|away| secret.code_at(at_s((step + away) * 30)));
    let last = secret.verify(&current, Step::default(), now).unwrap();
    assert_eq!(secret.verify(&current, last, now), None, "the same code again");
    assert_eq!(secret.verify(&before, last, now), None, "a code of the step before");
    let last = secret.verify(&next, last, now).unwrap();
    for code in [before, current, next] {
        assert_eq!(secret.verify(&code, last, now), None);
    }
    // A clock that was set back makes nothing good again.
    assert_eq!(secret.verify(&secret.code_at(at_s(29_999_000)), last, at_s(29_999_000)), None);
}

#[test]
fn six_digits_are_a_code_and_nothing_else_is() {
    assert_eq!(code("007081").expose(), "007081");
    for text in ["", "12345", "1234567", "12345a", "+12345", "-12345", " 12345", "12345\n", "١٢٣٤٥٦", "123 456"] {
        assert_eq!(text.parse::<Code>(), Err(NotACode), "{text}");
    }
    assert_eq!(format!("{:?} {:?}", code("007081"), rfc_secret()), "Code([secret]) TotpSecret([secret])");
}

#[test]
fn an_authenticator_is_told_everything() {
    let secret = rfc_secret();
    assert_eq!(secret.base32().expose(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
    let email = "ada+x@example.com".parse().unwrap();
    let expected = "otpauth://totp/Acme%20%26%20S%C3%B6hne:ada%2Bx%40example.com\
                    ?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Acme%20%26%20S%C3%B6hne\
                    &algorithm=SHA1&digits=6&period=30";
    assert_eq!(secret.uri("Acme: & Söhne".replace(": ", " ").as_str(), &email).expose(), expected);
    let long = secret.uri(&":x".repeat(500), &email);
    assert!(long.expose().starts_with(&format!("otpauth://totp/{}:ada", "x".repeat(64))));
}

proptest! {
    /// The only codes that are accepted are those of the three steps around now that come after the last.
    #[test]
    fn only_the_codes_of_the_window_after_the_last_step(
        random: [u8; SECRET_BYTES],
        now in 100_i64..4_000_000_000,
        away in -4_i64..5,
        seen in -4_i64..5,
    ) {
        let secret = TotpSecret::from_random(random);
        let (step, last) = (now / 30, Step::new(now / 30 + seen));
        let code = secret.code_at(at_s((step + away) * 30));
        let wanted = (step - 1..=step + 1).find(|t| secret.code_at(at_s(t * 30)) == code).map(Step::new);
        prop_assert_eq!(secret.verify(&code, last, at_s(now)), wanted.filter(|step| *step > last));
    }
}
