//! Signing in at a provider: a real one, one made by hand, and that one at its worst.

mod browser;
mod fake;
mod hostile;
mod oidc;
mod once;

use serde_json::{Value, json};

pub(crate) use self::browser::Browser;
use self::browser::parameter;
pub(crate) use self::fake::Fake;
pub(crate) use self::oidc::Oidc;
use crate::audit::log;
use crate::support::{Answer, Conn, Engine, Options, Server, Session, Tenant, on_both_engines};

/// The secret of the client that the server is to every provider here.
const SECRET: &str = "cAnArY-client-secret";
const HOME: &str = "http://acme.localhost:8080";
const HOST: &str = "acme.localhost";
const COOKIE: &str = "__Host-freehold-oauth";
const HANDOFF: &str = "/v1/auth/oauth/handoff";

on_both_engines! {
    a_real_openid_provider_links_and_signs_in
    a_github_account_links_and_signs_in
    an_address_alone_opens_no_account
    strangers_register_only_where_it_is_open_and_their_address_is_verified
    the_last_way_in_stays_and_unlinking_ends_other_sessions
    only_a_fresh_session_links_and_only_while_it_lives
}

/// A server with one tenant, and whoever vouches.
struct Scene {
    server: Server,
    acme: Tenant,
    conn: Conn,
}

impl Scene {
    async fn with(options: Options) -> Self {
        let server = Server::start(options.limits_off()).await;
        let acme = server.tenant("acme");
        let conn = Conn::to(&server, &acme).await;
        Self { server, acme, conn }
    }

    fn browser(&self) -> Browser {
        Browser::new(self.server.http)
    }

    /// Signs the admin in with the password and links an account at this provider.
    async fn linked(&mut self, provider: &str) -> (Browser, Session) {
        let session = self.conn.sign_in(&self.acme).await;
        let mut browser = self.browser();
        link(&mut browser, &session, provider).await.is(201);
        (browser, session)
    }

    async fn open_registration(&mut self) {
        let session = self.conn.sign_in(&self.acme).await;
        self.conn.patch("/v1/settings", &session.access, &json!({ "registration": "open" })).await.is(200);
    }

    /// What the audit log says since it had so many rows, oldest first: action, kind of actor, subject.
    async fn told(&mut self, access: &str) -> Vec<Value> {
        let mut rows = log(&mut self.conn, access).await;
        rows.reverse();
        rows
    }

    async fn actions(&mut self, access: &str) -> Vec<String> {
        self.told(access).await.iter().map(|row| row["action"].as_str().unwrap().to_owned()).collect()
    }
}

/// Ada as a provider knows her, with an address that is nobody's here.
pub(crate) fn ada() -> Value {
    json!({ "sub": "583231", "email": "ada@home.example", "verified": true, "name": "Ada Lovelace" })
}

/// From the start at home to the page at home; its address.
async fn round(browser: &mut Browser, provider: &str) -> String {
    browser.follow(&format!("{HOME}/v1/auth/oauth/{provider}/start"), "/auth/handoff").await
}

/// Posts the code of this address, as the page does.
async fn hand_off(browser: &mut Browser, address: &str) -> Answer {
    let code = parameter(address, "code").unwrap_or_else(|| panic!("no code: {address}")).to_owned();
    browser.post(&format!("{HOME}{HANDOFF}"), &json!({ "code": code })).await
}

/// From the start at home to the answer at home.
pub(crate) async fn sign_in(browser: &mut Browser, provider: &str) -> Answer {
    let address = round(browser, provider).await;
    hand_off(browser, &address).await
}

/// Begins to link an account at a provider to the member of a session.
pub(crate) async fn start_link(browser: &mut Browser, session: &Session, provider: &str) -> Answer {
    let bearer = format!("Bearer {}", session.access);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json"), ("origin", HOME)];
    browser.send("POST", &format!("{HOME}/v1/auth/oauth/{provider}/link"), &headers, b"{}").await
}

/// Links an account at a provider to the member of a session.
pub(crate) async fn link(browser: &mut Browser, session: &Session, provider: &str) -> Answer {
    let started = start_link(browser, session, provider).await;
    finish_link(browser, &started).await
}

