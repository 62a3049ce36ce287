//! The text of every setting with where it comes from: defaults, then the file, then the environment.

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use freehold_domain::secret::Secret;
use toml::{Table, Value};

use super::env::Env;
use super::fault::Faults;
use super::names;

/// Documents every setting; compiled in.
pub(super) const DEFAULTS: &str = include_str!("../../config.default.toml");

/// Characters of a refused value that are shown.
const SHOWN_CHARS_MAX: usize = 80;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Default,
    File(PathBuf),
    Environment,
}

struct Given {
    text: Secret<String>,
    source: Source,
}

/// Every setting that has a value, and the faults found so far.
pub(super) struct Values {
    given: BTreeMap<String, Given>,
    faults: Faults,
    is_file_read: bool,
}

impl Values {
    /// Gathers the three sources; what cannot be read or is not a setting becomes a fault.
    pub(super) fn gather(file: Option<&Path>, env: &Env) -> Self {
        let mut values = Self { given: BTreeMap::new(), faults: Faults::default(), is_file_read: true };
        let known = names::all();
        values.take_toml(DEFAULTS, &Source::Default, &known);
        if let Some(path) = file {
            match fs::read_to_string(path) {
                Ok(text) => values.take_toml(&text, &Source::File(path.to_owned()), &known),
                Err(error) => {
                    values.is_file_read = false;
                    let fault = format!("cannot read {} ({})", path.display(), error.kind());
                    values.faults.add("--config", &fault, "name a readable UTF-8 TOML file, or leave --config out");
                }
            }
        }
        values.take_env(env, &known);
        values
    }

    fn take_toml(&mut self, text: &str, source: &Source, known: &[String]) {
        // The parser's own message quotes the line, which may hold a secret.
        match text.parse::<Table>() {
            Ok(table) => self.take_table("", table, source, known),
            Err(error) => {
                self.is_file_read = false;
                let line = error
                    .span()
                    .and_then(|span| text.get(..span.start))
                    .map_or(1, |read| 1 + read.matches('\n').count());
                self.faults.add("--config", &format!("line {line}{} is not TOML", from(source)), "mend that line");
            }
        }
    }

    fn take_table(&mut self, section: &str, table: Table, source: &Source, known: &[String]) {
        for (key, value) in table {
            let setting = if section.is_empty() { key } else { format!("{section}.{key}") };
            if known.contains(&setting) {
                self.take_value(&setting, value, source);
                continue;
            }
            let is_section = known.iter().any(|name| name.starts_with(&format!("{setting}.")));
            match value {
                Value::Table(inner) if is_section || !inner.is_empty() => {
                    self.take_table(&setting, inner, source, known);
                }
                Value::Table(_)
                | Value::String(_)
                | Value::Integer(_)
                | Value::Float(_)
                | Value::Boolean(_)
                | Value::Datetime(_)
                | Value::Array(_) => self.refuse_name(&setting, source, known),
            }
        }
    }

    fn refuse_name(&mut self, setting: &str, source: &Source, known: &[String]) {
        let remedy = names::meant(setting, known).map_or_else(
            || "remove it: config.default.toml documents every key".to_owned(),
            |meant| format!("did you mean `{meant}`?"),
        );
        self.faults.add(&names::in_env(setting), &format!("`{setting}` is not a setting{}", from(source)), &remedy);
    }

    fn take_value(&mut self, setting: &str, value: Value, source: &Source) {
        let text = match value {
            Value::String(text) => Some(text),
            Value::Integer(number) => Some(number.to_string()),
            Value::Boolean(is_so) => Some(is_so.to_string()),
            Value::Array(items) => {
                let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
                texts.map(|texts| texts.join(","))
            }
            Value::Float(_) | Value::Datetime(_) | Value::Table(_) => None,
        };
        match text {
            Some(text) => self.give(setting, text, source.clone()),
            None => self.faults.add(
                &names::in_env(setting),
                &format!("`{setting}` is neither text, a whole number, true nor false{}", from(source)),
                "put the value in quotes",
            ),
        }
    }

    fn take_env(&mut self, env: &Env, known: &[String]) {
        let by_name: BTreeMap<String, &String> =
            known.iter().map(|setting| (names::in_env(setting), setting)).collect();
        for (name, value) in env.iter() {
            match (by_name.get(name), value.to_str()) {
                (Some(setting), Some(text)) => self.give(setting, text.to_owned(), Source::Environment),
                (Some(setting), None) => {
                    self.given.remove(*setting);
                    self.faults.add(name, "the value is not UTF-8", "write it in UTF-8");
                }
                (None, _) => {
                    let names: Vec<String> = by_name.keys().cloned().collect();
                    let remedy = names::meant(name, &names).map_or_else(
                        || "unset it: config.default.toml documents every name".to_owned(),
                        |meant| format!("did you mean {meant}?"),
                    );
                    self.faults.add(name, "is not a setting", &remedy);
                }
            }
        }
    }

