//! The chain of a tenant's audit log: whoever can only write to the store cannot change it unnoticed.
//!
//! ```text
//! link 0 --row 1--> link 1 --row 2--> link 2 … --row n--> link n = the head
//! mac of a row = tag("row", link before it, its canonical encoding)      link after it = tag("head", mac of the row)
//! ```
//!
//! Tags are HMAC-SHA256 under the tenant's key for this purpose, which is in no store in the clear. A row's mac depends
//! on every row before it. The link after the last row stands in the head alone and follows from no row without the
//! key: a tail cannot be cut off by setting the head back, unless the head of that moment was copied when it stood
//! there. A store that is put back as a whole, head and rows, is one that was true once: the chain cannot tell.
//!
//! The first row is the tenant's creation, so that a log that was emptied and began anew does not pass for a whole one.

use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{Action, Detail, Event};
use crate::id::{AuditId, MemberId};
use crate::keys::{CryptoError, KeyVersion, Nonce, TenantKeys};
use crate::time::UnixMs;

/// Four bytes of the key's version, then the tag.
const MAC_BYTES: usize = 4 + 32;
/// What a row's tag begins with. The number is the version of the encoding.
const ROW: &[u8] = b"freehold/v1/audit/row/1/";
/// What a link's tag begins with.
const HEAD: &[u8] = b"freehold/v1/audit/head/1/";

/// A row without its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The row.
    pub id: AuditId,
    /// When it happened.
    pub at: UnixMs,
    /// The name of an [`Action`].
    pub action: String,
    /// The kind of an [`super::Actor`].
    pub actor_kind: String,
    /// Which member acted.
    pub actor: Option<Uuid>,
    /// Whom or what it was done to.
    pub subject: Option<Uuid>,
    /// The sealed [`Detail`].
    pub detail_sealed: Vec<u8>,
}

/// A row as it is stored: numbers have no gap, from 1 on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its number.
    pub seq: i64,
    /// What it says.
    pub entry: Entry,
    /// What binds it to all rows before it.
    pub mac: Vec<u8>,
}

/// The end of the chain as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The number of the last row; zero before the first.
    pub seq: i64,
    /// The link after it.
    pub mac: Vec<u8>,
}

impl Entry {
    /// The entry that tells `event`, its detail sealed.
    ///
    /// # Errors
    /// [`CryptoError`] for a detail over 1 MiB.
    pub fn seal(keys: &TenantKeys, id: AuditId, at: UnixMs, event: &Event, nonce: Nonce) -> Result<Self, CryptoError> {
        let detail_sealed = keys.seal(&Detail::place(id.as_bytes()), &event.detail, nonce)?.into_bytes();
        Ok(Self {
            id,
            at,
            action: event.action.as_str().to_owned(),
            actor_kind: event.actor.kind().to_owned(),
            actor: event.actor.member().map(MemberId::uuid),
            subject: event.subject,
            detail_sealed,
        })
    }

    /// Every field after its length, in the order of the type; one that is missing has no length but `ff…`.
    fn encoding(&self) -> Vec<u8> {
        let at = self.at.get().to_be_bytes();
        let (actor, subject) = (self.actor.map(Uuid::into_bytes), self.subject.map(Uuid::into_bytes));
        let fields = [
            Some(self.id.as_bytes().as_slice()),
            Some(at.as_slice()),
            Some(self.action.as_bytes()),
            Some(self.actor_kind.as_bytes()),
            actor.as_ref().map(<[u8; 16]>::as_slice),
            subject.as_ref().map(<[u8; 16]>::as_slice),
            Some(self.detail_sealed.as_slice()),
        ];
        let mut encoding = Vec::with_capacity(192 + self.detail_sealed.len());
        for field in fields {
            let length = field.map_or(u64::MAX, |field| field.len() as u64);
            encoding.extend(length.to_be_bytes());
            encoding.extend(field.unwrap_or_default());
        }
        encoding
    }
}

impl Head {
    /// The head of a log without rows.
    #[must_use]
    pub fn first() -> Self {
        Self { seq: 0, mac: vec![0; MAC_BYTES] }
    }

    /// The row that `entry` becomes after this head, and the head after it.
    ///
    /// # Errors
    /// [`CryptoError`] never happens: keys have the key of their own version.
    pub fn append(&self, keys: &TenantKeys, entry: Entry) -> Result<(Row, Self), CryptoError> {
        let seq = self.seq.saturating_add(1);
        let mac = row_mac(keys, keys.version(), &self.mac, &entry).ok_or(CryptoError)?;
        let link = link_after(keys, &mac).ok_or(CryptoError)?;
        Ok((Row { seq, entry, mac }, Self { seq, mac: link }))
    }
}

/// `version | tag`; `None` when the keys have no such version.
fn tagged(keys: &TenantKeys, version: KeyVersion, parts: &[&[u8]]) -> Option<Vec<u8>> {
    let tag = keys.audit_tag(version, parts)?;
    Some([version.get().to_be_bytes().as_slice(), &tag].concat())
}

