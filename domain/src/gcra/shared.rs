//! Buckets that several nodes share: what a node asks of their keeper, and what it learns from the answer.
//!
//! A node keeps a copy of every level it was told. While the keeper is away the copies decide, each node's share of the
//! limit; and because a level is a time and not a number, the share that is left of a copy is the share that is left of
//! the whole. When the keeper is back it is told what it cannot know, and the fuller of two words on a level holds:
//! nobody is given twice what was spent once.

use super::{Buckets, Layer, Rate, RateLimited, Reading, Unseen, nanos, rate, reading};
use crate::penalty::Stage;
use crate::tier::{Limit, Tier};
use crate::time::UnixMs;

/// The step over shared buckets as a script for Redis or Valkey, whose clock it goes by.
pub const SCRIPT: &str = concat!(
    "local time = redis.call('TIME')\n",
    "local seconds, nanos = tonumber(time[1]), time[2] * 1000\n",
    "local function keep(key, level, ms) redis.call('SET', key, level, 'PX', ms) end\n",
    include_str!("shared.lua")
);

/// The script without its first lines, which say what time it is and how a level is kept: for whoever has another clock.
pub const STEP: &str = include_str!("shared.lua");

/// What the keeper is asked of one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Which bucket.
    pub layer: Layer,
    rate: Rate,
    ahead_ns: u64,
    holds: bool,
}

impl Ask {
    /// The arguments of the script, in its order.
    #[must_use]
    pub fn arguments(&self) -> [u64; 4] {
        [self.rate.interval_ns, self.rate.capacity_ns, self.ahead_ns, u64::from(self.holds)]
    }
}

/// The keeper's answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it was counted in every bucket; otherwise in none.
    pub admitted: bool,
    /// How far ahead of now each bucket is after that, in nanoseconds, in the order they were asked for.
    pub ahead_ns: Vec<u64>,
}

impl Buckets {
    /// What the keeper is asked for a request of these layers: nothing where nothing is counted.
    pub fn asks(&self, layers: &[Layer], limit: impl Fn(Tier) -> Limit, now: UnixMs) -> Vec<Ask> {
        let ask = |layer: &Layer| {
            let rate = rate(limit(layer.tier))?;
            let ahead_ns = self.tats.get(layer).map_or(0, |tat| tat.saturating_sub(nanos(now)));
            Some(Ask { layer: *layer, ahead_ns: ahead_ns.min(rate.capacity_ns), rate, holds: self.own.contains(layer) })
        };
        layers.iter().filter_map(ask).collect()
    }

    /// Takes the keeper's word, and says what it means for the request, like [`Buckets::admit`].
    ///
    /// # Errors
    /// [`RateLimited`] by the layer that must wait longest.
    pub fn learn(&mut self, asks: &[Ask], verdict: &Verdict, now: UnixMs) -> Result<Option<Reading>, RateLimited> {
        let now_ns = nanos(now);
        self.sweep_sometimes(now_ns);
        let (mut tightest, mut refused): (Option<Reading>, Option<RateLimited>) = (None, None);
        for (Ask { layer, rate, .. }, ahead_ns) in asks.iter().zip(&verdict.ahead_ns) {
            let tat = now_ns.saturating_add(*ahead_ns);
            if self.place(*layer) == *layer {
                self.tats.insert(*layer, tat); // or there is no room for a copy
            }
            self.own.remove(layer);
            let reading = reading(layer.tier, rate, tat, now_ns);
            tightest = Some(tightest.map_or(reading, |t| t.tighter(reading)));
            let short_ns = (ahead_ns + rate.interval_ns).saturating_sub(rate.capacity_ns);
            if short_ns > 0 {
                let retry_after = std::time::Duration::from_nanos(short_ns);
                let this = RateLimited { reading, subject: layer.subject, stage: Stage::Limit, retry_after };
                refused = Some(refused.map_or(this, |known| known.longer(this)));
            }
        }
        match refused {
            Some(refused) if !verdict.admitted => Err(refused),
            Some(_) | None => Ok(tightest),
        }
    }

    /// Counts as [`Buckets::admit`] does, without the keeper: this node's share of each limit, where so many nodes serve.
    /// The keeper is told when it is back.
    ///
    /// # Errors
    /// As [`Buckets::admit`].
    pub fn admit_alone(
        &mut self,
        layers: &[Layer],
        limit: impl Fn(Tier) -> Limit,
        nodes: u32,
        unseen: Unseen,
        now: UnixMs,
    ) -> Result<Option<Reading>, RateLimited> {
        for layer in layers.iter().filter(|layer| limit(layer.tier) != Limit::Off) {
            self.own.insert(self.place(*layer));
        }
        self.admit(layers, |tier| limit(tier).share_of(nodes), unseen, now)
    }

