//! Breached passwords, asked of a service over HTTP that may do anything.

pub(crate) mod ranges;

use std::time::{Duration, Instant};

use serde_json::json;

use self::ranges::{Manner, Ranges};
use crate::audit::log;
use crate::support::{Answer, Conn, Engine, Options, Server, Session, Tenant, on_both_engines};
use crate::watch::{is_503, metric, until};

/// One that was breached, by the digits of its SHA-1: `printf 'correct horse battery staple' | sha1sum`.
const BREACHED: &str = "correct horse battery staple";
const RANGE: &str = "0018A45C4D1DEF81644B54AB7F969B88D65:3\r\nAD6438836DBE526AA231ABDE2D0EEF74D42:384\r\n\
                     00F1C9F0D0E6F0DB7C0C5A8E8C2E9E2A3F1:0\r\n";
/// The whole answer, whatever the service does.
const ANSWER_WITHIN: Duration = Duration::from_millis(2_500);

on_both_engines! {
    an_unchecked_password_is_looked_up_again_at_the_next_sign_in
}

/// A member who changes the password, again and again.
struct Changer {
    acme: Tenant,
    conn: Conn,
    session: Session,
    password: String,
    number: u32,
}

impl Changer {
    async fn at(server: &Server) -> Self {
        let acme = server.tenant("acme");
        let mut conn = Conn::to(server, &acme).await;
        let session = conn.sign_in(&acme).await;
        let password = acme.password.clone();
        Self { acme, conn, session, password, number: 0 }
    }

    /// Asks for this password, and keeps it if it is taken.
    async fn change(&mut self, new: &str) -> Answer {
        let ask = json!({ "current_password": self.password, "new_password": new });
        let answer = self.conn.post("/v1/auth/password", Some(&self.session.access), &ask).await;
        if answer.status == 200 {
            self.session = Session::of(&answer);
            new.clone_into(&mut self.password);
        }
        answer
    }

    /// Asks for a password that was never asked for.
    async fn another(&mut self) -> Answer {
        self.number += 1;
        self.change(&format!("quite another passphrase, the {}th", self.number)).await
    }
}

fn options(engine: Engine, ranges: &Ranges) -> Options {
    Options::new(engine).limits_off().env("FREEHOLD_PASSWORDS_BREACHED_URL", &ranges.url())
}