    fn give(&mut self, setting: &str, text: String, source: Source) {
        if text.trim().is_empty() {
            self.given.remove(setting);
            self.fault(setting, &format!("is empty{}", from(&source)), "give it a value, or unset it");
        } else {
            self.given.insert(setting.to_owned(), Given { text: Secret::new(text), source });
        }
    }

    /// The text of `setting` as `read` reads it. `None` when it is not set; a value that `read` refuses
    /// "is not `expected`", which becomes a fault with `remedy`, and is `None` too.
    pub(super) fn read<T>(
        &mut self,
        setting: &str,
        expected: &str,
        remedy: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let given = self.given.get(setting)?;
        let text = given.text.expose();
        let value = read(text);
        if value.is_none() {
            let shown = if names::is_secret(setting) { "the value".to_owned() } else { shown(text) };
            let fault = format!("{shown}{} is not {expected}", from(&given.source));
            self.fault(setting, &fault, remedy);
        }
        value
    }

    /// A whole number of `unit` within `bounds`.
    pub(super) fn number(&mut self, setting: &str, unit: &str, bounds: RangeInclusive<u32>) -> Option<u32> {
        let (least, most) = (*bounds.start(), *bounds.end());
        let expected = format!("a whole number of {unit} from {least} to {most}");
        self.read(setting, &expected, "write the number alone, without a unit", |text| {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|number| digits && bounds.contains(number))
        })
    }

    /// Where the value of `setting` comes from; `None` when it has none.
    pub(super) fn source(&self, setting: &str) -> Option<&Source> {
        self.given.get(setting).map(|given| &given.source)
    }

    /// Whether the file or the environment sets `setting`.
    pub(super) fn is_chosen(&self, setting: &str) -> bool {
        self.source(setting).is_some_and(|source| *source != Source::Default)
    }

    /// Whether `setting` has a value, its default included.
    pub(super) fn is_set(&self, setting: &str) -> bool {
        self.given.contains_key(setting)
    }

    /// Whether the file, if one was given, could be read: what is missing may stand in it.
    pub(super) fn is_file_read(&self) -> bool {
        self.is_file_read
    }

    /// Adds a fault about `setting`.
    pub(super) fn fault(&mut self, setting: &str, fault: &str, remedy: &str) {
        self.faults.add(&names::in_env(setting), fault, remedy);
    }

    /// Whether `setting` has a fault already: what is missing because it was refused is not missing.
    pub(super) fn is_faulty(&self, setting: &str) -> bool {
        let name = names::in_env(setting);
        self.faults.iter().any(|fault| fault.name() == name)
    }

    /// Ends the reading.
    pub(super) fn into_faults(self) -> Faults {
        self.faults
    }
}

fn from(source: &Source) -> String {
    match source {
        Source::Default => " in the defaults".to_owned(),
        Source::File(path) => format!(" in {}", path.display()),
        Source::Environment => String::new(),
    }
}

fn shown(text: &str) -> String {
    let mut start: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    format!("{start:?}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_default_file_documents_every_setting_once() {
        fn settings(section: &str, table: &Table, found: &mut Vec<String>) {
            for (key, value) in table {
                if let Value::Table(inner) = value {
                    settings(&format!("{key}."), inner, found);
                } else {
                    found.push(format!("{section}{key}"));
                }
            }
        }
        // A comment that is a setting without a default reads `# key = value`.
        let uncommented: String = DEFAULTS
            .lines()
            .map(|line| match line.strip_prefix("# ").and_then(|text| text.split_once(" = ")) {
                Some((key, value)) if key.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'_')) => {
                    format!("{key} = {value}\n")
                }
                _ => format!("{line}\n"),
            })
            .collect();
        let mut found = Vec::new();
        settings("", &uncommented.parse().expect("the file is TOML, comments included"), &mut found);
        assert_eq!(found.iter().cloned().collect::<BTreeSet<_>>(), names::all().into_iter().collect::<BTreeSet<_>>());
        for line in DEFAULTS.lines().filter(|line| line.contains(" = ")) {
            let at = DEFAULTS.find(line).expect("it is a line of it");
            let before = DEFAULTS.get(..at).and_then(|text| text.lines().last());
            assert!(before.is_some_and(|before| before.starts_with("# ")), "nothing says what `{line}` is");
        }
    }
}
