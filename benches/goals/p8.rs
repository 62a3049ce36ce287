//! P8: durable refresh rotations against the commits that the same engine does when nothing else is asked of it.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;

use crate::estate::{self, Plan};
use crate::load::{Tally, median, one_thread, span};
use crate::process::{Cores, Folder, Process};
use crate::table::Row;
use crate::wire::{Conn, post};
use crate::{Options, reference};

const TENANTS: usize = 100;
/// Chains of rotations in each tenant: 600 in all, of which each waits 50 ms for every answer.
const CHAINS: usize = 6;
const WARM: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_millis(2_500);

/// One session: a connection and the refresh token that is good.
struct Chain {
    conn: Conn,
    host: String,
    token: String,
}

/// P8.
pub(crate) fn rotations(options: Options) -> Vec<Row> {
    one_thread().block_on(measure(options))
}

async fn measure(options: Options) -> Vec<Row> {
    let (folder, files) = (Folder::new(), Folder::new());
    let plan = Plan { tenants: TENANTS, members: 1, sessions: CHAINS };
    let tenants = estate::make(&folder, plan, 0).await;
    let server = Process::freehold(&folder, Cores::All, &[]);
    let mut chains = vec![];
    for tenant in &tenants {
        for token in &tenant.refresh_tokens {
            let conn = Conn::open(server.http).await;
            chains.push(Chain { conn, host: tenant.host(), token: token.clone() });
        }
    }
    let mut rates = vec![];
    for _ in 0..options.rounds(5) {
        let path = files.path().display().to_string();
        let sizes = [TENANTS, TENANTS * CHAINS].map(|size| size.to_string());
        let args = [vec![path], sizes.to_vec(), vec![WINDOW.as_secs_f64().to_string()]].concat();
        let limit = reference::number(reference::COMMITS, args).await;
        let tally = Tally::default();
        let mut loops = JoinSet::new();
        for chain in chains.drain(..) {
            loops.spawn(rotate(chain, tally.clone()));
        }
        let mut rate = 0.0;
        let cpu_us = server.cpu_us_of(async {
            rate = tally.rate(WARM, WINDOW).await;
            tally.stop();
            chains = loops.join_all().await;
            tally.done()
        });
        let cpu_us = cpu_us.await;
        eprintln!("  {rate:.0} rotations a second ({cpu_us:.0} µs of CPU each), {limit:.0} bare commits");
        rates.push((rate, limit));
    }
    let ratios: Vec<f64> = rates.iter().map(|(rate, limit)| rate / limit).collect();
    let (ours, limits): (Vec<f64>, Vec<f64>) = rates.into_iter().unzip();
    let note = format!("{}; {:.0} and {:.0} a second", span(&ratios), median(&ours), median(&limits));
    let what = "durable refresh rotations, 600 chains over 100 tenants ÷ bare commits (SQLite, FULL)";
    vec![Row::at_least("P8", what, median(&ratios), 0.90, &note)]
}

async fn rotate(mut chain: Chain, tally: Tally) -> Chain {
    while !tally.is_stopped() {
        let request = post(&chain.host, "/v1/auth/refresh", &json!({ "refresh_token": chain.token }));
        let answer = chain.conn.ask(&request).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(answer.body));
        chain.token = answer.text("refresh_token");
        tally.count();
    }
    chain
}
