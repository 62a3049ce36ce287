//! The second factor, from enrolment to its end: what is given once works once, and nothing starts a session without it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use freehold_domain::time::UnixMs;
use freehold_domain::totp::TotpSecret;
use serde_json::{Value, json};

use crate::support::{
    Answer, Conn, Engine, Options, Server, Session, Tenant, on_both_engines, open_many, open_split, post_at_once,
    winner,
};

const ANSWER: &str = "/v1/auth/second-factor";
/// Uses of one code at the same moment.
const USES: usize = 100;
const LOCK_S: u64 = 3;

on_both_engines! {
    a_second_factor_lives_from_enrolment_to_its_end
    a_step_and_a_backup_code_are_spent_once_however_many_use_them
    five_wrong_codes_lock_the_second_factor_and_not_the_password
    five_wrong_answers_void_a_challenge
    a_challenge_is_answered_once_in_time_and_for_its_credential
    confirming_and_taking_away_end_every_other_session
    no_sign_in_slips_past_a_confirmation
    only_a_fresh_session_changes_the_second_factor
    answers_are_limited_by_a_tier_of_their_own
}

/// What a member's telephone knows.
pub(crate) struct Authenticator(TotpSecret);

impl Authenticator {
    /// One that was given this secret in base 32.
    pub(crate) fn of(secret: &str) -> Self {
        Self(TotpSecret::from_random(raw(secret).try_into().unwrap()))
    }

    /// The code that it shows so many steps from now. A server takes the one of now, and the next.
    pub(crate) fn code(&self, ahead: i64) -> String {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        self.0.code_at(UnixMs::new(i64::try_from(now_ms).unwrap() + 30_000 * ahead)).expose().clone()
    }

    /// A code that it does not show these minutes.
    fn wrong_code(&self) -> String {
        let shown: Vec<_> = (-2..6).map(|ahead| self.code(ahead)).collect();
        (0..9).map(|n| format!("{n:06}")).find(|code| !shown.contains(code)).unwrap()
    }
}

/// The bytes of a text in base 32.
pub(crate) fn raw(secret: &str) -> Vec<u8> {
    let value = |letter: &u8| b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|known| known == letter).unwrap();
    let eight = secret.as_bytes().chunks_exact(8);
    let five = eight.map(|eight| eight.iter().fold(0_u64, |bits, letter| bits << 5 | value(letter) as u64));
    five.flat_map(|bits| bits.to_be_bytes()[3..].to_vec()).collect()
}

/// A member with a confirmed authenticator: it, the backup codes, and a session.
pub(crate) struct Enrolled {
    authenticator: Authenticator,
    pub(crate) codes: Vec<String>,
    pub(crate) session: Session,
}

impl Enrolled {
    pub(crate) async fn at(conn: &mut Conn, tenant: &Tenant) -> Self {
        let session = conn.sign_in(tenant).await;
        let authenticator = enrol(conn, &session).await;
        let confirmed = confirm(conn, &session, &authenticator.code(0)).await;
        let session = Session::of(&conn.refresh(&session.refresh).await);
        Self { authenticator, codes: backup_codes(&confirmed), session }
    }
}

async fn enrol(conn: &mut Conn, session: &Session) -> Authenticator {
    let answer = conn.post("/v1/auth/totp/enrol", Some(&session.access), &json!({})).await;
    Authenticator::of(answer.is(200).json()["secret"].as_str().unwrap())
}

async fn confirm(conn: &mut Conn, session: &Session, code: &str) -> Answer {
    conn.post("/v1/auth/totp/confirm", Some(&session.access), &json!({ "code": code })).await
}

