use std::sync::mpsc;
use std::time::Duration;

use freehold_domain::time::UnixMs;

use super::*;

/// How long something takes that happens; nothing is asserted of how long.
const SOON: Duration = Duration::from_secs(20);
/// How long is watched that something does not.
const WHILE: Duration = Duration::from_millis(100);

fn tenant(number: u8) -> TenantId {
    TenantId::new(UnixMs::new(1), [number; 10])
}

/// A password of the tenant's that is hashed until it is told to end, and says when it begins.
struct Held {
    begun: mpsc::Receiver<()>,
    _end: mpsc::SyncSender<()>,
}

impl Held {
    fn of(pool: &PasswordPool, number: u8) -> Self {
        let (begins, begun) = mpsc::sync_channel(1);
        let (end, ended) = mpsc::sync_channel::<()>(1);
        let work: Work = Box::new(move |_| {
            begins.send(()).ok();
            ended.recv().ok();
        });
        pool.queue.push(tenant(number), work, 0);
        Self { begun, _end: end }
    }

    fn begins(&self) {
        self.begun.recv_timeout(SOON).expect("it begins");
    }

    fn waits(&self) {
        self.begun.recv_timeout(WHILE).expect_err("it waits");
    }
}

fn pool() -> PasswordPool {
    let ambient = Ambient { now: || UnixMs::new(1), wall: || UnixMs::new(1), fill: |bytes| bytes.fill(7) };
    PasswordPool::start(2, Argon2Params::default(), ambient).expect("a pool")
}

#[test]
fn who_comes_while_one_tenant_has_every_thread_waits_for_none_of_its_hashes() {
    let pool = pool();
    let crowd: Vec<_> = (0..4).map(|_| Held::of(&pool, 1)).collect();
    crowd[0].begins();
    crowd[1].begins();
    crowd[2].waits(); // the spare thread is not for whoever has the others
    let other = Held::of(&pool, 2);
    other.begins();
    let third = Held::of(&pool, 3);
    third.waits(); // there is one of it
    drop(other);
    third.begins();
    crowd[2].waits();
}

#[test]
fn the_spare_thread_sleeps_while_nobody_has_every_thread() {
    let pool = pool();
    let (first, second) = (Held::of(&pool, 1), Held::of(&pool, 2));
    first.begins();
    second.begins();
    let third = Held::of(&pool, 3);
    third.waits();
    // The one that ends gives its thread to the next: then nobody has both.
    drop(first);
    third.begins();
    let fourth = Held::of(&pool, 4);
    fourth.waits();
}

#[test]
fn a_tenant_that_comes_to_have_every_thread_leaves_the_spare_one_to_who_waits() {
    let pool = pool();
    let (first, second) = (Held::of(&pool, 1), Held::of(&pool, 2));
    first.begins();
    second.begins();
    let again = Held::of(&pool, 1);
    let third = Held::of(&pool, 3);
    again.waits();
    third.waits();
    drop(second); // the first tenant has both threads from now on
    again.begins();
    third.begins();
}
