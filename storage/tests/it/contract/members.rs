//! Members, lockouts, rate limits and settings.

use std::time::Duration;

use freehold_domain::id::MemberId;
use freehold_domain::secret::Secret;
use freehold_storage::StoreError;
use freehold_storage::lockout::{self, Failures};
use freehold_storage::member::{self, Credentials, NewPassword};
use freehold_storage::rate_limit::{self, RateLimitRow};
use freehold_storage::setting::{self, SettingRow};

use crate::fixture::{Bed, NOW, new_member};

pub(crate) async fn are_kept(bed: &Bed) {
    let tenant = bed.tenant().await;
    let mut members: Vec<_> = (0..5_u8).map(|n| new_member(&[n])).collect();
    members.sort_by_key(|member| member.id);
    members[1].password_hash = None;
    let first = members[0].clone();

    let mut tx = bed.store.write(tenant).await.unwrap();
    for member in &members {
        assert!(member::insert(&mut tx, member).await.unwrap());
    }
    assert!(!member::insert(&mut tx, &new_member(&first.email_key)).await.unwrap(), "the e-mail key is taken");
    assert!(!member::insert(&mut tx, &first).await.unwrap(), "the id is taken");
    tx.commit().await.unwrap();

    let mut tx = bed.store.read(tenant).await.unwrap();
    let by_id = member::by_id(&mut tx, first.id).await.unwrap().unwrap();
    assert_eq!(by_id.email_key, first.email_key);
    assert_eq!((by_id.email_sealed, by_id.name_sealed), (first.email_sealed, first.name_sealed));
    assert_eq!(by_id.password_hash.unwrap().expose(), "hash");
    assert_eq!((by_id.role.as_str(), by_id.created_at_ms, by_id.deactivated_at_ms), ("owner", NOW, None));
    let by_key = member::by_email_key(&mut tx, &members[1].email_key).await.unwrap().unwrap();
    assert_eq!(by_key.id, members[1].id);
    assert!(by_key.password_hash.is_none());
    assert!(member::by_email_key(&mut tx, b"nobody").await.unwrap().is_none());

    drop(tx);

    let hash = Secret::new("new hash".to_owned());
    let new = NewPassword { hash: hash.clone(), unchecked_at_ms: None };
    let mut tx = bed.store.write(tenant).await.unwrap();
    assert!(member::renew_hash(&mut tx, first.id, 1, &Secret::new("renewed".to_owned())).await.unwrap());
    assert!(!member::renew_hash(&mut tx, first.id, 2, &hash).await.unwrap(), "not the version that was asked for");
    let renewed = member::by_id(&mut tx, first.id).await.unwrap().unwrap();
    assert_eq!((renewed.password_hash.unwrap().expose().as_str(), renewed.credential_version), ("renewed", 1));
    let raised = member::set_password(&mut tx, first.id, 1, &new).await.unwrap();
    assert_eq!(raised, Some(Credentials { version: 2, epoch: 2 }));
    assert_eq!(member::set_password(&mut tx, first.id, 1, &new).await.unwrap(), None, "the version has moved on");
    let epoch = raised.unwrap().epoch;
    let held = member::hold(&mut tx, first.id, 2).await.unwrap().unwrap();
    assert_eq!((held.role.as_str(), held.epoch), ("owner", epoch));
    assert_eq!(member::hold(&mut tx, first.id, 1).await.unwrap(), None, "the version has moved on");
    assert_eq!(member::raise_epoch(&mut tx, first.id).await.unwrap(), Some(epoch + 1));
    assert!(member::lift_epoch(&mut tx, first.id, epoch + 5).await.unwrap());
    assert!(
        !member::lift_epoch(&mut tx, first.id, epoch + 5).await.unwrap(),
        "it never falls, nor stands in for a change"
    );
    assert_eq!(member::raise_epoch(&mut tx, first.id).await.unwrap(), Some(epoch + 6));
    assert_eq!(member::raise_epoch(&mut tx, MemberId::from_uuid(uuid::Uuid::nil())).await.unwrap(), None);
    tx.commit().await.unwrap();
}

