//! What a tenant's endpoints are told, and breakers.

use std::time::Duration;

use freehold_domain::breaker::Remembered;
use freehold_domain::id::{TenantId, WebhookEndpointId};
use freehold_domain::time::UnixMs;
use freehold_storage::breaker;
use freehold_storage::due::{self, Due};
use freehold_storage::webhook_endpoint::{self, WebhookEndpointRow};
use freehold_storage::webhook_message::{self, WebhookAttemptRow};

use super::audit::append_one;
use crate::fixture::{Bed, NOW, random};

const MINUTE: Duration = Duration::from_mins(1);

fn endpoint(n: u64) -> WebhookEndpointRow {
    WebhookEndpointRow {
        id: WebhookEndpointId::new(NOW.plus(Duration::from_millis(n)), random()),
        url: "https://hooks.example.com/".to_owned(),
        description: "CRM".to_owned(),
        topics: "member.*,session.started".to_owned(),
        profile: "standard".to_owned(),
        secret_sealed: b"one".to_vec(),
        previous: None,
        after_seq: 7,
        failing_since_ms: None,
        disabled: None,
        created_at_ms: NOW,
    }
}

pub(crate) async fn endpoints_are_kept(bed: &Bed) {
    let tenant = bed.tenant().await;
    let mut tx = bed.store.write(tenant).await.unwrap();
    let (first, second) = (endpoint(1), endpoint(2));
    assert!(!webhook_endpoint::any(&mut tx).await.unwrap());
    for row in [&second, &first] {
        webhook_endpoint::insert(&mut tx, row).await.unwrap();
    }
    assert_eq!(webhook_endpoint::all(&mut tx).await.unwrap(), [first.clone(), second.clone()]);
    let changed = WebhookEndpointRow {
        url: "https://other.example.com/a".to_owned(),
        description: String::new(),
        topics: "*".to_owned(),
        profile: "kontraktr".to_owned(),
        ..first.clone()
    };
    webhook_endpoint::change(&mut tx, &changed).await.unwrap();
    let until = NOW.plus(MINUTE);
    assert!(webhook_endpoint::rotate(&mut tx, first.id, (b"one", b"two"), Some((b"one", until))).await.unwrap());
    assert!(!webhook_endpoint::rotate(&mut tx, first.id, (b"one", b"three"), None).await.unwrap(), "a rival was first");
    let rotated =
        WebhookEndpointRow { secret_sealed: b"two".to_vec(), previous: Some((b"one".to_vec(), until)), ..changed };
    assert_eq!(webhook_endpoint::by_id(&mut tx, first.id).await.unwrap(), Some(rotated.clone()));

    webhook_endpoint::failed(&mut tx, first.id, NOW).await.unwrap();
    webhook_endpoint::failed(&mut tx, first.id, until).await.unwrap();
    assert!(webhook_endpoint::disable(&mut tx, first.id, until, "failing").await.unwrap());
    assert!(!webhook_endpoint::disable(&mut tx, first.id, NOW, "gone").await.unwrap());
    assert!(webhook_endpoint::any(&mut tx).await.unwrap(), "the other one");
    let row = webhook_endpoint::by_id(&mut tx, first.id).await.unwrap().unwrap();
    assert_eq!((row.failing_since_ms, row.disabled), (Some(NOW), Some((until, "failing".to_owned()))));
    assert!(webhook_endpoint::enable(&mut tx, first.id, 9).await.unwrap());
    assert!(!webhook_endpoint::enable(&mut tx, first.id, 10).await.unwrap());
    let enabled = WebhookEndpointRow { after_seq: 9, ..rotated };
    assert_eq!(webhook_endpoint::by_id(&mut tx, first.id).await.unwrap(), Some(enabled.clone()));
    webhook_endpoint::failed(&mut tx, first.id, NOW).await.unwrap();
    webhook_endpoint::succeeded(&mut tx, first.id).await.unwrap();
    assert_eq!(webhook_endpoint::by_id(&mut tx, first.id).await.unwrap(), Some(enabled));

    assert_eq!(webhook_endpoint::cursor(&mut tx).await.unwrap(), None);
    webhook_endpoint::begin(&mut tx, 7).await.unwrap();
    webhook_endpoint::begin(&mut tx, 8).await.unwrap();
    assert_eq!(webhook_endpoint::cursor(&mut tx).await.unwrap(), Some(7));
    assert!(webhook_endpoint::advance(&mut tx, 7, 9).await.unwrap());
    assert!(!webhook_endpoint::advance(&mut tx, 7, 8).await.unwrap(), "a rival was first");

    webhook_message::insert(&mut tx, first.id, (8, "member.joined"), NOW).await.unwrap();
    assert!(webhook_endpoint::remove(&mut tx, first.id).await.unwrap());
    assert!(!webhook_endpoint::remove(&mut tx, first.id).await.unwrap());
    assert_eq!(webhook_message::by_seq(&mut tx, first.id, 8).await.unwrap(), None, "its messages go with it");
    tx.commit().await.unwrap();
}