/// Goes to the provider that this answer names, and comes back.
pub(crate) async fn finish_link(browser: &mut Browser, started: &Answer) -> Answer {
    let url = started.is(200).json()["authorization_url"].as_str().unwrap().to_owned();
    let address = browser.follow(&url, "/auth/handoff").await;
    hand_off(browser, &address).await
}

async fn a_real_openid_provider_links_and_signs_in(engine: Engine) {
    let oidc = Oidc::start("http://localhost:8080/oauth/callback");
    let mut scene = Scene::with(oidc.configure(Options::new(engine))).await;
    let account = json!({ "sub": "g-1087", "email": "ada@home.example", "email_verified": true, "name": "Ada" });
    oidc.account(&account).await;
    let mut stranger = scene.browser();
    sign_in(&mut stranger, "google").await.is_problem(403, "oauth-not-admitted");

    let session = scene.conn.sign_in(&scene.acme).await;
    let mut browser = scene.browser();
    let linked = link(&mut browser, &session, "google").await;
    let identity = linked.is(201).json();
    assert_eq!((&identity["provider"], &identity["account"]), (&json!("google"), &json!("ada@home.example")));
    assert_eq!(linked.header("cache-control"), Some("no-store"));

    // Signed in at the provider still, and in a browser that is new there.
    for browser in [&mut browser, &mut scene.browser()] {
        let signed_in = sign_in(browser, "google").await;
        let by_provider = Session::of(&signed_in);
        let me = scene.conn.get("/v1/me", Some(&by_provider.access)).await.is(200).json();
        assert_eq!(me["member"]["role"], "admin");
        Session::of(&scene.conn.refresh(&by_provider.refresh).await);
    }
    let me = scene.conn.get("/v1/me", Some(&session.access)).await.json();
    let rows = scene.told(&session.access).await;
    let linked = rows.iter().find(|row| row["action"] == "identity.linked").expect("a row");
    assert_eq!((&linked["actor"]["id"], &linked["subject"]), (&me["member"]["id"], &me["member"]["id"]));
    assert_eq!(rows.iter().filter(|row| row["action"] == "session.started").count(), 3);

    let mut other = scene.browser();
    oidc.account(&json!({ "sub": "g-2000", "email": "eve@home.example", "email_verified": true })).await;
    sign_in(&mut other, "google").await.is_problem(403, "oauth-not-admitted");
    oidc.account(&json!({ "sub": "g-1087", "denies": true })).await;
    let address = round(&mut scene.browser(), "google").await;
    assert_eq!(address, format!("{HOME}/auth/handoff#error=oauth-denied"));
    let log = scene.server.log();
    assert!(!log.contains(SECRET) && !log.contains("fho_") && !log.contains("home.example"), "{log}");
}

async fn a_github_account_links_and_signs_in(engine: Engine) {
    let fake = Fake::of(ada()).await;
    let mut scene = Scene::with(fake.configure(Options::new(engine))).await;
    let (mut browser, session) = scene.linked("github").await;
    let identities = scene.conn.get("/v1/auth/identities", Some(&session.access)).await.is(200).json();
    assert_eq!(identities["items"][0]["account"], "ada-at-github");
    assert_eq!((identities["items"].as_array().unwrap().len(), &identities["next_cursor"]), (1, &Value::Null));
    // The same account again is the same identity, and with another address still the same person.
    let again = link(&mut browser, &session, "github").await.is(201).json();
    assert_eq!(again, identities["items"][0]);
    fake.person(json!({ "sub": "583231", "email": "moved@example.com", "verified": false, "name": null }));
    Session::of(&sign_in(&mut browser, "github").await);
    // The same number at the other provider is somebody else.
    sign_in(&mut browser, "google").await.is_problem(403, "oauth-not-admitted");
    assert_eq!(scene.actions(&session.access).await.iter().filter(|action| *action == "identity.linked").count(), 1);
}

