//! Tokens that were sent by mail.

use std::time::Duration;

use freehold_storage::one_time_token::{self, Entitled, TokenKey};

use crate::fixture::{Bed, NOW};

pub(crate) async fn tokens_work_once_and_the_newest_alone(bed: &Bed) {
    let (tenant, member) = bed.tenant_with_member().await;
    let later = NOW.plus(Duration::from_hours(1));
    let entitled = Entitled { member: Some(member), credential_version: 3, pending_sealed: None };
    let pending = Entitled { member: None, credential_version: 0, pending_sealed: Some(b"sealed".to_vec()) };
    let key = |hash: &'static [u8]| TokenKey { hash, purpose: "reset" };
    let other = TokenKey { hash: b"c", purpose: "registration" };
    let mut tx = bed.store.write(tenant).await.unwrap();
    assert!(one_time_token::replace(&mut tx, key(b"a"), b"ada", &entitled, later).await.unwrap());
    assert!(one_time_token::replace(&mut tx, other, b"ada", &pending, later).await.unwrap());
    assert_eq!(one_time_token::open(&mut tx, key(b"a"), NOW).await.unwrap(), Some(entitled.clone()));
    assert_eq!(one_time_token::open(&mut tx, other, NOW).await.unwrap(), Some(pending));
    assert_eq!(one_time_token::open(&mut tx, key(b"c"), NOW).await.unwrap(), None, "it is for something else");
    assert_eq!(one_time_token::open(&mut tx, key(b"a"), later).await.unwrap(), None, "it has expired");
    assert!(!one_time_token::spend(&mut tx, key(b"a"), later).await.unwrap());

    assert!(one_time_token::replace(&mut tx, key(b"b"), b"ada", &entitled, later).await.unwrap());
    assert!(!one_time_token::spend(&mut tx, key(b"a"), NOW).await.unwrap(), "a newer one took its place");
    assert!(one_time_token::spend(&mut tx, key(b"b"), NOW).await.unwrap());
    assert!(!one_time_token::spend(&mut tx, key(b"b"), NOW).await.unwrap());
    assert_eq!(one_time_token::sweep(&mut tx, NOW, 9).await.unwrap(), 0);
    assert_eq!(one_time_token::sweep(&mut tx, later, 9).await.unwrap(), 1);
    tx.commit().await.unwrap();
}

/// Eight who spend one token at once: one of them has it.
pub(crate) async fn one_rival_spends_a_token(bed: &Bed) {
    let (tenant, member) = bed.tenant_with_member().await;
    let key = TokenKey { hash: b"a", purpose: "reset" };
    let entitled = Entitled { member: Some(member), credential_version: 1, pending_sealed: None };
    let mut tx = bed.store.write(tenant).await.unwrap();
    assert!(one_time_token::replace(&mut tx, key, b"ada", &entitled, NOW.plus(Duration::from_mins(1))).await.unwrap());
    tx.commit().await.unwrap();
    let rival = async || {
        let mut tx = bed.store.write(tenant).await.unwrap();
        let spent = one_time_token::spend(&mut tx, key, NOW).await.unwrap();
        tx.commit().await.unwrap();
        spent
    };
    let four = async || <[_; 4]>::from(tokio::join!(rival(), rival(), rival(), rival()));
    let (some, others) = tokio::join!(four(), four());
    assert_eq!(some.into_iter().chain(others).filter(|spent| *spent).count(), 1);
}
