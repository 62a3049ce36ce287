//! What a verified delivery is said to tell of.

use super::*;

fn events(sent: &Sent, secret: &str) -> Result<Vec<Event>, NoEvent> {
    sent.with(secret, None, |delivery, secrets| verify(sent.rule, delivery, secrets, NOW).unwrap().events())
}

/// What a body of this provider tells of.
fn of(rule: Rule, body: &str) -> Result<Vec<Event>, NoEvent> {
    let signer = SIGNERS.iter().find(|signer| signer.rule == rule).unwrap();
    let mut sent = signer.send(signer.secret, body.as_bytes());
    if signer.is_twilio() {
        // Any form is signed here, not only one in order.
        let mut pairs: Vec<_> = form::pairs(body.as_bytes()).collect();
        pairs.sort();
        let text: Vec<u8> = pairs.into_iter().flat_map(|(name, value)| [name, value].concat()).collect();
        let signature = STANDARD.encode(sha1(signer.secret, &[sent.url.as_bytes(), &text]));
        sent = sent.signed(signature);
    }
    events(&sent, signer.secret)
}

fn event(id: &str, kind: &str, account: Option<&str>, at_ms: Option<i64>) -> Event {
    let at = at_ms.map(UnixMs::new);
    Event { id: id.into(), kind: kind.into(), account: account.map(Into::into), at, number: None, told: Told::ById }
}

