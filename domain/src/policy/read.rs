//! From the text of a policy to the policy, or to every fault of it at once.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use super::{
    MOVES, Moves, NAME_BYTES_MAX, Part, Permission, Policy, PolicyFault, PolicyFaults, Resource, Roles, SHOWS,
};
use crate::role::Role;

/// What a resource may have.
const KEYS: [&str; 5] = ["title", "may", "fields", "statuses", "moves"];
const ROLE: &str = "names a role that is none of admin, sales_rep, employee";

/// Reads the whole text, however much is wrong with it.
pub(super) fn policy(text: &str) -> Result<Policy, PolicyFaults> {
    let mut faults = Faults::default();
    let file = match text.parse::<Table>() {
        Ok(file) => file,
        Err(error) => {
            let line =
                error.span().map_or(1, |span| text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1);
            faults.add("(file)", format!("is not TOML: line {line}: {}", error.message()));
            return Err(faults.finish());
        }
    };
    faults.unknown("", &file, &[Part::Server.as_str(), Part::Shop.as_str()]);
    let mut resources = BTreeMap::new();
    for part in [Part::Server, Part::Shop] {
        let name = part.as_str();
        let table = file.get(name).and_then(|value| faults.table(name, Some(value)));
        for (resource, value) in table.into_iter().flatten() {
            let at = format!("{name}.{resource}");
            faults.name(&at, resource);
            if let Some(read) = faults.resource(&at, value) {
                resources.insert((part, resource.clone()), read);
            }
        }
    }
    let enforced = faults.enforced(&resources);
    if faults.0.is_empty() { Ok(Policy { enforced, resources }) } else { Err(faults.finish()) }
}

#[derive(Default)]
struct Faults(Vec<PolicyFault>);

impl Faults {
    fn add(&mut self, at: &str, wrong: impl Into<String>) {
        self.0.push(PolicyFault { at: at.to_owned(), wrong: wrong.into() });
    }

    fn finish(mut self) -> PolicyFaults {
        self.0.sort();
        self.0.dedup();
        PolicyFaults(self.0)
    }

    /// Notes every key that is not among the known ones.
    fn unknown(&mut self, at: &str, table: &Table, known: &[&str]) {
        for key in table.keys().filter(|key| !known.contains(&key.as_str())) {
            self.add(&below(at, key), format!("is none of {}", known.join(", ")));
        }
    }

