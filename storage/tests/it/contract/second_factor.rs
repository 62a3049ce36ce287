//! Authenticators, backup codes and challenges.

use std::time::Duration;

use freehold_domain::id::MemberId;
use freehold_storage::member::{self, Credentials};
use freehold_storage::second_factor::{self, Challenged};

use crate::fixture::{Bed, NOW};

const STEP: i64 = 60_000_000;

pub(crate) async fn authenticators_are_kept(bed: &Bed) {
    let (tenant, member) = bed.tenant_with_member().await;
    let mut tx = bed.store.write(tenant).await.unwrap();
    assert_eq!(second_factor::totp_of(&mut tx, member).await.unwrap(), None);
    assert!(second_factor::enrol(&mut tx, member, b"one").await.unwrap());
    assert!(!second_factor::spend_step(&mut tx, member, STEP).await.unwrap(), "it is not confirmed");
    assert!(second_factor::enrol(&mut tx, member, b"two").await.unwrap(), "nor kept");
    let row = second_factor::totp_of(&mut tx, member).await.unwrap().unwrap();
    assert_eq!((row.secret_sealed.as_slice(), row.confirmed_at_ms, row.last_step), (b"two".as_slice(), None, 0));
    assert!(!second_factor::confirm(&mut tx, member, row.version - 1, NOW, STEP).await.unwrap(), "another version");
    assert!(second_factor::confirm(&mut tx, member, row.version, NOW, STEP).await.unwrap());
    assert!(!second_factor::confirm(&mut tx, member, row.version + 1, NOW, STEP).await.unwrap(), "it is confirmed");
    assert!(!second_factor::enrol(&mut tx, member, b"three").await.unwrap());
    for (step, spent) in [(STEP, false), (STEP - 1, false), (STEP + 2, true), (STEP + 1, false), (STEP + 2, false)] {
        assert_eq!(second_factor::spend_step(&mut tx, member, step).await.unwrap(), spent, "{step}");
    }
    let row = second_factor::totp_of(&mut tx, member).await.unwrap().unwrap();
    assert_eq!((row.confirmed_at_ms, row.last_step, row.version), (Some(NOW), STEP + 2, 4));

    assert!(second_factor::remove(&mut tx, member).await.unwrap());
    assert!(!second_factor::remove(&mut tx, member).await.unwrap());
    assert_eq!(second_factor::totp_of(&mut tx, member).await.unwrap(), None);

    assert_eq!(member::raise(&mut tx, member).await.unwrap(), Some(Credentials { version: 2, epoch: 2 }));
    assert_eq!(member::raise(&mut tx, MemberId::from_uuid(uuid::Uuid::nil())).await.unwrap(), None);
    tx.commit().await.unwrap();
}

pub(crate) async fn backup_codes_are_kept(bed: &Bed) {
    let (tenant, member) = bed.tenant_with_member().await;
    let mut tx = bed.store.write(tenant).await.unwrap();
    second_factor::replace_backup_codes(&mut tx, member, &[b"a".as_slice(), b"b"]).await.unwrap();
    assert!(second_factor::spend_backup_code(&mut tx, member, b"a", NOW).await.unwrap());
    assert!(!second_factor::spend_backup_code(&mut tx, member, b"a", NOW).await.unwrap());
    assert!(!second_factor::spend_backup_code(&mut tx, member, b"c", NOW).await.unwrap());
    assert_eq!(second_factor::unspent_backup_codes(&mut tx, member).await.unwrap(), [b"b"]);
    second_factor::replace_backup_codes(&mut tx, member, &[b"c".as_slice()]).await.unwrap();
    assert_eq!(second_factor::unspent_backup_codes(&mut tx, member).await.unwrap(), [b"c"]);
    assert!(!second_factor::spend_backup_code(&mut tx, member, b"b", NOW).await.unwrap(), "it was replaced");
    tx.commit().await.unwrap();
}

pub(crate) async fn challenges_are_answered(bed: &Bed) {
    let (tenant, member) = bed.tenant_with_member().await;
    let waits = Challenged { member, credential_version: 7 };
    let later = NOW.plus(Duration::from_mins(5));
    let mut tx = bed.store.write(tenant).await.unwrap();
    second_factor::challenge(&mut tx, b"one", waits, later).await.unwrap();
    second_factor::challenge(&mut tx, b"two", waits, later).await.unwrap();
    assert_eq!(second_factor::challenged(&mut tx, b"one", 2, NOW).await.unwrap(), Some(waits));
    assert_eq!(second_factor::challenged(&mut tx, b"other", 2, NOW).await.unwrap(), None);
    assert_eq!(second_factor::challenged(&mut tx, b"one", 2, later).await.unwrap(), None, "it has expired");
    assert!(!second_factor::count_answer(&mut tx, b"one", 2, later).await.unwrap());
    for counted in [true, true, false] {
        assert_eq!(second_factor::count_answer(&mut tx, b"one", 2, NOW).await.unwrap(), counted);
    }
    assert_eq!(second_factor::challenged(&mut tx, b"one", 2, NOW).await.unwrap(), None, "it has had its answers");
    assert!(second_factor::spend_challenge(&mut tx, b"two").await.unwrap());
    assert!(!second_factor::spend_challenge(&mut tx, b"two").await.unwrap());
    assert_eq!(second_factor::sweep(&mut tx, NOW, 10).await.unwrap(), 0);
    assert_eq!(second_factor::sweep(&mut tx, later, 10).await.unwrap(), 1);
    tx.commit().await.unwrap();
}

/// Eight who spend the same step and the same code at once: one of them has each.
pub(crate) async fn one_rival_spends(bed: &Bed) {
    let (tenant, member) = bed.tenant_with_member().await;
    let mut tx = bed.store.write(tenant).await.unwrap();
    assert!(second_factor::enrol(&mut tx, member, b"sealed").await.unwrap());
    assert!(second_factor::confirm(&mut tx, member, 1, NOW, STEP).await.unwrap());
    second_factor::replace_backup_codes(&mut tx, member, &[b"a".as_slice()]).await.unwrap();
    tx.commit().await.unwrap();
    let rival = async || {
        let mut tx = bed.store.write(tenant).await.unwrap();
        let step = second_factor::spend_step(&mut tx, member, STEP + 1).await.unwrap();
        let code = second_factor::spend_backup_code(&mut tx, member, b"a", NOW).await.unwrap();
        tx.commit().await.unwrap();
        (step, code)
    };
    let four = async || <[_; 4]>::from(tokio::join!(rival(), rival(), rival(), rival()));
    let (some, others) = tokio::join!(four(), four());
    let spent = [some, others].concat();
    assert_eq!(spent.iter().filter(|(step, _)| *step).count(), 1);
    assert_eq!(spent.iter().filter(|(_, code)| *code).count(), 1);
}
