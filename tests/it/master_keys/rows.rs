//! What the store has sealed, looked at and planted row by row.

use std::collections::BTreeMap;

use freehold_domain::id::TenantId;
use freehold_domain::keys::{KeyVersion, MasterRing, Nonce, RootKey, ServerSecret};
use freehold_domain::secret::Secret;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use uuid::Uuid;

use crate::support::{Engine, Server};

const DIRECTORY: &str = "https://acme.example.com/directory";
const HOST: &str = "shop.example.com";
/// More than a batch has.
pub(super) const PLANTED: u64 = 200;

/// The rows of the store of a server, whether it runs or not.
pub(super) struct Rows<'a> {
    server: &'a Server,
    engine: Engine,
}

impl<'a> Rows<'a> {
    pub(super) const fn of(server: &'a Server, engine: Engine) -> Self {
        Self { server, engine }
    }

    async fn sqlite(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(self.server.data_dir().join("keys.db")).connect().await.unwrap()
    }

    fn prefix(&self) -> &'static str {
        if self.engine == Engine::Sqlite { "" } else { "keys." }
    }

    fn blob(&self, bytes: &[u8]) -> String {
        let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap();
        let hex: String = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
        if self.engine == Engine::Sqlite { format!("x'{hex}'") } else { format!("'\\x{hex}'::bytea") }
    }

    fn id(&self, id: Uuid) -> String {
        if self.engine == Engine::Sqlite { self.blob(id.as_bytes()) } else { format!("'{id}'::uuid") }
    }

    async fn run(&self, sql: String) {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql));
        if self.engine == Engine::Sqlite {
            let mut connection = self.sqlite().await;
            sql.execute(&mut connection).await.unwrap();
            return connection.close().await.unwrap();
        }
        let mut connection = self.server.database().superuser().await;
        sql.execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    async fn read<T>(&self, sql: String) -> Vec<T>
    where
        T: Send + Unpin + 'static,
        (T,): for<'r> sqlx::FromRow<'r, sqlx::sqlite::SqliteRow> + for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow>,
    {
        let sql = AssertSqlSafe(sql);
        let rows: Vec<(T,)> = if self.engine == Engine::Sqlite {
            sqlx::query_as(sql).fetch_all(&mut self.sqlite().await).await.unwrap()
        } else {
            sqlx::query_as(sql).fetch_all(&mut self.server.database().superuser().await).await.unwrap()
        };
        rows.into_iter().map(|(row,)| row).collect()
    }

    /// How many rows each master key seals.
    pub(super) async fn sealed_by(&self) -> BTreeMap<String, u64> {
        let p = self.prefix();
        let sql = format!(
            "SELECT master_key_id FROM {p}root_key UNION ALL SELECT master_key_id FROM {p}acme_account \
             UNION ALL SELECT master_key_id FROM {p}acme_certificate"
        );
        let mut counts = BTreeMap::new();
        for id in self.read::<String>(sql).await {
            *counts.entry(id).or_default() += 1;
        }
        counts
    }

    /// The master keys that a start is checked with.
    pub(super) async fn checks(&self) -> Vec<String> {
        self.read(format!("SELECT key_id FROM {}master_check ORDER BY key_id", self.prefix())).await
    }

    /// Plants root keys of [`PLANTED`] tenants that nobody knows, an account at an authority and a certificate.
    pub(super) async fn plant(&self, ring: &str) {
        let ring: MasterRing = ring.parse().unwrap();
        let mut nonces = (1..).map(|n: u128| Nonce::from_random(n.to_be_bytes()[4..].try_into().unwrap()));
        let mut nonce = || nonces.next().unwrap();
        let (p, mut sql) = (self.prefix(), vec![]);
        for n in 0..PLANTED {
            let id = Self::planted(n);
            let root = RootKey::from_random(KeyVersion::FIRST, [7; 32]);
            let (master, sealed) = ring.seal_root(TenantId::from_uuid(id), &root, nonce()).unwrap();
            let (id, sealed) = (self.id(id), self.blob(&sealed));
            sql.push(format!("INSERT INTO {p}root_key VALUES ({id}, 1, '{master}', {sealed}, 0);"));
        }
        let secret = Secret::new(b"secret".to_vec());
        let (master, sealed) =
            ring.seal_own(ServerSecret::AcmeAccount { directory: DIRECTORY }, &secret, nonce()).unwrap();
        let sealed = self.blob(&sealed);
        sql.push(format!("INSERT INTO {p}acme_account VALUES ('{DIRECTORY}', '{master}', {sealed}, 0);"));
        let (master, sealed) = ring.seal_own(ServerSecret::CertificateKey { host: HOST }, &secret, nonce()).unwrap();
        let (sealed, end) = (self.blob(&sealed), i64::MAX);
        let values = format!("('{HOST}', 'chain', '{master}', {sealed}, 0, {end}, 0)");
        sql.push(format!("INSERT INTO {p}acme_certificate VALUES {values};"));
        self.run(sql.concat()).await;
    }

    /// The tenant of this planted root key.
    pub(super) const fn planted(n: u64) -> Uuid {
        Uuid::from_u128(0x0100_0000_0000_0000_0000_0000_0000_0000 + n as u128)
    }

    /// Spoils a planted root key.
    pub(super) async fn spoil(&self, n: u64) {
        let (id, sealed) = (self.id(Self::planted(n)), self.blob(&[1; 61]));
        self.run(format!("UPDATE {}root_key SET sealed = {sealed} WHERE tenant = {id}", self.prefix())).await;
    }

    /// Asserts that what was planted opens with this ring, and is what it was.
    pub(super) async fn open_with(&self, ring: &str) {
        let ring: MasterRing = ring.parse().unwrap();
        let p = self.prefix();
        let is_secret = |which, sealed: &[u8]| {
            assert_eq!(ring.open_own(which, ring.newest(), sealed).unwrap().expose(), b"secret", "{which:?}");
        };
        let account: Vec<Vec<u8>> = self.read(format!("SELECT sealed FROM {p}acme_account")).await;
        is_secret(ServerSecret::AcmeAccount { directory: DIRECTORY }, &account[0]);
        let key: Vec<Vec<u8>> = self.read(format!("SELECT key_sealed FROM {p}acme_certificate")).await;
        is_secret(ServerSecret::CertificateKey { host: HOST }, &key[0]);
        for n in [0, PLANTED - 1] {
            let id = Self::planted(n);
            let sql = format!("SELECT sealed FROM {p}root_key WHERE tenant = {}", self.id(id));
            let sealed: Vec<Vec<u8>> = self.read(sql).await;
            let root = ring.open_root(TenantId::from_uuid(id), KeyVersion::FIRST, ring.newest(), &sealed[0]).unwrap();
            // The same root key: sealed once more with one nonce it is the same text.
            let again =
                |root: &RootKey| ring.seal_root(TenantId::from_uuid(id), root, Nonce::from_random([9; 12])).unwrap();
            assert_eq!(again(&root), again(&RootKey::from_random(KeyVersion::FIRST, [7; 32])), "{n}");
        }
    }
}