pub(crate) async fn unchecked_passwords_are_marked(bed: &Bed) {
    let tenant = bed.tenant().await;
    let (plain, mut marked) = (new_member(b"plain"), new_member(b"marked"));
    marked.password_unchecked_at_ms = Some(NOW);
    let mut tx = bed.store.write(tenant).await.unwrap();
    for member in [&plain, &marked] {
        assert!(member::insert(&mut tx, member).await.unwrap());
        let kept = member::by_id(&mut tx, member.id).await.unwrap().unwrap();
        assert_eq!(kept.password_unchecked_at_ms, member.password_unchecked_at_ms);
    }
    assert!(!member::password_checked(&mut tx, plain.id, 1).await.unwrap());
    assert!(!member::password_checked(&mut tx, marked.id, 2).await.unwrap(), "it was another password");
    assert!(member::password_checked(&mut tx, marked.id, 1).await.unwrap());
    assert!(!member::password_checked(&mut tx, marked.id, 1).await.unwrap(), "once");
    for (version, unchecked_at_ms) in [(1, Some(NOW)), (2, None)] {
        let new = NewPassword { hash: Secret::new("hash".to_owned()), unchecked_at_ms };
        assert!(member::set_password(&mut tx, marked.id, version, &new).await.unwrap().is_some());
        let kept = member::by_email_key(&mut tx, b"marked").await.unwrap().unwrap();
        assert_eq!(kept.password_unchecked_at_ms, unchecked_at_ms);
    }
    tx.commit().await.unwrap();
}

pub(crate) async fn addresses_are_changed(bed: &Bed) {
    let (tenant, first) = bed.tenant_with_member().await;
    let second = new_member(b"second");
    let mut tx = bed.store.write(tenant).await.unwrap();
    assert!(member::insert(&mut tx, &second).await.unwrap());
    let two = Some(Credentials { version: 2, epoch: 2 });
    assert_eq!(member::set_email(&mut tx, first, 1, b"other", b"sealed anew").await.unwrap(), two);
    assert_eq!(member::set_email(&mut tx, first, 1, b"third", b"x").await.unwrap(), None, "the version has moved on");
    let moved = member::by_email_key(&mut tx, b"other").await.unwrap().unwrap();
    assert_eq!((moved.id, moved.email_sealed.as_slice()), (first, b"sealed anew".as_slice()));
    tx.commit().await.unwrap();
    let mut tx = bed.store.write(tenant).await.unwrap();
    let taken = member::set_email(&mut tx, first, 2, b"second", b"x").await;
    assert!(matches!(taken, Err(StoreError::Conflict { .. })), "{taken:?}");
}

pub(crate) async fn lockouts_are_counted(bed: &Bed) {
    let tenant = bed.tenant().await;
    let open = Failures { count: 1, locked_until_ms: None };
    let locked = Failures { count: 5, locked_until_ms: Some(NOW.plus(Duration::from_mins(15))) };
    let mut tx = bed.store.write(tenant).await.unwrap();
    assert_eq!(lockout::by_account(&mut tx, b"a").await.unwrap(), None);
    assert!(lockout::insert(&mut tx, b"a", open, NOW).await.unwrap());
    assert!(!lockout::insert(&mut tx, b"a", open, NOW).await.unwrap());
    assert!(lockout::update(&mut tx, b"a", 1, locked, NOW).await.unwrap());
    assert!(!lockout::update(&mut tx, b"a", 1, open, NOW).await.unwrap(), "the version has moved on");
    let row = lockout::by_account(&mut tx, b"a").await.unwrap().unwrap();
    assert_eq!((row.failures, row.version, row.updated_at_ms), (locked, 2, NOW));

    assert!(lockout::insert(&mut tx, b"b", open, NOW).await.unwrap());
    assert!(lockout::insert(&mut tx, b"c", open, NOW.plus(Duration::from_mins(1))).await.unwrap());
    assert_eq!(lockout::count(&mut tx).await.unwrap(), 3);
    assert!(lockout::insert(&mut tx, b"d", open, NOW).await.unwrap());
    lockout::reset(&mut tx, b"d").await.unwrap();
    assert_eq!(lockout::by_account(&mut tx, b"d").await.unwrap(), None);
    let later = NOW.plus(Duration::from_secs(1));
    assert_eq!(lockout::sweep(&mut tx, later, later, 10).await.unwrap(), 1, "b is old; a is locked; c is new");
    assert!(lockout::by_account(&mut tx, b"a").await.unwrap().is_some());
    let unlocked = NOW.plus(Duration::from_mins(15));
    assert_eq!(lockout::sweep(&mut tx, unlocked, unlocked, 1).await.unwrap(), 1, "no more than the limit");
    assert_eq!(lockout::count(&mut tx).await.unwrap(), 1);
    tx.commit().await.unwrap();
}

