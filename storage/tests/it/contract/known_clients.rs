//! From where members have signed in.

use std::time::Duration;

use freehold_storage::{known_client, member};

use crate::fixture::{Bed, NOW, new_member};

pub(crate) async fn are_kept_for_a_while(bed: &Bed) {
    let (tenant, ada) = bed.tenant_with_member().await;
    let bob = new_member(b"bob");
    let later = NOW.plus(Duration::from_hours(1));
    let mut tx = bed.store.write(tenant).await.unwrap();
    assert!(member::insert(&mut tx, &bob).await.unwrap());
    assert!(!known_client::is_any_known(&mut tx, ada).await.unwrap());
    assert!(!known_client::seen(&mut tx, ada, b"desk", NOW).await.unwrap());
    for _ in 0..2 {
        known_client::insert(&mut tx, ada, b"desk", NOW).await.unwrap();
    }
    known_client::insert(&mut tx, ada, b"telephone", NOW).await.unwrap();
    assert!(known_client::seen(&mut tx, ada, b"desk", later).await.unwrap());
    assert!(!known_client::seen(&mut tx, bob.id, b"desk", later).await.unwrap(), "it is another member's");
    assert!(known_client::is_any_known(&mut tx, ada).await.unwrap());
    assert!(!known_client::is_any_known(&mut tx, bob.id).await.unwrap());
    assert_eq!(known_client::sweep(&mut tx, NOW, 9).await.unwrap(), 1, "the one that did not come again");
    assert!(known_client::seen(&mut tx, ada, b"desk", later).await.unwrap());
    known_client::forget(&mut tx, ada).await.unwrap();
    assert!(!known_client::is_any_known(&mut tx, ada).await.unwrap());
    tx.commit().await.unwrap();
}
