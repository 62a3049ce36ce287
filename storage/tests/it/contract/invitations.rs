//! Invitations.

use std::time::Duration;

use freehold_domain::id::InvitationId;
use freehold_storage::invitation::{self, InvitationRow};

use crate::fixture::{Bed, NOW, random};

pub(crate) async fn are_kept(bed: &Bed) {
    let (tenant, member) = bed.tenant_with_member().await;
    let later = NOW.plus(Duration::from_hours(1));
    let row = |email: &[u8]| InvitationRow {
        id: InvitationId::new(NOW, random()),
        email_key: email.to_vec(),
        email_sealed: b"sealed".to_vec(),
        role: "employee".to_owned(),
        invited_by: member,
        created_at_ms: NOW,
        expires_at_ms: later,
    };
    let (first, again, other) = (row(b"a"), row(b"a"), row(b"b"));
    let mut tx = bed.store.write(tenant).await.unwrap();
    assert!(invitation::insert(&mut tx, &first, b"one").await.unwrap());
    assert!(invitation::insert(&mut tx, &again, b"two").await.unwrap(), "it takes the place of the first");
    assert!(!invitation::insert(&mut tx, &other, b"two").await.unwrap(), "the token is taken");
    assert!(invitation::insert(&mut tx, &other, b"three").await.unwrap());
    assert_eq!(invitation::by_id(&mut tx, first.id).await.unwrap(), None);
    assert_eq!(invitation::by_id(&mut tx, again.id).await.unwrap().as_ref(), Some(&again));
    assert_eq!(invitation::by_token(&mut tx, b"one", NOW).await.unwrap(), None);
    assert_eq!(invitation::by_token(&mut tx, b"two", NOW).await.unwrap().as_ref(), Some(&again));
    assert_eq!(invitation::by_token(&mut tx, b"two", later).await.unwrap(), None, "it has expired");

    let mut both = [again.clone(), other.clone()];
    both.sort_by_key(|row| row.id);
    assert_eq!(invitation::page(&mut tx, None, 1).await.unwrap(), both[..1]);
    assert_eq!(invitation::page(&mut tx, Some(both[0].id), 9).await.unwrap(), both[1..]);

    let longer = later.plus(Duration::from_hours(1));
    assert!(invitation::renew(&mut tx, again.id, b"four", longer).await.unwrap());
    assert!(!invitation::renew(&mut tx, first.id, b"five", longer).await.unwrap());
    assert!(!invitation::spend(&mut tx, b"two", NOW).await.unwrap(), "another token took its place");
    assert!(!invitation::spend(&mut tx, b"four", longer).await.unwrap(), "it has expired");
    assert!(invitation::spend(&mut tx, b"four", later).await.unwrap());
    assert!(!invitation::spend(&mut tx, b"four", later).await.unwrap(), "it was spent");
    assert_eq!(invitation::sweep(&mut tx, NOW, 9).await.unwrap(), 0);
    assert_eq!(invitation::sweep(&mut tx, later, 9).await.unwrap(), 1);
    assert!(!invitation::delete(&mut tx, other.id).await.unwrap());
    assert!(invitation::insert(&mut tx, &other, b"six").await.unwrap());
    assert!(invitation::delete(&mut tx, other.id).await.unwrap());
    tx.commit().await.unwrap();
}
