//! Who may do what: one file says it, and what the file does not name nobody may.
//!
//! [`Policy::may`] answers for what this server enforces: a [`Permission`] is a verb on one of its own resources, and a
//! policy names every one of them. [`Policy::visible`] and [`Policy::may_move`] answer for the resources of the application
//! behind it too: which fields a role sees, and from which status to which it may take a thing.
//!
//! The file is TOML. Reading it is pure like everything here: text in, a policy or every fault of it out.

mod permission;
mod read;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use self::permission::Permission;
use crate::role::Role;

/// The policy that the server comes with.
pub const PRINT_SHOP: &str = include_str!("../../policies/print-shop.toml");

/// Longest name of a resource, a verb, a field or a status.
pub const NAME_BYTES_MAX: usize = 64;

/// Verbs that show a resource.
const SHOWS: [&str; 2] = ["list", "read"];
/// The verb that changes a status.
const MOVES: &str = "move";

/// A policy without a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// By permission, in the order of [`Permission::ALL`].
    enforced: Vec<Roles>,
    resources: BTreeMap<(Part, String), Resource>,
}

/// Whose resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The server's own.
    Server,
    /// Those of the application behind it.
    Shop,
}

/// A resource: what may be done to it and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    title: String,
    may: BTreeMap<String, Roles>,
    /// `None`: whoever may see the resource sees all of it.
    fields: Option<BTreeMap<String, Roles>>,
    statuses: BTreeSet<String>,
    moves: BTreeMap<Role, Moves>,
}

/// From which statuses to which a role may move a thing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Moves {
    from: BTreeSet<String>,
    to: BTreeSet<String>,
}

/// A set of roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles(u8);

/// What of a resource a role sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visible<'p> {
    /// Nothing at all.
    Nothing,
    /// These fields.
    Only(BTreeSet<&'p str>),
    /// All of it.
    Everything,
}

/// What is wrong with a policy, all of it; `Display` gives a line for each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct PolicyFaults(Vec<PolicyFault>);

/// One fault: where in the file it is, and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PolicyFault {
    /// The path of the key, `shop.jobs.may.list`; `(file)` for what has none.
    pub at: String,
    /// To be read after the path: "names no role".
    pub wrong: String,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// Everything that is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, PolicyFaults> {
        read::policy(text)
    }

    /// Whether the role may do this.
    #[must_use]
    pub fn may(&self, role: Role, permission: Permission) -> bool {
        self.enforced.get(permission as usize).is_some_and(|roles| roles.contains(role))
    }

    /// What of a resource the role sees; of one that is not in the policy, nothing.
    #[must_use]
    pub fn visible(&self, role: Role, part: Part, resource: &str) -> Visible<'_> {
        self.resource(part, resource).map_or(Visible::Nothing, |resource| resource.visible(role))
    }

    /// Whether the role may take a thing from one status to another. To stay where it is is no move.
    #[must_use]
    pub fn may_move(&self, role: Role, part: Part, resource: &str, from: &str, to: &str) -> bool {
        let moves = self.resource(part, resource).and_then(|resource| resource.moves.get(&role));
        from != to && moves.is_some_and(|moves| moves.from.contains(from) && moves.to.contains(to))
    }

    /// A resource by its name.
    #[must_use]
    pub fn resource(&self, part: Part, name: &str) -> Option<&Resource> {
        self.resources.get(&(part, name.to_owned()))
    }

    /// Every resource of one part, by name.
    pub fn resources(&self, part: Part) -> impl Iterator<Item = &Resource> {
        self.resources.iter().filter(move |((of, _), _)| *of == part).map(|(_, resource)| resource)
    }
}

impl Resource {
    /// What people call it.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The verbs that the role may, in order.
    pub fn verbs(&self, role: Role) -> impl Iterator<Item = &str> {
        self.may.iter().filter(move |(_, roles)| roles.contains(role)).map(|(verb, _)| verb.as_str())
    }

    /// Whether the role may do this to it.
    #[must_use]
    pub fn may(&self, role: Role, verb: &str) -> bool {
        self.may.get(verb).is_some_and(|roles| roles.contains(role))
    }

    /// What of it the role sees.
    #[must_use]
    pub fn visible(&self, role: Role) -> Visible<'_> {
        match &self.fields {
            _ if !SHOWS.iter().any(|verb| self.may(role, verb)) => Visible::Nothing,
            None => Visible::Everything,
            Some(fields) => {
                let seen = fields.iter().filter(|(_, roles)| roles.contains(role));
                Visible::Only(seen.map(|(field, _)| field.as_str()).collect())
            }
        }
    }

    /// The fields that are kept from the role although it sees the resource, in order.
    #[must_use]
    pub fn hidden(&self, role: Role) -> Vec<&str> {
        let Visible::Only(seen) = self.visible(role) else { return vec![] };
        let fields = self.fields.iter().flat_map(BTreeMap::keys).map(String::as_str);
        fields.filter(|field| !seen.contains(field)).collect()
    }

    /// Every status that it can have.
    #[must_use]
    pub fn statuses(&self) -> Vec<&str> {
        texts(&self.statuses)
    }

    /// The statuses from which and to which the role may move it, if any.
    #[must_use]
    pub fn moves(&self, role: Role) -> Option<(Vec<&str>, Vec<&str>)> {
        self.moves.get(&role).map(|moves| (texts(&moves.from), texts(&moves.to)))
    }
}

fn texts(set: &BTreeSet<String>) -> Vec<&str> {
    set.iter().map(String::as_str).collect()
}

impl Roles {
    /// The set with this role too.
    #[must_use]
    pub const fn with(self, role: Role) -> Self {
        Self(self.0 | Self::bit(role))
    }

    /// Whether the role is in it.
    #[must_use]
    pub const fn contains(self, role: Role) -> bool {
        self.0 & Self::bit(role) != 0
    }

    const fn bit(role: Role) -> u8 {
        match role {
            Role::Admin => 1,
            Role::SalesRep => 2,
            Role::Employee => 4,
        }
    }
}

impl Visible<'_> {
    /// Whether this field is seen.
    #[must_use]
    pub fn shows(&self, field: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Only(fields) => fields.contains(field),
            Self::Everything => true,
        }
    }
}

impl Part {
    /// Its table in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Shop => "shop",
        }
    }
}

impl PolicyFaults {
    /// The faults, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &PolicyFault> {
        self.0.iter()
    }
}

impl fmt::Display for PolicyFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(|fault| format!("{}: {}", fault.at, fault.wrong)).collect();
        f.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
mod tests;
