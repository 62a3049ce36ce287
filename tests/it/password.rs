//! Changing a password: whatever the old one opened is closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};

use crate::support::{Answer, Conn, Engine, Options, Server, Session, on_both_engines};

const NEW: &str = "quite another passphrase";

on_both_engines! {
    every_earlier_session_is_dead_on_its_next_request
    a_wrong_current_password_changes_nothing_and_is_charged
    a_sign_in_under_way_does_not_survive_the_change
    of_two_changes_at_once_one_wins
}

fn change(current: &str, new: &str) -> Value {
    json!({ "current_password": current, "new_password": new })
}

async fn every_earlier_session_is_dead_on_its_next_request(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let (mine, other) = (conn.sign_in(&acme).await, conn.sign_in(&acme).await);
    let refreshed = Session::of(&conn.refresh(&other.refresh).await);
    let changed = conn.post("/v1/auth/password", Some(&mine.access), &change(&acme.password, NEW)).await;
    let new = Session::of(&changed);
    assert_ne!(new.id, mine.id);
    for old in [&mine, &other, &refreshed] {
        conn.get("/v1/me", Some(&old.access)).await.is_problem(401, "unauthenticated");
        conn.refresh(&old.refresh).await.is_problem(401, "unauthenticated");
    }
    assert_eq!(conn.me(&new.access).await, 200);
    let new = Session::of(&conn.refresh(&new.refresh).await);
    let listed = conn.get("/v1/sessions", Some(&new.access)).await.is(200).json();
    assert_eq!((listed["items"].as_array().unwrap().len(), &listed["items"][0]["id"]), (1, &json!(new.id)));

    conn.login(&acme, &acme.password).await.is_problem(401, "invalid-credentials");
    let later = Session::of(&conn.login(&acme, NEW).await);
    // All of it is in the store.
    let server = server.restarted();
    let mut conn = Conn::to(&server, &acme).await;
    for old in [&mine, &other, &refreshed] {
        assert_eq!(conn.me(&old.access).await, 401);
    }
    assert_eq!((conn.me(&new.access).await, conn.me(&later.access).await), (200, 200));
    conn.login(&acme, &acme.password).await.is_problem(401, "invalid-credentials");
}

async fn a_wrong_current_password_changes_nothing_and_is_charged(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    let bearer = Some(session.access.as_str());
    // Nothing is looked at without a session, and nothing is charged for a new password that is refused.
    conn.post("/v1/auth/password", None, &change(&acme.password, NEW)).await.is_problem(401, "unauthenticated");
    for _ in 0..6 {
        let short = conn.post("/v1/auth/password", bearer, &change(&acme.password, "short")).await;
        short.is_problem(400, "validation");
        assert_eq!(short.json()["errors"][0]["field"], "new_password");
    }
    let hashed = server.count("hashes").await;
    for _ in 0..5 {
        let wrong = conn.post("/v1/auth/password", bearer, &change("a wrong password", NEW)).await;
        wrong.is_problem(401, "invalid-credentials");
    }
    assert_eq!(server.count("hashes").await - hashed, 5);
    // A stolen access token is no way to guess: the account is locked, for sign-ins too, and the session lives.
    conn.post("/v1/auth/password", bearer, &change(&acme.password, NEW)).await.is_problem(429, "account-locked");
    conn.login(&acme, &acme.password).await.is_problem(429, "account-locked");
    assert_eq!(server.count("hashes").await - hashed, 5);
    assert_eq!(conn.me(&session.access).await, 200);
    Session::of(&conn.refresh(&session.refresh).await);
}

/// Sign-ins with the old password keep the hash queue full while the password changes, so that some have read the old
/// credential and are hashed after the change is committed. Once the change is answered, nothing of theirs lives.
async fn a_sign_in_under_way_does_not_survive_the_change(engine: Engine) {
    const AT_ONCE: usize = 24;
    let options = Options::new(engine).limits_off().env("FREEHOLD_LOCKOUT_FAILURES_MAX", "100");
    let server = Server::start(options).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    let changed = Arc::new(AtomicBool::new(false));
    let mut tasks = vec![];
    for _ in 0..AT_ONCE {
        let (mut conn, acme, changed) = (Conn::to(&server, &acme).await, acme.clone(), Arc::clone(&changed));
        tasks.push(tokio::spawn(async move {
            let mut answers: Vec<(bool, Answer)> = vec![];
            loop {
                let after = changed.load(Ordering::SeqCst);
                answers.push((after, conn.login(&acme, &acme.password).await));
                if after {
                    return answers;
                }
            }
        }));
    }
    // The queue is full of them before the change begins.
    let hashed = server.count("hashes").await;
    while server.count("hashes").await < hashed + AT_ONCE as u64 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let new = conn.post("/v1/auth/password", Some(&session.access), &change(&acme.password, NEW)).await;
    changed.store(true, Ordering::SeqCst);
    let new = Session::of(&new);
    let (mut opened, mut refused) = (vec![], 0);
    for task in tasks {
        for (after, answer) in task.await.unwrap() {
            if answer.status == 200 {
                assert!(!after, "the old password opened a session after the change");
                opened.push(Session::of(&answer));
            } else {
                answer.is_problem(401, "invalid-credentials");
                refused += usize::from(!after);
            }
        }
    }
    assert!(!opened.is_empty() && refused > 0, "{} opened before the change, {refused} refused", opened.len());
    for old in &opened {
        assert_eq!(conn.me(&old.access).await, 401);
        conn.refresh(&old.refresh).await.is_problem(401, "unauthenticated");
    }
    assert_eq!(conn.me(&new.access).await, 200);
    let listed = conn.get("/v1/sessions", Some(&new.access)).await.is(200).json();
    assert_eq!((listed["items"].as_array().unwrap().len(), &listed["items"][0]["id"]), (1, &json!(new.id)));
}

