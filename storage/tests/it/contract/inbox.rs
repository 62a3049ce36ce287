//! Events that wait for their effect.

use std::time::Duration;

use freehold_domain::id::{TenantId, WebhookDeliveryId, WebhookEventId};
use freehold_domain::inbox::State;
use freehold_storage::due::{self, Due};
use freehold_storage::webhook_event::{self, NewEvent};
use freehold_storage::webhook_inbox;

use super::webhooks::{delivery, event};
use crate::fixture::{Bed, NOW, random};

/// Keeps events with these keys, each a millisecond after the one before; which they are.
async fn kept(bed: &Bed, tenant: TenantId, keys: &[&[u8]]) -> Vec<WebhookEventId> {
    let mut tx = bed.store.write(tenant).await.unwrap();
    let (id, mut ids) = (WebhookDeliveryId::new(NOW, random()), vec![]);
    webhook_event::insert_delivery(&mut tx, &delivery(id, NOW)).await.unwrap();
    for (n, key) in (0_u64..).zip(keys) {
        let at = NOW.plus(Duration::from_millis(n));
        let new = NewEvent { received_at_ms: at, ..event(n, id, key) };
        assert!(webhook_event::insert(&mut tx, &new).await.unwrap());
        ids.push(new.id);
    }
    tx.commit().await.unwrap();
    ids
}

pub(crate) async fn events_wait_are_tried_and_done_once(bed: &Bed) {
    let tenant = bed.tenant().await;
    let mut tx = bed.store.write(tenant).await.unwrap();
    assert_eq!(webhook_inbox::next_try(&mut tx).await.unwrap(), None);
    drop(tx);
    let [first, second, third] = kept(bed, tenant, &[b"a", b"b", b"c"]).await[..] else { panic!() };
    let mut tx = bed.store.write(tenant).await.unwrap();
    let later = NOW.plus(Duration::from_mins(1));
    assert_eq!(webhook_inbox::next_try(&mut tx).await.unwrap(), Some(NOW));
    let due = webhook_inbox::due(&mut tx, NOW, 9).await.unwrap();
    assert_eq!(due.iter().map(|row| row.id).collect::<Vec<_>>(), [first], "the others are due later");
    let due = webhook_inbox::due(&mut tx, later, 2).await.unwrap();
    assert_eq!(due.iter().map(|row| row.id).collect::<Vec<_>>(), [first, second]);
    let row = &due[0];
    assert_eq!(
        (row.provider.as_str(), row.event_id.as_str(), row.kind.as_str()),
        ("stripe", "evt_1", "account.updated")
    );
    assert_eq!((row.account.as_deref(), row.happened_at_ms, row.tries), (Some("acct_1"), Some(NOW), 0));

    // One that fails waits, and the others are before it.
    assert!(webhook_inbox::postpone(&mut tx, (first, 0), later, "store").await.unwrap());
    assert!(!webhook_inbox::postpone(&mut tx, (first, 0), later, "store").await.unwrap(), "it was tried since");
    assert!(!webhook_inbox::done(&mut tx, first, 0).await.unwrap());
    let row = webhook_event::by_id(&mut tx, first).await.unwrap().unwrap();
    assert_eq!(
        (row.state, row.tries, row.next_try_at_ms, row.fault.as_deref()),
        (State::Waiting, 1, later, Some("store"))
    );
    let due = webhook_inbox::due(&mut tx, later, 9).await.unwrap();
    assert_eq!(due.iter().map(|row| row.id).collect::<Vec<_>>(), [second, third, first]);

    assert!(webhook_inbox::done(&mut tx, first, 1).await.unwrap());
    assert!(!webhook_inbox::done(&mut tx, first, 1).await.unwrap(), "once");
    assert!(!webhook_inbox::park(&mut tx, (first, 1), "body").await.unwrap());
    assert!(!webhook_inbox::replay(&mut tx, first, NOW).await.unwrap(), "what is done stays done");
    let row = webhook_event::by_id(&mut tx, first).await.unwrap().unwrap();
    assert_eq!((row.state, row.fault), (State::Done, None));

    assert!(webhook_inbox::park(&mut tx, (second, 0), "body").await.unwrap());
    assert!(
        !webhook_inbox::done(&mut tx, second, 1).await.unwrap()
            && !webhook_inbox::done(&mut tx, second, 0).await.unwrap()
    );
    let row = webhook_event::by_id(&mut tx, second).await.unwrap().unwrap();
    assert_eq!((row.state, row.tries, row.fault.as_deref()), (State::Parked, 1, Some("body")));
    assert_eq!(webhook_inbox::due(&mut tx, later, 9).await.unwrap().len(), 1);
    assert!(webhook_inbox::replay(&mut tx, second, later).await.unwrap());
    let row = webhook_event::by_id(&mut tx, second).await.unwrap().unwrap();
    assert_eq!((row.state, row.tries, row.next_try_at_ms, row.fault), (State::Waiting, 0, later, None));
    assert!(webhook_inbox::done(&mut tx, second, 0).await.unwrap());
    let nobody = WebhookEventId::new(NOW, random());
    assert!(!webhook_inbox::replay(&mut tx, nobody, NOW).await.unwrap());
    tx.commit().await.unwrap();
}

/// Eight who say of one event at once that it is done: one of them does.
pub(crate) async fn one_rival_has_the_effect(bed: &Bed) {
    let tenant = bed.tenant().await;
    let id = kept(bed, tenant, &[b"a"]).await[0];
    let rival = async || {
        let mut tx = bed.store.write(tenant).await.unwrap();
        let is_first = webhook_inbox::done(&mut tx, id, 0).await.unwrap();
        tx.commit().await.unwrap();
        is_first
    };
    let four = async || <[_; 4]>::from(tokio::join!(rival(), rival(), rival(), rival()));
    let (some, others) = tokio::join!(four(), four());
    assert_eq!(some.into_iter().chain(others).filter(|is_first| *is_first).count(), 1);
}

pub(crate) async fn tenants_with_events_are_told(bed: &Bed, is_shared: bool) {
    let (due, done) = (bed.tenant().await, bed.tenant().await);
    kept(bed, due, &[b"a", b"b"]).await;
    let id = kept(bed, done, &[b"a"]).await[0];
    let mut tx = bed.store.write(done).await.unwrap();
    assert!(webhook_inbox::done(&mut tx, id, 0).await.unwrap());
    tx.commit().await.unwrap();
    let mut tx = bed.store.system_read().await.unwrap();
    let told = due::tenants(&mut tx, Due::Events, NOW, 99).await.unwrap();
    if !is_shared {
        assert!(told.is_empty(), "each tenant is asked");
        return;
    }
    assert_eq!((told.contains(&done), told.iter().filter(|tenant| **tenant == due).count()), (false, 1));
    assert!(!due::tenants(&mut tx, Due::Events, NOW.minus(Duration::from_secs(1)), 99).await.unwrap().contains(&due));
}