#[track_caller]
fn backup_codes(answer: &Answer) -> Vec<String> {
    let body = answer.is(200).json();
    let codes: Vec<_> = body["backup_codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
    assert!(codes.len() == 10 && codes.iter().all(|code| code.len() == 29), "{codes:?}");
    codes.into_iter().map(str::to_owned).collect()
}

/// The first step of a sign-in, and the challenge it is answered with.
pub(crate) async fn challenge(conn: &mut Conn, tenant: &Tenant) -> String {
    let answer = conn.login(tenant, &tenant.password).await;
    answer.is_problem(401, "second-factor-required");
    answer.json()["challenge"].as_str().unwrap().to_owned()
}

fn totp(challenge: &str, code: &str) -> Value {
    json!({ "challenge": challenge, "totp": code })
}

pub(crate) fn backup(challenge: &str, code: &str) -> Value {
    json!({ "challenge": challenge, "backup_code": code })
}

/// Both steps of a sign-in with a code.
async fn with_totp(conn: &mut Conn, tenant: &Tenant, code: &str) -> Answer {
    let challenge = challenge(conn, tenant).await;
    conn.post(ANSWER, None, &totp(&challenge, code)).await
}

/// Both steps of a sign-in with a backup code.
async fn with_backup(conn: &mut Conn, tenant: &Tenant, code: &str) -> Answer {
    let challenge = challenge(conn, tenant).await;
    conn.post(ANSWER, None, &backup(&challenge, code)).await
}

async fn a_second_factor_lives_from_enrolment_to_its_end(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    let access = Some(session.access.as_str());
    conn.call("DELETE", "/v1/auth/totp", access).await.is_problem(404, "not-found");
    confirm(&mut conn, &session, "123456").await.is_problem(409, "conflict");

    let enrolment = conn.post("/v1/auth/totp/enrol", access, &json!({})).await;
    assert_eq!(enrolment.header("cache-control"), Some("no-store"));
    let enrolment = enrolment.is(200).json();
    let (secret, uri) = (enrolment["secret"].as_str().unwrap(), enrolment["otpauth_uri"].as_str().unwrap());
    assert!(uri.starts_with("otpauth://totp/acme:ada%40example.com?secret="), "{uri}");
    assert!(uri.contains(&format!("?secret={secret}&issuer=acme&algorithm=SHA1&digits=6&period=30")), "{uri}");
    assert!(enrolment["qr_svg"].as_str().unwrap().contains("<svg"), "{enrolment}");

    // Until it is confirmed nobody is asked for it, and it can be replaced.
    Session::of(&conn.login(&acme, &acme.password).await);
    conn.post("/v1/auth/backup-codes", access, &json!({})).await.is_problem(409, "conflict");
    let replaced = Authenticator::of(secret);
    let authenticator = enrol(&mut conn, &session).await;
    if replaced.code(0) != authenticator.code(0) {
        confirm(&mut conn, &session, &replaced.code(0)).await.is_problem(401, "invalid-credentials");
    }
    confirm(&mut conn, &session, &authenticator.wrong_code()).await.is_problem(401, "invalid-credentials");
    let first = authenticator.code(0);
    let codes = backup_codes(&confirm(&mut conn, &session, &first).await);
    let session = Session::of(&conn.refresh(&session.refresh).await);
    let access = Some(session.access.as_str());
    conn.post("/v1/auth/totp/enrol", access, &json!({})).await.is_problem(409, "conflict");
    confirm(&mut conn, &session, &authenticator.code(1)).await.is_problem(409, "conflict");

    // The code that confirmed it is spent; the next one signs in once, and no older one after it.
    with_totp(&mut conn, &acme, &first).await.is_problem(401, "invalid-credentials");
    let second = authenticator.code(1);
    let signed_in = Session::of(&with_totp(&mut conn, &acme, &second).await);
    assert_eq!(conn.me(&signed_in.access).await, 200);
    for spent in [&second, &first] {
        with_totp(&mut conn, &acme, spent).await.is_problem(401, "invalid-credentials");
    }
    server.run_sql(&acme, "UPDATE totp SET last_step = 0").await;
    let (older, newer) = (authenticator.code(0), authenticator.code(1));
    Session::of(&with_totp(&mut conn, &acme, &newer).await);
    with_totp(&mut conn, &acme, &older).await.is_problem(401, "invalid-credentials");

    Session::of(&with_backup(&mut conn, &acme, &codes[0]).await);
    with_backup(&mut conn, &acme, &codes[0]).await.is_problem(401, "invalid-credentials");
    Session::of(&with_backup(&mut conn, &acme, &codes[1].to_lowercase().replace('-', "")).await);
    let renewed = backup_codes(&conn.post("/v1/auth/backup-codes", access, &json!({})).await);
    with_backup(&mut conn, &acme, &codes[2]).await.is_problem(401, "invalid-credentials");
    Session::of(&with_backup(&mut conn, &acme, &renewed[2]).await);

    conn.call("DELETE", "/v1/auth/totp", access).await.is(204);
    let session = conn.sign_in(&acme).await;
    conn.call("DELETE", "/v1/auth/totp", Some(&session.access)).await.is_problem(404, "not-found");
    enrol(&mut conn, &session).await;
}

/// Uses one code behind each of these challenges at the same moment: one of them is let in.
async fn one_is_let_in(conns: &mut Vec<Conn>, body: impl Fn(usize) -> Value) {
    let answers = post_at_once(conns, ANSWER, body).await;
    // A charge that lost to another node three times is given up, uncharged.
    Session::of(&answers[winner(&answers, 200, (401, "invalid-credentials"))]);
}

/// Nobody is locked out here: every use is looked at.
fn unlocked(engine: Engine) -> Options {
    Options::new(engine).limits_off().env("FREEHOLD_LOCKOUT_FAILURES_MAX", "100")
}

async fn challenges(conn: &mut Conn, tenant: &Tenant) -> Vec<String> {
    let mut challenges = vec![];
    for _ in 0..USES {
        challenges.push(challenge(conn, tenant).await);
    }
    challenges
}

async fn a_step_and_a_backup_code_are_spent_once_however_many_use_them(engine: Engine) {
    let server = Server::start(unlocked(engine)).await;
    let acme = server.tenant("acme");
    each_is_spent_once(&[&server], &acme).await;
}

/// The same, split over two servers on one store.
#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_spend_a_step_and_a_backup_code_once() {
    let one = Server::start(unlocked(Engine::Postgres)).await;
    let two = one.another();
    let acme = one.tenant("acme");
    each_is_spent_once(&[&one, &two], &acme).await;
}

