//! Custom domains: claimed by anybody, attached to whoever proves them, and to nobody any more once the proof is gone.

pub(crate) mod names;

use std::time::Duration;

use serde_json::{Value, json};

use self::names::{Names, Web};
use crate::audit::log;
use crate::oauth::{self, Browser, Fake};
use crate::operators::platform;
use crate::support::{Answer, Conn, Database, Engine, Line, Options, Proxy, Server, Session, Tenant, on_both_engines};
use crate::watch::{metric, until};
use crate::webhook_in::signed::{SQUARE, square, square_event};
use crate::webhook_in::{post, set_secret};

const SHOP: &str = "shop.test";
const DOMAINS: &str = "/v1/domains";
const PROOF: &str = "/.well-known/freehold-domain-verification";

on_both_engines! {
    a_domain_is_claimed_proved_served_and_detached_when_its_proof_is_gone
    a_verified_domain_is_nobody_elses_and_a_claim_keeps_nobody_from_it
    what_cannot_be_a_domain_is_named
    a_page_proves_a_domain_and_nothing_but_it_is_asked
    a_custom_domain_is_the_tenants_own_host
    a_webhook_that_comes_to_a_custom_domain_is_signed_for_its_url
    browsers_are_told_of_a_custom_domain_and_of_names_under_it_only_by_its_tenants_word
}

/// A tenant whose server asks a name server of ours.
struct Scene {
    names: Names,
    web: Web,
    server: Server,
    acme: Tenant,
    conn: Conn,
    access: String,
}

impl Scene {
    async fn with(options: Options) -> Self {
        let (names, web) = (Names::start().await, Web::start().await);
        let server = Server::start(Self::asking(&names, &web, options)).await;
        Self::at_server(server, names, web).await
    }

    fn asking(names: &Names, web: &Web, options: Options) -> Options {
        options
            .env("FREEHOLD_DOMAINS_RESOLVER", &names.address.to_string())
            .env("FREEHOLD_DOMAINS_HTTP_PORT", &web.address.port().to_string())
            .limits_off()
    }

    async fn at_server(server: Server, names: Names, web: Web) -> Self {
        let acme = server.tenant("acme");
        let mut conn = Conn::to(&server, &acme).await;
        let access = conn.sign_in(&acme).await.access;
        Self { names, web, server, acme, conn, access }
    }

    async fn claim(&mut self, domain: &str) -> Answer {
        self.conn.post(DOMAINS, Some(&self.access), &json!({ "domain": domain })).await
    }

    async fn verify(&mut self, domain: &str) -> Answer {
        verify(&mut self.conn, &self.access, domain).await
    }

    /// Claims a domain, shows its text in the DNS, and has it attached.
    async fn attach(&mut self, domain: &str) -> Value {
        let claimed = self.claim(domain).await.is(201).json();
        self.show(&claimed);
        self.verify(domain).await.is(200).json()
    }

    fn show(&self, claimed: &Value) {
        let txt = &claimed["proof"]["txt"];
        self.names.texts(txt["name"].as_str().unwrap(), &["v=spf1 -all", txt["value"].as_str().unwrap()]);
    }

    /// Claims a domain whose address is that of our web server; what its page must hold.
    async fn page_of(&mut self, domain: &str) -> String {
        self.names.addresses(domain, &["127.0.0.1"]);
        self.claim(domain).await.is(201).json()["proof"]["http"]["body"].as_str().unwrap().to_owned()
    }

    async fn at(&self, host: &str) -> Conn {
        Conn::open(self.server.http, host).await
    }

    async fn read(&mut self, domain: &str) -> Value {
        self.conn.get(&format!("{DOMAINS}/{domain}"), Some(&self.access)).await.is(200).json()
    }
}

/// Asks once more when somebody has asked a moment ago.
async fn verify(conn: &mut Conn, access: &str, domain: &str) -> Answer {
    let path = format!("{DOMAINS}/{domain}/verify");
    let ask = async || {
        let answer = conn.post(&path, Some(access), &json!({})).await;
        let too_soon = answer.status == 409 && answer.header("retry-after").is_some();
        (!too_soon).then_some(answer)
    };
    until("it may be looked at again", ask).await.0
}

