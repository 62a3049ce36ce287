//! Certificates by ACME: accounts, orders that one node has at a time, challenges.

use std::time::Duration;

use freehold_domain::acme::Validity;
use freehold_domain::id::NodeId;
use freehold_storage::acme::{self, CertificateRow, IssuedRow, SealedRow};

use crate::fixture::{Bed, NOW, random};

const DIRECTORY: &str = "https://acme.example.com/directory";

fn sealed(bytes: &[u8]) -> SealedRow {
    SealedRow { master_key_id: "2026-11".to_owned(), sealed: bytes.to_vec() }
}

pub(crate) async fn an_account_is_everybodys(bed: &Bed) {
    let mut tx = bed.store.keys_write().await.unwrap();
    assert_eq!(acme::account(&mut tx, DIRECTORY).await.unwrap(), None);
    assert!(acme::insert_account(&mut tx, DIRECTORY, &sealed(b"one"), NOW).await.unwrap());
    assert!(!acme::insert_account(&mut tx, DIRECTORY, &sealed(b"two"), NOW).await.unwrap(), "there is one");
    acme::delete_account(&mut tx, DIRECTORY, &sealed(b"two")).await.unwrap();
    assert_eq!(acme::account(&mut tx, DIRECTORY).await.unwrap(), Some(sealed(b"one")), "it was another one");
    acme::delete_account(&mut tx, DIRECTORY, &sealed(b"one")).await.unwrap();
    assert_eq!(acme::account(&mut tx, DIRECTORY).await.unwrap(), None);
    tx.commit().await.unwrap();
}

fn certificate(host: &str, chain: &str, days: u64) -> CertificateRow {
    let validity = Validity { not_before: NOW, not_after: NOW.plus(Duration::from_hours(24 * days)) };
    let (host, chain) = (host.to_owned(), chain.to_owned());
    CertificateRow { host, chain, key: sealed(b"key"), validity, issued_at_ms: NOW.plus(Duration::from_millis(days)) }
}

pub(crate) async fn one_node_orders_and_what_it_brings_is_kept(bed: &Bed) {
    let (one, two) = (NodeId::new(NOW, random()), NodeId::new(NOW, random()));
    let (later, end) = (NOW.plus(Duration::from_secs(1)), NOW.plus(Duration::from_mins(10)));
    let mut tx = bed.store.keys_write().await.unwrap();
    assert!(acme::claim(&mut tx, "shop.test", one, NOW, end).await.unwrap());
    assert!(!acme::claim(&mut tx, "shop.test", two, later, end).await.unwrap(), "somebody has it");
    assert!(!acme::finish(&mut tx, two, &certificate("shop.test", "x", 90)).await.unwrap());
    assert!(!acme::fail(&mut tx, "shop.test", two, 1, later).await.unwrap());
    assert!(acme::fail(&mut tx, "shop.test", one, 1, later).await.unwrap());
    assert!(!acme::claim(&mut tx, "shop.test", two, NOW, end).await.unwrap(), "it rests");
    let order = acme::order(&mut tx, "shop.test").await.unwrap().unwrap();
    assert_eq!((order.failures, order.leased_until_ms.get(), order.next_try_at_ms), (1, 0, later));
    assert!(acme::claim(&mut tx, "shop.test", two, later, end).await.unwrap());
    assert!(acme::claim(&mut tx, "shop.test", one, end, end).await.unwrap(), "a lease ends by itself");
    assert!(!acme::finish(&mut tx, two, &certificate("shop.test", "x", 90)).await.unwrap(), "it came too late");
    assert!(acme::finish(&mut tx, one, &certificate("shop.test", "first", 60)).await.unwrap());
    assert_eq!(acme::order(&mut tx, "shop.test").await.unwrap(), None);
    assert!(acme::claim(&mut tx, "shop.test", two, NOW, end).await.unwrap());
    assert!(acme::finish(&mut tx, two, &certificate("shop.test", "second", 90)).await.unwrap());
    assert!(acme::claim(&mut tx, "a.test", one, NOW, end).await.unwrap());
    assert!(acme::finish(&mut tx, one, &certificate("a.test", "a", 1)).await.unwrap());
    tx.commit().await.unwrap();

    let mut tx = bed.store.keys_write().await.unwrap();
    let found = acme::certificate(&mut tx, "shop.test").await.unwrap();
    assert_eq!(found, Some(certificate("shop.test", "second", 90)));
    let row =
        |host: &str, days| IssuedRow { host: host.to_owned(), issued_at_ms: certificate(host, "", days).issued_at_ms };
    assert_eq!(acme::issued(&mut tx, "", 9).await.unwrap(), [row("a.test", 1), row("shop.test", 90)]);
    assert_eq!(acme::issued(&mut tx, "a.test", 1).await.unwrap(), [row("shop.test", 90)]);

    for (host, holder) in [("b.test", one), ("c.test", two)] {
        assert!(acme::claim(&mut tx, host, holder, NOW, end).await.unwrap());
    }
    assert_eq!(acme::release(&mut tx, one).await.unwrap(), 1);
    assert_eq!(acme::release_all(&mut tx).await.unwrap(), 1);
    let swept = acme::sweep(&mut tx, NOW.plus(Duration::from_hours(25)), NOW, 9).await.unwrap();
    assert_eq!(swept, 3, "the certificate that ended and the orders that nobody has");
    assert_eq!(acme::issued(&mut tx, "", 9).await.unwrap(), [row("shop.test", 90)]);
    assert_eq!(acme::order(&mut tx, "b.test").await.unwrap(), None);
    tx.commit().await.unwrap();
}

/// Two nodes that are due at once: one has the order.
pub(crate) async fn one_rival_orders(bed: &Bed) {
    let end = NOW.plus(Duration::from_mins(10));
    let claim = async |node| {
        let mut tx = bed.store.keys_write().await.unwrap();
        let claimed = acme::claim(&mut tx, "rivals.test", node, NOW, end).await.unwrap();
        tx.commit().await.unwrap();
        claimed
    };
    let (one, two) = (NodeId::new(NOW, random()), NodeId::new(NOW, random()));
    let (first, second) = tokio::join!(claim(one), claim(two));
    assert!(first != second, "{first} {second}");
}

pub(crate) async fn challenges_are_answered_for_a_while(bed: &Bed) {
    let end = NOW.plus(Duration::from_mins(10));
    let mut tx = bed.store.keys_write().await.unwrap();
    for (token, host) in [("t1", "shop.test"), ("t2", "shop.test"), ("t3", "a.test")] {
        assert!(acme::insert_challenge(&mut tx, token, host, "t.thumb", end).await.unwrap());
    }
    assert!(!acme::insert_challenge(&mut tx, "t1", "evil.test", "x", end).await.unwrap());
    let mut answer = async |token, host, now| acme::challenge_answer(&mut tx, token, host, now).await.unwrap();
    assert_eq!(answer("t1", "shop.test", NOW).await.as_deref(), Some("t.thumb"));
    assert_eq!(answer("t1", "evil.test", NOW).await, None);
    assert_eq!(answer("t9", "shop.test", NOW).await, None);
    assert_eq!(answer("t1", "shop.test", end).await, None, "it has ended");
    acme::delete_challenges(&mut tx, "shop.test").await.unwrap();
    assert_eq!(acme::challenge_answer(&mut tx, "t2", "shop.test", NOW).await.unwrap(), None);
    assert_eq!(acme::sweep(&mut tx, NOW, end, 9).await.unwrap(), 1);
    tx.commit().await.unwrap();
}
