//! What browsers report.

use std::time::Duration;

use freehold_domain::id::CspReportId;
use freehold_storage::csp_report;

use crate::fixture::{Bed, NOW, random};

pub(crate) async fn are_kept_once_and_in_bounds(bed: &Bed) {
    let tenant = bed.tenant().await;
    let later = NOW.plus(Duration::from_hours(1));
    let id = |n: u64| CspReportId::new(NOW.plus(Duration::from_millis(n)), random());
    let mut tx = bed.store.write(tenant).await.unwrap();
    assert!(!csp_report::again(&mut tx, b"one", NOW).await.unwrap());
    let (one, two) = (id(1), id(2));
    assert!(csp_report::insert(&mut tx, one, b"one", b"sealed", NOW, 2).await.unwrap());
    assert!(!csp_report::insert(&mut tx, id(3), b"one", b"sealed", NOW, 2).await.unwrap(), "it is known");
    assert!(csp_report::insert(&mut tx, two, b"two", b"sealed too", NOW, 2).await.unwrap());
    assert!(!csp_report::insert(&mut tx, id(4), b"three", b"x", NOW, 2).await.unwrap(), "there is no room");
    assert!(csp_report::again(&mut tx, b"one", later).await.unwrap());
    let page = csp_report::page(&mut tx, None, 9).await.unwrap();
    let told: Vec<_> = page.iter().map(|row| (row.id, row.times, row.first_seen_at_ms, row.last_seen_at_ms)).collect();
    assert_eq!(told, [(one, 2, NOW, later), (two, 1, NOW, NOW)]);
    assert_eq!(csp_report::page(&mut tx, Some(one), 9).await.unwrap(), page[1..]);
    assert_eq!(csp_report::sweep(&mut tx, NOW, 9).await.unwrap(), 1);
    assert!(csp_report::insert(&mut tx, two, b"two", b"sealed too", later, 2).await.unwrap());
    csp_report::evict(&mut tx).await.unwrap();
    let left = csp_report::page(&mut tx, None, 9).await.unwrap();
    assert_eq!(left.iter().map(|row| row.id).collect::<Vec<_>>(), [one], "the one that came twice stays");
    assert_eq!(csp_report::delete_all(&mut tx).await.unwrap(), 1);
    tx.commit().await.unwrap();
}
