//! Notes which statements were run: each one leaves a trace event with its text.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use freehold_storage::{POSTGRES_STATEMENTS, STATEMENTS};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Metadata, Subscriber};

type Texts = Arc<Mutex<HashSet<String>>>;

pub(crate) struct Recorder {
    texts: Texts,
    _listening: DefaultGuard,
}

impl Recorder {
    /// Records the statements of this thread.
    pub(crate) fn begin() -> Self {
        let texts = Texts::default();
        let listening = tracing::subscriber::set_default(Listener(Arc::clone(&texts)));
        Self { texts, _listening: listening }
    }

    pub(crate) fn assert_all_ran(&self, on_postgres: bool) {
        let texts = self.texts.lock().unwrap();
        let own = if on_postgres { POSTGRES_STATEMENTS } else { &[] };
        let forgotten: Vec<_> = [STATEMENTS, own]
            .concat()
            .into_iter()
            .flatten()
            .filter(|statement| !texts.contains(statement.text))
            .map(|statement| statement.name)
            .collect();
        assert!(forgotten.is_empty(), "the contract does not run {forgotten:?}");
    }
}

struct Listener(Texts);

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("freehold_storage")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Collect(&self.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Collect<'t>(&'t Texts);

impl Visit for Collect<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "sql.text" {
            self.0.lock().unwrap().insert(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