async fn each_is_spent_once(servers: &[&Server], acme: &Tenant) {
    let mut conn = Conn::to(servers[0], acme).await;
    let enrolled = Enrolled::at(&mut conn, acme).await;
    let mut many = open_split(servers, acme, USES).await;
    let waiting = challenges(&mut conn, acme).await;
    let code = enrolled.authenticator.code(1);
    one_is_let_in(&mut many, |n| totp(&waiting[n], &code)).await;
    // Whoever is let in has no failures: those of the next hundred are not added to those of the last.
    Session::of(&with_backup(&mut conn, acme, &enrolled.codes[1]).await);
    let waiting = challenges(&mut conn, acme).await;
    one_is_let_in(&mut many, |n| backup(&waiting[n], &enrolled.codes[0])).await;
}

async fn five_wrong_codes_lock_the_second_factor_and_not_the_password(engine: Engine) {
    let options = Options::new(engine).limits_off().env("FREEHOLD_LOCKOUT_LOCK_S", &LOCK_S.to_string());
    let server = Server::start(options).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let enrolled = Enrolled::at(&mut conn, &acme).await;
    // In a row, over several challenges; the right one in between starts over.
    let wrong = enrolled.authenticator.wrong_code();
    for _ in 0..4 {
        with_totp(&mut conn, &acme, &wrong).await.is_problem(401, "invalid-credentials");
    }
    Session::of(&with_backup(&mut conn, &acme, &enrolled.codes[0]).await);
    let before = Instant::now();
    for _ in 0..4 {
        with_totp(&mut conn, &acme, &wrong).await.is_problem(401, "invalid-credentials");
    }
    with_backup(&mut conn, &acme, &enrolled.codes[0]).await.is_problem(401, "invalid-credentials");

    // The right ones are not looked at now, and so not spent. The password still leads to a challenge.
    let waiting = challenge(&mut conn, &acme).await;
    let locked = conn.post(ANSWER, None, &totp(&waiting, &enrolled.authenticator.code(1))).await;
    locked.is_problem(429, "account-locked");
    assert!((1..=LOCK_S).contains(&locked.json()["retry_after_s"].as_u64().unwrap()), "{locked:?}");
    conn.post(ANSWER, None, &backup(&waiting, &enrolled.codes[1])).await.is_problem(429, "account-locked");
    let answer = async |conn: &mut Conn| conn.post(ANSWER, None, &backup(&waiting, &enrolled.codes[1])).await;
    let mut last = answer(&mut conn).await;
    while last.status == 429 {
        assert!(before.elapsed() < Duration::from_secs(30), "the lock does not end");
        tokio::time::sleep(Duration::from_millis(10)).await;
        last = answer(&mut conn).await;
    }
    assert!(before.elapsed() >= Duration::from_secs(LOCK_S));
    Session::of(&last);
}

