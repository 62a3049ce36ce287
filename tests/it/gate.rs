//! The one gate: every way in, whatever the member has and the tenant wants, and what whoever comes that way gets.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::oauth::{self, Browser, Fake};
use crate::operators;
use crate::second_factor::{Enrolled, backup};
use crate::second_factor_rule::{must_enrol, started};
use crate::support::{Answer, Conn, Engine, Options, Server, Session, Tenant, on_both_engines};
use crate::watch::until;

on_both_engines! {
    every_way_in_passes_the_one_gate
}

const HOME: &str = "http://acme.localhost:8080";
const ANSWER: &str = "/v1/auth/second-factor";
const REGISTER: &str = "/v1/auth/register";
const INVITED: &str = "grace@example.com";
const REGISTERED: &str = "joan@example.com";
const PASSWORD: &str = "a password of a newcomer";
const CHANGED: &str = "another long password";
const RESET: &str = "a third and longer password";

/// What whoever comes gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gets {
    /// A session by the first factor alone.
    Session,
    /// The same, and it is told when a second factor is due.
    InGrace,
    /// A session that may enrol a second factor and nothing else.
    EnrolAlone,
    /// A session whose token says that a second factor was proved.
    WithMfa,
    /// No session, but a challenge for the second factor.
    Challenge,
    /// An access token without a session to refresh, which looks and touches no credential.
    LooksAlone,
    /// No session before a second factor is enrolled.
    Refused,
    /// No session at all.
    Nothing,
}

use Gets::{Challenge, EnrolAlone, InGrace, LooksAlone, Nothing, Refused, WithMfa};

/// What the tenant wants of everybody, and whether the admin has enrolled: the columns of [`WAYS`].
const CASES: [(&str, u64, bool); 5] =
    [("off", 0, false), ("off", 0, true), ("all", 0, false), ("all", 0, true), ("all", 3_600, false)];

/// The ways in, in the order in which they are gone. The first ones are the admin's; who comes new has enrolled nothing yet.
#[rustfmt::skip]
const WAYS: [(&str, [Gets; 5]); 15] = [
    //                                        off            off, enrolled  enforced    enforced, enrolled  grace
    ("a password",                           [Gets::Session, Challenge,     EnrolAlone, Challenge,          InGrace]),
    ("a password and a second factor",       [Nothing,       WithMfa,       Nothing,    WithMfa,            Nothing]),
    ("a provider",                           [Gets::Session, Challenge,     EnrolAlone, Challenge,          InGrace]),
    ("a provider and a second factor",       [Nothing,       WithMfa,       Nothing,    WithMfa,            Nothing]),
    ("a refresh",                            [Gets::Session, WithMfa,       EnrolAlone, WithMfa,            InGrace]),
    ("a change of password",                 [Gets::Session, WithMfa,       Refused,    WithMfa,            InGrace]),
    ("a provider that is linked",            [Nothing,       Nothing,       Refused,    Nothing,            Nothing]),
    ("a password reset",                     [Nothing,       Nothing,       Nothing,    Nothing,            Nothing]),
    ("a password after it",                  [Gets::Session, Challenge,     EnrolAlone, Challenge,          InGrace]),
    ("an operator who acts for the member",  [LooksAlone,    LooksAlone,    LooksAlone, LooksAlone,         LooksAlone]),
    ("an invitation",                        [Nothing,       Nothing,       Nothing,    Nothing,            Nothing]),
    ("a password after it",                  [Gets::Session, Gets::Session, EnrolAlone, EnrolAlone,         InGrace]),
    ("a verification of an address",         [Nothing,       Nothing,       Nothing,    Nothing,            Nothing]),
    ("a password after it",                  [Gets::Session, Gets::Session, EnrolAlone, EnrolAlone,         InGrace]),
    ("a provider that vouches for a stranger", [Gets::Session, Gets::Session, EnrolAlone, EnrolAlone,       InGrace]),
];

/// A tenant with an admin who has linked an account at a provider, and with tokens for who comes new.
struct Scene {
    server: Server,
    fake: Fake,
    acme: Tenant,
    conn: Conn,
    browser: Browser,
    admin: String,
    /// The admin's backup codes that are left.
    codes: Vec<String>,
}

