//! Accounts by mail: a forgotten password, registration, and that neither tells who has an account.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::audit;
use crate::second_factor::{Enrolled, challenge};
use crate::support::{
    Answer, Conn, Effort, Engine, Mail, Options, STATEMENTS_LOGGED, Server, Session, Tenant, headers_seen,
    on_both_engines, open_split, post_at_once, winner,
};

const FORGOT: &str = "/v1/auth/password/forgot";
const RESET: &str = "/v1/auth/password/reset";
const REGISTER: &str = "/v1/auth/register";
const VERIFY: &str = "/v1/auth/email/verify";

const NEW_PASSWORD: &str = "a wholly different phrase";
const OTHER_PASSWORD: &str = "and yet another long phrase";
const STRANGER: &str = "nobody@example.org";
/// Uses of one token at the same moment.
const USES: usize = 100;

on_both_engines! {
    a_forgotten_password_is_replaced_and_every_session_dead
    a_reset_is_no_way_past_the_second_factor_and_opens_a_locked_account
    of_many_who_use_one_token_one_wins
    asking_tells_nobody_who_has_an_account
    a_registration_is_a_member_once_its_address_is_confirmed
}

async fn forgot(conn: &mut Conn, email: &str) -> Answer {
    conn.post(FORGOT, None, &json!({ "email": email })).await
}

fn reset(token: &str, new: &str) -> Value {
    json!({ "token": token, "new_password": new })
}

fn registration(email: &str) -> Value {
    json!({ "email": email, "password": NEW_PASSWORD, "name": "Grace Hopper" })
}

/// The newest letter, once there are this many.
async fn letter(server: &Server, count: usize) -> Mail {
    let mut letters = server.letters(count).await;
    assert_eq!(letters.len(), count, "{letters:?}");
    letters.pop().unwrap()
}

async fn open_registration(conn: &mut Conn, acme: &Tenant) {
    let session = conn.sign_in(acme).await;
    conn.patch("/v1/settings", &session.access, &json!({ "registration": "open" })).await.is(200);
}

async fn a_forgotten_password_is_replaced_and_every_session_dead(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    forgot(&mut conn, &acme.email.to_uppercase()).await.is(202);
    let first = letter(&server, 1).await;
    assert_eq!((first.header("To"), first.header("Subject")), (acme.email.as_str(), "A new password for acme"));
    let voided = first.token("http://acme.localhost:8080/auth/reset");
    forgot(&mut conn, &acme.email).await.is(202);
    let token = letter(&server, 2).await.token("/auth/reset");

    // Getting the page spends nothing, and the page holds nothing.
    let page = conn.get("/auth/reset", None).await;
    assert!(String::from_utf8_lossy(&page.is(200).body).contains("/v1/auth/password/reset"));
    assert_eq!(page.header("cache-control"), Some("no-store"));

    for wrong in [&voided, "fhr_AAAA", "x", &token.to_uppercase()] {
        conn.post(RESET, None, &reset(wrong, NEW_PASSWORD)).await.is_problem(401, "invalid-credentials");
    }
    // A password that will not do leaves the token as it is.
    let short = conn.post(RESET, None, &reset(&token, "too short")).await;
    short.is_problem(400, "validation");
    assert_eq!(short.json()["errors"][0]["field"], "new_password");
    assert_eq!(conn.me(&session.access).await, 200);

    let answer = conn.post(RESET, None, &reset(&token, NEW_PASSWORD)).await;
    answer.is(204);
    assert!(answer.header("set-cookie").is_none() && answer.body.is_empty(), "it starts no session: {answer:?}");
    assert_eq!(conn.me(&session.access).await, 401);
    conn.refresh(&session.refresh).await.is_problem(401, "unauthenticated");
    conn.login(&acme, &acme.password).await.is_problem(401, "invalid-credentials");
    let session = Session::of(&conn.login(&acme, NEW_PASSWORD).await);
    conn.post(RESET, None, &reset(&token, OTHER_PASSWORD)).await.is_problem(401, "invalid-credentials");
    let notice = letter(&server, 3).await;
    assert_eq!(notice.header("Subject"), "Your password was changed at acme");
    assert!(notice.text.contains("by a link that we sent you"), "{}", notice.text);

    // A token is for the password that there was: a change voids it.
    forgot(&mut conn, &acme.email).await.is(202);
    let token = letter(&server, 4).await.token("/auth/reset");
    let change = json!({ "current_password": NEW_PASSWORD, "new_password": OTHER_PASSWORD });
    conn.post("/v1/auth/password", Some(&session.access), &change).await.is(200);
    conn.post(RESET, None, &reset(&token, NEW_PASSWORD)).await.is_problem(401, "invalid-credentials");
    let session = Session::of(&conn.login(&acme, OTHER_PASSWORD).await);
    let actions = actions(&mut conn, &session).await;
    for action in ["password.reset_requested", "password.reset"] {
        assert!(actions.contains(action), "{actions:?}");
    }
}