#[track_caller]
fn unproved(answer: &Answer, txt: &str, http: &str) {
    answer.is_problem(400, "validation");
    let errors = answer.json()["errors"].clone();
    let told: Vec<_> = errors.as_array().unwrap().iter().map(|error| error["message"].as_str().unwrap()).collect();
    assert!(told.len() == 2 && told[0].contains(txt) && told[1].contains(http), "{errors}");
}

async fn a_domain_is_claimed_proved_served_and_detached_when_its_proof_is_gone(engine: Engine) {
    let options = Options::new(engine)
        .env("FREEHOLD_DOMAINS_RECHECK_S", "1")
        .env("FREEHOLD_DOMAINS_RETRY_S", "1")
        .env("FREEHOLD_DOMAINS_DETACH_AFTER_S", "4");
    let mut scene = Scene::with(options).await;
    let claimed = scene.claim("Shop.Test.").await.is(201).json();
    assert_eq!((&claimed["domain"], &claimed["state"]), (&json!(SHOP), &json!("claimed")));
    assert_eq!((&claimed["attached_at"], claimed["ends_at"].is_string()), (&Value::Null, true));
    let challenge = claimed["proof"]["http"]["body"].as_str().unwrap().to_owned();
    assert_eq!(claimed["proof"]["http"]["url"], format!("http://{SHOP}{PROOF}"));
    assert_eq!(claimed["proof"]["txt"]["name"], "_freehold.shop.test");
    scene.claim(SHOP).await.is_problem(409, "conflict");

    // What is claimed leads nowhere, and is not proved by what is not its proof.
    let mut shop = scene.at("shop.test:8080").await;
    shop.get("/v1/me", None).await.is_problem(404, "not-found");
    unproved(&scene.verify(SHOP).await, "is not there", "is not there");
    let again = scene.conn.post(&format!("{DOMAINS}/{SHOP}/verify"), Some(&scene.access), &json!({})).await;
    again.is_problem(409, "conflict");
    assert_eq!(again.header("retry-after"), Some("5"));
    scene.names.texts("_freehold.shop.test", &[&challenge, "freehold-domain-verification="]);
    unproved(&scene.verify(SHOP).await, "somebody else", "is not there");
    shop.get(PROOF, None).await.is_problem(404, "not-found");

    scene.show(&claimed);
    let attached = scene.verify(SHOP).await.is(200).json();
    assert_eq!((&attached["state"], &attached["ends_at"]), (&json!("attached"), &Value::Null));
    let me = shop.get("/v1/me", Some(&scene.access)).await.is(200).json();
    assert_eq!(me["tenant"]["slug"], "acme");
    assert_eq!(shop.get(PROOF, None).await.is(200).body, format!("{challenge}\n"));
    assert_eq!(scene.conn.get(PROOF, None).await.status, 404, "at the tenant's own host");

    // Nobody answers: nothing is gone. The proof is gone: not at once.
    scene.names.silent(true);
    let asked = scene.names.asked("_freehold.shop.test");
    until("it was looked at", async || (scene.names.asked("_freehold.shop.test") > asked + 3).then_some(())).await;
    scene.names.silent(false);
    scene.names.failing(true);
    let asked = scene.names.asked("_freehold.shop.test");
    until("it was looked at", async || (scene.names.asked("_freehold.shop.test") > asked + 3).then_some(())).await;
    assert_eq!(scene.read(SHOP).await["failing_since"], Value::Null);
    scene.names.failing(false);
    scene.names.texts("_freehold.shop.test", &[]);
    let failing =
        until("it is missed", async || Some(scene.read(SHOP).await).filter(|item| item["state"] == "failing"));
    let failing = failing.await.0;
    assert!(failing["failing_since"].is_string() && failing["ends_at"].is_string(), "{failing}");
    shop.get("/v1/me", Some(&scene.access)).await.is(200);
    scene.show(&claimed);
    until("it is back", async || Some(scene.read(SHOP).await).filter(|item| item["state"] == "attached")).await;
    scene.names.texts("_freehold.shop.test", &[]);
    until("it is detached", async || Some(scene.read(SHOP).await).filter(|item| item["state"] == "claimed")).await;
    shop.get("/v1/me", Some(&scene.access)).await.is_problem(404, "not-found");
    let told = async || {
        let rows = log(&mut scene.conn, &scene.access).await;
        let rows = rows.iter().filter(|row| row["domain"] == SHOP);
        let told: Vec<_> = rows.map(|row| row["action"].as_str().unwrap().to_owned()).collect();
        (told.len() == 3).then_some(told)
    };
    let (told, _) = until("it is recorded", told).await;
    assert_eq!(told, ["domain.claimed", "domain.attached", "domain.detached"]);
    assert!(scene.server.cli(&["audit", "verify", "acme"], "").status.success());
}

