//! A PostgreSQL database for one test: its own owner, its own runtime role, migrated by the binary itself.

use std::str::FromStr as _;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use super::freehold;

/// The database. It goes with the throw-away cluster that the tests run on.
pub(crate) struct Database {
    name: String,
    admin: PgConnectOptions,
}

impl Database {
    pub(crate) async fn new() -> Self {
        let database = Self::empty().await;
        let Self { name, .. } = &database;
        let migrate = freehold()
            .args(["migrate"])
            .env("FREEHOLD_PROFILE", "development")
            .env("FREEHOLD_DATABASE_URL", database.url())
            .env("FREEHOLD_DATABASE_MIGRATE_URL", database.owner_url())
            .output()
            .unwrap();
        assert!(migrate.status.success(), "{}", String::from_utf8_lossy(&migrate.stderr));
        database.run_as_admin(&format!("GRANT freehold_app TO {name}_app")).await;
        database
    }

    /// A database with its roles and nothing in it.
    pub(crate) async fn empty() -> Self {
        let url = std::env::var("FREEHOLD_TEST_PG_SUPER_URL")
            .unwrap_or_else(|_| panic!("run the tests with `cargo xtask test`, which starts PostgreSQL"));
        let mut random = [0_u8; 8];
        getrandom::fill(&mut random).unwrap();
        let name = format!("it_{:016x}", u64::from_ne_bytes(random));
        let database = Self { admin: PgConnectOptions::from_str(&url).unwrap(), name };
        let Self { name, .. } = &database;
        database.run_as_admin(&format!("CREATE ROLE {name}_owner LOGIN CREATEROLE")).await;
        database.run_as_admin(&format!("CREATE ROLE {name}_app LOGIN")).await;
        database.run_as_admin(&format!("CREATE DATABASE {name} OWNER {name}_owner")).await;
        // The group role belongs to the whole cluster: whoever comes second may still hand it on.
        let group = "DO $$ BEGIN CREATE ROLE freehold_app NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$";
        database.run_as_admin(group).await;
        database
    }

    /// The address with the runtime role.
    pub(crate) fn url(&self) -> String {
        self.url_of("app", self.admin.get_port())
    }

    /// The same at another port: a pooler's, or a proxy's.
    pub(crate) fn url_at(&self, port: u16) -> String {
        self.url_of("app", port)
    }

    /// The address with the owner role.
    pub(crate) fn owner_url(&self) -> String {
        self.url_of("owner", self.admin.get_port())
    }

    fn url_of(&self, role: &str, port: u16) -> String {
        let Self { name, .. } = self;
        format!("postgres://{name}_{role}@127.0.0.1:{port}/{name}")
    }

    /// The port of PostgreSQL itself.
    pub(crate) fn port(&self) -> u16 {
        self.admin.get_port()
    }

    /// A connection to this database as superuser.
    pub(crate) async fn superuser(&self) -> PgConnection {
        self.admin.clone().database(&self.name).connect().await.unwrap()
    }

    async fn run_as_admin(&self, sql: &str) {
        let mut admin = self.admin.connect().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut admin).await.unwrap();
        admin.close().await.unwrap();
    }
}
