//! What providers post.

use std::time::Duration;

use freehold_domain::id::{WebhookDeliveryId, WebhookEventId};
use freehold_domain::inbox::State;
use freehold_domain::time::UnixMs;
use freehold_storage::webhook_event::{self, NewDelivery, NewEvent};
use freehold_storage::webhook_inbox;
use freehold_storage::webhook_refusal::{self, WebhookRefusalRow};
use freehold_storage::webhook_source::{self, WebhookSourceRow};

use crate::fixture::{Bed, NOW, random};

const HOUR: Duration = Duration::from_hours(1);

pub(crate) async fn sources_are_set_and_taken_away(bed: &Bed) {
    let tenant = bed.tenant().await;
    let mut tx = bed.store.write(tenant).await.unwrap();
    assert!(webhook_source::insert(&mut tx, "stripe", b"one", NOW).await.unwrap());
    assert!(!webhook_source::insert(&mut tx, "stripe", b"two", NOW).await.unwrap());
    assert!(webhook_source::insert(&mut tx, "square", b"three", NOW).await.unwrap());
    let (source, secret_sealed) = ("stripe".to_owned(), b"two".to_vec());
    let previous = Some((b"one".to_vec(), NOW.plus(HOUR)));
    let row = WebhookSourceRow { source, secret_sealed, set_at_ms: NOW.plus(HOUR), previous };
    webhook_source::update(&mut tx, &row).await.unwrap();
    let all = webhook_source::all(&mut tx).await.unwrap();
    assert_eq!(all.iter().map(|row| row.source.as_str()).collect::<Vec<_>>(), ["square", "stripe"]);
    assert_eq!((&all[1], &all[0].previous), (&row, &None));
    let row = WebhookSourceRow { previous: None, ..row };
    webhook_source::update(&mut tx, &row).await.unwrap();
    assert_eq!(webhook_source::all(&mut tx).await.unwrap()[1], row);
    assert!(webhook_source::remove(&mut tx, "stripe").await.unwrap());
    assert!(!webhook_source::remove(&mut tx, "stripe").await.unwrap());
    assert_eq!(webhook_source::all(&mut tx).await.unwrap().len(), 1);
    tx.commit().await.unwrap();
}

pub(super) fn delivery(id: WebhookDeliveryId, received_at_ms: UnixMs) -> NewDelivery<'static> {
    NewDelivery { id, source: "stripe-connect", body_sealed: b"sealed", request_id: "r-1", received_at_ms }
}

pub(super) fn event(n: u64, delivery: WebhookDeliveryId, once_key: &[u8]) -> NewEvent<'_> {
    NewEvent {
        id: WebhookEventId::new(NOW.plus(Duration::from_millis(n)), random()),
        delivery,
        provider: "stripe",
        once_key,
        event_id: "evt_1",
        kind: "account.updated",
        account: Some("acct_1"),
        happened_at_ms: Some(NOW),
        number: Some(7),
        received_at_ms: NOW,
        state: State::Waiting,
    }
}

