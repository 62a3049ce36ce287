use proptest::prelude::*;

use super::*;

const NOW: UnixMs = UnixMs::new(1_790_000_000_000);
const DAY: Duration = Duration::from_hours(24);

fn plans() -> Plans {
    Plans {
        pro: Prices { sold: "price_pro".parse().unwrap(), before: vec!["price_old".parse().unwrap()] },
        business: Prices { sold: "price_business".parse().unwrap(), before: vec![] },
        grace: 7 * DAY,
        allowances: [
            Allowance { by_plan: [Some(3), Some(25), None] },
            Allowance { by_plan: [Some(2), Some(20), Some(100)] },
            Allowance { by_plan: [Some(0), Some(5), Some(50)] },
        ],
    }
}

fn subscription(price: Option<&str>, status: Status) -> Subscription {
    Subscription {
        customer: "cus_1".parse().unwrap(),
        status,
        price: price.map(|price| price.parse().unwrap()),
        period_start: Some(NOW),
        period_end: Some(NOW.plus(30 * DAY)),
        cancels_at_end: false,
    }
}

fn in_force(subscriptions: &[Subscription], now: UnixMs) -> Plan {
    plans().in_force(subscriptions, now)
}

#[test]
fn a_plan_is_what_is_paid_for_and_the_greatest_of_several() {
    assert_eq!(in_force(&[], NOW), Plan::Free);
    let pro = |status| subscription(Some("price_pro"), status);
    let business = |status| subscription(Some("price_business"), status);
    for status in [Status::Active, Status::Trialing] {
        assert_eq!(in_force(&[pro(status)], NOW), Plan::Pro);
        assert_eq!(in_force(&[business(status)], NOW), Plan::Business);
        assert_eq!(in_force(&[pro(status), business(status), pro(status)], NOW), Plan::Business);
        assert_eq!(in_force(&[pro(status), business(Status::Canceled)], NOW), Plan::Pro);
    }
    for status in [Status::Incomplete, Status::IncompleteExpired, Status::Canceled, Status::Unpaid, Status::Paused] {
        assert_eq!(in_force(&[business(status)], NOW), Plan::Free, "{status}");
    }
    assert_eq!(in_force(&[subscription(Some("price_old"), Status::Active)], NOW), Plan::Pro, "bought at another price");
    for price in [None, Some("price_other")] {
        assert_eq!(in_force(&[subscription(price, Status::Active)], NOW), Plan::Free);
    }
}

#[test]
fn a_payment_that_failed_has_its_grace_from_the_end_of_what_was_paid_for() {
    let past_due = subscription(Some("price_pro"), Status::PastDue);
    let over = NOW.plus(7 * DAY);
    assert_eq!(in_force(std::slice::from_ref(&past_due), UnixMs::new(over.get() - 1)), Plan::Pro);
    assert_eq!(in_force(std::slice::from_ref(&past_due), over), Plan::Free);
    let unknown = Subscription { period_start: None, ..past_due };
    assert_eq!(in_force(&[unknown], NOW), Plan::Free);
}

#[test]
fn as_much_as_the_plan_allows_and_no_more() {
    let plans = plans();
    assert_eq!(plans.admit(Plan::Free, Quota::Members, 2), Ok(()));
    let reached = QuotaReached { quota: Quota::Members, limit: 3, plan: Plan::Free };
    assert_eq!(plans.admit(Plan::Free, Quota::Members, 3), Err(reached));
    assert_eq!(plans.admit(Plan::Free, Quota::Members, 9), Err(reached), "it keeps what it has");
    assert_eq!(plans.admit(Plan::Business, Quota::Members, u32::MAX), Ok(()));
    assert!(plans.admit(Plan::Free, Quota::WebhookEndpoints, 0).is_err());
    assert_eq!(plans.admit(Plan::Pro, Quota::ApiKeys, 19), Ok(()));
    assert!(plans.admit(Plan::Pro, Quota::ApiKeys, 20).is_err());
}

#[test]
fn names_read_back() {
    for plan in Plan::ALL {
        assert_eq!(plan.as_str().parse(), Ok(plan));
        assert_eq!(
            plans().prices(plan).and_then(|prices| plans().of_price(&prices.sold)),
            Some(plan).filter(|_| plan != Plan::Free)
        );
    }
    assert_eq!("Pro".parse::<Plan>(), Err(NoPlan));
    let held: Vec<_> = Status::ALL.iter().filter(|status| is_held(**status)).map(|status| status.as_str()).collect();
    assert_eq!(held, ["incomplete", "trialing", "active", "past_due", "unpaid", "paused"]);
}

proptest! {
    /// One more subscription never takes anything away, and their order does not matter.
    #[test]
    fn more_is_never_less(
        kinds in prop::collection::vec((0..3_usize, prop::sample::select(Status::ALL.to_vec()), -20..20_i64), 0..6),
        days in 0..30_u64,
    ) {
        let prices = [Some("price_pro"), Some("price_business"), None];
        let now = NOW.plus(u32::try_from(days).unwrap() * DAY);
        let all: Vec<_> = kinds.into_iter().map(|(price, status, started)| Subscription {
            period_start: Some(UnixMs::new(NOW.get() + started * 86_400_000)),
            ..subscription(prices[price], status)
        }).collect();
        let whole = in_force(&all, now);
        for without in 0..all.len() {
            let mut fewer = all.clone();
            fewer.remove(without);
            prop_assert!(in_force(&fewer, now) <= whole);
        }
        let mut turned = all.clone();
        turned.reverse();
        prop_assert_eq!(in_force(&turned, now), whole);
    }
}
