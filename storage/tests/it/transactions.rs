//! Transactions: what an error, a dropped future and a slow store leave behind.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use freehold_domain::time::UnixMs;
use freehold_storage::lockout::{self, Failures};
use freehold_storage::sql::Sql;
use freehold_storage::{Row, StoreError, args, member, rate_limit, roster};

use crate::fixture::{Bed, Kind, NOW, new_member, run};

const ADD: Sql<1> = Sql::new("INSERT INTO rate_limit (tier, burst, period_ms) VALUES ($1, 1, 1)");
const KINDS: [Kind; 3] = [Kind::Sqlite, Kind::Postgres, Kind::PgBouncer];

#[tokio::test]
async fn a_dropped_transaction_leaves_no_trace() {
    for kind in KINDS {
        let bed = Bed::new(kind).await;
        let tenant = bed.tenant().await;
        let mut tx = bed.store.write(tenant).await.unwrap();
        tx.execute(ADD, args!["auth"]).await.unwrap();
        drop(tx);
        assert!(rate_limit::all(&mut bed.store.read(tenant).await.unwrap()).await.unwrap().is_empty());
        assert_eq!(bed.store.transactions_begun(), 2, "every transaction is counted");
        bed.store.ping().await.unwrap();
        assert_eq!(bed.store.transactions_begun(), 2);
        bed.end().await;
    }
}

#[tokio::test]
async fn what_follows_a_commit_follows_nothing_else() {
    for kind in KINDS {
        let bed = Bed::new(kind).await;
        let tenant = bed.tenant().await;
        let followed = Arc::new(AtomicU32::new(0));
        let begin = async || {
            let (mut tx, followed) = (bed.store.write(tenant).await.unwrap(), Arc::clone(&followed));
            tx.after_commit(move || {
                followed.fetch_add(1, Ordering::Relaxed);
            });
            tx
        };
        drop(begin().await);
        let mut poisoned = begin().await;
        poisoned.execute(ADD, args![None::<String>]).await.unwrap_err();
        assert!(matches!(poisoned.commit().await, Err(StoreError::Poisoned)));
        assert_eq!(followed.load(Ordering::Relaxed), 0, "{kind:?}");
        begin().await.commit().await.unwrap();
        assert_eq!(followed.load(Ordering::Relaxed), 1, "{kind:?}");
        bed.end().await;
    }
}

#[tokio::test]
async fn an_error_poisons_the_transaction() {
    for kind in KINDS {
        let bed = Bed::new(kind).await;
        let tenant = bed.tenant().await;
        let mut tx = bed.store.write(tenant).await.unwrap();
        tx.execute(ADD, args!["auth"]).await.unwrap();
        let error = tx.execute(ADD, args!["auth"]).await.unwrap_err();
        assert!(matches!(error, StoreError::Conflict { .. }) && error.is_transient(), "{kind:?}: {error:?}");
        assert!(matches!(tx.execute(ADD, args!["write"]).await, Err(StoreError::Poisoned)));
        assert!(matches!(tx.commit().await, Err(StoreError::Poisoned)));
        assert!(rate_limit::all(&mut bed.store.read(tenant).await.unwrap()).await.unwrap().is_empty(), "{kind:?}");
        bed.end().await;
    }
}

struct Unreadable;

impl TryFrom<Row> for Unreadable {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        row.get::<i64>("tier").map(|_| Self)
    }
}

#[tokio::test]
async fn a_row_of_another_type_is_a_defect() {
    const TIERS: Sql<0> = Sql::new("SELECT tier FROM rate_limit");
    for kind in KINDS {
        let bed = Bed::new(kind).await;
        let tenant = bed.tenant().await;
        let mut tx = bed.store.write(tenant).await.unwrap();
        tx.execute(ADD, args!["auth"]).await.unwrap();
        let read = tx.fetch_optional::<Unreadable, 0>(TIERS, args![]).await;
        assert!(matches!(read, Err(StoreError::Defect { .. })));
        assert!(matches!(tx.commit().await, Err(StoreError::Poisoned)));
        bed.end().await;
    }
}

