//! The promises, each from what is in force. One stands here only if a test holds it (`docs/promises.md`), or if it is said
//! to be the hosting provider's.

mod accounts;
mod server;
mod tenants;
mod tokens;

use super::View;
use super::entry::Entry;

/// Every promise, in the order of their being told.
pub(super) fn all(view: View<'_>) -> Vec<Entry> {
    let mut all = server::entries(view);
    all.extend(accounts::entries(view));
    all.extend(tokens::entries(view));
    all.extend(tenants::entries(view));
    all.extend(providers());
    all
}

/// What a server in a folder cannot promise of the machines under it.
fn providers() -> [Entry; 3] {
    [
        Entry::of_provider(
            "K8",
            "Attacks by sheer volume are turned away before they arrive.",
            "Networks in front of the server that drop them.",
        ),
        Entry::of_provider(
            "K10",
            "Lost data can be restored as it was at a point in time.",
            "Backups of the database or of the data directory, and trying to restore them.",
        ),
        Entry::of_provider(
            "K19",
            "Disks and backups are encrypted as a whole.",
            "The encryption of disks. Personal fields and secrets are sealed by this server, whatever the disks are.",
        ),
    ]
}
