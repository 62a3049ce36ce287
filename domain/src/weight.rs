//! A tenant's weight: how many times the share of an ordinary tenant it has of what tenants share.
//!
//! An operator gives it. It multiplies a tenant's turns at the hashing threads and its places for requests in flight, and
//! lets nobody wait for ever: see [`crate::fair_queue`].

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// From 1, an ordinary tenant's, to 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Weight(u32);

impl Weight {
    /// The least, and what a tenant has that was given none.
    pub const MIN: Self = Self(1);
    /// The most.
    pub const MAX: Self = Self(16);

    /// This number, if it is one from 1 to 16.
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if Self::MIN.0 <= number && number <= Self::MAX.0 { Some(Self(number)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// So many times `count`, as a count of places.
    #[must_use]
    pub(crate) const fn times(self, count: usize) -> usize {
        count.saturating_mul(self.0 as usize)
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self::MIN
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A number that is no weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number from 1 to 16")]
pub struct NoWeight;

impl From<ParseIntError> for NoWeight {
    fn from(_: ParseIntError) -> Self {
        Self
    }
}

impl TryFrom<u32> for Weight {
    type Error = NoWeight;

    fn try_from(number: u32) -> Result<Self, NoWeight> {
        Self::new(number).ok_or(NoWeight)
    }
}

impl From<Weight> for u32 {
    fn from(weight: Weight) -> Self {
        weight.0
    }
}

impl FromStr for Weight {
    type Err = NoWeight;

    fn from_str(text: &str) -> Result<Self, NoWeight> {
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NoWeight);
        }
        text.parse::<u32>()?.try_into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_a_number_from_1_to_16() {
        for number in [1, 2, 16] {
            let weight: Weight = number.to_string().parse().expect("a weight");
            assert_eq!((weight.get(), weight.to_string()), (number, number.to_string()));
            assert_eq!(serde_json::from_str::<Weight>(&number.to_string()).expect("a weight"), weight);
            assert_eq!(serde_json::to_value(weight).expect("a number"), number);
        }
        for text in ["", "0", "17", "-1", "+1", "1.5", " 1", "99999999999"] {
            assert_eq!(text.parse::<Weight>(), Err(NoWeight), "{text}");
        }
        for text in ["0", "17", "\"1\"", "1.5"] {
            assert!(serde_json::from_str::<Weight>(text).is_err(), "{text}");
        }
        assert_eq!(Weight::default(), Weight::MIN);
    }
}
