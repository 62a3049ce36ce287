use proptest::prelude::*;

use super::*;
use crate::gcra::{Buckets, Subject, Unseen};

const T0: UnixMs = UnixMs::new(1_700_000_000_000);
const DAY: Duration = Duration::from_hours(24);
/// 10/min: blocked after thirty refusals for two minutes, banned after thirty more for fifteen.
const LIMIT: Limit = Limit::Per { burst: 10, period: Duration::from_mins(1) };
const KEEPS_ON: u32 = 30;
const BLOCK: Duration = Duration::from_mins(2);
const BAN: Duration = Duration::from_mins(15);

/// One owner: its buckets, and who is blocked. Asked as a shell asks it.
struct World {
    buckets: Buckets,
    penalties: Penalties,
    bans: Vec<(Layer, Block)>,
    ids: u8,
}

impl World {
    fn new() -> Self {
        Self { buckets: Buckets::default(), penalties: Penalties::at_most(64), bans: vec![], ids: 0 }
    }

    fn ask(&mut self, layer: Layer, now: UnixMs) -> Result<Option<Reading>, RateLimited> {
        if let Some(stopped) = self.penalties.stop(&[layer], |_| LIMIT, now) {
            self.bans.extend(stopped.banned);
            return Err(stopped.limited);
        }
        let decision = self.buckets.admit(&[layer], |_| LIMIT, Unseen::Full, now);
        self.ids = self.ids.wrapping_add(1);
        let id = || BlockId::new(now, [self.ids; 10]);
        decision.map_err(|limited| self.penalties.refused(limited, |_| LIMIT, id, now))
    }

    /// Asks until it is answered by this stage; how often it was refused, that time included.
    fn hammer(&mut self, layer: Layer, stage: Stage, now: UnixMs) -> (u32, RateLimited) {
        let mut refused = 0;
        for _ in 0..1_000 {
            if let Err(limited) = self.ask(layer, now) {
                refused += 1;
                if limited.stage == stage {
                    return (refused, limited);
                }
            }
        }
        panic!("never {stage}");
    }
}

fn member(n: u8) -> Layer {
    Layer { tier: Tier::ApiMember, subject: Subject(BlockId::new(T0, [n; 10]).uuid().as_u128()) }
}

#[test]
fn whoever_keeps_on_is_blocked_and_then_banned_and_waits_exactly_as_told() {
    let mut world = World::new();
    let (refused, blocked) = world.hammer(member(1), Stage::Block, T0);
    assert_eq!((refused, blocked.retry_after), (KEEPS_ON, BLOCK));
    assert_eq!((blocked.reading.limit, blocked.reading.remaining, blocked.reading.full_at), (10, 0, T0.plus(BLOCK)));
    assert!(world.ask(member(2), T0).is_ok(), "nobody else is blocked");

    let late = T0.plus(BLOCK.checked_sub(Duration::from_secs(1)).unwrap());
    let refused = world.ask(member(1), late).unwrap_err();
    assert_eq!((refused.stage, refused.retry_after), (Stage::Block, Duration::from_secs(1)));
    assert!(world.ask(member(1), T0.plus(BLOCK)).is_ok());
    assert!(world.penalties.held(T0.plus(BLOCK)).is_empty());

    // Whoever keeps on while blocked is banned, once.
    let now = T0.plus(DAY);
    world.hammer(member(1), Stage::Block, now);
    let (refused, banned) = world.hammer(member(1), Stage::Ban, now);
    assert_eq!((refused, banned.retry_after, world.penalties.census(now)), (KEEPS_ON, BAN, (0, 1)));
    for _ in 0..1_000 {
        assert_eq!(world.ask(member(1), now).unwrap_err().retry_after, BAN, "it does not get longer");
    }
    let [(layer, ban)] = world.bans[..] else { panic!("{:?}", world.bans) };
    assert_eq!((layer, ban.stage, ban.since, ban.until), (member(1), Stage::Ban, now, now.plus(BAN)));
    let late = now.plus(BAN.checked_sub(Duration::from_millis(1)).unwrap());
    assert_eq!(world.ask(member(1), late).unwrap_err().stage, Stage::Ban);
    assert!(world.ask(member(1), now.plus(BAN)).is_ok());
}

