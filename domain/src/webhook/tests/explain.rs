//! What a tenant's log says of a delivery that no secret fits.

use super::*;

fn explained(sent: &Sent, secret: &str) -> Refusal {
    let refusal = sent.verdict(secret).unwrap_err();
    sent.with(secret, None, |delivery, secrets| explain(sent.rule, delivery, secrets, refusal))
}

#[test]
fn a_body_that_was_written_anew_is_told() {
    let compact = "{\"a\":[1.50,{\"b\":\"x, y\"}],\"c\":null}";
    let pretty = "{\n  \"a\": [\n    1.50,\n    {\n      \"b\": \"x, y\"\n    }\n  ],\n  \"c\": null\n}";
    let dos = pretty.replace('\n', "\r\n");
    let texts = [compact, pretty, &format!("{compact}\n"), &dos];
    for signer in SIGNERS.iter().filter(|signer| !signer.is_twilio()) {
        for signed in texts {
            for arrived in texts.iter().filter(|arrived| **arrived != signed) {
                let mut sent = signer.send(signer.secret, signed.as_bytes());
                sent.body = arrived.as_bytes().to_vec();
                let told = explained(&sent, signer.secret);
                // Of two changes at once one is undone.
                let is_one = ![signed, arrived].iter().any(|text| text.contains("\r\n") || text.ends_with('\n'));
                if is_one || arrived.trim_end() == signed.trim_end() {
                    assert_eq!(told, Refusal::BodyWrittenAnew, "{:?} {arrived}", signer.rule);
                }
                assert_eq!(explained(&sent, "another"), Refusal::WrongSecret);
            }
        }
        let mut sent = signer.send(signer.secret, pretty.as_bytes());
        sent.body = dos.clone().into_bytes();
        assert_eq!(explained(&sent, signer.secret), Refusal::BodyWrittenAnew);
        sent.body = compact.replace("1.50", "1.5").into_bytes();
        assert_eq!(explained(&sent, signer.secret), Refusal::WrongSecret, "{:?}: it was changed", signer.rule);
    }
}

#[test]
fn a_url_that_is_not_the_one_at_the_provider_is_told() {
    for signer in SIGNERS.iter().filter(|signer| signer.is_url_signed) {
        let good = signer.good();
        for url in [
            "http://acme.example.test/webhooks/x?a=1",
            "https://acme.example.test/webhooks/x/?a=1",
            "https://acme.example.test/webhooks/x",
        ] {
            let sent = good.clone().signed((signer.sign)(signer.secret, url, &good.body));
            assert_eq!(explained(&sent, signer.secret), Refusal::OtherUrl, "{:?}: {url}", signer.rule);
            assert_eq!(explained(&sent, "another"), Refusal::WrongSecret);
        }
        let sent = good.clone().signed((signer.sign)(signer.secret, "https://globex.example.test/", &good.body));
        assert_eq!(explained(&sent, signer.secret), Refusal::WrongSecret);
    }
    let square = SIGNERS.iter().find(|signer| signer.rule == Rule::Square).unwrap();
    let with_port = "https://acme.example.test:443/webhooks/x?a=1";
    let sent = square.good().signed((square.sign)(square.secret, with_port, square.body()));
    assert_eq!(explained(&sent, square.secret), Refusal::OtherUrl);
}

#[test]
fn another_thing_than_the_secret_of_the_webhook_is_told() {
    use WrongKind::{ApiKey, Blank, ClientSecret, Id, WhiteSpace};
    let sid = |prefix: &str| format!("{prefix}{}", "0".repeat(32));
    for (rule, secret, kind) in [
        (Rule::Stripe, "sk_live_1", ApiKey),
        (Rule::Stripe, "rk_test_1", ApiKey),
        (Rule::Stripe, "we_1", Id),
        (Rule::Stripe, "whsec_1 ", WhiteSpace),
        (Rule::Stripe, " ", Blank),
        (Rule::Twilio(Algorithm::HmacSha1), &sid("AC"), Id),
        (Rule::Twilio(Algorithm::HmacSha1), &sid("SK"), Id),
        (Rule::QuickBooks, &"aB3x".repeat(10), ClientSecret),
        (Rule::QuickBooks, &"aB3xY".repeat(10), Id),
        (Rule::Shopify, "shpat_1", ApiKey),
        (Rule::Square, "EAAAE1", ApiKey),
        (Rule::Square, "sq0csp-1", ClientSecret),
        (Rule::Square, "wbhk_1", Id),
    ] {
        let signer = SIGNERS.iter().find(|signer| signer.rule == rule).unwrap();
        assert_eq!(explained(&signer.good(), secret), Refusal::WrongKind(kind), "{rule:?} {secret}");
        assert!(WrongKind::of(rule.provider(), &Secret::new(signer.secret.to_owned())).is_none(), "{rule:?}");
    }
}

#[test]
fn what_has_a_reason_keeps_it_and_what_is_good_is_not_looked_at() {
    let signer = &SIGNERS[0];
    signer.good().with("sk_live_1", None, |delivery, secrets| {
        for refusal in [Refusal::NoSignature, Refusal::TooOld { age_s: 301 }, Refusal::Method] {
            assert_eq!(explain(signer.rule, delivery, secrets, refusal), refusal);
        }
    });
    for refusal in [Refusal::TooOld { age_s: 301 }, Refusal::FromTheFuture { ahead_s: 301 }] {
        assert!(refusal.to_string().contains("301 s") && refusal.to_string().contains("300 s"), "{refusal}");
    }
}
