//! `freehold webhook verify`: whether deliveries of providers are signed, one JSON object a line in, one word a line out.
//!
//! It asks the rule that the server asks, with the secrets and the time that each line names: for those who want to know what
//! is accepted without a server, and for those who want to hold us to what the providers' own libraries accept.

use std::fmt;
use std::io::{self, BufRead};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use freehold_domain::webhook::{self, Delivery, Provider, Secrets};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::cli::Exit;
use crate::failure::Failure;
use crate::out;

/// Bytes of one line: a body of a megabyte in base64, with room for the longest headers.
const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Runs `freehold webhook verify` to the end of stdin. Every line has its answer before the next is read.
///
/// # Errors
/// Exit 65 when stdin cannot be read, 69 when nobody reads stdout.
pub fn webhook_verify() -> Result<(), Failure> {
    let mut from = io::stdin().lock();
    loop {
        let line = read_line(&mut from).map_err(|error| Failure::new(Exit::Data, format!("stdin: {error}")))?;
        let is_signed = match line {
            Line::End => return Ok(()),
            Line::TooLong => false,
            Line::Whole(line) => is_signed(&line),
        };
        let word = if is_signed { "accept" } else { "reject" };
        out::word(word).map_err(|error| Failure::new(Exit::Unavailable, error))?;
    }
}

/// One delivery, and what it is to be verified with. What else a line says is not read.
#[derive(Deserialize)]
struct Question {
    provider: String,
    secret: String,
    #[serde(default)]
    secret_previous: Option<String>,
    url: String,
    method: String,
    headers: Headers,
    body_base64: String,
    /// Seconds.
    now_unix: i64,
}

/// Headers as an object. A value is a text, or a list of texts for a name that came more than once; a name that the object
/// has twice came twice.
struct Headers(Vec<(String, String)>);

#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Many(Vec<String>),
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of headers")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
                let mut headers = vec![];
                while let Some((name, values)) = map.next_entry::<String, Values>()? {
                    match values {
                        Values::One(value) => headers.push((name, value)),
                        Values::Many(values) => headers.extend(values.into_iter().map(|value| (name.clone(), value))),
                    }
                }
                Ok(Headers(headers))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

/// Whether the line is a delivery that is signed.
fn is_signed(line: &[u8]) -> bool {
    let Ok(question) = serde_json::from_slice::<Question>(line) else { return false };
    let Ok(provider) = question.provider.parse::<Provider>() else { return false };
    let Ok(body) = STANDARD.decode(&question.body_base64) else { return false };
    let now = UnixMs::new(question.now_unix.saturating_mul(1_000));
    if now.as_secs() != question.now_unix {
        return false; // no time that there is
    }
    let newest = Secret::new(question.secret);
    let previous = question.secret_previous.map(Secret::new);
    let headers: Vec<_> = question.headers.0.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let delivery = Delivery { method: &question.method, url: &question.url, headers: &headers, body: &body };
    let secrets = Secrets { newest: &newest, previous: previous.as_ref() };
    webhook::verify(provider.rule(), &delivery, &secrets, now).is_ok()
}

/// What stdin has next.
enum Line {
    /// A line without its end; the last may have none.
    Whole(Vec<u8>),
    /// A line that is longer than [`LINE_BYTES_MAX`]; it was read over.
    TooLong,
    /// Nothing any more.
    End,
}

fn read_line(from: &mut impl BufRead) -> io::Result<Line> {
    let mut line = vec![];
    let bytes_max = u64::try_from(LINE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1); // and its end
    io::Read::take(&mut *from, bytes_max).read_until(b'\n', &mut line)?;
    if line.last() == Some(&b'\n') {
        line.pop();
    } else if line.is_empty() {
        return Ok(Line::End);
    } else if line.len() > LINE_BYTES_MAX {
        from.skip_until(b'\n')?;
        return Ok(Line::TooLong);
    }
    Ok(Line::Whole(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_to_their_ends_and_no_further_than_their_bound() {
        let read = |text: &[u8]| {
            let mut text = text;
            let mut read = vec![];
            loop {
                match read_line(&mut text).unwrap() {
                    Line::Whole(line) => read.push(Some(line.len())),
                    Line::TooLong => read.push(None),
                    Line::End => return read,
                }
            }
        };
        assert_eq!(read(b""), []);
        assert_eq!(read(b"a"), [Some(1)]);
        assert_eq!(read(b"a\n\nbb\r\n"), [Some(1), Some(0), Some(3)]);
        let (longest, longer) = (vec![b'x'; LINE_BYTES_MAX], vec![b'x'; 3 * LINE_BYTES_MAX]);
        assert_eq!(read(&longest), [Some(LINE_BYTES_MAX)]);
        assert_eq!(read(&[&longest[..], b"\na"].concat()), [Some(LINE_BYTES_MAX), Some(1)]);
        assert_eq!(read(&[&longest[..], b"x\na"].concat()), [None, Some(1)]);
        assert_eq!(read(&[&longer[..], b"\n\n"].concat()), [None, Some(0)]);
        assert_eq!(read(&longer), [None]);
    }
}
