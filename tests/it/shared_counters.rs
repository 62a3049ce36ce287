//! Limits that nodes share through a real Redis: exact while it is there, and never more than a share each without it.

mod rule;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::support::{Authority, Conn, Engine, Folder, Line, Options, Proxy, Redis, Server, Session, Tenant};
use crate::watch::{metric, note, number, set_limit, until};

/// What a request may take because the keeper of the counters does not answer: 50 ms twice, and some room.
const TAKES_AT_MOST: Duration = Duration::from_millis(150);
/// What one may take that a busy machine held up.
const NEVER_LONGER: Duration = Duration::from_secs(2);

fn options(url: &str) -> Options {
    Options::new(Engine::Postgres).limits_off().env("FREEHOLD_REDIS_URL", url)
}

/// Servers on one database and one Redis, and a tenant that all have met.
struct Nodes {
    servers: Vec<Server>,
    acme: Tenant,
    session: Session,
}

impl Nodes {
    async fn start(count: usize, url: &str) -> Self {
        let first = Server::start(options(url)).await;
        let acme = first.tenant("acme");
        let session = Conn::to(&first, &acme).await.sign_in(&acme).await;
        let mut servers = vec![first];
        for _ in 1..count {
            let other = servers[0].another();
            assert_eq!(Conn::to(&other, &acme).await.me(&session.access).await, 200);
            servers.push(other);
        }
        for server in &servers {
            until("it is told of all", async || {
                (metric(server, "freehold_counter_nodes").await == count as u64).then_some(())
            })
            .await;
        }
        Self { servers, acme, session }
    }

    /// Gives the tenant this limit, in force on every node: of a tier that blocks nobody who keeps on, for a block would keep
    /// the load from the counters.
    async fn limit(&self, limit: &str) {
        set_limit(&self.servers[0], "acme", "api-tenant", limit);
        let burst: u64 = limit.split('/').next().unwrap().parse().unwrap();
        for server in &self.servers {
            let mut conn = Conn::to(server, &self.acme).await;
            // Asking counts, so what is asked with is nobody's: a tier that only answers that are counted tell.
            until("the limit is known", async || {
                let answer = conn.get("/v1/me", Some(&self.session.access)).await;
                (answer.header("x-ratelimit-limit").is_some() && number(&answer, "x-ratelimit-limit") == burst)
                    .then_some(())
            })
            .await;
        }
    }

    async fn are_shared(&self, shared: bool) {
        for server in &self.servers {
            until("the mode", async || {
                (metric(server, "freehold_counters_shared").await == u64::from(shared)).then_some(())
            })
            .await;
        }
    }

    /// Asks on every node over so many connections until told to stop.
    async fn load(&self, conns: usize, pause: Duration) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let mut asking = JoinSet::new();
        for n in 0..conns * self.servers.len() {
            let mut conn = Conn::to(&self.servers[n % self.servers.len()], &self.acme).await;
            let (stop, access) = (Arc::clone(&stop), self.session.access.clone());
            asking.spawn(async move {
                let mut tally = Tally::default();
                while !stop.load(Ordering::Acquire) {
                    let since = Instant::now();
                    let status = conn.me(&access).await;
                    tally.note(status, since.elapsed());
                    tokio::time::sleep(pause).await;
                }
                tally
            });
        }
        Load { stop, asking }
    }
}

struct Load {
    stop: Arc<AtomicBool>,
    asking: JoinSet<Tally>,
}

impl Load {
    async fn end(self) -> Tally {
        self.stop.store(true, Ordering::Release);
        self.asking.join_all().await.into_iter().fold(Tally::default(), Tally::and)
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    admitted: u64,
    limited: u64,
    others: u64,
    /// Those that took more than [`TAKES_AT_MOST`].
    slow: u64,
    slowest: Duration,
}

impl Tally {
    fn note(&mut self, status: u16, took: Duration) {
        match status {
            200 => self.admitted += 1,
            429 => self.limited += 1,
            _ => self.others += 1,
        }
        self.slow += u64::from(took > TAKES_AT_MOST);
        self.slowest = self.slowest.max(took);
    }

