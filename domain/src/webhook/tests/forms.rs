//! Signatures in every form that is not theirs, for every provider.

use super::*;

/// What is done to a good signature, and how Stripe's and the others' are refused then.
type Spoiled = (&'static str, fn(&str) -> String, Refusal);

const SPOILED: [Spoiled; 14] = [
    ("empty", |_| String::new(), Refusal::Malformed),
    ("white space before", |good| format!(" {good}"), Refusal::Malformed),
    ("a comma and another", |good| format!("{good},{good}"), Refusal::Malformed),
    ("upper case", str::to_ascii_uppercase, Refusal::Malformed),
    ("lower case", str::to_ascii_lowercase, Refusal::Malformed),
    ("cut short", |good| good[..good.len() - 1].to_owned(), Refusal::Malformed),
    ("a letter more", |good| format!("{good}0"), Refusal::Malformed),
    ("padded", |good| format!("{good}="), Refusal::Malformed),
    ("unpadded", |good| good.trim_end_matches('=').to_owned(), Refusal::Malformed),
    ("for URLs", |good| good.replace('+', "-").replace('/', "_"), Refusal::Malformed),
    ("hex for base64, or base64 for hex", |good| other_encoding(good), Refusal::Malformed),
    ("with the algorithm before it", |good| format!("sha256={good}"), Refusal::Malformed),
    ("in quotes", |good| format!("\"{good}\""), Refusal::Malformed),
    ("with a NUL", |good| format!("{good}\0"), Refusal::Malformed),
];

/// The MAC of a signature, in the encoding that is not its provider's; of Stripe's header `v1` alone.
fn other_encoding(good: &str) -> String {
    match good.split_once("v1=") {
        Some((head, mac)) => {
            let bytes: Vec<u8> =
                (0..mac.len() / 2).map(|at| u8::from_str_radix(&mac[2 * at..2 * at + 2], 16).unwrap()).collect();
            format!("{head}v1={}", STANDARD.encode(bytes))
        }
        None => hex(&STANDARD.decode(good).unwrap()),
    }
}

#[test]
fn a_signature_has_one_form() {
    for signer in &SIGNERS {
        // A signature in which every spoiling changes something.
        let good = (0..).find_map(|n| {
            let sent = signer.send(signer.secret, format!("n={n}").as_bytes());
            let text = String::from_utf8(sent.clone().signature().clone()).unwrap();
            (signer.rule == Rule::Stripe || (text.contains('+') && text.contains('/'))).then_some(sent)
        });
        let good = good.unwrap();
        assert_eq!(good.verdict(signer.secret), Ok(()));
        for (what, spoil, wanted) in SPOILED {
            let text = String::from_utf8(good.clone().signature().clone()).unwrap();
            let spoiled = spoil(&text);
            if spoiled == text {
                assert!(signer.rule == Rule::Stripe, "{what} changes nothing");
                continue;
            }
            let told = good.clone().signed(&spoiled).verdict(signer.secret).unwrap_err();
            // Letters of base64 in another case are other letters, of another MAC or of none.
            let is_maybe_a_mac = what.ends_with("case") && signer.rule != Rule::Stripe && told == Refusal::WrongSecret;
            let wanted = if is_maybe_a_mac { told } else { wanted };
            assert_eq!(told, wanted, "{:?}, {what}: {spoiled}", signer.rule);
        }
        let not_utf8 = good.clone().signed(b"\xff");
        assert_eq!(not_utf8.verdict(signer.secret), Err(Refusal::Malformed));
    }
}

#[test]
fn there_is_one_signature_header() {
    for signer in &SIGNERS {
        let good = signer.good();
        let mut none = good.clone();
        none.headers.pop();
        assert_eq!(none.verdict(signer.secret), Err(Refusal::NoSignature), "{:?}", signer.rule);

        let signature = good.headers.last().unwrap().clone();
        let in_lower_case = (signature.0.to_lowercase(), b"nonsense".to_vec());
        for second in [signature, in_lower_case] {
            for at in [0, good.headers.len()] {
                let mut two = good.clone();
                two.headers.insert(at, second.clone());
                assert_eq!(two.verdict(signer.secret), Err(Refusal::TwoSignatures), "{:?}", signer.rule);
            }
        }
    }
}

#[test]
fn a_signature_of_one_provider_is_none_of_another() {
    for signer in &SIGNERS {
        for other in SIGNERS.iter().filter(|other| other.header != signer.header) {
            let mut sent = signer.good();
            sent.headers.last_mut().unwrap().0 = other.header.to_owned();
            sent.rule = other.rule;
            // QuickBooks and Shopify sign alike: only who has the secret tells them apart.
            let is_alike = |rule| matches!(rule, Rule::QuickBooks | Rule::Shopify);
            let told = sent.verdict(signer.secret);
            assert_eq!(
                told.is_ok(),
                is_alike(signer.rule) && is_alike(other.rule),
                "{:?} {:?}",
                signer.rule,
                other.rule
            );
        }
    }
}

#[test]
fn retired_headers_sign_nothing() {
    let square = SIGNERS.iter().find(|signer| signer.rule == Rule::Square).unwrap();
    let mut sent = square.good();
    let sha1 = STANDARD.encode(sha1(square.secret, &[sent.url.as_bytes(), &sent.body]));
    sent.headers.last_mut().unwrap().0 = "x-square-signature".to_owned();
    assert_eq!(sent.clone().signed(sha1.clone()).verdict(square.secret), Err(Refusal::NoSignature));
    assert_eq!(square.good().signed(sha1).verdict(square.secret), Err(Refusal::Malformed));
}