#[test]
fn stripe_and_square_name_their_events() {
    let stripe = |body: &str| of(Rule::Stripe, body);
    let wanted = event("evt_1", "invoice.paid", Some("acct_1"), Some(1_789_999_976_000));
    let body = r#"{"id":"evt_1","object":"event","account":"acct_1","created":1789999976,"type":"invoice.paid","data":{"object":{"id":"in_1"}}}"#;
    assert_eq!(stripe(body), Ok(vec![wanted]));
    let thin = r#"{"id":"evt_2","object":"v2.core.event","created":"2026-09-21T16:00:00.123Z","type":"v1.x"}"#;
    assert_eq!(stripe(thin), Ok(vec![event("evt_2", "v1.x", None, Some(1_790_006_400_123))]));
    assert_eq!(stripe(r#"{"id":"evt_3","type":"x"}"#), Ok(vec![event("evt_3", "x", None, None)]));

    let body = r#"{"merchant_id":"M1","type":"refund.updated","event_id":"b175","created_at":"2026-09-21T12:00:00.000Z","data":{}}"#;
    let wanted = event("b175", "refund.updated", Some("M1"), Some(1_789_992_000_000));
    assert_eq!(of(Rule::Square, body), Ok(vec![wanted]));

    for bad in
        ["nonsense", "[]", "{}", "null", r#"{"id":1,"type":"x"}"#, r#"{"id":"a","id":"b","type":"x"}"#, r#"{"id":"a"}"#]
    {
        assert_eq!(stripe(bad), Err(NoEvent::Shape), "{bad}");
        assert_eq!(of(Rule::Square, &bad.replace("\"id\"", "\"event_id\"")), Err(NoEvent::Shape), "{bad}");
    }
}

#[test]
fn names_are_bounded() {
    let longest = "x".repeat(ID_BYTES_MAX);
    let body =
        |id: &str| format!(r#"{{"id":"{id}","event_id":"{id}","type":"x","account":"{id}","merchant_id":"{id}"}}"#);
    for rule in [Rule::Stripe, Rule::Square] {
        assert!(of(rule, &body(&longest)).is_ok());
        for bad in ["", "a b", "é", r"\u0000", &format!("{longest}x")] {
            assert_eq!(of(rule, &body(bad)), Err(NoEvent::Bounds), "{bad}");
        }
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep = format!(r#"{{"id":"a","type":"b","data":{deep}}}"#);
    assert!(of(Rule::Stripe, &deep).is_ok(), "what nobody reads may be as deep as it likes");
    let deep = deep.replace("{\"id\":\"a\"", "[{\"id\":\"a\"") + "]";
    assert!(of(Rule::QuickBooks, &deep).is_ok());
}

#[test]
fn shopify_names_its_events_in_headers_that_nothing_signs() {
    let signer = SIGNERS.iter().find(|signer| signer.rule == Rule::Shopify).unwrap();
    let with = |headers: &[(&str, &str)]| {
        let mut sent = signer.good();
        sent.headers.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())));
        events(&sent, signer.secret)
    };
    let topic = ("X-Shopify-Topic", "orders/create");
    let (deed, delivery) = (("X-Shopify-Event-Id", "26e91461"), ("X-Shopify-Webhook-Id", "260f0826-ce8d"));
    let (shop, at) = (
        ("X-Shopify-Shop-Domain", "shop-46.myshopify.com"),
        ("X-Shopify-Triggered-At", "2026-09-21T16:00:00.123456789Z"),
    );
    let wanted =
        Event { told: Told::ByBody, ..event("260f0826-ce8d", "orders/create", Some(shop.1), Some(1_790_006_400_123)) };
    assert_eq!(with(&[topic, deed, delivery, shop, at]), Ok(vec![wanted]));
    let wanted = Event { told: Told::ByBody, ..event("26e91461/orders/create", "orders/create", None, None) };
    assert_eq!(with(&[deed, topic, ("x-shopify-triggered-at", "yesterday")]), Ok(vec![wanted]));
    assert_eq!(with(&[topic, shop]), Err(NoEvent::NoId));
    assert_eq!(with(&[deed]), Err(NoEvent::NoKind));
    assert_eq!(with(&[topic, delivery, ("x-shopify-webhook-id", "2")]), Err(NoEvent::Bounds));
    assert_eq!(with(&[topic, ("X-Shopify-Webhook-Id", "é")]), Err(NoEvent::Bounds));
}

#[test]
fn every_change_that_quickbooks_tells_of_is_an_event() {
    let change = |id: &str| {
        format!(r#"{{"name":"Invoice","id":"{id}","operation":"Void","lastUpdated":"2026-09-21T12:00:00.000Z"}}"#)
    };
    let body = format!(
        r#"{{"eventNotifications":[{{"realmId":"R1","dataChangeEvent":{{"entities":[{},{}]}}}},{{"realmId":"R2","dataChangeEvent":{{"entities":[{}]}}}}]}}"#,
        change("1"),
        change("2"),
        change("1"),
    );
    let wanted = |realm: &str, id: &str| {
        let id = format!("{realm}/Invoice/{id}/Void/2026-09-21T12:00:00.000Z");
        event(&id, "Invoice.Void", Some(realm), Some(1_789_992_000_000))
    };
    assert_eq!(of(Rule::QuickBooks, &body), Ok(vec![wanted("R1", "1"), wanted("R1", "2"), wanted("R2", "1")]));

    let cloud = r#" [{"specversion":"1.0","id":"88cd","type":"qbo.invoice.created.v1","time":"2026-09-21T12:00:00Z","intuitentityid":"1","intuitaccountid":"R1","data":{}},{"id":"b2","type":"x"}]"#;
    let first = event("88cd", "qbo.invoice.created.v1", Some("R1"), Some(1_789_992_000_000));
    assert_eq!(of(Rule::QuickBooks, cloud), Ok(vec![first, event("b2", "x", None, None)]));

    let many = |count: usize| format!("[{}]", vec![r#"{"id":"1","type":"x"}"#; count].join(","));
    assert_eq!(of(Rule::QuickBooks, &many(EVENTS_MAX)).map(|events| events.len()), Ok(EVENTS_MAX));
    assert_eq!(of(Rule::QuickBooks, &many(EVENTS_MAX + 1)), Err(NoEvent::TooMany));
    for empty in ["[]", r#"{"eventNotifications":[]}"#] {
        assert_eq!(of(Rule::QuickBooks, empty), Err(NoEvent::NoId), "{empty}");
    }
    for bad in ["{}", "[{}]", "[1]", "\"\"", r#"{"eventNotifications":[{"realmId":"R1"}]}"#] {
        assert_eq!(of(Rule::QuickBooks, bad), Err(NoEvent::Shape), "{bad}");
    }
}

#[test]
fn an_event_of_twilio_is_named_by_all_that_is_signed() {
    let rule = Rule::Twilio(Algorithm::HmacSha1);
    let one = |body: &str| of(rule, body).map(|events| events.into_iter().next().unwrap());
    let delivered = one("MessageSid=SM1&MessageStatus=delivered&SmsStatus=sent&AccountSid=AC1").unwrap();
    assert_eq!(
        (delivered.kind.as_str(), delivered.account.as_deref(), matches!(delivered.told, Told::BySigned(_))),
        ("message.delivered", Some("AC1"), true)
    );
    assert!(delivered.id.starts_with("SM1/") && delivered.id.len() == "SM1/".len() + 32, "{}", delivered.id);
    // Sent again, its parameters may stand in another order and be escaped otherwise.
    let again = one("AccountSid=AC1&SmsStatus=%73ent&MessageStatus=delivered&MessageSid=SM1").unwrap();
    assert_eq!(again, delivered);
    let other = one("MessageSid=SM1&MessageStatus=read&SmsStatus=sent&AccountSid=AC1").unwrap();
    assert!(other.id != delivered.id && other.kind == "message.read");

    let call = one("CallSid=CA1&CallStatus=in-progress&SequenceNumber=2").unwrap();
    assert_eq!((call.kind.as_str(), call.number), ("call.in-progress", Some(2)));
    let pressed = |digit: u8| one(&format!("CallSid=CA1&CallStatus=in-progress&Digits={digit}")).unwrap().id;
    assert_ne!(pressed(1), pressed(2));
    assert_eq!(one("CallSid=CA1&RecordingSid=RE1&RecordingStatus=completed").unwrap().kind, "recording.completed");
    assert_eq!(one("MessageSid=SM1").unwrap().kind, "message");
    assert_eq!(one("Body=hi"), Err(NoEvent::NoId));
    assert_eq!(one("MessageSid=&Body=hi"), Err(NoEvent::NoId));
    assert_eq!(one("MessageSid=a+b"), Err(NoEvent::Bounds));
    // What is no UTF-8 says nothing, and nothing fails of it.
    assert_eq!(one("Body=%ff&MessageSid=SM1").map(|event| event.kind), Ok("message".to_owned()));
}

/// Nothing stands between name, value and the next one in what is signed: the same text can be cut in more ways than one.
#[test]
fn a_signed_text_of_twilio_is_one_event_however_it_is_cut() {
    let signer = &SIGNERS[1];
    let key = |url: &str, body: &str| {
        // What Twilio signed once, and what the signature is good for besides.
        let signature =
            (signer.sign)(signer.secret, "https://a.test/x?a=b", b"Body=hi&MessageSid=SM1&MessageStatus=failed");
        let sent = Sent { url: url.to_owned(), ..signer.send(signer.secret, body.as_bytes()).signed(signature) };
        events(&sent, signer.secret).unwrap().remove(0).once_key(body.as_bytes())
    };
    let wanted = key("https://a.test/x?a=b", "Body=hi&MessageSid=SM1&MessageStatus=failed");
    for body in ["Bod=yhi&MessageSid=SM1&MessageStatus=failed", "Body=hi&MessageSid=SM1MessageStatusfailed"] {
        assert_eq!(key("https://a.test/x?a=b", body), wanted, "{body}");
    }
    assert_eq!(key("https://a.test/x?a=bBodyhi", "MessageSid=SM1&MessageStatus=failed"), wanted);
}

#[test]
fn a_url_of_twilio_that_is_written_otherwise_is_no_other_event() {
    let signer = &SIGNERS[1];
    let id = |called: &str, text: &str| {
        let signature = (signer.sign)(signer.secret, text, b"CallSid=CA1");
        let sent = Sent { url: called.to_owned(), ..signer.send(signer.secret, b"CallSid=CA1").signed(signature) };
        events(&sent, signer.secret).unwrap().remove(0).id
    };
    let written = "https://a.test/x?n=O%27Hara&m=a%20b&e=";
    let wanted = id(written, written);
    for called in ["https://a.test:443/x?n=O'Hara&m=a%20b&e=", "https://a.test/x?n=O%27Hara&m=a%20b&e="] {
        assert_eq!(id(called, written), wanted, "{called}");
    }
    let anew = "https://a.test/x?n=O'Hara&m=a%20b&e=";
    for called in ["https://a.test/x?n=%4F'Hara&m=a+b&e", "https://a.test/x?n=O'Hara&&m=a b&e"] {
        assert_eq!(id(called, anew), wanted, "{called}");
    }
    assert_ne!(id("https://a.test/x?n=O", "https://a.test/x?n=O"), wanted);
}

#[test]
fn a_get_of_twilio_tells_in_its_query_and_json_in_its_body() {
    let url = "https://a.test/x?CallSid=CA1&CallStatus=ringing";
    let signer = &SIGNERS[1];
    let signature = (signer.sign)(signer.secret, url, b"");
    let get = Sent { method: "GET".into(), url: url.into(), body: vec![], ..signer.good().signed(signature) };
    assert_eq!(events(&get, signer.secret).unwrap()[0].kind, "call.ringing");

    let body = br#"{"MessageSid":"SM1","SmsStatus":"sent"}"#;
    let url = format!("https://a.test/x?bodySHA256={}", hex(&<Sha256 as sha2::Digest>::digest(body)));
    let mut json = Sent { body: body.to_vec(), ..signer.good().signed((signer.sign)(signer.secret, &url, b"")) };
    json.url = url;
    json.headers[1].1 = b"application/json".into();
    assert_eq!(events(&json, signer.secret).unwrap()[0].kind, "message.sent");
}
