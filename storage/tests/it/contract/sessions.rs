//! Token families and signing keys.

use std::time::Duration;

use freehold_domain::id::{FamilyId, MemberId, NodeId, SigningKeyId};
use freehold_domain::time::UnixMs;
use freehold_storage::family::{self, Alive, NewFamily, Spent, Successor};
use freehold_storage::member;
use freehold_storage::signing_key::{self, SigningKeyRow};

use crate::fixture::{Bed, NOW, family_id, random};

const WEEK: Duration = Duration::from_hours(7 * 24);

fn new_family(id: FamilyId, member: MemberId) -> NewFamily {
    NewFamily {
        id,
        member,
        token_hash: b"one".to_vec(),
        client_sealed: b"sealed client".to_vec(),
        created_at_ms: NOW,
        expires_at_ms: NOW.plus(WEEK),
    }
}

pub(crate) async fn families_live_and_die(bed: &Bed) {
    let (tenant, member) = bed.tenant_with_member().await;
    let mut ids = [family_id(), family_id(), family_id()];
    ids.sort();
    let [first, second, third] = ids;
    let later = NOW.plus(Duration::from_secs(1));

    let mut tx = bed.store.write(tenant).await.unwrap();
    for id in ids {
        assert!(family::insert(&mut tx, &new_family(id, member), 1).await.unwrap());
    }
    let stale = new_family(family_id(), member);
    assert!(!family::insert(&mut tx, &stale, 2).await.unwrap(), "the credentials have another version");
    assert!(!family::insert(&mut tx, &new_family(first, member), 1).await.unwrap(), "the id is taken");

    assert!(!family::rotate(&mut tx, first, 1, b"wrong", b"two", later).await.unwrap());
    assert!(!family::rotate(&mut tx, first, 2, b"one", b"two", later).await.unwrap());
    assert!(!family::rotate(&mut tx, first, 1, b"one", b"two", NOW.plus(WEEK)).await.unwrap(), "it has expired");
    assert!(family::rotate(&mut tx, first, 1, b"one", b"two", later).await.unwrap());
    assert!(!family::rotate(&mut tx, first, 1, b"one", b"two", later).await.unwrap(), "a token is good once");
    let successor = Some(Successor { sealed: b"sealed".to_vec(), until_ms: later });
    let spent = Spent { at_ms: later, by: NodeId::new(NOW, random()), held_until_ms: later, successor };
    assert!(family::spend(&mut tx, first, b"one", spent.clone()).await.unwrap());
    assert!(!family::spend(&mut tx, first, b"one", spent.clone()).await.unwrap());
    assert_eq!(family::spent(&mut tx, first, b"one").await.unwrap(), Some(spent.clone()));
    assert_eq!(family::spent(&mut tx, first, b"two").await.unwrap(), None);
    assert_eq!(family::forget_successors(&mut tx, NOW, 9).await.unwrap(), 0);
    assert_eq!(family::forget_successors(&mut tx, later, 9).await.unwrap(), 1);
    assert_eq!(family::forget_successors(&mut tx, later, 9).await.unwrap(), 0);
    let forgotten = Spent { successor: None, ..spent };
    assert_eq!(family::spent(&mut tx, first, b"one").await.unwrap(), Some(forgotten));
    tx.commit().await.unwrap();

    let mut tx = bed.store.read(tenant).await.unwrap();
    let found = family::by_id(&mut tx, first).await.unwrap().unwrap();
    assert_eq!((found.role.as_str(), found.epoch, found.deactivated_at_ms), ("owner", 1, None));
    assert_eq!(found.second_factor_at_ms, None);
    assert_eq!((found.family.member, found.family.generation, found.family.last_used_at_ms), (member, 2, later));
    assert_eq!(found.family.token_hash, b"two");
    let at_all = UnixMs::new(0);
    let alive = Alive { now: later, used_after: at_all, begun_after: at_all };
    let page = family::live_of(&mut tx, member, None, alive, 2).await.unwrap();
    assert_eq!(page.iter().map(|family| family.id).collect::<Vec<_>>(), [first, second]);
    let page = family::live_of(&mut tx, member, Some(second), alive, 2).await.unwrap();
    assert_eq!(page.iter().map(|family| family.id).collect::<Vec<_>>(), [third]);
    let used = family::live_of(&mut tx, member, None, Alive { used_after: NOW, ..alive }, 9).await.unwrap();
    assert_eq!(used.iter().map(|family| family.id).collect::<Vec<_>>(), [first], "the one that was rotated");
    assert!(family::live_of(&mut tx, member, None, Alive { begun_after: NOW, ..alive }, 9).await.unwrap().is_empty());
    assert!(family::by_id(&mut tx, family_id()).await.unwrap().is_none());
    drop(tx);

    let mut tx = bed.store.write(tenant).await.unwrap();
    assert!(family::revoke(&mut tx, first, later).await.unwrap());
    assert!(!family::revoke(&mut tx, first, later).await.unwrap());
    assert!(!family::rotate(&mut tx, first, 2, b"two", b"three", later).await.unwrap(), "it is revoked");
    let fourth = family_id();
    assert!(family::insert(&mut tx, &new_family(fourth, member), 1).await.unwrap());
    assert_eq!(family::revoke_others(&mut tx, member, third, later).await.unwrap(), 2, "the second and the fourth");
    assert_eq!(family::live_of(&mut tx, member, None, alive, 9).await.unwrap()[0].id, third);
    let fifth = family_id();
    assert!(family::insert(&mut tx, &new_family(fifth, member), 1).await.unwrap());
    let mut revoked = family::revoke_all_of(&mut tx, member, later).await.unwrap();
    revoked.sort();
    let mut living = [third, fifth];
    living.sort();
    assert_eq!(revoked, living, "every row, and the others were revoked before");
    assert!(family::live_of(&mut tx, member, None, alive, 9).await.unwrap().is_empty());
    assert_eq!(family::sweep(&mut tx, later, 9).await.unwrap(), 0);
    assert_eq!(family::sweep(&mut tx, NOW.plus(WEEK), 2).await.unwrap(), 2, "no more than the limit");
    assert_eq!(family::sweep(&mut tx, NOW.plus(WEEK), 9).await.unwrap(), 3);
    assert_eq!(family::spent(&mut tx, first, b"one").await.unwrap(), None, "spent tokens go with their family");
    tx.commit().await.unwrap();
    assert!(member::by_id(&mut bed.store.read(tenant).await.unwrap(), member).await.unwrap().is_some());
}

