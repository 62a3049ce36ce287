//! Letters: written with what needs them, sent soon after, and never lost.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use crate::second_factor::Enrolled;
use crate::support::{
    Answer, Authority, Conn, Engine, Folder, Mail, Options, Server, Session, Smtp, SmtpMode, Tenant, on_both_engines,
};
use crate::watch::{metric, until};

const NEW_PASSWORD: &str = "a wholly different phrase";
const SENT: &str = "freehold_mail_sent_total";
const GIVEN_UP: &str = "freehold_mail_given_up_total";
const AWAY: &str = "freehold_mail_not_taken_total{reason=\"away\"}";
const REFUSED: &str = "freehold_mail_not_taken_total{reason=\"refused\"}";

on_both_engines! {
    without_a_mail_server_letters_are_files_that_the_operator_reads
    what_waits_is_sent_after_a_crash_without_a_request
    a_letter_is_given_up_after_its_time_and_forgotten
    a_stolen_session_is_told_to_its_member
}

async fn change_password(conn: &mut Conn, session: &Session, current: &str) -> Answer {
    let change = json!({ "current_password": current, "new_password": NEW_PASSWORD });
    conn.post("/v1/auth/password", Some(&session.access), &change).await
}

/// A server with a tenant whose member has changed the password.
async fn after_a_change(options: Options) -> (Server, Tenant, Conn) {
    let server = Server::start(options.limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    change_password(&mut conn, &session, &acme.password).await.is(200);
    (server, acme, conn)
}

fn with_smtp(engine: Engine, smtp: &Smtp) -> Options {
    Options::new(engine).env("FREEHOLD_MAIL_SMTP_URL", &smtp.url("")).env("FREEHOLD_MAIL_RETRY_S", "1")
}

/// The letters taken, once there are this many.
async fn taken(smtp: &Smtp, count: usize) -> Vec<Mail> {
    until("the letters are taken", async || Some(smtp.taken()).filter(|taken| taken.len() >= count)).await.0
}

async fn counted(server: &Server, name: &str, count: u64) {
    until(name, async || (metric(server, name).await >= count).then_some(())).await;
}

async fn without_a_mail_server_letters_are_files_that_the_operator_reads(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    change_password(&mut conn, &session, "not the password").await.is_problem(401, "invalid-credentials");
    change_password(&mut conn, &session, &acme.password).await.is(200);
    let letters = server.letters(1).await;
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!(letter.header("To"), acme.email);
    assert_eq!(letter.header("From"), "acme <no-reply@localhost>");
    assert_eq!(letter.header("Subject"), "Your password was changed at acme");
    assert_eq!(letter.header("Auto-Submitted"), "auto-generated");
    for form in [&letter.text, &letter.html] {
        assert!(form.contains("The password was changed.") && form.contains("From: 127.0.0.1"), "{form}");
    }
    counted(&server, SENT, 1).await;
    let folder = server.data_dir().join("outbox");
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(path.extension().unwrap(), "eml", "nothing half-written stays");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(server.letters(1).await.len(), 1, "one letter, once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_is_logged_in_to_and_given_the_letter() {
    let smtp = Smtp::start(SmtpMode::Take).await;
    let url = smtp.url("freehold:p%40ss@");
    let options = Options::new(Engine::Sqlite).env("FREEHOLD_MAIL_SMTP_URL", &url);
    let (server, acme, _) = after_a_change(options.env("FREEHOLD_MAIL_FROM", "post@example.com")).await;
    let letters = taken(&smtp, 1).await;
    assert_eq!(letters[0].header("To"), acme.email);
    assert_eq!(letters[0].header("From"), "acme <post@example.com>");
    // RFC 4616: NUL user NUL password, in base64.
    assert_eq!(smtp.logins(), ["AUTH PLAIN AGZyZWVob2xkAHBAc3M="]);
    counted(&server, SENT, 1).await;
    let waiting = async || metric(&server, "freehold_mail_tenants_waiting").await;
    until("nobody waits", async || (waiting().await == 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_refuses_hangs_up_or_says_nothing_is_tried_again() {
    let smtp = Smtp::start(SmtpMode::Refuse).await;
    let (server, acme, mut conn) = after_a_change(with_smtp(Engine::Sqlite, &smtp)).await;
    counted(&server, REFUSED, 1).await;
    smtp.set(SmtpMode::Away);
    counted(&server, AWAY, 1).await;
    smtp.set(SmtpMode::Hang);
    let away = metric(&server, AWAY).await;
    // Nobody waits for it: requests are answered while it hangs, and its time-out ends it.
    while metric(&server, AWAY).await == away {
        conn.get("/.well-known/jwks.json", None).await.is(200);
        Session::of(&conn.login(&acme, NEW_PASSWORD).await);
    }
    assert_eq!(smtp.taken(), []);
    smtp.set(SmtpMode::Take);
    assert_eq!(taken(&smtp, 1).await.len(), 1);
    counted(&server, SENT, 1).await;
    let log = server.log();
    assert!(log.contains("a letter was not taken") && log.contains("refused with 550"), "{log}");
    assert!(!log.contains(&acme.email), "what the server says of a recipient is not logged");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_was_taken_without_a_word_comes_again_with_the_same_id() {
    let smtp = Smtp::start(SmtpMode::Drop).await;
    let (server, _, _) = after_a_change(with_smtp(Engine::Sqlite, &smtp)).await;
    counted(&server, AWAY, 1).await;
    smtp.set(SmtpMode::Take);
    counted(&server, SENT, 1).await;
    let letters = smtp.taken();
    let ids: BTreeSet<_> = letters.iter().map(|letter| letter.header("Message-ID")).collect();
    assert!(letters.len() >= 2 && ids.len() == 1, "{ids:?}");
}

async fn what_waits_is_sent_after_a_crash_without_a_request(engine: Engine) {
    let smtp = Smtp::start(SmtpMode::Away).await;
    let (server, acme, _) = after_a_change(with_smtp(engine, &smtp)).await;
    counted(&server, AWAY, 1).await;
    smtp.set(SmtpMode::Take);
    let server = server.restarted();
    assert_eq!(taken(&smtp, 1).await[0].header("To"), acme.email);
    counted(&server, SENT, 1).await;
    assert_eq!(metric(&server, "freehold_tenants_active").await, 0, "nobody woke the tenant");
}

async fn a_letter_is_given_up_after_its_time_and_forgotten(engine: Engine) {
    let smtp = Smtp::start(SmtpMode::Refuse).await;
    let options = with_smtp(engine, &smtp).env("FREEHOLD_MAIL_GIVE_UP_S", "1");
    let (server, acme, _) = after_a_change(options).await;
    counted(&server, GIVEN_UP, 1).await;
    smtp.set(SmtpMode::Take);
    let server = server.restarted();
    // Another letter goes, and the one before does not come with it.
    let mut conn = Conn::to(&server, &acme).await;
    Enrolled::at(&mut conn, &Tenant { password: NEW_PASSWORD.to_owned(), ..acme.clone() }).await;
    assert_eq!(taken(&smtp, 1).await[0].header("Subject"), "A second factor was added at acme");
    counted(&server, SENT, 1).await;
    assert_eq!(smtp.taken().len(), 1);
    assert!(!server.log().contains(&acme.email));
}

/// A refresh token that was copied and used by both: the second use ends the session, and its member is told.
async fn a_stolen_session_is_told_to_its_member(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let first = conn.sign_in(&acme).await;
    let second = Session::of(&conn.refresh(&first.refresh).await);
    conn.refresh(&first.refresh).await.is_problem(401, "unauthenticated");
    conn.refresh(&second.refresh).await.is_problem(401, "unauthenticated");

    // Here nobody had used what followed: it is no theft, and no letter.
    let first = conn.sign_in(&acme).await;
    let second = Session::of(&conn.refresh(&first.refresh).await);
    Session::of(&conn.refresh(&second.refresh).await);
    conn.refresh(&first.refresh).await.is_problem(401, "unauthenticated");
    let letters = server.letters(1).await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].header("Subject"), "A session of yours at acme was ended");
}

/// Two servers that find the same letters at the same time: each letter is sent by one of them.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_nodes_one_sends_a_letter() {
    const LETTERS: usize = 20;
    let smtp = Smtp::start(SmtpMode::Away).await;
    let server = Server::start(with_smtp(Engine::Postgres, &smtp).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let enrolled = Enrolled::at(&mut conn, &acme).await;
    for _ in 1..LETTERS {
        conn.post("/v1/auth/backup-codes", Some(&enrolled.session.access), &json!({})).await.is(200);
    }
    server.run_sql(&acme, "UPDATE mail SET next_try_at_ms = 0").await;
    let mut first = server;
    first.kill();
    smtp.set(SmtpMode::Take);
    let (one, two) = (first.another(), first.another());
    until("all are sent", async || {
        let sent = metric(&one, SENT).await + metric(&two, SENT).await;
        (sent >= LETTERS as u64).then_some(())
    })
    .await;
    let letters = smtp.taken();
    let ids: BTreeSet<_> = letters.iter().map(|letter| letter.header("Message-ID")).collect();
    assert_eq!((letters.len(), ids.len()), (LETTERS, LETTERS));
}

/// A letter is said to nobody whose certificate is not good, and waits.
#[tokio::test(flavor = "multi_thread")]
async fn letters_go_over_tls_to_a_server_whose_certificate_is_good_and_wait_until_it_is() {
    let (folder, authority, other) = (Folder::new(), Authority::new(), Authority::new());
    let files = authority.certify(folder.path(), "mail", &["localhost"]);
    let strange = folder.path().join("strange");
    fs::create_dir(&strange).unwrap();
    let smtp = Smtp::start_tls(&files).await;
    let options = Options::new(Engine::Sqlite)
        .limits_off()
        .env("FREEHOLD_MAIL_SMTP_URL", &smtp.tls_url())
        .env("FREEHOLD_MAIL_SMTP_CA_FILE", &other.root_file(&strange).display().to_string())
        .env("FREEHOLD_MAIL_RETRY_S", "1");
    let server = Server::start(options).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    conn.post("/v1/auth/password/forgot", None, &json!({ "email": acme.email })).await.is(202);
    let tried = "freehold_mail_not_taken_total{reason=\"away\"}";
    until("it was tried", async || (metric(&server, tried).await > 1).then_some(())).await;
    assert_eq!(smtp.taken().len(), 0, "nothing was said");
    let root = authority.root_file(folder.path());
    let server = server.restarted_with("FREEHOLD_MAIL_SMTP_CA_FILE", &root.display().to_string());
    until("it is taken", async || (smtp.taken().len() == 1).then_some(())).await;
    drop(server);
}
