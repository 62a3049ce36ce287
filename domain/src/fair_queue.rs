//! A bounded queue that tenants share: who may take a place in it, and whose job is done next.
//!
//! ```text
//! nothing --take--> holds a place --push--> waits --pop, its tenant's turn--> is done --give_back--> nothing
//! ```
//!
//! **Places.** A tenant that holds `h` of them may take another while `h < weight × free` and more than the reserve is free;
//! one that holds none may take any that is free. So
//! - one of weight `w` holds at most `w ÷ (w + 1)` of them, half of them if it is an ordinary one, and less while others hold
//!   some, for then less is free;
//! - of every place that a tenant holds beyond its first, there are never more than all but the reserve: whoever holds none
//!   finds one, as long as fewer tenants than the reserve counts hold any.
//!
//! **Turns.** Tenants with jobs stand in a ring. The first one has a turn: as many jobs as its weight says, one after the
//! other and its oldest first; then it goes behind the others. One that has no more jobs leaves the ring and takes nothing
//! with it, and comes back at its end. So before the `k`-th job of a tenant of weight `w`, each other tenant has at most
//! `⌈k ÷ w⌉` turns; and while there is a job, there is one to do.
//!
//! Whoever serves all but one tenant asks for the first job of the others ([`FairQueue::pop_beside`]). It is nobody's turn, and
//! changes none.
//!
//! A tenant that holds nothing and waits for nothing is not remembered.
//!
//! Source: weighted round robin, Katevenis et al., IEEE JSAC 9 (1991); dynamic thresholds, Choudhury and Hahne, IEEE/ACM
//! Transactions on Networking 6 (1998), with a weight for their alpha.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use crate::weight::Weight;

/// The reserve is one place of this many.
const RESERVE_OF: usize = 4;

/// How many places there are, and how many of them are kept for tenants that hold none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places {
    all: usize,
    reserve: usize,
}

impl Places {
    /// This many, a quarter of them in reserve; at least one.
    #[must_use]
    pub const fn new(all: usize) -> Self {
        let all = if all == 0 { 1 } else { all };
        Self { all, reserve: all / RESERVE_OF }
    }

    /// How many there are.
    #[must_use]
    pub const fn all(self) -> usize {
        self.all
    }

    /// How many of them are for tenants that hold none.
    #[must_use]
    pub const fn reserve(self) -> usize {
        self.reserve
    }

    /// How many a tenant of this weight can hold when nobody else holds any: what it can hold at most.
    #[must_use]
    pub fn most_of_one(self, weight: Weight) -> usize {
        (0..self.all).take_while(|held| self.may_take(*held, self.all - held, weight)).count()
    }

    /// Whether who holds so many may take one of those that are free.
    fn may_take(self, held: usize, free: usize, weight: Weight) -> bool {
        if held == 0 { free > 0 } else { held < weight.times(free) && free > self.reserve }
    }
}

/// There is no place for this tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// None at all.
    #[error("all places are taken")]
    Full,
    /// It has its share; what is free is for others.
    #[error("the tenant has its share of the places")]
    Share,
}

#[derive(Debug)]
struct Line<J> {
    weight: Weight,
    held: usize,
    jobs: VecDeque<J>,
    /// Jobs that are left of the turn it has, or will have next.
    left: u32,
}

/// The queue: `T` names a tenant, `J` is a job.
#[derive(Debug)]
pub struct FairQueue<T, J> {
    places: Places,
    taken: usize,
    /// Every tenant that holds a place or waits.
    lines: BTreeMap<T, Line<J>>,
    /// Every tenant with jobs, once. The first one has its turn.
    ring: VecDeque<T>,
}

impl<T: Ord + Copy, J> FairQueue<T, J> {
    /// An empty one.
    #[must_use]
    pub fn new(places: Places) -> Self {
        Self { places, taken: 0, lines: BTreeMap::new(), ring: VecDeque::new() }
    }

    /// Takes a place for a tenant, whose weight holds from now on. [`FairQueue::give_back`] must follow.
    ///
    /// # Errors
    /// [`NoPlace`]; nothing was changed.
    pub fn take(&mut self, tenant: T, weight: Weight) -> Result<(), NoPlace> {
        let (held, free) = (self.lines.get(&tenant).map_or(0, |line| line.held), self.free());
        if !self.places.may_take(held, free, weight) {
            return Err(if free == 0 { NoPlace::Full } else { NoPlace::Share });
        }
        let line = self.line(tenant);
        line.held += 1;
        line.weight = weight;
        line.left = line.left.min(weight.get());
        self.taken += 1;
        Ok(())
    }

    /// Gives one of a tenant's places back.
    pub fn give_back(&mut self, tenant: T) {
        if let Some(line) = self.lines.get_mut(&tenant).filter(|line| line.held > 0) {
            line.held -= 1;
            self.taken -= 1;
            self.forget_if_idle(tenant);
        }
    }

    /// Puts a job behind those of its tenant, which holds a place for it.
    pub fn push(&mut self, tenant: T, job: J) {
        let line = self.line(tenant);
        line.jobs.push_back(job);
        if line.jobs.len() == 1 {
            line.left = line.weight.get();
            self.ring.push_back(tenant);
        }
    }

    /// The job whose turn it is; `None` when nobody waits.
    pub fn pop(&mut self) -> Option<J> {
        let tenant = *self.ring.front()?;
        let job = self.pop_at(0)?;
        if let Some(line) = self.lines.get_mut(&tenant).filter(|line| !line.jobs.is_empty()) {
            line.left = line.left.saturating_sub(1);
            if line.left == 0 {
                line.left = line.weight.get();
                self.ring.rotate_left(1);
            }
        }
        Some(job)
    }

    /// The job whose turn it would be if this tenant had none; `None` when nobody else waits.
    pub fn pop_beside(&mut self, tenant: T) -> Option<J> {
        let first = self.ring.iter().position(|other| *other != tenant)?;
        self.pop_at(first)
    }

    /// The oldest job of the tenant at this place of the ring, which it leaves with its last one.
    fn pop_at(&mut self, place: usize) -> Option<J> {
        let tenant = *self.ring.get(place)?;
        let line = self.lines.get_mut(&tenant)?;
        let job = line.jobs.pop_front();
        if line.jobs.is_empty() {
            self.ring.remove(place);
            self.forget_if_idle(tenant);
        }
        job
    }

    /// How many places are taken.
    #[must_use]
    pub const fn taken(&self) -> usize {
        self.taken
    }

    /// How many tenants hold a place or wait.
    #[must_use]
    pub fn tenants(&self) -> usize {
        self.lines.len()
    }

    const fn free(&self) -> usize {
        self.places.all - self.taken
    }

    fn line(&mut self, tenant: T) -> &mut Line<J> {
        let new = || Line { weight: Weight::default(), held: 0, jobs: VecDeque::new(), left: 0 };
        self.lines.entry(tenant).or_insert_with(new)
    }

    fn forget_if_idle(&mut self, tenant: T) {
        if self.lines.get(&tenant).is_some_and(|line| line.held == 0 && line.jobs.is_empty()) {
            self.lines.remove(&tenant);
        }
    }
}
