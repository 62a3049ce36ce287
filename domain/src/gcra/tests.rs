use governor::clock::{Clock as _, FakeRelativeClock};
use governor::middleware::StateInformationMiddleware;
use governor::{Quota, RateLimiter};
use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_mins(1);
const T0: UnixMs = UnixMs::new(1_700_000_000_000);

fn per_minute(burst: u32) -> impl Fn(Tier) -> Limit {
    move |_| Limit::Per { burst, period: MINUTE }
}

fn layer(subject: u128) -> Layer {
    Layer { tier: Tier::ApiMember, subject: Subject(subject) }
}

#[test]
fn n_pass_and_the_next_waits_exactly_as_told() {
    for burst in [1, 5, 7, 100, 6_000] {
        let mut buckets = Buckets::default();
        let mut admit = |now| buckets.admit(&[layer(1)], per_minute(burst), Unseen::Full, now);
        for n in (0..burst).rev() {
            assert_eq!(admit(T0).unwrap().unwrap().remaining, n);
        }
        let refused = admit(T0).unwrap_err();
        assert_eq!(refused.reading.remaining, 0);
        let wait_ms = i64::try_from(refused.retry_after.as_nanos().div_ceil(1_000_000)).unwrap();
        assert!(admit(UnixMs::new(T0.get() + wait_ms - 1)).is_err(), "burst {burst}");
        assert!(admit(UnixMs::new(T0.get() + wait_ms)).is_ok(), "burst {burst}");
    }
}

/// A refusal that is remembered says at any moment what the bucket would say.
#[test]
fn a_remembered_refusal_says_what_the_bucket_would() {
    let mut buckets = Buckets::default();
    let mut admit = |now| buckets.admit(&[layer(1)], per_minute(7), Unseen::Full, now);
    assert!((0..7).all(|_| admit(T0).is_ok()));
    let refused = admit(T0).unwrap_err();
    for ms in (0..8_600).step_by(7).chain([8_571, 8_572, 8_573]) {
        let later = Duration::from_millis(ms);
        let now = T0.plus(later);
        let mut asked = Buckets::default();
        asked.restore(
            layer(1),
            Tat(nanos(T0) + u64::try_from(refused.retry_after.as_nanos()).unwrap() + 51_428_571_432),
        );
        assert_eq!(refused.after(later), asked.admit(&[layer(1)], per_minute(7), Unseen::Full, now).err(), "{ms}");
    }
}

#[test]
fn a_refused_request_is_counted_in_no_layer() {
    let mut buckets = Buckets::default();
    let limit = |tier| Limit::Per { burst: if tier == Tier::ApiMember { 1 } else { 5 }, period: MINUTE };
    let tenant = Layer { tier: Tier::ApiTenant, subject: Subject::TENANT };
    assert!(buckets.admit(&[layer(1), tenant], limit, Unseen::Full, T0).is_ok());
    for _ in 0..10 {
        let refused = buckets.admit(&[layer(1), tenant], limit, Unseen::Full, T0).unwrap_err();
        assert_eq!(refused.reading.tier, Tier::ApiMember);
    }
    for n in (0..4).rev() {
        let reading = buckets.admit(&[tenant], limit, Unseen::Full, T0).unwrap().unwrap();
        assert_eq!(reading.remaining, n);
    }
}

#[test]
fn off_counts_nothing() {
    let mut buckets = Buckets::default();
    assert_eq!(buckets.admit(&[layer(1)], |_| Limit::Off, Unseen::Full, T0), Ok(None));
    assert!(buckets.is_empty());
}

#[test]
fn after_an_unclean_stop_a_bucket_starts_with_one_and_is_full_after_a_period() {
    let boot = Unseen::EmptiedBy(T0);
    let count_at = |now: UnixMs| {
        let mut buckets = Buckets::default();
        (0..100).take_while(|_| buckets.admit(&[layer(1)], per_minute(60), boot, now).is_ok()).count()
    };
    assert_eq!(count_at(T0), 1);
    assert_eq!(count_at(T0.plus(Duration::from_secs(10))), 10);
    assert_eq!(count_at(T0.plus(MINUTE)), 60);
    assert_eq!(count_at(T0.plus(Duration::from_hours(1))), 60);
}

#[test]
fn full_buckets_are_dropped() {
    let mut buckets = Buckets::default();
    for n in 0..10_000_u32 {
        let now = T0.plus(Duration::from_millis(u64::from(n) * 100));
        buckets.admit(&[layer(u128::from(n))], per_minute(60), Unseen::Full, now).unwrap();
        assert!(buckets.len() <= 200, "{}", buckets.len());
    }
}

