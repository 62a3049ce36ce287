//! What Stripe's events tell.

use std::time::Duration;

use freehold_domain::stripe::{Account, AccountId, Fact, Status, Subscription, SubscriptionId, Version};
use freehold_domain::time::UnixMs;
use freehold_storage::{stripe_account, stripe_subscription};

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
        period_end: Some(NOW),
        cancels_at_end: true,
    };
    let account = account.map(|account| account.parse().unwrap());
    Fact { account, id: id.parse().unwrap(), state, version }
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
        account: Some("acct_1".parse().unwrap()),
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
