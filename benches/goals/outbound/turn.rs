//! One turn: everybody asks and is told at a fixed pace, while the one endpoint answers in one way.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use super::provider::Provider;
use super::{ByHand, OTHERS, Sign, TOLD, Way};
use crate::estate::{self, PASSWORD, Tenant};
use crate::load::{ms, one_thread, quantile, sleep_until};
use crate::process::{Cores, Folder, Process};
use crate::wire::{Conn, bare, get, post, post_as};

/// Between two requests of one kind of each of the others.
const ASK_EVERY: Duration = Duration::from_millis(80);
/// Between two events of each of the others that are told.
const TELL_EVERY: Duration = Duration::from_millis(125);
/// Between two events for the tenant's other endpoint.
const TELL_SECOND_EVERY: Duration = Duration::from_millis(25);
/// Between two events for the endpoint that fails.
const TELL_BAD_EVERY: Duration = Duration::from_millis(16);
/// Between two acts by hand on its breaker.
const BY_HAND_EVERY: Duration = Duration::from_millis(100);
/// How long is not measured at the beginning of a turn.
const WARM: Duration = Duration::from_millis(700);
/// Calls a second that fail at once, and how often they open the breaker in a second: what makes a turn worth its name.
const CALLS_MIN: f64 = 20.0;
const OPENINGS_MIN: f64 = 4.0;
/// And the share of the time in which one that is slow has a call under way.
const UNDER_WAY_MIN: f64 = 0.95;
/// By when everything came that is to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two turns.
const PAUSE: Duration = Duration::from_millis(300);

/// A server, the tenants on it, and whom it calls.
pub(super) struct Scene {
    server: Process,
    provider: Provider,
    /// The tenant whose endpoint fails.
    tenant: Tenant,
    me: Asks,
    members: Asks,
    told: Asks,
    second: Asks,
    _folder: Folder,
}

/// Requests of one kind, each of a client of its own.
type Asks = Vec<Arc<[u8]>>;

/// What was found in a turn.
pub(super) struct Turn {
    /// In milliseconds, as in [`super::FIGURES`].
    pub(super) p99s: [f64; 4],
    /// Requests that were not answered as they should be.
    pub(super) wrong: usize,
    /// Events that an endpoint was not told of that is well.
    pub(super) lost: usize,
    /// Calls to the endpoint, and the share of the time in which one was under way.
    calls: (usize, f64),
    /// How often its breaker opened.
    openings: f64,
}

/// A request that was made.
struct Sent {
    at: Instant,
    took_ms: f64,
    status: u16,
    id: String,
}

/// When requests are made.
#[derive(Clone, Copy)]
struct Time {
    began: Instant,
    over: Instant,
}

impl Scene {
    pub(super) fn set() -> Self {
        let folder = Folder::new();
        let plan = estate::Plan { tenants: OTHERS + 1, members: 1, sessions: 0 };
        let mut others = one_thread().block_on(estate::make(&folder, plan, 0));
        let tenant = others.pop().unwrap();
        let provider = Provider::start(&folder);
        let names = provider.names.to_string();
        let env = [
            ("FREEHOLD_DOMAINS_RESOLVER", &*names),
            ("FREEHOLD_OUTBOUND_PRIVATE_CIDRS", "127.0.0.1/32"),
            ("FREEHOLD_OUTBOUND_PORTS", "1024-65535"),
            ("FREEHOLD_OUTBOUND_CA_FILE", provider.root.to_str().unwrap()),
        ];
        // Apart from the generator and the provider: else the others wait for them, and not for the server.
        let server = Process::freehold(&folder, Cores::First, &env);
        let each = |path: &dyn Fn(&Tenant) -> String| -> Asks {
            others.iter().map(|tenant| get(&tenant.host(), &path(tenant), &tenant.access_token()).into()).collect()
        };
        let me = each(&|_| "/v1/me".to_owned());
        let members = each(&|tenant| format!("/v1/members/{}", tenant.members[0]));
        let tested = |tenant: &Tenant| {
            let token = signed_in(&server, tenant);
            let id = endpoint(&server, tenant, &token, &provider.url_of(&tenant.slug));
            test(tenant, &token, &id)
        };
        let (told, second) = (others.iter().take(TOLD).map(tested).collect(), vec![tested(&tenant)]);
        Self { server, provider, tenant, me, members, told, second, _folder: folder }
    }

