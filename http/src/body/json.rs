//! JSON into a value, strictly, with faults in words of our own: nothing that was sent is said back.

use std::borrow::Cow;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Unexpected};
use serde_json::error::Category;

use crate::problem::Problem;

const WHOLE: &str = "(body)";
const NAME_CHARS_MAX: usize = 64;
const PATH_CHARS_MAX: usize = 256;

/// Exactly one JSON object in UTF-8, nested at most 127 deep, that is a `T`.
///
/// # Errors
/// A validation [`Problem`] that names the field.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|_| Problem::invalid(WHOLE, "must be UTF-8"))?;
    // Structs also read from arrays; a body is an object.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Problem::invalid(WHOLE, "must be a JSON object"));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        fault(&path, error.inner())
    })?;
    json.end().map_err(|_| Problem::invalid(WHOLE, "must be one JSON object and nothing after it"))?;
    Ok(value)
}

/// For a field that is one of a few words. Serde alone would call a number malformed JSON and take `{"word": null}`.
pub(crate) fn word<'de, D: Deserializer<'de>, T: Deserialize<'de>>(field: D) -> Result<Option<T>, D::Error> {
    let text = String::deserialize(field)?;
    T::deserialize(text.into_deserializer()).map(Some)
}

/// For a field that may be left out and has no value of nothing: `null` is a wrong type. With `#[serde(default)]`.
pub(crate) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(field: D) -> Result<Option<T>, D::Error> {
    T::deserialize(field).map(Some)
}

/// For a whole number, which is one however it is written: `5`, `5.0` and `5e0` (JSON Schema 2020-12, Core §4.2.1).
pub(crate) fn whole<'de, D: Deserializer<'de>, T: TryFrom<u64>>(field: D) -> Result<Option<T>, D::Error> {
    let number = serde_json::Number::deserialize(field)?;
    let expected = &"a whole number within bounds";
    let digits = match (number.as_u64(), number.as_f64()) {
        (Some(digits), _) => Some(digits),
        (None, Some(other)) if other.fract() != 0.0 => {
            return Err(D::Error::invalid_type(Unexpected::Float(other), expected));
        }
        (None, other) => other.and_then(|other| other.to_string().parse().ok()),
    };
    let value = digits.and_then(|digits| T::try_from(digits).ok());
    value.map(Some).ok_or_else(|| D::Error::invalid_value(Unexpected::Other("a number"), expected))
}

/// A name that came with the request, if it is harmless; faults may show it.
pub(crate) fn shown(name: &str) -> Cow<'static, str> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if plain && (1..=NAME_CHARS_MAX).contains(&name.len()) { name.to_owned().into() } else { "(unknown)".into() }
}

fn fault(path: &str, error: &serde_json::Error) -> Problem {
    let said = error.to_string();
    match error.classify() {
        Category::Data => {
            let (name, message) = reason(&said);
            Problem::invalid(field(path, name), message)
        }
        Category::Syntax if said.starts_with("recursion limit") => Problem::invalid(WHOLE, "is nested too deeply"),
        Category::Syntax | Category::Eof | Category::Io => Problem::invalid(WHOLE, "must be well-formed JSON"),
    }
}

/// The field that serde's own words name, and the words that we use instead.
fn reason(said: &str) -> (Option<&str>, &'static str) {
    let named = |prefix: &str| said.strip_prefix(prefix).map(|rest| rest.split('`').next().unwrap_or_default());
    if let Some(name) = named("missing field `") {
        (Some(name), "is required")
    } else if let Some(name) = named("duplicate field `") {
        (Some(name), "is given twice")
    } else if let Some(name) = named("unknown field `") {
        (Some(name), "is not a known field")
    } else if said.starts_with("invalid type") {
        (None, "has the wrong type")
    } else if said.starts_with("unknown variant") {
        (None, "is not one of the known values")
    } else if said.starts_with("invalid length") {
        (None, "has the wrong length")
    } else {
        (None, "is not valid")
    }
}

/// `path.name`; serde's path ends in the name already, or in `?`, depending on when the fault was seen.
fn field(path: &str, name: Option<&str>) -> Cow<'static, str> {
    let path = if path.len() <= PATH_CHARS_MAX && is_plain(path) { path } else { "" };
    let Some(name) = name else {
        return if path.is_empty() || path == "." { WHOLE.into() } else { path.to_owned().into() };
    };
    let known = shown(name);
    let parent = path.strip_suffix(name).or_else(|| path.strip_suffix('?')).unwrap_or(path);
    let parent = parent.trim_end_matches('.');
    if parent.is_empty() { known } else { format!("{parent}.{known}").into() }
}

