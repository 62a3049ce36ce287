//! Whoever keeps on against a limit is blocked, then banned for a while, and nobody else is; waiting as told always ends it,
//! and so does whoever may lift it.

use serde_json::{Value, json};

use crate::operators::platform;
use crate::support::{Answer, Conn, Engine, Options, Server, Session, Tenant, on_both_engines};
use crate::watch::{metric, number, panic_of, set_limit, until};

const LIMITS: &str = "/v1/rate-limits";
const ADDRESSES: &str = "/v1/rate-limits/addresses";
/// Blocked after thirty refusals for two minutes, banned after thirty more for fifteen.
const SLOW: &str = "6/min";
const BURST: u32 = 6;
const KEEPS_ON: u32 = 30;
const BLOCK_S: u64 = 120;
const BAN_S: u64 = 900;
/// More than it takes to be banned.
const TRIES: u32 = 200;
const NOBODYS: &str = "019a0000-0000-7000-8000-000000000000";

on_both_engines! {
    whoever_keeps_on_goes_through_the_stages_and_nobody_else_does
    operators_see_and_lift_what_is_blocked_at_tenants_and_addresses
}

/// A tenant whose admin is Ada and whose employee Hank hammers.
struct Scene {
    server: Server,
    acme: Tenant,
    ada: (Conn, Session),
    hank: (Conn, Session),
    /// Hank's id.
    id: String,
}

impl Scene {
    async fn on(options: Options) -> Self {
        let server = Server::start(options).await;
        let acme = server.tenant("acme");
        let mut conn = Conn::to(&server, &acme).await;
        let session = conn.sign_in(&acme).await;
        let invitation = json!({ "email": "hank@example.com", "role": "employee" });
        conn.post("/v1/invitations", Some(&session.access), &invitation).await.is(201);
        let token = server.letters(1).await.remove(0).token("/auth/invitation");
        let password = "a password of hank";
        let new = json!({ "email": "hank@example.com", "password": password, "name": "Hank", "invitation": token });
        let mut hank = Conn::to(&server, &acme).await;
        let made = hank.post("/v1/auth/register", None, &new).await.is(201).json();
        let login = json!({ "email": "hank@example.com", "password": password });
        let hanks = Session::of(&hank.post("/v1/auth/login", None, &login).await);
        let id = made["member"]["id"].as_str().unwrap().to_owned();
        set_limit(&server, "acme", "api-member", SLOW);
        Self { server, acme, ada: (conn, session), hank: (hank, hanks), id }
    }

    async fn hank_asks(&mut self) -> Answer {
        self.hank.0.get("/v1/me", Some(&self.hank.1.access)).await
    }

    /// Hank asks until he is answered by this stage: how often he was refused, that time included, and the last answer.
    async fn hank_hammers(&mut self, stage: &str) -> (u32, Answer) {
        let mut refused = 0;
        for _ in 0..TRIES {
            let answer = self.hank_asks().await;
            refused += u32::from(answer.status == 429);
            if answer.status == 429 && answer.json()["stage"] == stage {
                return (refused, answer);
            }
        }
        panic!("{stage} was never reached");
    }

    async fn ada_sees(&mut self) -> Value {
        self.ada.0.get(LIMITS, Some(&self.ada.1.access)).await.is(200).json()
    }

    /// The rows of the audit log that tell of this.
    async fn told(&mut self, action: &str) -> Vec<Value> {
        rows(&mut self.ada.0, &self.ada.1.access, action).await
    }
}

async fn rows(conn: &mut Conn, access: &str, action: &str) -> Vec<Value> {
    let log = conn.get(&format!("/v1/audit?action={action}"), Some(access)).await.is(200).json();
    log["items"].as_array().unwrap().clone()
}

/// Asserts a 429 of this stage; how long it says to wait.
#[track_caller]
fn refused(answer: &Answer, tier: &str, stage: &str) -> u64 {
    answer.is_problem(429, "rate-limited");
    let (body, wait_s) = (answer.json(), number(answer, "retry-after"));
    assert_eq!((&body["tier"], &body["stage"]), (&json!(tier), &json!(stage)), "{answer:?}");
    assert_eq!(body["retry_after_s"], json!(wait_s));
    assert_eq!((answer.header("x-ratelimit-tier"), number(answer, "x-ratelimit-remaining")), (Some(tier), 0));
    wait_s
}

