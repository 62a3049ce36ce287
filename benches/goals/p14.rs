//! P14: what it costs to verify a webhook of a kilobyte, and to seal a field; and, with no goal, the whole way of one that is kept.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use freehold::clock::AMBIENT;
use freehold_domain::keys::{Nonce, Place};
use freehold_domain::secret::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::load::{Crowd, Requests, Until, median, one_thread, span};
use crate::process::{Cores, Folder, Process};
use crate::sessions::off_the_first_core;
use crate::table::Row;
use crate::wire::{Conn, put_as};
use crate::{Options, estate, reference};

const CONNECTIONS: usize = 64;
const TURN: Duration = Duration::from_millis(1_200);
const SECRET: &str = "whsec_of_the_bench_0123456789";
/// Bytes of a body.
const BODY: usize = 1_024;
/// Deliveries of one turn, each of another event.
const FRESH: usize = 4_000;
const SEALS: u32 = 20_000;

/// P14.
pub(crate) fn webhooks(options: Options) -> Vec<Row> {
    off_the_first_core(move || {
        let mut rows = one_thread().block_on(verified(options));
        rows.push(sealed());
        rows
    })
}

/// A request of Stripe's to this host, about one event.
fn delivery(host: &str, event: usize) -> Vec<u8> {
    let at_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().to_string();
    let mut body =
        json!({ "id": format!("evt_{event}"), "type": "invoice.paid", "created": 1_790_000_000 }).to_string();
    body.push_str(&" ".repeat(BODY - body.len()));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    for part in [at_s.as_str(), ".", &body] {
        mac.update(part.as_bytes());
    }
    let mac = mac.finalize().into_bytes().iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let head = format!("POST /webhooks/stripe HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n");
    format!("{head}stripe-signature: t={at_s},v1={mac}\r\ncontent-length: {BODY}\r\n\r\n{body}").into_bytes()
}

async fn verified(options: Options) -> Vec<Row> {
    let folder = Folder::new();
    let tenants = estate::make(&folder, estate::Plan { tenants: 1, members: 1, sessions: 1 }, 0).await;
    let tenant = &tenants[0];
    let server = Process::freehold(&folder, Cores::First, &[("FREEHOLD_LIMITS_WEBHOOK_IN", "1000000/s")]);
    set_secret(&server, tenant).await;
    let bare = Process::reference(reference::AXUM_POST, &[], Cores::First);
    let verifying = Process::reference(reference::AXUM_WEBHOOK, &[SECRET], Cores::First);
    let mut crowds = [
        Crowd::open(verifying.http, CONNECTIONS).await,
        Crowd::open(bare.http, CONNECTIONS).await,
        Crowd::open(server.http, CONNECTIONS).await,
    ];
    let mut figures = [vec![], vec![], vec![]];
    for round in 0..=options.rounds(7) {
        let of = |number: usize| delivery(&tenant.host(), round * FRESH + number);
        let fresh: Requests = Arc::new((0..FRESH).map(of).collect());
        let turns = [(&verifying, Until::After(TURN)), (&bare, Until::After(TURN)), (&server, Until::Count(FRESH))];
        for (n, (process, until)) in turns.into_iter().enumerate() {
            let us = process.cpu_us_of(crowds[n].run(&fresh, until)).await;
            if round > 0 {
                figures[n].push(us);
            }
        }
    }
    let [rule, bare, whole] = &figures;
    let ratios: Vec<f64> = rule.iter().zip(bare).map(|(ours, bare)| bare / ours).collect();
    let note = format!("{}; {:.1} and {:.1} µs", span(&ratios), median(rule), median(bare));
    let what = "axum that verifies 1 KB of Stripe's by the rule: rate per CPU second ÷ bare axum POST";
    let kept: Vec<f64> = whole.iter().zip(bare).map(|(ours, bare)| ours / bare).collect();
    let note_of_kept = format!("{}; {:.1} and {:.1} µs", span(&kept), median(whole), median(bare));
    vec![
        Row::at_least("P14", what, median(&ratios), 0.8, &note),
        Row::told(
            "P14",
            "the whole way of a new event, kept in SQLite: CPU ÷ bare axum POST",
            median(&kept),
            &note_of_kept,
        ),
    ]
}

async fn set_secret(server: &Process, tenant: &estate::Tenant) {
    let refresh: Value = json!({ "refresh_token": tenant.refresh_tokens[0] });
    let mut conn = Conn::open(server.http).await;
    let answer = conn.ask(&crate::wire::post(&tenant.host(), "/v1/auth/refresh", &refresh)).await;
    let pair: Value = serde_json::from_slice(answer.body).unwrap();
    let body = json!({ "secret": SECRET });
    let access = pair["access_token"].as_str().unwrap();
    let answer = conn.ask(&put_as(&tenant.host(), "/v1/webhooks/sources/stripe", access, &body)).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(answer.body));
}

/// Microseconds that 100 bytes more of a field add to its sealing, on one core.
fn sealed() -> Row {
    let tenant = estate::Tenant::new(0, estate::Plan { tenants: 1, members: 0, sessions: 0 });
    let each_us = |bytes: usize| {
        let (value, row) = (Secret::new("x".repeat(bytes)), [7; 16]);
        let place = Place { table: "member", column: "name_sealed", row: &row };
        let since = Instant::now();
        for _ in 0..SEALS {
            black_box(tenant.keys.seal(&place, &value, Nonce::from_random(AMBIENT.random())).unwrap());
        }
        since.elapsed().as_secs_f64() * 1e6 / f64::from(SEALS)
    };
    let mut added: Vec<(f64, f64)> = (0..9).map(|_| (each_us(100), each_us(1_100))).collect();
    added.remove(0);
    let per_100: Vec<f64> = added.iter().map(|(short, long)| (long - short) / 10.0).collect();
    let whole: Vec<f64> = added.iter().map(|(short, _)| *short).collect();
    let note = format!("{}; one of 100 bytes takes {:.2} µs in all", span(&per_100), median(&whole));
    Row::at_most("P14", "µs that 100 bytes more of a sealed field cost", median(&per_100), 1.0, &note)
}
