//! What is wrong with a request, field by field, collected so that the caller learns of everything at once.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use serde::Serialize;

/// More faults than this are not told.
const FAULTS_MAX: usize = 64;

/// One field and what is wrong with it. The message is ours and never holds what was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The path of the field, `items[0].name`; `(head)`, `(host)`, `(query)` or `(body)` for what has no field.
    pub field: Cow<'static, str>,
    /// What is wrong, to be read after the field's name: "is required".
    pub message: Cow<'static, str>,
}

/// The faults found so far, at most 64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Notes one fault. Never put a received value into `message`.
    pub fn add(&mut self, field: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) {
        if self.0.len() < FAULTS_MAX {
            self.0.push(Fault { field: field.into(), message: message.into() });
        }
    }

    /// The value, or a fault when it is missing. With `Option` fields all missing ones are told at once.
    pub fn required<T>(&mut self, field: &'static str, value: Option<T>) -> Option<T> {
        self.some(field, value, "is required")
    }

    /// The value, or a fault with this message when there is none.
    pub fn some<T>(&mut self, field: &'static str, value: Option<T>, message: &'static str) -> Option<T> {
        if value.is_none() {
            self.add(field, message);
        }
        value
    }

    /// The text, if it has as many characters as allowed and no NUL, CR, LF or other control character.
    pub fn one_line(&mut self, field: &'static str, text: String, chars: RangeInclusive<usize>) -> Option<String> {
        if text.chars().any(char::is_control) {
            self.add(field, "must not contain control characters");
            return None;
        }
        let count = text.chars().count();
        if count < *chars.start() {
            self.add(
                field,
                if count == 0 {
                    Cow::from("must not be empty")
                } else {
                    format!("must have at least {} characters", chars.start()).into()
                },
            );
        } else if count > *chars.end() {
            self.add(field, format!("must have at most {} characters", chars.end()));
        } else {
            return Some(text);
        }
        None
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The faults in the order in which they were found.
    #[must_use]
    pub fn into_vec(self) -> Vec<Fault> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_are_collected() {
        let mut faults = Faults::default();
        assert_eq!(faults.required::<()>("a", None), None);
        assert_eq!(faults.required("b", Some(1)), Some(1));
        assert_eq!(faults.one_line("c", "x\r\ny".into(), 1..=10), None);
        assert_eq!(faults.one_line("d", "x\0".into(), 1..=10), None);
        assert_eq!(faults.one_line("e", String::new(), 1..=10), None);
        assert_eq!(faults.one_line("f", "äöü".into(), 1..=2), None);
        assert_eq!(faults.one_line("g", "äöü".into(), 1..=3), Some("äöü".into()));
        let fields: Vec<_> = faults.into_vec().into_iter().map(|fault| fault.field).collect();
        assert_eq!(fields, ["a", "c", "d", "e", "f"]);
    }

    #[test]
    fn the_list_is_bounded() {
        let mut faults = Faults::default();
        for _ in 0..1_000 {
            faults.add("x", "is wrong");
        }
        assert_eq!(faults.into_vec().len(), FAULTS_MAX);
    }
}
