//! What Freehold is compared with: this binary again, in a process of its own that does one thing and nothing else.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use freehold::clock::AMBIENT;
use freehold_domain::access_token::{AUDIENCE, AccessClaims};
use freehold_domain::password::{Argon2Params, HashMemory, Password, PasswordHash, verify};
use freehold_domain::secret::Secret;
use freehold_domain::webhook::{self, Delivery, Rule, Secrets};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::load::Tally;
use crate::{machine, memory};

/// The first argument of a process that plays a role.
pub(crate) const FLAG: &str = "--reference=";
/// Bare axum that answers fixed bytes.
pub(crate) const AXUM: &str = "axum";
/// The same after verifying the bearer token.
pub(crate) const AXUM_VERIFY: &str = "axum-verify";
/// Bare axum that takes a body and answers none.
pub(crate) const AXUM_POST: &str = "axum-post";
/// The same after verifying it as a webhook of Stripe's.
pub(crate) const AXUM_WEBHOOK: &str = "axum-webhook";
/// Threads that hash.
pub(crate) const ARGON2: &str = "argon2";
/// Tasks that commit.
pub(crate) const COMMITS: &str = "commits";
/// Freehold's tree, without HTTP.
pub(crate) const MEMORY: &str = "memory";

/// The niceness of the server's hashing threads.
const NICENESS: i32 = 10;

/// The command that plays a role.
pub(crate) fn command(role: &str, args: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(format!("{FLAG}{role}")).args(args);
    command
}

/// Plays a role to its end; the number that it prints.
pub(crate) async fn number(role: &'static str, args: Vec<String>) -> f64 {
    let told = tokio::task::spawn_blocking(move || {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        command(role, &args).stderr(Stdio::inherit()).output().unwrap()
    });
    String::from_utf8(told.await.unwrap().stdout).unwrap().trim().parse().unwrap()
}

