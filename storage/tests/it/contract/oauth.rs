//! Identities, and sign-ins at providers that are under way.

use std::time::Duration;

use freehold_domain::id::{FamilyId, IdentityId, MemberId};
use freehold_storage::identity::{self, IdentityRow};
use freehold_storage::oauth::{self, HandoffRow, StateRow};
use freehold_storage::{member, roster};

use crate::fixture::{Bed, NOW};

fn identity(n: u8, member: MemberId, subject: &[u8]) -> IdentityRow {
    IdentityRow {
        id: IdentityId::new(NOW, [n; 10]),
        provider: "google".to_owned(),
        subject_key: subject.to_vec(),
        member,
        account_sealed: Some(b"sealed".to_vec()).filter(|_| n > 1),
        created_at_ms: NOW,
    }
}

pub(crate) async fn identities_are_kept(bed: &Bed) {
    let (tenant, ada) = bed.tenant_with_member().await;
    let mut tx = bed.store.write(tenant).await.unwrap();
    let (one, two) = (identity(1, ada, b"one"), identity(2, ada, b"two"));
    assert!(identity::insert(&mut tx, &one).await.unwrap());
    assert!(identity::insert(&mut tx, &two).await.unwrap());
    assert!(!identity::insert(&mut tx, &identity(3, ada, b"one")).await.unwrap(), "it is somebody's");
    let elsewhere = IdentityRow { provider: "github".to_owned(), ..identity(3, ada, b"one") };
    assert!(identity::insert(&mut tx, &elsewhere).await.unwrap(), "at another provider it is another");

    let found = identity::member_of(&mut tx, "google", b"one").await.unwrap().unwrap();
    let known = member::by_id(&mut tx, ada).await.unwrap().unwrap();
    assert_eq!(
        (found.id, &found.email_sealed, found.credential_version),
        (ada, &known.email_sealed, known.credential_version)
    );
    assert!(identity::member_of(&mut tx, "github", b"two").await.unwrap().is_none());
    assert_eq!(identity::by_subject(&mut tx, "google", b"two").await.unwrap(), Some(two.clone()));
    assert_eq!(identity::by_subject(&mut tx, "google", b"three").await.unwrap(), None);
    assert_eq!(identity::all_of(&mut tx, ada, 10).await.unwrap(), [one.clone(), two, elsewhere]);
    assert_eq!(identity::all_of(&mut tx, ada, 1).await.unwrap(), std::slice::from_ref(&one));

    assert!(!identity::delete(&mut tx, one.id, MemberId::from_uuid(uuid::Uuid::nil())).await.unwrap(), "not theirs");
    assert!(identity::delete(&mut tx, one.id, ada).await.unwrap());
    assert!(!identity::delete(&mut tx, one.id, ada).await.unwrap());
    assert!(identity::insert(&mut tx, &one).await.unwrap());
    assert!(roster::delete(&mut tx, ada).await.unwrap(), "a member goes with its identities");
    assert_eq!(identity::by_subject(&mut tx, "google", b"one").await.unwrap(), None);
    tx.commit().await.unwrap();
}

pub(crate) async fn flows_are_kept(bed: &Bed) {
    let (tenant, _) = bed.tenant_with_member().await;
    let later = NOW.plus(Duration::from_secs(30));
    let family = Some(FamilyId::new(NOW, [9; 10]));
    let state = StateRow {
        provider: "google".to_owned(),
        secrets_sealed: b"sealed".to_vec(),
        browser_hash: b"browser".to_vec(),
        family: None,
        home: Some("shop.test".to_owned()),
    };
    let linking = StateRow { family, ..state.clone() };
    let mut tx = bed.store.write(tenant).await.unwrap();
    for (hash, row) in [(b"one", &state), (b"two", &linking), (b"old", &state)] {
        oauth::begin(&mut tx, hash, row, later).await.unwrap();
    }
    assert_eq!(oauth::take_state(&mut tx, b"six", NOW).await.unwrap(), None);
    assert_eq!(oauth::take_state(&mut tx, b"one", later).await.unwrap(), None, "it has expired");
    assert_eq!(oauth::take_state(&mut tx, b"one", NOW).await.unwrap(), Some(state));
    assert_eq!(oauth::take_state(&mut tx, b"one", NOW).await.unwrap(), None, "it was taken");
    assert_eq!(oauth::take_state(&mut tx, b"two", NOW).await.unwrap(), Some(linking));

    let handoff = HandoffRow {
        provider: "github".to_owned(),
        profile_sealed: b"sealed".to_vec(),
        browser_hash: b"browser".to_vec(),
        family,
    };
    for code in [b"one", b"old"] {
        oauth::hand_off(&mut tx, code, &handoff, later).await.unwrap();
    }
    assert_eq!(oauth::take_handoff(&mut tx, b"one", b"another", NOW).await.unwrap(), None);
    assert_eq!(oauth::take_handoff(&mut tx, b"one", b"browser", later).await.unwrap(), None, "it has expired");
    assert_eq!(oauth::take_handoff(&mut tx, b"one", b"browser", NOW).await.unwrap(), Some(handoff));
    assert_eq!(oauth::take_handoff(&mut tx, b"one", b"browser", NOW).await.unwrap(), None, "it was taken");
    assert_eq!(oauth::sweep(&mut tx, NOW, 10).await.unwrap(), 0);
    assert_eq!(oauth::sweep(&mut tx, later, 10).await.unwrap(), 2);
    tx.commit().await.unwrap();
}

/// Eight who take the same state and the same handoff at once: one of them has each.
pub(crate) async fn one_rival_takes(bed: &Bed) {
    let (tenant, _) = bed.tenant_with_member().await;
    let later = NOW.plus(Duration::from_secs(30));
    let mut tx = bed.store.write(tenant).await.unwrap();
    let (provider, sealed, browser) = ("google".to_owned(), b"sealed".to_vec(), b"browser".to_vec());
    let state = StateRow {
        provider: provider.clone(),
        secrets_sealed: sealed.clone(),
        browser_hash: browser.clone(),
        family: None,
        home: Some("shop.test".to_owned()),
    };
    let handoff = HandoffRow { provider, profile_sealed: sealed, browser_hash: browser, family: None };
    oauth::begin(&mut tx, b"state", &state, later).await.unwrap();
    oauth::hand_off(&mut tx, b"code", &handoff, later).await.unwrap();
    tx.commit().await.unwrap();
    let rival = async || {
        let mut tx = bed.store.write(tenant).await.unwrap();
        let state = oauth::take_state(&mut tx, b"state", NOW).await.unwrap().is_some();
        let code = oauth::take_handoff(&mut tx, b"code", b"browser", NOW).await.unwrap().is_some();
        tx.commit().await.unwrap();
        (state, code)
    };
    let four = async || <[_; 4]>::from(tokio::join!(rival(), rival(), rival(), rival()));
    let (some, others) = tokio::join!(four(), four());
    let taken = [some, others].concat();
    assert_eq!(taken.iter().filter(|(state, _)| *state).count(), 1);
    assert_eq!(taken.iter().filter(|(_, code)| *code).count(), 1);
}
