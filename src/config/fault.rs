//! What is wrong with the configuration, all of it at once.

use std::fmt;

/// One fault: the setting it is about, what is wrong, and what to do. Shown as `NAME: fault; remedy` on one line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    name: String,
    wrong: String,
    remedy: String,
}

impl Fault {
    /// The name of the setting, as the environment spells it; `--config` for the file itself.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is wrong.
    #[must_use]
    pub fn wrong(&self) -> &str {
        &self.wrong
    }

    /// What to do.
    #[must_use]
    pub fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.name, self.wrong, self.remedy)
    }
}

/// Every fault found, in the order of their names. `Display` gives one line a fault, without a last newline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Adds a fault. Control characters are escaped, so that it stays one line.
    pub(super) fn add(&mut self, name: &str, wrong: &str, remedy: &str) {
        let fault = Fault { name: one_line(name), wrong: one_line(wrong), remedy: one_line(remedy) };
        if let Err(place) = self.0.binary_search(&fault) {
            self.0.insert(place, fault);
        }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The faults, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        // The two Unicode separators also end a line in some viewers.
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_sorted_lines_and_said_once() {
        let mut faults = Faults::default();
        faults.add("B", "is bad", "mend it");
        faults.add("A", "two\nlines", "mend\u{2028}it");
        faults.add("B", "is bad", "mend it");
        assert_eq!(faults.to_string(), "A: two\\nlines; mend\\u{2028}it\nB: is bad; mend it");
    }
}