fn attempt(attempt: i64) -> WebhookAttemptRow {
    let answer_sealed = (attempt == 1).then(|| b"sealed".to_vec());
    let (outcome, status) = ("status".to_owned(), (attempt == 1).then_some(500));
    WebhookAttemptRow { attempt, at_ms: NOW, took_ms: 12, outcome, status, answer_sealed }
}

pub(crate) async fn messages_are_claimed_and_settled_once(bed: &Bed) {
    let tenant = bed.tenant().await;
    let mut tx = bed.store.write(tenant).await.unwrap();
    let to = endpoint(1);
    let (id, later) = (to.id, NOW.plus(MINUTE));
    webhook_endpoint::insert(&mut tx, &to).await.unwrap();
    assert_eq!(webhook_message::firsts(&mut tx).await.unwrap(), []);
    assert!(webhook_message::insert(&mut tx, id, (8, "member.joined"), NOW).await.unwrap());
    assert!(!webhook_message::insert(&mut tx, id, (8, "member.joined"), later).await.unwrap(), "once");
    assert!(webhook_message::insert(&mut tx, id, (9, "session.started"), later).await.unwrap());
    let firsts = webhook_message::firsts(&mut tx).await.unwrap();
    assert_eq!((firsts.len(), firsts[0].endpoint, firsts[0].at), (1, id, NOW));
    let read = webhook_message::next(&mut tx, id).await.unwrap().unwrap();
    assert_eq!((read.seq, read.kind.as_str(), read.state.as_str(), read.tries), (8, "member.joined", "waiting", 0));

    assert!(webhook_message::claim(&mut tx, &read, later).await.unwrap());
    assert!(!webhook_message::claim(&mut tx, &read, later).await.unwrap(), "of two one has it");
    webhook_message::settle(&mut tx, &read, ("waiting", later), &attempt(1)).await.unwrap();
    let again = webhook_message::by_seq(&mut tx, id, 8).await.unwrap().unwrap();
    assert_eq!((again.tries, again.attempts, again.next_try_at_ms), (1, 1, later));
    assert!(webhook_message::claim(&mut tx, &again, later).await.unwrap());
    webhook_message::settle(&mut tx, &read, ("delivered", NOW), &attempt(1)).await.unwrap(); // too late
    webhook_message::settle(&mut tx, &again, ("failed", NOW), &attempt(2)).await.unwrap();
    let failed = webhook_message::by_seq(&mut tx, id, 8).await.unwrap().unwrap();
    assert_eq!((failed.state.as_str(), failed.attempts), ("failed", 2));
    assert_eq!(webhook_message::attempts(&mut tx, id, 8, 9).await.unwrap(), [attempt(2), attempt(1)]);
    assert_eq!(webhook_message::attempts(&mut tx, id, 8, 1).await.unwrap(), [attempt(2)]);

    let seqs = |rows: Vec<webhook_message::WebhookMessageRow>| rows.iter().map(|row| row.seq).collect::<Vec<_>>();
    assert_eq!(seqs(webhook_message::before(&mut tx, id, (i64::MAX, ""), 9).await.unwrap()), [9, 8]);
    assert_eq!(seqs(webhook_message::before(&mut tx, id, (9, ""), 9).await.unwrap()), [8]);
    assert_eq!(seqs(webhook_message::before(&mut tx, id, (i64::MAX, "waiting"), 9).await.unwrap()), [9]);
    assert!(webhook_message::again(&mut tx, id, 8, NOW).await.unwrap());
    assert!(!webhook_message::again(&mut tx, id, 8, NOW).await.unwrap(), "it waits");
    assert!(webhook_message::not_delivered_again(&mut tx, id, 9, NOW).await.unwrap());
    assert!(!webhook_message::not_delivered_again(&mut tx, id, 99, NOW).await.unwrap());
    assert_eq!(webhook_message::by_seq(&mut tx, id, 9).await.unwrap().unwrap().next_try_at_ms, NOW);

    assert_eq!(webhook_message::sweep(&mut tx, NOW.minus(MINUTE), 9).await.unwrap(), 0);
    assert_eq!(webhook_message::sweep(&mut tx, NOW, 9).await.unwrap(), 1);
    assert_eq!(seqs(webhook_message::before(&mut tx, id, (i64::MAX, ""), 9).await.unwrap()), [9]);
    assert_eq!(webhook_message::attempts(&mut tx, id, 8, 9).await.unwrap(), []);
    webhook_endpoint::disable(&mut tx, id, NOW, "by-hand").await.unwrap();
    assert_eq!(webhook_message::firsts(&mut tx).await.unwrap(), [], "nothing is sent there");
    tx.commit().await.unwrap();
}

