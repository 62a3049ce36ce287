//! What a presented refresh token is worth, given what the store says of its family (RFC 9700 §4.14.2).
//!
//! Where the tenant allows a grace, the immediate parent of a token that nobody has used yet gets that token again for as
//! long: whoever lost the answer to a refresh is not taken for a thief. Once the token was used its parent is a replay.

use crate::refresh_token::TokenHash;
use crate::time::UnixMs;

/// A token that was rotated before, as the store remembers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Whether this node rotated it.
    pub here: bool,
    /// Until when the node that rotated it held the successor back: nobody could have used it before.
    pub held_until: UnixMs,
    /// Until when its successor may be given again; `None` where it may not, or was used.
    pub reusable_until: Option<UnixMs>,
}

/// The worth of a presented token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The one live token of its family.
    Live,
    /// Spent, and its successor may be given again.
    Reusable,
    /// Spent, and presented after its successor was handed out: somebody has it twice.
    Replayed,
    /// Spent by another node that had not handed out the successor when this request arrived: presented to two nodes
    /// at once by somebody honest.
    SpentElsewhere,
    /// Its family was revoked or has ended.
    Dead,
    /// Never issued.
    Unknown,
}

/// Judges a token that arrived at `arrived`. `stored` is the family's live hash, `ended` whether the family was revoked,
/// has expired or belongs to a deactivated member.
#[must_use]
pub fn judge(stored: TokenHash, presented: TokenHash, ended: bool, spent: Option<Spent>, arrived: UnixMs) -> Judgement {
    match spent {
        _ if ended => Judgement::Dead,
        _ if stored == presented => Judgement::Live,
        Some(spent) if spent.reusable_until.is_some_and(|until| arrived < until) => Judgement::Reusable,
        Some(spent) if !spent.here && arrived < spent.held_until => Judgement::SpentElsewhere,
        Some(_) => Judgement::Replayed,
        None => Judgement::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: UnixMs = UnixMs::new(1_700_000_000_000);

    #[test]
    fn only_the_stored_token_of_a_living_family_is_live() {
        let (live, old) = (TokenHash::from_bytes([1; 32]), TokenHash::from_bytes([2; 32]));
        let at = |held_until, here| Some(Spent { here, held_until, reusable_until: None });
        let again = |until| Some(Spent { here: true, held_until: T0, reusable_until: Some(until) });
        let later = UnixMs::new(T0.get() + 1);
        for (presented, ended, spent, expected) in [
            (live, false, None, Judgement::Live),
            (live, true, None, Judgement::Dead),
            (old, false, None, Judgement::Unknown),
            (old, false, at(T0, true), Judgement::Replayed),
            (old, false, at(later, true), Judgement::Replayed),
            (old, false, at(T0, false), Judgement::Replayed),
            (old, false, at(later, false), Judgement::SpentElsewhere),
            (old, true, at(later, false), Judgement::Dead),
            (old, false, again(later), Judgement::Reusable),
            (old, false, again(T0), Judgement::Replayed),
            (old, true, again(later), Judgement::Dead),
        ] {
            assert_eq!(judge(live, presented, ended, spent, T0), expected);
        }
    }
}
