//! Members as a whole: listed, changed, taken away.

use std::time::Duration;

use freehold_domain::id::MemberId;
use freehold_storage::family::{self, NewFamily};
use freehold_storage::member::{self, Credentials, MemberRow};
use freehold_storage::second_factor::{self, Challenged};
use freehold_storage::{TenantTx, roster};

use crate::fixture::{Bed, NOW, family_id, new_member};

const NOBODY: MemberId = MemberId::from_uuid(uuid::Uuid::nil());

async fn with_everything(tx: &mut TenantTx, member: MemberId) {
    let family = NewFamily {
        id: family_id(),
        member,
        token_hash: b"one".to_vec(),
        client_sealed: b"sealed client".to_vec(),
        created_at_ms: NOW,
        expires_at_ms: NOW.plus(Duration::from_hours(1)),
    };
    assert!(family::insert(tx, &family, 1).await.unwrap());
    assert!(second_factor::enrol(tx, member, b"sealed").await.unwrap());
    assert!(second_factor::confirm(tx, member, 1, NOW, 60_000_000).await.unwrap());
    second_factor::replace_backup_codes(tx, member, &[b"a".as_slice()]).await.unwrap();
    let waits = Challenged { member, credential_version: 1 };
    second_factor::challenge(tx, member.as_bytes(), waits, NOW).await.unwrap();
}

pub(crate) async fn members_are_looked_after(bed: &Bed) {
    let tenant = bed.tenant().await;
    let mut members: Vec<_> = (0..4_u8).map(|n| new_member(&[n])).collect();
    members.sort_by_key(|member| member.id);
    let ids: Vec<_> = members.iter().map(|member| member.id).collect();
    let mut tx = bed.store.write(tenant).await.unwrap();
    for member in &members {
        assert!(member::insert(&mut tx, member).await.unwrap());
    }
    with_everything(&mut tx, ids[0]).await;
    tx.commit().await.unwrap();

    let mut tx = bed.store.write(tenant).await.unwrap();
    let page = roster::page(&mut tx, None, 3).await.unwrap();
    let rest = roster::page(&mut tx, Some(page[2].id), 3).await.unwrap();
    assert_eq!(page.iter().chain(&rest).map(|listed| listed.id).collect::<Vec<_>>(), ids);
    assert_eq!(page.iter().map(|listed| listed.second_factor_at_ms).collect::<Vec<_>>(), [Some(NOW), None, None]);
    assert_eq!(roster::one(&mut tx, ids[1]).await.unwrap().as_ref(), Some(&page[1]));
    assert_eq!(roster::one(&mut tx, NOBODY).await.unwrap(), None);

    let all = member::page(&mut tx, None, 3).await.unwrap();
    let rest = member::page(&mut tx, Some(all[2].id), 3).await.unwrap();
    let hashes: Vec<_> = all.iter().chain(&rest).map(|row| (row.id, row.password_hash.clone())).collect();
    assert_eq!(hashes, members.iter().map(|row| (row.id, row.password_hash.clone())).collect::<Vec<_>>());

    let two = Some(Credentials { version: 2, epoch: 2 });
    assert_eq!(roster::set_role(&mut tx, ids[0], "admin").await.unwrap(), two);
    assert_eq!(roster::set_role(&mut tx, NOBODY, "admin").await.unwrap(), None);
    assert!(roster::set_name(&mut tx, ids[0], b"renamed").await.unwrap());
    assert!(!roster::set_name(&mut tx, NOBODY, b"renamed").await.unwrap());
    let listed = roster::one(&mut tx, ids[0]).await.unwrap().unwrap();
    assert_eq!((listed.role.as_str(), listed.name_sealed.as_slice()), ("admin", b"renamed".as_slice()));
    let admins = roster::of_role(&mut tx, "admin", 9).await.unwrap();
    assert_eq!(admins.iter().map(|admin| admin.id).collect::<Vec<_>>(), [ids[0]]);

    assert_eq!(roster::deactivate(&mut tx, ids[1], NOW).await.unwrap(), two);
    assert_eq!(roster::of_role(&mut tx, listed.role.as_str(), 1).await.unwrap().len(), 1);
    assert_eq!(roster::deactivate(&mut tx, ids[1], NOW).await.unwrap(), None, "once");
    assert_eq!(roster::one(&mut tx, ids[1]).await.unwrap().unwrap().deactivated_at_ms, Some(NOW));
    assert!(roster::reactivate(&mut tx, ids[1]).await.unwrap());
    assert!(!roster::reactivate(&mut tx, ids[1]).await.unwrap(), "once");

    assert!(roster::left_since(&mut tx, NOW, None, 9).await.unwrap().is_empty(), "active members have sessions");
    roster::deactivate(&mut tx, ids[0], NOW).await.unwrap().unwrap();
    let left = roster::left_since(&mut tx, NOW, None, 9).await.unwrap();
    assert_eq!(left.iter().map(|left| left.at_ms).collect::<Vec<_>>(), [NOW]);
    assert!(roster::left_since(&mut tx, NOW, Some(left[0].family), 9).await.unwrap().is_empty());
    let later = NOW.plus(Duration::from_millis(1));
    assert!(roster::left_since(&mut tx, later, None, 9).await.unwrap().is_empty());
    family::revoke_all_of(&mut tx, ids[0], NOW).await.unwrap();
    assert!(roster::left_since(&mut tx, NOW, None, 9).await.unwrap().is_empty(), "they are ended");

    assert!(roster::delete(&mut tx, ids[0]).await.unwrap());
    assert!(!roster::delete(&mut tx, ids[0]).await.unwrap());
    assert_eq!(second_factor::totp_of(&mut tx, ids[0]).await.unwrap(), None);
    assert!(member::by_id(&mut tx, ids[0]).await.unwrap().is_none());
    tx.commit().await.unwrap();
}

/// Two admins, and two who each take another one of them away unless it is the last.
pub(crate) async fn one_of_two_rivals_sees_the_other_go(bed: &Bed) {
    let tenant = bed.tenant().await;
    let admins = [1_u8, 2].map(|n| MemberRow { role: "admin".to_owned(), ..new_member(&[n]) });
    let mut tx = bed.store.write(tenant).await.unwrap();
    for admin in &admins {
        assert!(member::insert(&mut tx, admin).await.unwrap());
    }
    tx.commit().await.unwrap();
    let take = async |id| {
        let mut tx = bed.store.write(tenant).await.unwrap();
        roster::hold(&mut tx).await.unwrap();
        let others = roster::active(&mut tx).await.unwrap();
        let taken = roster::has_another(&mut tx, id, "admin").await.unwrap();
        assert_eq!(taken, others > 1, "both are admins");
        if taken {
            roster::deactivate(&mut tx, id, NOW).await.unwrap().unwrap();
        }
        tx.commit().await.unwrap();
        u8::from(taken)
    };
    let (one, two) = tokio::join!(take(admins[0].id), take(admins[1].id));
    assert_eq!(one + two, 1);
}
