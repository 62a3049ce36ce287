//! A server process: the real binary on free loopback ports, in a folder of its own.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use super::{Conn, Database, Engine, Folder, Mail};
use crate::watch::until;

/// A master ring for tests.
pub(crate) const MASTER: &str = "test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// How long a server may take to start or to end.
const PATIENCE: Duration = Duration::from_secs(30);
const NOBODY: u32 = 65_534;

/// The binary, with an environment of its own.
pub(crate) fn freehold() -> Command {
    freehold_at(Path::new(env!("CARGO_BIN_EXE_freehold")))
}

fn freehold_at(binary: &Path) -> Command {
    let mut command = Command::new(binary);
    for (name, _) in std::env::vars() {
        if name.starts_with("FREEHOLD_") {
            command.env_remove(name);
        }
    }
    command
}

/// The binary run as this user, to whom the folder is given: from there, for what root builds may lie where nobody
/// else may go.
fn freehold_as(user: u32, folder: &Folder) -> Command {
    std::os::unix::fs::chown(folder.path(), Some(user), None).unwrap();
    let (built, binary) = (Path::new(env!("CARGO_BIN_EXE_freehold")), folder.path().join("freehold"));
    if !binary.exists() && fs::hard_link(built, &binary).is_err() {
        fs::copy(built, &binary).unwrap();
    }
    let mut command = freehold_at(&binary);
    command.uid(user);
    command
}

/// What a server is started with besides the defaults of the tests.
#[derive(Clone)]
pub(crate) struct Options {
    engine: Engine,
    env: Vec<(String, String)>,
    /// The user to run as, where the tests are root.
    user: Option<u32>,
}

impl Options {
    pub(crate) fn new(engine: Engine) -> Self {
        Self { engine, env: vec![], user: None }
    }

    /// Runs as nobody where the tests run as root; otherwise as whoever runs the tests.
    pub(crate) fn unprivileged(mut self) -> Self {
        self.user = rustix::process::geteuid().is_root().then_some(NOBODY);
        self
    }

    /// Sets an environment variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Lets calls to what tenants name reach this machine: names are asked of `resolver`, and whoever one of `ca_file` certified is believed.
    pub(crate) fn calls_loopback(self, resolver: SocketAddr, ca_file: &Path) -> Self {
        self.env("FREEHOLD_DOMAINS_RESOLVER", &resolver.to_string())
            .env("FREEHOLD_OUTBOUND_PRIVATE_CIDRS", "127.0.0.1/32")
            .env("FREEHOLD_OUTBOUND_PORTS", "1024-65535")
            .env("FREEHOLD_OUTBOUND_CA_FILE", ca_file.to_str().unwrap())
    }

    /// Switches these tiers off; without names, every tier that exists today.
    pub(crate) fn limits_off(self) -> Self {
        let tiers = "ADDRESS LOGIN_ADDRESS LOGIN_ACCOUNT SIGNUP PASSWORD_RESET SECOND_FACTOR PUBLIC_FORM REFRESH API_MEMBER API_TENANT \
                     WEBHOOK_IN";
        tiers.split(' ').fold(self, |options, tier| options.env(&format!("FREEHOLD_LIMITS_{tier}"), "off"))
    }
}

/// A running server. Dropped, it is killed.
pub(crate) struct Server {
    child: Child,
    /// Its public listener.
    pub(crate) http: SocketAddr,
    /// Its private listener.
    pub(crate) private: SocketAddr,
    /// Where plain HTTP is sent to HTTPS.
    pub(crate) redirect: Option<SocketAddr>,
    options: Options,
    folder: Arc<Folder>,
    database: Option<Arc<Database>>,
    log: Arc<Mutex<String>>,
}

/// A tenant of a server, and its first admin.
#[derive(Clone, Debug)]
pub(crate) struct Tenant {
    pub(crate) id: String,
    pub(crate) slug: String,
    pub(crate) email: String,
    pub(crate) password: String,
}

impl Tenant {
    pub(crate) fn host(&self) -> String {
        format!("{}.localhost", self.slug)
    }
}