/// How many rows the audit log of a tenant has.
fn log_length(server: &Server, slug: &str) -> u64 {
    let verified = server.cli(&["audit", "verify", slug], "");
    serde_json::from_slice::<Value>(&verified.stdout).unwrap()["rows"].as_u64().unwrap()
}

async fn refusals(server: &Server, tier: &str, stage: &str) -> u64 {
    metric(server, &format!("freehold_rate_limited_total{{tier=\"{tier}\",stage=\"{stage}\"}}")).await
}

async fn blocked(server: &Server, stage: &str) -> u64 {
    metric(server, &format!("freehold_rate_blocked{{stage=\"{stage}\"}}")).await
}

async fn whoever_keeps_on_goes_through_the_stages_and_nobody_else_does(engine: Engine) {
    let mut scene = Scene::on(Options::new(engine).limits_off()).await;
    let globex = scene.server.tenant("globex");
    set_limit(&scene.server, "globex", "api-member", SLOW);
    let mut other = Conn::to(&scene.server, &globex).await;
    let elsewhere = other.sign_in(&globex).await.access;

    // Headers, then 429, then a block; and who waits as long as it says is in, and nobody who comes sooner.
    for n in 1..=BURST {
        let answer = scene.hank_asks().await;
        assert_eq!(number(answer.is(200), "x-ratelimit-remaining"), u64::from(BURST - n));
    }
    for _ in 1..KEEPS_ON {
        assert!(refused(&scene.hank_asks().await, "api-member", "limit") <= 10);
    }
    let answer = scene.hank_asks().await;
    assert_eq!(refused(&answer, "api-member", "block"), BLOCK_S);
    let over = number(&answer, "x-ratelimit-reset");
    assert_eq!(refusals(&scene.server, "api-member", "limit").await, u64::from(KEEPS_ON) - 1);
    assert_eq!(refusals(&scene.server, "api-member", "block").await, 1);
    assert_eq!((blocked(&scene.server, "block").await, blocked(&scene.server, "ban").await), (1, 0));
    assert_eq!(scene.ada.0.me(&scene.ada.1.access).await, 200, "another member of the tenant");
    assert_eq!(other.me(&elsewhere).await, 200, "another tenant");
    scene.server.clock_ahead(BLOCK_S - 2).await;
    let answer = scene.hank_asks().await;
    let left_s = refused(&answer, "api-member", "block");
    assert!(left_s <= 2 && number(&answer, "x-ratelimit-reset") == over, "{answer:?}: refused ones do not lengthen it");
    scene.server.clock_ahead(left_s).await;
    scene.hank_asks().await.is(200);
    assert_eq!(blocked(&scene.server, "block").await, 0);

    // Who keeps on through a block is banned, once, and it is recorded once.
    assert_eq!(scene.hank_hammers("block").await.0, KEEPS_ON);
    let length = log_length(&scene.server, "acme");
    let (asked, banned) = scene.hank_hammers("ban").await;
    assert_eq!((asked, refused(&banned, "api-member", "ban")), (KEEPS_ON, BAN_S));
    assert_eq!((blocked(&scene.server, "block").await, blocked(&scene.server, "ban").await), (0, 1));
    for _ in 0..KEEPS_ON * 2 {
        let answer = scene.hank_asks().await;
        refused(&answer, "api-member", "ban");
        assert_eq!(number(&answer, "x-ratelimit-reset"), number(&banned, "x-ratelimit-reset"));
    }
    until("the ban is recorded", async || (log_length(&scene.server, "acme") > length).then_some(())).await;
    scene.server.clock_ahead(60).await; // what Ada is allowed is there again
    let rows = scene.told("rate_limit.banned").await;
    let whom = format!("member {}", scene.id);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((&rows[0]["actor"]["kind"], &rows[0]["subject"]), (&json!("system"), &json!(scene.id)));
    assert_eq!((&rows[0]["tier"], &rows[0]["whom"]), (&json!("api-member"), &json!(whom)));

    the_ban_outlives_its_actor_and_an_admin_lifts_it(&mut scene, &whom).await;
    the_command_line_lifts_a_block(&mut scene, &whom).await;
}