fn row_mac(keys: &TenantKeys, version: KeyVersion, link: &[u8], entry: &Entry) -> Option<Vec<u8>> {
    let length = (link.len() as u64).to_be_bytes();
    tagged(keys, version, &[ROW, &length, link, &entry.encoding()])
}

/// The link after the row with this mac, under the version that made the mac.
fn link_after(keys: &TenantKeys, mac: &[u8]) -> Option<Vec<u8>> {
    tagged(keys, version_of(mac)?, &[HEAD, mac])
}

fn version_of(mac: &[u8]) -> Option<KeyVersion> {
    let (version, _) = mac.split_first_chunk::<4>().filter(|_| mac.len() == MAC_BYTES)?;
    Some(KeyVersion::new(u32::from_be_bytes(*version)))
}

/// Whether `row` was appended after `link`.
fn follows(keys: &TenantKeys, link: &[u8], row: &Row) -> bool {
    let mac = version_of(&row.mac).and_then(|version| row_mac(keys, version, link, &row.entry));
    mac.is_some_and(|mac| mac.ct_eq(&row.mac).into())
}

/// What is wrong with a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A row, or the head, is not as it was written.
    Changed,
    /// A row that was written is not there.
    Missing,
    /// A row that was written stands in the place of another.
    Reordered,
}

impl Fault {
    /// Its name in the answer of the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::Reordered => "reordered",
        }
    }
}

/// The first fault of a log, and the number of the row that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub fault: Fault,
    /// With which row.
    pub seq: i64,
}

/// A walk over a log from its first row on. It keeps nothing of the rows that it has seen but the link after the last.
#[derive(Debug)]
pub struct Walk<'k> {
    keys: &'k TenantKeys,
    seq: i64,
    link: Vec<u8>,
}

/// Why a walk ended.
#[derive(Debug)]
pub enum Stop {
    /// At this finding.
    Found(Finding),
    /// At a row that does not follow the one before: whether it was changed or moved, all other rows must say.
    Suspect(Box<Suspect>),
}

impl<'k> Walk<'k> {
    /// A walk that has seen nothing.
    #[must_use]
    pub fn new(keys: &'k TenantKeys) -> Self {
        Self { keys, seq: 0, link: Head::first().mac }
    }

    /// The number of the last row that was right: so many are.
    #[must_use]
    pub const fn seq(&self) -> i64 {
        self.seq
    }

    /// Goes on to the next row by number.
    ///
    /// # Errors
    /// [`Stop`]: this row, or one before it, is not right.
    pub fn step(&mut self, row: &Row) -> Result<(), Stop> {
        let expected = self.seq.saturating_add(1);
        if row.seq > expected {
            return Err(Stop::Found(Finding { fault: Fault::Missing, seq: expected }));
        }
        if row.seq < expected {
            return Err(Stop::Found(Finding { fault: Fault::Changed, seq: row.seq }));
        }
        if !follows(self.keys, &self.link, row) {
            return Err(Stop::Suspect(Box::new(Suspect::new(self.keys, row))));
        }
        if expected == 1 && row.entry.action != Action::TenantCreated.as_str() {
            return Err(Stop::Found(Finding { fault: Fault::Missing, seq: expected }));
        }
        self.link = link_after(self.keys, &row.mac).unwrap_or_default();
        self.seq = expected;
        Ok(())
    }

    /// Compares with the head, once there is no further row.
    ///
    /// # Errors
    /// [`Finding`]: rows are missing at the end, or the head is not the one that belongs to the last row.
    pub fn end(&self, head: Option<&Head>) -> Result<(), Finding> {
        let next = self.seq.saturating_add(1);
        let found = |fault, seq| Err(Finding { fault, seq });
        match head {
            Some(head) if head.seq > self.seq => found(Fault::Missing, next),
            Some(head) if head.seq < self.seq => found(Fault::Changed, head.seq.saturating_add(1)),
            Some(head) if self.seq > 0 && bool::from(head.mac.ct_eq(&self.link)) => Ok(()),
            Some(_) if self.seq > 0 => found(Fault::Changed, self.seq),
            Some(_) | None => found(Fault::Missing, next),
        }
    }
}

/// A row that does not follow the one before it.
#[derive(Debug)]
pub struct Suspect {
    row: Row,
    is_moved: bool,
}

impl Suspect {
    fn new(keys: &TenantKeys, row: &Row) -> Self {
        Self { row: row.clone(), is_moved: follows(keys, &Head::first().mac, row) }
    }

    /// Looks whether the row was written after the row with this mac, wherever that is.
    pub fn compare(&mut self, keys: &TenantKeys, mac: &[u8]) {
        self.is_moved |= link_after(keys, mac).is_some_and(|link| follows(keys, &link, &self.row));
    }

    /// Once it was compared with every row: one that was written after any of them is genuine, and out of its place.
    #[must_use]
    pub const fn finding(&self) -> Finding {
        Finding { fault: if self.is_moved { Fault::Reordered } else { Fault::Changed }, seq: self.row.seq }
    }
}

#[cfg(test)]
mod tests;