#[test]
fn what_is_refused_makes_no_block_longer() {
    let mut world = World::new();
    world.hammer(member(1), Stage::Block, T0);
    for second in 0..u64::from(KEEPS_ON) - 1 {
        let refused = world.ask(member(1), T0.plus(Duration::from_secs(second))).unwrap_err();
        assert_eq!(refused.stage, Stage::Block);
        assert_eq!(refused.reading.full_at, T0.plus(BLOCK));
    }
}

#[test]
fn refusals_add_up_within_one_period_and_no_longer() {
    let mut world = World::new();
    let mut now = T0;
    for _ in 0..100 {
        for _ in 0..10 + KEEPS_ON - 1 {
            world.ask(member(1), now).ok();
        }
        now = now.plus(Duration::from_mins(1));
    }
    assert_eq!(world.penalties.census(now), (0, 0));
}

#[test]
fn nobody_is_blocked_where_a_stranger_could_have_filled_the_bucket() {
    let mut world = World::new();
    let hmac = Subject(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10);
    for tier in Tier::ALL {
        let subject = if tier == Tier::Signup || tier == Tier::PasswordReset { hmac } else { Subject::TENANT };
        let layer = Layer { tier, subject };
        if !Who::of(layer).is_responsible() || tier.row().graduation.is_none() {
            for _ in 0..10_000 {
                if let Err(limited) = world.ask(layer, T0) {
                    assert_eq!(limited.stage, Stage::Limit, "{tier}");
                }
            }
        }
    }
    assert!(world.penalties.is_empty());
}

#[test]
fn a_block_of_one_layer_answers_for_all_of_a_request() {
    let mut world = World::new();
    let other = Layer { tier: Tier::Operator, ..member(1) };
    world.hammer(member(1), Stage::Block, T0);
    world.hammer(other, Stage::Block, T0.plus(Duration::from_secs(10)));
    let stopped = world.penalties.stop(&[member(2), member(1), other], |_| LIMIT, T0.plus(Duration::from_secs(10)));
    assert_eq!(stopped.unwrap().limited.reading.tier, Tier::Operator, "the one that lasts longest");
    assert!(world.penalties.stop(&[member(2)], |_| LIMIT, T0).is_none());
    assert!(world.penalties.stop(&[member(1)], |_| Limit::Off, T0).is_none(), "where nothing is limited nobody is");
}

#[test]
fn a_lifted_block_is_gone_at_once_and_another_stays() {
    let mut world = World::new();
    let now = T0.plus(Duration::from_secs(6));
    for n in [1, 2] {
        world.hammer(member(n), Stage::Block, T0);
    }
    let held = world.penalties.held(now);
    assert!(held.len() == 2 && held.is_sorted_by_key(|(_, block)| block.id), "{held:?}");
    let mine = held.into_iter().find(|(layer, _)| *layer == member(1)).unwrap();
    assert_eq!(world.penalties.lift(mine.1.id, now), Some(mine));
    assert_eq!(world.penalties.lift(mine.1.id, now), None);
    assert!(world.ask(member(1), now).is_ok());
    assert_eq!(world.ask(member(2), now).unwrap_err().stage, Stage::Block);
}

#[test]
fn a_saved_block_holds_as_long_as_it_did() {
    let mut world = World::new();
    world.hammer(member(1), Stage::Block, T0);
    let mut next = World::new();
    for (layer, block) in world.penalties.held(T0) {
        next.penalties.restore(layer, block);
    }
    let late = T0.plus(BLOCK.checked_sub(Duration::from_millis(1)).unwrap());
    assert_eq!(next.ask(member(1), late).unwrap_err().stage, Stage::Block);
    assert!(next.ask(member(1), T0.plus(BLOCK)).is_ok());
}

