//! What Stripe's events tell.

use std::time::Duration;

use freehold_domain::stripe::{Account, AccountId, Fact, Seller, Status, Subscription, SubscriptionId, Version};
use freehold_domain::time::UnixMs;
use freehold_storage::stripe_made::{Kind, MadeRow};
use freehold_storage::{stripe_account, stripe_made, stripe_subscription};
use uuid::Uuid;

use crate::fixture::{Bed, NOW};

fn version(second: u64, event_id: &str) -> Version {
    Version { ended: false, at: at(second), rank: 1, event_id: event_id.to_owned() }
}

fn at(second: u64) -> UnixMs {
    NOW.plus(Duration::from_secs(second))
}

fn fact(account: Option<&str>, id: &str, status: Status, version: Version) -> Fact<SubscriptionId, Subscription> {
    let state = Subscription {
        customer: "cus_1".parse().unwrap(),
        status,
        price: Some("price_1".parse().unwrap()),
        period_start: Some(NOW),
        period_end: Some(NOW),
        cancels_at_end: true,
    };
    let seller = account.map_or(Seller::Own, |account| account.parse().unwrap());
    Fact { seller, id: id.parse().unwrap(), state, version }
}

pub(crate) async fn what_is_newer_stays_and_every_event_counts(bed: &Bed) {
    let tenant = bed.tenant().await;
    let mut tx = bed.store.write(tenant).await.unwrap();
    let own = fact(None, "sub_1", Status::PastDue, version(5, "evt_5"));
    stripe_subscription::fold(&mut tx, &own, at(10)).await.unwrap();
    let older = fact(None, "sub_1", Status::Active, version(4, "evt_9"));
    stripe_subscription::fold(&mut tx, &older, at(11)).await.unwrap();
    let stored = stripe_subscription::page(&mut tx, ("", ""), 9).await.unwrap();
    assert_eq!((&stored[0].fact, stored[0].events, stored[0].updated_at_ms), (&own, 2, at(10)));
    let mut newer = fact(None, "sub_1", Status::Canceled, Version { ended: true, rank: 3, ..version(6, "evt_6") });
    (newer.state.price, newer.state.period_end, newer.state.cancels_at_end) = (None, None, false);
    newer.state.period_start = Some(at(3));
    newer.state.customer = "cus_2".parse().unwrap();
    stripe_subscription::fold(&mut tx, &newer, at(12)).await.unwrap();
    let late = fact(None, "sub_1", Status::Active, version(7, "evt_7"));
    stripe_subscription::fold(&mut tx, &late, at(13)).await.unwrap();
    // The same id at a connected account is another subscription.
    let theirs = fact(Some("acct_1"), "sub_1", Status::Active, version(1, "evt_1"));
    stripe_subscription::fold(&mut tx, &theirs, at(14)).await.unwrap();
    let another = fact(Some("acct_1"), "sub_2", Status::Active, version(1, "evt_2"));
    stripe_subscription::fold(&mut tx, &another, at(14)).await.unwrap();
    let stored = stripe_subscription::page(&mut tx, ("", ""), 9).await.unwrap();
    let told: Vec<_> = stored.iter().map(|row| (row.fact.clone(), row.events, row.updated_at_ms)).collect();
    assert_eq!(told, [(newer, 4, at(12)), (theirs, 1, at(14)), (another, 1, at(14))]);
    assert_eq!(stripe_subscription::page(&mut tx, ("", "sub_1"), 1).await.unwrap(), stored[1..2]);
    assert_eq!(stripe_subscription::page(&mut tx, ("acct_1", "sub_1"), 9).await.unwrap(), stored[2..]);

    let account = |charges_enabled, version| Fact {
        seller: "acct_1".parse().unwrap(),
        id: "acct_1".parse::<AccountId>().unwrap(),
        state: Account { charges_enabled, payouts_enabled: false, details_submitted: true },
        version,
    };
    let newest = account(true, version(5, "evt_5"));
    stripe_account::fold(&mut tx, &account(false, version(4, "evt_4")), at(20)).await.unwrap();
    stripe_account::fold(&mut tx, &newest, at(21)).await.unwrap();
    stripe_account::fold(&mut tx, &account(false, version(4, "evt_9")), at(22)).await.unwrap();
    let stored = stripe_account::page(&mut tx, ("", ""), 9).await.unwrap();
    assert_eq!((&stored[0].fact, stored[0].events, stored[0].updated_at_ms), (&newest, 3, at(21)));
    assert_eq!(stripe_account::page(&mut tx, ("acct_1", "acct_1"), 9).await.unwrap(), []);
    tx.commit().await.unwrap();
}

