//! The script and the rule are one: whatever comes, both say the same of every request.

use std::time::Duration;

use freehold_domain::gcra::shared::STEP;
use freehold_domain::gcra::{Buckets, Layer, Subject, Unseen};
use freehold_domain::tier::{Limit, Tier};
use freehold_domain::time::UnixMs;
use redis::Pipeline;

use crate::support::Redis;

const SEQUENCES: u64 = 300;
/// As many as come before full buckets are dropped: a clock that goes back after that finds them full, not where it was.
const STEPS: usize = 60;
const T0: UnixMs = UnixMs::new(1_700_000_000_000);
const TIERS: [Tier; 3] = [Tier::ApiMember, Tier::ApiTenant, Tier::Refresh];
const PERIODS: [Duration; 3] = [Duration::from_secs(1), Duration::from_mins(1), Duration::from_hours(1)];
/// It is told what time it is, and nothing goes with the time of the machine.
const OUR_CLOCK: &str = "\
local seconds, nanos = tonumber(ARGV[#ARGV - 1]), tonumber(ARGV[#ARGV])
local function keep(key, level, ms) redis.call('SET', key, level) end
";

/// Numbers that look like chance and are the same every time.
struct Dice(u64);

impl Dice {
    /// Less than this.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_and_the_rule_say_the_same() {
    let redis = Redis::start(&[]);
    let mut connection = redis.connection().await;
    let script = format!("{OUR_CLOCK}{STEP}");
    let (mut admitted, mut refused) = (0, 0);
    for sequence in 0..SEQUENCES {
        let mut dice = Dice(sequence);
        let bursts = TIERS.map(|_| {
            let most = [3, 100, 100_000][usize::try_from(dice.roll(3)).unwrap()];
            1 + u32::try_from(dice.roll(most)).unwrap()
        });
        let periods = TIERS.map(|_| PERIODS[usize::try_from(dice.roll(3)).unwrap()]);
        let limit = |tier: Tier| {
            let n = TIERS.iter().position(|known| *known == tier).unwrap();
            Limit::Per { burst: bursts[n], period: periods[n] }
        };
        let pace_ms = [2, 200, 20_000][usize::try_from(dice.roll(3)).unwrap()];
        let (mut buckets, mut now) = (Buckets::default(), T0);
        let (mut pipeline, mut expected) = (Pipeline::new(), vec![]);
        for _ in 0..STEPS {
            // Now and then the clock goes back.
            now = if dice.roll(50) == 0 {
                UnixMs::new(now.get() - i64::try_from(dice.roll(700_000)).unwrap())
            } else {
                now.plus(Duration::from_millis(dice.roll(pace_ms)))
            };
            let layers: Vec<_> =
                TIERS.iter().map(|tier| Layer { tier: *tier, subject: Subject(dice.roll(2).into()) }).collect();
            let asks = Buckets::default().asks(&layers, limit, now);
            let command = pipeline.cmd("EVAL").arg(&script).arg(layers.len());
            for layer in &layers {
                command.arg(format!("{sequence}:{}:{}", layer.tier, layer.subject.0));
            }
            for ask in &asks {
                command.arg(&ask.arguments());
            }
            command.arg(now.get().div_euclid(1_000)).arg(now.get().rem_euclid(1_000) * 1_000_000);
            expected.push((asks, now, buckets.admit(&layers, limit, Unseen::Full, now)));
        }
        let answers: Vec<Vec<i64>> = pipeline.query_async(&mut connection).await.unwrap();
        for (n, ((asks, now, ours), answer)) in expected.into_iter().zip(answers).enumerate() {
            let [is_admitted, _, ahead_ns @ ..] = &answer[..] else { panic!("{answer:?}") };
            let verdict = freehold_domain::gcra::shared::Verdict {
                admitted: *is_admitted == 1,
                ahead_ns: ahead_ns.iter().map(|ns| ns.unsigned_abs()).collect(),
            };
            let theirs = Buckets::default().learn(&asks, &verdict, now);
            assert_eq!(ours, theirs, "step {n} of sequence {sequence}");
            if ours.is_ok() { admitted += 1 } else { refused += 1 }
        }
    }
    assert!(admitted > 1_000 && refused > 1_000, "{admitted} and {refused}: both must come up");
}
