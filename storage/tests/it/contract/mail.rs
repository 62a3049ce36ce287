//! Letters that wait.

use std::time::Duration;

use freehold_domain::id::MailId;
use freehold_storage::due::{self, Due};
use freehold_storage::mail;

use crate::fixture::{Bed, NOW, random};

pub(crate) async fn letters_wait_are_tried_and_go(bed: &Bed) {
    let tenant = bed.tenant().await;
    let (first, second) = (MailId::new(NOW, random()), MailId::new(NOW, random()));
    let later = NOW.plus(Duration::from_secs(1));
    let mut tx = bed.store.write(tenant).await.unwrap();
    assert_eq!(mail::next(&mut tx).await.unwrap(), None);
    mail::insert(&mut tx, second, "no_account", b"sealed 2", later).await.unwrap();
    mail::insert(&mut tx, first, "invitation", b"sealed 1", NOW).await.unwrap();
    assert_eq!(mail::waiting(&mut tx).await.unwrap(), 2);
    let row = mail::next(&mut tx).await.unwrap().unwrap();
    assert_eq!((row.id, row.kind.as_str(), row.tries), (first, "invitation", 0));
    assert_eq!(
        (row.created_at_ms, row.next_try_at_ms, row.letter_sealed.as_slice()),
        (NOW, NOW, b"sealed 1".as_slice())
    );

    let lease = NOW.plus(Duration::from_mins(1));
    assert!(mail::claim(&mut tx, first, 0, lease).await.unwrap());
    assert!(!mail::claim(&mut tx, first, 0, lease).await.unwrap(), "somebody was first");
    assert_eq!(mail::next(&mut tx).await.unwrap().unwrap().id, second);
    assert!(!mail::postpone(&mut tx, first, 0, NOW).await.unwrap(), "it was tried since");
    assert!(mail::postpone(&mut tx, first, 1, NOW).await.unwrap());
    let row = mail::next(&mut tx).await.unwrap().unwrap();
    assert_eq!((row.id, row.tries, row.next_try_at_ms), (first, 1, NOW));

    assert!(mail::delete(&mut tx, second).await.unwrap());
    assert!(!mail::delete(&mut tx, second).await.unwrap());
    assert!(!mail::give_up(&mut tx, first, 0, later).await.unwrap());
    assert_eq!(mail::waiting(&mut tx).await.unwrap(), 1);
    assert!(mail::give_up(&mut tx, first, 1, later).await.unwrap());
    assert_eq!(mail::waiting(&mut tx).await.unwrap(), 0);
    assert!(!mail::give_up(&mut tx, first, 1, later).await.unwrap());
    assert!(!mail::claim(&mut tx, first, 1, lease).await.unwrap());
    assert_eq!(mail::next(&mut tx).await.unwrap(), None);
    assert_eq!(mail::sweep(&mut tx, NOW, 9).await.unwrap(), 0);
    assert_eq!(mail::sweep(&mut tx, later, 9).await.unwrap(), 1);
    tx.commit().await.unwrap();
}

/// Eight who claim one letter at once: one of them has it.
pub(crate) async fn one_rival_claims(bed: &Bed) {
    let tenant = bed.tenant().await;
    let id = MailId::new(NOW, random());
    let mut tx = bed.store.write(tenant).await.unwrap();
    mail::insert(&mut tx, id, "invitation", b"sealed", NOW).await.unwrap();
    tx.commit().await.unwrap();
    let rival = async || {
        let mut tx = bed.store.write(tenant).await.unwrap();
        let claimed = mail::claim(&mut tx, id, 0, NOW.plus(Duration::from_secs(30))).await.unwrap();
        tx.commit().await.unwrap();
        claimed
    };
    let four = async || <[_; 4]>::from(tokio::join!(rival(), rival(), rival(), rival()));
    let (some, others) = tokio::join!(four(), four());
    assert_eq!(some.into_iter().chain(others).filter(|claimed| *claimed).count(), 1);
}

pub(crate) async fn tenants_with_letters_are_told(bed: &Bed, is_shared: bool) {
    let (due, not_yet) = (bed.tenant().await, bed.tenant().await);
    let later = NOW.plus(Duration::from_hours(1));
    for (tenant, at) in [(due, NOW), (due, NOW), (not_yet, later)] {
        let mut tx = bed.store.write(tenant).await.unwrap();
        mail::insert(&mut tx, MailId::new(NOW, random()), "invitation", b"sealed", at).await.unwrap();
        tx.commit().await.unwrap();
    }
    let mut tx = bed.store.system_read().await.unwrap();
    let told = due::tenants(&mut tx, Due::Letters, NOW, 99).await.unwrap();
    if !is_shared {
        assert!(told.is_empty(), "each tenant is asked");
        return;
    }
    assert_eq!((told.contains(&not_yet), told.iter().filter(|tenant| **tenant == due).count()), (false, 1));
    assert!(due::tenants(&mut tx, Due::Letters, later, 99).await.unwrap().contains(&not_yet));
    assert_eq!(due::tenants(&mut tx, Due::Letters, later, 1).await.unwrap().len(), 1);
}
