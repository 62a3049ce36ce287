//! Whose turn it is to refresh the tokens of one tenant and service, on this node: one at a time, and the others wait.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use freehold_domain::id::TenantId;
use freehold_domain::integration::Integration;
use tokio::sync::OwnedMutexGuard;

type Whose = (TenantId, Integration);
type Line = Arc<tokio::sync::Mutex<()>>;

/// The lines in which somebody stands.
#[derive(Default)]
pub(super) struct Turns(Mutex<BTreeMap<Whose, Line>>);

/// A turn, which ends when it is dropped.
pub(super) struct Turn<'t> {
    turns: &'t Turns,
    whose: Whose,
    held: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits for a turn.
    pub(super) async fn take(&self, whose: Whose) -> Turn<'_> {
        let line = Arc::clone(self.lines().entry(whose).or_default());
        Turn { turns: self, whose, held: Some(line.lock_owned().await) }
    }

    /// A turn, if it is nobody's.
    pub(super) fn try_take(&self, whose: Whose) -> Option<Turn<'_>> {
        let line = Arc::clone(self.lines().entry(whose).or_default());
        Some(Turn { turns: self, whose, held: Some(line.try_lock_owned().ok()?) })
    }

    /// A step changes one entry: what a panic leaves behind is whole.
    fn lines(&self) -> MutexGuard<'_, BTreeMap<Whose, Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut lines = self.turns.lines();
        drop(self.held.take());
        // The map alone has it: nobody waits, and whoever comes next finds a new one.
        if lines.get(&self.whose).is_some_and(|line| Arc::strong_count(line) == 1) {
            lines.remove(&self.whose);
        }
    }
}

#[cfg(test)]
mod tests {
    use freehold_domain::time::UnixMs;

    use super::*;

    #[tokio::test]
    async fn one_has_the_turn_and_nothing_is_left_behind() {
        let turns = Turns::default();
        let whose = (TenantId::new(UnixMs::new(1), [1; 10]), Integration::Square);
        let other = (TenantId::new(UnixMs::new(1), [2; 10]), Integration::Square);
        let first = turns.take(whose).await;
        let _other = turns.take(other).await;
        assert!(turns.try_take(whose).is_none());
        let second = turns.take(whose);
        tokio::pin!(second);
        assert!(futures_now(&mut second).await.is_none(), "it is the first one's");
        drop(first);
        let second = futures_now(&mut second).await.expect("its turn");
        drop(second);
        assert_eq!(turns.lines().len(), 1, "the other's");
        drop(turns.try_take(whose).expect("nobody's"));
        assert_eq!(turns.lines().len(), 1);
    }

    /// What a future is now.
    async fn futures_now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! { biased; value = future => Some(value), () = std::future::ready(()) => None }
    }
}
