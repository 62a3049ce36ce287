//! What tenants share, one of them does not take: hashing threads, connections of the database, calls to services outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Connection as _;
use tokio::task::JoinSet;

use crate::audit::log;
use crate::breached_service::ranges::{Manner, Ranges};
use crate::operators::platform;
use crate::support::{Conn, Engine, Options, Server, Tenant, on_both_engines, open_many, post_at_once};
use crate::watch::{is_503, metric, note, until};

const LOGIN: &str = "/v1/auth/login";
/// Connections that sign in to one tenant, over and over.
const FLOOD: usize = 200;
/// How long one that was refused waits.
const PACE: Duration = Duration::from_millis(5);
/// Sign-ins of the other tenant meanwhile.
const SIGN_INS: usize = 12;
const SHED: &str = "freehold_share_refused_total{resource=\"hashes\"}";

on_both_engines! {
    a_flood_of_sign_ins_delays_another_tenant_by_one_hash
    an_operator_gives_a_tenant_a_weight_and_it_is_in_force
}

/// Connections that guess, each time at another account, until they are told to stop.
struct Flood {
    stop: Arc<AtomicBool>,
    loops: JoinSet<Tried>,
}

/// The accounts at which somebody guessed: those whose password was looked at, and those that were refused before.
#[derive(Default)]
struct Tried {
    hashed: Vec<String>,
    shed: Vec<String>,
}

impl Flood {
    async fn of(server: &Server, tenant: &Tenant) -> Self {
        let (stop, mut loops) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        for (number, conn) in (0..).zip(open_many(server, tenant, FLOOD).await) {
            loops.spawn(guess_until(Arc::clone(&stop), conn, number));
        }
        until("somebody is refused", async || (metric(server, SHED).await > 0).then_some(())).await;
        Self { stop, loops }
    }

    async fn end(self) -> Tried {
        self.stop.store(true, Ordering::Relaxed);
        self.loops.join_all().await.into_iter().fold(Tried::default(), |mut all, one| {
            all.hashed.extend(one.hashed);
            all.shed.extend(one.shed);
            all
        })
    }
}

async fn guess_until(stop: Arc<AtomicBool>, mut conn: Conn, number: usize) -> Tried {
    let mut tried = Tried::default();
    for round in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let email = format!("stranger-{number}-{round}@example.com");
        let answer = conn.post(LOGIN, None, &guess(&email)).await;
        if answer.status == 401 {
            tried.hashed.push(email);
        } else {
            is_503(&answer, "overloaded");
            tried.shed.push(email);
            tokio::time::sleep(PACE).await;
        }
    }
    tried
}

fn guess(email: &str) -> Value {
    json!({ "email": email, "password": "not the password" })
}

/// The most passwords that were begun while one of this tenant's waited.
async fn overtaken(server: &Server, tenant: &Tenant) -> u64 {
    let mut conn = Conn::open(server.private, "127.0.0.1").await;
    conn.get("/debug/counts", None).await.is(200).json()["overtaken"][&tenant.id].as_u64().unwrap_or_default()
}

/// With one failure to a lock, whoever was charged is locked and whoever was shed is not.
async fn a_flood_of_sign_ins_delays_another_tenant_by_one_hash(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off().env("FREEHOLD_LOCKOUT_FAILURES_MAX", "1")).await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    let mut other = Conn::to(&server, &globex).await;
    other.sign_in(&globex).await;
    let most = told_number(&server, "hashes_of_a_tenant_max").await;

    let hashed = server.count("hashes").await;
    let flood = Flood::of(&server, &acme).await;
    for _ in 0..SIGN_INS {
        other.sign_in(&globex).await;
    }
    let others = overtaken(&server, &globex).await;
    let tried = flood.end().await;
    let own = overtaken(&server, &acme).await;
    note(&format!(
        "{} hashed, {} shed; a password waited for {own} others there, and for {others} elsewhere",
        tried.hashed.len(),
        tried.shed.len()
    ));
    assert!(others <= 1, "{others} were begun before one of another tenant's");
    assert!(own >= most / 2, "{own}: the queue was never long");
    assert_eq!(server.count("hashes").await - hashed, (tried.hashed.len() + SIGN_INS) as u64);

    // Nobody was charged who was shed.
    let mut conn = Conn::to(&server, &acme).await;
    for email in tried.shed.iter().take(20) {
        conn.post(LOGIN, None, &guess(email)).await.is_problem(401, "invalid-credentials");
    }
    conn.post(LOGIN, None, &guess(&tried.hashed[0])).await.is_problem(429, "account-locked");
    assert_eq!(metric(&server, "freehold_hash_queue_depth").await, 0, "every place was given back");
}