async fn a_verified_domain_is_nobody_elses_and_a_claim_keeps_nobody_from_it(engine: Engine) {
    let mut scene = Scene::with(Options::new(engine)).await;
    let globex = scene.server.tenant("globex");
    let mut other = Conn::to(&scene.server, &globex).await;
    let access = other.sign_in(&globex).await.access;
    // Globex claims first, and that keeps nobody from anything.
    let squatted = other.post(DOMAINS, Some(&access), &json!({ "domain": SHOP })).await.is(201).json();
    let attached = scene.attach(SHOP).await;
    assert_ne!(squatted["proof"]["txt"]["value"], attached["proof"]["txt"]["value"], "one proof for one tenant");
    unproved(&verify(&mut other, &access, SHOP).await, "somebody else", "is not there");
    // Even with a proof of its own, as long as acme has it.
    let texts = [&squatted, &attached].map(|item| item["proof"]["txt"]["value"].as_str().unwrap().to_owned());
    scene.names.texts("_freehold.shop.test", &[&texts[0], &texts[1]]);
    verify(&mut other, &access, SHOP).await.is_problem(409, "conflict");
    let mut shop = scene.at("shop.test:8080").await;
    shop.get("/v1/me", Some(&scene.access)).await.is(200);
    shop.get("/v1/me", Some(&access)).await.is_problem(401, "unauthenticated");
    // Neither sees or changes what is the other's.
    scene.claim("a.test").await.is(201);
    for path in [format!("{DOMAINS}/a.test"), format!("{DOMAINS}/nobody.test"), format!("{DOMAINS}/..")] {
        other.get(&path, Some(&access)).await.is_problem(404, "not-found");
        other.call("DELETE", &path, Some(&access)).await.is_problem(404, "not-found");
        other.patch(&path, &access, &json!({ "hsts_subdomains": true })).await.is_problem(404, "not-found");
    }
    let items = |answer: Answer| answer.json()["items"].as_array().unwrap().len();
    assert_eq!(items(other.get(DOMAINS, Some(&access)).await), 1);

    // Given up, it leads nowhere, and whoever proves it has it.
    scene.conn.call("DELETE", &format!("{DOMAINS}/{SHOP}"), Some(&scene.access)).await.is(204);
    shop.get("/v1/me", Some(&scene.access)).await.is_problem(404, "not-found");
    verify(&mut other, &access, SHOP).await.is(200);
    assert_eq!(shop.get("/v1/me", Some(&access)).await.is(200).json()["tenant"]["slug"], "globex");
    shop.get("/v1/me", Some(&scene.access)).await.is_problem(401, "unauthenticated");
    let claimed = scene.claim(SHOP).await.is(201).json();
    assert_ne!(claimed["proof"], attached["proof"], "another claim, another proof");

    // By the command line.
    let listed = scene.server.cli(&["domain", "list", "globex"], "");
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!((&listed["domain"], listed["attached_at"].is_string()), (&json!(SHOP), true));
    assert!(scene.server.cli(&["domain", "remove", "globex", "SHOP.test"], "").status.success());
    shop.get("/v1/me", Some(&access)).await.is_problem(404, "not-found");
    assert_eq!(scene.server.cli(&["domain", "remove", "globex", SHOP], "").status.code(), Some(65));
    // A tenant that is suspended is so by every name.
    scene.show(&claimed);
    scene.verify(SHOP).await.is(200);
    assert!(scene.server.cli(&["tenant", "suspend", "acme"], "").status.success());
    shop.get("/v1/me", Some(&scene.access)).await.is_problem(403, "tenant-suspended");
}