impl Server {
    /// A server on an empty store.
    pub(crate) async fn start(options: Options) -> Self {
        let database = match options.engine {
            Engine::Sqlite => None,
            Engine::Postgres => Some(Arc::new(Database::new().await)),
        };
        Self::run(options, Arc::new(Folder::new()), database)
    }

    /// A server on a database that is there, which it reaches at this port of loopback.
    pub(crate) fn start_through(options: Options, database: Database, port: u16) -> Self {
        let options = options.env("FREEHOLD_DATABASE_URL", &database.url_at(port));
        Self::start_with(options, database)
    }

    /// A server on a database that is there, which it reaches as the options say.
    pub(crate) fn start_with(options: Options, database: Database) -> Self {
        Self::run(options, Arc::new(Folder::new()), Some(Arc::new(database)))
    }

    /// A second server on the same database, in a folder of its own.
    pub(crate) fn another(&self) -> Self {
        assert!(self.database.is_some(), "two servers cannot share a folder");
        Self::run(self.options.clone(), Arc::new(Folder::new()), self.database.clone())
    }

    /// The same, with other settings.
    pub(crate) fn another_with(&self, settings: &[(&str, &str)]) -> Self {
        assert!(self.database.is_some(), "two servers cannot share a folder");
        let options = settings.iter().fold(self.options.clone(), |options, (name, value)| options.env(name, value));
        Self::run(options, Arc::new(Folder::new()), self.database.clone())
    }

    /// Starts a server on what this one left behind, with another setting.
    pub(crate) fn restarted_with(mut self, name: &str, value: &str) -> Self {
        self.options = self.options.clone().env(name, value);
        self.restarted()
    }

    /// Starts a server on what this one left behind.
    pub(crate) fn restarted(mut self) -> Self {
        self.kill();
        Self::run(self.options.clone(), Arc::clone(&self.folder), self.database.clone())
    }