#[test]
fn ten_million_subjects_take_the_room_of_a_few_and_nobody_goes_uncounted() {
    const ROOM: usize = 10_000;
    let mut buckets = Buckets::at_most(ROOM);
    let hourly = |_| Limit::Per { burst: 5, period: Duration::from_hours(1) };
    let known = layer(0);
    assert_eq!(buckets.admit(&[known], hourly, Unseen::Full, T0).unwrap().unwrap().remaining, 4);
    let mut admitted = 0;
    for n in 1..10_000_000_u32 {
        admitted += usize::from(buckets.admit(&[layer(n.into())], hourly, Unseen::Full, T0).is_ok());
    }
    assert_eq!(
        (buckets.len(), admitted),
        (ROOM + 1, ROOM - 1 + 5),
        "a bucket each, and five for all who found no room"
    );
    assert_eq!(
        buckets.admit(&[known], hourly, Unseen::Full, T0).unwrap().unwrap().remaining,
        3,
        "who was there before"
    );
    // Once the others are full again there is room.
    let later = T0.plus(Duration::from_hours(1));
    for n in 0..20_000_u32 {
        buckets.admit(&[layer(u128::from(n) << 64)], hourly, Unseen::Full, later).ok();
    }
    assert_eq!(
        buckets
            .admit(&[layer(7 << 100)], hourly, Unseen::Full, later.plus(Duration::from_hours(2)))
            .unwrap()
            .unwrap()
            .remaining,
        4
    );
}

#[test]
fn a_clock_that_steps_back_refills_nothing() {
    let mut buckets = Buckets::default();
    for _ in 0..60 {
        buckets.admit(&[layer(1)], per_minute(60), Unseen::Full, T0).unwrap();
    }
    let back = T0.minus(MINUTE * 10);
    let refused = buckets.admit(&[layer(1)], per_minute(60), Unseen::Full, back).unwrap_err();
    assert_eq!(refused.retry_after, Duration::from_secs(1));
}

#[test]
fn a_wider_limit_is_in_force_at_once() {
    let mut buckets = Buckets::default();
    let hourly = |_| Limit::Per { burst: 5, period: Duration::from_hours(1) };
    for _ in 0..5 {
        buckets.admit(&[layer(1)], hourly, Unseen::Full, T0).unwrap();
    }
    let refused = buckets.admit(&[layer(1)], per_minute(60), Unseen::Full, T0).unwrap_err();
    assert_eq!(refused.retry_after, Duration::from_secs(1));
    buckets.admit(&[layer(1)], per_minute(60), Unseen::Full, T0.plus(refused.retry_after)).unwrap();
}

proptest! {
    /// Another implementation says the same of every request: whether it passes, how many are left, and how long to wait.
    #[test]
    fn agrees_with_governor(
        burst in 1_u32..5_000,
        period in prop::sample::select(vec![Duration::from_secs(1), MINUTE, Duration::from_hours(1)]),
        steps in prop::collection::vec((0_u64..2_000, 1_usize..20), 1..100),
    ) {
        let limit = Limit::Per { burst, period };
        let interval = Duration::from_nanos(rate(limit).unwrap().interval_ns);
        let quota = Quota::with_period(interval).unwrap().allow_burst(burst.try_into().unwrap());
        let clock = FakeRelativeClock::default();
        let oracle = RateLimiter::direct_with_clock(quota, clock.clone()).with_middleware::<StateInformationMiddleware>();
        let (mut buckets, mut now) = (Buckets::default(), T0);
        for (step_ms, requests) in steps {
            let step = Duration::from_millis(step_ms);
            clock.advance(step);
            now = now.plus(step);
            for _ in 0..requests {
                match (buckets.admit(&[layer(1)], |_| limit, Unseen::Full, now), oracle.check()) {
                    (Ok(reading), Ok(state)) => {
                        prop_assert_eq!(reading.unwrap().remaining, state.remaining_burst_capacity());
                    }
                    (Err(refused), Err(not_until)) => {
                        prop_assert_eq!(refused.retry_after, not_until.wait_time_from(clock.now()));
                    }
                    (ours, theirs) => prop_assert!(false, "{:?} and {:?}", ours, theirs),
                }
            }
        }
    }

    /// Whatever the arrivals, no window of one period admits more than twice the burst, and any `burst + 1`
    /// admissions span more than nothing.
    #[test]
    fn never_admits_more_than_burst_plus_refill(
        burst in 1_u32..50,
        steps in prop::collection::vec(0_u64..3_000, 1..300),
    ) {
        let mut buckets = Buckets::default();
        let mut now = T0;
        let mut admitted = 0_u128;
        for step in steps {
            now = now.plus(Duration::from_millis(step));
            if buckets.admit(&[layer(1)], per_minute(burst), Unseen::Full, now).is_ok() {
                admitted += 1;
            }
            let refill = now.since(T0).as_millis() * u128::from(burst) / 60_000;
            prop_assert!(admitted <= u128::from(burst) + refill + 1);
        }
    }
}
