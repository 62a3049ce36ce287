//! The process that P6 weighs: a node without listeners, in which tenants become active one after the other.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use freehold::clock::AMBIENT;
use freehold_actors::breached::{Breached, BreachedRule, Source, WhenUnknown};
use freehold_actors::domain_proofs::{DomainProofs, ProofRule};
use freehold_actors::integrations::{Integrations, IntegrationsRule};
use freehold_actors::mail::Post;
use freehold_actors::mail::carrier::{Carrier, Way};
use freehold_actors::node::{Node, Parts, Settings};
use freehold_actors::ops::context::{Client, Context, Counted, Origin};
use freehold_actors::ops::refresh::refresh;
use freehold_actors::password_pool::PasswordPool;
use freehold_actors::providers::{Providers, ProvidersRule, ServiceUrl};
use freehold_actors::public_client::{OutboundRule, PublicClient};
use freehold_actors::sessions;
use freehold_actors::slot::TenantSlot;
use freehold_domain::breaker::BreakerRule;
use freehold_domain::custom_domain::Rules;
use freehold_domain::delivery::Patience;
use freehold_domain::gcra::{Layer, Subject, Unseen};
use freehold_domain::id::NodeId;
use freehold_domain::lockout::LockoutRule;
use freehold_domain::password::Argon2Params;
use freehold_domain::policy::{PRINT_SHOP, Policy};
use freehold_domain::public_url::Reach;
use freehold_domain::slug::ReservedNames;
use freehold_domain::tier::{Limits, Tier};
use freehold_storage::{SqliteOptions, Store};

use crate::p6::{Card, Weights};
use crate::{estate, load, machine};

/// How many tenants are made active at a time; many more would wait too long for the store, and be refused.
const WIDTH: usize = 8;
/// How many sign in at a time: each is held 50 ms.
const SESSIONS_WIDTH: usize = 32;
/// Children that are not asked for 30 seconds stop, and would not be weighed.
const TOUCH_EVERY: Duration = Duration::from_secs(8);

type Touched = Arc<Mutex<Vec<Arc<TenantSlot>>>>;

/// Weighs: the data directory, the file of cards, how many of them, how many dormant ones.
pub(crate) async fn measure(args: &[String]) {
    let (tenants, dormant): (usize, usize) = (args[2].parse().unwrap(), args[3].parse().unwrap());
    let node = start(PathBuf::from(&args[0])).await;
    let touched = Touched::default();
    tokio::spawn(touch(Arc::clone(&node), Arc::clone(&touched)));

    let cards = Cards::new(&args[1]);
    let half = activate(&node, &cards, tenants / 2, &touched).await;
    let whole = activate(&node, &cards, tenants - tenants / 2, &touched).await;
    let more = (tenants - tenants / 2) as f64;
    let limits = (whole - half) / more;
    eprintln!("  {:.1} kB each with limits", limits / 1e3);

    let cards = Cards::new(&args[1]);
    let half = sign_in(&node, &cards, tenants / 2).await;
    let sessions = (sign_in(&node, &cards, tenants - tenants / 2).await - half) / more;
    eprintln!("  {:.1} kB more each with sessions", sessions / 1e3);

    let before = resident();
    let half = meet(&node, 0, dormant / 2).await;
    eprintln!("  {:.0} bytes each when dormant, until they are forgotten", 2.0 * (half - before) / dormant as f64);
    node.slots.forget(AMBIENT.now(), AMBIENT.now());
    let dormant = 2.0 * (meet(&node, dormant / 2, dormant / 2).await - half) / dormant as f64;
    eprintln!("  {dormant:.0} bytes each for more, once the first are forgotten");
    let base = whole - tenants as f64 * limits;
    println!("{}", serde_json::to_string(&Weights { base, limits, sessions, dormant }).unwrap());
}

async fn start(data_dir: PathBuf) -> Arc<Node> {
    let way = Way::Outbox(data_dir.join("outbox"));
    let carrier = Carrier::new("no-reply@example.com".parse().unwrap(), "example.com", way).unwrap();
    let options = SqliteOptions { data_dir, open_files_max: estate::OPEN_FILES_MAX };
    let settings = Settings {
        limits: Arc::new(Limits::default()),
        lockout: LockoutRule { failures_max: 5, lock: Duration::from_mins(15) },
        breaker: BreakerRule::USUAL,
        policy: Arc::new(Policy::parse(PRINT_SHOP).unwrap()),
        passivate: Duration::from_hours(1),
        suspect_from: 10,
        quarantine: Duration::from_secs(30),
        reconcile: Duration::from_mins(1),
        reserved: ReservedNames::default(),
        denied_networks: vec![],
        signing_rotate: None,
        signing_announced: Duration::from_hours(1),
        refresh_hold: Duration::from_millis(50),
        public_scheme: "http",
        platform_domain: "localhost".into(),
        operator_networks: vec![],
        waf: None,
        operators_need_second_factor: false,
        public_port: Some(8_080),
    };
    let parts = Parts {
        id: NodeId::new(AMBIENT.wall(), AMBIENT.random()),
        ambient: AMBIENT,
        settings,
        store: Store::open_sqlite(options).await.unwrap(),
        ring: estate::MASTER.parse().unwrap(),
        pool: PasswordPool::start(machine::cores(), Argon2Params::default(), AMBIENT).unwrap(),
        post: Post::new(carrier, Patience::default()),
        public_client: PublicClient::new(OUTBOUND).unwrap(),
        providers: Providers::new(ProvidersRule::default(), AMBIENT).unwrap(),
        stripe: None,
        integrations: Integrations::new(IntegrationsRule {
            quickbooks: None,
            square: None,
            shopify: None,
            twilio_api_url: ServiceUrl::parse("https://api.twilio.com").unwrap(),
        })
        .unwrap(),
        proofs: DomainProofs::new(PROOFS),
        breached: Breached::new(BreachedRule { source: Source::None, unknown: WhenUnknown::Accept }, AMBIENT).unwrap(),
        shared_counters: None,
        unseen: Unseen::Full,
    };
    Node::start(parts).await.unwrap()
}

