//! API keys.

use std::time::Duration;

use freehold_domain::id::{ApiKeyId, MemberId};
use freehold_domain::time::UnixMs;
use freehold_storage::api_key::{self, ApiKeyRow, NewApiKey};

use crate::fixture::{Bed, NOW};

fn at(ms: u64) -> UnixMs {
    NOW.plus(Duration::from_millis(ms))
}

fn new_key(n: u8, expires_at_ms: Option<UnixMs>) -> NewApiKey {
    NewApiKey {
        id: ApiKeyId::new(at(n.into()), [n; 10]),
        name: format!("key {n}"),
        kind: "publishable".to_owned(),
        scopes: "chat config".to_owned(),
        allowed_origins: "https://a.example https://b.example:444".to_owned(),
        last4: "abcd".to_owned(),
        hash: vec![n; 32],
        created_at_ms: at(n.into()),
        created_by: MemberId::new(NOW, [9; 10]),
        expires_at_ms,
    }
}

pub(crate) async fn are_kept(bed: &Bed) {
    let tenant = bed.tenant().await;
    let keys: Vec<_> = (1..=4).map(|n| new_key(n, (n == 3).then(|| at(100)))).collect();
    let ids: Vec<_> = keys.iter().map(|key| key.id).collect();
    let mut tx = bed.store.write(tenant).await.unwrap();
    for key in &keys {
        assert!(api_key::insert(&mut tx, key).await.unwrap());
    }
    assert!(!api_key::insert(&mut tx, &keys[0]).await.unwrap(), "the id is taken");
    let mut twin = new_key(5, None);
    twin.hash.clone_from(&keys[0].hash);
    assert!(!api_key::insert(&mut tx, &twin).await.unwrap(), "the hash is taken");
    tx.commit().await.unwrap();

    let mut tx = bed.store.write(tenant).await.unwrap();
    let fresh = |n: usize| ApiKeyRow { key: keys[n].clone(), previous: None, last_used_at_ms: None };
    for (n, id) in ids.iter().enumerate() {
        assert_eq!(api_key::by_id(&mut tx, *id).await.unwrap(), Some(fresh(n)));
    }
    assert_eq!(api_key::by_id(&mut tx, twin.id).await.unwrap(), None);
    assert_eq!(api_key::page(&mut tx, None, 2).await.unwrap(), [fresh(0), fresh(1)]);
    assert_eq!(api_key::page(&mut tx, Some(ids[1]), 5).await.unwrap(), [fresh(2), fresh(3)]);
    assert_eq!(api_key::live(&mut tx, at(99), 9).await.unwrap().len(), 4);
    assert_eq!(api_key::live(&mut tx, at(100), 9).await.unwrap(), [fresh(0), fresh(1), fresh(3)]);
    assert_eq!(api_key::live(&mut tx, at(0), 1).await.unwrap(), [fresh(0)]);

    // A rotation keeps the last text alone; what has expired or is gone does not rotate.
    for (n, until) in [(10_u8, 50), (11, 0)] {
        assert!(api_key::rotate(&mut tx, ids[0], &[n; 32], "wxyz", at(until), at(20)).await.unwrap());
        let row = api_key::by_id(&mut tx, ids[0]).await.unwrap().unwrap();
        let before = if n == 10 { vec![1; 32] } else { vec![10; 32] };
        assert_eq!((row.key.hash, row.key.last4.as_str()), (vec![n; 32], "wxyz"));
        assert_eq!(row.previous, Some((before, at(until))));
    }
    assert!(api_key::rotate(&mut tx, ids[2], &[12; 32], "wxyz", at(0), at(99)).await.unwrap());
    assert!(!api_key::rotate(&mut tx, ids[2], &[13; 32], "wxyz", at(0), at(100)).await.unwrap(), "it has expired");
    assert!(!api_key::rotate(&mut tx, twin.id, &[13; 32], "wxyz", at(0), at(0)).await.unwrap());

    for (used, noted) in [(5_000, true), (5_000, false), (4_000, false), (6_000, true)] {
        assert_eq!(api_key::used(&mut tx, ids[1], at(used)).await.unwrap(), noted, "{used}");
    }
    let row = api_key::by_id(&mut tx, ids[1]).await.unwrap().unwrap();
    assert_eq!(row.last_used_at_ms, Some(at(6_000)));

    assert!(api_key::revoke(&mut tx, ids[1], at(0)).await.unwrap());
    assert!(!api_key::revoke(&mut tx, ids[1], at(0)).await.unwrap());
    assert!(!api_key::rotate(&mut tx, ids[1], &[14; 32], "wxyz", at(0), at(0)).await.unwrap(), "it is revoked");
    assert!(!api_key::used(&mut tx, ids[1], at(9_000)).await.unwrap());
    assert_eq!(api_key::by_id(&mut tx, ids[1]).await.unwrap(), None);
    let listed: Vec<_> = api_key::page(&mut tx, None, 9).await.unwrap().into_iter().map(|row| row.key.id).collect();
    assert_eq!(listed, [ids[0], ids[2], ids[3]]);
    let live: Vec<_> = api_key::live(&mut tx, at(0), 9).await.unwrap().into_iter().map(|row| row.key.id).collect();
    assert_eq!(live, [ids[0], ids[2], ids[3]]);
    tx.commit().await.unwrap();
}