/// The one moment that matters where transactions run side by side: sign-ins have proved the old password and written
/// their sessions but not committed them, while the change revokes what it sees. Locks in the database arrange it.
#[tokio::test(flavor = "multi_thread")]
async fn sign_ins_that_commit_beside_the_change_do_not_survive_it() {
    const AT_ONCE: i64 = 4;
    let options = Options::new(Engine::Postgres).limits_off().env("FREEHOLD_LOCKOUT_FAILURES_MAX", "100");
    let server = Server::start(options).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    let (mut first, mut second) = (server.database().superuser().await, server.database().superuser().await);
    let mut observer = server.database().superuser().await;

    let mut members = first.begin().await.unwrap();
    sqlx::query("SELECT id FROM member FOR UPDATE").fetch_one(&mut *members).await.unwrap();
    let mut tasks = vec![];
    for _ in 0..AT_ONCE {
        let (mut conn, acme) = (Conn::to(&server, &acme).await, acme.clone());
        tasks.push(tokio::spawn(async move { conn.login(&acme, &acme.password).await }));
    }
    let changing = tokio::spawn(async move {
        conn.post("/v1/auth/password", Some(&session.access), &change(&acme.password, NEW)).await
    });
    all_wait(&mut observer, AT_ONCE + 1, "member").await;
    let mut failures = second.begin().await.unwrap();
    sqlx::query("SELECT account FROM lockout FOR UPDATE").fetch_one(&mut *failures).await.unwrap();
    members.commit().await.unwrap();
    all_wait(&mut observer, AT_ONCE + 1, "DELETE FROM lockout").await;
    failures.commit().await.unwrap();

    let new = Session::of(&changing.await.unwrap());
    let mut conn = Conn::open(server.http, "acme.localhost").await;
    for task in tasks {
        let answer = task.await.unwrap();
        if answer.status == 200 {
            let old = Session::of(&answer);
            assert_eq!(conn.me(&old.access).await, 401);
            conn.refresh(&old.refresh).await.is_problem(401, "unauthenticated");
        }
    }
    let listed = conn.get("/v1/sessions", Some(&new.access)).await.is(200).json();
    assert_eq!((listed["items"].as_array().unwrap().len(), &listed["items"][0]["id"]), (1, &json!(new.id)));
}

/// Waits until so many statements wait for locks, one of them with this text; not as long as the server waits for its
/// store, whose patience the test must not use up.
async fn all_wait(observer: &mut PgConnection, count: i64, text: &str) {
    let waiting = "SELECT count(*) AS waiting, count(*) FILTER (WHERE query LIKE '%' || $1 || '%') AS with_text
                   FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let since = Instant::now();
    let mut seen = 0;
    while seen < 3 && since.elapsed() < Duration::from_millis(800) {
        let row = sqlx::query(waiting).bind(text).fetch_one(&mut *observer).await.unwrap();
        let all = row.get::<i64, _>("waiting") == count && row.get::<i64, _>("with_text") > 0;
        seen = if all { seen + 1 } else { 0 };
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn of_two_changes_at_once_one_wins(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let mut sessions = vec![];
    for _ in 0..3 {
        let mut conn = Conn::to(&server, &acme).await;
        let session = conn.sign_in(&acme).await;
        sessions.push((conn, session));
    }
    let mut tasks = vec![];
    for (n, (mut conn, session)) in sessions.into_iter().enumerate() {
        let acme = acme.clone();
        tasks.push(tokio::spawn(async move {
            let new = format!("passphrase number {n}");
            let answer = conn.post("/v1/auth/password", Some(&session.access), &change(&acme.password, &new)).await;
            (new, answer)
        }));
    }
    let mut won = vec![];
    for task in tasks {
        let (new, answer) = task.await.unwrap();
        if answer.status == 200 {
            won.push((new, Session::of(&answer)));
        } else {
            // Refused by the credential it had checked, or by the access token that had died meanwhile.
            assert_eq!(answer.status, 401, "{answer:?}");
        }
    }
    assert_eq!(won.len(), 1, "{won:?}");
    assert_eq!(conn.me(&won[0].1.access).await, 200);
    Session::of(&conn.login(&acme, &won[0].0).await);
}
