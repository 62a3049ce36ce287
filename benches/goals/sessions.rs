//! P2, P3 and P4: what `GET /v1/me` costs with a token that was seen before, with one that was not, and with everything on.
//!
//! CPU time of the server process for each answer, under a closed loop of connections that keeps it busy. Server and
//! reference have the first core to themselves, one worker thread each; the generator stays off it.

use std::sync::Arc;
use std::time::Duration;

use crate::load::{Crowd, Requests, Until, median, one_thread, span};
use crate::process::{Cores, Folder, Process};
use crate::table::Row;
use crate::wire::{Conn, get};
use crate::{Options, estate, machine, reference};

const CONNECTIONS: usize = 64;
const TURN: Duration = Duration::from_millis(1_200);
/// Tenants of P2, and tokens of each.
const TENANTS: usize = 100;
const TOKENS: usize = 10;
/// Tokens of one turn of P3.
const FRESH: usize = 15_000;

/// Limits that are asked and never reached, and a line of the log for every request.
const EVERYTHING: [(&str, &str); 4] = [
    ("FREEHOLD_LOG", "info"),
    ("FREEHOLD_LIMITS_ADDRESS", "1000000/s"),
    ("FREEHOLD_LIMITS_API_MEMBER", "1000000/s"),
    ("FREEHOLD_LIMITS_API_TENANT", "1000000/s"),
];

/// P2.
pub(crate) fn seen(options: Options) -> Vec<Row> {
    let what = "GET /v1/me, token seen before: CPU ÷ bare axum (with security headers and metrics)";
    seen_with(options, &[], move |figure, note| Row::at_most("P2", what, figure, 1.25, note))
}

/// P4.
pub(crate) fn everything_on(options: Options) -> Vec<Row> {
    let what = "the same with everything on, limits and a JSON log line too: CPU ÷ bare axum";
    seen_with(options, &EVERYTHING, move |figure, note| Row::at_most("P4", what, figure, 1.8, note))
}

fn seen_with(
    options: Options,
    env: &'static [(&str, &str)],
    row: impl FnOnce(f64, &str) -> Row + Send + 'static,
) -> Vec<Row> {
    off_the_first_core(move || {
        one_thread().block_on(async {
            let folder = Folder::new();
            let plan = estate::Plan { tenants: TENANTS, members: 1, sessions: 0 };
            let tenants = estate::make(&folder, plan, 0).await;
            let tokens = tenants.iter().flat_map(|t| (0..TOKENS).map(|_| get(&t.host(), "/v1/me", &t.access_token())));
            let requests: Requests = Arc::new(tokens.collect());
            let server = Process::freehold(&folder, Cores::First, env);
            let body = answer_to(&server, &requests[0]).await;
            let bare = Process::reference(reference::AXUM, &[&body], Cores::First);
            let mut ours = Crowd::open(server.http, CONNECTIONS).await;
            let mut theirs = Crowd::open(bare.http, CONNECTIONS).await;
            ours.run(&requests, Until::Count(3 * requests.len())).await;
            theirs.run(&requests, Until::After(TURN / 2)).await;

            let mut pairs = vec![];
            for _ in 0..options.rounds(9) {
                let a = server.cpu_us_of(ours.run(&requests, Until::After(TURN))).await;
                let b = bare.cpu_us_of(theirs.run(&requests, Until::After(TURN))).await;
                eprintln!("  Freehold {a:.1} µs of CPU a request, bare axum {b:.1}");
                pairs.push((a, b));
            }
            let ratios: Vec<f64> = pairs.iter().map(|(a, b)| a / b).collect();
            vec![row(median(&ratios), &note(&ratios, &pairs))]
        })
    })
}

/// P3.
pub(crate) fn unseen(options: Options) -> Vec<Row> {
    off_the_first_core(move || {
        one_thread().block_on(async {
            let folder = Folder::new();
            let plan = estate::Plan { tenants: 1, members: 1, sessions: 0 };
            let tenants = estate::make(&folder, plan, 0).await;
            let tenant = &tenants[0];
            let fresh = |count: usize| -> Requests {
                Arc::new((0..count).map(|_| get(&tenant.host(), "/v1/me", &tenant.access_token())).collect())
            };
            let server = Process::freehold(&folder, Cores::First, &[]);
            let body = answer_to(&server, &fresh(1)[0]).await;
            let key = tenant.public_key().map(|byte| byte.to_string()).join(",");
            let verifier = Process::reference(reference::AXUM_VERIFY, &[&body, &key], Cores::First);
            let mut ours = Crowd::open(server.http, CONNECTIONS).await;
            let mut theirs = Crowd::open(verifier.http, CONNECTIONS).await;

            let mut pairs = vec![];
            for round in 0..=options.rounds(9) {
                let requests = fresh(if round == 0 { FRESH / 5 } else { FRESH });
                let all = Until::Count(requests.len());
                let a = server.cpu_us_of(ours.run(&requests, all)).await;
                let b = verifier.cpu_us_of(theirs.run(&requests, all)).await;
                if round > 0 {
                    eprintln!("  Freehold {a:.1} µs of CPU a request, axum that verifies {b:.1}");
                    pairs.push((a, b));
                }
            }
            let ratios: Vec<f64> = pairs.iter().map(|(a, b)| b / a).collect();
            let what = "the same, token never seen before: rate per CPU second ÷ axum that verifies EdDSA";
            vec![Row::at_least("P3", what, median(&ratios), 0.95, &note(&ratios, &pairs))]
        })
    })
}

/// Runs in a thread that leaves the first core to the servers.
pub(crate) fn off_the_first_core(work: impl FnOnce() -> Vec<Row> + Send + 'static) -> Vec<Row> {
    let pinned = std::thread::spawn(|| {
        machine::pin(false);
        work()
    });
    pinned.join().unwrap()
}

/// The body of the answer, which is a 200.
pub(crate) async fn answer_to(server: &Process, request: &[u8]) -> String {
    let mut conn = Conn::open(server.http).await;
    let answer = conn.ask(request).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(answer.body));
    String::from_utf8(answer.body.to_vec()).unwrap()
}

fn note(ratios: &[f64], pairs: &[(f64, f64)]) -> String {
    let (ours, theirs): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    format!("{}; {:.1} and {:.1} µs", span(ratios), median(&ours), median(&theirs))
}