/// Plays a role in this process.
pub(crate) fn play(role: &str, args: &[String]) {
    let given = |n: usize| args[n].parse::<usize>().unwrap();
    let seconds = |n: usize| Duration::from_secs_f64(args[n].parse().unwrap());
    match role {
        AXUM => block_on(serve(Router::new().route("/v1/me", get(fixed)).with_state(leaked(&args[0])))),
        AXUM_VERIFY => {
            let key: Vec<u8> = args[1].split(',').map(|byte| byte.parse().unwrap()).collect();
            let mut rules = Validation::new(Algorithm::EdDSA);
            rules.set_audience(&[AUDIENCE]);
            let state = Arc::new((DecodingKey::from_ed_der(&key), rules, leaked(&args[0])));
            block_on(serve(Router::new().route("/v1/me", get(verified)).with_state(state)));
        }
        AXUM_POST => block_on(serve(Router::new().route("/webhooks/stripe", post(taken)))),
        AXUM_WEBHOOK => {
            let secret = Arc::new(Secret::new(args[0].clone()));
            block_on(serve(Router::new().route("/webhooks/stripe", post(signed)).with_state(secret)));
        }
        ARGON2 => println!("{}", hashes(given(0), &args[1], seconds(2))),
        COMMITS => println!("{}", block_on(commits(&args[0], given(1), given(2), seconds(3)))),
        MEMORY => block_on(memory::measure(args)),
        _ => panic!("no such role: {role}"),
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    Runtime::new().unwrap().block_on(work)
}

fn leaked(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

async fn serve(routes: Router) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{}", serde_json::json!({ "http": listener.local_addr().unwrap().to_string() }));
    axum::serve(listener.tap_io(|stream| drop(stream.set_nodelay(true))), routes).await.unwrap();
}

async fn fixed(State(body): State<&'static str>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], Bytes::from_static(body.as_bytes()))
}

type Verifier = Arc<(DecodingKey, Validation, &'static str)>;

async fn verified(State(verifier): State<Verifier>, headers: HeaderMap) -> Result<impl IntoResponse, StatusCode> {
    let (key, rules, body) = &*verifier;
    let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let claims = jsonwebtoken::decode::<AccessClaims>(token.unwrap_or_default(), key, rules);
    claims.map_err(|_| StatusCode::UNAUTHORIZED)?;
    Ok(([(CONTENT_TYPE, "application/json")], Bytes::from_static(body.as_bytes())))
}

async fn taken(body: Bytes) -> StatusCode {
    if body.is_empty() { StatusCode::BAD_REQUEST } else { StatusCode::OK }
}

async fn signed(State(secret): State<Arc<Secret<String>>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let url = "https://t0.example.com/webhooks/stripe";
    let delivery = Delivery { method: "POST", url, headers: &headers, body: &body };
    let secrets = Secrets { newest: &secret, previous: None };
    let verified = webhook::verify(Rule::Stripe, &delivery, &secrets, AMBIENT.wall());
    if verified.is_ok() { StatusCode::OK } else { StatusCode::UNAUTHORIZED }
}

/// Passwords verified a second by so many threads that do nothing else, with the memory they own.
fn hashes(threads: usize, phc: &str, window: Duration) -> f64 {
    let tally = Tally::default();
    let workers: Vec<_> = (0..threads)
        .map(|_| {
            let (tally, phc) = (tally.clone(), PasswordHash::parse(phc).unwrap());
            std::thread::spawn(move || {
                machine::be_nice(NICENESS);
                let password = Password::new("not the one").unwrap();
                let mut memory = HashMemory::new(Argon2Params::default()).unwrap();
                while !tally.is_stopped() {
                    assert!(!verify(&password, &phc, &mut memory).unwrap());
                    tally.count();
                }
            })
        })
        .collect();
    let rate = block_on(tally.rate(Duration::from_millis(300), window));
    tally.stop();
    for worker in workers {
        worker.join().unwrap();
    }
    rate
}

/// Commits a second of small transactions by so many tasks over so many files, each with one connection.
async fn commits(folder: &str, files: usize, tasks: usize, window: Duration) -> f64 {
    let mut pools = vec![];
    for n in 0..files {
        pools.push(file(&format!("{folder}/{n}.db")).await);
    }
    let (tally, mut loops) = (Tally::default(), JoinSet::new());
    for n in 0..tasks {
        let (tally, pool) = (tally.clone(), pools[n % files].clone());
        loops.spawn(async move {
            let id = i64::try_from(n).unwrap();
            let new = "INSERT INTO family VALUES ($1, 0, zeroblob(32)) ON CONFLICT DO NOTHING";
            sqlx::query(new).bind(id).execute(&pool).await.unwrap();
            while !tally.is_stopped() {
                commit(&pool, id).await.unwrap();
                tally.count();
            }
        });
    }
    let rate = tally.rate(Duration::from_millis(500), window).await;
    tally.stop();
    loops.join_all().await;
    rate
}

/// What is written for a rotation, and nothing around it.
async fn commit(pool: &SqlitePool, id: i64) -> sqlx::Result<()> {
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await?;
    let update = "UPDATE family SET generation = generation + 1, token_hash = randomblob(32) WHERE id = $1";
    sqlx::query(update).bind(id).execute(&mut *tx).await?;
    sqlx::query("INSERT INTO spent VALUES ($1, randomblob(32), 0)").bind(id).execute(&mut *tx).await?;
    tx.commit().await
}

async fn file(path: &str) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let limits = SqlitePoolOptions::new().max_connections(1).acquire_timeout(Duration::from_mins(1));
    let pool = limits.test_before_acquire(false).connect_with(options).await.unwrap();
    for table in [
        "CREATE TABLE IF NOT EXISTS family (id INTEGER PRIMARY KEY, generation INTEGER, token_hash BLOB) STRICT",
        "CREATE TABLE IF NOT EXISTS spent (id INTEGER, hash BLOB, at INTEGER, PRIMARY KEY (id, hash)) STRICT, WITHOUT ROWID",
    ] {
        sqlx::query(table).execute(&pool).await.unwrap();
    }
    pool
}
