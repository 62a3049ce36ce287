//! Migrations: the same list on both engines, a copy before each, and nothing newer than we know.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use freehold_domain::id::TenantId;
use freehold_storage::{OpenError, Store, StoreError, member, migrate};
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use crate::fixture::{Database, Folder, new_member, tenant_id};

/// A number that is given to a migration still to come.
const RESERVED: i64 = 6;

static TENANT: Migrator = sqlx::migrate!("../migrations/sqlite/tenant");

#[test]
fn both_engines_have_the_same_list() {
    let [postgres, sqlite] = migrate::lists();
    assert_eq!(postgres, sqlite);
    let versions: Vec<_> = postgres.iter().map(|step| step.version).collect();
    let numbers = (1..).filter(|number| *number != RESERVED);
    assert_eq!(versions, numbers.take(versions.len()).collect::<Vec<_>>(), "numbers have no gaps and no repeats");
}

#[test]
fn migrations_end_with_their_number() {
    for folder in ["system", "keys", "tenant"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations/sqlite").join(folder);
        for file in fs::read_dir(path).unwrap() {
            let file = file.unwrap();
            let version: i64 = file.file_name().to_str().unwrap()[..4].parse().unwrap();
            let text = fs::read_to_string(file.path()).unwrap();
            assert!(text.ends_with(&format!("\nPRAGMA user_version = {version};\n")), "{}", file.path().display());
        }
    }
}

async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.unwrap()
}

/// Puts a store with the tenant's first migration, and a row, in the place of the tenant's file.
async fn set_back(path: &Path) {
    fs::remove_file(path).unwrap();
    let mut old = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path).create_if_missing(true))
        .await
        .unwrap();
    TENANT.run_to(3, &mut old).await.unwrap();
    sqlx::raw_sql("INSERT INTO rate_limit VALUES ('auth', 7, 60000)").execute(&mut old).await.unwrap();
    old.close().await.unwrap();
}

async fn tenant_in(folder: &Folder) -> (Store, TenantId) {
    let store = Store::open_sqlite(folder.options(4)).await.unwrap();
    let tenant = tenant_id();
    store.create_tenant_store(tenant).await.unwrap();
    (store, tenant)
}

#[tokio::test]
async fn a_file_behind_is_copied_and_upgraded() {
    let folder = Folder::new();
    let (store, tenant) = tenant_in(&folder).await;
    let path = folder.path().join(format!("tenants/{tenant}.db"));
    set_back(&path).await;

    let mut tx = store.write(tenant).await.unwrap();
    assert_eq!(freehold_storage::rate_limit::all(&mut tx).await.unwrap().len(), 1, "the rows are there");
    assert!(member::insert(&mut tx, &new_member(b"m")).await.unwrap());
    assert!(freehold_storage::signing_key::all(&mut tx).await.unwrap().is_empty(), "the new tables too");
    tx.commit().await.unwrap();

    let copy = folder.path().join(format!("tenants/{tenant}.db.before-0004"));
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    let mut before = connect(&copy).await;
    let version: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut before).await.unwrap();
    let rows: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM rate_limit").fetch_one(&mut before).await.unwrap();
    assert_eq!((version, rows), (3, 1), "the copy is the file as it was");
    store.close().await;
}

#[tokio::test]
async fn a_file_ahead_is_refused_and_left_alone() {
    let folder = Folder::new();
    let (store, tenant) = tenant_in(&folder).await;
    for name in [format!("tenants/{tenant}.db"), "system.db".to_owned()] {
        let mut file = connect(&folder.path().join(name)).await;
        sqlx::raw_sql("PRAGMA user_version = 9999").execute(&mut file).await.unwrap();
        file.close().await.unwrap();
    }
    let error = store.read(tenant).await.unwrap_err();
    assert!(matches!(error, StoreError::SchemaAhead { found: 9999, .. }), "{error:?}");
    assert_eq!(store.open_files(), 0);
    store.close().await;
    let error = Store::open_sqlite(folder.options(4)).await.unwrap_err();
    assert!(matches!(error, OpenError::Store(StoreError::SchemaAhead { found: 9999, .. })), "{error:?}");
}

#[tokio::test]
async fn postgres_is_planned_then_migrated_once() {
    let database = Database::new().await;
    let all = migrate::lists()[0].clone();
    assert_eq!(migrate::plan(&database.owner_url()).await.unwrap(), all);
    assert_eq!(migrate::plan(&database.owner_url()).await.unwrap(), all, "planning changes nothing");
    assert_eq!(migrate::postgres(&database.owner_url()).await.unwrap(), all);
    assert_eq!(migrate::postgres(&database.owner_url()).await.unwrap(), []);
    database.admin("INSERT INTO _sqlx_migrations VALUES (9999, 'later', now(), TRUE, '', 0)".to_owned()).await;
    let error = migrate::postgres(&database.owner_url()).await.unwrap_err();
    assert!(matches!(error, OpenError::Store(StoreError::SchemaAhead { found: 9999, .. })), "{error:?}");
    database.end().await;
}

/// A migration that fails keeps no lock: the next one is not kept waiting.
#[tokio::test]
async fn a_failed_migration_lets_go_of_its_lock() {
    let database = Database::new().await;
    database.admin("CREATE TABLE member (id uuid)".to_owned()).await;
    let error = migrate::postgres(&database.owner_url()).await.unwrap_err();
    assert!(matches!(error, OpenError::Store(StoreError::Defect { .. })), "{error:?}");
    database.admin("DROP TABLE member".to_owned()).await;
    let left: Vec<_> = migrate::postgres(&database.owner_url()).await.unwrap();
    assert!(!left.is_empty() && migrate::plan(&database.owner_url()).await.unwrap().is_empty());
    database.end().await;
}

/// Two migrations at once: one waits for the other and finds nothing left to do.
#[tokio::test]
async fn rivals_migrate_once() {
    let database = Database::new().await;
    let url = database.owner_url();
    let (one, other) = tokio::join!(migrate::postgres(&url), migrate::postgres(&url));
    one.unwrap();
    other.unwrap();
    assert!(migrate::plan(&url).await.unwrap().is_empty());
    database.end().await;
}
