//! P9: one tenant sends twenty times what it may over 64 connections, while 99 others go on as ever. Do they notice? And does
//! it cost less to refuse a request than to answer it?

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::load::{Crowd, Requests, Tally, Until, median, ms, one_thread, quantile, span};
use crate::process::{Cores, Folder, Process};
use crate::sessions::off_the_first_core;
use crate::table::Row;
use crate::wire::{Conn, get};
use crate::{Options, estate};

const TENANTS: usize = 100;
/// What every tenant may send, in a second.
const LIMIT: u32 = 100;
const FLOOD: u32 = 20 * LIMIT;
const CONNECTIONS: u32 = 64;
/// Between two requests of each of the others.
const PACE: Duration = Duration::from_millis(40);
const WARM: Duration = Duration::from_millis(500);
const WINDOW: Duration = Duration::from_secs(4);
const TURN: Duration = Duration::from_millis(1_200);

/// P9.
pub(crate) fn neighbours(options: Options) -> Vec<Row> {
    let mut rows = off_the_first_core(move || one_thread().block_on(noticed(options)));
    rows.extend(off_the_first_core(move || one_thread().block_on(refused(options))));
    rows
}

async fn noticed(options: Options) -> Vec<Row> {
    let folder = Folder::new();
    let tenants = estate::make(&folder, estate::Plan { tenants: TENANTS, members: 1, sessions: 0 }, 0).await;
    let ask: Vec<Arc<[u8]>> =
        tenants.iter().map(|tenant| get(&tenant.host(), "/v1/me", &tenant.access_token()).into()).collect();
    let limit = format!("{LIMIT}/s");
    let env = [("FREEHOLD_LIMITS_API_TENANT", &*limit), ("FREEHOLD_LIMITS_API_MEMBER", "1000000/s")];
    // Apart from the generator: else the others wait for it, and not for the server.
    let server = Process::freehold(&folder, Cores::First, &env);
    let (loud, others) = ask.split_first().unwrap();

    let (mut ratios, mut quiet, mut loaded, mut wrong) = (vec![], vec![], vec![], 0);
    let (mut flooded, mut admitted) = (0, 0);
    for _ in 0..options.rounds(5) {
        let calm = steady(&server, others).await;
        let tally = Tally::default();
        let flood = flood(&server, loud, &tally).await;
        let busy = steady(&server, others).await;
        tally.stop();
        for (sent, passed) in flood.join_all().await {
            flooded += sent;
            admitted += passed;
        }
        let (a, b) = (quantile(&calm.0, 0.99), quantile(&busy.0, 0.99));
        eprintln!("  the others' p99: {a:.2} ms when quiet, {b:.2} ms meanwhile");
        wrong += calm.1 + busy.1;
        ratios.push(b / a);
        quiet.extend(calm.0);
        loaded.extend(busy.0);
    }
    let note = format!(
        "{}; {:.2} and {:.2} ms; the one sent {flooded}, {admitted} passed",
        span(&ratios),
        quantile(&loaded, 0.99),
        quantile(&quiet, 0.99)
    );
    vec![
        Row::at_most("P9", "99 tenants' p99 while one floods ÷ p99 when quiet", median(&ratios), 1.3, &note),
        Row::at_most("P9", "their requests that were not answered with 200", wrong as f64, 0.0, ""),
    ]
}

/// Each of the others at its pace: how long they waited, and how many were not answered with 200.
async fn steady(server: &Process, others: &[Arc<[u8]>]) -> (Vec<f64>, usize) {
    let mut asking = JoinSet::new();
    for (n, ask) in others.iter().enumerate() {
        let (ask, address) = (Arc::clone(ask), server.http);
        asking.spawn(async move {
            let mut conn = Conn::open(address).await;
            sleep(PACE * u32::try_from(n).unwrap() / u32::try_from(TENANTS).unwrap()).await;
            let (mut ticks, began) = (interval(PACE), Instant::now());
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            let (mut times, mut wrong) = (vec![], 0);
            while began.elapsed() < WARM + WINDOW {
                ticks.tick().await;
                let asked = Instant::now();
                wrong += usize::from(conn.ask(&ask).await.status != 200);
                if began.elapsed() > WARM {
                    times.push(ms(asked));
                }
            }
            (times, wrong)
        });
    }
    let all = asking.join_all().await;
    all.into_iter().fold((vec![], 0), |(mut times, wrong), (mine, mine_wrong)| {
        times.extend(mine);
        (times, wrong + mine_wrong)
    })
}

/// Sends twenty times the limit until told to stop: how many, and how many passed.
async fn flood(server: &Process, ask: &Arc<[u8]>, tally: &Tally) -> JoinSet<(usize, usize)> {
    let mut flood = JoinSet::new();
    let pace = Duration::from_secs(1) * CONNECTIONS / FLOOD;
    for n in 0..CONNECTIONS {
        let (ask, tally, mut conn) = (Arc::clone(ask), tally.clone(), Conn::open(server.http).await);
        flood.spawn(async move {
            sleep(pace * n / CONNECTIONS).await; // evenly, or the generator itself is what the others wait for
            let mut ticks = interval(pace);
            let (mut sent, mut passed) = (0, 0);
            while !tally.is_stopped() {
                ticks.tick().await;
                sent += 1;
                passed += usize::from(conn.ask(&ask).await.status == 200);
            }
            (sent, passed)
        });
    }
    flood
}

async fn refused(options: Options) -> Vec<Row> {
    let folder = Folder::new();
    let tenants = estate::make(&folder, estate::Plan { tenants: TENANTS, members: 1, sessions: 0 }, 0).await;
    let requests: Requests =
        Arc::new(tenants.iter().map(|tenant| get(&tenant.host(), "/v1/me", &tenant.access_token())).collect());
    let wide = [("FREEHOLD_LIMITS_API_TENANT", "1000000/s"), ("FREEHOLD_LIMITS_API_MEMBER", "1000000/s")];
    let mut pairs = vec![];
    let passing = Process::freehold(&folder, Cores::First, &wide);
    let mut admitted = Crowd::open(passing.http, CONNECTIONS as usize).await;
    admitted.run(&requests, Until::Count(3 * requests.len())).await;
    let second = Folder::copy_of(&folder);
    let narrow = [("FREEHOLD_LIMITS_API_TENANT", "1/h"), ("FREEHOLD_LIMITS_API_MEMBER", "1000000/s")];
    let refusing = Process::freehold(&second, Cores::First, &narrow);
    let mut refused = Crowd::open(refusing.http, CONNECTIONS as usize).await;
    refused.run(&requests, Until::Count(requests.len())).await;
    for _ in 0..options.rounds(7) {
        let a = passing.cpu_us_of(admitted.run(&requests, Until::After(TURN))).await;
        let b = refusing.cpu_us_of(refused.run_to(429, &requests, Until::After(TURN))).await;
        eprintln!("  admitted {a:.1} µs of CPU a request, refused {b:.1}");
        pairs.push((a, b));
    }
    let ratios: Vec<f64> = pairs.iter().map(|(a, b)| b / a).collect();
    let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
    let note = format!("{}; {:.1} and {:.1} µs", span(&ratios), median(&b), median(&a));
    vec![Row::at_most("P9", "CPU of a refused request ÷ of an admitted one", median(&ratios), 1.0, &note)]
}