    /// Holds to every level that is known here if the keeper was lost since this was said last, so many times in all: it
    /// may have forgotten them, or it has another clock now.
    pub fn insist(&mut self, losses: u64) {
        if self.losses != losses {
            self.losses = losses;
            self.own.extend(self.tats.keys());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gcra::{Subject, Tat};

    const T0: UnixMs = UnixMs::new(1_700_000_000_000);
    const LAYERS: [Layer; 1] = [Layer { tier: Tier::Refresh, subject: Subject(1) }];

    fn per_minute(burst: u32) -> impl Fn(Tier) -> Limit + Copy {
        move |_| Limit::Per { burst, period: std::time::Duration::from_mins(1) }
    }

    fn level(buckets: &Buckets) -> Option<Tat> {
        buckets.levels().next().map(|(_, tat)| tat)
    }

    #[test]
    fn what_the_keeper_says_is_what_is_told() {
        let mut buckets = Buckets::default();
        let asks = buckets.asks(&LAYERS, per_minute(60), T0);
        assert_eq!(asks[0].arguments(), [1_000_000_000, 60_000_000_000, 0, 0]);
        let told = buckets.learn(&asks, &Verdict { admitted: true, ahead_ns: vec![20_000_000_000] }, T0).unwrap();
        assert_eq!(told.map(|reading| reading.remaining), Some(40));
        let refused = Verdict { admitted: false, ahead_ns: vec![59_500_000_000] };
        let limited = buckets.learn(&asks, &refused, T0).unwrap_err();
        assert_eq!((limited.retry_after.as_millis(), limited.reading.remaining), (500, 0));
        // The copy is brought from now on, as a hint.
        assert_eq!(buckets.asks(&LAYERS, per_minute(60), T0)[0].arguments()[2..], [59_500_000_000, 0]);
    }

    /// The share that is left of the whole is what each node has left of its own.
    #[test]
    fn alone_each_node_goes_on_with_its_share_of_what_is_left() {
        let mut buckets = Buckets::default();
        let asks = buckets.asks(&LAYERS, per_minute(60), T0);
        buckets.learn(&asks, &Verdict { admitted: true, ahead_ns: vec![30_000_000_000] }, T0).unwrap();
        let mut alone = || buckets.admit_alone(&LAYERS, per_minute(60), 3, Unseen::Full, T0);
        assert_eq!((0..60).filter(|_| alone().is_ok()).count(), 10, "half of a third of 60");
        // The keeper is told, whatever it has.
        let asks = buckets.asks(&LAYERS, per_minute(60), T0);
        assert_eq!(asks[0].arguments()[2..], [60_000_000_000, 1]);
        buckets.learn(&asks, &Verdict { admitted: false, ahead_ns: vec![60_000_000_000] }, T0).unwrap_err();
        assert_eq!(buckets.asks(&LAYERS, per_minute(60), T0)[0].arguments()[3], 0, "once");
    }

    #[test]
    fn more_nodes_than_a_limit_has_leave_each_of_them_one() {
        let mut buckets = Buckets::default();
        let mut alone = || buckets.admit_alone(&LAYERS, per_minute(2), 5, Unseen::Full, T0);
        assert_eq!((0..9).filter(|_| alone().is_ok()).count(), 1);
    }

    #[test]
    fn what_is_not_counted_is_neither_asked_nor_kept() {
        let mut buckets = Buckets::default();
        assert!(buckets.asks(&LAYERS, |_| Limit::Off, T0).is_empty());
        assert_eq!(buckets.admit_alone(&LAYERS, |_| Limit::Off, 2, Unseen::Full, T0), Ok(None));
        assert!(buckets.own.is_empty() && level(&buckets).is_none());
    }

    /// A bucket that nobody asked for while the keeper was away is held to as well, once.
    #[test]
    fn after_a_loss_every_level_is_held_to() {
        let mut buckets = Buckets::default();
        let told = Verdict { admitted: true, ahead_ns: vec![30_000_000_000] };
        let holds = |buckets: &Buckets| buckets.asks(&LAYERS, per_minute(60), T0)[0].holds;
        let learn = |buckets: &mut Buckets| {
            let asks = buckets.asks(&LAYERS, per_minute(60), T0);
            buckets.learn(&asks, &told, T0).unwrap();
        };
        learn(&mut buckets);
        buckets.insist(0);
        assert!(!holds(&buckets), "nothing was lost");
        buckets.insist(1);
        assert!(holds(&buckets));
        learn(&mut buckets);
        buckets.insist(1);
        assert!(!holds(&buckets), "the keeper knows it now");
    }

    #[test]
    fn levels_that_are_insisted_on_are_forgotten_when_they_are_full() {
        let mut buckets = Buckets::default();
        buckets.restore(LAYERS[0], Tat(nanos(T0) + 1_000_000_000));
        assert!(buckets.asks(&LAYERS, per_minute(60), T0)[0].holds, "a saved level may be the only one there is");
        buckets.sweep(T0.plus(std::time::Duration::from_secs(1)));
        buckets.insist(1);
        assert!(buckets.own.is_empty() && buckets.is_empty());
    }
}
