//! A store for one test: a folder, or a database with an owner and a runtime role of its own.

use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use freehold_domain::id::{FamilyId, MemberId, TenantId};
use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use freehold_storage::member::{self, MemberRow};
use freehold_storage::{Pooler, PostgresOptions, SqliteOptions, Store, migrate};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

/// A point in time from which the tests count.
pub(crate) const NOW: UnixMs = UnixMs::new(1_800_000_000_000);

/// The engines of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
    PgBouncer,
}

/// A store and what it lies in.
pub(crate) struct Bed {
    pub(crate) store: Store,
    place: Place,
}

enum Place {
    Folder { _folder: Folder },
    Database(Database),
}

impl Bed {
    pub(crate) async fn new(kind: Kind) -> Self {
        if kind == Kind::Sqlite {
            let folder = Folder::new();
            let store = Store::open_sqlite(folder.options(16)).await.unwrap();
            return Self { store, place: Place::Folder { _folder: folder } };
        }
        let database = Database::migrated().await;
        let store = Store::open_postgres(database.options(kind)).await.unwrap();
        Self { store, place: Place::Database(database) }
    }

    /// The database; panics on SQLite.
    pub(crate) fn database(&self) -> &Database {
        match &self.place {
            Place::Folder { .. } => panic!("this bed is a folder"),
            Place::Database(database) => database,
        }
    }

    /// A new tenant with a store.
    pub(crate) async fn tenant(&self) -> TenantId {
        let tenant = tenant_id();
        self.store.create_tenant_store(tenant).await.unwrap();
        tenant
    }

    /// A new tenant with one member.
    pub(crate) async fn tenant_with_member(&self) -> (TenantId, MemberId) {
        let tenant = self.tenant().await;
        let member = new_member(b"mia@example.org");
        let mut tx = self.store.write(tenant).await.unwrap();
        assert!(member::insert(&mut tx, &member).await.unwrap());
        tx.commit().await.unwrap();
        (tenant, member.id)
    }

    pub(crate) async fn end(self) {
        self.store.close().await;
        if let Place::Database(database) = self.place {
            database.end().await;
        }
    }
}

/// A folder of its own, removed when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(env::temp_dir().join(format!("freehold-storage-{}", unique())))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn options(&self, open_files_max: usize) -> SqliteOptions {
        SqliteOptions { data_dir: self.0.clone(), open_files_max }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// A database with an owner, who migrates it, and a runtime role.
pub(crate) struct Database {
    pub(crate) name: String,
    pub(crate) owner: String,
    pub(crate) app: String,
}

impl Database {
    /// An empty database.
    pub(crate) async fn new() -> Self {
        let unique = unique();
        let [name, owner, app] = ["db", "owner", "app"].map(|what| format!("{what}_{unique}"));
        let mut admin = connect(&direct("postgres", "postgres")).await;
        run(&mut admin, format!("CREATE ROLE {owner} LOGIN CREATEROLE")).await;
        run(&mut admin, format!("CREATE ROLE {app} LOGIN")).await;
        run(&mut admin, format!("CREATE DATABASE {name} OWNER {owner}")).await;
        Self { name, owner, app }
    }

    /// A database of the newest schema, whose runtime role has its grants.
    pub(crate) async fn migrated() -> Self {
        let database = Self::new().await;
        migrate::postgres(&database.owner_url()).await.unwrap();
        database.admin(format!("GRANT freehold_app TO {}", database.app)).await;
        database
    }

    pub(crate) fn owner_url(&self) -> Secret<String> {
        Secret::new(direct(&self.owner, &self.name))
    }

    pub(crate) fn options(&self, kind: Kind) -> PostgresOptions {
        let (url, pooler) = match kind {
            Kind::PgBouncer => (address("FREEHOLD_TEST_PGBOUNCER_URL", &self.app, &self.name), Pooler::Transaction),
            Kind::Postgres | Kind::Sqlite => (direct(&self.app, &self.name), Pooler::None),
        };
        PostgresOptions { url: Secret::new(url), pooler, connections_max: 8 }
    }

    pub(crate) async fn as_app(&self) -> PgConnection {
        connect(&direct(&self.app, &self.name)).await
    }

    pub(crate) async fn as_owner(&self) -> PgConnection {
        connect(&direct(&self.owner, &self.name)).await
    }

    pub(crate) async fn as_superuser(&self) -> PgConnection {
        connect(&direct("postgres", &self.name)).await
    }

    /// Runs `text` in this database as the superuser.
    pub(crate) async fn admin(&self, text: String) {
        run(&mut self.as_superuser().await, text).await;
    }

    pub(crate) async fn end(self) {
        let mut admin = connect(&direct("postgres", "postgres")).await;
        let Self { name, owner, app } = self;
        run(&mut admin, format!("DROP DATABASE {name} WITH (FORCE)")).await;
        run(&mut admin, format!("DROP ROLE {app}, {owner}")).await;
    }
}

pub(crate) async fn run(connection: &mut PgConnection, text: String) {
    sqlx::raw_sql(AssertSqlSafe(text)).execute(connection).await.unwrap();
}

async fn connect(url: &str) -> PgConnection {
    let options = PgConnectOptions::from_str(url).unwrap().disable_statement_logging();
    Box::pin(PgConnection::connect_with(&options)).await.unwrap()
}

fn direct(role: &str, database: &str) -> String {
    address("FREEHOLD_TEST_PG_SUPER_URL", role, database)
}

/// The server named by `variable`, for `role` and `database`.
fn address(variable: &str, role: &str, database: &str) -> String {
    let Ok(url) = env::var(variable) else {
        panic!("run the tests with `cargo xtask test`, which starts PostgreSQL");
    };
    let server = PgConnectOptions::from_str(&url).unwrap();
    format!("postgres://{role}@{}:{}/{database}", server.get_host(), server.get_port())
}

pub(crate) fn tenant_id() -> TenantId {
    TenantId::new(NOW, random())
}

pub(crate) fn family_id() -> FamilyId {
    FamilyId::new(NOW, random())
}

/// A member with a password, found by `email_key`.
pub(crate) fn new_member(email_key: &[u8]) -> MemberRow {
    MemberRow {
        id: MemberId::new(NOW, random()),
        email_key: email_key.to_vec(),
        email_sealed: b"sealed e-mail".to_vec(),
        name_sealed: b"sealed name".to_vec(),
        password_hash: Some(Secret::new("hash".to_owned())),
        role: "owner".to_owned(),
        credential_version: 1,
        epoch: 1,
        created_at_ms: NOW,
        deactivated_at_ms: None,
        password_unchecked_at_ms: None,
    }
}

pub(crate) fn random() -> [u8; 10] {
    let mut bytes = [0; 10];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

fn unique() -> String {
    random().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}
