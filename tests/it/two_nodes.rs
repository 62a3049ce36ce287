//! Two servers on one PostgreSQL: neither asks the other, and what one of them decides holds on both.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Conn, Engine, Options, Server, Session, Tenant, open_many, post_at_once};

/// Within which the other node knows.
const SOON: Duration = Duration::from_secs(1);

/// Two servers, and a tenant that both have met.
struct Pair {
    one: Server,
    two: Server,
    acme: Tenant,
    on_one: Conn,
    on_two: Conn,
}

impl Pair {
    async fn start(options: Options) -> Self {
        let one = Server::start(options.limits_off()).await;
        let two = one.another();
        let acme = one.tenant("acme");
        let (on_one, on_two) = (Conn::to(&one, &acme).await, Conn::to(&two, &acme).await);
        Self { one, two, acme, on_one, on_two }
    }

    /// A session that both nodes have admitted.
    async fn session(&mut self) -> Session {
        let session = self.on_one.sign_in(&self.acme).await;
        assert_eq!((self.on_one.me(&session.access).await, self.on_two.me(&session.access).await), (200, 200));
        session
    }
}

/// Asks until a token is answered with this status, which must be soon.
async fn soon(conn: &mut Conn, access: &str, status: u16) {
    let since = Instant::now();
    loop {
        let answer = conn.me(access).await;
        if answer == status {
            return;
        }
        assert!(since.elapsed() < SOON, "still {answer}, not {status}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The node that wins gives its callers the pair; the other says that it was asked elsewhere, and revokes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn refreshes_split_over_two_nodes_make_one_successor() {
    const EACH: usize = 50;
    const GENERATIONS: usize = 20;
    let mut pair = Pair::start(Options::new(Engine::Postgres).env("FREEHOLD_REFRESH_COALESCE_MS", "150")).await;
    let mut session = pair.session().await;
    let mut conns = open_many(&pair.one, &pair.acme, EACH).await;
    conns.extend(open_many(&pair.two, &pair.acme, EACH).await);
    for _ in 0..GENERATIONS {
        let answers =
            post_at_once(&mut conns, "/v1/auth/refresh", |_| json!({ "refresh_token": session.refresh })).await;
        let (one, two) = answers.split_at(EACH);
        let winner = usize::from(one[0].status != 200);
        let (given, refused) = if winner == 0 { (one, two) } else { (two, one) };
        let next = Session::of(&given[0]);
        assert!(given.iter().all(|answer| answer.body == given[0].body), "{given:?}");
        for answer in refused {
            answer.is_problem(409, "conflict");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        assert_eq!(next.id, session.id);
        session = next;
    }
    assert_eq!((pair.on_one.me(&session.access).await, pair.on_two.me(&session.access).await), (200, 200));
    let session = Session::of(&pair.on_two.refresh(&session.refresh).await);
    Session::of(&pair.on_one.refresh(&session.refresh).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_on_the_other_node_ends_the_family() {
    let mut pair = Pair::start(Options::new(Engine::Postgres)).await;
    for _ in 0..5 {
        let first = pair.session().await;
        let next = Session::of(&pair.on_one.refresh(&first.refresh).await);
        assert_eq!(pair.on_one.me(&next.access).await, 200);

        pair.on_two.refresh(&first.refresh).await.is_problem(401, "unauthenticated");
        assert_eq!(pair.on_two.me(&next.access).await, 401);
        pair.on_one.refresh(&next.refresh).await.is_problem(401, "unauthenticated");
        pair.on_two.refresh(&next.refresh).await.is_problem(401, "unauthenticated");
        soon(&mut pair.on_one, &next.access, 401).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_ends_the_other_refuses_within_a_second() {
    let mut pair = Pair::start(Options::new(Engine::Postgres)).await;

    let session = pair.session().await;
    pair.on_one.call("POST", "/v1/auth/logout", Some(&session.access)).await.is(204);
    soon(&mut pair.on_two, &session.access, 401).await;
    pair.on_two.refresh(&session.refresh).await.is_problem(401, "unauthenticated");

    let (session, other) = (pair.session().await, pair.session().await);
    pair.on_two.call("DELETE", &format!("/v1/sessions/{}", other.id), Some(&session.access)).await.is(204);
    soon(&mut pair.on_one, &other.access, 401).await;
    assert_eq!(pair.on_one.me(&session.access).await, 200);

    pair.on_two.call("POST", "/v1/auth/logout-all", Some(&session.access)).await.is(204);
    soon(&mut pair.on_one, &session.access, 401).await;
    pair.on_one.refresh(&session.refresh).await.is_problem(401, "unauthenticated");

    let (session, other) = (pair.session().await, pair.session().await);
    let new = json!({ "current_password": pair.acme.password, "new_password": "another correct horse" });
    let changed = Session::of(&pair.on_one.post("/v1/auth/password", Some(&session.access), &new).await);
    for old in [&session, &other] {
        soon(&mut pair.on_two, &old.access, 401).await;
        pair.on_two.refresh(&old.refresh).await.is_problem(401, "unauthenticated");
    }
    assert_eq!(pair.on_two.me(&changed.access).await, 200);
    pair.on_two.login(&pair.acme, &pair.acme.password).await.is_problem(401, "invalid-credentials");
    Session::of(&pair.on_two.login(&pair.acme, "another correct horse").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_on_one_node_holds_on_the_other_within_a_second() {
    let mut pair = Pair::start(Options::new(Engine::Postgres)).await;
    let session = pair.session().await;
    assert!(pair.one.cli(&["tenant", "suspend", "acme"], "").status.success());
    pair.on_one.get("/v1/me", Some(&session.access)).await.is_problem(403, "tenant-suspended");
    soon(&mut pair.on_two, &session.access, 403).await;
    pair.on_two.login(&pair.acme, &pair.acme.password).await.is_problem(403, "tenant-suspended");

    assert!(pair.two.cli(&["tenant", "resume", "acme"], "").status.success());
    assert_eq!(pair.on_two.me(&session.access).await, 200);
    soon(&mut pair.on_one, &session.access, 200).await;
}