async fn what_cannot_be_a_domain_is_named(engine: Engine) {
    let mut scene = Scene::with(Options::new(engine)).await;
    for (domain, told) in [
        ("", "domain name"),
        ("shop", "domain name"),
        ("https://shop.test", "domain name"),
        ("127.0.0.1", "domain name"),
        ("*.shop.test", "domain name"),
        ("co.uk", "suffix"),
        ("github.io", "suffix"),
        ("acme.localhost", "special use"),
        ("printer.local", "special use"),
    ] {
        let answer = scene.claim(domain).await;
        answer.is_problem(400, "validation");
        let error = &answer.json()["errors"][0];
        assert_eq!(error["field"], "domain");
        assert!(error["message"].as_str().unwrap().contains(told), "{domain}: {error}");
    }
    for body in [json!({}), json!({ "domain": 1 }), json!({ "domain": null }), json!({ "domain": SHOP, "x": 1 })] {
        scene.conn.post(DOMAINS, Some(&scene.access), &body).await.is_problem(400, "validation");
    }
    let claimed = scene.claim("BÜCHER.test").await.is(201).json();
    assert_eq!(claimed["domain"], "xn--bcher-kva.test");
    scene.claim("xn--bcher-kva.test").await.is_problem(409, "conflict");
    scene.conn.get(&format!("{DOMAINS}/b%C3%BCcher.test"), Some(&scene.access)).await.is(200);
    for n in 1..20 {
        scene.claim(&format!("n{n}.test")).await.is(201);
    }
    scene.claim("one-more.test").await.is_problem(409, "conflict");
    scene.conn.get(DOMAINS, None).await.is_problem(401, "unauthenticated");
    let nothing = scene.conn.get(&format!("{DOMAINS}?x=1"), Some(&scene.access)).await;
    nothing.is_problem(400, "validation");
}

async fn a_page_proves_a_domain_and_nothing_but_it_is_asked(engine: Engine) {
    let mut scene = Scene::with(Options::new(engine)).await;
    let body = scene.page_of(SHOP).await;
    scene.web.page(&body);
    // An address of this machine is not asked, whatever it has.
    let own = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"];
    scene.names.addresses(SHOP, &own);
    unproved(&scene.verify(SHOP).await, "is not there", "not the Internet's");
    assert_eq!(scene.web.heads.lock().unwrap().len(), 0);

    // Where the operator allows it.
    let mut scene = Scene::with(Options::new(engine).env("FREEHOLD_DOMAINS_PRIVATE_CIDRS", "127.0.0.1/32")).await;
    let elsewhere = Web::start().await;
    let body = scene.page_of("redirects.test").await;
    elsewhere.page(&body);
    scene.web.redirect(&format!("http://{}{PROOF}", elsewhere.address));
    unproved(&scene.verify("redirects.test").await, "is not there", "is not there");
    assert_eq!(elsewhere.heads.lock().unwrap().len(), 0, "no redirect is followed");
    for (name, front, back) in
        [("wrapped.test", "<p>", "</p>"), ("long.test", &*" ".repeat(2_000), ""), ("more.test", "", "x")]
    {
        let body = scene.page_of(name).await;
        scene.web.page(&format!("{front}{body}{back}"));
        unproved(&scene.verify(name).await, "is not there", "something else");
    }
    scene.page_of("odd.test").await;
    scene.web.raw("no HTTP at all\r\n\r\n");
    unproved(&scene.verify("odd.test").await, "is not there", "no answer");
    let body = scene.page_of(SHOP).await;
    scene.web.page(&format!("{body}\n"));
    scene.verify(SHOP).await.is(200);
    let head = scene.web.heads.lock().unwrap().last().unwrap().clone();
    assert!(head.starts_with(&format!("GET {PROOF} HTTP/1.1\r\n")) && head.contains("host: shop.test\r\n"), "{head}");
    assert!(!head.contains("cookie") && !head.contains("authorization"), "{head}");
}

