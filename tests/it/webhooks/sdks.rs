//! The providers' own libraries beside us: what they sign we accept; what is spoiled neither accepts; and where we are
//! stricter than a library, it is written down here.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

const URL: &str = "https://acme.example.test/webhooks/x?a=1";

/// What the libraries are given to sign: texts that are written in more than one way, and long ones.
fn bodies(provider: &str) -> Vec<(&'static str, String)> {
    let long = "0123456789abcdef".repeat(1 << 12);
    let json = [
        r#"{"id":"evt_1","type":"x","n":1.50}"#.to_owned(),
        "{\n  \"name\": \"Zoë 🖨\",\r\n  \"slash\": \"\\/\"\n}\n".to_owned(),
        format!("{{\"long\":\"{long}\"}}"),
    ];
    let mut bodies: Vec<_> = json.into_iter().map(|body| ("application/json", body)).collect();
    if provider == "twilio" {
        let forms = [
            "CallSid=CA1&AccountSid=AC1&From=%2B14155551212&Body=yes+please&NumMedia=0",
            "b=2&B=1&a=3&A=4&aa=5&a=3&a=1&_=x",
            "Body=+Zo%C3%AB+%F0%9F%96%A8+%26%3D%25&Empty=&Body=Zoe",
            "MediaUrl0=https%3A%2F%2Fa.test%2F%3Fq%3D1&Body=%0D%0A",
        ];
        bodies.extend(forms.map(|form| (FORM, form.to_owned())));
        bodies.push((FORM, format!("Body={long}")));
    }
    bodies
}

/// A delivery of every body of every provider, signed by its library where that can, with the secret in it.
fn deliveries() -> Vec<Value> {
    let asked: Vec<_> = PROVIDERS
        .into_iter()
        .flat_map(|provider| bodies(provider).into_iter().map(move |body| (provider, body)))
        .map(|(provider, (media_type, body))| {
            json!({
                "ask": "sign", "provider": provider, "secret": format!("secret of {provider}, Zoë"), "url": URL,
                "media_type": media_type, "body_base64": STANDARD.encode(body), "now_unix": NOW_S,
            })
        })
        .collect();
    let sent = libraries(&asked);
    asked.iter().zip(sent).map(|(asked, sent)| with(&with(asked, &sent), &json!({ "ask": "verify" }))).collect()
}

/// Ways to spoil a delivery in which every library agrees with us.
fn spoiled(good: &Value) -> Vec<(&'static str, Value)> {
    let (name, value) = signature(good);
    let body = STANDARD.decode(good["body_base64"].as_str().unwrap()).unwrap();
    let mut other_letter = value.clone().into_bytes();
    let at = other_letter.len() - 5;
    other_letter[at] = if other_letter[at] == b'a' { b'b' } else { b'a' };
    let mut unsigned = good.clone();
    unsigned["headers"].as_object_mut().unwrap().remove(&name);
    let body_of = |body: &[u8]| with(good, &json!({ "body_base64": STANDARD.encode(body) }));
    let (mut longer, mut changed) = (body.clone(), body.clone());
    longer.push(b'0');
    changed[3] ^= 1;
    let mut all = vec![
        ("another secret", with(good, &json!({ "secret": "another" }))),
        ("no header", unsigned),
        ("an empty header", signed(good, "")),
        ("another letter", signed(good, String::from_utf8(other_letter).unwrap())),
        ("a letter more", signed(good, format!("{value}x"))),
        ("cut short", signed(good, &value[..value.len() - 2])),
        ("upper case", signed(good, value.to_uppercase())),
        ("a longer body", body_of(&longer)),
        ("a changed body", body_of(&changed)),
        ("half a body", body_of(&body[..body.len() / 2])),
    ];
    let provider = good["provider"].as_str().unwrap();
    if matches!(provider, "twilio" | "square") {
        let url = good["url"].as_str().unwrap();
        all.push(("another path", with(good, &json!({ "url": url.replace("/x", "/y") }))));
        all.push(("another host", with(good, &json!({ "url": url.replace("acme", "globex") }))));
        all.push(("http", with(good, &json!({ "url": url.replace("https", "http") }))));
    }
    if provider == "stripe" {
        all.push(("too old", with(good, &json!({ "now_unix": NOW_S + 301 }))));
        all.push(("v0 alone", signed(good, value.replace("v1=", "v0="))));
        all.push(("no time", signed(good, value.split_once(',').unwrap().1)));
        all.push(("another time", signed(good, value.replace(&NOW_S.to_string(), &(NOW_S + 1).to_string()))));
        all.push(("a space", signed(good, value.replace(",v1", ", v1"))));
    }
    all
}

