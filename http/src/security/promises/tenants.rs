//! What keeps tenants apart, and what is kept of them.

use freehold_actors::shares::Bounds;
use freehold_domain::api_key::KEYS_MAX;
use freehold_domain::{webhook, webhook_out};

use super::super::View;
use super::super::entry::Entry;

pub(super) fn entries(view: View<'_>) -> Vec<Entry> {
    let mut entries = engine(view);
    entries.extend(isolation());
    entries.push(custom_domains(view));
    entries.push(shares(view));
    entries.push(webhooks());
    entries.extend(integrations(view));
    entries.extend([
        Entry::new(
            "K20",
            "Secrets and personal fields are sealed, and a sealed value cannot be moved to another place.",
            "AES-256-GCM, bound to tenant, table, column and row, with a nonce for each value.",
        )
        .with("algorithm", "AES-256-GCM")
        .with("nonce_bits", 96),
        Entry::new(
            "K22",
            "Keys are derived for one purpose and one tenant.",
            "HKDF-SHA-256 from the tenant's root key, which is sealed with the operator's master key.",
        )
        .with("derivation", "HKDF-SHA-256"),
        Entry::new(
            "K38",
            "Every route asks for a permission, and one policy decides.",
            "What it does not name nobody may. /help/roles at a tenant's host shows it.",
        ),
        support(view),
        Entry::new(
            "K88",
            "What changes a session, an account or a tenant leaves a row that cannot be changed unnoticed.",
            "Rows are chained by hashes; the server's role cannot change one, and the chain can be verified.",
        ),
        Entry::new(
            "A5",
            "Of an API key there is a SHA-256 and nothing else; it is shown once.",
            "Keys have scopes and may expire, and open nothing of another tenant.",
        )
        .with("keys_of_a_tenant_max", KEYS_MAX),
    ]);
    entries
}

/// What the store itself does to keep tenants apart.
fn engine(view: View<'_>) -> Vec<Entry> {
    let engine = view.node.engine_name();
    let is_sqlite = engine == "sqlite";
    let how = if is_sqlite {
        "Each tenant has a file of its own, and a request opens that of its tenant alone."
    } else {
        "The database refuses rows of other tenants, to a role that owns nothing and cannot bypass it."
    };
    let rows = "Tenants are in files of their own, where there is nobody else's row.";
    vec![
        Entry::new("A3", "No request sees another tenant's data, even with a bug above the store.", how)
            .with("engine", engine),
        Entry::new(
            "A1",
            "Every table of tenants is under forced row-level security of PostgreSQL.",
            "A server whose role could get round it does not start.",
        )
        .with("engine", engine)
        .unless(is_sqlite, &format!("This server keeps its data in SQLite. {rows}")),
    ]
}

fn isolation() -> [Entry; 2] {
    [
        Entry::new(
            "K56",
            "The tenant is known from the host before anything else.",
            "A request names one host; a token of another tenant is worth nothing there.",
        ),
        Entry::new("K58", "A suspended tenant is answered before any access to the store.", "Its state is in memory."),
    ]
}

fn custom_domains(view: View<'_>) -> Entry {
    let rules = view.node.proofs.rules();
    Entry::new(
        "K60",
        "A domain of a tenant's own leads to the tenant that proved it, and to no other.",
        "A record of the DNS or a page of the domain proves it. It is looked at again and again, and leads nowhere once its \
         proof is gone for too long.",
    )
    .with("looked_at_every_s", rules.recheck.as_secs())
    .with("detached_after_s", rules.detach_after.as_secs())
}

fn webhooks() -> Entry {
    Entry::new(
        "K67",
        "A webhook of a provider is taken only if it is signed, and each event once.",
        "Stripe, Twilio, QuickBooks, Shopify and Square: the signature is that of the bytes as they came, compared in constant \
         time, with the tenant's own secret and URL. What is taken is kept before it is acknowledged.",
    )
    .with("signature_of_stripe_good_for_s", webhook::TOLERANCE.as_secs())
    .with("kept_days", webhook::KEPT.as_secs() / 86_400)
}

fn integrations(view: View<'_>) -> [Entry; 2] {
    let rule = view.node.settings.breaker;
    let way = Entry::new(
        "K66",
        "Nothing that a tenant names is called but public hosts, over HTTPS.",
        "A URL has one spelling, every address of its name must be one that the Internet routes, the address that was checked is \
         the one that is called, and no redirect is followed.",
    )
    .with("answered_within_s", webhook_out::ANSWER_WITHIN.as_secs());
    let breakers = Entry::new(
        "K69",
        "An integration that fails is left alone, and no other one notices.",
        "Each has a circuit breaker of its own, which opens after failures in a row or a share of failures, lets a few calls \
         through after its pause, and outlives the process.",
    )
    .with("failures_max", rule.failures_max)
    .with("failures_percent_max", rule.percent_max)
    .with("pause_s", rule.pause.as_secs())
    .with("pause_max_s", rule.pause_max.as_secs())
    .with("probes", rule.probes);
    [way, breakers]
}

fn shares(view: View<'_>) -> Entry {
    let weight = view.settings.weight;
    let bounds = Bounds::on(view.node, weight);
    let entry = Entry::new(
        "K8",
        "One tenant does not take what all share.",
        "Tenants take turns at the hashing threads, as many jobs a turn as their weight. A tenant that has none in the queue \
         finds a place there while fewer tenants than are kept places for have any. Who has its share is refused at once with \
         503, or, for connections, once it has waited for as long as the store may take.",
    );
    let entry = entry
        .with("weight", weight.get())
        .with("hashes_of_a_tenant_max", bounds.hashes)
        .with("hashes_max", bounds.hashes_all)
        .with("hashes_kept_for_tenants_with_none", bounds.hashes_reserve)
        .with("hash_threads", bounds.hash_threads)
        .with("requests_of_a_tenant_max", bounds.places)
        .with("requests_max", bounds.places_all)
        .with("outbound_calls_of_a_tenant_max", bounds.outbound);
    // Where each tenant has a file of its own there are no connections to share.
    match bounds.connections {
        Some(connections) => entry.with("connections_of_a_tenant_max", connections),
        None => entry,
    }
}

fn support(view: View<'_>) -> Entry {
    let is_allowed = view.settings.support_access;
    Entry::new(
        "K38",
        "No operator acts as a member of a tenant.",
        "Only a tenant's admins can allow it, for support: then an operator may look, in the member's name and on record.",
    )
    .with("support_access", is_allowed)
    .unless(is_allowed, "This tenant allows it.")
}