impl Scene {
    async fn of(engine: Engine, (rule, grace_s, enrolled): (&str, u64, bool)) -> Self {
        let fake = Fake::of(oauth::ada()).await;
        let server = Server::start(fake.configure(Options::new(engine)).limits_off()).await;
        let acme = server.tenant("acme");
        let mut conn = Conn::to(&server, &acme).await;
        let mut session = conn.sign_in(&acme).await;
        let mut browser = Browser::new(server.http);
        oauth::link(&mut browser, &session, "google").await.is(201);
        let mut codes = vec![];
        if enrolled {
            Enrolled { session, codes, .. } = Enrolled::at(&mut conn, &acme).await;
        }
        let access = session.access.as_str();
        let admin = conn.get("/v1/me", Some(access)).await.is(200).json()["member"]["id"].as_str().unwrap().to_owned();
        conn.patch("/v1/settings", access, &json!({ "registration": "open" })).await.is(200);
        let invitation = json!({ "email": INVITED, "role": "employee" });
        conn.post("/v1/invitations", Some(access), &invitation).await.is(201);
        conn.post(REGISTER, None, &newcomer(REGISTERED)).await.is(202);
        let settings =
            json!({ "require_second_factor": rule, "second_factor_grace_s": grace_s, "support_access": true });
        conn.patch("/v1/settings", access, &settings).await.is(200);
        Self { server, fake, acme, conn, browser, admin, codes }
    }

    /// The token of the letter that leads to this page.
    async fn mailed(&self, page: &str) -> String {
        let there = format!("{page}#token=");
        let look = async || {
            let letters = self.server.letters(1).await;
            letters.iter().find(|letter| letter.text.contains(&there)).map(|letter| letter.token(page))
        };
        until("the letter is in the outbox", look).await.0
    }

    async fn login(&mut self, email: &str, password: &str) -> Answer {
        self.conn.post("/v1/auth/login", None, &json!({ "email": email, "password": password })).await
    }

    /// The second step after this first one, if that led to a challenge: wrong, and then right.
    async fn second_step(&mut self, first: &Answer) -> Answer {
        let body = first.json();
        let challenge = body["challenge"].as_str().unwrap_or("x");
        let wrong = backup(challenge, &"0".repeat(24));
        let answer = self.browser.post(&format!("{HOME}{ANSWER}"), &wrong).await;
        answer.is_problem(401, "invalid-credentials");
        let Some(code) = self.codes.pop() else { return answer };
        self.browser.post(&format!("{HOME}{ANSWER}"), &backup(challenge, &code)).await
    }

    /// What whoever was answered this has.
    async fn gets(&mut self, answer: &Answer) -> Gets {
        if answer.status != 200 {
            return without_session(answer);
        }
        let (session, is_due) = started(answer);
        let claims = session.access.split('.').nth(1).unwrap();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        let has_second_factor = claims["amr"] == json!(["mfa"]);
        assert!(has_second_factor || claims["amr"] == Value::Null || claims["amr"] == json!([]), "{claims}");
        let me = self.conn.get("/v1/me", Some(&session.access)).await;
        match (me.status.as_u16(), is_due, has_second_factor) {
            (200, false, false) => Gets::Session,
            (200, true, false) => InGrace,
            (200, false, true) => WithMfa,
            _ => {
                must_enrol(&me);
                assert!(is_due && !has_second_factor, "{answer:?}");
                EnrolAlone
            }
        }
    }

    /// The ways of the admin who was there before.
    async fn ways_of_the_admin(&mut self, got: &mut Vec<Gets>) {
        let (email, password) = (self.acme.email.clone(), self.acme.password.clone());
        let by_password = self.login(&email, &password).await;
        let by_both = self.second_step(&by_password).await;
        let by_provider = oauth::sign_in(&mut self.browser, "google").await;
        let by_provider_and_more = self.second_step(&by_provider).await;
        for answer in [&by_password, &by_both, &by_provider, &by_provider_and_more] {
            got.push(self.gets(answer).await);
        }
        let signed_in = Session::of(if by_both.status == 200 { &by_both } else { &by_password });
        let refreshed = self.conn.refresh(&signed_in.refresh).await;
        got.push(self.gets(&refreshed).await);
        let change = json!({ "current_password": password, "new_password": CHANGED });
        let access = Session::of(&refreshed).access;
        let changed = self.conn.post("/v1/auth/password", Some(&access), &change).await;
        got.push(self.gets(&changed).await);
        let session = Session::of(if changed.status == 200 { &changed } else { &refreshed });
        let mut linked = oauth::start_link(&mut self.browser, &session, "github").await;
        if linked.status == 200 {
            linked = oauth::finish_link(&mut self.browser, &linked).await;
            linked.is(201);
        }
        got.push(self.gets(&linked).await);

        self.conn.post("/v1/auth/password/forgot", None, &json!({ "email": email })).await.is(202);
        let reset = json!({ "token": self.mailed("/auth/reset").await, "new_password": RESET });
        let reset = self.conn.post("/v1/auth/password/reset", None, &reset).await;
        got.push(self.gets(reset.is(204)).await);
        let answer = self.login(&email, RESET).await;
        got.push(self.gets(&answer).await);
        got.push(self.operator_gets().await);
    }