async fn actions(conn: &mut Conn, session: &Session) -> BTreeSet<String> {
    let page = conn.get("/v1/audit?limit=200", Some(&session.access)).await.is(200).json();
    let items = page["items"].as_array().unwrap().iter();
    items.map(|item| item["action"].as_str().unwrap().to_owned()).collect()
}

async fn a_reset_is_no_way_past_the_second_factor_and_opens_a_locked_account(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    Enrolled::at(&mut conn, &acme).await;
    for _ in 0..5 {
        conn.login(&acme, "a wrong password").await.is_problem(401, "invalid-credentials");
    }
    conn.login(&acme, &acme.password).await.is_problem(429, "account-locked");
    forgot(&mut conn, &acme.email).await.is(202);
    let token = letter(&server, 2).await.token("/auth/reset");
    conn.post(RESET, None, &reset(&token, NEW_PASSWORD)).await.is(204);
    let changed = Tenant { password: NEW_PASSWORD.to_owned(), ..acme };
    assert!(!challenge(&mut conn, &changed).await.is_empty());
}

async fn of_many_who_use_one_token_one_wins(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let (acme, token) = forgotten(&server).await;
    one_of_many_resets(&[&server], acme, &token).await;
    assert_eq!(letter(&server, 2).await.header("Subject"), "Your password was changed at acme");
}

/// The same, split over two servers on one store.
#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_take_a_reset_token_once() {
    let one = Server::start(Options::new(Engine::Postgres).limits_off()).await;
    let (acme, token) = forgotten(&one).await;
    let two = one.another();
    one_of_many_resets(&[&one, &two], acme, &token).await;
}

/// A tenant whose admin was sent a link, and its token.
async fn forgotten(server: &Server) -> (Tenant, String) {
    let acme = server.tenant("acme");
    forgot(&mut Conn::to(server, &acme).await, &acme.email).await.is(202);
    let token = letter(server, 1).await.token("/auth/reset");
    (acme, token)
}

/// Uses a token many times at the same moment, each time for another password: one of these is the password then. Who
/// found no place in the hash queue, which is shorter than this on a small machine, did nothing.
async fn one_of_many_resets(servers: &[&Server], acme: Tenant, token: &str) {
    let mut many = open_split(servers, &acme, USES).await;
    let password = |n: usize| format!("password number {n} of many");
    let answers = post_at_once(&mut many, RESET, |n| reset(token, &password(n))).await;
    let won = winner(&answers, 204, (401, "invalid-credentials"));
    let changed = Tenant { password: password(won), ..acme };
    for server in servers {
        let mut conn = Conn::to(server, &changed).await;
        let session = conn.sign_in(&changed).await;
        conn.login(&changed, &password(won ^ 1)).await.is_problem(401, "invalid-credentials");
        let log = audit::log(&mut conn, &session.access).await;
        assert_eq!(log.iter().filter(|row| row["action"] == "password.reset").count(), 1);
    }
}

