use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const AT: UnixMs = UnixMs::new(1_790_000_000_000);

fn told(kind: &str) -> Told<'_> {
    Told { event_id: "evt_1", kind, account: None, is_of_connected: false, at: Some(AT) }
}

fn body(object: &Value) -> Vec<u8> {
    json!({ "id": "evt_1", "data": { "object": object, "previous_attributes": {} } }).to_string().into_bytes()
}

fn whole() -> Value {
    json!({ "id": "sub_1", "object": "subscription", "customer": "cus_1", "status": "active",
        "cancel_at_period_end": true, "default_payment_method": "pm_1", "description": "4242424242424242",
        "items": { "object": "list", "data": [
            { "id": "si_1", "price": { "id": "price_1", "nickname": "gold" },
                "current_period_start": 1_790_000_000, "current_period_end": 1_792_592_000 },
            { "id": "si_2", "price": { "id": "price_2" },
                "current_period_start": 1_789_000_000, "current_period_end": 1_791_000_000 },
        ] } })
}

fn subscription(kind: &str, object: &Value) -> Result<Fact<SubscriptionId, Subscription>, Unreadable> {
    match read(told(kind), &body(object))? {
        Some(Change { effect: Effect::Subscription(fact), tenant: None }) => Ok(fact),
        other => panic!("{other:?}"),
    }
}

/// `object` with this instead; without it where it is null.
fn with(mut object: Value, field: &str, value: Value) -> Value {
    object[field] = value;
    object
}

#[test]
fn a_subscription_is_read_from_bodies_of_now_and_before() {
    let fact = subscription("customer.subscription.updated", &whole()).unwrap();
    let state = Subscription {
        customer: "cus_1".parse().unwrap(),
        status: Status::Active,
        price: Some("price_1".parse().unwrap()),
        period_start: Some(UnixMs::new(1_789_000_000_000)),
        period_end: Some(UnixMs::new(1_791_000_000_000)),
        cancels_at_end: true,
    };
    let version = Version { ended: false, at: AT, rank: 1, event_id: "evt_1".to_owned() };
    assert_eq!(fact, Fact { seller: Seller::Own, id: "sub_1".parse().unwrap(), state: state.clone(), version });

    let before = with(whole(), "current_period_end", json!(1_793_000_000));
    let before = with(before, "current_period_start", json!(1_788_000_000));
    let before = subscription("customer.subscription.updated", &before).unwrap().state;
    let period = (before.period_start, before.period_end);
    assert_eq!(period, (Some(UnixMs::new(1_788_000_000_000)), Some(UnixMs::new(1_793_000_000_000))));
    let expanded = with(whole(), "customer", json!({ "id": "cus_1", "email": "a@example.com" }));
    assert_eq!(subscription("customer.subscription.updated", &expanded).unwrap().state, state);
    // A plan that was named by hand is stored nowhere, and neither is what was called a price.
    for price in [json!({ "id": "4242424242424242" }), Value::Null] {
        let items = json!({ "data": [{ "price": price }] });
        let old = subscription("customer.subscription.created", &with(whole(), "items", items)).unwrap();
        assert_eq!((old.state.price, old.state.period_end, old.version.rank), (None, None, 0));
    }
    let bare = json!({ "id": "sub_1", "customer": "cus_1", "status": "trialing" });
    let bare = subscription("customer.subscription.created", &bare).unwrap().state;
    assert_eq!((bare.price, bare.period_end, bare.cancels_at_end), (None, None, false));
}

#[test]
fn what_is_deleted_has_ended_whatever_it_says_of_itself() {
    let fact = subscription("customer.subscription.deleted", &whole()).unwrap();
    assert_eq!((fact.state.status, fact.version.ended, fact.version.rank), (Status::Canceled, true, 3));
    let expired = with(whole(), "status", json!("incomplete_expired"));
    let fact = subscription("customer.subscription.deleted", &expired).unwrap();
    assert_eq!((fact.state.status, fact.version.ended), (Status::IncompleteExpired, true));
    let fact = subscription("customer.subscription.updated", &with(whole(), "status", json!("canceled"))).unwrap();
    assert!(fact.version.ended);
    for kind in ["customer.subscription.paused", "customer.subscription.resumed"] {
        let fact = subscription(kind, &with(whole(), "status", json!("paused"))).unwrap();
        assert_eq!((fact.state.status, fact.version.ended, fact.version.rank), (Status::Paused, false, 2));
    }
}

