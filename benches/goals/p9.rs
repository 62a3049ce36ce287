//! P9: one tenant sends twenty times what it may over 64 connections, while 99 others go on as ever. Do they notice? And does
//! it cost less to refuse a request than to answer it?

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::load::{Crowd, Requests, Tally, Until, median, ms, one_thread, quantile, sleep_until, span};
use crate::process::{Cores, Folder, Process};
use crate::sessions::off_the_first_core;
use crate::table::Row;
use crate::wire::{Conn, get};
use crate::{Options, estate};

const TENANTS: u32 = 100;
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
    let mut rows = off_the_first_core(move || noticed(options));
    rows.extend(off_the_first_core(move || one_thread().block_on(refused(options))));
    rows
}

fn noticed(options: Options) -> Vec<Row> {
    let folder = Folder::new();
    let plan = estate::Plan { tenants: TENANTS as usize, members: 1, sessions: 0 };
    let tenants = one_thread().block_on(estate::make(&folder, plan, 0));
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
        let calm = steady(&server, others);
        let tally = Tally::default();
        let flood = flood(&server, loud, &tally);
        let busy = steady(&server, others);
        tally.stop();
        for connection in flood {
            let (sent, passed) = connection.join().unwrap();
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
fn steady(server: &Process, others: &[Arc<[u8]>]) -> (Vec<f64>, usize) {
    let began = Instant::now();
    let asking: Vec<_> = (0..)
        .zip(others)
        .map(|(n, ask)| {
            let (ask, address, mut due) = (Arc::clone(ask), server.http, began + PACE * n / TENANTS);
            thread::spawn(move || {
                let runtime = one_thread();
                let mut conn = runtime.block_on(Conn::open(address));
                let (mut times, mut wrong) = (vec![], 0);
                while began.elapsed() < WARM + WINDOW {
                    sleep_until(due);
                    due = Instant::now().max(due) + PACE;
                    let asked = Instant::now();
                    wrong += usize::from(runtime.block_on(conn.ask(&ask)).status != 200);
                    if began.elapsed() > WARM {
                        times.push(ms(asked));
                    }
                }
                (times, wrong)
            })
        })
        .collect();
    asking.into_iter().fold((vec![], 0), |(mut times, wrong), one| {
        let (mine, mine_wrong) = one.join().unwrap();
        times.extend(mine);
        (times, wrong + mine_wrong)
    })
}

/// Sends twenty times the limit until told to stop: how many, and how many passed.
fn flood(server: &Process, ask: &Arc<[u8]>, tally: &Tally) -> Vec<JoinHandle<(usize, usize)>> {
    let (began, pace) = (Instant::now(), Duration::from_secs(1) * CONNECTIONS / FLOOD);
    let connection = |n| {
        let (ask, tally, address, mut due) =
            (Arc::clone(ask), tally.clone(), server.http, began + pace * n / CONNECTIONS);
        thread::spawn(move || {
            let runtime = one_thread();
            let mut conn = runtime.block_on(Conn::open(address));
            let (mut sent, mut passed) = (0, 0);
            while !tally.is_stopped() {
                sleep_until(due);
                due += pace;
                sent += 1;
                passed += usize::from(runtime.block_on(conn.ask(&ask)).status == 200);
            }
            (sent, passed)
        })
    };
    (0..CONNECTIONS).map(connection).collect()
}

async fn refused(options: Options) -> Vec<Row> {
    let folder = Folder::new();
    let tenants = estate::make(&folder, estate::Plan { tenants: TENANTS as usize, members: 1, sessions: 0 }, 0).await;
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
