//! The database: whether it keeps tenants apart, is up to date, and who may read along on the way to it.

use freehold_domain::keys::MasterKeyId;
use freehold_domain::secret::Secret;
use freehold_storage::{OpenError, PostgresOptions, Store, StoreError, Transport, master_seal, transport, vitals};

use super::clock;
use super::finding::Finding;
use crate::config::{Config, Database, Pooler};
use crate::failure::chain;

/// More master keys than anything was ever sealed by.
const MASTERS_MAX: u32 = 1_000;
const CHECK: &str = "database";
const ROLE: &str = "database-role";
const MIGRATIONS: &str = "database-migrations";

/// Opens it as the server does, which changes nothing on PostgreSQL. The files of SQLite are left to the server, which brings
/// them up to date when it opens them.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let Database::Postgres { url, pooler, .. } = &config.database else {
        let found =
            format!("SQLite under {}: the server brings it up to date when it starts", config.data_dir.display());
        return vec![Finding::good(CHECK, found)];
    };
    let pooler = match pooler {
        Pooler::None => freehold_storage::Pooler::None,
        Pooler::Transaction => freehold_storage::Pooler::Transaction,
    };
    let mut findings = vec![];
    match Store::open_postgres(PostgresOptions { url: url.clone(), pooler, connections_max: 1 }).await {
        Ok(store) => {
            let seals = match &config.keys.master {
                Some(ring) => Some(seals(&store, ring.newest()).await),
                None => None,
            };
            store.close().await;
            findings.extend(seals);
            findings.push(Finding::good(CHECK, "PostgreSQL answers"));
            findings.push(Finding::good(ROLE, "the server's role owns no table and is bound by row-level security"));
            findings.push(Finding::good(MIGRATIONS, "every migration is done, and none that is not known"));
        }
        Err(error) => findings.push(Finding::bad(named(&error), chain(&error), error.remedy())),
    }
    findings.push(protection(url));
    match vitals::clock(url).await {
        Ok(theirs) => findings.push(clock("clock-database", "the database's", theirs)),
        // Who cannot be asked was told before.
        Err(error) => tracing::debug!(error = chain(&error), "the database does not tell the time"),
    }
    findings
}

/// Whether everything is sealed by the newest master key, so that the older ones can be taken out of the ring.
async fn seals(store: &Store, newest: &MasterKeyId) -> Finding {
    const CHECK: &str = "master-key-seals";
    let counted = async { master_seal::counts(&mut store.keys_read().await?, MASTERS_MAX).await };
    let counts = match counted.await {
        Ok(counts) => counts,
        Err(error) => return Finding::bad(CHECK, chain(&error), "see that the database answers"),
    };
    let older = counts.iter().filter(|sealing| sealing.master_key_id != newest.as_str());
    let older: Vec<_> = older.map(|sealing| format!("{} by {}", sealing.things, sealing.master_key_id)).collect();
    if older.is_empty() {
        return Finding::good(CHECK, format!("nothing is sealed by another key than {newest}"));
    }
    let found = format!("not everything is sealed by {newest}: {}", older.join(", "));
    Finding::bad(CHECK, found, "run `freehold keys rotate`, once every node has read this ring (SIGHUP)")
}

const fn named(error: &OpenError) -> &'static str {
    match error {
        OpenError::Store(StoreError::SchemaBehind { .. } | StoreError::SchemaAhead { .. })
        | OpenError::GroupRoleMissing { .. } => MIGRATIONS,
        OpenError::RoleIsSuperuser { .. }
        | OpenError::RoleCanBypass { .. }
        | OpenError::RoleOwnsTable { .. }
        | OpenError::TableUnprotected { .. }
        | OpenError::NotGranted { .. } => ROLE,
        OpenError::Folder { .. } | OpenError::Address | OpenError::Store(_) => CHECK,
    }
}

/// The configuration refuses less in production.
fn protection(url: &Secret<String>) -> Finding {
    const CHECK: &str = "database-tls";
    match transport(url) {
        Err(error) => Finding::bad(CHECK, chain(&error), error.remedy()),
        Ok(Transport::ThisMachine) => Finding::good(CHECK, "the connection does not leave this machine"),
        Ok(Transport::Verified) => Finding::good(CHECK, "TLS, with a certificate that is good for the database's host"),
        Ok(Transport::Unverified) => Finding::good(CHECK, "development does not look at the database's certificate"),
    }
}
