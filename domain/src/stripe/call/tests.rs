use super::super::TENANT_METADATA;
use super::*;

const WALL: UnixMs = UnixMs::new(1_790_000_000_500);

const BACK: &str = "https://acme.example.com/billing/return";

#[test]
fn whose_the_tenant_is_stands_in_what_is_made_for_it() {
    let tenant = TenantId::new(WALL, [7; 10]);
    let (customer, price) = ("cus_1".parse().unwrap(), "price_1".parse().unwrap());
    let page = Call::open_page(tenant, &customer, &price, BACK, WALL);
    for call in [&Call::make_customer(tenant), &Call::make_account(tenant), &page] {
        let named = call.form.iter().find(|(name, _)| name.ends_with(&format!("[{TENANT_METADATA}]")));
        assert_eq!(named.map(|(_, value)| value.clone()), Some(tenant.to_string()), "{call:?}");
        assert_eq!((call.method, &call.account), (Method::Post, &None));
    }
    assert!(page.form.contains(&("expires_at", "1790002100".to_owned())), "35 minutes, and not in milliseconds");
    assert_eq!(Call::make_customer(tenant).encoded().expose(), &format!("metadata%5Bfreehold_tenant%5D={tenant}"));
}

#[test]
fn what_is_read_is_asked_for_in_the_name_of_the_account() {
    let account: AccountId = "acct_1".parse().unwrap();
    let first = Call::payouts(&account, None, 3);
    assert_eq!((first.path.as_str(), first.account.as_ref()), ("/v1/payouts?limit=3", Some(&account)));
    let next = Call::payouts(&account, Some(&"po_9".parse().unwrap()), 3);
    assert_eq!((next.path.as_str(), next.method), ("/v1/payouts?limit=3&starting_after=po_9", Method::Get));
    let pages = Call::open_pages(&"cus_1".parse().unwrap());
    assert_eq!(pages.path, "/v1/checkout/sessions?customer=cus_1&status=open&limit=10");
    assert_eq!(Call::close_account(&account).path, "/v1/accounts/acct_1");
}

#[test]
fn answers_are_read_by_what_they_must_have() {
    assert_eq!(id::<CustomerId>(r#"{"id":"cus_1","email":"a@example.com"}"#), Ok("cus_1".parse().unwrap()));
    for wrong in ["", "{}", r#"{"id":"acct_1"}"#, r#"{"id":7}"#] {
        assert_eq!(id::<CustomerId>(wrong), Err(NotAnAnswer), "{wrong}");
    }
    assert_eq!(
        url(r#"{"url":"https://checkout.stripe.com/c/pay/cs_1#a"}"#).unwrap().expose(),
        "https://checkout.stripe.com/c/pay/cs_1#a"
    );
    for wrong in [
        "http://checkout.stripe.com",
        "https://checkout.stripe.com@example.com/",
        "javascript:alert(1)",
        "https://a b",
        "",
        "//x",
    ] {
        assert_eq!(url(&serde_json::json!({ "url": wrong }).to_string()), Err(NotAnAnswer), "{wrong}");
    }
    assert_eq!((done(r#"{"id":"cs_1"}"#), done("{}")), (Ok(()), Err(NotAnAnswer)));
    let answers = [r#"{"id":"acct_1","deleted":true}"#, r#"{"id":"acct_1","deleted":false}"#, r#"{"id":"acct_1"}"#];
    assert_eq!(answers.map(gone), [Ok(()), Err(NotAnAnswer), Err(NotAnAnswer)]);
    let prices = [
        r#"{"active":true,"recurring":{"interval":"month"}}"#,
        r#"{"active":true,"recurring":null}"#,
        r#"{"active":false,"recurring":{}}"#,
    ];
    assert_eq!(prices.map(is_for_a_plan), [Ok(true), Ok(false), Ok(false)]);
    assert_eq!(is_for_a_plan("{}"), Err(NotAnAnswer));
    let open = pages(r#"{"data":[{"id":"cs_test_1"},{"id":"cs_2"}],"has_more":false}"#).unwrap();
    assert_eq!(Call::close_page(&open[0]).path, "/v1/checkout/sessions/cs_test_1/expire");
    for wrong in ["cs_1/../x", "sub_1", "cs_1?a"] {
        let list = serde_json::json!({ "data": [{ "id": wrong }], "has_more": false }).to_string();
        assert_eq!(pages(&list), Err(NotAnAnswer), "{wrong}");
    }
}

#[test]
fn a_payout_is_read_without_where_it_goes() {
    let object = serde_json::json!({ "id": "po_1", "amount": 1_099, "currency": "eur", "status": "in_transit",
        "created": 1_790_000_000, "arrival_date": 1_790_086_400, "destination": "ba_1", "statement_descriptor": "x" });
    let list = |object: &serde_json::Value| serde_json::json!({ "data": [object], "has_more": true }).to_string();
    let (payouts_read, more) = payouts(&list(&object)).unwrap();
    let created = UnixMs::new(1_790_000_000_000);
    let arrives = created.plus(Duration::from_hours(24));
    let (currency, status) = ("eur".to_owned(), "in_transit".to_owned());
    let wanted = Payout { id: "po_1".parse().unwrap(), amount: 1_099, currency, status, created, arrives };
    assert_eq!((payouts_read, more), (vec![wanted], true));
    for (field, value) in [("id", "ba_1"), ("currency", "EUR"), ("status", "in transit"), ("amount", "1")] {
        let mut wrong = object.clone();
        wrong[field] = value.into();
        assert_eq!(payouts(&list(&wrong)), Err(NotAnAnswer), "{field}");
    }
}

#[test]
fn why_it_was_refused_is_a_word_and_never_a_text() {
    let said = |error: serde_json::Value| refused(&serde_json::json!({ "error": error }).to_string());
    let both =
        serde_json::json!({ "type": "invalid_request_error", "code": "resource_missing", "message": "No such x" });
    assert_eq!(said(both).as_deref(), Some("resource_missing"));
    assert_eq!(said(serde_json::json!({ "type": "api_error" })).as_deref(), Some("api_error"));
    let gone = serde_json::json!({ "code": "resource_missing", "param": "customer" });
    assert_eq!(said(gone).as_deref(), Some(NO_CUSTOMER));
    let long = serde_json::json!({ "code": "resource_missing", "param": "line_items[0][price]" });
    assert_eq!(said(long).as_deref(), Some("resource_missing"));
    for code in ["4242 4242", "4242424242424242", ""] {
        assert_eq!(said(serde_json::json!({ "code": code })), None);
    }
    assert_eq!(refused("<html>"), None);
}
