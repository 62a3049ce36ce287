//! An endpoint that fails is left alone, asked by exactly the probes, and told again; and nobody else notices.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::receiver::{Mode, status};
use super::{BREAKERS, ENDPOINTS, Scene};
use freehold_domain::time::UnixMs;

use crate::support::{Conn, Engine, Options, on_both_engines, time};
use crate::watch::{metric, until};

on_both_engines! {
    whatever_way_an_endpoint_fails_its_breaker_opens_probes_and_closes
    an_open_breaker_outlives_its_process_and_probes_once
}

/// Few failures, and several probes.
fn options(engine: Engine) -> Options {
    Options::new(engine)
        .env("FREEHOLD_BREAKERS_FAILURES", "3")
        .env("FREEHOLD_BREAKERS_PAUSE_S", "60")
        .env("FREEHOLD_BREAKERS_PROBES", "2")
}

async fn opens(scene: &mut Scene, id: &str) -> Value {
    // Whoever hangs does so for ten seconds each time.
    for _ in 0..600 {
        let shown = scene.breaker(id).await;
        if shown["state"] == "open" {
            return shown;
        }
        sleep(Duration::from_millis(100)).await;
    }
    panic!("it does not open: {:?}", scene.messages(id).await)
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

/// Waits as long as it takes to be sure that nothing comes.
async fn quiet() {
    sleep(Duration::from_millis(400)).await;
}

async fn whatever_way_an_endpoint_fails_its_breaker_opens_probes_and_closes(engine: Engine) {
    let mut scene = Scene::on(options(engine)).await;
    let (well, _) = scene.endpoint("/well", &["session.started"]).await;
    let asks = Mode::Answer(429, "retry-after: 500\r\n", String::new());
    let ways = [
        ("/500", status(500), 60_u64),
        ("/429", asks, 500),
        ("/closes", Mode::Close, 60),
        ("/hangs", Mode::Hang, 60),
        ("/drips", Mode::Drip, 60),
    ];
    let mut ids = vec![];
    for (path, mode, _) in &ways {
        ids.push(scene.endpoint(path, &["session.started"]).await.0);
        scene.receiver.set(path, mode.clone());
    }
    // What is wrong with a message is no fault of the endpoint.
    let (refuses, _) = scene.endpoint("/refuses", &["session.started"]).await;
    scene.receiver.set("/refuses", status(400));
    for _ in 0..4 {
        scene.happen().await;
    }
    for (id, (path, _, pause_s)) in ids.iter().zip(&ways) {
        let shown = opens(&mut scene, id).await;
        let whole = scene.breaker(id).await;
        assert_eq!((&shown["openings"], &shown["by_hand"], &whole), (&json!(1), &json!(false), &shown), "{path}");
        assert_eq!(scene.receiver.heard(path).len(), 3, "{path}: no call is made that is refused");
        let all = async || Some(scene.messages(id).await).filter(|all| all.len() == 4);
        let messages = until("all are there", all).await.0;
        let tried: u64 = messages.iter().map(|one| one["attempts"].as_u64().unwrap()).sum();
        assert_eq!(tried, 3, "{path}: {messages:?}");
        let wait = time(&shown["until"]).since(UnixMs::new(now_ms())).as_secs();
        assert!((pause_s - 45..=pause_s + 12).contains(&wait), "{path}: {wait}");
    }
    assert_eq!(scene.hears("/well", 4).await.len(), 4, "nobody else notices");
    assert_eq!(scene.breaker(&refuses).await["state"], "closed");
    assert_eq!(scene.breaker(&well).await["state"], "closed");
    assert!(metric(&scene.server, "freehold_breaker_changes_total{service=\"webhook\",to=\"open\"}").await >= 5);
    quiet().await;
    assert_eq!(scene.receiver.heard("/500").len(), 3);

    // The pause is over, and nothing is well: one probe finds out, and the next pause is longer.
    scene.later(100).await;
    let twice = async || Some(scene.breaker(&ids[0]).await).filter(|shown| shown["openings"] == 2);
    until("it opens again", twice).await;
    assert_eq!(scene.receiver.heard("/500").len(), 4, "one probe");
    assert_eq!(scene.receiver.heard("/429").len(), 3, "who asked for more time has it");
    // When it is well, it is told everything.
    for (path, _, _) in &ways {
        scene.receiver.set(path, status(200));
    }
    for (id, (path, _, _)) in ids.iter().zip(&ways) {
        // A probe of before may still be hanging, and open it once more.
        let closes = async || {
            scene.later(600).await;
            sleep(Duration::from_millis(500)).await;
            let is_told = scene.messages(id).await.iter().all(|message| message["state"] == "delivered");
            (is_told && scene.breaker(id).await["state"] == "closed").then_some(())
        };
        until(path, closes).await;
    }
}

async fn an_open_breaker_outlives_its_process_and_probes_once(engine: Engine) {
    let mut scene = Scene::on(options(engine)).await;
    let (id, _) = scene.endpoint("/hook", &["session.started"]).await;
    scene.receiver.set("/hook", status(500));
    for _ in 0..6 {
        scene.happen().await;
    }
    let before = opens(&mut scene, &id).await;
    quiet().await; // until it is written down
    scene.server.kill();
    let mut scene = scene.restarted().await;
    let shown = scene.breaker(&id).await;
    assert_eq!((&shown["state"], &shown["until"]), (&json!("open"), &before["until"]));
    assert_eq!(scene.receiver.heard("/hook").len(), 3);

    // Two are the rule; whoever comes back from a crash asks once, and a success is enough.
    scene.receiver.set("/hook", Mode::Hang);
    scene.later(100).await;
    let half = async || Some(scene.breaker(&id).await).filter(|shown| shown["state"] == "half_open");
    until("it probes", half).await;
    quiet().await;
    assert_eq!(scene.receiver.heard("/hook").len(), 4, "one probe");

    // A panic of the actor loses nothing of it.
    let panic = json!({ "fault": "panic", "slug": "acme", "actor": "breakers" });
    scene.server.fault(panic).await;
    let known = async || Some(scene.breaker(&id).await).filter(|shown| shown["state"] != "closed");
    until("it is still known", known).await;
    let again = async || Some(scene.breaker(&id).await).filter(|shown| shown["openings"] == 2);
    until("the probe took too long", again).await;
    scene.receiver.set("/hook", status(200));
    scene.later(700).await;
    let closed = async || Some(scene.breaker(&id).await).filter(|shown| shown["state"] == "closed");
    until("it closes", closed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_opens_and_resets_a_breaker() {
    let mut scene = Scene::on(options(Engine::Sqlite)).await;
    let (id, _) = scene.endpoint("/hook", &["session.started"]).await;
    scene.happen().await;
    scene.settles(&id, "delivered", 1).await;
    let path = format!("{BREAKERS}/webhook:{id}");
    let opened = scene.conn.call("POST", &format!("{path}/open"), Some(&scene.ada.access)).await.is(200).json();
    assert_eq!((&opened["state"], &opened["by_hand"], &opened["until"]), (&json!("open"), &json!(true), &Value::Null));
    scene.happen().await;
    let waits = async || scene.messages(&id).await.iter().any(|one| one["attempts"] == 0).then_some(());
    until("it waits", waits).await;
    scene.later(3_600).await;
    quiet().await;
    assert_eq!(scene.receiver.heard("/hook").len(), 1, "until it is reset");
    let mut scene = scene.restarted().await;
    assert_eq!(scene.breaker(&id).await["by_hand"], true);
    let reset = scene.conn.call("POST", &format!("{path}/reset"), Some(&scene.ada.access)).await.is(200).json();
    assert_eq!(reset["state"], "closed");
    scene.hears("/hook", 3).await;
    for (name, act) in [("webhook:nobody", "open"), ("webhook:nobody", "reset")] {
        let path = format!("{BREAKERS}/{name}/{act}");
        scene.conn.call("POST", &path, Some(&scene.ada.access)).await.is_problem(404, "not-found");
    }
    let log = crate::audit::log(&mut scene.conn, &scene.ada.access).await;
    let rows: Vec<_> = log.iter().filter(|row| row["source"] == format!("webhook:{id}")).collect();
    assert_eq!((&rows[0]["action"], &rows[1]["action"]), (&json!("breaker.opened"), &json!("breaker.reset")));
    // With its endpoint goes its breaker.
    scene.conn.call("POST", &format!("{path}/open"), Some(&scene.ada.access)).await.is(200);
    let endpoint = format!("{ENDPOINTS}/{id}");
    scene.conn.call("DELETE", &endpoint, Some(&scene.ada.access)).await.is(204);
    assert_eq!(scene.get(BREAKERS).await["items"], json!([]));

    // And does not come back with the answer to a call that was under way.
    let (id, _) = scene.endpoint("/late", &["session.started"]).await;
    scene.receiver.set("/late", Mode::Late(Duration::from_millis(500)));
    scene.act(&id, "test").await.is(202);
    scene.hears("/late", 1).await;
    scene.conn.call("DELETE", &format!("{ENDPOINTS}/{id}"), Some(&scene.ada.access)).await.is(204);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(scene.get(BREAKERS).await["items"], json!([]));
}

/// Endpoints of one tenant that hang delay neither its own others nor those of other tenants, however many there are, once it is known
/// which they are.
#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_slow_delays_nobody_else() {
    let mut scene = Scene::on(Options::new(Engine::Sqlite)).await;
    for n in 0..6 {
        let path = format!("/hangs{n}");
        scene.endpoint(&path, &["session.started"]).await;
        scene.receiver.set(&path, Mode::Hang);
    }
    scene.endpoint("/well", &["session.started"]).await;
    let globex = scene.server.tenant("globex");
    let mut elsewhere = Conn::to(&scene.server, &globex).await;
    let greta = elsewhere.sign_in(&globex).await;
    let body = json!({ "url": scene.receiver.url("/theirs"), "topics": ["session.started"] });
    elsewhere.post(ENDPOINTS, Some(&greta.access), &body).await.is(201);
    scene.happen().await;
    for n in 0..6 {
        scene.hears(&format!("/hangs{n}"), 1).await;
    }
    for n in 1..=10 {
        let began = Instant::now();
        scene.happen().await;
        let mine = scene.hears("/well", n + 1).await[n].at;
        let mut conn = Conn::to(&scene.server, &globex).await;
        conn.sign_in(&globex).await;
        let theirs = scene.hears("/theirs", n).await[n - 1].at;
        for at in [mine, theirs] {
            assert!(at.duration_since(began) < Duration::from_secs(5), "others wait for one that is slow for ten");
        }
    }
    assert!(scene.receiver.heard("/hangs0").len() <= 3, "one at a time");
}

/// Endpoints that are slow and succeed are not left alone; they have one message a turn, and whoever waits has the next one.
#[tokio::test(flavor = "multi_thread")]
async fn those_that_are_slow_and_have_much_to_hear_leave_turns_to_others() {
    let mut scene = Scene::on(Options::new(Engine::Sqlite)).await;
    let mut slow = vec![];
    for n in 0..7 {
        let path = format!("/slow{n}");
        scene.receiver.set(&path, Mode::Late(Duration::from_secs(1)));
        slow.push(scene.endpoint(&path, &["member.joined"]).await.0);
    }
    let (well, _) = scene.endpoint("/well", &["member.joined"]).await;
    for id in &slow {
        for _ in 0..20 {
            scene.act(id, "test").await.is(202);
        }
    }
    scene.hears("/slow0", 1).await;
    let began = Instant::now();
    scene.act(&well, "test").await.is(202);
    scene.hears("/well", 1).await;
    assert!(began.elapsed() < Duration::from_secs(6), "it had its turn after {:?}", began.elapsed());
    for n in 0..7 {
        scene.hears(&format!("/slow{n}"), 2).await;
    }
}