/// A tenant whose log goes to 1, and its endpoint, told up to there.
async fn told(bed: &Bed) -> (TenantId, WebhookEndpointId) {
    let (tenant, to) = (bed.tenant().await, endpoint(1));
    append_one(bed, tenant).await;
    let mut tx = bed.store.write(tenant).await.unwrap();
    webhook_endpoint::insert(&mut tx, &to).await.unwrap();
    webhook_endpoint::begin(&mut tx, 1).await.unwrap();
    tx.commit().await.unwrap();
    (tenant, to.id)
}

pub(crate) async fn tenants_with_webhooks_are_told(bed: &Bed, is_shared: bool) {
    let ((idle, _), (due, id), (behind, _)) = (told(bed).await, told(bed).await, told(bed).await);
    append_one(bed, behind).await;
    let mut tx = bed.store.write(due).await.unwrap();
    webhook_message::insert(&mut tx, id, (1, "member.joined"), NOW).await.unwrap();
    tx.commit().await.unwrap();
    let at = async |now: UnixMs| {
        let mut tx = bed.store.system_read().await.unwrap();
        let told = due::tenants(&mut tx, Due::Messages, now, 99).await.unwrap();
        [idle, due, behind].map(|tenant| told.contains(&tenant))
    };
    let wanted = if is_shared { [false, true, true] } else { [false; 3] };
    assert_eq!(at(NOW).await, wanted);
    assert_eq!(at(NOW.minus(MINUTE)).await, [false, false, is_shared], "not due yet");
    let mut tx = bed.store.write(due).await.unwrap();
    webhook_endpoint::disable(&mut tx, id, NOW, "by-hand").await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(at(NOW).await, [false, false, is_shared]);
}

pub(crate) async fn breakers_are_remembered(bed: &Bed) {
    let tenant = bed.tenant().await;
    let mut tx = bed.store.write(tenant).await.unwrap();
    let open = |openings| Some(Remembered { until: NOW, openings });
    for (name, remembered) in [("webhook:2", open(1)), ("webhook:1", open(1)), ("webhook:1", open(2))] {
        breaker::set(&mut tx, name, remembered).await.unwrap();
    }
    let all = breaker::all(&mut tx).await.unwrap();
    let shown: Vec<_> = all.iter().map(|row| (row.integration.as_str(), row.remembered.openings)).collect();
    assert_eq!(shown, [("webhook:1", 2), ("webhook:2", 1)]);
    assert_eq!(all[0].remembered.until, NOW);
    breaker::set(&mut tx, "webhook:1", None).await.unwrap();
    assert_eq!(breaker::all(&mut tx).await.unwrap().len(), 1);
    tx.commit().await.unwrap();
}