    /// Everybody goes on as ever for `window`, and the endpoint answers in this way.
    pub(super) fn turn(&self, way: &Way, window: Duration) -> Turn {
        let (server, tenant) = (self.server.http, &self.tenant);
        let token = signed_in(&self.server, tenant);
        let bad = endpoint(&self.server, tenant, &token, &self.provider.url_of_the_bad());
        let act = if way.by_hand == ByHand::Open { "open" } else { "reset" };
        let by_hand = bare("POST", &tenant.host(), &format!("/v1/breakers/webhook:{bad}/{act}"), &token);
        ask(&self.server, &by_hand, 200);
        self.provider.set(way.mode);
        let openings = self.openings();

        let began = Instant::now();
        let (from, over) = (began + WARM, began + WARM + window);
        let time = Time { began, over };
        let me = paced(server, &self.me, ASK_EVERY, time);
        let members = paced(server, &self.members, ASK_EVERY, time);
        let told = paced(server, &self.told, TELL_EVERY, time);
        let second = paced(server, &self.second, TELL_SECOND_EVERY, time);
        let events = paced(server, &[test(tenant, &token, &bad)], TELL_BAD_EVERY, time);
        let by_hand = paced(server, &[by_hand.into()], BY_HAND_EVERY, time);
        let [me, members, told, second, events, by_hand] =
            [me, members, told, second, events, by_hand].map(Running::join);
        let calls = self.provider.calls(from, over);
        let openings = self.openings() - openings;

        let (told_ms, told_lost) = self.deliveries(&told, from);
        let (second_ms, second_lost) = self.deliveries(&second, from);
        let expected = [(&me, 200), (&members, 200), (&told, 202), (&second, 202), (&events, 202), (&by_hand, 200)];
        let wrong = expected.iter().flat_map(|(sent, status)| sent.iter().filter(|sent| sent.status != *status));
        let p99s = [answers(&me, from), answers(&members, from), told_ms, second_ms].map(|ms| quantile(&ms, 0.99));
        let turn = Turn { p99s, wrong: wrong.count(), lost: told_lost + second_lost, calls, openings };
        turn.check(way, events.iter().filter(|sent| sent.at >= from).count(), window);

        // What waits goes with the endpoint; what is under way, with how it answers.
        ask(&self.server, &bare("DELETE", &tenant.host(), &format!("/v1/webhooks/endpoints/{bad}"), &token), 204);
        self.provider.set(super::Mode::Well);
        thread::sleep(PAUSE);
        turn
    }

    /// From each event to its delivery in milliseconds, of those since `from`; and how many were not delivered.
    fn deliveries(&self, events: &[Sent], from: Instant) -> (Vec<f64>, usize) {
        let (waited, mut times, mut lost) = (Instant::now(), vec![], 0);
        for event in events {
            let mut at = self.provider.told_at(&event.id);
            while at.is_none() && waited.elapsed() < PATIENCE {
                thread::sleep(Duration::from_millis(5));
                at = self.provider.told_at(&event.id);
            }
            match at {
                Some(at) if event.at >= from => times.push((at - event.at).as_secs_f64() * 1e3),
                Some(_) => {}
                None => lost += 1,
            }
        }
        (times, lost)
    }

    /// How often breakers of endpoints opened so far.
    fn openings(&self) -> f64 {
        let asked = async {
            let mut conn = Conn::open(self.server.private.unwrap()).await;
            let answer = conn.ask(b"GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").await;
            String::from_utf8(answer.body.to_vec()).unwrap()
        };
        let text = one_thread().block_on(asked);
        let opened = text
            .lines()
            .find_map(|line| line.strip_prefix("freehold_breaker_changes_total{service=\"webhook\",to=\"open\"} "));
        opened.map_or(0.0, |number| number.parse().unwrap())
    }
}