    /// What an operator gets who acts for the admin.
    async fn operator_gets(&mut self) -> Gets {
        let platform = operators::platform(&self.server).await;
        let mut conn = Conn::to(&self.server, &platform).await;
        let operator = conn.sign_in(&platform).await;
        let (path, why) = (format!("/v1/tenants/{}/impersonate", self.acme.id), "a test");
        let body = json!({ "member_id": self.admin, "reason": why });
        let answer = conn.post(&path, Some(&operator.access), &body).await;
        let support = answer.is(200).json();
        assert!(support["refresh_token"].is_null() && answer.header("set-cookie").is_none(), "{answer:?}");
        let access = support["access_token"].as_str();
        self.conn.get("/v1/me", access).await.is(200);
        for path in ["/v1/auth/totp/enrol", "/v1/auth/password", "/v1/auth/backup-codes"] {
            self.conn.post(path, access, &json!({})).await.is_problem(403, "forbidden");
        }
        LooksAlone
    }

    /// The ways of those who were not.
    async fn ways_of_newcomers(&mut self, got: &mut Vec<Gets>) {
        let mut accepted = newcomer(INVITED);
        accepted["invitation"] = json!(self.mailed("/auth/invitation").await);
        let accepted = self.conn.post(REGISTER, None, &accepted).await;
        got.push(self.gets(accepted.is(201)).await);
        let answer = self.login(INVITED, PASSWORD).await;
        got.push(self.gets(&answer).await);

        let verified = json!({ "token": self.mailed("/auth/verify").await });
        let verified = self.conn.post("/v1/auth/email/verify", None, &verified).await;
        got.push(self.gets(verified.is(204)).await);
        let answer = self.login(REGISTERED, PASSWORD).await;
        got.push(self.gets(&answer).await);

        self.fake.person(json!({ "sub": "1", "email": "bob@home.example", "verified": true, "name": "Bob" }));
        let answer = oauth::sign_in(&mut Browser::new(self.server.http), "google").await;
        got.push(self.gets(&answer).await);
    }
}

fn newcomer(email: &str) -> Value {
    json!({ "email": email, "password": PASSWORD, "name": "Grace Hopper" })
}

/// What an answer that is no session is instead.
#[track_caller]
fn without_session(answer: &Answer) -> Gets {
    let body = String::from_utf8_lossy(&answer.body);
    assert!(answer.header("set-cookie").is_none() && !body.contains("_token"), "{answer:?}");
    if answer.status.is_success() {
        return Nothing;
    }
    match answer.problem().as_str() {
        "second-factor-required" => {
            assert!(answer.json()["challenge"].as_str().is_some_and(|text| !text.is_empty()), "{answer:?}");
            Challenge
        }
        "forbidden" => {
            must_enrol(answer);
            Refused
        }
        _ => {
            answer.is_problem(401, "invalid-credentials");
            Nothing
        }
    }
}

async fn every_way_in_passes_the_one_gate(engine: Engine) {
    for (column, case) in CASES.into_iter().enumerate() {
        let mut scene = Scene::of(engine, case).await;
        let mut got = vec![];
        scene.ways_of_the_admin(&mut got).await;
        scene.ways_of_newcomers(&mut got).await;
        assert_eq!(got.len(), WAYS.len());
        for ((way, expected), got) in WAYS.iter().zip(got) {
            assert_eq!(got, expected[column], "{way}: {case:?}");
        }
    }
}
