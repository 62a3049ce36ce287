use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::audit::Actor;
use crate::id::MemberId;
use crate::keys::tests::{keys, keys_of_versions};

const T0: UnixMs = UnixMs::new(1_800_000_000_000);

fn event(n: u8) -> Event {
    let action = if n == 0 { Action::TenantCreated } else { Action::ALL[usize::from(n) % Action::ALL.len()] };
    let actor = if n.is_multiple_of(2) { Actor::Operator(None) } else { Actor::Member(MemberId::new(T0, [n; 10])) };
    let subject = (!n.is_multiple_of(3)).then(|| Uuid::from_bytes([n; 16]));
    Event { action, actor, subject, detail: Detail { address: Some(format!("192.0.2.{n}")), ..Detail::default() } }
}

fn entry(keys: &TenantKeys, n: u8, event: &Event) -> Entry {
    let at = UnixMs::new(T0.get() + i64::from(n));
    Entry::seal(keys, AuditId::new(at, [n; 10]), at, event, Nonce::from_random([n; 12])).unwrap()
}

/// A log of this many rows; the newer half under a second version of the key.
fn log(count: u8) -> (Vec<Row>, Head) {
    let (mut rows, mut head) = (vec![], Head::first());
    for n in 0..count {
        let keys = if n < count / 2 { keys(1, &[1]) } else { keys_of_versions(1, 2) };
        let (row, next) = head.append(&keys, entry(&keys, n, &event(n))).unwrap();
        rows.push(row);
        head = next;
    }
    (rows, head)
}

/// As the shell does it: one walk, and a second look at all rows for a suspect.
fn verify(rows: &[Row], head: Option<&Head>) -> Result<(), Finding> {
    let keys = keys_of_versions(1, 2);
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| row.seq);
    let mut walk = Walk::new(&keys);
    for row in &rows {
        match walk.step(row) {
            Ok(()) => {}
            Err(Stop::Found(finding)) => return Err(finding),
            Err(Stop::Suspect(mut suspect)) => {
                for row in &rows {
                    suspect.compare(&keys, &row.mac);
                }
                return Err(suspect.finding());
            }
        }
    }
    walk.end(head)
}

const fn found(fault: Fault, seq: i64) -> Result<(), Finding> {
    Err(Finding { fault, seq })
}

/// Everything that can be changed in a row without touching its number.
const CHANGES: [fn(&mut Row); 12] = [
    |row| row.entry.id = AuditId::new(T0, [255; 10]),
    |row| row.entry.at = UnixMs::new(row.entry.at.get() + 1),
    |row| row.entry.action.push('x'),
    |row| row.entry.action = String::new(),
    |row| row.entry.actor_kind = "system".to_owned(),
    |row| row.entry.actor = if row.entry.actor.is_some() { None } else { Some(Uuid::nil()) },
    |row| row.entry.subject = if row.entry.subject.is_some() { None } else { Some(Uuid::nil()) },
    |row| std::mem::swap(&mut row.entry.actor, &mut row.entry.subject),
    |row| row.entry.detail_sealed[20] ^= 1,
    |row| row.entry.detail_sealed.truncate(20),
    |row| row.mac[35] ^= 1,
    |row| row.mac[3] ^= 3,
];

#[test]
fn a_log_that_was_only_appended_to_is_right() {
    for count in 1..40 {
        let (rows, head) = log(count);
        assert_eq!(verify(&rows, Some(&head)), Ok(()), "{count}");
    }
}

#[test]
fn an_empty_log_is_one_that_was_emptied() {
    assert_eq!(verify(&[], None), found(Fault::Missing, 1));
    assert_eq!(verify(&[], Some(&Head::first())), found(Fault::Missing, 1));
    // And one that began anew after that lacks its beginning.
    let keys = keys(1, &[1]);
    let (row, head) = Head::first().append(&keys, entry(&keys, 1, &event(1))).unwrap();
    assert_eq!(verify(&[row], Some(&head)), found(Fault::Missing, 1));
}