async fn the_ban_outlives_its_actor_and_an_admin_lifts_it(scene: &mut Scene, whom: &str) {
    scene.hank_asks().await;
    panic_of(&scene.server, "acme", "rate_limits").await;
    refused(&scene.hank_asks().await, "api-member", "ban");
    let seen = scene.ada_sees().await;
    let block = &seen["items"][0];
    assert_eq!((seen["items"].as_array().unwrap().len(), &seen["next_cursor"]), (1, &Value::Null));
    assert_eq!((&block["tier"], &block["subject"]), (&json!("api-member"), &json!(whom)));
    assert_eq!(block["stage"], "ban");
    let tier = |name: &str| seen["tiers"].as_array().unwrap().iter().find(|tier| tier["tier"] == name).unwrap().clone();
    let expected = json!({
        "tier": "api-member", "limit": SLOW, "default": "off", "subject": "member-or-key", "stages": ["limit", "block", "ban"],
        "block_after": KEEPS_ON, "block_s": BLOCK_S, "ban_after": KEEPS_ON, "ban_s": BAN_S,
    });
    assert_eq!(tier("api-member"), expected);
    let open = json!({ "tier": "events", "limit": "60/min", "subject": "tenant", "stages": ["limit"] });
    assert_eq!((tier("events"), seen["tiers"].as_array().unwrap().len()), (open, 19));
    let path = format!("{LIMITS}/blocks/{}", block["id"].as_str().unwrap());
    let token = scene.ada.1.access.clone();
    let access = Some(token.as_str());
    for nobodys in [format!("{LIMITS}/blocks/{NOBODYS}"), format!("{LIMITS}/blocks/x")] {
        scene.ada.0.call("DELETE", &nobodys, access).await.is_problem(404, "not-found");
    }
    scene.hank.0.call("DELETE", &path, Some(&scene.hank.1.access)).await.is_problem(403, "forbidden");
    scene.ada.0.call("DELETE", &path, access).await.is(204);
    scene.hank_asks().await.is(200);
    scene.server.clock_ahead(60).await;
    scene.ada.0.call("DELETE", &path, access).await.is_problem(404, "not-found");
    let rows = scene.told("rate_limit.lifted").await;
    assert_eq!((rows.len(), &rows[0]["actor"]["kind"], &rows[0]["whom"]), (1, &json!("member"), &json!(whom)));
    assert_eq!(scene.ada_sees().await["items"], json!([]));
}

async fn the_command_line_lifts_a_block(scene: &mut Scene, whom: &str) {
    scene.hank_hammers("block").await;
    let listed = scene.server.cli(&["tenant", "blocks", "acme"], "");
    let line: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!((&line["stage"], &line["subject"]), (&json!("block"), &json!(whom)));
    scene.server.clock_ahead(20).await;
    let id = line["id"].as_str().unwrap();
    assert!(scene.server.cli(&["tenant", "unblock", "acme", id], "").status.success());
    scene.hank_asks().await.is(200);
    assert_eq!(scene.server.cli(&["tenant", "unblock", "acme", id], "").status.code(), Some(65));
    assert!(scene.server.cli(&["audit", "verify", "acme"], "").status.success());
}

/// What a page of somebody else makes a browser send is counted, and brings its address no nearer to a block; an address that
/// is blocked does not escape by saying so.
#[tokio::test(flavor = "multi_thread")]
async fn pages_of_others_get_no_address_blocked() {
    let options = Options::new(Engine::Sqlite).env("FREEHOLD_HTTP_TRUSTED_PROXIES", "127.0.0.1/32");
    let server = Server::start(options.limits_off().env("FREEHOLD_LIMITS_ADDRESS", "20/min")).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    for (address, site, stage) in
        [("192.0.2.7", "cross-site", "limit"), ("192.0.2.8", "none", "block"), ("192.0.2.8", "cross-site", "block")]
    {
        let mut last = Value::Null;
        for _ in 0..100 {
            let headers = [("x-forwarded-for", address), ("sec-fetch-site", site)];
            let answer = {
                let request = conn.request("GET", "/x.png", &headers, b"");
                conn.send(request).await
            };
            last = if answer.status == 429 { answer.json()["stage"].clone() } else { last };
        }
        assert_eq!(last, stage, "{address} {site}");
    }
}

