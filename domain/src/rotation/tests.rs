use proptest::prelude::*;

use super::*;

type Machine = Rotations<u32, &'static str, u32>;

const HOLD: Duration = Duration::from_millis(50);
const T0: UnixMs = UnixMs::new(1_700_000_000_000);

fn family() -> FamilyId {
    FamilyId::new(T0, [1; 10])
}

fn hash(n: u8) -> TokenHash {
    TokenHash::from_bytes([n; 32])
}

fn ms(n: u64) -> UnixMs {
    T0.plus(Duration::from_millis(n))
}

fn begin(machine: &mut Machine, token: u8, at: UnixMs, waiter: u32) -> Effect {
    match machine.present(family(), hash(token), at, waiter, at) {
        Some(Act::Rotate(effect)) => effect,
        other => panic!("expected a rotation, got {other:?}"),
    }
}

#[test]
fn those_who_ask_together_get_one_pair() {
    let mut machine = Machine::default();
    let effect = begin(&mut machine, 1, T0, 0);
    assert_eq!(machine.present(family(), hash(1), ms(1), 1, ms(1)), None);
    assert_eq!(machine.settled(effect, Outcome::Rotated(7), HOLD, ms(3)), vec![Act::WakeAt(effect, ms(50))]);
    assert_eq!(machine.present(family(), hash(1), ms(49), 2, ms(49)), None);
    assert_eq!(machine.due(effect, ms(49)), vec![Act::WakeAt(effect, ms(50))]);
    assert_eq!(machine.due(effect, ms(50)), vec![Act::Deliver(7, vec![0, 1, 2])]);
    assert!(machine.is_empty());
}

#[test]
fn a_slow_commit_is_delivered_at_once() {
    let mut machine = Machine::default();
    let effect = begin(&mut machine, 1, T0, 0);
    assert_eq!(machine.settled(effect, Outcome::Rotated(7), HOLD, ms(80)), vec![Act::Deliver(7, vec![0])]);
}

#[test]
fn a_late_timer_signs_nobody_out() {
    let mut machine = Machine::default();
    let effect = begin(&mut machine, 1, T0, 0);
    machine.settled(effect, Outcome::Rotated(7), HOLD, ms(3));
    assert_eq!(machine.present(family(), hash(1), ms(70), 9, ms(70)), None);
    assert_eq!(machine.due(effect, ms(71)), vec![Act::Deliver(7, vec![0, 9])]);
}

#[test]
fn whoever_comes_after_the_pair_was_handed_out_is_judged_by_the_store() {
    let mut machine = Machine::default();
    let effect = begin(&mut machine, 1, T0, 0);
    machine.settled(effect, Outcome::Rotated(7), HOLD, ms(3));
    machine.due(effect, ms(50));
    let second = begin(&mut machine, 1, ms(50), 9);
    assert_eq!(machine.settled(second, Outcome::Replayed("dead"), HOLD, ms(52)), vec![Act::Revoke(second)]);
    assert_eq!(machine.present(family(), hash(1), ms(53), 10, ms(53)), None);
    assert_eq!(machine.revoked(second, None, ms(54)), vec![Act::Refuse("dead", vec![9, 10])]);
}

#[test]
fn another_token_of_the_family_waits_its_turn() {
    let mut machine = Machine::default();
    let effect = begin(&mut machine, 1, T0, 0);
    assert_eq!(machine.present(family(), hash(2), ms(1), 1, ms(1)), None);
    assert_eq!(machine.present(family(), hash(2), ms(2), 2, ms(2)), None);
    let acts = machine.settled(effect, Outcome::Refused("unknown"), HOLD, ms(3));
    assert!(matches!(acts.as_slice(), [Act::Refuse("unknown", first), Act::Rotate(_)] if *first == [0]));
    let [_, Act::Rotate(next)] = acts.as_slice() else { panic!() };
    assert_eq!(machine.settled(*next, Outcome::Rotated(8), HOLD, ms(60)), vec![Act::Deliver(8, vec![1, 2])]);
}

#[test]
fn a_failed_revocation_says_so_and_a_lost_effect_is_forgotten() {
    let mut machine = Machine::default();
    let effect = begin(&mut machine, 1, T0, 0);
    machine.settled(effect, Outcome::Replayed("dead"), HOLD, ms(1));
    assert_eq!(machine.revoked(effect, Some("away"), ms(2)), vec![Act::Refuse("away", vec![0])]);

    let lost = begin(&mut machine, 1, T0, 0);
    let retry = begin(&mut machine, 1, T0.plus(LOST_AFTER), 1);
    assert_ne!(lost, retry);
    assert_eq!(machine.settled(lost, Outcome::Rotated(1), HOLD, T0.plus(LOST_AFTER)), vec![]);
    assert_eq!(machine.len(), 1);
}

/// A naive store: one live token, the set of spent ones, and whether the family lives.
#[derive(Default)]
struct Model {
    live: u8,
    spent: Vec<u8>,
    dead: bool,
}

proptest! {
    /// Whatever the order of requests, answers and clocks: at most one successor a token, every waiter is answered
    /// exactly once, and a family dies only when a token is presented after its pair was handed out.
    #[test]
    fn every_waiter_is_answered_once(script in prop::collection::vec((0_u8..3, 0_u64..60), 1..120)) {
        let mut machine = Machine::default();
        let mut store = Model { live: 1, ..Model::default() };
        let (mut now, mut waiter) = (T0, 0_u32);
        let (mut answered, mut pending, mut wakes) = (vec![], vec![], vec![]);
        let mut handed_out = 1_u8;
        let mut honest = true;
        for (what, pause) in script {
            now = now.plus(Duration::from_millis(pause));
            let mut acts = vec![];
            if what < 2 {
                // 0 presents the newest token that was handed out, 1 the one before it.
                let token = if what == 0 { handed_out } else { handed_out.saturating_sub(1).max(1) };
                honest &= token == handed_out;
                acts.extend(machine.present(family(), hash(token), now, waiter, now));
                waiter += 1;
            } else if let Some(effect) = pending.pop() {
                let Effect { presented, .. } = effect;
                let outcome = if store.dead {
                    Outcome::Refused("dead")
                } else if presented == hash(store.live) {
                    store.spent.push(store.live);
                    store.live += 1;
                    Outcome::Rotated(u32::from(store.live))
                } else if store.spent.iter().any(|t| hash(*t) == presented) {
                    Outcome::Replayed("replay")
                } else {
                    Outcome::Refused("unknown")
                };
                acts.extend(machine.settled(effect, outcome, HOLD, now));
                if acts.contains(&Act::Revoke(effect)) {
                    store.dead = true;
                    acts.extend(machine.revoked(effect, None, now));
                }
                wakes.push(effect);
            }
            for effect in &wakes {
                acts.extend(machine.due(*effect, now));
            }
            for act in acts {
                match act {
                    Act::Rotate(effect) => pending.push(effect),
                    Act::Deliver(pair, waiters) => {
                        handed_out = u8::try_from(pair).unwrap();
                        answered.extend(waiters);
                    }
                    Act::Refuse(_, waiters) => answered.extend(waiters),
                    Act::WakeAt(..) | Act::Revoke(_) => {}
                }
            }
            prop_assert!(pending.len() <= 1, "effects on one family run one at a time");
        }
        prop_assert!(!(honest && store.dead), "an honest family was revoked");
        let mut unique = answered.clone();
        unique.sort_unstable();
        unique.dedup();
        prop_assert_eq!(unique.len(), answered.len(), "somebody was answered twice");
    }
}