    /// A table, or a fault when it is missing or something else.
    fn table<'v>(&mut self, at: &str, value: Option<&'v Value>) -> Option<&'v Table> {
        match value {
            Some(Value::Table(table)) if !table.is_empty() => return Some(table),
            Some(Value::Table(_)) => self.add(at, "is empty"),
            Some(_) => self.add(at, "must be a table"),
            None => self.add(at, "is missing"),
        }
        None
    }

    /// Names are words of `a-z`, `0-9` and `_`, so that they can stand in headers, rows and addresses.
    fn name(&mut self, at: &str, name: &str) {
        let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        if !plain || !name.starts_with(|first: char| first.is_ascii_lowercase()) || name.len() > NAME_BYTES_MAX {
            self.add(at, "is not a name: a letter of a-z, then a-z, 0-9 and _, at most 64 in all");
        }
    }

    /// A resource; `None` only together with a fault.
    fn resource(&mut self, at: &str, value: &Value) -> Option<Resource> {
        let table = self.table(at, Some(value))?;
        self.unknown(at, table, &KEYS);
        let title = self.title(&below(at, "title"), table.get("title"));
        let at_may = below(at, "may");
        let may = self.table(&at_may, table.get("may"));
        let may = may.map(|may| self.roles_by_name(&at_may, may));
        let at_fields = below(at, "fields");
        let fields = table.get("fields").and_then(|value| self.table(&at_fields, Some(value)));
        let fields = fields.map(|fields| self.roles_by_name(&at_fields, fields));
        let at_statuses = below(at, "statuses");
        let statuses = table.get("statuses").map(|value| self.statuses(&at_statuses, value, None)).unwrap_or_default();
        let moves = self.all_moves(at, table, &statuses);
        let resource = Resource { title: title?, may: may?, fields, statuses, moves };
        self.consistent(at, &resource);
        Some(resource)
    }

    fn title(&mut self, at: &str, value: Option<&Value>) -> Option<String> {
        let title = value.and_then(Value::as_str).filter(|title| !title.trim().is_empty());
        if title.is_none_or(|title| title.contains(char::is_control)) {
            self.add(at, "must be one line of text");
        }
        title.map(str::to_owned)
    }

    fn roles_by_name(&mut self, at: &str, table: &Table) -> BTreeMap<String, Roles> {
        let mut read = BTreeMap::new();
        for (name, value) in table {
            let at = below(at, name);
            self.name(&at, name);
            read.insert(name.clone(), self.roles(&at, value));
        }
        read
    }

    fn roles(&mut self, at: &str, value: &Value) -> Roles {
        let Some(items) = value.as_array() else {
            self.add(at, "must be a list of roles");
            return Roles::default();
        };
        let mut roles = Roles::default();
        for item in items {
            let Some(Ok(role)) = item.as_str().map(str::parse::<Role>) else {
                self.add(at, ROLE);
                continue;
            };
            if roles.contains(role) {
                self.add(at, format!("names {role} twice"));
            }
            roles = roles.with(role);
        }
        roles
    }

    fn all_moves(&mut self, at: &str, table: &Table, statuses: &BTreeSet<String>) -> BTreeMap<Role, Moves> {
        let at_statuses = below(at, "statuses");
        let at = below(at, "moves");
        let Some(moves) = table.get("moves").and_then(|value| self.table(&at, Some(value))) else {
            return BTreeMap::new();
        };
        if !table.contains_key("statuses") {
            self.add(&at_statuses, "is missing: there are moves");
            return BTreeMap::new();
        }
        let mut read = BTreeMap::new();
        for (name, value) in moves {
            let at = below(&at, name);
            match name.parse() {
                Ok(role) => read.extend(self.moves(&at, value, statuses).map(|moves| (role, moves))),
                Err(_) => self.add(&at, ROLE),
            }
        }
        read
    }

    fn moves(&mut self, at: &str, value: &Value, statuses: &BTreeSet<String>) -> Option<Moves> {
        let table = self.table(at, Some(value))?;
        self.unknown(at, table, &["from", "to"]);
        let mut side = |name: &str| {
            let at = below(at, name);
            match table.get(name) {
                Some(Value::String(any)) if any == "any" => Some(statuses.clone()),
                Some(value) => Some(self.statuses(&at, value, Some(statuses))),
                None => {
                    self.add(&at, "is missing");
                    None
                }
            }
        };
        let (from, to) = (side("from"), side("to"));
        Some(Moves { from: from?, to: to? })
    }

    /// A list of statuses, each once and, where they are known, each a known one.
    fn statuses(&mut self, at: &str, value: &Value, known: Option<&BTreeSet<String>>) -> BTreeSet<String> {
        let mut read = BTreeSet::new();
        let Some(items) = value.as_array().filter(|items| !items.is_empty()) else {
            self.add(at, "must be a list of statuses");
            return read;
        };
        for item in items {
            match item.as_str() {
                None => self.add(at, "must be a list of statuses"),
                Some(status) if known.is_some_and(|known| !known.contains(status)) => {
                    self.add(at, format!("{status:?} is not among the statuses"));
                }
                Some(status) => {
                    self.name(&below(at, status), status);
                    if !read.insert(status.to_owned()) {
                        self.add(at, format!("names {status:?} twice"));
                    }
                }
            }
        }
        read
    }

    /// What is shown to a role is of something it may see, and who moves may move.
    fn consistent(&mut self, at: &str, resource: &Resource) {
        for role in Role::ALL {
            let sees = SHOWS.iter().any(|verb| resource.may(role, verb));
            let shown = resource.fields.iter().flatten().filter(|(_, roles)| roles.contains(role));
            for (field, _) in shown.filter(|_| !sees) {
                self.add(&below(&below(at, "fields"), field), format!("is shown to {role}, who may not read it"));
            }
            if resource.moves.contains_key(&role) != resource.may(role, MOVES) {
                self.add(&below(at, "moves"), format!("{role} has moves without may.move, or may.move without moves"));
            }
        }
    }

    /// Who may what this server enforces, in the order of [`Permission::ALL`].
    fn enforced(&mut self, resources: &BTreeMap<(Part, String), Resource>) -> Vec<Roles> {
        let own = resources.iter().filter(|((part, _), _)| *part == Part::Server);
        for ((_, name), verb) in own.flat_map(|(key, resource)| resource.may.keys().map(move |verb| (key, verb))) {
            if Permission::find(name, verb).is_none() {
                self.add(&format!("server.{name}.may.{verb}"), "is nothing that the server knows");
            }
        }
        let mut of = |permission: &Permission| {
            let (name, verb) = (permission.resource(), permission.verb());
            let resource = resources.get(&(Part::Server, name.to_owned()));
            resource.and_then(|resource| resource.may.get(verb)).copied().unwrap_or_else(|| {
                self.add(&format!("server.{name}.may.{verb}"), "is missing: name who may, or [] for nobody");
                Roles::default()
            })
        };
        Permission::ALL.iter().map(&mut of).collect()
    }
}

fn below(at: &str, key: &str) -> String {
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}
