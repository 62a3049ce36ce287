//! Tokens are refreshed ahead of their end, once however many ask, over nodes too, and by nobody's asking; and what happens where
//! the provider fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Barrier;

use super::fake::Mode;
use super::{LIST, Scene};
use crate::support::{Answer, Conn, Engine, Server, on_both_engines, open_many};
use crate::watch::{metric, until};

/// Into the last five minutes of an hour, and past its end.
const NEARLY_S: u64 = 3_301;
const PAST_S: u64 = 3_601;

on_both_engines! {
    many_who_ask_at_once_refresh_once
    tokens_are_refreshed_though_nobody_asks
    a_grant_that_is_over_is_told_and_not_asked_for_again
    while_a_provider_fails_a_good_token_is_used
    a_provider_that_hangs_keeps_nobody_waiting
    what_is_disconnected_while_it_is_refreshed_is_taken_back
    an_answer_that_is_lost_ends_the_grant
    a_server_that_dies_with_the_answer_shows_the_old_token_once_more
}

/// Checks over each connection at once.
async fn check_at_once(conns: Vec<Conn>, path: &str, access: &str) -> Vec<Answer> {
    let barrier = Arc::new(Barrier::new(conns.len()));
    let check = |mut conn: Conn| {
        let (barrier, path, access) = (Arc::clone(&barrier), path.to_owned(), access.to_owned());
        tokio::spawn(async move {
            barrier.wait().await;
            conn.call("POST", &path, Some(&access)).await
        })
    };
    let mut answers = vec![];
    for task in conns.into_iter().map(check).collect::<Vec<_>>() {
        answers.push(task.await.unwrap());
    }
    answers
}

/// Every one works, or was turned away because the tenant has no more places for calls; some work.
#[track_caller]
fn work(answers: &[Answer]) {
    let (works, others): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(works.iter().all(|answer| answer.json()["works"] == true), "{works:?}");
    assert!(works.len() >= 16, "{}", works.len());
    for answer in others {
        answer.is_problem(503, "overloaded");
    }
}