fn is_plain(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.[]?".contains(&byte))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape is tested")]
    struct Body {
        name: String,
        #[serde(default)]
        items: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape is tested")]
    struct Item {
        size: u8,
        #[serde(default, deserialize_with = "word")]
        kind: Option<Kind>,
        #[serde(default, deserialize_with = "whole")]
        count: Option<u8>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Big,
    }

    fn told(text: &[u8]) -> (String, String) {
        let problem = parse::<Body>(text).expect_err("a fault");
        let body: serde_json::Value = serde_json::from_slice(&problem.render("-")).expect("JSON");
        let one = |key| body.pointer(key).and_then(serde_json::Value::as_str).expect("text").to_owned();
        (one("/errors/0/field"), one("/errors/0/message"))
    }

    #[test]
    fn every_fault_names_its_field_in_our_words() {
        let cases: &[(&str, &str, &str)] = &[
            ("", "(body)", "must be a JSON object"),
            ("null", "(body)", "must be a JSON object"),
            (r#"["x"]"#, "(body)", "must be a JSON object"),
            (r#"{"name": "#, "(body)", "must be well-formed JSON"),
            (r#"{"name": "x",}"#, "(body)", "must be well-formed JSON"),
            (r#"{"name": "x"} {}"#, "(body)", "must be one JSON object and nothing after it"),
            (r#"{"name": "\ud800"}"#, "(body)", "must be well-formed JSON"),
            ("{}", "name", "is required"),
            (r#"{"name": 5}"#, "name", "has the wrong type"),
            (r#"{"name": null}"#, "name", "has the wrong type"),
            (r#"{"name": "a", "name": "b"}"#, "name", "is given twice"),
            (r#"{"name": "a", "na\u006de": "b"}"#, "name", "is given twice"),
            (r#"{"extra": 1}"#, "extra", "is not a known field"),
            (r#"{"<script>": 1}"#, "(unknown)", "is not a known field"),
            (r#"{"name": "a", "items": [{"size": 300}]}"#, "items[0].size", "is not valid"),
            (r#"{"name": "a", "items": [{"size": 1}, {}]}"#, "items[1].size", "is required"),
            (r#"{"name": "a", "items": [{"size": 1, "x": 1}]}"#, "items[0].x", "is not a known field"),
            (
                r#"{"name": "a", "items": [{"size": 1, "kind": "tiny"}]}"#,
                "items[0].kind",
                "is not one of the known values",
            ),
            (r#"{"name": "a", "items": [{"size": 1, "kind": 1}]}"#, "items[0].kind", "has the wrong type"),
            (r#"{"name": "a", "items": [{"size": 1, "kind": {"big": null}}]}"#, "items[0].kind", "has the wrong type"),
        ];
        for (text, field, message) in cases {
            assert_eq!(told(text.as_bytes()), ((*field).to_owned(), (*message).to_owned()), "{text}");
        }
        assert_eq!(told(b"{\"name\": \"\xff\"}").1, "must be UTF-8");
        assert!(parse::<Body>(br#"{"name": "a", "items": [{"size": 1, "kind": "big"}]}"#).is_ok());
        for (count, message) in [
            ("5.5", "has the wrong type"),
            ("null", "has the wrong type"),
            (r#""5""#, "has the wrong type"),
            ("-1", "is not valid"),
            ("256.0", "is not valid"),
            ("1e300", "is not valid"),
        ] {
            let text = format!(r#"{{"name": "a", "items": [{{"size": 1, "count": {count}}}]}}"#);
            assert_eq!(told(text.as_bytes()), ("items[0].count".to_owned(), message.to_owned()), "{count}");
        }
        for count in ["5", "5.0", "50e-1", "0.5E+1"] {
            let text = format!(r#"{{"name": "a", "items": [{{"size": 1, "count": {count}}}]}}"#);
            let body = parse::<Body>(text.as_bytes()).expect("a body");
            assert_eq!(body.items.first().and_then(|item| item.count), Some(5), "{count}");
        }
    }

    #[test]
    fn depth_is_a_fault_and_not_an_overflow() {
        let deep = format!(r#"{{"name": {}"#, "[".repeat(100_000));
        assert_eq!(told(deep.as_bytes()).0, "name");
        let deep = "{\"name\":".repeat(100_000);
        assert_eq!(told(deep.as_bytes()).0, "name");
    }
}
