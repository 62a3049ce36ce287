//! Many requests at the same moment, over connections that are open before.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Barrier;

use super::{Answer, Conn, Server, Tenant};

/// Opens this many connections to a tenant.
pub(crate) async fn open_many(server: &Server, tenant: &Tenant, count: usize) -> Vec<Conn> {
    let mut conns = Vec::with_capacity(count);
    for _ in 0..count {
        conns.push(Conn::to(server, tenant).await);
    }
    conns
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
