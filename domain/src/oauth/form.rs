//! Parameters as forms and queries carry them (`application/x-www-form-urlencoded`, WHATWG URL §5.2).

use std::fmt::Write as _;

use zeroize::Zeroizing;

use crate::secret::Secret;

/// `a=b&c=d` with everything but letters, digits and `-._~` percent-encoded, which every reader understands alike.
#[must_use]
pub fn encode(pairs: &[(&str, &str)]) -> Secret<String> {
    let mut form = Zeroizing::new(String::with_capacity(512));
    for (name, value) in pairs {
        if !form.is_empty() {
            form.push('&');
        }
        push(&mut form, name);
        form.push('=');
        push(&mut form, value);
    }
    Secret::new(form.as_str().to_owned())
}

fn push(form: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            form.push(char::from(byte));
        } else {
            let _ = write!(form, "%{byte:02X}"); // into a String: cannot fail
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_that_could_be_read_as_something_else() {
        let form = encode(&[("a", "b c&d=e+f/ä"), ("g_h", "~-.")]);
        assert_eq!(form.expose(), "a=b%20c%26d%3De%2Bf%2F%C3%A4&g_h=~-.");
        assert_eq!(encode(&[]).expose(), "");
    }
}
