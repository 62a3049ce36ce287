use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const RULE: BreakerRule = BreakerRule {
    failures_max: 3,
    percent_max: 101,
    pause_max: Duration::from_secs(30),
    probe: Duration::from_secs(2),
    ..BreakerRule::USUAL
};
const PLAIN: Failure = Failure { retry_after: None, spread: 0 };
const T0: UnixMs = UnixMs::new(1_700_000_000_000);

fn at(s: u64) -> UnixMs {
    T0.plus(Duration::from_secs(s))
}

fn settle(breaker: &mut Breaker, call: &Call, well: bool, now: UnixMs) {
    if well {
        breaker.succeeded(call, RULE, now);
    } else {
        breaker.failed(call, RULE, PLAIN, now);
    }
}

/// One that was opened at `T0`.
fn open() -> Breaker {
    let mut breaker = Breaker::default();
    for _ in 0..RULE.failures_max {
        let call = breaker.begin(RULE, T0).unwrap();
        breaker.failed(&call, RULE, PLAIN, T0);
    }
    assert_eq!(breaker.circuit(), Circuit::Open);
    breaker
}

#[test]
fn consecutive_failures_open_it_and_a_success_between_them_does_not() {
    let mut breaker = Breaker::default();
    for outcome in [false, false, true, false, false] {
        let call = breaker.begin(RULE, T0).unwrap();
        settle(&mut breaker, &call, outcome, T0);
        assert_eq!(breaker.circuit(), Circuit::Closed);
    }
    let call = breaker.begin(RULE, T0).unwrap();
    breaker.failed(&call, RULE, PLAIN, T0);
    assert_eq!(breaker.begin(RULE, at(10)), Err(Tripped { retry_after: Duration::from_secs(20) }));
}

#[test]
fn after_its_pause_one_probe_decides() {
    for (well, then) in [(true, Circuit::Closed), (false, Circuit::Open)] {
        let mut breaker = open();
        assert!(breaker.begin(RULE, at(29)).is_err());
        let probe = breaker.begin(RULE, at(30)).unwrap();
        assert_eq!(breaker.circuit(), Circuit::HalfOpen);
        assert_eq!(breaker.begin(RULE, at(31)), Err(Tripped { retry_after: Duration::from_secs(1) }));
        settle(&mut breaker, &probe, well, at(31));
        assert_eq!(breaker.circuit(), then);
        assert_eq!(breaker.begin(RULE, at(31)).is_ok(), well);
        assert_eq!(breaker.begin(RULE, at(60)).is_ok(), well, "the pause begins anew");
        assert!(breaker.begin(RULE, at(61)).is_ok());
    }
}

#[test]
fn a_lost_probe_holds_nothing_up_and_says_nothing_later() {
    let mut breaker = open();
    let lost = breaker.begin(RULE, at(30)).unwrap();
    let probe = breaker.begin(RULE, at(32)).unwrap();
    breaker.succeeded(&lost, RULE, at(32));
    assert_eq!(breaker.circuit(), Circuit::HalfOpen);
    breaker.succeeded(&probe, RULE, at(32));
    breaker.failed(&lost, RULE, PLAIN, at(33));
    assert_eq!(breaker, Breaker { round: breaker.round, ..Breaker::default() });
}

#[test]
fn what_began_before_it_opened_does_not_close_it() {
    let mut breaker = Breaker::default();
    let early = breaker.begin(RULE, T0).unwrap();
    for _ in 0..RULE.failures_max {
        let call = breaker.begin(RULE, T0).unwrap();
        breaker.failed(&call, RULE, PLAIN, T0);
    }
    breaker.succeeded(&early, RULE, T0);
    assert_eq!(breaker.circuit(), Circuit::Open);
    breaker.failed(&early, RULE, PLAIN, at(29));
    assert!(breaker.begin(RULE, at(30)).is_ok(), "nor does it prolong the pause");
}

/// Its calls at `now`, one after the other.
fn run(breaker: &mut Breaker, rule: BreakerRule, outcomes: impl IntoIterator<Item = bool>, now: UnixMs) {
    for well in outcomes {
        let Ok(call) = breaker.begin(rule, now) else { return };
        if well { breaker.succeeded(&call, rule, now) } else { breaker.failed(&call, rule, PLAIN, now) }
    }
}

#[test]
fn a_large_share_of_failures_opens_it_once_there_are_enough_calls() {
    let rule = BreakerRule { percent_max: 50, calls_min: 10, ..RULE };
    let mixed = |calls: usize| [true, false].into_iter().cycle().take(calls);
    let mut breaker = Breaker::default();
    run(&mut breaker, rule, mixed(9), T0);
    assert_eq!(breaker.circuit(), Circuit::Closed, "nine calls say nothing");
    run(&mut breaker, rule, [false], at(31)); // the half before still counts
    assert_eq!(breaker.circuit(), Circuit::Open);

    let mut breaker = Breaker::default();
    run(&mut breaker, rule, mixed(8), T0);
    run(&mut breaker, rule, mixed(8), at(61)); // and what is older than the window does not
    assert_eq!(breaker.circuit(), Circuit::Closed);
    run(&mut breaker, rule, [true, true, true, false, false], at(62));
    assert_eq!(breaker.circuit(), Circuit::Closed, "six of thirteen");
}

