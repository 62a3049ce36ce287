//! At whose account at Stripe something is.

use std::fmt;
use std::str::FromStr;

use super::AccountId;

/// Whose account sells, and is told of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Seller {
    /// The tenant's own.
    Own,
    /// One that is connected to it.
    Connected(AccountId),
    /// That of whoever runs this server, of whom the tenant buys its plan and by whom it is paid out. Only what came to the
    /// platform's own tenant is ever written down so: no tenant's secret signs it.
    Platform,
}

/// As rows and cursors name it; no account is called that.
const PLATFORM: &str = "platform";

/// The text names no seller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("names no seller")]
pub struct NoSeller;

impl Seller {
    /// The name in rows and cursors: empty for the tenant's own.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Own => "",
            Self::Connected(account) => account.as_str(),
            Self::Platform => PLATFORM,
        }
    }

    /// The connected account that it is.
    #[must_use]
    pub const fn connected(&self) -> Option<&AccountId> {
        match self {
            Self::Connected(account) => Some(account),
            Self::Own | Self::Platform => None,
        }
    }
}

impl FromStr for Seller {
    type Err = NoSeller;

    fn from_str(text: &str) -> Result<Self, NoSeller> {
        match text {
            "" => Ok(Self::Own),
            PLATFORM => Ok(Self::Platform),
            account => account.parse().map(Self::Connected).map_err(|_| NoSeller),
        }
    }
}

impl fmt::Display for Seller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_one_name() {
        let sellers = [Seller::Own, Seller::Platform, Seller::Connected("acct_1".parse().unwrap())];
        for seller in sellers {
            assert_eq!(seller.to_string().parse(), Ok(seller));
        }
        assert_eq!("cus_1".parse::<Seller>(), Err(NoSeller));
    }
}
