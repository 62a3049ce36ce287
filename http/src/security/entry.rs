//! One promise, as it is told.

use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A promise, how it is kept and with which numbers; or why it is not.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Entry {
    /// The number of the promise. Several entries may be about one.
    pub(super) id: &'static str,
    pub(super) promise: &'static str,
    pub(super) how: &'static str,
    /// What is in force, by name.
    #[schema(value_type = Object)]
    pub(super) parameters: Map<String, Value>,
    pub(super) kept: bool,
    /// Why it is not kept; `null` where it is.
    #[schema(required)]
    pub(super) why_not: Option<String>,
    /// What of it is for whoever runs the machines to keep; `null` where nothing is.
    #[schema(required)]
    pub(super) hosting_provider: Option<&'static str>,
}

impl Entry {
    /// A promise that is kept.
    pub(super) fn new(id: &'static str, promise: &'static str, how: &'static str) -> Self {
        Self { id, promise, how, parameters: Map::new(), kept: true, why_not: None, hosting_provider: None }
    }

    /// One that this server does not make: it is the hosting provider's.
    pub(super) fn of_provider(id: &'static str, promise: &'static str, part: &'static str) -> Self {
        let entry = Self::new(id, promise, "Not by this server.");
        Self { hosting_provider: Some(part), ..entry }.broken("It is the hosting provider's to make and to keep.")
    }

    /// With a parameter.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.parameters.insert(name.to_owned(), value.into());
        self
    }

    /// Not kept, where `condition` holds, for this reason.
    pub(super) fn unless(self, condition: bool, why: &str) -> Self {
        if condition { self.broken(why) } else { self }
    }

    /// A part of it is the hosting provider's.
    pub(super) fn left_to_provider(self, part: &'static str) -> Self {
        Self { hosting_provider: Some(part), ..self }
    }

    fn broken(self, why: &str) -> Self {
        let why_not = self.why_not.map_or_else(|| why.to_owned(), |before| format!("{before} {why}"));
        Self { kept: false, why_not: Some(why_not), ..self }
    }
}