async fn operators_see_and_lift_what_is_blocked_at_tenants_and_addresses(engine: Engine) {
    const STRANGER: &str = "192.0.2.7";
    let options = Options::new(engine).limits_off().env("FREEHOLD_HTTP_TRUSTED_PROXIES", "127.0.0.1/32");
    let mut scene = Scene::on(options.env("FREEHOLD_LIMITS_ADDRESS", "120/min")).await;
    let platform = platform(&scene.server).await;
    let mut operators = Conn::to(&scene.server, &platform).await;
    let session = operators.sign_in(&platform).await;
    let access = Some(session.access.as_str());

    // A member of a tenant.
    scene.hank_hammers("block").await;
    let of_acme = format!("/v1/tenants/{}/rate-limits", scene.acme.id);
    let seen = operators.get(&of_acme, access).await.is(200).json();
    assert_eq!(seen["items"][0]["subject"], format!("member {}", scene.id));
    let block = format!("{of_acme}/blocks/{}", seen["items"][0]["id"].as_str().unwrap());
    scene.server.clock_ahead(20).await;
    operators.call("DELETE", &block, access).await.is(204);
    scene.hank_asks().await.is(200);
    operators.call("DELETE", &block, access).await.is_problem(404, "not-found");
    operators.get(&format!("/v1/tenants/{NOBODYS}/rate-limits"), access).await.is_problem(404, "not-found");
    operators.get(&format!("{of_acme}?cursor=x"), access).await.is_problem(400, "validation");
    assert_eq!(scene.told("rate_limit.lifted").await[0]["actor"]["kind"], "operator");
    assert_eq!(rows(&mut operators, &session.access, "rate_limit.lifted").await.len(), 1, "and at the platform");

    // An address, of the node as a whole: two of them, one on each page.
    let mut strangers =
        [Conn::to(&scene.server, &scene.acme).await, Conn::open(scene.server.http, "nobody.test").await];
    let hammer = async |conn: &mut Conn, address: &str, stage: &str| {
        for _ in 0..2_000 {
            let request = conn.request("GET", "/no/such/path", &[("x-forwarded-for", address)], b"");
            let answer = conn.send(request).await;
            if answer.status == 429 && answer.json()["stage"] == stage {
                return refused(&answer, "address", stage);
            }
        }
        panic!("{stage} was never reached");
    };
    assert_eq!(hammer(&mut strangers[0], STRANGER, "ban").await, BAN_S);
    assert_eq!(hammer(&mut strangers[1], "2001:db8:1:2::3", "block").await, BLOCK_S);
    assert_eq!(hammer(&mut strangers[1], STRANGER, "ban").await, BAN_S, "at every host");
    let first = operators.get(&format!("{ADDRESSES}?limit=1"), access).await.is(200).json();
    let next = format!("{ADDRESSES}?cursor={}", first["next_cursor"].as_str().unwrap());
    let rest = operators.get(&next, access).await.is(200).json();
    assert_eq!((&rest["next_cursor"], rest["items"].as_array().unwrap().len()), (&Value::Null, 1));
    let (ban, network) = (&first["items"][0], &rest["items"][0]);
    assert_eq!((&ban["subject"], &ban["stage"]), (&json!(format!("address {STRANGER}")), &json!("ban")));
    assert_eq!((&network["subject"], &network["stage"]), (&json!("network 2001:db8:1:2::/64"), &json!("block")));
    let banned = until("the ban is recorded", async || {
        let rows = rows(&mut operators, &session.access, "rate_limit.banned").await;
        (!rows.is_empty()).then_some(rows)
    });
    let (banned, _) = banned.await;
    assert_eq!((banned.len(), &banned[0]["whom"]), (1, &ban["subject"]), "{banned:?}");
    assert_eq!((&banned[0]["tier"], banned[0].get("subject")), (&json!("address"), None));
    let lift = format!("{ADDRESSES}/blocks/{}", ban["id"].as_str().unwrap());
    operators.call("DELETE", &format!("{LIMITS}/blocks/{}", ban["id"].as_str().unwrap()), access).await.is(404);
    scene.server.clock_ahead(20).await;
    operators.call("DELETE", &lift, access).await.is(204);
    operators.call("DELETE", &lift, access).await.is_problem(404, "not-found");
    the_command_line_lists_and_lifts(&scene.server, network);
    assert_eq!(rows(&mut operators, &session.access, "rate_limit.lifted").await.len(), 3);
    let request = strangers[0].request("GET", "/no/such/path", &[("x-forwarded-for", STRANGER)], b"");
    strangers[0].send(request).await.is_problem(404, "not-found");
    scene.ada.0.get(ADDRESSES, Some(&scene.ada.1.access)).await.is_problem(404, "not-found");
    for slug in ["acme", "admin"] {
        assert!(scene.server.cli(&["audit", "verify", slug], "").status.success(), "{slug}");
    }
}

