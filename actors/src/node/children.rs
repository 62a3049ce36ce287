//! The children that a tenant can be asked through.

use ractor::Message;

use crate::slot::{Live, Published};
use crate::tenant::Kind;
use crate::{breakers, lockouts, rate_limits, sessions};

/// The messages of a tenant's children.
pub trait ChildMsg: Message + Sized {
    /// Which child takes them.
    const KIND: Kind;
    /// Where its address is published.
    #[doc(hidden)]
    fn published(live: &Live) -> &Published<Self>;
}

macro_rules! children {
    ($($kind:ident: $module:ident;)*) => {$(
        impl ChildMsg for $module::Msg {
            const KIND: Kind = Kind::$kind;
            fn published(live: &Live) -> &Published<Self> {
                &live.$module
            }
        }
    )*};
}

children! {
    RateLimits: rate_limits;
    Sessions: sessions;
    Lockouts: lockouts;
    Breakers: breakers;
}
