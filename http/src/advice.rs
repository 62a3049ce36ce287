//! Advice on a new password that was refused: what zxcvbn says of it. Shown, and never a reason to refuse.

use freehold_domain::password::Password;
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::{Kind, Problem};

/// As much of a password as is looked at: the work grows faster than the length.
const CHARS_MAX: usize = 100;

/// What would make a password better.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Advice {
    /// What is weak about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    warning: Option<String>,
    /// What to do instead.
    suggestions: Vec<String>,
}

/// What to do with the problem of an operation that was given this new password: where the password is at fault, the advice
/// goes with it.
pub(crate) fn with(password: &Password) -> impl FnOnce(Problem) -> Problem + use<> {
    let password = password.clone();
    move |problem| if problem.kind() == Kind::Validation { problem.advise(on(&password)) } else { problem }
}

/// Advice on `password`; `None` when nothing is to be said.
#[must_use]
pub fn on(password: &Password) -> Option<Advice> {
    let text = password.expose().expose();
    let end = text.char_indices().nth(CHARS_MAX).map_or(text.len(), |(end, _)| end);
    let estimate = zxcvbn::zxcvbn(text.get(..end)?, &[]);
    let feedback = estimate.feedback()?;
    let advice = Advice {
        warning: feedback.warning().map(|warning| warning.to_string()),
        suggestions: feedback.suggestions().iter().map(ToString::to_string).collect(),
    };
    (advice.warning.is_some() || !advice.suggestions.is_empty()).then_some(advice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Advice> {
        on(&Password::new(text).expect("a password"))
    }

    #[test]
    fn a_weak_password_is_commented_on_and_a_strong_one_is_not() {
        let advice = of("password1").expect("it is weak");
        assert!(advice.warning.is_some() && !advice.suggestions.is_empty(), "{advice:?}");
        assert!(!format!("{advice:?}").contains("password1"));
        assert_eq!(of("tsunami glacier violin under 7 bridges"), None);
    }

    #[test]
    fn only_the_first_hundred_characters_are_looked_at() {
        let weak = "ä".repeat(100);
        assert_eq!(of(&format!("{weak}tsunami glacier violin under 7 bridges")), of(&weak));
        assert!(of(&weak).is_some());
    }
}
