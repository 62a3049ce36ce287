//! Account lockout: five wrong passwords close an account, however they arrive, and nothing else does.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Answer, Conn, Engine, Options, Server, Tenant, on_both_engines, open_many, post_at_once};

/// Guesses at the same moment.
const GUESSES: usize = 64;

on_both_engines! {
    of_parallel_guesses_five_are_hashed_and_the_rest_are_locked_out
    right_passwords_at_once_lock_nobody_out
    the_lock_survives_a_crash_of_its_actor_and_of_the_server
    the_right_password_before_the_fifth_failure_starts_over
    a_lock_ends_by_itself
    a_full_hash_queue_charges_nobody
}

fn guess(email: &str) -> Value {
    json!({ "email": email, "password": "not the password" })
}

async fn guess_once(conn: &mut Conn, email: &str) -> Answer {
    conn.post("/v1/auth/login", None, &guess(email)).await
}

/// How many seconds a locked account is told to wait.
#[track_caller]
fn locked_for(answer: &Answer) -> u64 {
    answer.is_problem(429, "account-locked");
    let wait = answer.json()["retry_after_s"].as_u64().unwrap();
    assert_eq!(answer.header("retry-after"), Some(wait.to_string().as_str()));
    wait
}

/// What an answer says, without what differs from request to request.
fn said(answer: &Answer) -> Value {
    let mut body = answer.json();
    body.as_object_mut().unwrap().retain(|key, _| key != "request_id" && key != "retry_after_s");
    body
}

/// Five wrong guesses; the account is then locked.
async fn lock(conn: &mut Conn, email: &str) {
    for _ in 0..5 {
        guess_once(conn, email).await.is_problem(401, "invalid-credentials");
    }
    locked_for(&guess_once(conn, email).await);
}

async fn of_parallel_guesses_five_are_hashed_and_the_rest_are_locked_out(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    let mut conn = Conn::to(&server, &acme).await;
    let mut many = open_many(&server, &acme, GUESSES).await;
    let mut answers = vec![];
    // An account that does not exist goes the same way, and its answers are no different.
    for email in [acme.email.as_str(), "nobody@example.com"] {
        let hashed = server.count("hashes").await;
        let of_account = post_at_once(&mut many, "/v1/auth/login", |_| guess(email)).await;
        assert_eq!(server.count("hashes").await - hashed, 5);
        let (wrong, locked): (Vec<_>, Vec<_>) = of_account.into_iter().partition(|answer| answer.status == 401);
        assert_eq!((wrong.len(), locked.len()), (5, GUESSES - 5));
        for answer in &wrong {
            answer.is_problem(401, "invalid-credentials");
        }
        assert!(locked.iter().all(|answer| (890..=900).contains(&locked_for(answer))));
        answers.push((said(&wrong[0]), said(&locked[0])));

        // Whatever comes now is refused before its password is looked at.
        locked_for(&conn.post("/v1/auth/login", None, &json!({ "email": email, "password": acme.password })).await);
        assert_eq!(server.count("hashes").await - hashed, 5);
    }
    assert_eq!(answers[0], answers[1]);

    // Nobody else is locked: not another account, and not the same e-mail at another tenant.
    guess_once(&mut conn, "somebody@example.com").await.is_problem(401, "invalid-credentials");
    let mut at_globex = Conn::to(&server, &globex).await;
    at_globex.sign_in(&globex).await;
}

async fn right_passwords_at_once_lock_nobody_out(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut many = open_many(&server, &acme, 20).await;
    let right = json!({ "email": acme.email, "password": acme.password });
    for answer in post_at_once(&mut many, "/v1/auth/login", |_| right.clone()).await {
        answer.is(200);
    }
    // The failures before them are forgotten, and those after them counted.
    let mut conn = Conn::to(&server, &acme).await;
    lock(&mut conn, &acme.email).await;
}

async fn the_lock_survives_a_crash_of_its_actor_and_of_the_server(engine: Engine) {
    // Printing where it panicked would hold the actor up longer than a request waits for it.
    let server = Server::start(Options::new(engine).limits_off().env("RUST_BACKTRACE", "0")).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    // Three failures before the crash and two after it are five.
    for _ in 0..3 {
        guess_once(&mut conn, &acme.email).await.is_problem(401, "invalid-credentials");
    }
    let panic = json!({ "fault": "panic", "slug": "acme", "actor": "lockouts" });
    server.fault(panic.clone()).await;
    guess_once(&mut conn, &acme.email).await.is_problem(401, "invalid-credentials");
    let server = server.restarted();
    let mut conn = Conn::to(&server, &acme).await;
    guess_once(&mut conn, &acme.email).await.is_problem(401, "invalid-credentials");

    let right = locked_for(&conn.login(&acme, &acme.password).await);
    server.fault(panic).await;
    assert!(locked_for(&conn.login(&acme, &acme.password).await) <= right);
    let server = server.restarted();
    let hashed = server.count("hashes").await;
    let mut conn = Conn::to(&server, &acme).await;
    assert!((800..=right).contains(&locked_for(&conn.login(&acme, &acme.password).await)));
    assert_eq!(server.count("hashes").await, hashed);
}

