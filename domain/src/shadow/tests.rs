use std::time::Duration;

use proptest::prelude::*;

use super::*;

const T0: UnixMs = UnixMs::new(1_700_000_000_000);
const TENANT: Layer = Layer { tier: Tier::ApiTenant, subject: Subject::TENANT };

fn member(subject: u128) -> Layer {
    Layer { tier: Tier::ApiMember, subject: Subject(subject) }
}

fn limits(tried: &[(Tier, &str)]) -> ShadowLimits {
    let mut limits = ShadowLimits::default();
    for (tier, limit) in tried {
        limits.set(*tier, limit.parse().unwrap(), T0);
    }
    limits
}

fn shadow(tried: &[(Tier, &str)]) -> Shadow {
    let mut shadow = Shadow::default();
    shadow.put(&limits(tried), T0);
    shadow
}

#[test]
fn exactly_what_would_have_been_refused_is_told() {
    let mut shadow = shadow(&[(Tier::ApiMember, "6/min")]);
    let later = T0.plus(Duration::from_secs(5));
    for n in 0..10 {
        assert_eq!(shadow.count(&[member(1), TENANT], T0), (n >= 6).then_some(Tier::ApiMember), "{n}");
    }
    for subject in [1, 2, 2] {
        shadow.count(&[member(subject), TENANT], later);
    }
    let seen = shadow.seen(Tier::ApiMember).unwrap();
    let expected = Seen {
        limit: "6/min".parse().unwrap(),
        since: T0,
        counted_since: T0,
        counted: 13,
        refused: 5,
        subjects: 1,
        last: Some(later),
        uncounted: 0,
    };
    assert_eq!(seen, expected);
    assert_eq!(shadow.seen(Tier::ApiTenant), None, "which is not tried");
    // What is refused moves no bucket: ten seconds after the burst there is room again.
    assert_eq!(shadow.count(&[member(1)], T0.plus(Duration::from_secs(10))), None);
}

#[test]
fn what_no_trial_concerns_is_not_counted() {
    let tried = limits(&[(Tier::Refresh, "1/h")]);
    let mut shadow = Shadow::default();
    shadow.put(&tried, T0);
    assert!(!tried.concern(&[member(1), TENANT]) && tried.concern(&[TENANT, Layer { tier: Tier::Refresh, ..TENANT }]));
    assert_eq!(shadow.count(&[member(1), TENANT], T0), None);
    assert_eq!((shadow.seen(Tier::Refresh).unwrap().counted, shadow.buckets.len()), (0, 0));
    assert!(!ShadowLimits::default().concern(&[member(1)]));
}

/// As with limits in force, one that refuses leaves the others as they are, and one of them is named.
#[test]
fn of_two_tiers_one_is_named_and_the_other_counts_nothing() {
    let mut shadow = shadow(&[(Tier::ApiMember, "1/h"), (Tier::ApiTenant, "2/h")]);
    let named: Vec<_> = [1, 1, 1, 2, 3, 2].map(|subject| shadow.count(&[member(subject), TENANT], T0)).into();
    let (member, tenant) = (Some(Tier::ApiMember), Some(Tier::ApiTenant));
    // The last one has no room in either; a member's bucket of one takes longer to have it.
    assert_eq!(named, [None, member, member, None, tenant, member]);
    let seen = |tier| shadow.seen(tier).map(|seen| (seen.counted, seen.refused, seen.subjects)).unwrap();
    assert_eq!((seen(Tier::ApiMember), seen(Tier::ApiTenant)), ((6, 3, 2), (6, 1, 1)));
}

/// Some tiers count an address and an account of one request.
#[test]
fn a_request_with_two_subjects_of_a_tier_is_counted_once() {
    let mut shadow = shadow(&[(Tier::Signup, "1/h")]);
    let signup = |subject| Layer { tier: Tier::Signup, subject: Subject(subject) };
    for account in 2..5 {
        shadow.count(&[signup(1), signup(account)], T0);
    }
    let seen = shadow.seen(Tier::Signup).unwrap();
    assert_eq!((seen.counted, seen.refused, seen.subjects), (3, 2, 1));
}

