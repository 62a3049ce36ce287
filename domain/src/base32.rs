//! Base 32: five bits a character, from whichever alphabet the reader wants.

/// RFC 4648 §6, in which authenticators take their secrets. Without padding.
pub(crate) const RFC_4648: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// Crockford's, for people: no letter that looks like a digit, and no U.
pub(crate) const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The text of `bytes`, whose number is a multiple of five: eight characters for each five.
pub(crate) fn encode<const N: usize>(alphabet: &[u8; 32], bytes: &[u8; N]) -> String {
    const { assert!(N.is_multiple_of(5), "no bits are left over") };
    let mut text = String::with_capacity(N / 5 * 8);
    for five in bytes.chunks_exact(5) {
        let bits = five.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        let letter = |place: u32| alphabet.get((bits >> (35 - 5 * place) & 31) as usize).copied().unwrap_or_default();
        text.extend((0..8).map(letter).map(char::from));
    }
    text
}

/// The bytes of which `letters` are the text. `None` when they are not `N / 5 * 8` letters of the alphabet.
pub(crate) fn decode<const N: usize>(alphabet: &[u8; 32], letters: &[u8]) -> Option<[u8; N]> {
    const { assert!(N.is_multiple_of(5), "no bits are left over") };
    if letters.len() != N / 5 * 8 {
        return None;
    }
    let mut bytes = [0; N];
    for (five, eight) in bytes.chunks_exact_mut(5).zip(letters.chunks_exact(8)) {
        let mut bits = 0_u64;
        for letter in eight {
            let value = alphabet.iter().position(|known| known == letter)?;
            bits = bits << 5 | value as u64;
        }
        let [_, _, _, wanted @ ..] = bits.to_be_bytes();
        five.copy_from_slice(&wanted);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 4648 §10.
    #[test]
    fn rfc_4648() {
        assert_eq!(encode(RFC_4648, b"fooba"), "MZXW6YTB");
        assert_eq!(decode(RFC_4648, b"MZXW6YTB"), Some(*b"fooba"));
    }

    #[test]
    fn other_letters_and_lengths_are_no_text() {
        for text in ["", "MZXW6YT", "MZXW6YTBA", "MZXW6YT1", "mzxw6ytb", "MZXW6YT=", "MZXW6Y\u{e9}"] {
            assert_eq!(decode::<5>(RFC_4648, text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_value_survives_its_text(bytes: [u8; 15]) {
            for alphabet in [RFC_4648, CROCKFORD] {
                prop_assert_eq!(decode(alphabet, encode(alphabet, &bytes).as_bytes()), Some(bytes));
            }
        }
    }
}
