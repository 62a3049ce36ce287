//! What no failure may make a tenant forget: bucket levels, a lock, a revoked and a replayed session.

use std::time::Instant;

use serde_json::json;

use crate::support::{Answer, Conn, Options, Server, Session, Tenant};
use crate::watch::{number, remaining, set_limit, until};

/// An account nobody has; a lock closes it all the same.
const LOCKED: &str = "eve@example.com";
/// Failures that close an account in these tests.
const FAILURES_MAX: &str = "2";
/// A bucket that regains one request in 3.6 seconds.
const LIMIT: &str = "1000/h";
const REGAIN_MS: u128 = 3_600;
/// How much of it is used up: what a refilled bucket would show, and no time in a test can regain.
const USED: u64 = 100;

/// What the server is started with, besides.
pub(crate) fn options(options: Options) -> Options {
    options.limits_off().env("FREEHOLD_LOCKOUT_FAILURES_MAX", FAILURES_MAX).env("FREEHOLD_REFRESH_COALESCE_MS", "0")
}

/// A tenant with all of it.
pub(crate) struct Keepsakes {
    pub(crate) tenant: Tenant,
    /// A session that is alive.
    pub(crate) live: Session,
    logged_out: Session,
    /// The last good pair of a family of which a spent token was presented.
    replayed: Session,
    left: u64,
    left_at: Instant,
}

impl Keepsakes {
    /// Makes a tenant and everything it must remember.
    pub(crate) async fn of(server: &Server, tenant: Tenant) -> Self {
        set_limit(server, &tenant.slug, "api-tenant", LIMIT);
        let mut conn = Conn::to(server, &tenant).await;
        // The new limit has parked the tenant; loading it anew may take a busy machine longer than a request waits.
        let loaded = async || (conn.get("/.well-known/jwks.json", None).await.status == 200).then_some(());
        until("the tenant is loaded", loaded).await;
        let live = conn.sign_in(&tenant).await;
        let logged_out = conn.sign_in(&tenant).await;
        conn.call("POST", "/v1/auth/logout", Some(&logged_out.access)).await.is(204);
        let spent = conn.sign_in(&tenant).await;
        let replayed = Session::of(&conn.refresh(&spent.refresh).await);
        conn.refresh(&spent.refresh).await.is_problem(401, "unauthenticated");
        for _ in 0..2 {
            try_locked(&mut conn).await.is_problem(401, "invalid-credentials");
        }
        for _ in 0..USED {
            conn.get("/v1/me", Some(&live.access)).await.is(200);
        }
        let mut made = Self { tenant, live, logged_out, replayed, left: u64::MAX, left_at: Instant::now() };
        let left = made.level(&mut conn).await;
        assert!(left <= 1_000 - USED, "{left}");
        made.hold(&mut conn).await;
        made
    }

    /// Asserts that the bucket continues, then the rest.
    pub(crate) async fn hold(&mut self, conn: &mut Conn) {
        self.level(conn).await;
        self.hold_but_levels(conn).await;
    }

    /// Asserts that the bucket has not regained more than the time that passed allows; what it has left.
    pub(crate) async fn level(&mut self, conn: &mut Conn) -> u64 {
        let answer = conn.get("/v1/me", Some(&self.live.access)).await;
        let left = remaining(answer.is(200));
        let regained = u64::try_from(self.left_at.elapsed().as_millis() / REGAIN_MS).unwrap();
        assert!(left <= self.left.saturating_add(regained), "{} left before, now {left}", self.left);
        (self.left, self.left_at) = (left, Instant::now());
        left
    }

    /// Asserts that the lock and the dead sessions are remembered, and that the live one lives.
    pub(crate) async fn hold_but_levels(&mut self, conn: &mut Conn) {
        let locked = try_locked(conn).await;
        locked.is_problem(429, "account-locked");
        assert!(number(&locked, "retry-after") > 60, "{locked:?}");
        for dead in [&self.logged_out, &self.replayed] {
            conn.get("/v1/me", Some(&dead.access)).await.is_problem(401, "unauthenticated");
            conn.refresh(&dead.refresh).await.is_problem(401, "unauthenticated");
        }
        self.live = Session::of(&conn.refresh(&self.live.refresh).await);
        conn.get("/v1/me", Some(&self.live.access)).await.is(200);
    }
}

/// An attempt on the account that is locked.
pub(crate) async fn try_locked(conn: &mut Conn) -> Answer {
    conn.post("/v1/auth/login", None, &json!({ "email": LOCKED, "password": "wrong horse" })).await
}
