use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const PLACES: Places = Places::new(64);

fn weight(number: u32) -> Weight {
    Weight::new(number).expect("a weight")
}

/// Takes places for one tenant until there is none, and how many that were.
fn fill(queue: &mut FairQueue<u32, u32>, tenant: u32, of: Weight) -> usize {
    std::iter::from_fn(|| queue.take(tenant, of).ok()).count()
}

/// A job of each of these tenants.
fn waiting(jobs: &[(u32, u32)], of: impl Fn(u32) -> Weight) -> FairQueue<u32, (u32, u32)> {
    let mut queue = FairQueue::new(Places::new(1_000));
    for (tenant, job) in jobs {
        queue.take(*tenant, of(*tenant)).expect("a place");
        queue.push(*tenant, (*tenant, *job));
    }
    queue
}

#[test]
fn one_tenant_holds_half_and_leaves_more_to_more() {
    for (of, most) in [(1, 32), (2, 43), (3, 48), (16, 48)] {
        let mut queue = FairQueue::new(PLACES);
        assert_eq!(fill(&mut queue, 1, weight(of)), most, "{of}");
        assert_eq!(queue.take(1, weight(of)), Err(NoPlace::Share));
        assert_eq!(PLACES.most_of_one(weight(of)), most);
    }
    let mut queue = FairQueue::<u32, u32>::new(PLACES);
    let mut held = [0; 3];
    for _ in 0..PLACES.all() {
        for (tenant, held) in (0..).zip(&mut held) {
            *held += usize::from(queue.take(tenant, Weight::MIN).is_ok());
        }
    }
    assert_eq!(held, [16, 16, 16]);
    assert_eq!((queue.taken(), queue.tenants()), (48, 3));
}

#[test]
fn the_reserve_is_for_those_who_hold_none() {
    let mut queue = FairQueue::new(PLACES);
    for tenant in 0..4 {
        fill(&mut queue, tenant, Weight::MAX);
    }
    for tenant in 100..100 + 64 {
        let free = 64 - queue.taken();
        assert_eq!(queue.take(tenant, Weight::MIN).is_ok(), free > 0);
        assert_eq!(queue.take(0, Weight::MAX), Err(if free > 1 { NoPlace::Share } else { NoPlace::Full }));
    }
    assert_eq!(queue.taken(), 64);
}

#[test]
fn who_comes_to_a_long_queue_waits_for_one_job_of_it() {
    let mut queue = waiting(&(0..30).map(|job| (1, job)).collect::<Vec<_>>(), |_| Weight::MIN);
    assert_eq!(queue.pop(), Some((1, 0)));
    queue.take(2, Weight::MIN).expect("a place");
    queue.push(2, (2, 0));
    assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some((1, 1)), Some((2, 0)), Some((1, 2))]);
}

#[test]
fn who_comes_back_stands_behind_those_who_wait() {
    let mut queue = waiting(&[(1, 0), (2, 0), (2, 1), (3, 0)], |_| Weight::MIN);
    assert_eq!(queue.pop(), Some((1, 0)));
    queue.push(1, (1, 1));
    assert_eq!(std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(), [(2, 0), (3, 0), (1, 1), (2, 1)]);
}

#[test]
fn beside_one_tenant_there_are_the_others() {
    let jobs: Vec<_> = (0..4).flat_map(|job| [(1, job), (2, job), (3, job)]).collect();
    let mut queue = waiting(&jobs, |tenant| weight(if tenant == 2 { 2 } else { 1 }));
    let order: Vec<_> = std::iter::from_fn(|| queue.pop_beside(1)).collect();
    assert_eq!(order, [(2, 0), (2, 1), (2, 2), (2, 3), (3, 0), (3, 1), (3, 2), (3, 3)]);
    assert_eq!(std::iter::from_fn(|| queue.pop()).map(|(_, job)| job).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!((queue.pop_beside(1), queue.pop()), (None, None));
}

#[test]
fn a_new_weight_is_in_force_at_once() {
    let jobs: Vec<_> = (0..20).flat_map(|job| [(1, job), (2, job)]).collect();
    let mut queue = waiting(&jobs, |tenant| weight(if tenant == 1 { 8 } else { 1 }));
    assert_eq!(queue.pop(), Some((1, 0)));
    queue.take(1, weight(1)).expect("a place");
    let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(tenant, _)| tenant).take(5).collect();
    assert_eq!(order, [1, 2, 1, 2, 1]);
}

/// What befalls a queue.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A tenant takes a place, and if it gets one, waits with a job.
    Ask(u32),
    /// The next job is done, and its place given back.
    Do,
    /// The next one beside a tenant's.
    DoBeside(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ask = (0u32..6).prop_map(Step::Ask);
    // One of them asks as often as all the others together.
    prop::collection::vec(
        prop_oneof![
            3 => ask, 3 => Just(Step::Ask(0)), 3 => Just(Step::Do), 1 => (0u32..6).prop_map(Step::DoBeside)
        ],
        0..400,
    )
}