async fn a_webhook_that_comes_to_a_custom_domain_is_signed_for_its_url(engine: Engine) {
    let mut scene = Scene::with(Options::new(engine)).await;
    scene.attach(SHOP).await;
    let admin = scene.conn.sign_in(&scene.acme).await;
    set_secret(&mut scene.conn, &admin, "square", SQUARE).await;
    let listed = scene.conn.get("/v1/webhooks/sources", Some(&admin.access)).await.is(200).json();
    let row = listed["items"].as_array().unwrap().iter().find(|row| row["source"] == "square").unwrap().clone();
    let urls: Vec<_> = row["urls"].as_array().unwrap().iter().map(|url| url.as_str().unwrap()).collect();
    let [own, shops] = urls[..] else { panic!("{urls:?}") };
    assert!(shops.contains("://shop.test") && own.contains("://acme.localhost"), "{urls:?}");
    let mut shop = Conn::open(scene.server.http, SHOP).await;
    for (event, url, at_shop, at_own) in [("one", shops, 200, 401), ("two", own, 401, 200)] {
        let signed = square(SQUARE, url, &square_event(event));
        assert_eq!(post(&mut shop, &signed).await.unwrap().status, at_shop, "{url}");
        assert_eq!(post(&mut scene.conn, &signed).await.unwrap().status, at_own, "{url}");
    }
    let outcome = |outcome| format!("freehold_webhooks_total{{provider=\"square\",outcome=\"{outcome}\"}}");
    for counted in ["accepted", "refused"] {
        assert_eq!(metric(&scene.server, &outcome(counted)).await, 2, "{counted}");
    }
}

async fn a_custom_domain_is_the_tenants_own_host(engine: Engine) {
    let fake = Fake::of(oauth::ada()).await;
    let mut scene = Scene::with(fake.configure(Options::new(engine))).await;
    scene.attach(SHOP).await;
    let mut shop = scene.at("shop.test:8080").await;
    let login = json!({ "email": scene.acme.email, "password": scene.acme.password, "transport": "cookie" });
    let post = |conn: &Conn, origin: &str| {
        let headers = [("content-type", "application/json"), ("origin", origin)];
        conn.request("POST", "/v1/auth/login", &headers, login.to_string().as_bytes())
    };
    let request = post(&shop, "http://shop.test:8080");
    let signed_in = shop.send(request).await;
    assert!(signed_in.is(200).header("set-cookie").unwrap().contains("__Host-freehold-refresh="));
    for foreign in ["http://evil.test", "http://shop.test", "http://xshop.test:8080", "null"] {
        let request = post(&shop, foreign);
        shop.send(request).await.is_problem(403, "csrf");
    }
    // The tokens are the tenant's, by whichever name.
    let session = shop.sign_in(&scene.acme).await;
    assert_eq!(scene.conn.me(&session.access).await, 200);
    let home = scene.conn.get("/.well-known/jwks.json", None).await.is(200).body.clone();
    assert_eq!(shop.get("/.well-known/jwks.json", None).await.is(200).body, home);
    // What other hosts have is not here, and this is nowhere else.
    shop.get("/v1/tenants", Some(&session.access)).await.is_problem(404, "not-found");
    for host in ["www.shop.test", "xshop.test", "test", "shop.test.evil.test"] {
        scene.at(host).await.get("/v1/me", Some(&session.access)).await.is_problem(404, "not-found");
    }

    // A sign-in at a provider that begins here comes home here.
    let mut browser = Browser::new(scene.server.http);
    oauth::link(&mut browser, &Session { access: scene.access.clone(), ..session.clone() }, "google").await.is(201);
    let mut browser = Browser::new(scene.server.http);
    let start = "http://shop.test:8080/v1/auth/oauth/google/start";
    let address = browser.follow(start, "/auth/handoff").await;
    let (front, code) = address.split_once("#code=").unwrap_or_else(|| panic!("{address}"));
    assert_eq!(front, "http://shop.test:8080/auth/handoff");
    let code = json!({ "code": code });
    let posted = browser.post("http://shop.test:8080/v1/auth/oauth/handoff", &code).await;
    assert_eq!(scene.conn.me(&Session::of(&posted).access).await, 200);
    // What is told of weaknesses here is told at this name.
    let platform = platform(&scene.server).await;
    shop.get("/security/report", None).await.is(200);
    shop.post("/v1/security-reports", None, &json!({ "text": "an open door" })).await.is(201);
    let mut operators = Conn::to(&scene.server, &platform).await;
    let operator = operators.sign_in(&platform).await.access;
    let told = operators.get("/v1/security-reports", Some(&operator)).await.is(200).json();
    assert_eq!(told["items"][0]["host"], SHOP, "{told}");
    // Reports of browsers are taken of pages of this host.
    let page = shop.get("/", None).await;
    let policy = page.is(200).header("content-security-policy").unwrap();
    assert!(policy.contains("report-uri /csp-report"), "{policy}");
}