/// A number of the bound that is told.
async fn told_number(server: &Server, name: &str) -> u64 {
    parameter(&mut Conn::open(server.http, "localhost").await, name).await.as_u64().unwrap()
}

async fn parameter(conn: &mut Conn, name: &str) -> Value {
    let told = conn.get("/security.json", None).await.is(200).json();
    let entries = told["promises"].as_array().unwrap();
    let entry = entries.iter().find(|entry| entry["parameters"].get("hashes_of_a_tenant_max").is_some()).unwrap();
    assert_eq!(entry["kept"], true);
    entry["parameters"][name].clone()
}

async fn an_operator_gives_a_tenant_a_weight_and_it_is_in_force(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let (acme, globex, initech) = (server.tenant("acme"), server.tenant("globex"), server.tenant("initech"));
    let mut conn = Conn::to(&server, &acme).await;
    let admin = conn.sign_in(&acme).await;
    let platform = platform(&server).await;
    let mut operators = Conn::to(&server, &platform).await;
    let operator = operators.sign_in(&platform).await;
    let path = format!("/v1/tenants/{}/weight", acme.id);
    let half = parameter(&mut conn, "hashes_of_a_tenant_max").await.as_u64().unwrap();
    assert_eq!(parameter(&mut conn, "hashes_max").await, half * 2);

    for weight in [7, 7, 3] {
        let answer = operators.post(&path, Some(&operator.access), &json!({ "weight": weight })).await;
        assert_eq!(answer.is(200).json(), json!({ "id": acme.id, "slug": "acme", "weight": weight }));
        assert_eq!(parameter(&mut conn, "weight").await, weight);
        assert_eq!(parameter(&mut conn, "requests_of_a_tenant_max").await, weight * 256);
    }
    for weight in [json!(0), json!(17), json!(1.5), json!("2"), json!(null)] {
        let answer = operators.post(&path, Some(&operator.access), &json!({ "weight": weight })).await;
        answer.is_problem(400, "validation");
    }
    operators.post(&path, None, &json!({ "weight": 2 })).await.is_problem(401, "unauthenticated");
    let nobodys = path.replace(&acme.id, "019a0000-0000-7000-8000-000000000000");
    operators.post(&nobodys, Some(&operator.access), &json!({ "weight": 2 })).await.is_problem(404, "not-found");
    // An admin does not reach it, and does not take it away.
    conn.patch("/v1/settings", &admin.access, &json!({ "weight": 16 })).await.is_problem(400, "validation");
    conn.patch("/v1/settings", &admin.access, &json!({ "session_idle_s": 4_000 })).await.is(200);
    assert_eq!(parameter(&mut conn, "weight").await, 3);

    let set = server.cli(&["tenant", "weight", "acme", "5"], "");
    assert_eq!(serde_json::from_slice::<Value>(&set.stdout).unwrap(), json!({ "slug": "acme", "weight": 5 }));
    assert_eq!(server.cli(&["tenant", "weight", "acme", "17"], "").status.code(), Some(64));
    assert_eq!(server.cli(&["tenant", "weight", "nobody", "2"], "").status.code(), Some(65));
    let rows = log(&mut conn, &admin.access).await;
    let changes = rows.iter().filter(|row| row["action"] == "settings.changed").map(|row| row["changes"].clone());
    let told = |from: &str, to: &str| json!([{ "field": "weight", "from": from, "to": to }]);
    let changes: Vec<_> = changes.filter(|changes| changes[0]["field"] == "weight").collect();
    assert_eq!(changes, [told("1", "7"), told("7", "3"), told("3", "5")], "what changes nothing leaves no row");
    let platforms = log(&mut operators, &operator.access).await;
    assert_eq!(platforms.iter().filter(|row| row["action"] == "settings.changed").count(), 3);
    assert!(server.cli(&["audit", "verify", "acme"], "").status.success());

    // Five turns for one of another tenant's, and never more but for what is hashed beside; and so it is after a start. Of two
    // other tenants that come at once the spare thread takes one, and the other one waits.
    let server = server.restarted();
    assert_eq!(parameter(&mut Conn::to(&server, &acme).await, "weight").await, 5);
    let (mut first, mut second) = (Conn::to(&server, &globex).await, Conn::to(&server, &initech).await);
    let flood = Flood::of(&server, &acme).await;
    let look = async || {
        tokio::join!(first.sign_in(&globex), second.sign_in(&initech));
        let most = overtaken(&server, &globex).await.max(overtaken(&server, &initech).await);
        assert!(most <= 5 + 1, "{most} were begun before one of another tenant's");
        (most > 1).then_some(())
    };
    until("a turn is longer than one", look).await;
    flood.end().await;
}

