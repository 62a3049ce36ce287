//! A server that is told to stop answers what it has taken on, and then ends well.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::support::{Conn, Engine, Options, Server, on_both_engines};
use crate::watch::{note, until};

/// Sign-ins under way: more than are hashed at once, so that the last of them have a while to go.
const SIGN_INS: usize = 24;
/// Within this a server without requests has ended; the drain may take 10 s.
const IDLE_END: Duration = Duration::from_secs(5);

on_both_engines!(requests_in_flight_are_answered);

async fn requests_in_flight_are_answered(engine: Engine) {
    // Each attempt is charged before its password is looked at, so as many at once would close the account.
    let options = Options::new(engine).limits_off().env("FREEHOLD_LOCKOUT_FAILURES_MAX", "100");
    let mut server = Server::start(options).await;
    let acme = server.tenant("acme");
    let mut idle = Conn::to(&server, &acme).await;
    let session = idle.sign_in(&acme).await;
    let mut answers = JoinSet::new();
    for _ in 0..SIGN_INS {
        let mut conn = Conn::to(&server, &acme).await;
        let body = json!({ "email": acme.email, "password": acme.password });
        answers.spawn(async move { conn.post("/v1/auth/login", None, &body).await });
    }
    let in_flight = async || server.private_get("/debug/tree").await.json()["in_flight"].as_u64().unwrap();
    until("they are under way", async || (in_flight().await == SIGN_INS as u64).then_some(())).await;

    let address = server.http;
    let (told, ended) = tokio::task::spawn_blocking(move || {
        let told = Instant::now();
        let ended = server.terminate();
        (told, (ended, server))
    })
    .await
    .unwrap();
    let (code, server) = ended;
    note(&format!("ended {:?} after it was told to", told.elapsed()));
    assert_eq!(code, Some(0), "{}", server.log());
    for answer in answers.join_all().await {
        answer.is(200);
    }
    let refused = TcpStream::connect(address).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(idle.try_post("/v1/auth/logout", Some(&session.access), &json!({})).await.is_none());

    let server = server.restarted();
    assert_eq!(Conn::to(&server, &acme).await.me(&session.access).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_do_not_delay_the_end() {
    let mut server = Server::start(Options::new(Engine::Sqlite)).await;
    let acme = server.tenant("acme");
    let mut used = Conn::to(&server, &acme).await;
    used.get("/", None).await.is(200);
    let _unused = Conn::to(&server, &acme).await;
    let told = Instant::now();
    assert_eq!(server.terminate(), Some(0));
    assert!(told.elapsed() < IDLE_END, "{:?}", told.elapsed());
}
