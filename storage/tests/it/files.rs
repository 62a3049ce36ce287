//! SQLite's files: how many are open, what is private, what is missing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use freehold_storage::{OpenError, Store, StoreError, directory, member, roster};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::fixture::{Folder, NOW, new_member, tenant_id};

/// The database files of the folder that this process has open.
fn open_now(folder: &Path) -> usize {
    let tenants = folder.join("tenants");
    let mut open: Vec<_> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter(|path| path.starts_with(&tenants) && path.extension().is_some_and(|extension| extension == "db"))
        .collect();
    open.sort();
    open.dedup();
    open.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_more_files_are_open_than_allowed() {
    const OPEN_MAX: usize = 4;
    let folder = Folder::new();
    let store = Store::open_sqlite(folder.options(OPEN_MAX)).await.unwrap();
    let mut tenants = Vec::new();
    for _ in 0..40 {
        let tenant = tenant_id();
        store.create_tenant_store(tenant).await.unwrap();
        tenants.push(tenant);
    }
    let mut callers = JoinSet::new();
    for caller in 0..12_u8 {
        let (store, tenants, path) = (store.clone(), tenants.clone(), folder.path().to_owned());
        callers.spawn(async move {
            for turn in 0..60_u8 {
                let tenant = tenants[(usize::from(turn) * 7 + usize::from(caller) * 11) % tenants.len()];
                let mut tx = store.write(tenant).await.unwrap();
                assert!(member::insert(&mut tx, &new_member(&[caller, turn])).await.unwrap());
                assert!(store.open_files() <= OPEN_MAX);
                // Files come and go while they are counted, so a count can be too high by chance, but not each time.
                assert!((0..20).any(|_| open_now(&path) <= OPEN_MAX));
                tx.commit().await.unwrap();
            }
        });
    }
    callers.join_all().await;
    let mut rows = 0;
    for tenant in tenants {
        rows += roster::page(&mut store.read(tenant).await.unwrap(), None, 999).await.unwrap().len();
    }
    assert_eq!(rows, 12 * 60, "closing files loses nothing");
    store.close().await;
    assert_eq!((store.open_files(), open_now(folder.path())), (0, 0));
    assert!(matches!(store.read(tenant_id()).await, Err(StoreError::Unavailable { .. })));
}

/// With all files in use the next caller waits for one to be let go of, however many transactions that takes.
#[tokio::test]
async fn a_file_in_a_transaction_is_not_closed_under_it() {
    let folder = Folder::new();
    let store = Store::open_sqlite(folder.options(1)).await.unwrap();
    let (busy, next) = (tenant_id(), tenant_id());
    store.create_tenant_store(busy).await.unwrap();
    store.create_tenant_store(next).await.unwrap();
    let mut tx = store.write(busy).await.unwrap();
    let begun = Arc::new(Barrier::new(2));
    let waiting = tokio::spawn({
        let (store, begun) = (store.clone(), Arc::clone(&begun));
        async move {
            begun.wait().await;
            drop(store.write(next).await.unwrap());
        }
    });
    begun.wait().await;
    for n in 0..20 {
        assert!(member::insert(&mut tx, &new_member(&[n])).await.unwrap());
        assert!(!waiting.is_finished());
    }
    tx.commit().await.unwrap();
    waiting.await.unwrap();
    assert_eq!(roster::page(&mut store.read(busy).await.unwrap(), None, 99).await.unwrap().len(), 20);
    store.close().await;
}

#[tokio::test]
async fn a_closed_tenant_is_opened_again() {
    let folder = Folder::new();
    let store = Store::open_sqlite(folder.options(4)).await.unwrap();
    let tenant = tenant_id();
    store.create_tenant_store(tenant).await.unwrap();
    let mut tx = store.write(tenant).await.unwrap();
    assert!(member::insert(&mut tx, &new_member(b"m")).await.unwrap());
    tx.commit().await.unwrap();
    assert_eq!(store.open_files(), 1);
    store.close_tenant(tenant).await;
    store.close_tenant(tenant_id()).await;
    assert_eq!((store.open_files(), open_now(folder.path())), (0, 0));
    assert_eq!(roster::page(&mut store.read(tenant).await.unwrap(), None, 9).await.unwrap().len(), 1);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_a_tenant_fails_nobody_who_uses_it() {
    let folder = Folder::new();
    let store = Store::open_sqlite(folder.options(4)).await.unwrap();
    let tenant = tenant_id();
    store.create_tenant_store(tenant).await.unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..3 {
        let reads = store.clone();
        tasks.spawn(async move {
            for _ in 0..300 {
                roster::page(&mut reads.read(tenant).await.unwrap(), None, 9).await.unwrap();
            }
        });
        let closes = store.clone();
        tasks.spawn(async move {
            for _ in 0..300 {
                closes.close_tenant(tenant).await;
                tokio::task::yield_now().await;
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    store.close_tenant(tenant).await;
    assert_eq!((store.open_files(), open_now(folder.path())), (0, 0));
    store.close().await;
}

#[tokio::test]
async fn a_missing_store_is_not_made_by_reading_it() {
    let folder = Folder::new();
    let store = Store::open_sqlite(folder.options(4)).await.unwrap();
    let tenant = tenant_id();
    let path = folder.path().join(format!("tenants/{tenant}.db"));
    for _ in 0..2 {
        assert!(matches!(store.write(tenant).await, Err(StoreError::Missing { .. })));
        assert!(!path.exists());
    }
    fs::write(&path, []).unwrap();
    assert!(matches!(store.read(tenant).await, Err(StoreError::Missing { .. })), "an empty file is no store");
    fs::write(&path, [7; 4096]).unwrap();
    assert!(matches!(store.read(tenant).await, Err(StoreError::Damaged { .. })));
    fs::remove_file(&path).unwrap();
    store.create_tenant_store(tenant).await.unwrap();
    drop(store.read(tenant).await.unwrap());
    assert!(matches!(store.create_tenant_store(tenant).await, Err(StoreError::Conflict { .. })));
    assert_eq!(store.open_files(), 1, "what could not be opened counts no more");
    store.close().await;

    for name in ["keys.db", "system.db"] {
        fs::remove_file(folder.path().join(name)).unwrap();
        let error = Store::open_sqlite(folder.options(4)).await.unwrap_err();
        assert!(matches!(&error, OpenError::Store(StoreError::Missing { name: n }) if n == name), "{error:?}");
    }
}

/// Two processes on one folder, such as the server and a command: both open it at its first start, and both write.
#[tokio::test]
async fn processes_share_a_folder() {
    let folder = Folder::new();
    let opened = tokio::join!(
        Store::open_sqlite(folder.options(4)),
        Store::open_sqlite(folder.options(4)),
        Store::open_sqlite(folder.options(4)),
        Store::open_sqlite(folder.options(4)),
    );
    let stores = [opened.0.unwrap(), opened.1.unwrap(), opened.2.unwrap(), opened.3.unwrap()];
    let mut writers = JoinSet::new();
    for (number, store) in stores.into_iter().enumerate() {
        writers.spawn(async move {
            for turn in 0..20 {
                let slug = format!("tenant-{number}-{turn}");
                let mut tx = store.system_write().await.unwrap();
                // A writer that begins with a read must not find that a rival has written since.
                assert!(directory::by_slug(&mut tx, &slug).await.unwrap().is_none());
                assert!(directory::insert(&mut tx, tenant_id(), &slug, "T", "active", NOW).await.unwrap());
                tx.commit().await.unwrap();
            }
            store
        });
    }
    for store in writers.join_all().await {
        assert_eq!(directory::page(&mut store.system_read().await.unwrap(), "", 999).await.unwrap().len(), 80);
        store.close().await;
    }
}

#[tokio::test]
async fn nobody_else_may_read_the_files() {
    let folder = Folder::new();
    let store = Store::open_sqlite(folder.options(4)).await.unwrap();
    let tenant = tenant_id();
    store.create_tenant_store(tenant).await.unwrap();
    let tx = store.write(tenant).await.unwrap();
    for place in [folder.path().to_owned(), folder.path().join("tenants")] {
        assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o700);
        for entry in fs::read_dir(place).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", entry.path().display());
            }
        }
    }
    drop(tx);
    store.close().await;
}
