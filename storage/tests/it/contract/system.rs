//! The directory, the changes and the feed.

use std::time::Duration;

use freehold_domain::time::UnixMs;
use freehold_storage::change::{self, Change};
use freehold_storage::directory::{self, TenantStateRow};
use freehold_storage::feed;

use crate::fixture::{Bed, NOW, tenant_id};

pub(crate) async fn directory_is_kept(bed: &Bed) {
    let (first, second) = (tenant_id(), tenant_id());
    let mut tx = bed.store.system_write_for(second).await.unwrap();
    assert!(directory::insert(&mut tx, second, "globex", "Globex", "active", NOW).await.unwrap());
    assert!(directory::insert(&mut tx, first, "acme", "Acme", "active", NOW).await.unwrap());
    assert!(!directory::insert(&mut tx, tenant_id(), "acme", "Other", "active", NOW).await.unwrap());
    let later = NOW.plus(Duration::from_secs(1));
    let suspended =
        TenantStateRow { name: "suspended".to_owned(), reason: Some("unpaid".to_owned()), until_ms: Some(later) };
    assert!(directory::set_state(&mut tx, second, &suspended, later).await.unwrap());
    assert!(!directory::set_state(&mut tx, tenant_id(), &suspended, later).await.unwrap());
    let subject = second.uuid();
    change::append(&mut tx, Change { kind: "tenant", subject, value: 0, at_ms: later }).await.unwrap();
    tx.commit().await.unwrap();

    let mut tx = bed.store.system_read().await.unwrap();
    let found = directory::by_slug(&mut tx, "globex").await.unwrap().unwrap();
    assert_eq!((found.id, found.name.as_str(), found.updated_at_ms), (second, "Globex", later));
    assert_eq!(found.state, suspended);
    let found = directory::by_id(&mut tx, first).await.unwrap().unwrap();
    assert_eq!((found.slug.as_str(), found.state.name.as_str(), found.state.reason), ("acme", "active", None));
    assert!(directory::by_slug(&mut tx, "ACME").await.unwrap().is_none());
    let page = directory::page(&mut tx, "", 1).await.unwrap();
    assert_eq!(page[0].slug, "acme");
    let page = directory::page(&mut tx, "acme", 9).await.unwrap();
    assert_eq!(page.iter().map(|tenant| tenant.slug.as_str()).collect::<Vec<_>>(), ["globex"]);
    drop(tx);
    bed.store.ping().await.unwrap();
}

pub(crate) async fn changes_are_kept(bed: &Bed) {
    let tenant = bed.tenant().await;
    let subject = tenant_id().uuid();
    let mut tx = bed.store.write(tenant).await.unwrap();
    for at_ms in 1..=4 {
        let at_ms = UnixMs::new(at_ms);
        change::append(&mut tx, Change { kind: "epoch", subject, value: at_ms.get() * 10, at_ms }).await.unwrap();
    }
    tx.commit().await.unwrap();

    let mut tx = bed.store.write(tenant).await.unwrap();
    let page = change::since(&mut tx, UnixMs::new(2), 0, 2).await.unwrap();
    let rest = change::since(&mut tx, UnixMs::new(2), page[1].seq, 2).await.unwrap();
    let values: Vec<_> = page.iter().chain(&rest).map(|row| row.value).collect();
    assert_eq!(values, [20, 30, 40]);
    assert_eq!((page[0].kind.as_str(), page[0].subject), ("epoch", subject));
    assert_eq!(change::sweep(&mut tx, UnixMs::new(4), 2).await.unwrap(), 2, "no more than the limit");
    assert_eq!(change::sweep(&mut tx, UnixMs::new(4), 2).await.unwrap(), 1);
    assert_eq!(change::since(&mut tx, UnixMs::new(0), 0, 9).await.unwrap().len(), 1);
    tx.commit().await.unwrap();
}

pub(crate) async fn feed_is_followed(bed: &Bed, is_shared: bool) {
    let tenants = [bed.tenant().await, bed.tenant().await];
    let mut tx = bed.store.system_read().await.unwrap();
    let known = feed::changes_after(&mut tx, 0, UnixMs::MAX, 100).await.unwrap();
    let last = known.last().map_or(0, |row| row.seq);
    drop(tx);
    for (at_ms, tenant) in [(7, tenants[0]), (8, tenants[1])] {
        let mut tx = bed.store.write(tenant).await.unwrap();
        let change = Change { kind: "epoch", subject: tenant.uuid(), value: 1, at_ms: UnixMs::new(at_ms) };
        change::append(&mut tx, change).await.unwrap();
        tx.commit().await.unwrap();
    }

    let mut tx = bed.store.system_read().await.unwrap();
    let rows = feed::changes_after(&mut tx, last, UnixMs::MAX, 9).await.unwrap();
    if !is_shared {
        assert!(rows.is_empty(), "one process owns the store");
        return;
    }
    assert_eq!(rows.iter().map(|row| row.tenant).collect::<Vec<_>>(), tenants);
    assert_eq!((rows[0].kind.as_str(), rows[0].subject, rows[0].value), ("epoch", tenants[0].uuid(), 1));
    let again = feed::changes_after(&mut tx, rows[1].seq, UnixMs::new(8), 99).await.unwrap();
    assert!(again.contains(&rows[1]) && !again.contains(&rows[0]), "read again, by time");
    assert_eq!(feed::changes_after(&mut tx, last, UnixMs::MAX, 1).await.unwrap(), rows[..1]);
}