#[test]
fn a_trial_that_ends_or_is_set_anew_is_forgotten_and_the_others_go_on() {
    let mut tried = limits(&[(Tier::ApiMember, "1/h"), (Tier::ApiTenant, "100/h")]);
    let mut shadow = Shadow::default();
    shadow.put(&tried, T0);
    let count = |shadow: &mut Shadow, now| shadow.count(&[member(1), TENANT], now);
    let counted = |shadow: &Shadow, tier| shadow.seen(tier).map(|seen| (seen.counted, seen.refused));
    for _ in 0..3 {
        count(&mut shadow, T0);
    }
    assert_eq!(shadow.buckets.len(), 2);

    // The same limit, and the load that follows any change, leave all as it was.
    let later = T0.plus(Duration::from_mins(1));
    tried.set(Tier::ApiMember, "1/h".parse().unwrap(), later);
    shadow.put(&tried, later);
    assert_eq!(shadow.seen(Tier::ApiMember).map(|seen| (seen.counted, seen.refused, seen.since)), Some((3, 2, T0)));

    tried.set(Tier::ApiMember, "2/h".parse().unwrap(), later);
    shadow.put(&tried, later);
    assert_eq!(counted(&shadow, Tier::ApiMember), Some((0, 0)), "another limit is another trial");
    assert_eq!(shadow.seen(Tier::ApiMember).map(|seen| (seen.since, seen.counted_since)), Some((later, later)));
    assert_eq!(counted(&shadow, Tier::ApiTenant), Some((3, 0)));
    assert_eq!(shadow.buckets.len(), 1);
    assert_eq!((count(&mut shadow, later), count(&mut shadow, later)), (None, None), "its bucket is new");

    // Ended and set again elsewhere in the meantime: the same limit, and yet another trial.
    tried.set(Tier::ApiMember, Limit::Off, later);
    tried.set(Tier::ApiMember, "2/h".parse().unwrap(), later.plus(Duration::from_millis(1)));
    shadow.put(&tried, later.plus(Duration::from_mins(1)));
    let seen = shadow.seen(Tier::ApiMember).unwrap();
    assert_eq!((seen.counted, seen.counted_since), (0, later.plus(Duration::from_mins(1))));

    tried.set(Tier::ApiTenant, Limit::Off, later);
    shadow.put(&tried, later);
    assert_eq!(shadow.seen(Tier::ApiTenant), None);
    tried.end();
    shadow.put(&tried, later);
    assert!(shadow.is_empty() && tried.is_empty() && shadow.buckets.is_empty());
    assert_eq!(count(&mut shadow, later), None);
}

#[test]
fn subjects_and_buckets_have_a_bound_and_who_finds_no_room_is_told() {
    let mut shadow = shadow(&[(Tier::ApiMember, "1/h")]);
    let all = u128::try_from(BUCKETS_MAX).unwrap();
    for _ in 0..2 {
        for subject in 0..all {
            shadow.count(&[member(subject)], T0);
        }
    }
    let seen = shadow.seen(Tier::ApiMember).unwrap();
    assert_eq!((seen.counted, seen.refused), (u64::try_from(all * 2).unwrap(), u64::try_from(all).unwrap()));
    assert_eq!((seen.subjects, seen.uncounted), (SUBJECTS_MAX, 0));
    for subject in all..all + 100 {
        assert_eq!(shadow.count(&[member(subject)], T0), None);
    }
    assert_eq!(shadow.count(&[member(0)], T0), Some(Tier::ApiMember), "who was there before is counted as ever");
    let seen = shadow.seen(Tier::ApiMember).unwrap();
    assert_eq!((seen.counted, seen.uncounted), (u64::try_from(all * 2 + 1).unwrap(), 100));
    assert_eq!(shadow.buckets.len(), BUCKETS_MAX);
    // Once the others are full again there is room, after as many requests as there are buckets at most.
    let later = T0.plus(Duration::from_hours(1));
    let met = (all..all * 3).find(|subject| {
        shadow.count(&[member(*subject)], later);
        shadow.seen(Tier::ApiMember).unwrap().counted > seen.counted
    });
    assert!(met.is_some() && shadow.buckets.len() < BUCKETS_MAX);
}

#[test]
fn what_is_stored_reads_back_and_what_cannot_be_read_is_not_there() {
    let tried = limits(&[(Tier::ApiMember, "5/min"), (Tier::Export, "3/h"), (Tier::Pin, "off")]);
    let text = serde_json::to_string(&tried).unwrap();
    assert_eq!(serde_json::from_str::<ShadowLimits>(&text).unwrap(), tried);
    assert_eq!(tried.told(), "api-member 5/min, export 3/h");
    let newer = r#"{"export": {"limit": "3/h", "since_ms": 1700000000000, "more": 1},
        "of-a-later-release": {"limit": "1/s", "since_ms": 1}, "pin": {"limit": "1/week", "since_ms": 1},
        "upload": {"limit": "off", "since_ms": 1}}"#;
    assert_eq!(serde_json::from_str::<ShadowLimits>(newer).unwrap(), limits(&[(Tier::Export, "3/h")]));
}

proptest! {
    /// The same limit in force, alone, would have refused as many of these requests, of whatever tiers.
    #[test]
    fn as_many_are_told_as_limits_in_force_would_have_refused(
        steps in prop::collection::vec((0_u64..3_000, 0_u128..4, any::<bool>()), 1..300),
        (of_a_member, of_all) in (1_u32..20, 1_u32..60),
    ) {
        let (of_a_member, of_all) = (format!("{of_a_member}/min"), format!("{of_all}/min"));
        let tried = [(Tier::ApiMember, &*of_a_member), (Tier::ApiTenant, &*of_all)];
        let mut shadow = shadow(&tried);
        let limit = |tier| tried.iter().find(|(known, _)| *known == tier).unwrap().1.parse().unwrap();
        let (mut in_force, mut now, mut refused) = (Buckets::default(), T0, 0);
        for (step_ms, subject, alone) in steps {
            now = now.plus(Duration::from_millis(step_ms));
            let layers = if alone { vec![TENANT] } else { vec![member(subject), TENANT] };
            let outcome = in_force.admit(&layers, limit, Unseen::Full, now);
            refused += u64::from(outcome.is_err());
            prop_assert_eq!(shadow.count(&layers, now), outcome.err().map(|refused| refused.reading.tier));
        }
        let told = [Tier::ApiMember, Tier::ApiTenant].map(|tier| shadow.seen(tier).unwrap().refused);
        prop_assert_eq!(told.iter().sum::<u64>(), refused);
    }
}
