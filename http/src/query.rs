//! Query parameters: known ones, once each, in UTF-8, or a 400 that names every fault.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::faults::Faults;
use crate::problem::{Kind, Problem};

const WHOLE: &str = "(query)";
const PARAMETERS_MAX: usize = 32;
const ITEMS_MAX: u16 = 200;
const ITEMS_DEFAULT: u16 = 50;
const CURSOR_CHARS_MAX: usize = 512;

/// What a route reads from its query.
pub trait FromParams: Sized {
    /// Takes its parameters, noting what is wrong. `None` only together with a fault; what is left over is told as unknown.
    fn from_params(params: &mut Params, faults: &mut Faults) -> Option<Self>;
}

/// The query of a request, read and checked: an extractor.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

/// The parameters of one query that nobody has taken yet.
#[derive(Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// Splits a query as forms encode it: `a=b&c=d`, `+` for a space, percent-encoded UTF-8 (WHATWG URL §5.1).
    fn parse(query: &str, faults: &mut Faults) -> Self {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for piece in query.split('&').filter(|piece| !piece.is_empty()) {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                faults.add(WHOLE, "must be percent-encoded UTF-8");
                break;
            };
            if pairs.iter().any(|(seen, _)| *seen == name) {
                faults.add(crate::body::shown(&name), "is given twice");
            } else if pairs.len() == PARAMETERS_MAX {
                faults.add(WHOLE, "has too many parameters");
                break;
            } else {
                pairs.push((name, value));
            }
        }
        Self(pairs)
    }

    /// Those that nobody has taken, decoded: each name once.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// Takes the value of this parameter.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(seen, _)| seen == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Lets pass what is left over.
    pub fn ignore_rest(&mut self) {
        self.0.clear();
    }

    fn finish(self, faults: &mut Faults) {
        for (name, _) in self.0 {
            faults.add(crate::body::shown(&name), "is not a known parameter");
        }
    }
}

impl<S: Sync, T: FromParams> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        read(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn read<T: FromParams>(query: &str) -> Result<T, Problem> {
    let mut faults = Faults::default();
    let mut params = Params::parse(query, &mut faults);
    let value = T::from_params(&mut params, &mut faults);
    params.finish(&mut faults);
    match value {
        Some(value) if faults.is_empty() => Ok(value),
        None if faults.is_empty() => Err(Problem::new(Kind::Internal)),
        Some(_) | None => Err(faults.into()),
    }
}

/// A route without parameters.
impl FromParams for () {
    fn from_params(_: &mut Params, _: &mut Faults) -> Option<Self> {
        Some(())
    }
}

/// Which part of a list is asked for: `limit` (1 to 200, default 50) and `cursor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPart {
    /// At most this many items.
    pub limit: u16,
    /// Where the previous part ended, as that answer said; at most 512 characters.
    pub cursor: Option<String>,
}

impl FromParams for ListPart {
    fn from_params(params: &mut Params, faults: &mut Faults) -> Option<Self> {
        let limit = params.take("limit").map_or(Some(ITEMS_DEFAULT), |text| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let limit = text.parse().ok().filter(|limit| digits && (1..=ITEMS_MAX).contains(limit));
            faults.some("limit", limit, "must be a whole number from 1 to 200")
        });
        let cursor = params.take("cursor").map(|text| faults.one_line("cursor", text, 1..=CURSOR_CHARS_MAX));
        Some(Self { limit: limit?, cursor: cursor.flatten() })
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => hex(rest.next()?)? << 4 | hex(rest.next()?)?,
            plain => plain,
        });
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults<T: FromParams>(query: &str) -> String {
        read::<T>(query).map_or_else(|problem| String::from_utf8(problem.render("-")).expect("text"), |_| String::new())
    }

    #[test]
    fn lists() {
        assert_eq!(read::<ListPart>("").expect("valid"), ListPart { limit: 50, cursor: None });
        let part = read::<ListPart>("limit=200&cursor=a%2Bb+c").expect("valid");
        assert_eq!(part, ListPart { limit: 200, cursor: Some("a+b c".into()) });
        for bad in [
            "limit=0", "limit=201", "limit=", "limit=+5", "limit=-1", "limit=1e2", "limit=99999999999", "cursor=",
            "cursor=%0a",
        ] {
            assert!(read::<ListPart>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_parameter_is_known_and_comes_once() {
        assert!(faults::<ListPart>("limit=1&limit=1").contains("is given twice"));
        assert!(faults::<ListPart>("limit=1&li%6Dit=2").contains("is given twice"));
        assert!(faults::<()>("x=1").contains(r#""field":"x","message":"is not a known parameter""#));
        assert!(faults::<()>("%ff=1").contains("percent-encoded"));
        assert!(faults::<()>("a=%4").contains("percent-encoded"));
        assert!(faults::<()>("%3Cscript%3E=1").contains(r#""field":"(unknown)""#));
        let many = (0..1_000).map(|number| format!("p{number}")).collect::<Vec<_>>().join("&");
        assert!(faults::<()>(&many).contains("too many"));
    }
}
