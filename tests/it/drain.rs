//! A server that is told to stop answers what it has taken on, and then ends well.

use std::io::ErrorKind;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
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

/// A request whose body does not come keeps a stopping server waiting; operators can see it wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_can_be_watched_to_its_end() {
    let mut server = Server::start(Options::new(Engine::Sqlite)).await;
    let acme = server.tenant("acme");
    let mut slow = TcpStream::connect(server.http).await.unwrap();
    let head = format!(
        "POST /v1/auth/login HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n",
        acme.host()
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let under_way = async || {
        let tree = server.private_get("/debug/tree").await.json();
        (tree["receiving"] == 1).then_some(())
    };
    until("it is under way", under_way).await;
    let told = Command::new("kill").args(["-TERM", &server.pid().to_string()]).status().unwrap();
    assert!(told.success());
    let closed = async || TcpStream::connect(server.http).await.is_err().then_some(());
    until("nobody new is let in", closed).await;
    server.private_get("/livez").await.is(200);
    server.private_get("/readyz").await.is(503);
    drop(slow);
    assert_eq!(tokio::task::spawn_blocking(move || server.ended()).await.unwrap(), Some(0));
}