pub(crate) async fn one_rival_rotates(bed: &Bed) {
    let (tenant, member) = bed.tenant_with_member().await;
    let id = family_id();
    let mut tx = bed.store.write(tenant).await.unwrap();
    assert!(family::insert(&mut tx, &new_family(id, member), 1).await.unwrap());
    tx.commit().await.unwrap();

    let rotate = async |new: &[u8]| {
        let mut tx = bed.store.write(tenant).await.unwrap();
        let won = family::rotate(&mut tx, id, 1, b"one", new, NOW).await.unwrap();
        tx.commit().await.unwrap();
        u8::from(won)
    };
    let (a, b, c, d) = tokio::join!(rotate(b"a"), rotate(b"b"), rotate(b"c"), rotate(b"d"));
    assert_eq!(a + b + c + d, 1);
}

pub(crate) async fn signing_keys_are_kept(bed: &Bed) {
    let tenant = bed.tenant().await;
    let key = |at_ms| SigningKeyRow {
        id: SigningKeyId::new(NOW, random()),
        public_key: b"public".to_vec(),
        private_sealed: b"sealed private".to_vec(),
        created_at_ms: UnixMs::new(at_ms),
        retired_at_ms: None,
    };
    let (old, new) = (key(1), key(2));
    let mut tx = bed.store.write(tenant).await.unwrap();
    assert!(signing_key::insert(&mut tx, &new).await.unwrap());
    assert!(signing_key::insert(&mut tx, &old).await.unwrap());
    assert!(!signing_key::insert(&mut tx, &old).await.unwrap());
    assert!(signing_key::retire(&mut tx, old.id, NOW).await.unwrap());
    assert!(!signing_key::retire(&mut tx, old.id, NOW).await.unwrap());
    let retired = SigningKeyRow { retired_at_ms: Some(NOW), ..old };
    assert_eq!(signing_key::all(&mut tx).await.unwrap(), [retired, new.clone()]);
    assert_eq!(signing_key::sweep(&mut tx, NOW).await.unwrap(), 0);
    assert_eq!(signing_key::sweep(&mut tx, NOW.plus(WEEK)).await.unwrap(), 1, "a key that signs is never swept");
    signing_key::delete_all(&mut tx).await.unwrap();
    assert!(signing_key::all(&mut tx).await.unwrap().is_empty());
    tx.commit().await.unwrap();
}
