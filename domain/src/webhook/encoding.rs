//! MACs in text: one text for each MAC and none besides. Lower-case hex; standard base64 with its padding.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Bytes of an HMAC-SHA-256, and of a SHA-256.
pub(crate) const MAC_BYTES: usize = 32;
/// Bytes of an HMAC-SHA-1.
pub(super) const SHA1_MAC_BYTES: usize = 20;

/// The bytes of a lower-case hex text of exactly their length.
pub(crate) fn hex(text: &str) -> Option<[u8; MAC_BYTES]> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut bytes = [0; MAC_BYTES];
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

/// The bytes of a base64 text of exactly their length: padded, the bits left over zero.
pub(super) fn base64<const BYTES: usize>(text: &str) -> Option<[u8; BYTES]> {
    if text.len() != BYTES.div_ceil(3) * 4 {
        return None; // before anything is allocated
    }
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// `bytes` in lower-case hex.
pub(crate) fn to_hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

fn digit(letter: u8) -> Option<u8> {
    match letter {
        b'0'..=b'9' => Some(letter - b'0'),
        b'a'..=b'f' => Some(letter - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_mac_has_one_text(mac: [u8; 32], at in 0_usize..64, other in "[ -~é]") {
            let (text, padded) = (to_hex(&mac), STANDARD.encode(mac));
            prop_assert_eq!(hex(&text), Some(mac));
            prop_assert_eq!(base64(&padded), Some(mac));
            for text in [text, padded] {
                let at = at % text.len();
                let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
                if changed != text {
                    prop_assert!(hex(&changed) != Some(mac) && base64(&changed) != Some(mac), "{}", changed);
                }
            }
        }
    }

    #[test]
    fn what_is_nearly_a_mac_is_none() {
        let hex_text = "0123456789abcdef".repeat(4);
        assert!(hex(&hex_text).is_some());
        for bad in ["", &hex_text[1..], &hex_text[2..], &hex_text.to_uppercase(), &format!("{hex_text}00")] {
            assert_eq!(hex(bad), None, "{bad}");
        }
        let text = STANDARD.encode([7_u8; 32]);
        assert_eq!(base64(&text), Some([7; 32]));
        assert_eq!(base64::<20>(&text), None);
        // The last letter before the padding carries two bits that belong to nothing.
        let (unpadded, spare) = (text.trim_end_matches('='), text.replace("c=", "d="));
        for bad in ["", unpadded, &spare, &format!("{text}="), &format!(" {text}"), &text.replace('B', "-"), &hex_text]
        {
            assert_eq!(base64::<32>(bad), None, "{bad}");
        }
    }
}