async fn browsers_are_told_of_a_custom_domain_and_of_names_under_it_only_by_its_tenants_word(engine: Engine) {
    const WHOLE: &str = "max-age=63072000; includeSubDomains; preload";
    let mut scene = Scene::with(Options::new(engine).env("FREEHOLD_HTTP_TRUSTED_PROXIES", "127.0.0.1")).await;
    scene.attach(SHOP).await;
    let path = format!("{DOMAINS}/{SHOP}");
    let mut shop = scene.at(SHOP).await.by_https();
    for (told, subdomains) in [("max-age=63072000", false), (WHOLE, true), ("max-age=63072000", false)] {
        let set = json!({ "hsts_subdomains": subdomains });
        assert_eq!(scene.conn.patch(&path, &scene.access, &set).await.is(200).json()["hsts_subdomains"], subdomains);
        for page in ["/", "/nothing", "/v1/me"] {
            let answer = shop.get(page, None).await;
            assert_eq!(answer.header("strict-transport-security"), Some(told), "{page}");
        }
    }
    for body in [json!({}), json!({ "hsts_subdomains": "yes" }), json!({ "hsts_subdomains": null })] {
        scene.conn.patch(&path, &scene.access, &body).await.is_problem(400, "validation");
    }
    // Without TLS nothing of the kind.
    assert_eq!(scene.at(SHOP).await.get("/", None).await.header("strict-transport-security"), None);
}

/// What was known holds on while the store is away, as it does for the platform's hosts.
#[tokio::test(flavor = "multi_thread")]
async fn a_custom_domain_is_found_while_the_store_is_away_for_a_moment() {
    let (names, web, database) = (Names::start().await, Web::start().await, Database::new().await);
    let proxy = Proxy::before(database.port()).await;
    let options = Scene::asking(&names, &web, Options::new(Engine::Postgres));
    let server = Server::start_through(options, database, proxy.port);
    let mut scene = Scene::at_server(server, names, web).await;
    scene.attach(SHOP).await;
    let mut shop = scene.at("shop.test:8080").await;
    shop.get("/.well-known/jwks.json", None).await.is(200);
    proxy.set(Line::Cut);
    tokio::time::sleep(Duration::from_millis(1_100)).await; // it is asked of the store every second
    shop.get("/.well-known/jwks.json", None).await.is(200);
    scene.at("nobody.test").await.get("/", None).await.is_problem(503, "unavailable");
    proxy.set(Line::Open);
    let back = async || (scene.at("nobody.test").await.get("/", None).await.status == 404).then_some(());
    until("the store is back", back).await;
    shop.get("/.well-known/jwks.json", None).await.is(200);
}
