//! P10: an actor of a tenant panics. How long until that tenant answers again, and does anybody else notice?
//!
//! One panic a tenant: the second within a minute is started again after 100 ms on purpose.

use std::time::{Duration, Instant};

use freehold_actors::metric;
use serde_json::json;

use crate::Options;
use crate::estate::{self, Plan};
use crate::load::{Tally, ms, one_thread, quantile};
use crate::process::{Cores, Folder, Process};
use crate::table::Row;
use crate::wire::{Conn, get, post};

/// What is struck, in turn: the actor that every request asks, and the one that supervises it.
const ACTORS: [&str; 2] = ["rate_limits", "tenant"];
const STRUCK: usize = 220;
const OTHERS: usize = 20;
/// How often one of the others is asked.
const PROBE_EVERY: Duration = Duration::from_millis(1);
/// Between two panics.
const PAUSE: Duration = Duration::from_millis(20);

/// P10.
pub(crate) fn panics(options: Options) -> Vec<Row> {
    if !cfg!(feature = "test-faults") {
        return vec![Row::unmeasured("p10", "a struck tenant answers again: needs --features test-faults")];
    }
    one_thread().block_on(measure(options))
}

async fn measure(options: Options) -> Vec<Row> {
    let struck = if options.short { STRUCK / 5 } else { STRUCK };
    let folder = Folder::new();
    let tenants = estate::make(&folder, Plan { tenants: struck + OTHERS, members: 1, sessions: 0 }, 0).await;
    // Every request must ask the actor that is struck.
    let limits = [("FREEHOLD_LIMITS_API_MEMBER", "1000000/s"), ("FREEHOLD_LIMITS_API_TENANT", "1000000/s")];
    let server = Process::freehold(&folder, Cores::All, &limits);
    let asks: Vec<Vec<u8>> =
        tenants.iter().map(|tenant| get(&tenant.host(), "/v1/me", &tenant.access_token())).collect();
    let mut conn = Conn::open(server.http).await;
    for ask in &asks {
        assert_eq!(conn.ask(ask).await.status, 200);
    }
    let bystander = Bystander { conn: Conn::open(server.http).await, asks: asks[struck..].to_vec() };
    let tally = Tally::default();
    let watching = tokio::spawn(bystander.watch(tally.clone()));

    let mut faults = Conn::open(server.private.unwrap()).await;
    let (mut times, mut refused) = (vec![], 0);
    for (n, ask) in asks[..struck].iter().enumerate() {
        let fault = json!({ "fault": "panic", "slug": tenants[n].slug, "actor": ACTORS[n % ACTORS.len()] });
        assert_eq!(faults.ask(&post("127.0.0.1", "/debug/fault", &fault)).await.status, 204);
        let since = Instant::now();
        while conn.ask(ask).await.status != 200 {
            refused += 1;
            assert!(since.elapsed() < Duration::from_secs(5), "{} does not come back", tenants[n].slug);
        }
        times.push(ms(since));
        tokio::time::sleep(PAUSE).await;
    }
    tally.stop();
    let (asked, failed) = watching.await.unwrap();
    let restarts = restarts(&mut faults).await;
    assert!(restarts >= times.len() as f64, "only {restarts} actors were started again: the faults missed");
    let p99 = quantile(&times, 0.99);
    eprintln!("  p50 {:.2} ms, p99 {p99:.2} ms; {refused} refusals before", quantile(&times, 0.5));
    let worst = format!("{p99:.2} ms, worst {:.2}, of {} panics", quantile(&times, 1.0), times.len());
    vec![
        Row::at_most("P10", "from a panic to the struck tenant's next answer: p99 ÷ 5 ms", p99 / 5.0, 1.0, &worst),
        Row::at_most(
            "P10",
            "requests of others that failed meanwhile ÷ all of theirs",
            f64::from(failed) / f64::from(asked),
            0.0,
            &format!("{failed} of {asked}"),
        ),
    ]
}

/// How many actors the server has started again.
async fn restarts(private: &mut Conn) -> f64 {
    let answer = private.ask(b"GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let series = text.lines().filter(|line| line.starts_with(metric::RESTARTS));
    series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// Tenants to which nothing happens.
struct Bystander {
    conn: Conn,
    asks: Vec<Vec<u8>>,
}

impl Bystander {
    /// Asks one after the other; how often, and how often that failed.
    async fn watch(mut self, tally: Tally) -> (u32, u32) {
        let mut ticks = tokio::time::interval(PROBE_EVERY);
        let (mut asked, mut failed) = (0, 0);
        for ask in self.asks.iter().cycle() {
            if tally.is_stopped() {
                break;
            }
            ticks.tick().await;
            asked += 1;
            failed += u32::from(self.conn.ask(ask).await.status != 200);
        }
        (asked, failed)
    }
}