/// Somebody holds a row of acme's, so that every one of its transactions that wants it hangs until the store ends it.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_transactions_hang_leaves_connections_to_others() {
    const HANGING: usize = 64;
    const READS: usize = 20;
    let server = Server::start(Options::new(Engine::Postgres).limits_off()).await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    let mut conn = Conn::to(&server, &acme).await;
    let admin = conn.sign_in(&acme).await;
    conn.patch("/v1/settings", &admin.access, &json!({ "session_idle_s": 4_000 })).await.is(200);
    let mut other = Conn::to(&server, &globex).await;
    let elsewhere = other.sign_in(&globex).await;
    assert_eq!(parameter(&mut other, "connections_of_a_tenant_max").await, 16);

    let mut superuser = server.database().superuser().await;
    // No other tenant has set anything.
    let held = sqlx::raw_sql("BEGIN; SELECT 1 FROM setting FOR UPDATE");
    held.execute(&mut superuser).await.unwrap();
    let (stop, mut loops) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
    for mut conn in open_many(&server, &acme, HANGING).await {
        let (stop, access) = (Arc::clone(&stop), admin.access.clone());
        loops.spawn(async move {
            for round in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let settings = json!({ "session_idle_s": 5_000 + round });
                is_503(&conn.patch("/v1/settings", &access, &settings).await, "unavailable");
            }
        });
    }
    let share = "freehold_share_refused_total{resource=\"connections\"}";
    until("acme waits for itself", async || (metric(&server, share).await > 0).then_some(())).await;
    for _ in 0..READS {
        other.get("/v1/sessions", Some(&elsewhere.access)).await.is(200);
        other.sign_in(&globex).await;
    }
    stop.store(true, Ordering::Relaxed);
    loops.join_all().await;
    superuser.close().await.unwrap();
    conn.patch("/v1/settings", &admin.access, &json!({ "session_idle_s": 6_000 })).await.is(200);
}

/// New passwords are looked up at a service that does not answer, until each look-up is given up.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_calls_hang_does_not_pile_them_up() {
    const AT_ONCE: usize = 64;
    const SHARE: &str = "freehold_share_refused_total{resource=\"outbound\"}";
    let ranges = Ranges::of("0018A45C4D1DEF81644B54AB7F969B88D65:3\r\n").await;
    let options = Options::new(Engine::Sqlite).limits_off();
    let server = Server::start(options.env("FREEHOLD_PASSWORDS_BREACHED_URL", &ranges.url())).await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    for tenant in [&acme, &globex] {
        let mut conn = Conn::to(&server, tenant).await;
        let access = conn.sign_in(tenant).await.access;
        conn.patch("/v1/settings", &access, &json!({ "registration": "open" })).await.is(200);
    }
    let mut conn = Conn::to(&server, &acme).await;
    let most = parameter(&mut conn, "outbound_calls_of_a_tenant_max").await.as_u64().unwrap();
    let newcomer =
        |n: usize| json!({ "email": format!("n{n}@example.com"), "password": "a newcomer's password", "name": "N" });
    let mut many = open_many(&server, &acme, AT_ONCE).await;
    let mut other = Conn::to(&server, &globex).await;

    ranges.set(Manner::Silent);
    let asked = ranges.heads().len();
    let (answers, elsewhere) = tokio::join!(post_at_once(&mut many, "/v1/auth/register", newcomer), async {
        until("acme has its share", async || (metric(&server, SHARE).await > 0).then_some(())).await;
        other.post("/v1/auth/register", None, &newcomer(0)).await
    });
    elsewhere.is(202);
    let (taken, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 202);
    for answer in &refused {
        is_503(answer, "overloaded");
    }
    let called = (ranges.heads().len() - asked) as u64;
    note(&format!("{called} calls; {} taken, {} refused", taken.len(), refused.len()));
    assert_eq!(metric(&server, SHARE).await, refused.len() as u64);
    assert!(called <= most + 1 && !refused.is_empty(), "{called} calls, {most} at once for acme and one for globex");

    ranges.set(Manner::Good);
    conn.post("/v1/auth/register", None, &newcomer(AT_ONCE)).await.is(202);
}