async fn five_wrong_answers_void_a_challenge(engine: Engine) {
    let server = Server::start(unlocked(engine)).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let enrolled = Enrolled::at(&mut conn, &acme).await;
    let (waiting, wrong) = (challenge(&mut conn, &acme).await, enrolled.authenticator.wrong_code());
    for _ in 0..5 {
        conn.post(ANSWER, None, &totp(&waiting, &wrong)).await.is_problem(401, "invalid-credentials");
    }
    let right = enrolled.authenticator.code(1);
    conn.post(ANSWER, None, &totp(&waiting, &right)).await.is_problem(401, "invalid-credentials");
    Session::of(&with_totp(&mut conn, &acme, &right).await);
}

async fn a_challenge_is_answered_once_in_time_and_for_its_credential(engine: Engine) {
    let server = Server::start(unlocked(engine)).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let Enrolled { session, codes, .. } = Enrolled::at(&mut conn, &acme).await;
    let mut codes = codes.iter();
    let mut next = || codes.next().unwrap();

    let waiting = challenge(&mut conn, &acme).await;
    Session::of(&conn.post(ANSWER, None, &backup(&waiting, next())).await);
    conn.post(ANSWER, None, &backup(&waiting, next())).await.is_problem(401, "invalid-credentials");
    // Four good codes at once, behind one challenge.
    let waiting = challenge(&mut conn, &acme).await;
    let four = [next(), next(), next(), next()];
    let mut many = open_many(&server, &acme, four.len()).await;
    one_is_let_in(&mut many, |n| backup(&waiting, four[n])).await;

    let waiting = challenge(&mut conn, &acme).await;
    server.run_sql(&acme, "UPDATE challenge SET expires_at_ms = 1").await;
    let code = next();
    conn.post(ANSWER, None, &backup(&waiting, code)).await.is_problem(401, "invalid-credentials");
    Session::of(&with_backup(&mut conn, &acme, code).await);

    // What is no challenge of this tenant is none: another tenant's, a refresh token, nothing.
    let waiting = challenge(&mut conn, &acme).await;
    let globex = server.tenant("globex");
    let mut elsewhere = Conn::to(&server, &globex).await;
    elsewhere.post(ANSWER, None, &backup(&waiting, next())).await.is_problem(401, "invalid-credentials");
    for other in [session.refresh.as_str(), "x", &waiting[4..]] {
        conn.post(ANSWER, None, &backup(other, "0".repeat(24).as_str())).await.is_problem(401, "invalid-credentials");
    }
    // Nor is it a credential for anything else.
    assert_eq!(conn.me(&waiting).await, 401);

    let new = json!({ "current_password": acme.password, "new_password": "another correct horse" });
    Session::of(&conn.post("/v1/auth/password", Some(&session.access), &new).await);
    conn.post(ANSWER, None, &backup(&waiting, next())).await.is_problem(401, "invalid-credentials");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_step_gives_cookies_to_pages_of_this_host_alone() {
    let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let enrolled = Enrolled::at(&mut conn, &acme).await;
    let mut body = backup(&challenge(&mut conn, &acme).await, &enrolled.codes[0]);
    body["transport"] = json!("cookie");
    let (json, body) = (("content-type", "application/json"), body.to_string());
    for headers in [vec![json], vec![json, ("origin", "https://evil.test")]] {
        conn.send(conn.request("POST", ANSWER, &headers, body.as_bytes())).await.is_problem(403, "csrf");
    }
    // Refused before it was looked at: challenge and code are as good as before.
    let headers = [json, ("origin", "http://acme.localhost")];
    let answer = conn.send(conn.request("POST", ANSWER, &headers, body.as_bytes())).await;
    assert!(answer.is(200).json().get("refresh_token").is_none(), "{answer:?}");
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap()).collect();
    for name in ["__Host-freehold-refresh=", "__Host-freehold-device="] {
        let [line] = cookies.iter().filter(|line| line.starts_with(name)).collect::<Vec<_>>()[..] else {
            panic!("{cookies:?}")
        };
        assert!(line.ends_with("; Secure; HttpOnly; SameSite=Strict"), "{line}");
    }
}

