//! Root keys and the checks of master keys.

use freehold_storage::master_check::{self, MasterCheckRow};
use freehold_storage::root_key::{self, RootKeyRow};

use crate::fixture::{Bed, NOW, tenant_id};

pub(crate) async fn are_kept(bed: &Bed) {
    let (tenant, other) = (tenant_id(), tenant_id());
    let master_key_id = || "2026-11".to_owned();
    let key = |version| RootKeyRow {
        version,
        master_key_id: master_key_id(),
        sealed: b"sealed key".to_vec(),
        created_at_ms: NOW,
    };
    let check = |key_id: &str| MasterCheckRow { key_id: key_id.to_owned(), sealed: b"sealed".to_vec() };
    let mut tx = bed.store.keys_write().await.unwrap();
    assert!(root_key::insert(&mut tx, tenant, &key(2)).await.unwrap());
    assert!(root_key::insert(&mut tx, tenant, &key(1)).await.unwrap());
    assert!(root_key::insert(&mut tx, other, &key(1)).await.unwrap());
    assert!(!root_key::insert(&mut tx, tenant, &key(1)).await.unwrap());
    assert!(master_check::insert(&mut tx, &check("b")).await.unwrap());
    assert!(master_check::insert(&mut tx, &check("a")).await.unwrap());
    assert!(!master_check::insert(&mut tx, &check("a")).await.unwrap());
    tx.commit().await.unwrap();

    let mut tx = bed.store.keys_read().await.unwrap();
    assert_eq!(root_key::all_of(&mut tx, tenant).await.unwrap(), [key(1), key(2)]);
    assert!(root_key::masters(&mut tx, 100).await.unwrap().contains(&key(1).master_key_id));
    assert!(root_key::masters(&mut tx, 0).await.unwrap().is_empty());
    assert_eq!(master_check::all(&mut tx).await.unwrap(), [check("a"), check("b")]);
    drop(tx);

    let mut tx = bed.store.keys_write().await.unwrap();
    assert_eq!(root_key::delete_all_of(&mut tx, tenant).await.unwrap(), 2);
    assert!(root_key::all_of(&mut tx, tenant).await.unwrap().is_empty());
    assert_eq!(root_key::all_of(&mut tx, other).await.unwrap().len(), 1);
    tx.commit().await.unwrap();
}
