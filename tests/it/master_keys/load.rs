//! Two hundred requests a second: sign-ins, refreshes and reads, at tenants of which two thirds are parked at any time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{interval_at, sleep};

use crate::support::{Conn, Server, Session, Tenant};

/// Requests a second.
const RATE: u64 = 200;
const TENANTS: usize = 12;
/// Tenants take turns, a group at a time, long enough for the others to be parked.
const GROUPS: usize = 3;
const TURN: Duration = Duration::from_secs(2);
const CLIENTS_EACH: usize = 9;
/// How often a client asks while it is its tenant's turn: a tenth more than is promised, for what turns cost.
const EVERY: Duration = Duration::from_millis(163);
/// Of so many requests of a client one is a sign-in.
const SIGN_IN_EVERY: u64 = 16;

/// Clients at work.
pub(super) struct Load {
    state: Arc<State>,
    clients: JoinSet<()>,
    since: Instant,
}

#[derive(Default)]
struct State {
    answered: AtomicU64,
    over: AtomicBool,
    failed: Mutex<Vec<String>>,
}

/// What a load came to.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) answered: u64,
    pub(super) took: Duration,
    pub(super) failed: Vec<String>,
}

impl Figures {
    pub(super) fn is_as_promised(&self) {
        assert!(self.failed.is_empty(), "{} failed: {:?}", self.failed.len(), self.failed.first());
        let promised = u128::from(RATE) * self.took.as_millis() / 1_000;
        assert!(u128::from(self.answered) >= promised, "not {RATE} requests a second: {self:?}");
    }
}

impl Load {
    /// Makes the tenants and their clients, each signed in, and lets them begin.
    pub(super) async fn start(server: &Server) -> Self {
        let state = Arc::new(State::default());
        let mut ready = vec![];
        for n in 0..TENANTS {
            let tenant = server.tenant(&format!("busy-{n}"));
            for _ in 0..CLIENTS_EACH {
                let mut conn = Conn::to(server, &tenant).await;
                let session = conn.sign_in(&tenant).await;
                ready.push((n % GROUPS, Client { conn, tenant: tenant.clone(), session }));
            }
        }
        let (mut clients, since) = (JoinSet::new(), Instant::now());
        let count = u32::try_from(ready.len()).unwrap();
        for (n, (group, client)) in (0..).zip(ready) {
            clients.spawn(client.work(group, since, EVERY * n / count, Arc::clone(&state)));
        }
        Self { state, clients, since }
    }

    /// Waits until so many more requests were answered, in every turn of the tenants.
    pub(super) async fn go_on(&self, more: u64) {
        let (until, turns) = (self.state.answered.load(Ordering::Relaxed) + more, Instant::now());
        while self.state.answered.load(Ordering::Relaxed) < until || turns.elapsed() < TURN * 3 {
            assert!(turns.elapsed() < Duration::from_mins(1), "the clients stand still");
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) async fn end(mut self) -> Figures {
        self.state.over.store(true, Ordering::Relaxed);
        let took = self.since.elapsed();
        let answered = self.state.answered.load(Ordering::Relaxed);
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap();
        }
        let failed = std::mem::take(&mut *self.state.failed.lock().unwrap());
        Figures { answered, took, failed }
    }
}

struct Client {
    conn: Conn,
    tenant: Tenant,
    session: Session,
}

impl Client {
    async fn work(mut self, group: usize, since: Instant, offset: Duration, state: Arc<State>) {
        let mut ticks = interval_at((since + offset).into(), EVERY);
        let mut asked = 0;
        while !state.over.load(Ordering::Relaxed) {
            let due = ticks.tick().await.duration_since(since.into());
            if usize::try_from(due.as_millis() / TURN.as_millis()).unwrap() % GROUPS != group {
                continue;
            }
            asked += 1;
            if let Err(failure) = self.ask(asked).await {
                state.failed.lock().unwrap().push(format!("at {due:?}: {failure}"));
            }
            state.answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn ask(&mut self, n: u64) -> Result<(), String> {
        let (path, body) = match n % SIGN_IN_EVERY {
            1 => {
                let body = serde_json::json!({ "email": self.tenant.email, "password": self.tenant.password });
                ("/v1/auth/login", body)
            }
            rest if rest % 2 == 0 => {
                let answer = self.conn.get("/v1/me", Some(&self.session.access)).await;
                return if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) };
            }
            _ => ("/v1/auth/refresh", serde_json::json!({ "refresh_token": self.session.refresh })),
        };
        let answer = self.conn.post(path, None, &body).await;
        if answer.status != 200 {
            return Err(format!("{path}: {answer:?}"));
        }
        self.session = Session::of(&answer);
        Ok(())
    }
}