/// A job that waits, and what was done of each other tenant since it came.
struct Waits {
    ahead: usize,
    foreign: BTreeMap<u32, u32>,
}

proptest! {
    /// Oldest first within a tenant; nothing stands still while somebody waits; before the k-th job of a tenant every
    /// other one had no more turns than ⌈k ÷ weight⌉, but for what was done beside somebody; nothing is remembered of who is gone.
    #[test]
    fn nobody_starves(steps in steps(), weights in prop::array::uniform6(1u32..=16), all in 4usize..80) {
        let of = |tenant: u32| weight(weights[usize::try_from(tenant).expect("a number")]);
        let mut queue = FairQueue::new(Places::new(all));
        let mut waits: BTreeMap<u32, VecDeque<(usize, Waits)>> = BTreeMap::new();
        let all_done = std::iter::repeat_n(Step::Do, 80);
        for (number, step) in steps.into_iter().chain(all_done).enumerate() {
            match step {
                Step::Ask(tenant) => if queue.take(tenant, of(tenant)).is_ok() {
                    queue.push(tenant, (tenant, number));
                    let mine = waits.entry(tenant).or_default();
                    mine.push_back((number, Waits { ahead: mine.len() + 1, foreign: BTreeMap::new() }));
                },
                Step::Do | Step::DoBeside(_) => {
                    let beside = if let Step::DoBeside(tenant) = step { Some(tenant) } else { None };
                    let next = match beside {
                        Some(tenant) => queue.pop_beside(tenant),
                        None => queue.pop(),
                    };
                    let Some((tenant, job)) = next else {
                        let others = waits.iter().filter(|(tenant, _)| Some(**tenant) != beside);
                        prop_assert!(others.map(|(_, jobs)| jobs).all(VecDeque::is_empty), "somebody waits");
                        continue;
                    };
                    prop_assert!(Some(tenant) != beside);
                    queue.give_back(tenant);
                    let (oldest, mine) = waits.entry(tenant).or_default().pop_front().expect("a job that waits");
                    prop_assert_eq!(oldest, job);
                    let turns = mine.ahead.div_ceil(of(tenant).times(1));
                    for (other, done) in mine.foreign {
                        prop_assert!(usize::try_from(done).expect("a number") <= turns * of(other).times(1));
                    }
                    // What is done beside somebody is nobody's turn.
                    for (other, line) in waits.iter_mut().filter(|_| beside.is_none()) {
                        for (_, theirs) in line.iter_mut().filter(|_| *other != tenant) {
                            *theirs.foreign.entry(tenant).or_default() += 1;
                        }
                    }
                }
            }
            prop_assert_eq!(queue.taken(), waits.values().map(VecDeque::len).sum::<usize>());
        }
        prop_assert_eq!((queue.taken(), queue.tenants()), (0, 0));
    }

    /// Of two who always wait, each has what its weight says, give or take one turn.
    #[test]
    fn weights_hold_over_time(a in 1u32..=16, b in 1u32..=16, count in 1u32..300) {
        let jobs: Vec<_> = (0..300).flat_map(|job| [(1, job), (2, job)]).collect();
        let mut queue = waiting(&jobs, |tenant| weight(if tenant == 1 { a } else { b }));
        let done: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(tenant, _)| tenant).collect();
        let done = &done[..usize::try_from(count).expect("a number")];
        let of = |who: u32| u32::try_from(done.iter().filter(|tenant| **tenant == who).count()).expect("a number");
        prop_assert!((of(1) * b).abs_diff(of(2) * a) <= a * b);
    }

    /// Whatever others do, who holds none finds a place while fewer tenants than the reserve counts hold any; nobody holds
    /// more than its bound, and never are more places taken than there are.
    #[test]
    fn who_holds_none_finds_a_place(
        all in 4usize..200,
        asks in prop::collection::vec((0u32..20, 1u32..=16, any::<bool>()), 0..600),
    ) {
        let places = Places::new(all);
        let mut queue = FairQueue::<u32, ()>::new(places);
        let mut held: BTreeMap<u32, usize> = BTreeMap::new();
        for (tenant, of, takes) in asks {
            let of = weight(of);
            let mine = held.get(&tenant).copied().unwrap_or_default();
            if !takes {
                queue.give_back(tenant);
                held.insert(tenant, mine.saturating_sub(1));
            } else if queue.take(tenant, of).is_ok() {
                prop_assert!(mine < places.most_of_one(of));
                held.insert(tenant, mine + 1);
            } else {
                let holders = held.values().filter(|count| **count > 0).count();
                prop_assert!(mine > 0 || holders >= places.reserve());
            }
            prop_assert_eq!(queue.taken(), held.values().sum::<usize>());
            prop_assert!(queue.taken() <= all);
        }
    }
}
