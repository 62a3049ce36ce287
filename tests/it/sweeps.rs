//! What nobody needs any more does not stay for ever.

use freehold_domain::time::UnixMs;
use freehold_storage::change::{self, Change};
use freehold_storage::{SqliteOptions, Store};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};

use crate::support::{Engine, Options, Server};
use crate::watch::until;

/// How many rows one step sweeps.
const ROWS_MAX: usize = 1_000;
/// Far in the past, and far in the future.
const OLD: UnixMs = UnixMs::new(1);
const FRESH: UnixMs = UnixMs::new(32_503_680_000_000);

/// The system store has changes of its own on SQLite only: on PostgreSQL they are the tenant's.
#[tokio::test(flavor = "multi_thread")]
async fn old_changes_of_the_system_store_are_swept_a_step_at_a_time() {
    let mut server = Server::start(Options::new(Engine::Sqlite)).await;
    let acme = server.tenant("acme");
    assert_eq!(server.terminate(), Some(0));

    let tenant = acme.id.parse().unwrap();
    let options = SqliteOptions { data_dir: server.data_dir(), open_files_max: 1 };
    let store = Store::open_sqlite(options).await.unwrap();
    let mut tx = store.system_write_for(tenant).await.unwrap();
    change::sweep(&mut tx, UnixMs::MAX, u32::MAX).await.unwrap();
    for at_ms in std::iter::repeat_n(OLD, ROWS_MAX + 1).chain([FRESH]) {
        let subject = tenant.uuid();
        change::append(&mut tx, Change { kind: "state", subject, value: 0, at_ms }).await.unwrap();
    }
    tx.commit().await.unwrap();
    store.close().await;

    let server = server.restarted();
    let path = server.data_dir().join("system.db");
    let mut system = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let count = "SELECT CAST(at_ms > 1 AS INTEGER) FROM change ORDER BY at_ms LIMIT 10";
    until("a step of the sweep", async || {
        let left: Vec<i64> = sqlx::query_scalar(count).fetch_all(&mut system).await.unwrap();
        (left == [0, 1]).then_some(())
    })
    .await;
    system.close().await.unwrap();
}