/// What the platform sells to the tenant, and whom it pays out, is nothing of what the tenant sells.
pub(crate) async fn what_is_of_the_platform_stands_apart(bed: &Bed) {
    let (tenant, other) = (bed.tenant().await, bed.tenant().await);
    let mut tx = bed.store.write(tenant).await.unwrap();
    let own = fact(None, "sub_1", Status::Active, version(5, "evt_5"));
    let of = |id, second| fact(Some("platform"), id, Status::Active, version(second, "evt_1"));
    let (bought, newest) = (of("sub_1", 1), of("sub_2", 2));
    for (fact, second) in [(&own, 9), (&bought, 10), (&newest, 11)] {
        stripe_subscription::fold(&mut tx, fact, at(second)).await.unwrap();
    }
    let facts =
        |rows: Vec<stripe_subscription::SubscriptionRow>| rows.into_iter().map(|row| row.fact).collect::<Vec<_>>();
    assert_eq!(facts(stripe_subscription::page(&mut tx, ("", ""), 9).await.unwrap()), [own]);
    assert_eq!(facts(stripe_subscription::of_platform(&mut tx, 9).await.unwrap()), [newest.clone(), bought]);
    assert_eq!(facts(stripe_subscription::of_platform(&mut tx, 1).await.unwrap()), [newest]);
    let id: AccountId = "acct_1".parse().unwrap();
    let state = Account { charges_enabled: true, payouts_enabled: true, details_submitted: true };
    let paid_out = Fact { seller: Seller::Platform, id: id.clone(), state, version: version(1, "evt_1") };
    assert_eq!(stripe_account::of_platform(&mut tx, &id).await.unwrap(), None);
    stripe_account::fold(&mut tx, &paid_out, at(9)).await.unwrap();
    assert_eq!(stripe_account::of_platform(&mut tx, &id).await.unwrap().unwrap().fact, paid_out);
    assert_eq!(stripe_account::page(&mut tx, ("", ""), 9).await.unwrap(), []);
    tx.commit().await.unwrap();
    let mut tx = bed.store.read(other).await.unwrap();
    assert_eq!(stripe_subscription::of_platform(&mut tx, 9).await.unwrap(), []);
    assert_eq!(stripe_account::of_platform(&mut tx, &id).await.unwrap(), None);
}

pub(crate) async fn one_thing_of_a_kind_is_made_under_one_attempt(bed: &Bed) {
    let tenant = bed.tenant().await;
    let (first, rival, next) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
    let mut tx = bed.store.write(tenant).await.unwrap();
    assert_eq!(stripe_made::of(&mut tx, Kind::Customer).await.unwrap(), None);
    assert!(stripe_made::begin(&mut tx, Kind::Customer, first).await.unwrap());
    assert!(!stripe_made::begin(&mut tx, Kind::Customer, rival).await.unwrap());
    assert!(stripe_made::begin(&mut tx, Kind::Account, rival).await.unwrap());
    let row = |attempt, id: Option<&str>| Some(MadeRow { attempt, id: id.map(str::to_owned) });
    assert_eq!(stripe_made::of(&mut tx, Kind::Customer).await.unwrap(), row(first, None));
    assert!(stripe_made::renew(&mut tx, Kind::Customer, first, next).await.unwrap());
    assert!(!stripe_made::renew(&mut tx, Kind::Customer, first, rival).await.unwrap());
    assert!(!stripe_made::found(&mut tx, Kind::Customer, first, "cus_1").await.unwrap(), "another attempt is made");
    assert!(stripe_made::found(&mut tx, Kind::Customer, next, "cus_2").await.unwrap());
    assert!(!stripe_made::found(&mut tx, Kind::Customer, next, "cus_3").await.unwrap());
    assert!(!stripe_made::renew(&mut tx, Kind::Customer, next, first).await.unwrap(), "it is made");
    assert_eq!(stripe_made::of(&mut tx, Kind::Customer).await.unwrap(), row(next, Some("cus_2")));
    assert!(!stripe_made::forget(&mut tx, Kind::Customer, "cus_1").await.unwrap());
    assert!(stripe_made::forget(&mut tx, Kind::Customer, "cus_2").await.unwrap());
    assert_eq!(stripe_made::of(&mut tx, Kind::Customer).await.unwrap(), None);
    assert_eq!(stripe_made::of(&mut tx, Kind::Account).await.unwrap(), row(rival, None));
    tx.commit().await.unwrap();
}

/// Eight who tell of one subscription at once, none of whom finds it there: each counts, and the newest stays.
pub(crate) async fn rivals_fold_each_event_once(bed: &Bed) {
    let tenant = bed.tenant().await;
    let rival = async |second: u64| {
        let fact = fact(None, "sub_1", Status::Active, version(second, "evt_1"));
        let mut tx = bed.store.write(tenant).await.unwrap();
        stripe_subscription::fold(&mut tx, &fact, at(9)).await.unwrap();
        tx.commit().await.unwrap();
    };
    tokio::join!(rival(1), rival(7), rival(2), rival(3), rival(4), rival(5), rival(6), rival(0));
    let stored = stripe_subscription::page(&mut bed.store.read(tenant).await.unwrap(), ("", ""), 9).await.unwrap();
    assert_eq!(stored.iter().map(|row| (row.events, row.fact.version.at)).collect::<Vec<_>>(), [(8, at(7))]);
}
