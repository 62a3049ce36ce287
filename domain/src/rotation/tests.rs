use proptest::prelude::*;

use super::*;

type Machine = Rotations<u32, u32>;
type Step = Act<u32, &'static str, u32>;

fn answer(pair: u32, waiters: Vec<u32>) -> Step {
    Act::Answer(Ok(pair), waiters)
}

fn refuse(why: &'static str, waiters: Vec<u32>) -> Step {
    Act::Answer(Err(why), waiters)
}

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

fn present(machine: &mut Machine, token: u8, at: UnixMs, waiter: u32) -> Option<Step> {
    machine.present(family(), hash(token), at, waiter, at)
}

fn settled(machine: &mut Machine, effect: Effect, outcome: Result<u32, &'static str>, at: UnixMs) -> Vec<Step> {
    machine.settled(effect, outcome, HOLD, at)
}

fn due(machine: &mut Machine, effect: Effect, at: UnixMs) -> Vec<Step> {
    machine.due(effect, at)
}

fn begin(machine: &mut Machine, token: u8, at: UnixMs, waiter: u32) -> Effect {
    match present(machine, token, at, waiter) {
        Some(Act::Rotate(effect)) => effect,
        other => panic!("expected a rotation, got {other:?}"),
    }
}

#[test]
fn those_who_ask_together_get_one_pair() {
    let mut machine = Machine::default();
    let effect = begin(&mut machine, 1, T0, 0);
    assert_eq!(present(&mut machine, 1, ms(1), 1), None);
    assert_eq!(settled(&mut machine, effect, Ok(7), ms(3)), vec![Act::WakeAt(effect, ms(50))]);
    assert_eq!(present(&mut machine, 1, ms(49), 2), None);
    assert_eq!(due(&mut machine, effect, ms(49)), vec![Act::WakeAt(effect, ms(50))]);
    assert_eq!(due(&mut machine, effect, ms(50)), vec![answer(7, vec![0, 1, 2])]);
    assert!(machine.is_empty());
}

#[test]
fn a_slow_commit_is_delivered_at_once() {
    let mut machine = Machine::default();
    let effect = begin(&mut machine, 1, T0, 0);
    assert_eq!(settled(&mut machine, effect, Ok(7), ms(80)), vec![answer(7, vec![0])]);
}

#[test]
fn a_late_timer_signs_nobody_out() {
    let mut machine = Machine::default();
    let effect = begin(&mut machine, 1, T0, 0);
    settled(&mut machine, effect, Ok(7), ms(3));
    assert_eq!(present(&mut machine, 1, ms(70), 9), None);
    assert_eq!(due(&mut machine, effect, ms(71)), vec![answer(7, vec![0, 9])]);
}

#[test]
fn whoever_comes_after_the_pair_was_handed_out_is_judged_by_the_store() {
    let mut machine = Machine::default();
    let effect = begin(&mut machine, 1, T0, 0);
    settled(&mut machine, effect, Ok(7), ms(3));
    due(&mut machine, effect, ms(50));
    let second = begin(&mut machine, 1, ms(50), 9);
    assert_eq!(present(&mut machine, 1, ms(51), 10), None);
    assert_eq!(settled(&mut machine, second, Err("replayed"), ms(52)), vec![refuse("replayed", vec![9, 10])]);
}

#[test]
fn another_token_of_the_family_waits_its_turn() {
    let mut machine = Machine::default();
    let effect = begin(&mut machine, 1, T0, 0);
    assert_eq!(present(&mut machine, 2, ms(1), 1), None);
    assert_eq!(present(&mut machine, 2, ms(2), 2), None);
    let acts = settled(&mut machine, effect, Err("unknown"), ms(3));
    let [first, Act::Rotate(next)] = acts.as_slice() else { panic!("{acts:?}") };
    assert_eq!(*first, refuse("unknown", vec![0]));
    assert_eq!(settled(&mut machine, *next, Ok(8), ms(60)), vec![answer(8, vec![1, 2])]);
}

#[test]
fn a_lost_effect_is_forgotten_and_its_late_report_is_nobodys() {
    let mut machine = Machine::default();
    let lost = begin(&mut machine, 1, T0, 0);
    let late = T0.plus(LOST_AFTER);
    let retry = begin(&mut machine, 1, late, 1);
    assert_ne!(lost, retry);
    assert_eq!(settled(&mut machine, lost, Ok(1), late), vec![]);
    assert_eq!(machine.len(), 1);
}

#[test]
fn a_request_that_was_long_on_its_way_is_not_lost_at_once() {
    let mut machine = Machine::default();
    let late = T0.plus(LOST_AFTER * 2);
    let Some(Act::Rotate(effect)) = machine.present::<&str>(family(), hash(1), T0, 0, late) else { panic!() };
    assert_eq!(machine.present::<&str>(family(), hash(1), late, 1, late), None);
    assert_eq!(settled(&mut machine, effect, Ok(7), late), vec![answer(7, vec![0, 1])]);
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
                    Err("dead")
                } else if presented == hash(store.live) {
                    store.spent.push(store.live);
                    store.live += 1;
                    Ok(u32::from(store.live))
                } else if store.spent.iter().any(|t| hash(*t) == presented) {
                    Err("replay")
                } else {
                    Err("unknown")
                };
                store.dead |= outcome == Err("replay");
                acts.extend(machine.settled(effect, outcome, HOLD, now));
                wakes.push(effect);
            }
            for effect in &wakes {
                acts.extend(machine.due(*effect, now));
            }
            for act in acts {
                match act {
                    Act::Rotate(effect) => pending.push(effect),
                    Act::Answer(outcome, waiters) => {
                        handed_out = outcome.map_or(handed_out, |pair| u8::try_from(pair).unwrap());
                        answered.extend(waiters);
                    }
                    Act::WakeAt(..) => {}
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