#[test]
fn what_is_no_id_and_no_status_is_told_by_its_word() {
    let cases = [
        ("id", json!("in_1"), "subscription-id"),
        ("id", Value::Null, "subscription-id"),
        ("id", json!("sub_4242 4242"), "subscription-id"),
        ("id", json!(7), "body"),
        ("customer", json!("sub_1"), "customer-id"),
        ("customer", Value::Null, "customer-id"),
        ("customer", json!({ "name": "Ada" }), "body"),
        ("status", json!("Active"), "status"),
        ("status", Value::Null, "status"),
        ("current_period_end", json!("soon"), "body"),
        ("current_period_end", json!(1.5), "body"),
        ("items", json!([]), "body"),
    ];
    for (field, value, word) in cases {
        let not = subscription("customer.subscription.updated", &with(whole(), field, value.clone())).unwrap_err();
        assert_eq!(not.to_string(), word, "{field}: {value}");
    }
    for bytes in [&b""[..], b"{}", b"not JSON", b"{\"data\":{}}", b"{\"data\":{\"object\":null}}"] {
        assert_eq!(read(told("customer.subscription.updated"), bytes), Err(Unreadable::Body));
    }
    let no_time = Told { at: None, ..told("account.updated") };
    assert_eq!(read(no_time, b"{}"), Err(Unreadable::NoTime));
    let connected = Told { is_of_connected: true, ..told("customer.subscription.updated") };
    let no_account = Told { account: Some("4242424242424242"), ..connected };
    assert_eq!(read(no_account, &body(&whole())), Err(Unreadable::AccountId));
    let own_secret = Told { account: Some("acct_1"), ..told("customer.subscription.updated") };
    for wrong in [connected, own_secret] {
        assert_eq!(read(wrong, &body(&whole())), Err(Unreadable::WrongSecret));
    }
}

#[test]
fn a_connected_account_is_read_and_nothing_personal_of_it() {
    let object = json!({ "id": "acct_1", "email": "a@example.com", "charges_enabled": true, "payouts_enabled": false,
        "details_submitted": true, "company": { "name": "Acme" } });
    let connected = Told { account: Some("acct_1"), is_of_connected: true, ..told("account.updated") };
    let id: AccountId = "acct_1".parse().unwrap();
    let state = Account { charges_enabled: true, payouts_enabled: false, details_submitted: true };
    let version = Version { ended: false, at: AT, rank: 0, event_id: "evt_1".to_owned() };
    let fact = Fact { seller: Seller::Connected(id.clone()), id, state, version };
    let change = Change { effect: Effect::Account(fact), tenant: None };
    assert_eq!(read(connected, &body(&object)), Ok(Some(change)));
    assert_eq!(read(connected, &body(&with(object, "id", json!("cus_1")))), Err(Unreadable::AccountId));
    assert_eq!(read(connected, &body(&json!({ "id": "acct_1" }))), Err(Unreadable::Body));
}

#[test]
fn only_what_the_platform_sells_and_whom_it_pays_out_is_passed_on() {
    let tenant = TenantId::new(AT, [7; 10]);
    let ours = json!({ "freehold_tenant": tenant.to_string(), "other": "x" });
    let change = |told, object: &Value| read(told, &body(object)).unwrap().unwrap();
    let updated = told("customer.subscription.updated");
    let named = with(whole(), "metadata", ours.clone());
    let own = change(updated, &named);
    let Some((of, Effect::Subscription(fact))) = own.for_tenant() else { panic!("{own:?}") };
    assert_eq!((of, &fact.seller, fact.id.as_str()), (tenant, &Seller::Platform, "sub_1"));
    let same = change(updated, &whole());
    assert_eq!((same.effect, own.effect), (change(updated, &named).effect, change(updated, &whole()).effect));
    // A connected account writes what it likes into its own subscriptions.
    let theirs = Told { account: Some("acct_1"), is_of_connected: true, ..updated };
    assert_eq!(change(theirs, &named).for_tenant(), None);
    for other in [json!({}), json!({ "freehold_tenant": "acme" }), Value::Null] {
        assert_eq!(change(updated, &with(whole(), "metadata", other)).tenant, None);
    }
    let account = json!({ "id": "acct_1", "charges_enabled": true, "payouts_enabled": true, "details_submitted": true,
        "metadata": ours });
    let connected = Told { account: Some("acct_1"), is_of_connected: true, ..told("account.updated") };
    let Some((of, Effect::Account(fact))) = change(connected, &account).for_tenant() else { panic!() };
    assert_eq!((of, fact.seller, fact.id.as_str()), (tenant, Seller::Platform, "acct_1"));
    assert_eq!(change(told("account.updated"), &account).for_tenant(), None, "the platform's own");
    let another = Told { account: Some("acct_2"), ..connected };
    assert_eq!(change(another, &account).for_tenant(), None, "one account does not speak for another");
}