/// Eight who charge the same account at once: each is counted, as when the rule's own loop does it.
pub(crate) async fn rivals_are_counted_exactly(bed: &Bed) {
    let tenant = bed.tenant().await;
    let charge = async || {
        loop {
            let mut tx = bed.store.write(tenant).await.unwrap();
            let row = lockout::by_account(&mut tx, b"a").await.unwrap();
            let count = row.map_or(0, |row| row.failures.count) + 1;
            let failures = Failures { count, locked_until_ms: None };
            let charged = match row {
                Some(row) => lockout::update(&mut tx, b"a", row.version, failures, NOW).await.unwrap(),
                None => lockout::insert(&mut tx, b"a", failures, NOW).await.unwrap(),
            };
            if charged {
                tx.commit().await.unwrap();
                return count;
            }
        }
    };
    let four = async || <[i64; 4]>::from(tokio::join!(charge(), charge(), charge(), charge()));
    let (some, others) = tokio::join!(four(), four());
    let mut counts = [some, others].concat();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2, 3, 4, 5, 6, 7, 8]);
}

pub(crate) async fn rate_limits_are_kept(bed: &Bed) {
    let tenant = bed.tenant().await;
    let limit = |tier: &str, burst| RateLimitRow { tier: tier.to_owned(), burst, period_ms: 60_000 };
    let mut tx = bed.store.write(tenant).await.unwrap();
    for (tier, burst) in [("write", 5), ("auth", 3), ("auth", 4)] {
        rate_limit::set(&mut tx, &limit(tier, burst)).await.unwrap();
    }
    assert_eq!(rate_limit::all(&mut tx).await.unwrap(), [limit("auth", 4), limit("write", 5)]);
    assert!(rate_limit::remove(&mut tx, "auth").await.unwrap());
    assert!(!rate_limit::remove(&mut tx, "auth").await.unwrap());
    tx.commit().await.unwrap();
}

pub(crate) async fn settings_are_kept(bed: &Bed) {
    let tenant = bed.tenant().await;
    let mut tx = bed.store.write(tenant).await.unwrap();
    assert_eq!(setting::get(&mut tx).await.unwrap(), None);
    assert!(!setting::replace(&mut tx, Some(1), "{}").await.unwrap(), "there are none yet");
    assert!(setting::replace(&mut tx, None, "{}").await.unwrap());
    assert!(!setting::replace(&mut tx, None, "{}").await.unwrap(), "somebody was first");
    assert!(setting::replace(&mut tx, Some(1), r#"{"a": 1}"#).await.unwrap());
    assert!(!setting::replace(&mut tx, Some(1), "{}").await.unwrap(), "somebody was first");
    let row = SettingRow { body: r#"{"a": 1}"#.to_owned(), version: 2 };
    assert_eq!(setting::get(&mut tx).await.unwrap(), Some(row));
    tx.commit().await.unwrap();
}
