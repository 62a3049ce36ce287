//! What it costs to count together: decisions a second here and through Redis, and a request in either mode, beside bare axum.
//! There is no goal for these figures.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use freehold::clock::AMBIENT;
use freehold_domain::gcra::shared::SCRIPT;
use freehold_domain::gcra::{Buckets, Layer, Subject, Unseen};
use freehold_domain::tier::{Limit, Tier};

use crate::load::{Crowd, Requests, Until, median, one_thread, span};
use crate::process::{Cores, Folder, Process};
use crate::sessions::{answer_to, off_the_first_core};
use crate::table::Row;
use crate::wire::{Conn, get};
use crate::{Options, estate, reference};

const CONNECTIONS: usize = 64;
const TENANTS: usize = 100;
const TURN: Duration = Duration::from_millis(1_200);
/// Subjects whose buckets are asked in turn.
const SUBJECTS: u128 = 1_000;
/// Requests in one message to Redis.
const TOGETHER: u128 = 64;
const LIMITS: [(&str, &str); 2] =
    [("FREEHOLD_LIMITS_API_MEMBER", "1000000/s"), ("FREEHOLD_LIMITS_API_TENANT", "1000000/s")];

/// A Redis that keeps nothing. Dropped, it is killed.
struct Redis {
    child: Child,
    url: String,
}

impl Redis {
    fn start(folder: &Folder) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let program = std::env::var("FREEHOLD_TEST_REDIS").unwrap_or_else(|_| "redis-server".to_owned());
        let port = port.to_string();
        let args = ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"];
        let mut command = Command::new(program);
        command.args(args).arg(folder.path()).stdout(Stdio::null());
        Self { child: command.spawn().unwrap(), url: format!("redis://127.0.0.1:{port}") }
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Shared counters.
pub(crate) fn shared(options: Options) -> Vec<Row> {
    off_the_first_core(move || one_thread().block_on(measure(options)))
}

async fn measure(options: Options) -> Vec<Row> {
    let folder = Folder::new();
    let tenants = estate::make(&folder, estate::Plan { tenants: TENANTS, members: 1, sessions: 0 }, 0).await;
    let requests: Requests =
        Arc::new(tenants.iter().map(|tenant| get(&tenant.host(), "/v1/me", &tenant.access_token())).collect());
    let (redis, second) = (Redis::start(&folder), Folder::copy_of(&folder));
    let here = Process::freehold(&folder, Cores::First, &LIMITS);
    let together =
        Process::freehold(&second, Cores::First, &[LIMITS[0], LIMITS[1], ("FREEHOLD_REDIS_URL", &redis.url)]);
    wait_until_shared(&together).await;
    let body = answer_to(&here, &requests[0]).await;
    let bare = Process::reference(reference::AXUM, &[&body], Cores::First);
    let mut crowds = [
        Crowd::open(here.http, CONNECTIONS).await,
        Crowd::open(together.http, CONNECTIONS).await,
        Crowd::open(bare.http, CONNECTIONS).await,
    ];
    let servers = [&here, &together, &bare];
    let mut figures = [vec![], vec![], vec![]];
    for round in 0..=options.rounds(7) {
        for n in 0..3 {
            let us = servers[n].cpu_us_of(crowds[n].run(&requests, Until::After(TURN))).await;
            if round > 0 {
                figures[n].push(us);
            }
        }
    }
    wait_until_shared(&together).await;
    let [a, b, c] = [&figures[0], &figures[1], &figures[2]];
    let ratios = |over: &[f64]| -> Vec<f64> { over.iter().zip(c).map(|(ours, bare)| ours / bare).collect() };
    let row = |what: &str, figures: &[f64]| {
        let note = format!("{}; {:.1} and {:.1} µs", span(&ratios(figures)), median(figures), median(c));
        Row::told("counters", what, median(&ratios(figures)), &note)
    };
    let (in_memory, through_redis) = decisions(&redis).await;
    vec![
        row("GET /v1/me, limits counted in memory: CPU ÷ bare axum", a),
        row("the same, limits counted in Redis: CPU of the server ÷ bare axum", b),
        Row::told("counters", "decisions a second and core, of one bucket each, in memory", in_memory, ""),
        Row::told("counters", &format!("the same in Redis, {TOGETHER} in a message, one at a time"), through_redis, ""),
    ]
}

async fn wait_until_shared(server: &Process) {
    let since = Instant::now();
    loop {
        let mut conn = Conn::open(server.private.unwrap()).await;
        let answer = conn.ask(b"GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await;
        if String::from_utf8_lossy(answer.body).contains("freehold_counters_shared 1") {
            return;
        }
        assert!(since.elapsed() < Duration::from_secs(20), "the counters are not shared");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn decisions(redis: &Redis) -> (f64, f64) {
    let limit = |_| Limit::Per { burst: 1_000_000, period: Duration::from_secs(1) };
    let layer = |n: u128| [Layer { tier: Tier::ApiMember, subject: Subject(n % SUBJECTS) }];
    let (mut buckets, began, mut count) = (Buckets::default(), Instant::now(), 0_u128);
    while began.elapsed() < TURN {
        for _ in 0..TOGETHER {
            count += 1;
            assert!(buckets.admit(&layer(count), limit, Unseen::Full, AMBIENT.now()).is_ok());
        }
    }
    let in_memory = count as f64 / began.elapsed().as_secs_f64();

    let client = redis::Client::open(&*redis.url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let sha: String = redis::cmd("SCRIPT").arg("LOAD").arg(SCRIPT).query_async(&mut connection).await.unwrap();
    let (began, mut count) = (Instant::now(), 0_u128);
    while began.elapsed() < TURN {
        let mut pipeline = redis::Pipeline::new();
        for _ in 0..TOGETHER {
            count += 1;
            let asks = buckets.asks(&layer(count), limit, AMBIENT.now());
            pipeline.cmd("EVALSHA").arg(&sha).arg(1).arg(format!("bench:{}", count % SUBJECTS));
            pipeline.arg(&asks[0].arguments());
        }
        let answers: Vec<Vec<i64>> = pipeline.query_async(&mut connection).await.unwrap();
        assert_eq!(answers.len() as u128, TOGETHER);
    }
    (in_memory, count as f64 / began.elapsed().as_secs_f64())
}