/// The command line sees that this address alone is blocked, and lifts that, once.
#[track_caller]
fn the_command_line_lists_and_lifts(server: &Server, network: &Value) {
    let listed = server.cli(&["address", "blocks"], "");
    let listed: Vec<Value> = String::from_utf8(listed.stdout).unwrap().lines().map(|l| l.parse().unwrap()).collect();
    assert_eq!(listed.iter().map(|block| &block["subject"]).collect::<Vec<_>>(), [&network["subject"]]);
    let id = network["id"].as_str().unwrap();
    assert!(server.cli(&["address", "unblock", id], "").status.success());
    for (again, exit) in [(id, 65), ("x", 65)] {
        assert_eq!(server.cli(&["address", "unblock", again], "").status.code(), Some(exit));
    }
    assert_eq!(server.cli(&["address", "blocks"], "").stdout, b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_outlives_an_idle_tenant_and_a_clean_restart() {
    let mut scene = Scene::on(Options::new(Engine::Sqlite).limits_off().env("FREEHOLD_TREE_PASSIVATE_S", "1")).await;
    let (_, answer) = scene.hank_hammers("ban").await;
    assert_eq!(refused(&answer, "api-member", "ban"), BAN_S);
    until("the tenant is parked", async || (metric(&scene.server, "freehold_tenants_active").await == 0).then_some(()))
        .await;
    let left_s = refused(&scene.hank_asks().await, "api-member", "ban");
    assert!(left_s <= BAN_S);

    assert_eq!(scene.server.terminate(), Some(0));
    let alone = scene.server.cli(&["tenant", "blocks", "acme"], "");
    assert_eq!(alone.status.code(), Some(69), "{}", String::from_utf8_lossy(&alone.stderr));
    scene.server = scene.server.restarted();
    scene.hank.0 = Conn::to(&scene.server, &scene.acme).await;
    let answer = scene.hank_asks().await;
    assert!(refused(&answer, "api-member", "ban") <= left_s);
    assert_eq!(blocked(&scene.server, "ban").await, 1);
    scene.server.clock_ahead(left_s).await;
    scene.hank_asks().await.is(200);
}

/// What a stranger can fill for somebody else stops at 429; the tiers without a route are held to that by the rule's tests.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_blocked_for_what_others_can_do() {
    let options = Options::new(Engine::Sqlite).limits_off().env("FREEHOLD_LOCKOUT_FAILURES_MAX", "100");
    let server = Server::start(options).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let access = conn.sign_in(&acme).await.access;
    for tier in ["login-account", "api-tenant"] {
        set_limit(&server, "acme", tier, SLOW);
        for n in 0..BURST + KEEPS_ON * 3 {
            let answer = match tier {
                "login-account" => conn.login(&acme, "wrong horse").await,
                _ => conn.get("/v1/me", Some(&access)).await,
            };
            if n >= BURST {
                assert!(refused(&answer, tier, "limit") <= 10);
            }
        }
        set_limit(&server, "acme", tier, "off");
    }
    let seen = conn.get(LIMITS, Some(&access)).await.is(200).json();
    assert_eq!(seen["items"], json!([]));
    assert_eq!((refusals(&server, "login-account", "block").await, blocked(&server, "block").await), (0, 0));
}
