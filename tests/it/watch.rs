//! What the tests of failures look at: metrics, limits, and conditions that come true in a while.

use std::time::{Duration, Instant};

use crate::support::{Answer, Conn, Server};

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Looks until there is something to see, and how long that took.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> (T, Duration) {
    let since = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return (seen, since.elapsed());
        }
        assert!(since.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A metric: the sum of all its series, or one of them with its labels in the name. Zero before its first increment.
pub(crate) async fn metric(server: &Server, name: &str) -> u64 {
    let text = server.private_get("/metrics").await;
    let text = String::from_utf8_lossy(&text.is(200).body).into_owned();
    let series = text.lines().filter_map(|line| line.rsplit_once(' '));
    let mine = series.filter(|(series, _)| *series == name || series.split_once('{').is_some_and(|(n, _)| n == name));
    mine.map(|(_, value)| value.parse::<u64>().unwrap()).sum()
}

/// Restarts of one kind of actor.
pub(crate) async fn restarts(server: &Server, actor: &str) -> u64 {
    metric(server, &format!("freehold_actor_restarts_total{{actor=\"{actor}\"}}")).await
}

/// Gives a tenant a limit of its own.
#[track_caller]
pub(crate) fn set_limit(server: &Server, slug: &str, tier: &str, limit: &str) {
    let done = server.cli(&["tenant", "limit", slug, tier, limit], "");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// How many requests the tightest tier has left.
#[track_caller]
pub(crate) fn remaining(answer: &Answer) -> u64 {
    number(answer, "x-ratelimit-remaining")
}

/// A header that is a whole number.
#[track_caller]
pub(crate) fn number(answer: &Answer, header: &str) -> u64 {
    let text = answer.header(header).unwrap_or_else(|| panic!("no {header}: {answer:?}"));
    text.parse().unwrap_or_else(|_| panic!("{header}: {text}"))
}

/// Asserts a 503 with this problem and with `Retry-After`.
#[track_caller]
pub(crate) fn is_503(answer: &Answer, slug: &str) {
    answer.is_problem(503, slug);
    assert!(number(answer, "retry-after") >= 1, "{answer:?}");
}

/// Lets a failure befall an actor, once it runs: it may be waiting to be started again.
pub(crate) async fn strike(server: &Server, slug: &str, actor: &str) {
    let fault = serde_json::json!({ "fault": "panic", "slug": slug, "actor": actor });
    let mut conn = Conn::open(server.private, "127.0.0.1").await;
    until("the actor runs", async || (conn.post("/debug/fault", None, &fault).await.status == 204).then_some(())).await;
}

/// Lets a panic befall an actor and waits until its supervisor has noticed.
pub(crate) async fn panic_of(server: &Server, slug: &str, actor: &str) {
    let before = restarts(server, actor).await;
    strike(server, slug, actor).await;
    until("its supervisor notices", async || (restarts(server, actor).await > before).then_some(())).await;
}

/// Says what was measured: for people who run a test with `--nocapture`.
#[expect(clippy::print_stderr, reason = "figures go where the test runner puts them")]
pub(crate) fn note(figures: &str) {
    eprintln!("{figures}");
}