/// Whoever has an address at a provider does not have the account here that has it, too.
async fn an_address_alone_opens_no_account(engine: Engine) {
    let fake = Fake::of(ada()).await;
    let mut scene = Scene::with(fake.configure(Options::new(engine))).await;
    scene.open_registration().await;
    let session = scene.conn.sign_in(&scene.acme).await;
    let before = scene.told(&session.access).await.len();
    for (email, verified, status, problem) in [
        (scene.acme.email.as_str(), true, 409, "oauth-not-linked"),
        ("ADA@EXAMPLE.COM", true, 409, "oauth-not-linked"),
        (scene.acme.email.as_str(), false, 403, "oauth-email-unverified"),
    ] {
        fake.person(json!({ "sub": "666", "email": email, "verified": verified, "name": "Ada" }));
        for provider in ["google", "github"] {
            let mut browser = Browser::new(scene.server.http);
            sign_in(&mut browser, provider).await.is_problem(status, problem);
            assert!(browser.cookie(HOST, "__Host-freehold-refresh").is_none());
        }
    }
    assert_eq!(scene.told(&session.access).await.len(), before, "nothing happened");
    let identities = scene.conn.get("/v1/auth/identities", Some(&session.access)).await.json();
    assert_eq!(identities["items"], json!([]));
}

async fn strangers_register_only_where_it_is_open_and_their_address_is_verified(engine: Engine) {
    let fake = Fake::of(ada()).await;
    let mut scene = Scene::with(fake.configure(Options::new(engine))).await;
    for provider in ["google", "github"] {
        sign_in(&mut scene.browser(), provider).await.is_problem(403, "oauth-not-admitted");
    }
    scene.open_registration().await;
    fake.person(json!({ "sub": "1", "email": "bob@home.example", "verified": false, "name": "Bob" }));
    sign_in(&mut scene.browser(), "github").await.is_problem(403, "oauth-email-unverified");

    fake.person(ada());
    let mut browser = scene.browser();
    let registered = Session::of(&sign_in(&mut browser, "github").await);
    let me = scene.conn.get("/v1/me", Some(&registered.access)).await.is(200).json();
    assert_eq!(me["member"]["role"], "employee");
    let again = Session::of(&sign_in(&mut scene.browser(), "github").await);
    assert_eq!(scene.conn.get("/v1/me", Some(&again.access)).await.json()["member"], me["member"]);
    sign_in(&mut scene.browser(), "google").await.is_problem(409, "oauth-not-linked");

    let admin = scene.conn.sign_in(&scene.acme).await;
    let id = me["member"]["id"].as_str().unwrap();
    let member = scene.conn.get(&format!("/v1/members/{id}"), Some(&admin.access)).await.is(200).json();
    assert_eq!((&member["email"], &member["name"]), (&json!("ada@home.example"), &json!("Ada Lovelace")));
    let rows = scene.told(&admin.access).await;
    for action in ["member.registered", "identity.linked"] {
        let of: Vec<_> = rows.iter().filter(|row| row["action"] == action).collect();
        assert_eq!((of.len(), of[0]["subject"].as_str()), (1, Some(id)), "{action}");
    }
    // It has no password: none opens it, and the one way in stays.
    let login = json!({ "email": "ada@home.example", "password": "" });
    assert!(scene.conn.post("/v1/auth/login", None, &login).await.status.is_client_error());
    let login = json!({ "email": "ada@home.example", "password": "correct horse of acme" });
    scene.conn.post("/v1/auth/login", None, &login).await.is_problem(401, "invalid-credentials");
    let path = format!("/v1/members/{id}/deactivate");
    scene.conn.post(&path, Some(&admin.access), &json!({})).await.is(200);
    sign_in(&mut scene.browser(), "github").await.is_problem(403, "oauth-not-admitted");
    assert_eq!(scene.conn.me(&again.access).await, 401);
}