    fn and(self, other: Self) -> Self {
        Self {
            admitted: self.admitted + other.admitted,
            limited: self.limited + other.limited,
            others: self.others + other.others,
            slow: self.slow + other.slow,
            slowest: self.slowest.max(other.slowest),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_nodes_admit_one_limit_and_what_time_refills() {
    let redis = Redis::start(&[]);
    let nodes = Nodes::start(4, &redis.url()).await;
    nodes.limit("100/h").await;
    let known = nodes.servers.len() as u64; // one was counted on each to see that it knows the limit
    let since = Instant::now();
    let load = nodes.load(8, Duration::ZERO).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let tally = load.end().await;
    let refilled = since.elapsed().as_secs() / 36 + 1;
    note(&format!("{tally:?} in {:?}", since.elapsed()));
    assert!(tally.limited > 100 && tally.others == 0, "{tally:?}");
    let admitted = known + tally.admitted;
    assert!((100..=100 + refilled).contains(&admitted), "{admitted} of 100, and {refilled} at most that time refilled");
    assert_eq!(metric(&nodes.servers[0], "freehold_counters_lost_total").await, 0);
    // Nobody else's bucket was touched.
    let globex = nodes.servers[0].tenant("globex");
    for server in &nodes.servers {
        let mut conn = Conn::to(server, &globex).await;
        let session = conn.sign_in(&globex).await;
        assert_eq!(conn.me(&session.access).await, 200);
    }
}

/// What befalls the keeper, and how it ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Killed,
    Emptied,
    Hung,
    ReadOnly,
    Full,
    Cut,
    Deaf,
    Late,
    Forgetful,
}

impl Fault {
    async fn begin(self, redis: &mut Redis, proxy: &Proxy) {
        match self {
            Self::Killed => redis.kill(),
            Self::Emptied => redis.start_again(),
            Self::Hung => redis.hang(),
            Self::ReadOnly => redis.ask(&["CONFIG", "SET", "min-replicas-to-write", "1"]).await,
            Self::Full => redis.ask(&["CONFIG", "SET", "maxmemory", "1"]).await,
            Self::Cut => proxy.set(Line::Cut),
            Self::Deaf => proxy.set(Line::Deaf),
            Self::Late => proxy.set(Line::Late(Duration::from_millis(200))),
            Self::Forgetful => redis.ask(&["SCRIPT", "FLUSH"]).await,
        }
    }

    async fn end(self, redis: &mut Redis, proxy: &Proxy) {
        match self {
            Self::Killed => redis.start_again(),
            Self::Emptied | Self::Forgetful => {}
            Self::Hung => redis.go_on(),
            Self::ReadOnly => redis.ask(&["CONFIG", "SET", "min-replicas-to-write", "0"]).await,
            Self::Full => redis.ask(&["CONFIG", "SET", "maxmemory", "0"]).await,
            Self::Cut | Self::Deaf | Self::Late => proxy.set(Line::Open),
        }
    }
}

/// In the middle of load: the limit holds before, within and after, nothing fails, and nobody waits for it.
async fn live_through(fault: Fault) {
    const LIMIT: u64 = 60;
    const NODES: usize = 2;
    const CONNS: usize = 4;
    let mut redis = Redis::start(&[]);
    let proxy = Proxy::before(redis.port).await;
    let nodes = Nodes::start(NODES, &format!("redis://127.0.0.1:{}", proxy.port)).await;
    nodes.limit("60/h").await;
    let quiet = nodes.load(CONNS, Duration::from_millis(5)).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let quiet = quiet.end().await;
    let before = NODES as u64 + quiet.admitted;
    assert!((LIMIT..=LIMIT + 1).contains(&before), "{fault:?}: {before}");

    let load = nodes.load(CONNS, Duration::from_millis(5)).await;
    fault.begin(&mut redis, &proxy).await;
    if fault == Fault::Emptied || fault == Fault::Forgetful {
        for server in &nodes.servers {
            until("it is noticed", async || (metric(server, "freehold_counters_lost_total").await > 0).then_some(()))
                .await;
        }
    } else {
        nodes.are_shared(false).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    fault.end(&mut redis, &proxy).await;
    nodes.are_shared(true).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let tally = load.end().await;
    note(&format!("{fault:?}: quiet {quiet:?}; with the fault {tally:?}"));
    assert_eq!((quiet.others, tally.others), (0, 0), "{fault:?}: {tally:?}");
    // The bucket was empty, so what passes now is what time refills: one a minute, on every node.
    assert!(tally.admitted <= NODES as u64, "{fault:?}: {tally:?}");
    assert!(tally.limited > 100, "{fault:?}: {tally:?}");
    // Where something else holds the machine up, it holds all of them up at once: of a wait that were ours there would be
    // more.
    let held_up = (NODES * CONNS) as u64;
    assert!(tally.slow <= held_up && tally.slowest < NEVER_LONGER, "{fault:?}: quiet {quiet:?}; {tally:?}");
    let told = nodes.servers.iter().filter(|server| server.log().matches("counters are lost").count() > 0).count();
    assert_eq!(told, nodes.servers.len(), "{fault:?}");
}

macro_rules! lived_through {
    ($($name:ident: $fault:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            live_through(Fault::$fault).await;
        }
    )*};
}

lived_through! {
    a_keeper_that_is_killed_is_lived_through: Killed
    a_keeper_that_starts_empty_is_lived_through: Emptied
    a_keeper_that_hangs_is_lived_through: Hung
    a_keeper_that_may_not_write_is_lived_through: ReadOnly
    a_keeper_that_is_full_is_lived_through: Full
    a_keeper_that_is_cut_off_is_lived_through: Cut
    a_keeper_that_hears_and_says_nothing_is_lived_through: Deaf
    a_keeper_that_is_late_is_lived_through: Late
    a_keeper_that_forgets_its_scripts_is_lived_through: Forgetful
}

/// Without the keeper each node admits its share, and when it is back the limit is what it was.
#[tokio::test(flavor = "multi_thread")]
async fn alone_each_node_admits_its_share() {
    let mut redis = Redis::start(&[]);
    let nodes = Nodes::start(2, &redis.url()).await;
    nodes.limit("100/h").await;
    redis.kill();
    nodes.are_shared(false).await;
    let load = nodes.load(2, Duration::ZERO).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let tally = load.end().await;
    note(&format!("{tally:?}"));
    assert_eq!(tally.others, 0);
    // Two were counted before, one on each: 98 of 100 are left, 49 of 50 on each node.
    assert!((96..=100).contains(&tally.admitted), "{tally:?}");
    redis.start_again();
    nodes.are_shared(true).await;
    let load = nodes.load(2, Duration::ZERO).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let tally = load.end().await;
    assert!(tally.admitted <= 1 && tally.limited > 0 && tally.others == 0, "no burst: {tally:?}");
}

/// The keeper's clock jumps: nothing is refilled by it, and nobody is locked out for long.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_refills_nothing_and_blocks_nobody() {
    let redis = Redis::with_a_clock_of_its_own();
    let nodes = Nodes::start(2, &redis.url()).await;
    nodes.limit("60/min").await;
    for by in ["-600s", "+86400s", "-0s"] {
        let load = nodes.load(2, Duration::from_millis(5)).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let lost = metric(&nodes.servers[0], "freehold_counters_lost_total").await;
        let (since, emptied) = (Instant::now(), load.end().await);
        assert!(emptied.others == 0 && emptied.limited > 0, "{by}: {emptied:?}");
        let load = nodes.load(2, Duration::from_millis(5)).await;
        redis.move_clock(by);
        until("it is noticed", async || {
            (metric(&nodes.servers[0], "freehold_counters_lost_total").await > lost).then_some(())
        })
        .await;
        nodes.are_shared(true).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        let tally = load.end().await;
        let refilled = since.elapsed().as_secs() + 2;
        note(&format!("{by}: {tally:?}, {refilled} at most"));
        assert!(tally.admitted >= 1 && tally.admitted <= refilled && tally.others == 0, "{by}: {tally:?}");
    }
}

/// A certificate of the operator's own authority is looked at, and another's is not believed.
#[tokio::test(flavor = "multi_thread")]
async fn the_keeper_is_reached_over_tls_that_is_looked_at() {
    let (authority, stranger, folder) = (Authority::new(), Authority::new(), Folder::new());
    let ca = authority.root_file(folder.path());
    for (signer, is_believed) in [(&authority, true), (&stranger, false)] {
        let files = signer.certify(folder.path(), "redis", &["localhost"]);
        let redis = Redis::with_tls(&files);
        let options = Options::new(Engine::Sqlite)
            .env("FREEHOLD_REDIS_URL", &format!("rediss://localhost:{}", redis.port))
            .env("FREEHOLD_REDIS_CA_FILE", ca.to_str().unwrap());
        let server = Server::start(options).await;
        if is_believed {
            until("it is there", async || (metric(&server, "freehold_counters_shared").await == 1).then_some(())).await;
        } else {
            until("it is told", async || server.log().contains("shared counters are not there").then_some(())).await;
            assert_eq!(metric(&server, "freehold_counters_shared").await, 0);
        }
        let acme = server.tenant("acme");
        let mut conn = Conn::to(&server, &acme).await;
        let session = conn.sign_in(&acme).await;
        let told = conn.get("/v1/security-status", Some(&session.access)).await.is(200).json();
        assert_eq!(told["counters"], if is_believed { "shared" } else { "alone" });
    }
}
