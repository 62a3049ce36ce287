//! `application/x-www-form-urlencoded`, byte by byte: names and values need not be UTF-8.
//!
//! Source: URL Standard §5.1.

/// The pairs of a form in their order, decoded. What is no escape stays as it stands.
pub(super) fn pairs(body: &[u8]) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> {
    body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        (decoded(halves.next().unwrap_or_default()), decoded(halves.next().unwrap_or_default()))
    })
}

fn decoded(mut text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    loop {
        text = match text {
            [b'%', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                out.push(digit(*high) << 4 | digit(*low));
                rest
            }
            [b'+', rest @ ..] => {
                out.push(b' ');
                rest
            }
            [byte, rest @ ..] => {
                out.push(*byte);
                rest
            }
            [] => return out,
        };
    }
}

/// What a hex digit is worth.
const fn digit(letter: u8) -> u8 {
    match letter {
        b'0'..=b'9' => letter - b'0',
        _ => (letter & 0xdf).wrapping_sub(b'A').wrapping_add(10) & 15,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_decoded_and_nothing_is_trimmed() {
        let read = |body: &str| -> Vec<(String, String)> {
            let text = |bytes| String::from_utf8(bytes).unwrap();
            pairs(body.as_bytes()).map(|(name, value)| (text(name), text(value))).collect()
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            read("a=1&b=x+y%2B&c&=d&&e="),
            [pair("a", "1"), pair("b", "x y+"), pair("c", ""), pair("", "d"), pair("e", ""),]
        );
        assert_eq!(read("%61=+%C3%a9+&a=b=c"), [pair("a", " é "), pair("a", "b=c")]);
        assert_eq!(read("a=%&b=%4&c=%zz%4f"), [pair("a", "%"), pair("b", "%4"), pair("c", "%zzO")]);
        assert_eq!(read(""), []);
        assert_eq!(pairs(b"a=%ff\xfe").next().unwrap().1, b"\xff\xfe");
    }
}