#[test]
fn kinds_that_change_nothing_are_known_without_a_body() {
    let concerned = ["created", "updated", "deleted", "paused", "resumed"];
    for kind in concerned
        .map(|verb| format!("customer.subscription.{verb}"))
        .iter()
        .map(String::as_str)
        .chain(["account.updated"])
    {
        assert!(concerns(Provider::Stripe, kind) && !concerns(Provider::Square, kind), "{kind}");
    }
    for kind in ["invoice.paid", "customer.subscription.trial_will_end", "account.external_account.updated", ""] {
        assert!(!concerns(Provider::Stripe, kind), "{kind}");
        assert_eq!(read(told(kind), b"not JSON"), Ok(None));
    }
    for status in Status::ALL {
        assert_eq!(status.as_str().parse(), Ok(*status));
    }
}

/// What a store does with facts: one row for each account and id, replaced by what is greater, and a count.
#[derive(Default, Debug, PartialEq)]
struct Rows(BTreeMap<(Seller, SubscriptionId), (Subscription, Version, usize)>);

impl Rows {
    fn fold(&mut self, fact: Fact<SubscriptionId, Subscription>) {
        let Fact { seller, id, state, version } = fact;
        let row = self.0.entry((seller, id)).or_insert_with(|| (state.clone(), version.clone(), 0));
        row.2 += 1;
        if version.replaces(&row.1) {
            (row.0, row.1) = (state, version);
        }
    }
}

#[derive(Clone, Debug)]
struct Happening {
    kind: &'static str,
    status: Status,
    second: i64,
    id: u8,
    account: Option<&'static str>,
}

impl Happening {
    /// What it tells, as the event with this number.
    fn fact(&self, number: usize) -> Fact<SubscriptionId, Subscription> {
        let object = json!({ "id": format!("sub_{}", self.id), "customer": "cus_1", "status": self.status.as_str() });
        let event_id = format!("evt_{number}");
        let at = Some(UnixMs::new(AT.get() + self.second * 1_000));
        let (account, is_of_connected) = (self.account, self.account.is_some());
        let told = Told { event_id: &event_id, kind: self.kind, account, is_of_connected, at };
        match read(told, &body(&object)) {
            Ok(Some(Change { effect: Effect::Subscription(fact), .. })) => fact,
            other => panic!("{other:?}"),
        }
    }
}

fn happening() -> impl Strategy<Value = Happening> {
    let kind = prop::sample::select(vec![
        "customer.subscription.created",
        "customer.subscription.updated",
        "customer.subscription.paused",
        "customer.subscription.resumed",
        "customer.subscription.deleted",
    ]);
    let account = prop::sample::select(vec![None, Some("acct_1"), Some("acct_2")]);
    let status = prop::sample::select(Status::ALL.to_vec());
    (kind, status, 0..5_i64, 1..3_u8, account).prop_map(|(kind, status, second, id, account)| Happening {
        kind,
        status,
        second,
        id,
        account,
    })
}

proptest! {
    /// Whatever order events come in, the state is the same; it is that of the newest, and what has ended never comes back.
    #[test]
    fn any_order_ends_in_the_same_state(
        (told, shuffled) in prop::collection::vec(happening(), 1..12).prop_flat_map(|told| {
            let numbered: Vec<_> = told.into_iter().enumerate().collect();
            (Just(numbered.clone()), Just(numbered).prop_shuffle())
        })
    ) {
        let mut rows = Rows::default();
        for (number, happening) in &told {
            rows.fold(happening.fact(*number));
        }
        let mut others = Rows::default();
        for (number, happening) in &shuffled {
            others.fold(happening.fact(*number));
        }
        prop_assert_eq!(&rows, &others);

        prop_assert_eq!(rows.0.values().map(|row| row.2).sum::<usize>(), told.len());
        for ((seller, id), (state, version, events)) in &rows.0 {
            let own = told.iter().map(|(number, happening)| happening.fact(*number));
            let own: Vec<_> = own.filter(|fact| (&fact.seller, &fact.id) == (seller, id)).collect();
            prop_assert_eq!(own.len(), *events);
            let ended = own.iter().any(|fact| fact.state.status.is_end());
            prop_assert_eq!(state.status.is_end(), ended, "the end is the end");
            let newest = own.iter().filter(|fact| fact.version.ended == ended).map(|fact| fact.version.at).max();
            prop_assert_eq!(Some(version.at), newest);
        }
        // Repeated, they change nothing but the count.
        for (number, happening) in &shuffled {
            others.fold(happening.fact(*number));
        }
        for (key, (state, version, _)) in &rows.0 {
            prop_assert_eq!((state, version), (&others.0[key].0, &others.0[key].1));
        }
    }
}
