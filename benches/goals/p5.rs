//! P5: sign-ins against what argon2 allows, and what everybody else notices of them: see [`fair`] for who signs in elsewhere.
//!
//! Rates and latencies are taken apart, so that the probes do not cost the sign-ins what the reference does not pay.
//! Every connection has an account of its own: attempts on one account at the same time would lock it.

mod fair;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use freehold_actors::password_pool::QUEUE_PER_THREAD;
use freehold_domain::password::{Argon2Params, PasswordHash};
use serde_json::json;
use tokio::task::JoinSet;

use crate::estate::{self, PASSWORD, Plan};
use crate::load::{Tally, median, ms, one_thread, quantile, span};
use crate::process::{Cores, Folder, Process};
use crate::table::Row;
use crate::wire::{Conn, get, post};
use crate::{Options, machine, reference};

const TENANTS: usize = 16;
/// Sign-ins at a time while the rate is taken: every hashing thread finds work, and nobody is refused.
const BUSY: usize = 48;
/// How many more than fit there are in the overload.
const TOO_MANY: usize = 16;
/// One address has so many connections.
const CROWD_MAX: usize = 1_000;
/// How long one that was refused waits.
const PAUSE: Duration = Duration::from_millis(100);
/// How often the other tenant is asked.
const PROBE_EVERY: Duration = Duration::from_millis(4);
const WARM: Duration = Duration::from_millis(700);
const WINDOW: Duration = Duration::from_millis(2_500);
const MIB: u64 = 1_024 * 1_024;

type Times = Arc<Mutex<Vec<f64>>>;

/// P5.
pub(crate) fn sign_ins(options: Options) -> Vec<Row> {
    one_thread().block_on(async {
        let mut rows = measure(options).await;
        rows.push(fair::row(options).await);
        rows
    })
}

async fn measure(options: Options) -> Vec<Row> {
    let hashers = machine::cores();
    let crowd = (hashers * QUEUE_PER_THREAD + TOO_MANY).min(CROWD_MAX);
    let folder = Folder::new();
    let plan = Plan { tenants: TENANTS + 1, members: crowd.div_ceil(TENANTS), sessions: 0 };
    let tenants = estate::make(&folder, plan, 0).await;
    let (probed, others) = tenants.split_last().unwrap();
    let requests: Vec<Vec<u8>> = (0..crowd)
        .map(|n| {
            let body = json!({ "email": estate::email_of(n / TENANTS), "password": PASSWORD });
            post(&others[n % TENANTS].host(), "/v1/auth/login", &body)
        })
        .collect();
    let probe = get(&probed.host(), "/v1/me", &probed.access_token());
    let server = Process::freehold(&folder, Cores::All, &[]);

    let mut rates = vec![];
    for _ in 0..options.rounds(4) {
        let phc = PasswordHash::decoy(Argon2Params::default(), [7; 16]).text().expose().clone();
        let args = vec![hashers.to_string(), phc, WINDOW.as_secs_f64().to_string()];
        let limit = reference::number(reference::ARGON2, args).await;
        let load = Load::start(&server, &requests[..BUSY.min(crowd)]).await;
        let rate = load.tally.rate(WARM, WINDOW).await;
        assert!(load.end().await.is_empty(), "sign-ins were refused that fit");
        eprintln!("  {rate:.0} sign-ins a second, argon2 alone {limit:.0} hashes");
        rates.push((rate, limit));
    }
    let (quiet, loaded, refused) = latencies(&server, &requests, &probe, options).await;

    let ratios: Vec<f64> = rates.iter().map(|(rate, limit)| rate / limit).collect();
    let (ours, limits): (Vec<f64>, Vec<f64>) = rates.into_iter().unzip();
    let note = format!("{}; {:.0} and {:.0} a second", span(&ratios), median(&ours), median(&limits));
    let (calm, busy) = (quantile(&quiet, 0.99), quantile(&loaded, 0.99));
    let bound = (hashers as u64 + 1) * 19 * MIB + 64_000_000; // the spare thread hashes too
    let peak = server.peak_bytes();
    let turned = quantile(&refused, 0.99);
    vec![
        Row::at_least("P5", "sign-ins ÷ argon2 alone, same threads and niceness", median(&ratios), 0.95, &note),
        Row::at_most(
            "P5",
            "GET /v1/me of another tenant meanwhile: p99 ÷ p99 when quiet",
            busy / calm,
            2.0,
            &format!("{busy:.2} and {calm:.2} ms"),
        ),
        Row::at_most(
            "P5",
            "most memory ÷ (hashers, the spare one too, × 19 MiB + 64 MB)",
            peak as f64 / bound as f64,
            1.0,
            &format!("{} of {} MB", peak / 1_000_000, bound / 1_000_000),
        ),
        Row::at_most(
            "P5",
            "a sign-in that does not fit: p99 of its refusal ÷ 5 ms",
            turned / 5.0,
            1.0,
            &format!("{turned:.2} ms, {} refusals", refused.len()),
        ),
    ]
}

/// What another tenant waits when all is quiet and when too many sign in, and what those who are refused wait.
async fn latencies(
    server: &Process,
    requests: &[Vec<u8>],
    probe: &[u8],
    options: Options,
) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let (mut quiet, mut loaded, mut refused) = (vec![], vec![], vec![]);
    let mut conn = Conn::open(server.http).await;
    for _ in 0..options.rounds(4) {
        quiet.extend(probed(&mut conn, probe, WINDOW).await);
        let load = Load::start(server, requests).await;
        tokio::time::sleep(WARM).await;
        loaded.extend(probed(&mut conn, probe, WINDOW).await);
        refused.extend(load.end().await);
    }
    (quiet, loaded, refused)
}

async fn probed(conn: &mut Conn, probe: &[u8], window: Duration) -> Vec<f64> {
    let mut ticks = tokio::time::interval(PROBE_EVERY);
    let (began, mut times) = (Instant::now(), vec![]);
    while began.elapsed() < window {
        ticks.tick().await;
        let asked = Instant::now();
        assert_eq!(conn.ask(probe).await.status, 200);
        times.push(ms(asked));
    }
    times
}

/// Connections that sign in over and over.
struct Load {
    tally: Tally,
    refused: Times,
    loops: JoinSet<()>,
}

impl Load {
    async fn start(server: &Process, requests: &[Vec<u8>]) -> Self {
        let (tally, refused, mut loops) = (Tally::default(), Times::default(), JoinSet::new());
        for request in requests {
            let (tally, refused, request) = (tally.clone(), Arc::clone(&refused), request.clone());
            let mut conn = Conn::open(server.http).await;
            loops.spawn(async move {
                while !tally.is_stopped() {
                    let asked = Instant::now();
                    let answer = conn.ask(&request).await;
                    match answer.status {
                        200 => tally.count(),
                        503 => {
                            refused.lock().unwrap().push(ms(asked));
                            tokio::time::sleep(PAUSE).await;
                        }
                        other => panic!("{other}: {}", String::from_utf8_lossy(answer.body)),
                    }
                }
            });
        }
        Self { tally, refused, loops }
    }

    /// Stops them; what those who were refused had waited.
    async fn end(self) -> Vec<f64> {
        self.tally.stop();
        self.loops.join_all().await;
        std::mem::take(&mut self.refused.lock().unwrap())
    }
}