/// Begins that are dropped at every stage leave no connection inside a transaction.
#[tokio::test]
async fn a_begin_that_is_cut_off_leaves_nothing_open() {
    const POLLS: usize = 40;
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let bed = Bed::new(kind).await;
        let tenant = bed.tenant().await;
        for polls in (0..POLLS).cycle().take(600) {
            let mut begin = pin!(bed.store.write(tenant));
            for _ in 0..polls {
                if begin.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        // As many at once as there are connections, each of which must be good.
        let mut tx = bed.store.write(tenant).await.unwrap();
        tx.execute(ADD, args!["auth"]).await.unwrap();
        tx.commit().await.unwrap();
        if kind == Kind::Postgres {
            nothing_is_left_open(&bed).await;
        }
        bed.end().await;
    }
}

/// Looks until no connection of the runtime role is inside a transaction; one that was forgotten stays there.
async fn nothing_is_left_open(bed: &Bed) {
    const OPEN: &str = "SELECT COUNT(*) FROM pg_stat_activity WHERE usename = $1 AND xact_start IS NOT NULL";
    let mut admin = bed.database().as_superuser().await;
    let begun = Instant::now();
    loop {
        let open: i64 = sqlx::query_scalar(OPEN).bind(&bed.database().app).fetch_one(&mut admin).await.unwrap();
        if open == 0 {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{open} connections were left inside a transaction");
    }
}

#[tokio::test]
async fn a_statement_that_is_cut_off_poisons_the_transaction() {
    for kind in KINDS {
        let bed = Bed::new(kind).await;
        let tenant = bed.tenant().await;
        let mut tx = bed.store.write(tenant).await.unwrap();
        // SQLite's thread may answer at once, in which case nothing was cut off: again.
        for number in 0.. {
            let tier = number.to_string();
            let mut statement = pin!(tx.execute(ADD, args![tier.as_str()]));
            if statement.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                break;
            }
        }
        assert!(matches!(tx.execute(ADD, args!["write"]).await, Err(StoreError::Poisoned)));
        drop(tx);
        assert!(rate_limit::all(&mut bed.store.read(tenant).await.unwrap()).await.unwrap().is_empty());
        bed.end().await;
    }
}

/// A row that somebody else holds: the wait ends, and the connection is good afterwards.
#[tokio::test]
async fn a_store_that_does_not_answer_is_unavailable_in_time() {
    const TOUCH: Sql<0> = Sql::new("UPDATE member SET epoch = epoch + 1");
    for kind in KINDS {
        let bed = Bed::new(kind).await;
        let (tenant, _) = bed.tenant_with_member().await;
        let mut holding = bed.store.write(tenant).await.unwrap();
        holding.execute(TOUCH, args![]).await.unwrap();
        let begun = Instant::now();
        let waited = async {
            let mut tx = bed.store.write(tenant).await?;
            tx.execute(TOUCH, args![]).await?;
            tx.commit().await
        };
        let error = waited.await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }) && error.is_transient(), "{kind:?}: {error:?}");
        assert!(begun.elapsed() < freehold_storage::STORE_TIMEOUT + Duration::from_secs(1));
        drop(holding);
        let mut tx = bed.store.write(tenant).await.unwrap();
        assert_eq!(tx.execute(TOUCH, args![]).await.unwrap(), 1);
        tx.commit().await.unwrap();
        bed.end().await;
    }
}

/// A process that stands still in a transaction, as when it is stopped, keeps its rows locked no longer than this.
#[tokio::test]
async fn a_transaction_that_stands_still_is_ended_by_the_server() {
    let bed = Bed::new(Kind::Postgres).await;
    let tenant = bed.tenant().await;
    let mut tx = bed.store.write(tenant).await.unwrap();
    tx.execute(ADD, args!["auth"]).await.unwrap();
    nothing_is_left_open(&bed).await;
    assert!(matches!(tx.execute(ADD, args!["write"]).await, Err(StoreError::Unavailable { .. })));
    drop(tx);
    bed.end().await;
}

