//! Root keys and the checks of master keys.

use std::time::Duration;

use freehold_domain::acme::Validity;
use freehold_domain::id::NodeId;
use freehold_storage::KeysTx;
use freehold_storage::acme::{self, CertificateRow, SealedRow};
use freehold_storage::master_check::{self, MasterCheckRow};
use freehold_storage::master_seal::{self, Kept, SealRow};
use freehold_storage::root_key::{self, RootKeyRow};

use crate::fixture::{Bed, NOW, random, tenant_id};

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
    assert_eq!(master_check::all(&mut tx).await.unwrap(), [check("a"), check("b")]);
    drop(tx);

    let mut tx = bed.store.keys_write().await.unwrap();
    assert_eq!(root_key::delete_all_of(&mut tx, tenant).await.unwrap(), 2);
    assert!(root_key::all_of(&mut tx, tenant).await.unwrap().is_empty());
    assert_eq!(root_key::all_of(&mut tx, other).await.unwrap().len(), 1);
    assert!(master_check::delete(&mut tx, "a").await.unwrap());
    assert!(!master_check::delete(&mut tx, "a").await.unwrap());
    assert_eq!(master_check::all(&mut tx).await.unwrap(), [check("b")]);
    tx.commit().await.unwrap();
}

/// Seals everything anew, a row at a time: what one has done the next one finds done, and what is not as it was read stays.
pub(crate) async fn are_sealed_anew(bed: &Bed) {
    const DIRECTORY: &str = "https://anew.example.com/directory";
    let old = |bytes: &[u8]| SealedRow { master_key_id: "anew-1".to_owned(), sealed: bytes.to_vec() };
    let (tenant, node) = (tenant_id(), NodeId::new(NOW, random()));
    let mut tx = bed.store.keys_write().await.unwrap();
    for version in [1, 2] {
        let SealedRow { master_key_id, sealed } = old(b"root");
        let row = RootKeyRow { version, master_key_id, sealed, created_at_ms: NOW };
        assert!(root_key::insert(&mut tx, tenant, &row).await.unwrap());
    }
    assert!(acme::insert_account(&mut tx, DIRECTORY, &old(b"account"), NOW).await.unwrap());
    assert!(acme::claim(&mut tx, "anew.test", node, NOW, NOW.plus(Duration::from_mins(1))).await.unwrap());
    let validity = Validity { not_before: NOW, not_after: NOW };
    let (host, chain) = ("anew.test".to_owned(), "chain".to_owned());
    let certificate = CertificateRow { host, chain, key: old(b"key"), validity, issued_at_ms: NOW };
    assert!(acme::finish(&mut tx, node, &certificate).await.unwrap());
    tx.commit().await.unwrap();

    let mut tx = bed.store.keys_write().await.unwrap();
    let by = async |tx: &mut KeysTx, master: &str| {
        let all = master_seal::counts(tx, 100).await.unwrap();
        all.into_iter().find(|sealing| sealing.master_key_id == master).map_or(0, |sealing| sealing.things)
    };
    assert_eq!((by(&mut tx, "anew-1").await, by(&mut tx, "anew-2").await), (4, 0));
    assert!(master_seal::counts(&mut tx, 0).await.unwrap().is_empty());
    let begin = [
        Kept::Root { tenant, version: 0 },
        Kept::AcmeAccount { directory: String::new() },
        Kept::CertificateKey { host: String::new() },
    ];
    let mine = |rows: Vec<SealRow>| rows.into_iter().filter(|row| row.master_key_id == "anew-1").collect::<Vec<_>>();
    let mut found = vec![];
    for after in &begin {
        found.extend(mine(master_seal::not_by(&mut tx, "anew-2", after, 100).await.unwrap()));
    }
    assert_eq!(found.len(), 4);
    assert_eq!(found[1].kept, Kept::Root { tenant, version: 2 });
    let after = master_seal::not_by(&mut tx, "anew-2", &found[0].kept, 1).await.unwrap();
    assert_eq!(after, [found[1].clone()], "the next one alone");
    for row in &found {
        let other = SealRow { sealed: b"other".to_vec(), ..row.clone() };
        assert!(!master_seal::replace(&mut tx, &other, "anew-2", b"new").await.unwrap(), "{row:?}");
        let other = SealRow { master_key_id: "anew-0".to_owned(), ..row.clone() };
        assert!(!master_seal::replace(&mut tx, &other, "anew-2", b"new").await.unwrap(), "{row:?}");
        assert!(master_seal::replace(&mut tx, row, "anew-2", b"new").await.unwrap(), "{row:?}");
        assert!(!master_seal::replace(&mut tx, row, "anew-2", b"newer").await.unwrap(), "{row:?}");
    }
    tx.commit().await.unwrap();

    let mut tx = bed.store.keys_read().await.unwrap();
    assert_eq!((by(&mut tx, "anew-1").await, by(&mut tx, "anew-2").await), (0, 4));
    for after in &begin {
        assert!(mine(master_seal::not_by(&mut tx, "anew-2", after, 100).await.unwrap()).is_empty());
    }
    let sealed = |key: SealedRow| (key.master_key_id, key.sealed);
    let new = ("anew-2".to_owned(), b"new".to_vec());
    assert_eq!(sealed(acme::account(&mut tx, DIRECTORY).await.unwrap().unwrap()), new);
    let kept = acme::certificate(&mut tx, "anew.test").await.unwrap().unwrap();
    assert_eq!((kept.chain.as_str(), kept.issued_at_ms), ("chain", NOW), "the rest is as it was");
    assert_eq!(sealed(kept.key), new);
    let roots = root_key::all_of(&mut tx, tenant).await.unwrap();
    assert!(roots.iter().all(|root| root.master_key_id == new.0 && root.sealed == new.1 && root.created_at_ms == NOW));
    drop(tx);
    // What other bodies look at is as before.
    let mut tx = bed.store.keys_write().await.unwrap();
    let account = SealedRow { master_key_id: new.0, sealed: new.1 };
    acme::delete_account(&mut tx, DIRECTORY, &account).await.unwrap();
    assert!(acme::sweep(&mut tx, NOW.plus(Duration::from_millis(1)), NOW, 9).await.unwrap() >= 1);
    tx.commit().await.unwrap();
}