#[test]
fn a_million_subjects_take_the_room_of_a_few() {
    let mut world = World::new();
    for n in 0..1_000_000_u32 {
        let layer = Layer { tier: Tier::Address, subject: Subject(n.into()) };
        let reading = Reading { tier: Tier::Address, limit: 10, remaining: 0, full_at: T0 };
        let refused =
            RateLimited { reading, subject: layer.subject, stage: Stage::Limit, retry_after: Duration::from_secs(6) };
        let now = T0.plus(Duration::from_millis(n.into()));
        assert_eq!(world.penalties.refused(refused, |_| LIMIT, || unreachable!(), now), refused);
        assert!(world.penalties.standings.len() <= 64);
    }
    assert!(world.penalties.take_unplaced() > 900_000, "whom there was no room for is counted");
    assert_eq!(world.penalties.take_unplaced(), 0);
    world.penalties.sweep(T0.plus(DAY));
    assert!(world.penalties.is_empty());
}

#[test]
fn no_jump_of_the_clock_makes_a_lasting_block() {
    let back = Duration::from_mins(10);
    for (stage, length) in [(Stage::Block, BLOCK), (Stage::Ban, BAN)] {
        let mut world = World::new();
        world.hammer(member(1), stage, T0);
        let earlier = T0.minus(back);
        let refused = world.ask(member(1), earlier).unwrap_err();
        assert_eq!((refused.stage, refused.retry_after), (stage, length), "from then on, and no longer");
        // The clock went back for the bucket too: where it is not full by then, one more wait of the limit and no more.
        let over = earlier.plus(length);
        if let Err(refused) = world.ask(member(1), over) {
            assert_eq!(refused.stage, Stage::Limit);
            assert!(world.ask(member(1), over.plus(refused.retry_after)).is_ok());
        }

        let mut world = World::new();
        world.hammer(member(1), stage, T0);
        assert!(world.ask(member(1), T0.plus(DAY)).is_ok());
        let refused = world.ask(member(1), T0.plus(Duration::from_secs(1))).unwrap_err();
        assert_eq!(refused.stage, Stage::Limit, "and it does not come back");
    }
}

proptest! {
    /// Whatever others do meanwhile: whoever waits as told is admitted and never blocked.
    #[test]
    fn whoever_waits_as_told_is_admitted(extra in 1_u32..20, rounds in 1_usize..40, others in 0_u32..60) {
        let mut world = World::new();
        let mut now = T0;
        for _ in 0..10 {
            prop_assert!(world.ask(member(1), now).is_ok());
        }
        for round in 0..rounds {
            let asked = if round == 0 { extra } else { 1 };
            let mut wait = Duration::ZERO;
            for _ in 0..asked {
                let refused = world.ask(member(1), now).unwrap_err();
                prop_assert_eq!(refused.stage, Stage::Limit);
                wait = refused.retry_after;
            }
            for _ in 0..others {
                world.ask(member(2), now).ok();
            }
            now = now.plus(up(wait));
            prop_assert!(world.ask(member(1), now).is_ok());
        }
    }

    /// Whatever the clock does, nobody is told to wait longer than the longest stage, and whoever waits that long is in.
    #[test]
    fn no_wait_is_longer_than_its_stage(steps in prop::collection::vec((any::<bool>(), 0_u64..1_200, 0_u32..50), 1..60)) {
        let mut world = World::new();
        let mut now = T0;
        for (is_back, seconds, asked) in steps {
            let jump = Duration::from_secs(seconds);
            now = if is_back { now.minus(jump) } else { now.plus(jump) };
            for _ in 0..asked {
                if let Err(limited) = world.ask(member(1), now) {
                    let longest = match limited.stage {
                        Stage::Limit => Duration::from_mins(1),
                        Stage::Block => BLOCK,
                        Stage::Ban => BAN,
                    };
                    prop_assert!(limited.retry_after <= longest && limited.retry_after > Duration::ZERO, "{:?}", limited);
                }
            }
        }
        // A block, and where the clock went back for the bucket too, one wait of the limit.
        let told = |limited: RateLimited| up(limited.retry_after);
        if let Err(limited) = world.ask(member(1), now) {
            now = now.plus(told(limited));
            if let Err(limited) = world.ask(member(1), now) {
                prop_assert_eq!(limited.stage, Stage::Limit);
                prop_assert!(world.ask(member(1), now.plus(told(limited))).is_ok());
            }
        }
    }
}