/// A sweep that waits for a row finds that it was charged and locked meanwhile, and leaves it.
#[tokio::test]
async fn a_sweep_spares_a_row_that_was_locked_meanwhile() {
    const WAITING: &str = "SELECT COUNT(*) FROM pg_stat_activity WHERE usename = $1 AND wait_event_type = 'Lock'";
    let bed = Bed::new(Kind::Postgres).await;
    let tenant = bed.tenant().await;
    let (old, later) = (NOW, NOW.plus(Duration::from_hours(24)));
    let mut tx = bed.store.write(tenant).await.unwrap();
    assert!(lockout::insert(&mut tx, b"a", Failures { count: 1, locked_until_ms: None }, old).await.unwrap());
    tx.commit().await.unwrap();

    let mut charging = bed.store.write(tenant).await.unwrap();
    let locked = Failures { count: 5, locked_until_ms: Some(UnixMs::MAX) };
    assert!(lockout::update(&mut charging, b"a", 1, locked, later).await.unwrap());
    let sweeping = tokio::spawn({
        let store = bed.store.clone();
        async move {
            let mut tx = store.write(tenant).await.unwrap();
            let swept = lockout::sweep(&mut tx, later, later, 9).await.unwrap();
            tx.commit().await.unwrap();
            swept
        }
    });
    let mut admin = bed.database().as_superuser().await;
    loop {
        let waiting: i64 = sqlx::query_scalar(WAITING).bind(&bed.database().app).fetch_one(&mut admin).await.unwrap();
        if waiting > 0 || sweeping.is_finished() {
            break;
        }
    }
    charging.commit().await.unwrap();
    assert_eq!(sweeping.await.unwrap(), 0);
    bed.end().await;
}

/// SQLite rolls back by itself when the disk is full, behind the driver's back.
#[tokio::test]
async fn a_full_disk_does_not_spoil_the_connection() {
    const SHRINK: Sql<0> = Sql::new("PRAGMA max_page_count = 1");
    const GROW: Sql<0> = Sql::new("PRAGMA max_page_count = 100000");
    let bed = Bed::new(Kind::Sqlite).await;
    let tenant = bed.tenant().await;
    let mut tx = bed.store.write(tenant).await.unwrap();
    tx.execute(SHRINK, args![]).await.unwrap();
    let large = member::MemberRow { name_sealed: vec![0; 100_000], ..new_member(b"large") };
    let error = member::insert(&mut tx, &large).await.unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }) && !error.is_transient(), "{error:?}");
    drop(tx);
    // The same connection goes on: a new one would need room to open the file.
    for _ in 0..2 {
        let mut tx = bed.store.write(tenant).await.unwrap();
        assert!(matches!(member::insert(&mut tx, &large).await, Err(StoreError::Full { .. })));
        drop(tx);
        assert!(roster::page(&mut bed.store.read(tenant).await.unwrap(), None, 9).await.unwrap().is_empty());
    }
    let mut tx = bed.store.write(tenant).await.unwrap();
    tx.execute(GROW, args![]).await.unwrap();
    assert!(member::insert(&mut tx, &large).await.unwrap());
    tx.commit().await.unwrap();
    let kept = roster::page(&mut bed.store.read(tenant).await.unwrap(), None, 9).await.unwrap();
    assert_eq!(kept.len(), 1);
    bed.end().await;
}

/// The server goes away under a transaction: an error, and the next transaction meets a new connection.
#[tokio::test]
async fn a_lost_connection_is_replaced() {
    for kind in [Kind::Postgres, Kind::PgBouncer] {
        let bed = Bed::new(kind).await;
        let tenant = bed.tenant().await;
        let mut tx = bed.store.write(tenant).await.unwrap();
        tx.execute(ADD, args!["auth"]).await.unwrap();
        let end = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = '";
        run(&mut bed.database().as_superuser().await, format!("{end}{}'", bed.database().app)).await;
        let error = tx.execute(ADD, args!["write"]).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{kind:?}: {error:?}");
        drop(tx);
        let mut tx = bed.store.write(tenant).await.unwrap();
        tx.execute(ADD, args!["auth"]).await.unwrap();
        tx.commit().await.unwrap();
        bed.end().await;
    }
}

/// Everything that is spawned by the actors must be able to move between threads.
#[test]
fn futures_can_be_spawned() {
    fn is_send<T: Send>(_: impl FnOnce(freehold_storage::Store) -> T) {}
    is_send(|store| async move {
        let tenant = crate::fixture::tenant_id();
        let mut tx = store.write(tenant).await?;
        member::insert(&mut tx, &new_member(b"m")).await?;
        rate_limit::all(&mut tx).await?;
        tx.commit().await?;
        store.create_tenant_store(tenant).await?;
        store.close_tenant(tenant).await;
        store.ping().await?;
        store.close().await;
        Ok::<_, StoreError>(())
    });
    is_send(|_| async {
        let url = freehold_domain::secret::Secret::new(String::new());
        let _ = freehold_storage::migrate::postgres(&url).await;
        let _ = freehold_storage::migrate::plan(&url).await;
    });
}