async fn the_right_password_before_the_fifth_failure_starts_over(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    for _ in 0..2 {
        for _ in 0..4 {
            guess_once(&mut conn, &acme.email).await.is_problem(401, "invalid-credentials");
        }
        conn.sign_in(&acme).await;
    }
    // The e-mail is one account however it is written.
    let written = [" ada@example.com", "ADA@example.com", "Ada@EXAMPLE.com", "ada@example.com", "ada@Example.com"];
    for email in written {
        guess_once(&mut conn, email.trim()).await.is_problem(401, "invalid-credentials");
    }
    locked_for(&conn.login(&acme, &acme.password).await);
}

async fn a_lock_ends_by_itself(engine: Engine) {
    let lock_s = Duration::from_secs(2);
    let server = Server::start(Options::new(engine).limits_off().env("FREEHOLD_LOCKOUT_LOCK_S", "2")).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let before = Instant::now();
    lock(&mut conn, &acme.email).await;
    let locked = Instant::now();
    // Attempts during the lock do not make it longer.
    while conn.login(&acme, &acme.password).await.status == 429 {
        assert!(locked.elapsed() < lock_s + Duration::from_secs(1), "the lock does not end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(before.elapsed() >= lock_s);
    lock(&mut conn, &acme.email).await;
}

/// With one failure to a lock, whoever was charged is locked and whoever was shed is not.
async fn a_full_hash_queue_charges_nobody(engine: Engine) {
    const FLOOD: usize = 200;
    const PROBED: usize = 20;
    let server = Server::start(Options::new(engine).limits_off().env("FREEHOLD_LOCKOUT_FAILURES_MAX", "1")).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let mut many = open_many(&server, &acme, FLOOD).await;
    let hashed = server.count("hashes").await;
    let email = |n: usize| format!("stranger-{n}@example.com");
    let answers = post_at_once(&mut many, "/v1/auth/login", |n| guess(&email(n))).await;
    let (mut charged, mut shed) = (vec![], vec![]);
    for (n, answer) in answers.iter().enumerate() {
        if answer.status == 401 {
            charged.push(n);
        } else {
            answer.is_problem(503, "overloaded");
            assert_eq!(answer.header("retry-after"), Some("1"));
            shed.push(n);
        }
    }
    assert_eq!(server.count("hashes").await - hashed, charged.len() as u64);
    assert!(!charged.is_empty() && shed.len() >= PROBED, "{} charged, {} shed", charged.len(), shed.len());
    for n in charged {
        locked_for(&guess_once(&mut conn, &email(n)).await);
    }
    for n in shed.into_iter().take(PROBED) {
        guess_once(&mut conn, &email(n)).await.is_problem(401, "invalid-credentials");
    }
}

/// Guesses split over two servers on one store are counted together.
#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_count_together() {
    let one = Server::start(Options::new(Engine::Postgres).limits_off()).await;
    let two = one.another();
    let acme: Tenant = one.tenant("acme");
    let mut many = open_many(&one, &acme, GUESSES / 2).await;
    many.extend(open_many(&two, &acme, GUESSES / 2).await);
    for email in [acme.email.as_str(), "nobody@example.com", "somebody@example.com"] {
        let hashed = [one.count("hashes").await, two.count("hashes").await];
        let answers = post_at_once(&mut many, "/v1/auth/login", |_| guess(email)).await;
        let hashed = one.count("hashes").await - hashed[0] + two.count("hashes").await - hashed[1];
        assert_eq!((hashed, answers.iter().filter(|answer| answer.status == 401).count()), (5, 5));
        for answer in answers.iter().filter(|answer| answer.status != 401) {
            // A charge that lost to the other node three times is given up, uncharged.
            if answer.status == 503 {
                answer.is_problem(503, "overloaded");
            } else {
                locked_for(answer);
            }
        }
        for server in [&one, &two] {
            locked_for(&guess_once(&mut Conn::to(server, &acme).await, email).await);
        }
    }
}