#[test]
fn exactly_the_probes_of_the_rule_go_out_and_all_must_succeed() {
    let rule = BreakerRule { probes: 3, ..RULE };
    for failing in [None, Some(0), Some(1), Some(2)] {
        let mut breaker = open();
        let probes: Vec<_> = std::iter::from_fn(|| breaker.begin(rule, at(30)).ok()).take(9).collect();
        assert_eq!(probes.len(), 3);
        for (n, probe) in probes.iter().enumerate() {
            assert_ne!(breaker.circuit(), Circuit::Closed, "before the last of them");
            if failing == Some(n) {
                breaker.failed(probe, rule, PLAIN, at(31));
            } else {
                breaker.succeeded(probe, rule, at(31));
            }
        }
        assert_eq!(breaker.circuit() == Circuit::Closed, failing.is_none(), "{failing:?}");
    }
}

#[test]
fn pauses_double_are_spread_and_honour_what_the_other_side_asks_for() {
    let rule = BreakerRule { pause_max: Duration::from_secs(100), ..RULE };
    let mut breaker = open();
    let mut now = at(30);
    for seconds in [60, 100, 100] {
        let probe = breaker.begin(rule, now).unwrap();
        breaker.failed(&probe, rule, PLAIN, now);
        assert_eq!(breaker.begin(rule, now), Err(Tripped { retry_after: Duration::from_secs(seconds) }));
        now = now.plus(Duration::from_secs(seconds));
    }
    let asked = |seconds, spread| {
        let mut breaker = open();
        let probe = breaker.begin(rule, at(30)).unwrap();
        let retry_after = Some(Duration::from_secs(seconds));
        breaker.failed(&probe, rule, Failure { retry_after, spread }, at(30));
        breaker.begin(rule, at(30)).unwrap_err().retry_after.as_secs()
    };
    assert_eq!([asked(1, 0), asked(90, 0), asked(9_999, 0), asked(1, 255)], [60, 90, 100, 72]);
    run(&mut breaker, rule, [true], now);
    assert_eq!(breaker, Breaker { round: breaker.round, ..Breaker::default() }, "closed, the next pause is the first");
}

#[test]
fn what_is_restored_waits_its_pause_and_then_probes_once() {
    let rule = BreakerRule { probes: 3, ..RULE };
    let mut before = open();
    assert_eq!(before.remembered(), Some(Remembered { until: at(30), openings: 1 }));
    let mut restored = Breaker::restored(before.remembered().unwrap(), at(1));
    assert!(restored.begin(rule, at(29)).is_err());
    let probe = restored.begin(rule, at(30)).unwrap();
    assert!(restored.begin(rule, at(30)).is_err(), "one, whatever the rule has");
    restored.succeeded(&probe, rule, at(31));
    assert_eq!((restored.circuit(), restored.remembered()), (Circuit::Closed, None));

    drop(before.begin(rule, at(30)).unwrap());
    let lost = Breaker::restored(before.remembered().unwrap(), at(1));
    assert_eq!(lost.circuit(), Circuit::Open, "until the probes of before are lost");
}

#[test]
fn by_hand_it_opens_without_an_end_and_closes() {
    let mut breaker = Breaker::default();
    let early = breaker.begin(RULE, T0).unwrap();
    breaker.hold_open();
    breaker.succeeded(&early, RULE, T0);
    assert!(breaker.begin(RULE, at(1_000_000_000)).is_err());
    assert_eq!(breaker.remembered().unwrap().until, UnixMs::MAX);
    breaker.reset();
    assert!(breaker.begin(RULE, T0).is_ok());
}

/// The same rule with nothing but lists: which calls still count, and what they came to.
#[derive(Debug, Default)]
struct Naive {
    counting: BTreeSet<usize>,
    outcomes: Vec<bool>,
    shut_until: Option<UnixMs>,
    probing: bool,
}

impl Naive {
    fn begins(&mut self, id: usize, now: UnixMs) -> bool {
        match self.shut_until {
            Some(until) if now < until => return false,
            Some(_) => {
                *self = Self {
                    counting: BTreeSet::new(),
                    outcomes: vec![],
                    shut_until: Some(now.plus(RULE.probe)),
                    probing: true,
                };
            }
            None => {}
        }
        self.counting.insert(id)
    }

    fn ends(&mut self, id: usize, well: bool, now: UnixMs) {
        if !self.counting.remove(&id) {
            return;
        }
        self.outcomes.push(well);
        let failures = self.outcomes.iter().rev().take_while(|well| !**well).count();
        if self.probing && well {
            *self = Self::default();
        } else if self.probing || failures == RULE.failures_max as usize {
            *self = Self { shut_until: Some(now.plus(RULE.pause)), ..Self::default() };
        }
    }
}

proptest! {
    #[test]
    fn it_admits_what_the_naive_model_admits(
        steps in prop::collection::vec((0_u64..12_000, any::<bool>(), any::<bool>(), any::<prop::sample::Index>()), 1..200),
    ) {
        let (mut breaker, mut naive, mut now) = (Breaker::default(), Naive::default(), T0);
        let mut under_way: Vec<(usize, Call)> = vec![];
        for (id, (pause, begin, well, which)) in steps.into_iter().enumerate() {
            now = now.plus(Duration::from_millis(pause));
            if begin || under_way.is_empty() {
                let begun = breaker.begin(RULE, now);
                prop_assert_eq!(begun.is_ok(), naive.begins(id, now));
                under_way.extend(begun.ok().map(|call| (id, call)));
            } else {
                let (id, call) = under_way.swap_remove(which.index(under_way.len()));
                settle(&mut breaker, &call, well, now);
                naive.ends(id, well, now);
            }
        }
    }
}
