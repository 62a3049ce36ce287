//! Ids of Stripe's: a prefix that says of what, and after it letters, digits and `_`.

use std::fmt;
use std::str::FromStr;

/// Bytes of an id, as Stripe bounds them.
pub const ID_BYTES_MAX: usize = 255;

/// The text is no id of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no id of this kind")]
pub struct NotAnId;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let rest = text.strip_prefix($prefix).ok_or(NotAnId)?;
                let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
                let is_good = !rest.is_empty() && text.len() <= ID_BYTES_MAX && rest.bytes().all(is_plain);
                if is_good { Ok(Self(text.into())) } else { Err(NotAnId) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// A subscription.
    SubscriptionId "sub_";
    /// A customer.
    CustomerId "cus_";
    /// An account.
    AccountId "acct_";
    /// A price. What plans of old were called by hand is none of these.
    PriceId "price_";
    /// A payout. It is read and passed through, and stored nowhere.
    PayoutId "po_";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_its_prefix_and_bounded_letters() {
        for good in ["sub_1", "sub_1MowQVLkdIwHu7ixeRlqHVzs", "sub_test_1"] {
            assert_eq!(good.parse::<SubscriptionId>().map(|id| id.to_string()).as_deref(), Ok(good));
        }
        let long = format!("sub_{}", "a".repeat(ID_BYTES_MAX - 4));
        assert_eq!(long.parse::<SubscriptionId>().unwrap().as_str(), long);
        for bad in [
            "",
            "sub_",
            "sub",
            "SUB_1",
            "cus_1",
            "xsub_1",
            "sub_1 ",
            "sub_ä",
            "sub_1\0",
            "sub_1.2",
            "sub-1",
            &(long + "a"),
        ] {
            assert_eq!(bad.parse::<SubscriptionId>(), Err(NotAnId), "{bad}");
        }
        assert!("cus_1".parse::<CustomerId>().is_ok() && "acct_1".parse::<AccountId>().is_ok());
        assert_eq!("4242424242424242".parse::<PriceId>(), Err(NotAnId));
    }
}
