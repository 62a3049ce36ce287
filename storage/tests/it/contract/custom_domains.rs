//! Custom domains: anybody claims, one is attached.

use std::time::Duration;

use freehold_storage::StoreError;
use freehold_storage::custom_domain as domains;

use crate::fixture::{Bed, NOW, tenant_id};

const SHOP: &str = "shop.test";

pub(crate) async fn lead_to_one_tenant(bed: &Bed) {
    let (acme, globex) = (tenant_id(), tenant_id());
    let (soon, later) = (NOW.plus(Duration::from_secs(1)), NOW.plus(Duration::from_secs(9)));
    let mut tx = bed.store.system_write_for(acme).await.unwrap();
    for tenant in [acme, globex] {
        assert!(domains::claim(&mut tx, tenant, SHOP, "one", NOW, 2).await.unwrap());
        assert!(!domains::claim(&mut tx, tenant, SHOP, "two", NOW, 2).await.unwrap(), "claimed already");
    }
    assert!(domains::claim(&mut tx, acme, "a.test", "three", NOW, 2).await.unwrap());
    assert!(!domains::claim(&mut tx, acme, "b.test", "four", NOW, 2).await.unwrap(), "too many");
    assert_eq!(domains::attached(&mut tx, SHOP).await.unwrap(), None);
    assert!(domains::begin_look(&mut tx, acme, SHOP, soon, NOW).await.unwrap());
    assert!(!domains::begin_look(&mut tx, acme, SHOP, later, NOW).await.unwrap());
    assert!(domains::begin_look(&mut tx, acme, SHOP, later, soon).await.unwrap());
    assert!(domains::attach(&mut tx, acme, SHOP, NOW, soon).await.unwrap());
    assert!(!domains::attach(&mut tx, acme, SHOP, NOW, soon).await.unwrap(), "attached already");
    assert!(!domains::attach(&mut tx, acme, "b.test", NOW, soon).await.unwrap(), "not claimed");
    assert!(domains::set_hsts(&mut tx, acme, SHOP, true).await.unwrap());
    assert!(!domains::set_hsts(&mut tx, acme, "b.test", true).await.unwrap());
    tx.commit().await.unwrap();

    // Nobody else is attached, whatever is proved.
    let mut tx = bed.store.system_write_for(globex).await.unwrap();
    let rival = domains::attach(&mut tx, globex, SHOP, NOW, soon).await;
    assert!(matches!(rival, Err(StoreError::Conflict { .. })), "{rival:?}");
    drop(tx);

    let mut tx = bed.store.system_write_for(acme).await.unwrap();
    let row = domains::attached(&mut tx, SHOP).await.unwrap().unwrap();
    assert_eq!((row.tenant, row.challenge.as_str(), row.hsts_subdomains), (acme, "one", true));
    assert_eq!((row.attached_at_ms, row.looked_at_ms, row.look_at_ms), (Some(NOW), Some(later), Some(soon)));
    assert_eq!(domains::one(&mut tx, acme, SHOP).await.unwrap().as_ref(), Some(&row));
    assert_eq!(domains::attached_page(&mut tx, "", 9).await.unwrap().first(), Some(&row));
    assert!(domains::attached_page(&mut tx, SHOP, 9).await.unwrap().is_empty());
    let names: Vec<_> = domains::list(&mut tx, acme).await.unwrap().into_iter().map(|row| row.domain).collect();
    assert_eq!(names, ["a.test", SHOP]);
    assert!(domains::due(&mut tx, NOW, 9).await.unwrap().is_empty());
    assert_eq!(domains::due(&mut tx, soon, 9).await.unwrap(), [row]);
    assert!(domains::take(&mut tx, acme, SHOP, soon, later).await.unwrap());
    assert!(!domains::take(&mut tx, acme, SHOP, soon, later).await.unwrap(), "taken");
    assert!(domains::keep(&mut tx, acme, SHOP, soon, (Some(soon), later)).await.unwrap());
    assert!(!domains::keep(&mut tx, globex, SHOP, soon, (None, later)).await.unwrap(), "not attached");
    let row = domains::one(&mut tx, acme, SHOP).await.unwrap().unwrap();
    assert_eq!((row.failing_since_ms, row.look_at_ms), (Some(soon), Some(later)));

    assert!(domains::detach(&mut tx, acme, SHOP, soon).await.unwrap());
    assert!(!domains::detach(&mut tx, acme, SHOP, soon).await.unwrap());
    assert!(domains::attach(&mut tx, globex, SHOP, soon, later).await.unwrap(), "it is free again");
    assert!(domains::delete(&mut tx, acme, "a.test").await.unwrap());
    assert!(!domains::delete(&mut tx, acme, "a.test").await.unwrap());
    assert_eq!(domains::sweep(&mut tx, NOW, 9).await.unwrap(), 0);
    assert_eq!(domains::sweep(&mut tx, soon, 9).await.unwrap(), 1, "what is attached stays");
    assert_eq!(domains::attached(&mut tx, SHOP).await.unwrap().map(|row| row.tenant), Some(globex));
    drop(tx);
}