impl Turn {
    /// Asserts that the endpoint did what this turn is to show.
    fn check(&self, way: &Way, events: usize, window: Duration) {
        let ((calls, under_way), seconds) = (self.calls, window.as_secs_f64());
        let seen = match way.sign {
            Sign::Told => calls * 10 > events * 9 && self.openings < 1.0,
            Sign::NoCall => calls == 0,
            Sign::Opened => calls as f64 > CALLS_MIN * seconds && self.openings > OPENINGS_MIN * seconds,
            Sign::Waiting => under_way > UNDER_WAY_MIN,
        };
        assert!(seen, "an endpoint {}: it was not so: {self}", way.name);
    }
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [me, members, told, second] = self.p99s;
        write!(f, "p99 {me:.2}, {members:.2}, {told:.1} and {second:.1} ms; {} calls there, ", self.calls.0)?;
        write!(f, "{:.0} % of the time under way; {} openings", self.calls.1 * 100.0, self.openings)
    }
}

/// Clients that are asking.
struct Running(Vec<JoinHandle<Vec<Sent>>>);

impl Running {
    fn join(self) -> Vec<Sent> {
        self.0.into_iter().flat_map(|one| one.join().unwrap()).collect()
    }
}

/// Asks over and over, each over a connection and on a thread of its own, one after the other within `pace`.
fn paced(server: SocketAddr, asks: &[Arc<[u8]>], pace: Duration, time: Time) -> Running {
    let count = u32::try_from(asks.len()).unwrap();
    let one = |(n, ask): (u32, &Arc<[u8]>)| {
        let (ask, mut due) = (Arc::clone(ask), time.began + pace * n / count);
        thread::spawn(move || {
            let runtime = one_thread();
            let mut conn = runtime.block_on(Conn::open(server));
            let mut all = vec![];
            while due < time.over {
                sleep_until(due);
                due = Instant::now().max(due) + pace;
                let at = Instant::now();
                let (status, id) = runtime.block_on(async {
                    let answer = conn.ask(&ask).await;
                    (answer.status, answer.request_id())
                });
                all.push(Sent { at, took_ms: ms(at), status, id });
            }
            all
        })
    };
    Running((0..).zip(asks).map(one).collect())
}

/// How long each answer took, of those since `from`.
fn answers(sent: &[Sent], from: Instant) -> Vec<f64> {
    sent.iter().filter(|sent| sent.at >= from).map(|sent| sent.took_ms).collect()
}

/// An access token of a session that begins now.
fn signed_in(server: &Process, tenant: &Tenant) -> String {
    let body = json!({ "email": estate::email_of(0), "password": PASSWORD });
    text_of(server, &post(&tenant.host(), "/v1/auth/login", &body), 200, "access_token")
}

/// The id of a new endpoint, which is told of nothing but what it is tried with.
fn endpoint(server: &Process, tenant: &Tenant, token: &str, url: &str) -> String {
    let body = json!({ "url": url, "topics": ["member.joined"] });
    text_of(server, &post_as(&tenant.host(), "/v1/webhooks/endpoints", token, &body), 201, "id")
}

/// An event that one endpoint is told of.
fn test(tenant: &Tenant, token: &str, endpoint: &str) -> Arc<[u8]> {
    bare("POST", &tenant.host(), &format!("/v1/webhooks/endpoints/{endpoint}/test"), token).into()
}

fn ask(server: &Process, request: &[u8], status: u16) {
    one_thread().block_on(async {
        let mut conn = Conn::open(server.http).await;
        let answer = conn.ask(request).await;
        assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(answer.body));
    });
}

fn text_of(server: &Process, request: &[u8], status: u16, key: &str) -> String {
    one_thread().block_on(async {
        let mut conn = Conn::open(server.http).await;
        let answer = conn.ask(request).await;
        assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(answer.body));
        answer.text(key)
    })
}