async fn confirming_and_taking_away_end_every_other_session(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let (mine, other) = (conn.sign_in(&acme).await, conn.sign_in(&acme).await);
    let authenticator = enrol(&mut conn, &mine).await;
    assert_eq!((conn.me(&mine.access).await, conn.me(&other.access).await), (200, 200));
    let codes = backup_codes(&confirm(&mut conn, &mine, &authenticator.code(0)).await);
    let dead = async |conn: &mut Conn, session: &Session| {
        conn.get("/v1/me", Some(&session.access)).await.is_problem(401, "unauthenticated");
        conn.refresh(&session.refresh).await.is_problem(401, "unauthenticated");
    };
    dead(&mut conn, &other).await;
    assert_eq!(conn.me(&mine.access).await, 401);
    let next = Session::of(&conn.refresh(&mine.refresh).await);
    assert_eq!((&next.id, conn.me(&next.access).await), (&mine.id, 200));

    let other = Session::of(&with_backup(&mut conn, &acme, &codes[0]).await);
    conn.call("DELETE", "/v1/auth/totp", Some(&next.access)).await.is(204);
    dead(&mut conn, &other).await;
    assert_eq!(conn.me(&next.access).await, 401);
    assert_eq!(Session::of(&conn.refresh(&next.refresh).await).id, mine.id);
}

/// Sign-ins with the password alone that are under way when it stops being enough: they get a challenge, or nothing, or
/// a session that is dead.
async fn no_sign_in_slips_past_a_confirmation(engine: Engine) {
    const SIGN_INS: usize = 12;
    let server = Server::start(unlocked(engine)).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    let authenticator = enrol(&mut conn, &session).await;
    let mut many = open_many(&server, &acme, SIGN_INS).await;
    let login = json!({ "email": acme.email, "password": acme.password });
    let under_way = post_at_once(&mut many, "/v1/auth/login", |_| login.clone());
    let confirming = async {
        // Some of them are done by now, and others wait for their hash.
        while server.count("hashes").await < 4 {}
        backup_codes(&confirm(&mut conn, &session, &authenticator.code(0)).await)
    };
    let (answers, _) = tokio::join!(under_way, confirming);
    for answer in answers {
        if answer.status == 200 {
            let started = Session::of(&answer);
            conn.get("/v1/me", Some(&started.access)).await.is_problem(401, "unauthenticated");
            conn.refresh(&started.refresh).await.is_problem(401, "unauthenticated");
        } else {
            assert!(
                ["second-factor-required", "invalid-credentials"].contains(&answer.problem().as_str()),
                "{answer:?}"
            );
        }
    }
    let session = Session::of(&conn.refresh(&session.refresh).await);
    let listed = conn.get("/v1/sessions", Some(&session.access)).await.is(200).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
}

async fn only_a_fresh_session_changes_the_second_factor(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let old = "UPDATE token_family SET created_at_ms = created_at_ms - 300000";
    let refused = |answer: &Answer| {
        answer.is_problem(403, "forbidden");
        assert!(answer.json()["detail"].as_str().unwrap().contains("sign in again"), "{answer:?}");
    };
    let session = conn.sign_in(&acme).await;
    server.run_sql(&acme, old).await;
    refused(&conn.post("/v1/auth/totp/enrol", Some(&session.access), &json!({})).await);
    let Enrolled { session, codes, .. } = Enrolled::at(&mut conn, &acme).await;
    server.run_sql(&acme, old).await;
    let session = Session::of(&conn.refresh(&session.refresh).await);
    refused(&conn.post("/v1/auth/backup-codes", Some(&session.access), &json!({})).await);
    refused(&conn.call("DELETE", "/v1/auth/totp", Some(&session.access)).await);
    Session::of(&with_backup(&mut conn, &acme, &codes[0]).await);
}

async fn answers_are_limited_by_a_tier_of_their_own(engine: Engine) {
    let server = Server::start(unlocked(engine).env("FREEHOLD_LIMITS_SECOND_FACTOR", "4/h")).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    // Confirming is the first of them.
    let enrolled = Enrolled::at(&mut conn, &acme).await;
    let wrong = enrolled.authenticator.wrong_code();
    for _ in 0..3 {
        with_totp(&mut conn, &acme, &wrong).await.is_problem(401, "invalid-credentials");
    }
    let limited = with_totp(&mut conn, &acme, &enrolled.authenticator.code(1)).await;
    limited.is_problem(429, "rate-limited");
    assert_eq!(limited.json()["tier"], "second-factor");
    assert_eq!(limited.header("x-ratelimit-tier"), Some("second-factor"));
}
