//! Enumeration: how much longer is asked about an address that has an account than about one that has none?
//!
//! Both are asked in turn, one after the other over one connection, each address once; who goes first alternates. What is
//! compared are the medians: whoever measures from elsewhere has more noise and no less of a difference.

use std::time::Instant;

use serde_json::{Value, json};

use crate::Options;
use crate::estate::{self, Plan};
use crate::load::{median, ms, one_thread};
use crate::process::{Cores, Folder, Process};
use crate::table::Row;
use crate::wire::{Conn, patch, post, post_as};

const TRIES: usize = 1_000;
/// What may be told apart: this share of the median, or this many milliseconds where that is more.
const SHARE: f64 = 0.02;
const MS: f64 = 0.2;

/// A way to ask about an address.
struct Way {
    name: &'static str,
    path: &'static str,
    body: fn(&str) -> Value,
    status: u16,
    by_admin: bool,
}

const WAYS: [Way; 4] = [
    Way {
        name: "sign-in",
        path: "/v1/auth/login",
        body: |email| json!({ "email": email, "password": "not the password at all" }),
        status: 401,
        by_admin: false,
    },
    Way {
        name: "forgotten password",
        path: "/v1/auth/password/forgot",
        body: |email| json!({ "email": email }),
        status: 202,
        by_admin: false,
    },
    Way {
        name: "registration",
        path: "/v1/auth/register",
        body: |email| json!({ "email": email, "password": "a wholly different phrase", "name": "Grace Hopper" }),
        status: 202,
        by_admin: false,
    },
    Way {
        name: "invitation",
        path: "/v1/invitations",
        body: |email| json!({ "email": email, "role": "employee" }),
        status: 201,
        by_admin: true,
    },
];

/// The difference of the medians for each way.
pub(crate) fn differences(options: Options) -> Vec<Row> {
    one_thread().block_on(measure(options))
}

async fn measure(options: Options) -> Vec<Row> {
    let tries = if options.short { 20 } else { TRIES };
    let folder = Folder::new();
    let tenants = estate::make(&folder, Plan { tenants: 1, members: tries, sessions: 0 }, 0).await;
    let (host, access) = (tenants[0].host(), tenants[0].access_token());
    let off = [("FREEHOLD_LIMITS_SIGNUP", "off"), ("FREEHOLD_LIMITS_PASSWORD_RESET", "off")];
    let server = Process::freehold(&folder, Cores::All, &off);
    let mut conn = Conn::open(server.http).await;
    let open = patch(&host, "/v1/settings", &access, &json!({ "registration": "open" }));
    assert_eq!(conn.ask(&open).await.status, 200);
    let mut rows = vec![];
    for way in &WAYS {
        let (mut known, mut unknown) = (vec![], vec![]);
        for n in 0..tries {
            let stranger = format!("stranger-{n}@example.org");
            for is_known in if n % 2 == 0 { [true, false] } else { [false, true] } {
                let body = (way.body)(&if is_known { estate::email_of(n) } else { stranger.clone() });
                let ask =
                    if way.by_admin { post_as(&host, way.path, &access, &body) } else { post(&host, way.path, &body) };
                let since = Instant::now();
                assert_eq!(conn.ask(&ask).await.status, way.status, "{}", way.name);
                if is_known { &mut known } else { &mut unknown }.push(ms(since));
            }
        }
        rows.push(row(way, &known, &unknown));
    }
    rows
}

fn row(way: &Way, known: &[f64], unknown: &[f64]) -> Row {
    let (known, unknown) = (median(known), median(unknown));
    let difference = (known - unknown).abs();
    eprintln!("  {}: {known:.3} ms known, {unknown:.3} ms unknown", way.name);
    Row::at_most(
        "A4",
        &format!("{}: difference of the medians ÷ max(2 %, 0.2 ms)", way.name),
        difference / (SHARE * unknown).max(MS),
        1.0,
        &format!("{known:.3} and {unknown:.3} ms"),
    )
}
