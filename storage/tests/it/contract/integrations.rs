//! What opens the services outside that a tenant has connected.

use std::time::Duration;

use freehold_domain::time::UnixMs;
use freehold_storage::due::{self, Due};
use freehold_storage::integration::{self, IntegrationRow, Renewed};

use crate::fixture::{Bed, NOW};

const LEASE: Duration = Duration::from_secs(30);

fn later(seconds: u64) -> UnixMs {
    NOW.plus(Duration::from_secs(seconds))
}

fn row(name: &str, due: Option<UnixMs>) -> IntegrationRow {
    IntegrationRow {
        name: name.to_owned(),
        secret_sealed: b"secret".to_vec(),
        refresh_sealed: due.map(|_| b"refresh".to_vec()),
        account: "9130".to_owned(),
        last4: "abcd".to_owned(),
        set_at_ms: NOW,
        ends_at_ms: due.map(|due| due.plus(LEASE)),
        due_at_ms: due,
        expired_at_ms: None,
        version: NOW.get(),
    }
}

fn renewed() -> Renewed {
    Renewed {
        secret_sealed: b"second".to_vec(),
        refresh_sealed: Some(b"next".to_vec()),
        last4: "efgh".to_owned(),
        ends_at_ms: later(90),
        due_at_ms: later(80),
    }
}

pub(crate) async fn are_set_renewed_and_taken_away(bed: &Bed) {
    let tenant = bed.tenant().await;
    let mut tx = bed.store.write(tenant).await.unwrap();
    assert_eq!(integration::next_due(&mut tx).await.unwrap(), None);
    let (key, tokens) = (row("twilio", None), row("square", Some(later(20))));
    for row in [&key, &tokens] {
        integration::set(&mut tx, row).await.unwrap();
    }
    assert_eq!(integration::all(&mut tx).await.unwrap(), [tokens.clone(), key]);
    assert_eq!(integration::next_due(&mut tx).await.unwrap(), Some(later(20)));

    assert!(integration::renew(&mut tx, &tokens, &renewed()).await.unwrap());
    for is_heard in [
        integration::renew(&mut tx, &tokens, &renewed()).await.unwrap(),
        integration::rest(&mut tx, &tokens, NOW).await.unwrap(),
        integration::expire(&mut tx, &tokens, NOW).await.unwrap(),
        integration::claim(&mut tx, &tokens, (NOW, later(30))).await.unwrap(),
    ] {
        assert!(!is_heard, "who read an older version is not heard");
    }
    let second = integration::by_name(&mut tx, "square").await.unwrap().unwrap();
    assert_eq!((second.secret_sealed.as_slice(), second.ends_at_ms), (b"second".as_slice(), Some(later(90))));
    assert!(integration::rest(&mut tx, &second, later(85)).await.unwrap());
    assert_eq!(integration::next_due(&mut tx).await.unwrap(), Some(later(85)));
    let third = integration::by_name(&mut tx, "square").await.unwrap().unwrap();
    assert!(integration::expire(&mut tx, &third, later(86)).await.unwrap());
    let over = integration::by_name(&mut tx, "square").await.unwrap().unwrap();
    assert_eq!((over.expired_at_ms, over.due_at_ms), (Some(later(86)), None));

    // Connected again, it is as if it had never ended, and not what anybody read.
    integration::set(&mut tx, &tokens).await.unwrap();
    let again = integration::by_name(&mut tx, "square").await.unwrap().unwrap();
    assert_eq!((again.expired_at_ms, again.due_at_ms), (None, tokens.due_at_ms));
    assert!(again.version > over.version);
    assert!(integration::remove(&mut tx, "square").await.unwrap());
    assert!(!integration::remove(&mut tx, "square").await.unwrap());
    assert_eq!(integration::by_name(&mut tx, "square").await.unwrap(), None);
    tx.commit().await.unwrap();
}

/// Of two that claim the same version one may refresh it, until its lease is over.
pub(crate) async fn one_rival_refreshes(bed: &Bed) {
    let tenant = bed.tenant().await;
    let tokens = row("quickbooks", Some(NOW));
    let mut tx = bed.store.write(tenant).await.unwrap();
    integration::set(&mut tx, &tokens).await.unwrap();
    tx.commit().await.unwrap();
    let claim = async || {
        let mut tx = bed.store.write(tenant).await.unwrap();
        let claimed = integration::claim(&mut tx, &tokens, (NOW, NOW.plus(LEASE))).await.unwrap();
        tx.commit().await.unwrap();
        claimed
    };
    let (one, two, three) = tokio::join!(claim(), claim(), claim());
    assert_eq!([one, two, three].iter().filter(|claimed| **claimed).count(), 1);
    let mut tx = bed.store.write(tenant).await.unwrap();
    let (before, after) = (later(29), later(30));
    assert!(!integration::claim(&mut tx, &tokens, (before, before.plus(LEASE))).await.unwrap());
    assert!(integration::claim(&mut tx, &tokens, (after, after.plus(LEASE))).await.unwrap());
}

pub(crate) async fn tenants_with_tokens_are_told(bed: &Bed, is_shared: bool) {
    let (due, not_yet, keyed) = (bed.tenant().await, bed.tenant().await, bed.tenant().await);
    for (tenant, row) in
        [(due, row("square", Some(NOW))), (not_yet, row("square", Some(later(1)))), (keyed, row("twilio", None))]
    {
        let mut tx = bed.store.write(tenant).await.unwrap();
        integration::set(&mut tx, &row).await.unwrap();
        tx.commit().await.unwrap();
    }
    let mut tx = bed.store.system_read().await.unwrap();
    let told = due::tenants(&mut tx, Due::Tokens, NOW, 99).await.unwrap();
    assert_eq!([due, not_yet, keyed].map(|tenant| told.contains(&tenant)), [is_shared, false, false]);
}
