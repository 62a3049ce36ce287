//! Values that must not be seen: `Debug` says `[secret]`, there is no `Serialize`, drop wipes the memory.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

const LAST_CHARS: usize = 4;

/// A secret value, wiped when dropped. [`Secret::expose`] is the only way to read it.
#[derive(Clone, Default)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes `value` into keeping.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value. Do not copy it, log it or keep it.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// The value, to be filled in place.
    pub(crate) const fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl Secret<String> {
    /// What is shown of it: its last four characters, and nothing of one that has not twice as many.
    #[must_use]
    pub fn last4(&self) -> String {
        let from = self.0.len().checked_sub(LAST_CHARS).filter(|from| *from >= LAST_CHARS);
        from.and_then(|from| self.0.get(from..)).unwrap_or_default().to_owned()
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Compared in constant time; only the length can be learned.
impl<T: Zeroize + AsRef<[u8]>> PartialEq for Secret<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ref().ct_eq(other.0.as_ref()).into()
    }
}

impl<T: Zeroize + AsRef<[u8]>> Eq for Secret<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_value() {
        assert_eq!(format!("{:?}", Secret::new(String::from("hunter2"))), "[secret]");
    }

    #[test]
    fn four_characters_are_shown_and_of_a_short_secret_none() {
        let shown = |text: &str| Secret::new(text.to_owned()).last4();
        assert_eq!((shown("0123456789").as_str(), shown("01234567").as_str()), ("6789", "4567"));
        assert_eq!((shown("0123456"), shown(""), shown("aaaaaaaa€€")), (String::new(), String::new(), String::new()));
    }

    #[test]
    fn equality_is_by_value() {
        assert_eq!(Secret::new([1_u8; 32]), Secret::new([1_u8; 32]));
        assert_ne!(Secret::new(vec![1_u8]), Secret::new(vec![1_u8, 2]));
    }
}