const OUTBOUND: OutboundRule =
    OutboundRule { resolver: None, reach: Reach { private_networks: vec![], ports: vec![] }, roots: vec![] };

const PROOFS: ProofRule = ProofRule {
    resolver: None,
    http_port: 80,
    private_networks: vec![],
    rules: Rules {
        recheck: Duration::from_hours(24),
        retry: Duration::from_hours(1),
        detach_after: Duration::from_hours(72),
    },
};

/// Cards, read as they are needed: they must not be weighed too.
#[derive(Clone)]
struct Cards(Arc<Mutex<BufReader<File>>>);

impl Cards {
    fn new(path: &str) -> Self {
        Self(Arc::new(Mutex::new(BufReader::new(File::open(path).unwrap()))))
    }

    fn next(&self) -> Card {
        let mut line = String::new();
        self.0.lock().unwrap().read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

/// Meets so many dormant tenants, from the one with this number on; what the process weighs then.
async fn meet(node: &Arc<Node>, first: usize, count: usize) -> f64 {
    let node = Arc::clone(node);
    let one = move |number| {
        let (node, slug) = (Arc::clone(&node), format!("d{}", first + number));
        async move { drop(node.slot(&slug.parse().unwrap()).await.unwrap_or_else(|_| panic!("{slug}"))) }
    };
    load::each(count, 4, one).await;
    resident()
}

/// Makes the next tenants active by counting a request of each; what the process weighs then.
async fn activate(node: &Arc<Node>, cards: &Cards, count: usize, touched: &Touched) -> f64 {
    let (node, cards, touched) = (Arc::clone(node), cards.clone(), Arc::clone(touched));
    let one = move |_| {
        let (node, card, touched) = (Arc::clone(&node), cards.next(), Arc::clone(&touched));
        async move {
            let cx = request(&node, &card).await;
            let member = Layer { tier: Tier::ApiMember, subject: Subject(AMBIENT.random::<1>()[0].into()) };
            cx.admit(&[member, cx.tenant_layer()]).await.unwrap_or_else(|_| panic!("{} is not admitted", card.slug));
            touched.lock().unwrap().push(Arc::clone(&cx.slot));
        }
    };
    load::each(count, WIDTH, one).await;
    resident()
}

/// Verifies an access token of each of the next tenants and rotates a refresh token; what the process weighs then.
async fn sign_in(node: &Arc<Node>, cards: &Cards, count: usize) -> f64 {
    let (node, cards) = (Arc::clone(node), cards.clone());
    let one = move |_| {
        let (node, card) = (Arc::clone(&node), cards.next());
        async move {
            let cx = request(&node, &card).await;
            let known = node.authenticate(&cx.slot, &cx.live, &card.access);
            drop(known.unwrap_or_else(|_| panic!("{}: not its token", card.slug)));
            let pair = refresh(&cx, &card.refresh.parse().unwrap()).await;
            drop(pair.unwrap_or_else(|_| panic!("{}: not its refresh token", card.slug)));
        }
    };
    load::each(count, SESSIONS_WIDTH, one).await;
    resident()
}

async fn request(node: &Arc<Node>, card: &Card) -> Context {
    let slot = node.slot(&card.slug.parse().unwrap()).await.unwrap_or_else(|_| panic!("no tenant {}", card.slug));
    let passes = Arc::new(node.enter(&slot, None).unwrap());
    let live = node.live(&slot).await.unwrap_or_else(|_| panic!("{} does not load", card.slug));
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let origin = Origin { address, request_id: "bench".into() };
    let client = Client { origin, bucket: Subject(1), user_agent: "bench".into(), device_cookie: None };
    Context { node: Arc::clone(node), slot, live, client, counted: Counted::default(), passes }
}

/// Asks the children of every active tenant now and then, as its users would.
async fn touch(node: Arc<Node>, touched: Touched) {
    loop {
        tokio::time::sleep(TOUCH_EVERY).await;
        let slots = touched.lock().unwrap().clone();
        for slot in slots {
            let Some(live) = slot.live() else { continue };
            let layer = Layer { tier: Tier::ApiTenant, subject: Subject::TENANT };
            drop(node.admit(&slot, &live, &[layer], &Counted::default()).await);
            let _ = node.ask(&slot, sessions::Msg::Snapshot).await;
        }
    }
}

fn resident() -> f64 {
    machine::memory(process::id(), &machine::Memory::Resident) as f64
}