async fn asking_tells_nobody_who_has_an_account(engine: Engine) {
    let (name, level) = STATEMENTS_LOGGED;
    let server = Server::start(Options::new(engine).limits_off().env(name, level)).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    open_registration(&mut conn, &acme).await;
    conn.get("/.well-known/jwks.json", None).await.is(200); // the tenant is awake
    for (path, body, hashes) in [
        (FORGOT, (|email| json!({ "email": email })) as fn(&str) -> Value, 0),
        (REGISTER, registration as fn(&str) -> Value, 1),
    ] {
        let (known, took) = Effort::of(&server, &mut conn, engine, (path, None), &body(&acme.email)).await;
        let (unknown, takes) = Effort::of(&server, &mut conn, engine, (path, None), &body(STRANGER)).await;
        assert_eq!((known.is(202).status, &known.body), (unknown.status, &unknown.body), "{path}");
        assert_eq!((headers_seen(&known), &took), (headers_seen(&unknown), &takes), "{path}");
        assert_eq!((took.hashes, took.letters), (hashes, 1), "{path}");
    }
    let letters = server.letters(4).await;
    let said: Vec<_> = letters.iter().map(|letter| (letter.header("To"), letter.header("Subject"))).collect();
    assert_eq!(
        said,
        [
            (acme.email.as_str(), "A new password for acme"),
            (STRANGER, "No account at acme"),
            (acme.email.as_str(), "You have an account at acme"),
            (STRANGER, "Confirm your address for acme"),
        ]
    );
}

async fn a_registration_is_a_member_once_its_address_is_confirmed(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    conn.post(REGISTER, None, &registration(STRANGER)).await.is_problem(403, "forbidden");
    open_registration(&mut conn, &acme).await;
    let short = json!({ "email": STRANGER, "password": "short", "name": "x" });
    let refused = conn.post(REGISTER, None, &short).await;
    refused.is_problem(400, "validation");
    assert_eq!(refused.json()["errors"][0]["field"], "password");

    conn.post(REGISTER, None, &registration(STRANGER)).await.is(202);
    let first = letter(&server, 1).await.token("/auth/verify");
    let stranger = Tenant { email: STRANGER.to_owned(), password: NEW_PASSWORD.to_owned(), ..acme.clone() };
    conn.login(&stranger, NEW_PASSWORD).await.is_problem(401, "invalid-credentials");
    conn.post(REGISTER, None, &registration(STRANGER)).await.is(202);
    let token = letter(&server, 2).await.token("/auth/verify");
    conn.get("/auth/verify", None).await.is(200);
    for wrong in [first.as_str(), "fhv_", &token.replacen("fhv_", "fhr_", 1)] {
        conn.post(VERIFY, None, &json!({ "token": wrong })).await.is_problem(401, "invalid-credentials");
    }
    conn.post(RESET, None, &reset(&token, NEW_PASSWORD)).await.is_problem(401, "invalid-credentials");
    conn.post(VERIFY, None, &json!({ "token": token })).await.is(204);
    conn.post(VERIFY, None, &json!({ "token": token })).await.is_problem(401, "invalid-credentials");

    let session = conn.sign_in(&stranger).await;
    let me = conn.get("/v1/me", Some(&session.access)).await.is(200).json();
    assert_eq!(me["member"]["role"], "employee");
    conn.post(REGISTER, None, &registration(STRANGER)).await.is(202);
    assert_eq!(letter(&server, 3).await.header("Subject"), "You have an account at acme");
    let admin = conn.sign_in(&acme).await;
    let actions = actions(&mut conn, &admin).await;
    for action in ["registration.requested", "member.registered"] {
        assert!(actions.contains(action), "{actions:?}");
    }
}

/// The tiers of these routes count the address, and the account from wherever it is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn asking_is_limited() {
    let options = Options::new(Engine::Sqlite).limits_off().env("FREEHOLD_LIMITS_SIGNUP", "5/min");
    let server = Server::start(options.env("FREEHOLD_LIMITS_PASSWORD_RESET", "5/min")).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    open_registration(&mut conn, &acme).await;
    for (path, tier, body) in
        [(FORGOT, "password-reset", json!({ "email": acme.email })), (REGISTER, "signup", registration(&acme.email))]
    {
        for _ in 0..5 {
            conn.post(path, None, &body).await.is(202);
        }
        let limited = conn.post(path, None, &body).await;
        limited.is_problem(429, "rate-limited");
        assert_eq!(limited.json()["tier"], tier);
    }
    assert_eq!(server.letters(10).await.len(), 10);
}
