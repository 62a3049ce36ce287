//! The lines that `freehold webhook verify` reads and writes.

use std::io::{BufRead as _, BufReader};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// An example of this provider that is accepted.
fn good(provider: &str) -> Value {
    examples().into_iter().find(|example| example["provider"] == provider && example["expect"] == ACCEPT).unwrap()
}

#[test]
fn what_cannot_be_read_is_rejected_and_keeps_its_line() {
    let good = good("shopify");
    let without = |name: &str| {
        let mut line = good.clone();
        line.as_object_mut().unwrap().remove(name);
        line.to_string()
    };
    let mut lines = vec![
        String::new(),
        " ".to_owned(),
        "nonsense".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        "{}".to_owned(),
        format!("{good}{good}"),
        format!("{good}x"),
        good.to_string().replacen('{', "{\"secret\":\"x\",", 1),
        format!("\u{feff}{good}"),
    ];
    lines.extend(["provider", "secret", "url", "method", "headers", "body_base64", "now_unix"].map(without));
    let spoiled = [
        json!({ "provider": "Shopify" }),
        json!({ "provider": "paypal" }),
        json!({ "provider": null }),
        json!({ "secret": "" }),
        json!({ "secret": null }),
        json!({ "secret": 7 }),
        json!({ "secret_previous": 7 }),
        json!({ "method": "" }),
        json!({ "headers": [] }),
        json!({ "headers": null }),
        json!({ "headers": { "X-Shopify-Hmac-Sha256": 7 } }),
        json!({ "body_base64": format!("{}=", good["body_base64"].as_str().unwrap()) }),
        json!({ "body_base64": format!(" {}", good["body_base64"].as_str().unwrap()) }),
        json!({ "body_base64": "" }),
        json!({ "now_unix": "1790036734" }),
        json!({ "now_unix": 1_790_036_734.5 }),
        json!({ "now_unix": -1 }),
        json!({ "now_unix": i64::MAX }),
    ];
    lines.extend(spoiled.iter().map(|fields| with(&good, fields).to_string()));
    // Each between two that are good: an answer belongs to its line.
    let asked: Vec<_> = lines.iter().flat_map(|line| [good.to_string(), line.clone()]).collect();
    let asked = super::lines(&asked);
    let said = said_of_lines(asked.as_bytes());
    assert_eq!(said.len(), 2 * lines.len());
    for (line, said) in lines.iter().zip(said.chunks(2)) {
        assert_eq!(said, [ACCEPT, REJECT], "{line}");
    }
    let not_utf8 = [b"\xff\n".as_slice(), good.to_string().as_bytes()].concat();
    assert_eq!(said_of_lines(&not_utf8), [REJECT, ACCEPT], "the last line needs no end");
    assert_eq!(said_of_lines(b""), Vec::<String>::new());
    assert_eq!(said_of_lines(format!("{good}\r\n").as_bytes()), [ACCEPT]);
}

#[test]
fn headers_come_in_any_case_and_twice_in_every_way() {
    for provider in PROVIDERS {
        let good = good(provider);
        let (name, value) = signature(&good);
        let again = |headers: &str| good.to_string().replacen("\"headers\":{", &format!("\"headers\":{{{headers},"), 1);
        let named = |name: &str| {
            let mut line = good.clone();
            let headers = line["headers"].as_object_mut().unwrap();
            headers.retain(|known, _| *known != signature(&good).0);
            headers.insert(name.to_owned(), json!(value));
            line.to_string()
        };
        let cases = [
            (named(&name.to_uppercase()), ACCEPT),
            (named(&name.to_lowercase()), ACCEPT),
            (named(&format!("{name} ")), REJECT),
            (signed(&good, json!([value])).to_string(), ACCEPT),
            (signed(&good, json!([])).to_string(), REJECT),
            (signed(&good, json!([value, value])).to_string(), REJECT),
            (again(&format!("\"{name}\":\"{value}\"")), REJECT),
            (again(&format!("\"{}\":\"x\"", name.to_uppercase())), REJECT),
            (again("\"X-Other\":[\"1\",\"2\"]"), ACCEPT),
        ];
        let lines: Vec<_> = cases.iter().map(|(line, _)| line).collect();
        let lines = super::lines(&lines);
        for ((line, wanted), said) in cases.iter().zip(said_of_lines(lines.as_bytes())) {
            assert_eq!(said, *wanted, "{line}");
        }
    }
}

#[test]
fn a_secret_that_is_replaced_is_good_until_nobody_names_it() {
    for provider in PROVIDERS {
        let good = good(provider);
        let cases = [
            (json!({ "secret": "newer", "secret_previous": good["secret"] }), ACCEPT),
            (json!({ "secret_previous": "older" }), ACCEPT),
            (json!({ "secret_previous": null }), ACCEPT),
            (json!({ "secret_previous": "" }), ACCEPT),
            (json!({ "secret": "newer" }), REJECT),
            (json!({ "secret": "newer", "secret_previous": "older" }), REJECT),
            (json!({ "secret": "newer", "secret_previous": "" }), REJECT),
        ];
        let lines: Vec<_> = cases.iter().map(|(fields, _)| with(&good, fields)).collect();
        for ((fields, wanted), said) in cases.iter().zip(said_of(&lines)) {
            assert_eq!(said, *wanted, "{provider}: {fields}");
        }
    }
}

#[test]
fn every_character_of_what_is_signed_counts() {
    for provider in PROVIDERS {
        let good = good(provider);
        let (_, value) = signature(&good);
        let body = STANDARD.decode(good["body_base64"].as_str().unwrap()).unwrap();
        let mut lines = vec![good.clone()];
        for at in 0..value.len() {
            let mut changed = value.clone().into_bytes();
            changed[at] ^= 1;
            lines.push(signed(&good, String::from_utf8(changed).unwrap()));
        }
        for at in 0..body.len() {
            let mut changed = body.clone();
            changed[at] ^= 1;
            lines.push(with(&good, &json!({ "body_base64": STANDARD.encode(changed) })));
        }
        let said = said_of(&lines);
        let accepted = said.iter().filter(|said| *said == ACCEPT).count();
        assert_eq!((said[0].as_str(), accepted), (ACCEPT, 1), "{provider}");
    }
}

#[test]
fn a_body_of_a_megabyte_is_judged_and_a_line_without_end_is_not_kept() {
    let body = vec![b'x'; 1 << 20];
    let unsigned = with(&good("square"), &json!({ "body_base64": STANDARD.encode(body) }));
    // Forty megabytes on one line.
    let endless = vec![b'x'; 40 << 20];
    let good = good("stripe").to_string();
    let lines = [unsigned.to_string().as_bytes(), b"\n", &endless, b"\n", good.as_bytes(), b"\n"].concat();
    assert_eq!(said_of_lines(&lines), [REJECT, REJECT, ACCEPT]);
}

#[test]
fn a_line_is_answered_before_the_next_comes_and_nothing_is_asked_of_the_environment() {
    let mut command = freehold();
    command.env("FREEHOLD_PROFILE", "nonsense").env("FREEHOLD_DATABASE_URL", "nonsense");
    command.args(["--config", "/nonexistent", "webhook", "verify"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut to, mut from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
    for line in [good("twilio").to_string(), "nonsense".to_owned(), good("quickbooks").to_string()] {
        writeln!(to, "{line}").unwrap();
        let mut said = String::new();
        from.read_line(&mut said).unwrap();
        assert_eq!(said, if line == "nonsense" { "reject\n" } else { "accept\n" });
    }
    drop(to);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
