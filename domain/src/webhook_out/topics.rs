//! Which events an endpoint wants.

use std::fmt;
use std::str::FromStr;

use crate::audit::Action;

/// Patterns of one endpoint.
pub const TOPICS_MAX: usize = 50;

/// Names of actions, `session.*` for all that begin so, or `*` for every one: also for those that come to be later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topics(Vec<Box<str>>);

/// The texts are no topics.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTopics {
    /// There is none, or there are too many.
    #[error("must be 1 to {TOPICS_MAX}")]
    Number,
    /// The one at this place, from 0, fits no event.
    #[error("fits no event at {0}: write a name, session.* for all that begin so, or * for every one")]
    Unknown(usize),
    /// The one at this place was there before.
    #[error("is at {0} what is there before")]
    Twice(usize),
}

impl Topics {
    /// These.
    ///
    /// # Errors
    /// [`NotTopics`]
    pub fn new(texts: &[String]) -> Result<Self, NotTopics> {
        if texts.is_empty() || texts.len() > TOPICS_MAX {
            return Err(NotTopics::Number);
        }
        let mut topics: Vec<Box<str>> = vec![];
        for (at, text) in texts.iter().enumerate() {
            if !Action::ALL.iter().any(|action| fits(text, *action)) {
                return Err(NotTopics::Unknown(at));
            }
            if topics.iter().any(|known| **known == **text) {
                return Err(NotTopics::Twice(at));
            }
            topics.push(text.as_str().into());
        }
        Ok(Self(topics))
    }

    /// Whether they have this event.
    #[must_use]
    pub fn have(&self, action: Action) -> bool {
        self.0.iter().any(|topic| fits(topic, action))
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }
}

fn fits(topic: &str, action: Action) -> bool {
    let name = action.as_str();
    match topic.strip_suffix('*') {
        Some("") => true,
        Some(prefix) => prefix.ends_with('.') && name.starts_with(prefix),
        None => name == topic,
    }
}

/// As they are stored: with commas between.
impl fmt::Display for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// What is stored. A name that this version does not know fits nothing, and is kept.
impl FromStr for Topics {
    type Err = NotTopics;

    fn from_str(text: &str) -> Result<Self, NotTopics> {
        if text.is_empty() { Err(NotTopics::Number) } else { Ok(Self(text.split(',').map(Into::into).collect())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(texts: &[&str]) -> Result<Topics, NotTopics> {
        Topics::new(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn an_event_is_wanted_by_its_name_its_kind_or_with_all() {
        let some = topics(&["member.joined", "session.*"]).unwrap();
        assert!(some.have(Action::MemberJoined) && some.have(Action::SessionReplayed));
        assert!(!some.have(Action::MemberDeleted) && !some.have(Action::SessionsEnded));
        let all = topics(&["*"]).unwrap();
        assert!(Action::ALL.iter().all(|action| all.have(*action)));
        for topics in [some, all] {
            assert_eq!(topics.to_string().parse(), Ok(topics));
        }
    }

    #[test]
    fn what_fits_nothing_is_refused() {
        assert_eq!(topics(&[]), Err(NotTopics::Number));
        assert_eq!(topics(&["*"; 51]), Err(NotTopics::Number));
        for other in
            ["", "member", "member*", "member.", ".*", "*.*", "nothing.*", "member.joined,session.*", "Member.Joined"]
        {
            assert_eq!(topics(&["*", other]), Err(NotTopics::Unknown(1)), "{other}");
        }
        assert_eq!(topics(&["*", "*"]), Err(NotTopics::Twice(1)));
    }
}
