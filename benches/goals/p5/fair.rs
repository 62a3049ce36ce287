//! The second half of P5: 200 connections sign in to one tenant, over and over, while somebody signs in to another.

use std::time::Duration;

use serde_json::json;

use super::{Load, WARM};
use crate::Options;
use crate::estate::{self, PASSWORD, Plan, Tenant};
use crate::load::{ms, quantile};
use crate::process::{Cores, Folder, Process};
use crate::table::Row;
use crate::wire::{Conn, post};

/// Connections that sign in to the one tenant, each to an account of its own.
const CROWD: usize = 200;
/// Sign-ins elsewhere, in each turn.
const SIGN_INS: usize = 100;
/// Between two of them, so that no two of them wait for each other.
const APART: Duration = Duration::from_millis(10);

/// Sign-ins elsewhere, when all is quiet and meanwhile.
pub(super) async fn row(options: Options) -> Row {
    let folder = Folder::new();
    let tenants = estate::make(&folder, Plan { tenants: 2, members: CROWD, sessions: 0 }, 0).await;
    let [crowded, other] = &tenants[..] else { panic!("two tenants were made") };
    let crowd: Vec<Vec<u8>> = (0..CROWD).map(|number| sign_in(crowded, number)).collect();
    let elsewhere = sign_in(other, 0);
    let server = Process::freehold(&folder, Cores::All, &[]);
    let mut conn = Conn::open(server.http).await;
    let (mut quiet, mut loaded, mut refused) = (vec![], vec![], 0);
    for _ in 0..options.rounds(4) {
        quiet.extend(signed_in(&mut conn, &elsewhere).await);
        let load = Load::start(&server, &crowd).await;
        tokio::time::sleep(WARM).await;
        loaded.extend(signed_in(&mut conn, &elsewhere).await);
        refused += load.end().await.len();
    }
    let (calm, busy) = (quantile(&quiet, 0.99), quantile(&loaded, 0.99));
    Row::at_most(
        "P5",
        "a sign-in of another tenant, while 200 sign in to one: p99 ÷ p99 when quiet",
        busy / calm,
        2.0,
        &format!("{busy:.2} and {calm:.2} ms, {refused} refusals of the 200, none elsewhere"),
    )
}

fn sign_in(tenant: &Tenant, member: usize) -> Vec<u8> {
    let body = json!({ "email": estate::email_of(member), "password": PASSWORD });
    post(&tenant.host(), "/v1/auth/login", &body)
}

/// Signs in again and again, and how long each took.
async fn signed_in(conn: &mut Conn, request: &[u8]) -> Vec<f64> {
    let mut times = Vec::with_capacity(SIGN_INS);
    for _ in 0..SIGN_INS {
        let asked = std::time::Instant::now();
        assert_eq!(conn.ask(request).await.status, 200, "nobody is refused elsewhere");
        times.push(ms(asked));
        tokio::time::sleep(APART).await;
    }
    times
}