#[test]
fn what_the_libraries_sign_we_accept_and_what_is_spoiled_nobody_does() {
    let good = deliveries();
    assert_eq!(good.len(), 3 * 5 + 5);
    for (delivery, said) in good.iter().zip(said_of(&good)) {
        assert_eq!(said, ACCEPT, "{delivery}");
    }
    let bad: Vec<_> = good.iter().flat_map(spoiled).collect();
    let lines: Vec<_> = bad.iter().map(|(_, delivery)| delivery.clone()).collect();
    for ((why, delivery), said) in bad.iter().zip(said_of(&lines)) {
        assert_eq!(said, REJECT, "{why}: {delivery}");
    }
    // And so the libraries say of both; of QuickBooks there is none.
    let asked: Vec<_> = good.iter().map(|good| ("nothing", good.clone())).chain(bad).collect();
    let (asked, of_quickbooks): (Vec<_>, Vec<_>) =
        asked.into_iter().partition(|(_, delivery)| delivery["provider"] != "quickbooks");
    assert!(!of_quickbooks.is_empty());
    let lines: Vec<_> = asked.iter().map(|(_, delivery)| delivery.clone()).collect();
    for ((spoiled, delivery), said) in asked.iter().zip(libraries(&lines)) {
        assert_eq!(said["ok"], *spoiled == "nothing", "{spoiled}: {delivery}");
    }
}

#[test]
fn ways_to_write_a_good_delivery_are_good_to_the_libraries_and_to_us() {
    let of = |provider: &str| deliveries().into_iter().find(|delivery| delivery["provider"] == provider).unwrap();
    let (stripe, form) =
        (of("stripe"), deliveries().into_iter().find(|delivery| delivery["media_type"] == FORM).unwrap());
    let (_, value) = signature(&stripe);
    let (time, v1) = value.split_once(',').unwrap();
    let other = "0".repeat(64);
    let good = [
        with(&stripe, &json!({ "now_unix": NOW_S + 300 })),
        with(&stripe, &json!({ "now_unix": NOW_S - 300 })),
        signed(&stripe, format!("{v1},{time}")),
        signed(&stripe, format!("{time},v1={other},{v1},v0={other}")),
        signed(&stripe, format!("{time},v2={other},x,{v1}")),
        with(&form, &json!({ "url": URL.replace(".test/", ".test:443/") })),
        with(&form, &json!({ "url": URL.replace(".test/", ".test:8443/") })),
    ];
    assert_eq!(said_of(&good), [ACCEPT; 7]);
    for (delivery, said) in good.iter().zip(libraries(&good)) {
        assert_eq!(said["ok"], true, "{delivery}");
    }
}

/// Each is said to be good by a library, and refused here on purpose.
#[test]
fn where_we_are_stricter_than_a_library() {
    let all = deliveries();
    let of = |provider: &str| all.iter().find(|delivery| delivery["provider"] == provider).unwrap();
    let (stripe, square) = (of("stripe"), of("square"));
    let (_, value) = signature(stripe);
    let empty = json!({ "ask": "sign", "body_base64": "" });
    let empty_square = with(&with(square, &empty), &libraries(&[with(square, &empty)])[0]);
    let zero = value.replace("t=", "t=0");
    let cases = [
        ("signed in the future", with(stripe, &json!({ "now_unix": NOW_S - 301 }))),
        ("two times", signed(stripe, format!("t=1,{value}"))),
        ("a time with a zero before it", signed(stripe, zero)),
        ("an empty body", with(&empty_square, &json!({ "ask": "verify" }))),
    ];
    let lines: Vec<_> = cases.iter().map(|(_, delivery)| delivery.clone()).collect();
    for ((why, _), (library, said)) in cases.iter().zip(libraries(&lines).iter().zip(said_of(&lines))) {
        assert_eq!((library["ok"].as_bool(), said.as_str()), (Some(true), REJECT), "{why}");
    }
}