async fn many_who_ask_at_once_refresh_once(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    scene.connect("quickbooks").await;
    scene.fake.takes(Duration::from_millis(300));
    for (round, ahead) in [(1, NEARLY_S), (2, PAST_S), (3, PAST_S), (4, NEARLY_S)] {
        let conns = open_many(&scene.server, &scene.acme, 100).await;
        scene.server.clock_ahead(ahead).await;
        let path = format!("{LIST}/quickbooks/check");
        work(&check_at_once(conns, &path, &scene.ada.access).await);
        // Those that had a good token may be answered before the one that refreshes.
        refreshed(&scene, "qb refresh_token", round).await;
        until("it is kept", async || (refreshes(&scene).await == round as u64).then_some(())).await;
    }
    scene.fake.no_token_was_shown_twice();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_refresh_once() {
    let mut scene = Scene::start(Engine::Postgres).await;
    let two = scene.server.another();
    scene.connect("quickbooks").await;
    scene.fake.takes(Duration::from_millis(300));
    for (round, ahead) in [(1, PAST_S), (2, NEARLY_S), (3, PAST_S), (4, PAST_S), (5, NEARLY_S)] {
        let mut conns = open_many(&scene.server, &scene.acme, 30).await;
        conns.extend(open_many(&two, &scene.acme, 30).await);
        tokio::join!(scene.server.clock_ahead(ahead), two.clock_ahead(ahead));
        let path = format!("{LIST}/quickbooks/check");
        work(&check_at_once(conns, &path, &scene.ada.access).await);
        refreshed(&scene, "qb refresh_token", round).await;
        until("it is kept", async || {
            (refreshes_of(&two).await + refreshes(&scene).await == round as u64).then_some(())
        })
        .await;
    }
    scene.fake.no_token_was_shown_twice();
}

async fn refreshed(scene: &Scene, what: &str, times: usize) {
    until(&format!("{what} is asked {times} times"), async || (scene.fake.asked(what) == times).then_some(())).await;
}

/// How often the server has asked to refresh something, and what came of it.
async fn refreshes(scene: &Scene) -> u64 {
    refreshes_of(&scene.server).await
}

/// The same of any. What it did not begin, because no place was free, does not count.
async fn refreshes_of(server: &Server) -> u64 {
    let mut asked = metric(server, REFRESHED).await;
    for name in ["quickbooks", "square", "shopify"] {
        asked -= metric(server, &format!("{REFRESHED}{{integration=\"{name}\",outcome=\"not_asked\"}}")).await;
    }
    asked
}

async fn tokens_are_refreshed_though_nobody_asks(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    for name in ["quickbooks", "square"] {
        scene.connect(name).await;
    }
    scene.server.clock_ahead(NEARLY_S).await;
    refreshed(&scene, "qb refresh_token", 1).await;
    refreshed(&scene, "sq refresh_token", 1).await;
    // A server that is started anew knows of them: its clock is not ahead, so they are due when they were.
    let kept = async |scene: &mut Scene| {
        let row = "UPDATE integration SET due_at_ms = 1 WHERE name = 'square'";
        let acme = scene.acme.clone();
        scene.server.run_sql(&acme, row).await;
    };
    until("both are kept", async || (refreshes(&scene).await == 2).then_some(())).await;
    kept(&mut scene).await;
    scene.server = restarted(scene.server);
    refreshed(&scene, "sq refresh_token", 2).await;
    scene.fake.no_token_was_shown_twice();
}

const REFRESHED: &str = "freehold_integration_refreshes_total";

fn restarted(server: Server) -> Server {
    server.restarted()
}

async fn a_grant_that_is_over_is_told_and_not_asked_for_again(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    scene.connect("square").await;
    scene.fake.mode(Mode::Over);
    scene.server.clock_ahead(NEARLY_S).await;
    let over = async |scene: &mut Scene| scene.shown("square").await["connected"]["state"] == "expired";
    until("it is over", async || over(&mut scene).await.then_some(())).await;
    scene.fake.mode(Mode::Good);
    for _ in 0..3 {
        scene.check("square").await.is_problem(409, "integration-expired");
    }
    scene.server.clock_ahead(NEARLY_S).await;
    scene.check("square").await.is_problem(409, "integration-expired");
    assert_eq!(scene.fake.asked("sq refresh_token"), 1);
    let expired = ("integration.expired".to_owned(), "square".to_owned());
    assert_eq!(scene.told().await.iter().filter(|row| **row == expired).count(), 1);
    // Connected again, it works.
    scene.ada = scene.conn.sign_in(&scene.acme).await;
    scene.connect("square").await;
    assert_eq!(scene.check("square").await.is(200).json()["works"], true);
    assert_eq!(scene.shown("square").await["connected"]["state"], "connected");
}

async fn while_a_provider_fails_a_good_token_is_used(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    scene.connect("quickbooks").await;
    scene.fake.mode(Mode::Fails);
    scene.server.clock_ahead(NEARLY_S).await;
    refreshed(&scene, "qb refresh_token", 1).await;
    for _ in 0..5 {
        assert_eq!(scene.check("quickbooks").await.is(200).json()["works"], true);
    }
    assert_eq!(scene.fake.asked("qb refresh_token"), 1, "what failed rests");
    // Its end has come: nothing works until the provider answers again, and then with the token that it still takes.
    scene.server.clock_ahead(300).await;
    scene.check("quickbooks").await.is_problem(503, "unavailable");
    scene.fake.mode(Mode::Good);
    scene.server.clock_ahead(60).await;
    until("it works again", async || (scene.check("quickbooks").await.status == 200).then_some(())).await;
    assert_eq!(scene.shown("quickbooks").await["connected"]["state"], "connected");
    assert!(scene.told().await.iter().all(|(action, _)| action == "integration.connected"));
}

/// Nobody waits for a provider that says nothing but who asked it, and that for ten seconds.
async fn a_provider_that_hangs_keeps_nobody_waiting(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    scene.connect("square").await;
    scene.fake.mode(Mode::Hangs);
    scene.server.clock_ahead(NEARLY_S).await;
    refreshed(&scene, "sq refresh_token", 1).await;
    let since = Instant::now();
    assert_eq!(scene.check("square").await.is(200).json()["works"], true);
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    let done = async || (refreshes(&scene).await == 1).then_some(());
    let ((), waited) = until("it is given up", done).await;
    assert!(waited < Duration::from_secs(15), "{waited:?}");
    scene.fake.mode(Mode::Good);
    scene.server.clock_ahead(16).await;
    refreshed(&scene, "sq refresh_token", 2).await;
}

/// The tokens that come too late are nobody's: the provider takes them back, too.
async fn what_is_disconnected_while_it_is_refreshed_is_taken_back(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    scene.connect("quickbooks").await;
    scene.fake.takes(Duration::from_secs(6)); // longer than a sign-in, shorter than the server waits
    scene.server.clock_ahead(PAST_S).await;
    until("it is refreshed", async || (scene.fake.come() == 2).then_some(())).await;
    scene.ada = scene.conn.sign_in(&scene.acme).await;
    assert_eq!(scene.remove("quickbooks").await.is(200).json(), json!({ "revoked": true }));
    let both = async || Some(scene.fake.revoked()).filter(|revoked| revoked.len() == 2);
    let (revoked, _) = until("both are taken back", both).await;
    assert_ne!(revoked[0], revoked[1]);
    assert_eq!(scene.shown("quickbooks").await["connected"], Value::Null);
}

/// The provider has rotated and its answer never came: the old token is not taken any more, and admins are told.
async fn an_answer_that_is_lost_ends_the_grant(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    scene.connect("quickbooks").await;
    scene.fake.mode(Mode::Loses);
    scene.server.clock_ahead(NEARLY_S).await;
    assert_eq!(scene.check("quickbooks").await.is(200).json()["works"], true);
    until("it is lost", async || (refreshes(&scene).await == 1).then_some(())).await;
    scene.fake.mode(Mode::Good);
    scene.server.clock_ahead(16).await;
    let over = async |scene: &mut Scene| scene.shown("quickbooks").await["connected"]["state"] == "expired";
    until("it is over", async || over(&mut scene).await.then_some(())).await;
    scene.check("quickbooks").await.is_problem(409, "integration-expired");
    assert_eq!(scene.fake.asked("qb refresh_token"), 2);
}

async fn a_server_that_dies_with_the_answer_shows_the_old_token_once_more(engine: Engine) {
    let mut scene = Scene::start(engine).await;
    scene.connect("square").await;
    scene.server.abort_at("integration.answered").await;
    scene.server.clock_ahead(NEARLY_S).await;
    assert_eq!(scene.server.ended(), None);
    assert_eq!(scene.fake.asked("sq refresh_token"), 1);
    scene.server = restarted(scene.server);
    scene.conn = Conn::to(&scene.server, &scene.acme).await;
    scene.ada = scene.conn.sign_in(&scene.acme).await;
    // Square takes the token that it gave out before; the claim of the server that died runs out first.
    scene.server.clock_ahead(NEARLY_S + 31).await;
    until("it works", async || (scene.check("square").await.status == 200).then_some(())).await;
    refreshed(&scene, "sq refresh_token", 2).await;
    assert_eq!(scene.shown("square").await["connected"]["state"], "connected");
    assert_eq!(scene.check("square").await.is(200).json(), json!({ "works": true, "outcome": "ok", "status": 200 }));
}
