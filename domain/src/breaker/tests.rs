use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const RULE: BreakerRule =
    BreakerRule { failures_max: 3, pause: Duration::from_secs(30), probe: Duration::from_secs(2) };
const T0: UnixMs = UnixMs::new(1_700_000_000_000);

fn at(s: u64) -> UnixMs {
    T0.plus(Duration::from_secs(s))
}

fn settle(breaker: &mut Breaker, call: &Call, well: bool, now: UnixMs) {
    if well {
        breaker.succeeded(call);
    } else {
        breaker.failed(call, RULE, now);
    }
}

/// One that was opened at `T0`.
fn open() -> Breaker {
    let mut breaker = Breaker::default();
    for _ in 0..RULE.failures_max {
        let call = breaker.begin(RULE, T0).unwrap();
        breaker.failed(&call, RULE, T0);
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
    breaker.failed(&call, RULE, T0);
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
    breaker.succeeded(&lost);
    assert_eq!(breaker.circuit(), Circuit::HalfOpen);
    breaker.succeeded(&probe);
    breaker.failed(&lost, RULE, at(33));
    assert_eq!(breaker, Breaker { state: State::default(), round: breaker.round });
}

#[test]
fn what_began_before_it_opened_does_not_close_it() {
    let mut breaker = Breaker::default();
    let early = breaker.begin(RULE, T0).unwrap();
    for _ in 0..RULE.failures_max {
        let call = breaker.begin(RULE, T0).unwrap();
        breaker.failed(&call, RULE, T0);
    }
    breaker.succeeded(&early);
    assert_eq!(breaker.circuit(), Circuit::Open);
    breaker.failed(&early, RULE, at(29));
    assert!(breaker.begin(RULE, at(30)).is_ok(), "nor does it prolong the pause");
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