async fn the_last_way_in_stays_and_unlinking_ends_other_sessions(engine: Engine) {
    let fake = Fake::of(ada()).await;
    let mut scene = Scene::with(fake.configure(Options::new(engine))).await;
    let (mut browser, session) = scene.linked("google").await;
    let path = |identity: &Value| format!("/v1/auth/identities/{}", identity["id"].as_str().unwrap());
    let identity = scene.conn.get("/v1/auth/identities", Some(&session.access)).await.json()["items"][0].clone();
    let other = Session::of(&sign_in(&mut browser, "google").await);
    let under_way = round(&mut browser, "google").await;
    scene.conn.call("DELETE", &path(&identity), Some(&session.access)).await.is(204);
    assert_eq!((scene.conn.me(&other.access).await, scene.conn.me(&session.access).await), (401, 401));
    scene.conn.refresh(&other.refresh).await.is_problem(401, "unauthenticated");
    let session = Session::of(&scene.conn.refresh(&session.refresh).await);
    hand_off(&mut browser, &under_way).await.is_problem(403, "oauth-not-admitted");
    sign_in(&mut browser, "google").await.is_problem(403, "oauth-not-admitted");
    scene.conn.call("DELETE", &path(&identity), Some(&session.access)).await.is_problem(404, "not-found");
    assert_eq!(scene.actions(&session.access).await.iter().filter(|action| *action == "identity.unlinked").count(), 1);

    let mut subjects: Vec<_> =
        scene.server.letters(2).await.iter().map(|letter| letter.header("Subject").to_owned()).collect();
    subjects.sort();
    assert_eq!(subjects, ["A way to sign in was added at acme", "A way to sign in was removed at acme"]);

    // One who registered has no password: of two accounts one may go, whichever way they are asked for.
    scene.open_registration().await;
    let registered = Session::of(&sign_in(&mut browser, "google").await);
    fake.person(json!({ "sub": "2", "email": "ada@work.example", "verified": false, "name": "Ada" }));
    link(&mut browser, &registered, "github").await.is(201);
    let items = scene.conn.get("/v1/auth/identities", Some(&registered.access)).await.json()["items"].clone();
    let (first, second) = (path(&items[0]), path(&items[1]));
    let session = scene.conn.sign_in(&scene.acme).await;
    scene.conn.call("DELETE", &first, Some(&session.access)).await.is_problem(404, "not-found");
    let (mut one, mut two) = (Conn::to(&scene.server, &scene.acme).await, Conn::to(&scene.server, &scene.acme).await);
    let access = Some(registered.access.as_str());
    let (one, two) = tokio::join!(one.call("DELETE", &first, access), two.call("DELETE", &second, access));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert!(statuses == [204, 401] || statuses == [204, 409], "{statuses:?}: the first ends the access token");
    let registered = Session::of(&scene.conn.refresh(&registered.refresh).await);
    let left = scene.conn.get("/v1/auth/identities", Some(&registered.access)).await.json()["items"].clone();
    assert_eq!(left.as_array().unwrap().len(), 1);
    let last = scene.conn.call("DELETE", &path(&left[0]), Some(&registered.access)).await;
    last.is_problem(409, "conflict");
    assert_eq!(scene.conn.me(&registered.access).await, 200, "nothing happened");
}

async fn only_a_fresh_session_links_and_only_while_it_lives(engine: Engine) {
    let fake = Fake::of(ada()).await;
    let mut scene = Scene::with(fake.configure(Options::new(engine))).await;
    let session = scene.conn.sign_in(&scene.acme).await;
    let mut browser = scene.browser();
    let nobody = scene.conn.post("/v1/auth/oauth/google/link", None, &json!({})).await;
    nobody.is_problem(401, "unauthenticated");

    // A session that ends meanwhile links nothing.
    let started = start_link(&mut browser, &session, "google").await;
    let url = started.is(200).json()["authorization_url"].as_str().unwrap().to_owned();
    let address = browser.follow(&url, "/auth/handoff").await;
    scene.conn.call("POST", "/v1/auth/logout", Some(&session.access)).await.is(204);
    hand_off(&mut browser, &address).await.is_problem(400, "oauth-expired");

    let session = scene.conn.sign_in(&scene.acme).await;
    scene.server.run_sql(&scene.acme, "UPDATE token_family SET created_at_ms = created_at_ms - 300000").await;
    start_link(&mut browser, &session, "google").await.is_problem(403, "forbidden");
    let session = scene.conn.sign_in(&scene.acme).await;
    link(&mut browser, &session, "google").await.is(201);
    let identity = scene.conn.get("/v1/auth/identities", Some(&session.access)).await.json()["items"][0].clone();
    scene.server.run_sql(&scene.acme, "UPDATE token_family SET created_at_ms = created_at_ms - 300000").await;
    let path = format!("/v1/auth/identities/{}", identity["id"].as_str().unwrap());
    scene.conn.call("DELETE", &path, Some(&session.access)).await.is_problem(403, "forbidden");

    // An account is one member's.
    scene.open_registration().await;
    fake.person(json!({ "sub": "2", "email": "bob@home.example", "verified": true, "name": "Bob" }));
    let mut bobs = scene.browser();
    let bob = Session::of(&sign_in(&mut bobs, "google").await);
    fake.person(ada());
    link(&mut bobs, &bob, "google").await.is_problem(409, "conflict");
}
