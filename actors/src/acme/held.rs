//! The certificates that there are, as this node knows them: read again every so often, because another node may have
//! ordered one.

use std::collections::{BTreeMap, BTreeSet};

use freehold_domain::acme::Validity;
use freehold_domain::keys::{MasterError, MasterKeyId, ServerSecret};
use freehold_domain::time::UnixMs;
use freehold_storage::acme::{self, CertificateRow, IssuedRow};
use freehold_storage::{Store, StoreError};

use super::{Issued, Showcase};
use crate::node::Node;

const PAGE: u32 = 1_000;
/// How many are opened before they are shown.
const BATCH: usize = 200;

/// When a certificate came that is not opened yet, because this node's ring lacks its master key: it is read again each time,
/// and nothing is ordered, for it is good on other nodes.
const UNREAD: UnixMs = UnixMs::new(0);

/// What this node shows.
#[derive(Default)]
pub(super) struct Held(BTreeMap<String, Known>);

#[derive(Clone, Copy)]
struct Known {
    issued_at: UnixMs,
    /// `None` for one that this node cannot open: it has none for all it knows, and is ordered anew.
    validity: Option<Validity>,
}

impl Held {
    /// While the host's certificate is good.
    pub(super) fn validity(&self, host: &str) -> Option<Validity> {
        self.0.get(host)?.validity
    }

    /// Which certificate of the host this node knows.
    pub(super) fn issued_at(&self, host: &str) -> Option<UnixMs> {
        self.0.get(host).map(|known| known.issued_at)
    }

    /// Reads what is new, and shows it.
    pub(super) async fn refresh(&mut self, node: &Node, showcase: &dyn Showcase) -> Result<(), StoreError> {
        let rows = all(&node.store).await?;
        let there: BTreeSet<&str> = rows.iter().map(|row| row.host.as_str()).collect();
        let gone: Vec<String> = self.0.keys().filter(|host| !there.contains(host.as_str())).cloned().collect();
        self.0.retain(|host, _| there.contains(host.as_str()));
        if !gone.is_empty() {
            showcase.change(vec![], &gone);
        }
        let fresh: Vec<&IssuedRow> =
            rows.iter().filter(|row| self.issued_at(&row.host) != Some(row.issued_at_ms)).collect();
        for batch in fresh.chunks(BATCH) {
            let mut issued = vec![];
            for row in batch {
                let found = acme::certificate(&mut node.store.keys_read().await?, &row.host).await?;
                let Some(found) = found else { continue };
                let known = match open(node, &found) {
                    Ok(opened) => {
                        issued.push(opened);
                        Known { issued_at: found.issued_at_ms, validity: Some(found.validity) }
                    }
                    Err(MasterError::UnknownKey(id)) => {
                        if self.issued_at(&row.host) != Some(UNREAD) {
                            tracing::error!(
                                acme.host = found.host,
                                keys.master = %id,
                                "the key of a certificate is sealed by a master key that this node does not have"
                            );
                        }
                        Known { issued_at: UNREAD, validity: Some(found.validity) }
                    }
                    Err(MasterError::DoesNotOpen(_)) => {
                        tracing::error!(
                            acme.host = found.host,
                            "the key of a certificate does not open: another is ordered"
                        );
                        Known { issued_at: found.issued_at_ms, validity: None }
                    }
                };
                self.0.insert(found.host, known);
            }
            showcase.change(issued, &[]);
        }
        Ok(())
    }
}

/// Which certificates there are.
async fn all(store: &Store) -> Result<Vec<IssuedRow>, StoreError> {
    let (mut rows, mut after) = (vec![], String::new());
    loop {
        let page = acme::issued(&mut store.keys_read().await?, &after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(rows) };
        after.clone_from(&last.host);
        rows.extend(page);
    }
}

fn open(node: &Node, row: &CertificateRow) -> Result<Issued, MasterError> {
    let ring = node.ring.load();
    // An id that cannot be read is no other node's.
    let id: MasterKeyId = row.key.master_key_id.parse().map_err(|_| MasterError::DoesNotOpen(ring.newest().clone()))?;
    let host = row.host.clone();
    let key = ring.open_own(ServerSecret::CertificateKey { host: &host }, &id, &row.key.sealed)?;
    Ok(Issued { host, chain: row.chain.clone().into_bytes(), key })
}
