//! Every event once, and its effect once: whatever is sent again, however late, to whichever node, and whoever dies meanwhile.

use std::collections::BTreeMap;

use tokio::task::JoinSet;

use super::inbox::{SUBSCRIPTIONS, now_s, subscription};
use super::signed::{STRIPE, Signed, stripe, stripe_event, stripe_event_of};
use super::{Scene, post, taken};
use crate::support::{Conn, Engine, Options, on_both_engines};
use crate::watch::{metric, note, until};

const EVENTS: usize = 1_000;
const TIMES: usize = 3;
/// Of how many subscriptions they tell.
const SUBJECTS: usize = 50;
const CONNECTIONS: usize = 8;

on_both_engines! {
    what_was_acknowledged_is_there_after_a_kill_at_any_step
}

async fn what_was_acknowledged_is_there_after_a_kill_at_any_step(engine: Engine) {
    let mut scene = Scene::on(Options::new(engine).limits_off()).await;
    for (point, is_kept) in [("webhook.written", false), ("webhook.committed", true)] {
        let signed = stripe(STRIPE, &stripe_event(point));
        scene.server.abort_at(point).await;
        assert!(post(&mut scene.conn, &signed).await.is_none(), "{point} was not reached");
        assert_eq!(scene.server.ended(), None, "{point}");
        scene.server = scene.server.restarted();
        scene.conn = Conn::to(&scene.server, &scene.acme).await;
        let kept = async |scene: &mut Scene| {
            let events = scene.events().await;
            events.iter().find(|event| event["event_id"] == point).map(|event| event["repeated"].as_i64().unwrap())
        };
        assert_eq!(kept(&mut scene).await, is_kept.then_some(0), "{point}");
        taken(&scene.post(&signed).await);
        assert_eq!(kept(&mut scene).await, Some(i64::from(is_kept)), "{point}");
    }
}

/// A small generator of numbers in some order, the same in every run.
struct Shuffle(u64);

impl Shuffle {
    fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.next(last + 1));
        }
    }
}

/// An event of one of the subscriptions: when it happened, and what it says. Every tenth happened an hour before the others.
fn happened(number: usize, since_s: i64) -> (i64, &'static str) {
    let nth = number / SUBJECTS;
    let before_s = if nth % 10 == 3 { 3_600 } else { 0 };
    let statuses = ["active", "past_due", "trialing", "unpaid"];
    (since_s + i64::try_from(nth).unwrap() - before_s, statuses[(number * 7 + nth) % statuses.len()])
}

/// It as it is sent. The last event of every fifth subscription deletes it.
fn told(number: usize, since_s: i64) -> Signed {
    let (at_s, status) = happened(number, since_s);
    let (subject, is_last) = (number % SUBJECTS, number / SUBJECTS == EVENTS / SUBJECTS - 1);
    let kind = if is_last && subject.is_multiple_of(5) {
        "customer.subscription.deleted"
    } else {
        "customer.subscription.updated"
    };
    let object = subscription(&format!("sub_{subject}"), status);
    stripe(STRIPE, &stripe_event_of(&format!("evt_{number}"), kind, (None, at_s), &object))
}

/// A provider that sends each of a thousand events three times in any order, and again what was not acknowledged, to two nodes of
/// which one is killed in the middle.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_events_three_times_over_two_nodes_are_each_kept_once() {
    let mut scene = Scene::on(Options::new(Engine::Postgres).limits_off()).await;
    let mut second = scene.server.another();
    let mut order: Vec<usize> = (0..EVENTS * TIMES).map(|n| n % EVENTS).collect();
    Shuffle(7).shuffle(&mut order);
    let since_s = now_s() - 60;
    let signed: Vec<Signed> = (0..EVENTS).map(|number| told(number, since_s)).collect();

    let (half, rest) = order.split_at(order.len() / 2);
    let (mut sent, mut lost) = (BTreeMap::<usize, i64>::new(), vec![]);
    for (part, is_killed) in [(half, true), (rest, false)] {
        let mut posting = JoinSet::new();
        for (n, numbers) in part.chunks(part.len().div_ceil(CONNECTIONS)).enumerate() {
            let node = if n % 2 == 0 || !is_killed { &scene.server } else { &second };
            let mut conn = Conn::to(node, &scene.acme).await;
            let deliveries: Vec<_> = numbers.iter().map(|number| (*number, signed[*number].clone())).collect();
            posting.spawn(async move {
                let (mut acknowledged, mut not) = (vec![], vec![]);
                for (number, signed) in deliveries {
                    let answer = if not.is_empty() { post(&mut conn, &signed).await } else { None };
                    match answer {
                        Some(answer) if answer.status == 200 => acknowledged.push(number),
                        _ => not.push(number), // a connection that broke is not used again
                    }
                }
                (acknowledged, not)
            });
        }
        if is_killed {
            let is_far = async || (metric(&second, "freehold_webhooks_total").await >= 100).then_some(());
            until("it has taken some, and not all", is_far).await;
            second.kill();
        }
        for (acknowledged, not) in posting.join_all().await {
            for number in acknowledged {
                *sent.entry(number).or_default() += 1;
            }
            lost.extend(not);
        }
    }
    note(&format!("{} were not acknowledged, and are sent again", lost.len()));
    assert!(!lost.is_empty(), "nobody was killed in the middle");
    for number in lost {
        taken(&scene.post(&signed[number]).await);
        *sent.entry(number).or_default() += 1;
    }
    let events = scene.events().await;
    let mut kept = BTreeMap::new();
    for event in &events {
        let number = event["event_id"].as_str().unwrap().strip_prefix("evt_").unwrap().parse::<usize>().unwrap();
        assert_eq!(kept.insert(number, event["repeated"].as_i64().unwrap()), None, "{number} is kept twice");
    }
    assert_eq!(kept.len(), EVENTS);
    // Acknowledged so often; or once more, where the acknowledgement was lost with who gave it.
    for (number, repeated) in kept {
        assert!((0..=3).contains(&(repeated + 1 - sent[&number])), "{number}: {repeated}, {}", sent[&number]);
    }
    // And each had its effect once: every subscription stands as its newest event says.
    scene.all_done().await;
    let subscriptions = scene.get(&format!("{SUBSCRIPTIONS}?limit=200")).await["items"].as_array().unwrap().clone();
    assert_eq!(subscriptions.len(), SUBJECTS);
    for stands in subscriptions {
        let subject: usize = stands["id"].as_str().unwrap().strip_prefix("sub_").unwrap().parse().unwrap();
        assert_eq!(stands["events"].as_u64(), Some((EVENTS / SUBJECTS) as u64), "{stands}");
        let newest = (subject..EVENTS).step_by(SUBJECTS).max_by_key(|number| happened(*number, since_s)).unwrap();
        let said = if subject.is_multiple_of(5) { "canceled" } else { happened(newest, since_s).1 };
        assert_eq!(
            (&stands["status"], &stands["event_id"]),
            (&said.into(), &format!("evt_{newest}").into()),
            "{stands}"
        );
    }
}