#[test]
fn the_head_vouches_for_the_tail() {
    let (rows, head) = log(9);
    assert_eq!(verify(&rows, None), found(Fault::Missing, 10));
    assert_eq!(verify(&rows[..7], Some(&head)), found(Fault::Missing, 8));
    // Set back to a row that is there: its own link is in no row.
    for mac in [rows[6].mac.clone(), rows[7].mac.clone(), head.mac.clone(), vec![], vec![0; MAC_BYTES]] {
        assert_eq!(verify(&rows[..7], Some(&Head { seq: 7, mac })), found(Fault::Changed, 7));
    }
    assert_eq!(verify(&rows, Some(&Head { seq: 6, mac: head.mac.clone() })), found(Fault::Changed, 7));
}

#[test]
fn another_tenants_rows_are_not_ours() {
    let theirs = keys(2, &[1]);
    let (rows, head) = log(3);
    let (row, _) = head.append(&theirs, entry(&theirs, 7, &event(7))).unwrap();
    let forged = [rows, vec![row]].concat();
    assert_eq!(verify(&forged, Some(&Head { seq: 4, ..head })), found(Fault::Changed, 4));
}

#[test]
fn the_encoding_says_where_each_field_ends() {
    let keys = keys(1, &[1]);
    let mut row = entry(&keys, 1, &event(1));
    (row.action, row.actor_kind) = ("ab".to_owned(), "c".to_owned());
    let mut other = row.clone();
    (other.action, other.actor_kind) = ("a".to_owned(), "bc".to_owned());
    assert_ne!(row.encoding(), other.encoding());
}

proptest! {
    #[test]
    fn a_changed_row_is_named(count in 1_u8..30, at: Index, change in 0..CHANGES.len()) {
        let (mut rows, head) = log(count);
        let at = at.index(rows.len());
        let before = rows[at].clone();
        CHANGES[change](&mut rows[at]);
        if rows[at] == before {
            return Ok(()); // nothing to swap
        }
        prop_assert_eq!(verify(&rows, Some(&head)), found(Fault::Changed, before.seq));
    }

    #[test]
    fn a_missing_row_is_named(count in 1_u8..30, at: Index) {
        let (mut rows, head) = log(count);
        let seq = rows.remove(at.index(usize::from(count))).seq;
        prop_assert_eq!(verify(&rows, Some(&head)), found(Fault::Missing, seq));
    }

    /// Also when the numbers are closed up again: then the next row stands where it does not belong.
    #[test]
    fn a_gap_that_was_closed_is_named(count in 2_u8..30, at: Index) {
        let (mut rows, head) = log(count);
        let at = at.index(rows.len() - 1);
        rows.remove(at);
        rows[at..].iter_mut().for_each(|row| row.seq -= 1);
        let head = Head { seq: head.seq - 1, ..head };
        prop_assert_eq!(verify(&rows, Some(&head)), found(Fault::Changed, i64::try_from(at).unwrap() + 1));
    }

    #[test]
    fn rows_in_each_others_place_are_named(count in 2_u8..30, one: Index, other: Index) {
        let (mut rows, head) = log(count);
        let (one, other) = (one.index(rows.len()), other.index(rows.len()));
        if one == other {
            return Ok(());
        }
        let (a, b) = (rows[one].seq, rows[other].seq);
        (rows[one].seq, rows[other].seq) = (b, a);
        prop_assert_eq!(verify(&rows, Some(&head)), found(Fault::Reordered, a.min(b)));
    }

    #[test]
    fn a_tail_that_was_cut_is_named(count in 2_u8..30, at: Index) {
        let (mut rows, head) = log(count);
        rows.truncate(1 + at.index(rows.len() - 1));
        prop_assert_eq!(verify(&rows, Some(&head)), found(Fault::Missing, i64::try_from(rows.len()).unwrap() + 1));
    }
}
