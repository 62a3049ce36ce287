//! Many requests at the same moment, over connections that are open before.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Barrier;

use super::{Answer, Conn, Server, Tenant};

/// Opens this many connections to a tenant.
pub(crate) async fn open_many(server: &Server, tenant: &Tenant, count: usize) -> Vec<Conn> {
    open_split(&[server], tenant, count).await
}

/// Opens this many connections to a tenant, dealt out over servers that share a store, each of which has met it.
pub(crate) async fn open_split(servers: &[&Server], tenant: &Tenant, count: usize) -> Vec<Conn> {
    for server in servers {
        Conn::to(server, tenant).await.get("/.well-known/jwks.json", None).await.is(200);
    }
    let mut conns = Vec::with_capacity(count);
    for n in 0..count {
        let mut conn = Conn::to(servers[n % servers.len()], tenant).await;
        // One that has asked for something may wait for longer than one that has not.
        conn.get("/problems/not-found", None).await.is(200);
        conns.push(conn);
    }
    conns
}

/// Which of many who came at once has this status: exactly one. All others have this refusal, but for those who were
/// turned away before anything was done for them.
#[track_caller]
pub(crate) fn winner(answers: &[Answer], status: u16, (refused, slug): (u16, &str)) -> usize {
    let won: Vec<_> = (0..answers.len()).filter(|n| answers[*n].status == status).collect();
    let [winner] = won[..] else {
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
        panic!("{won:?} have {status}: {statuses:?}")
    };
    for answer in answers.iter().filter(|answer| answer.status != status) {
        if answer.status == 503 {
            assert!(["overloaded", "unavailable"].contains(&answer.problem().as_str()), "{answer:?}");
            assert!(answer.header("retry-after").is_some(), "{answer:?}");
        } else {
            answer.is_problem(refused, slug);
        }
    }
    winner
}

/// Posts one body over each connection, all from one barrier; the answers in the order of the connections.
pub(crate) async fn post_at_once(
    conns: &mut Vec<Conn>,
    path: &'static str,
    body: impl Fn(usize) -> Value,
) -> Vec<Answer> {
    let barrier = Arc::new(Barrier::new(conns.len()));
    let post = |(n, mut conn): (usize, Conn)| {
        let (barrier, body) = (Arc::clone(&barrier), body(n));
        tokio::spawn(async move {
            barrier.wait().await;
            let answer = conn.post(path, None, &body).await;
            (conn, answer)
        })
    };
    let tasks: Vec<_> = std::mem::take(conns).into_iter().enumerate().map(post).collect();
    let mut answers = Vec::with_capacity(tasks.len());
    for task in tasks {
        let (conn, answer) = task.await.unwrap();
        conns.push(conn);
        answers.push(answer);
    }
    answers
}