pub(crate) async fn events_are_kept_once(bed: &Bed) {
    let tenant = bed.tenant().await;
    let mut tx = bed.store.write(tenant).await.unwrap();
    let (one, two) = (WebhookDeliveryId::new(NOW, random()), WebhookDeliveryId::new(NOW.plus(HOUR), random()));
    assert!(!webhook_event::again(&mut tx, "stripe", b"a").await.unwrap());
    webhook_event::insert_delivery(&mut tx, &delivery(one, NOW)).await.unwrap();
    let first = event(1, one, b"a");
    assert!(webhook_event::insert(&mut tx, &first).await.unwrap());
    assert!(!webhook_event::insert(&mut tx, &event(2, one, b"a")).await.unwrap());
    assert!(webhook_event::again(&mut tx, "stripe", b"a").await.unwrap());
    let elsewhere = NewEvent {
        provider: "square",
        account: None,
        happened_at_ms: None,
        number: None,
        state: State::Done,
        ..event(3, one, b"a")
    };
    assert!(webhook_event::insert(&mut tx, &elsewhere).await.unwrap(), "of another provider");
    webhook_event::insert_delivery(&mut tx, &delivery(two, NOW.plus(HOUR))).await.unwrap();
    let last = event(4, two, b"b");
    assert!(webhook_event::insert(&mut tx, &last).await.unwrap());

    let page = webhook_event::page(&mut tx, None, None, 2).await.unwrap();
    assert_eq!(page.iter().map(|row| row.id).collect::<Vec<_>>(), [first.id, elsewhere.id]);
    assert_eq!((page[0].repeated, page[0].source.as_str(), page[0].request_id.as_str()), (1, "stripe-connect", "r-1"));
    assert_eq!(
        (page[0].account.as_deref(), page[0].happened_at_ms, page[0].number),
        (Some("acct_1"), Some(NOW), Some(7))
    );
    assert_eq!((&page[1].account, page[1].happened_at_ms, page[1].number), (&None, None, None));
    let rest = webhook_event::page(&mut tx, None, Some(elsewhere.id), 9).await.unwrap();
    assert_eq!(rest.iter().map(|row| row.id).collect::<Vec<_>>(), [last.id]);
    assert_eq!(webhook_event::by_id(&mut tx, last.id).await.unwrap().as_ref(), rest.first());
    assert_eq!(webhook_event::body(&mut tx, one).await.unwrap().as_deref(), Some(&b"sealed"[..]));

    // A delivery goes with its events, none of which waits.
    for (state, wanted) in
        [(State::Waiting, vec![first.id, last.id]), (State::Done, vec![elsewhere.id]), (State::Parked, vec![])]
    {
        let page = webhook_event::page(&mut tx, Some(state), None, 9).await.unwrap();
        assert_eq!(
            page.iter().map(|row| (row.id, row.state)).collect::<Vec<_>>(),
            wanted.iter().map(|id| (*id, state)).collect::<Vec<_>>()
        );
        let rest = webhook_event::page(&mut tx, Some(state), Some(first.id), 1).await.unwrap();
        assert_eq!(rest.first().map(|row| row.id), wanted.iter().copied().find(|id| *id > first.id));
    }
    assert_eq!(webhook_event::sweep(&mut tx, NOW, 9).await.unwrap(), 0);
    assert!(webhook_inbox::done(&mut tx, first.id, 0).await.unwrap());
    assert_eq!(webhook_event::sweep(&mut tx, NOW, 9).await.unwrap(), 1);
    assert_eq!(webhook_event::page(&mut tx, None, None, 9).await.unwrap(), rest);
    assert_eq!(webhook_event::body(&mut tx, one).await.unwrap(), None);
    webhook_event::remove_delivery(&mut tx, two).await.unwrap();
    assert_eq!(webhook_event::page(&mut tx, None, None, 9).await.unwrap(), []);
    tx.commit().await.unwrap();
}

pub(crate) async fn refusals_are_counted_by_cause(bed: &Bed) {
    let tenant = bed.tenant().await;
    let mut tx = bed.store.write(tenant).await.unwrap();
    let row = |cause: &str, times: i64, at: UnixMs| WebhookRefusalRow {
        provider: "stripe".to_owned(),
        cause: cause.to_owned(),
        detail: format!("at {at:?}"),
        request_id: "r-1".to_owned(),
        times,
        first_seen_at_ms: at,
        last_seen_at_ms: at,
    };
    let later = NOW.plus(HOUR);
    webhook_refusal::add(&mut tx, &row("too-old", 1, NOW)).await.unwrap();
    webhook_refusal::add(&mut tx, &row("wrong-secret", 2, NOW)).await.unwrap();
    webhook_refusal::add(&mut tx, &row("too-old", 5, later)).await.unwrap();
    let all = webhook_refusal::all(&mut tx).await.unwrap();
    let expected = WebhookRefusalRow { times: 6, first_seen_at_ms: NOW, ..row("too-old", 5, later) };
    assert_eq!(all, [expected.clone(), row("wrong-secret", 2, NOW)]);
    assert_eq!(webhook_refusal::sweep(&mut tx, NOW).await.unwrap(), 1);
    assert_eq!(webhook_refusal::all(&mut tx).await.unwrap(), [expected]);
    tx.commit().await.unwrap();
}