#[tokio::test(flavor = "multi_thread")]
async fn five_digits_leave_the_process_and_nothing_else() {
    let ranges = Ranges::of(RANGE).await;
    // Nothing listens at port 1: a proxy that was believed would keep every answer away.
    let options = ["http_proxy", "HTTP_PROXY", "ALL_PROXY"]
        .into_iter()
        .fold(options(Engine::Sqlite, &ranges), |options, name| options.env(name, "http://127.0.0.1:1"));
    let server = Server::start(options).await;
    let mut changer = Changer::at(&server).await;
    let asked = ranges.heads().len();
    let refused = changer.change(BREACHED).await;
    refused.is_problem(400, "validation");
    assert_eq!(refused.json()["errors"][0]["field"], "new_password");
    let heads = ranges.heads();
    let host = ranges.url().replace("http://", "");
    let head =
        format!("GET /range/ABF7A HTTP/1.1\r\nhost: {host}\r\nuser-agent: freehold\r\nadd-padding: true\r\n\r\n");
    assert_eq!(heads[asked..], [head]);

    changer.another().await.is(200);
    assert_eq!(metric(&server, "freehold_breached_unknown_total").await, 0);
    let asked = ranges.heads().len();
    changer.change("Passw0rd2024!!!").await.is_problem(400, "validation");
    assert_eq!(ranges.heads().len(), asked, "nobody needs to be asked about the commonest");
    assert!(!server.log().contains(BREACHED) && !server.log().contains("ABF7A"), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_the_service_does_the_answer_comes_in_time() {
    let ranges = Ranges::of(RANGE).await;
    let lenient = Server::start(options(Engine::Sqlite, &ranges)).await;
    let strict = options(Engine::Sqlite, &ranges).env("FREEHOLD_PASSWORDS_BREACHED_UNKNOWN", "refuse");
    let strict = Server::start(strict).await;
    let (mut lenient_member, mut strict_member) = (Changer::at(&lenient).await, Changer::at(&strict).await);
    for (n, manner) in (1..).zip(Manner::HOSTILE) {
        ranges.set(manner);
        let asked = ranges.heads().len();
        let begun = Instant::now();
        let (taken, refused) = tokio::join!(lenient_member.another(), strict_member.another());
        assert!(begun.elapsed() < ANSWER_WITHIN, "{manner:?}: {:?}", begun.elapsed());
        assert_eq!(ranges.heads().len() - asked, 2, "{manner:?}: one request each, and no other");
        taken.is(200);
        is_503(&refused, "unavailable");
        assert_eq!(strict_member.conn.me(&strict_member.session.access).await, 200, "{manner:?}: nothing changed");
        for server in [&lenient, &strict] {
            assert_eq!(metric(server, "freehold_breached_unknown_total").await, n, "{manner:?}");
        }
        // It is well again, and known to be: no breaker opens in this test.
        ranges.set(Manner::Good);
        lenient_member.another().await.is(200);
        strict_member.another().await.is(200);
    }
    assert_eq!(metric(&lenient, "freehold_breaker_changes_total").await, 0);
    assert!(ranges.heads().iter().all(|head| head.starts_with("GET /range/")), "no redirect is followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_fails_again_and_again_is_left_alone_and_then_tried() {
    const TO: &str = "freehold_breaker_changes_total{service=\"breached_passwords\",to=";
    let ranges = Ranges::of(RANGE).await;
    let server =
        Server::start(options(Engine::Sqlite, &ranges).env("FREEHOLD_PASSWORDS_BREACHED_PAUSE_S", "3600")).await;
    let mut changer = Changer::at(&server).await;
    ranges.set(Manner::Failing);
    let asked = ranges.heads().len();
    for _ in 0..5 {
        changer.another().await.is(200);
    }
    assert_eq!(ranges.heads().len() - asked, 3, "the third failure opens it");
    assert_eq!(metric(&server, "freehold_breached_unknown_total").await, 5);
    assert_eq!(metric(&server, &format!("{TO}\"open\"}}")).await, 1);

    // The same with the shortest pause: it is tried, fails, is left alone again, and closes when it is well.
    let server = server.restarted_with("FREEHOLD_PASSWORDS_BREACHED_PAUSE_S", "1");
    changer.conn = Conn::to(&server, &changer.acme).await;
    let (mut opened, mut closed) = (0, 0);
    until("it was tried once in vain", async || {
        changer.another().await.is(200);
        opened = metric(&server, &format!("{TO}\"open\"}}")).await;
        (opened >= 2).then_some(())
    })
    .await;
    assert_eq!(closed, metric(&server, &format!("{TO}\"closed\"}}")).await);
    ranges.set(Manner::Good);
    until("it is tried and well", async || {
        changer.another().await.is(200);
        closed = metric(&server, &format!("{TO}\"closed\"}}")).await;
        (closed == 1).then_some(())
    })
    .await;
    changer.change(BREACHED).await.is_problem(400, "validation");
    let half_open = metric(&server, &format!("{TO}\"half_open\"}}")).await;
    assert_eq!(half_open, metric(&server, &format!("{TO}\"open\"}}")).await, "each pause ends with one try");
}

async fn an_unchecked_password_is_looked_up_again_at_the_next_sign_in(engine: Engine) {
    let ranges = Ranges::of(RANGE).await;
    let server = Server::start(options(engine, &ranges)).await;
    let mut changer = Changer::at(&server).await;
    let rows = async |changer: &mut Changer| {
        let rows = log(&mut changer.conn, &changer.session.access).await;
        rows.into_iter().filter(|row| row["action"] == "password.breached").collect::<Vec<_>>()
    };
    // The ordinary case: it was looked up when it was new, and nobody is asked at a sign-in.
    let asked = ranges.heads().len();
    changer.conn.sign_in(&changer.acme).await;
    assert_eq!(ranges.heads().len(), asked);

    ranges.set(Manner::Failing);
    changer.change(BREACHED).await.is(200);
    Session::of(&changer.conn.login(&changer.acme, BREACHED).await);
    assert_eq!(ranges.heads().len() - asked, 2, "once for the change, once for the sign-in");
    assert!(rows(&mut changer).await.is_empty(), "still nobody can say");

    ranges.set(Manner::Good);
    changer.conn.login(&changer.acme, "a wrong passphrase").await.is_problem(401, "invalid-credentials");
    assert_eq!(ranges.heads().len() - asked, 2, "of a wrong one nothing is said");
    for _ in 0..2 {
        Session::of(&changer.conn.login(&changer.acme, BREACHED).await);
        assert_eq!(ranges.heads().len() - asked, 3, "looked up once, and then it is known");
        let rows = rows(&mut changer).await;
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert_eq!((&rows[0]["actor"]["kind"], &rows[0]["address"]), (&json!("system"), &json!("127.0.0.1")));
        assert_eq!(metric(&server, "freehold_breached_later_total").await, 1);
    }
    assert_eq!(changer.conn.me(&changer.session.access).await, 200, "nothing follows from it by itself");

    // One that turns out to be nobody else's leaves no trace, and is not looked up again either.
    ranges.set(Manner::Failing);
    changer.another().await.is(200);
    ranges.set(Manner::Good);
    let asked = ranges.heads().len();
    let password = changer.password.clone();
    for _ in 0..2 {
        Session::of(&changer.conn.login(&changer.acme, &password).await);
        assert_eq!(ranges.heads().len() - asked, 1);
    }
    assert_eq!(rows(&mut changer).await.len(), 1);
}