    fn run(options: Options, folder: Arc<Folder>, database: Option<Arc<Database>>) -> Self {
        let mut command = Self::command(&options, &folder, database.as_deref());
        let mut child = command.arg("serve").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (mut stderr, written) = (child.stderr.take().unwrap(), Arc::clone(&log));
        thread::spawn(move || {
            let mut chunk = [0; 4_096];
            while let Ok(n @ 1..) = stderr.read(&mut chunk) {
                written.lock().unwrap().push_str(&String::from_utf8_lossy(&chunk[..n]));
            }
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Ok(event) = serde_json::from_str::<Value>(&line) else {
            drop(child.wait());
            panic!("the server did not start: {}", log.lock().unwrap());
        };
        let address = |key: &str| event[key].as_str().unwrap().parse().unwrap();
        let (http, private) = (address("http"), address("private"));
        let redirect = event["redirect"].as_str().map(|text| text.parse().unwrap());
        Self { child, http, private, redirect, options, folder, database, log }
    }

    fn command(options: &Options, folder: &Folder, database: Option<&Database>) -> Command {
        let mut command = match options.user {
            None => freehold(),
            Some(user) => freehold_as(user, folder),
        };
        command
            .env("FREEHOLD_PROFILE", "development")
            .env("FREEHOLD_HTTP_LISTEN", "127.0.0.1:0")
            .env("FREEHOLD_PRIVATE_LISTEN", "127.0.0.1:0")
            .env("FREEHOLD_PLATFORM_PUBLIC_URL", "http://localhost:8080")
            .env("FREEHOLD_KEYS_MASTER", MASTER)
            .env("FREEHOLD_DATA_DIR", folder.path().join("data"));
        if let Some(database) = database {
            command.env("FREEHOLD_DATABASE_URL", database.url());
        }
        if options.env.iter().any(|(name, _)| name == "FREEHOLD_KEYS_MASTER_FILE") {
            command.env_remove("FREEHOLD_KEYS_MASTER");
        }
        command.envs(options.env.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        command
    }

    /// The report of `freehold doctor`, told where this server listens, with settings of its own; and its exit code.
    pub(crate) fn doctor(&self, settings: &[(&str, &str)]) -> (Option<i32>, Vec<Value>) {
        let mut command = Self::command(&self.options, &self.folder, self.database.as_deref());
        command
            .env("FREEHOLD_HTTP_LISTEN", self.http.to_string())
            .env("FREEHOLD_PRIVATE_LISTEN", self.private.to_string());
        if let Some(redirect) = self.redirect {
            command.env("FREEHOLD_HTTP_REDIRECT_LISTEN", redirect.to_string());
        }
        let output = command.envs(settings.iter().copied()).arg("doctor").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        (output.status.code(), lines)
    }

    /// Runs a verb of the command line against this server's data directory.
    pub(crate) fn cli(&self, args: &[&str], stdin: &str) -> Output {
        let mut command = Self::command(&self.options, &self.folder, self.database.as_deref());
        let mut child =
            command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdin.take().unwrap().write_all(stdin.as_bytes()));
        child.wait_with_output().unwrap()
    }

    /// Makes a tenant through the command line.
    pub(crate) fn tenant(&self, slug: &str) -> Tenant {
        let (email, password) = ("ada@example.com", format!("correct horse of {slug}"));
        let args = ["tenant", "create", slug, "--admin-email", email, "--admin-password-stdin"];
        let made = self.cli(&args, &format!("{password}\n"));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        let id = made["id"].as_str().unwrap().to_owned();
        Tenant { id, slug: slug.to_owned(), email: email.to_owned(), password }
    }

    /// Injects a failure (see `POST /debug/fault`).
    pub(crate) async fn fault(&self, fault: Value) {
        let mut conn = Conn::open(self.private, "127.0.0.1").await;
        conn.post("/debug/fault", None, &fault).await.is(204);
    }

    /// Lets the process clock jump ahead: whatever a rule waits for has come so much nearer.
    pub(crate) async fn clock_ahead(&self, seconds: u64) {
        self.fault(json!({ "fault": "clock_ahead", "ahead_ms": seconds * 1_000 })).await;
    }

    /// Ends the process when it reaches this point next.
    pub(crate) async fn abort_at(&self, point: &str) {
        self.fault(json!({ "fault": "abort_at", "point": point })).await;
    }

    /// A number the server counts for tests: `transactions` or `hashes`.
    pub(crate) async fn count(&self, what: &str) -> u64 {
        let mut conn = Conn::open(self.private, "127.0.0.1").await;
        conn.get("/debug/counts", None).await.is(200).json()[what].as_u64().unwrap()
    }

    /// Changes stored rows of a tenant, which must be the only one of its server.
    pub(crate) async fn run_sql(&self, tenant: &Tenant, sql: &str) {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        if let Some(database) = &self.database {
            let mut connection = database.superuser().await;
            sql.execute(&mut connection).await.unwrap();
            return connection.close().await.unwrap();
        }
        let path = self.data_dir().join(format!("tenants/{}.db", tenant.id));
        let mut connection = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
        sql.execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    /// The letters in the outbox, oldest first, once there are this many.
    pub(crate) async fn letters(&self, count: usize) -> Vec<Mail> {
        let folder = self.data_dir().join("outbox");
        let read = async || {
            let entries = fs::read_dir(&folder).ok()?.map(|entry| entry.unwrap().path());
            let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|kind| kind == "eml")).collect();
            files.sort();
            (files.len() >= count).then_some(files)
        };
        let (files, _) = until("the letters are in the outbox", read).await;
        files.into_iter().map(|path| Mail::parse(&fs::read(path).unwrap())).collect()
    }

    /// The private listener's answer.
    pub(crate) async fn private_get(&self, path: &str) -> super::Answer {
        Conn::open(self.private, "127.0.0.1").await.get(path, None).await
    }

    /// Everything it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn database(&self) -> &Database {
        self.database.as_deref().expect("a server on PostgreSQL")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Waits for the process to end by itself; its exit code, `None` after a signal.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(since.elapsed() < PATIENCE, "the server did not end");
            thread::yield_now();
        }
    }

    /// Asks it to stop, as a service manager does, and waits; its exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.ended()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
