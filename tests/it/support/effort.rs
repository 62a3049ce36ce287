//! What one request made the server do, for answers that may tell two cases apart by nothing.

use serde_json::Value;

use super::{Answer, Conn, Engine, Server};
use crate::watch::{metric, until};

/// How a server logs every statement that it sends.
pub(crate) const STATEMENTS_LOGGED: (&str, &str) = ("FREEHOLD_LOG", "info,freehold_storage=trace");

/// What one request took, until its letter was sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Effort {
    pub(crate) hashes: u64,
    pub(crate) statements: Vec<String>,
    pub(crate) letters: usize,
}

impl Effort {
    /// Posts a body that leads to a letter, all letters before it being sent. The server logs as [`STATEMENTS_LOGGED`].
    pub(crate) async fn of(
        server: &Server,
        conn: &mut Conn,
        engine: Engine,
        (path, access): (&str, Option<&str>),
        body: &Value,
    ) -> (Answer, Self) {
        let sent = async || usize::try_from(metric(server, "freehold_mail_sent_total").await).unwrap();
        let (letters, hashes) = (sent().await, server.count("hashes").await);
        let before = log_so_far(server, conn).await.len();
        let answer = conn.post(path, access, body).await;
        until("it is sent", async || (sent().await > letters).then_some(())).await;
        until("nobody waits", async || (metric(server, "freehold_mail_tenants_waiting").await == 0).then_some(()))
            .await;
        let log = log_so_far(server, conn).await;
        // Where a store is shared its nodes ask it about each other, whenever they like.
        let statements = if engine == Engine::Sqlite { statements(&log[before..]) } else { vec![] };
        assert!(engine == Engine::Postgres || statements.len() >= 5, "{statements:?}");
        let hashes = server.count("hashes").await - hashes;
        let letters = server.letters(letters + 1).await.len() - letters;
        (answer, Self { hashes, statements, letters })
    }
}

/// The headers of an answer that may not differ.
pub(crate) fn headers_seen(answer: &Answer) -> Vec<(String, String)> {
    let own = ["x-request-id", "date"];
    let headers = answer.headers.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    let mut headers: Vec<_> =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    headers.sort();
    headers
}

/// Everything that was logged before this moment.
async fn log_so_far(server: &Server, conn: &mut Conn) -> String {
    let last = conn.get("/nothing", None).await;
    let id = last.header("x-request-id").unwrap();
    until("it is logged", async || Some(server.log()).filter(|log| log.contains(id))).await.0
}

/// The statements of a log that begins here.
fn statements(log: &str) -> Vec<String> {
    let lines = log.lines().filter(|line| line.contains("\"sql.text\""));
    let texts = lines.map(|line| serde_json::from_str::<Value>(line).unwrap()["sql.text"].as_str().unwrap().to_owned());
    texts.collect()
}
