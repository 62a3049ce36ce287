//! The audit log and its head.

use freehold_domain::audit::chain::{Entry, Head, Row};
use freehold_domain::id::{AuditId, MemberId, TenantId};
use freehold_domain::time::UnixMs;
use freehold_storage::audit::{self, Wanted};
use freehold_storage::sql::Sql;
use freehold_storage::{StoreError, args};

use crate::fixture::{Bed, Kind, NOW, random};

fn row(seq: i64, action: &str, member: Option<MemberId>) -> Row {
    let at = UnixMs::new(NOW.get() + seq);
    let entry = Entry {
        id: AuditId::new(at, random()),
        at,
        action: action.to_owned(),
        actor_kind: if member.is_some() { "member" } else { "operator" }.to_owned(),
        actor: member.map(MemberId::uuid),
        subject: (seq % 2 == 0).then(|| MemberId::new(NOW, random()).uuid()),
        detail_sealed: b"sealed detail".to_vec(),
    };
    Row { seq, entry, mac: seq.to_be_bytes().to_vec() }
}

fn head(seq: i64) -> Head {
    Head { seq, mac: vec![u8::try_from(seq).unwrap()] }
}

const ANY: Wanted<'static> =
    Wanted { before_seq: i64::MAX, since: UnixMs::new(0), until: UnixMs::MAX, action: "", actor_kind: "", actor: None };

pub(crate) async fn rows_are_kept(bed: &Bed) {
    let (tenant, ada, bob) = (bed.tenant().await, MemberId::new(NOW, random()), MemberId::new(NOW, random()));
    assert_eq!(audit::head(&mut bed.store.read(tenant).await.unwrap()).await.unwrap(), None);
    let rows: Vec<_> =
        [("made", None), ("began", Some(ada)), ("began", Some(bob)), ("ended", Some(ada)), ("made", None)]
            .into_iter()
            .zip(1..)
            .map(|((action, member), seq)| row(seq, action, member))
            .collect();
    let mut tx = bed.store.write(tenant).await.unwrap();
    for row in &rows {
        let held = audit::hold(&mut tx).await.unwrap();
        assert_eq!(held.seq, row.seq - 1);
        audit::append(&mut tx, row, &head(row.seq)).await.unwrap();
    }
    tx.commit().await.unwrap();

    let mut tx = bed.store.read(tenant).await.unwrap();
    assert_eq!(audit::head(&mut tx).await.unwrap(), Some(head(5)));
    assert_eq!(audit::after(&mut tx, i64::MIN, 9).await.unwrap(), rows);
    assert_eq!(audit::after(&mut tx, 1, 2).await.unwrap(), rows[1..3]);
    let macs = audit::macs_after(&mut tx, 3, 9).await.unwrap();
    assert_eq!(
        macs.iter().map(|mac| (mac.seq, mac.mac.as_slice())).collect::<Vec<_>>(),
        [(4, rows[3].mac.as_slice()), (5, &rows[4].mac)]
    );
    assert_eq!(audit::by_seq(&mut tx, 3).await.unwrap().as_ref(), Some(&rows[2]));
    assert_eq!(audit::by_seq(&mut tx, 6).await.unwrap(), None);
    assert_eq!(audit::first_since(&mut tx, rows[2].entry.at).await.unwrap(), Some(3));
    assert_eq!(audit::first_since(&mut tx, UnixMs::MAX).await.unwrap(), None);
    let of_ada = Some(ada.uuid());
    for (wanted, expected) in [
        (ANY, &[5, 4, 3, 2, 1][..]),
        (Wanted { before_seq: 4, ..ANY }, &[3, 2, 1]),
        (Wanted { action: "began", ..ANY }, &[3, 2]),
        (Wanted { actor_kind: "operator", ..ANY }, &[5, 1]),
        (Wanted { actor_kind: "member", actor: of_ada, ..ANY }, &[4, 2]),
        (Wanted { actor_kind: "member", actor: of_ada, action: "ended", ..ANY }, &[4]),
        (Wanted { since: rows[1].entry.at, until: rows[3].entry.at, ..ANY }, &[3, 2]),
        (Wanted { action: "nothing", ..ANY }, &[]),
    ] {
        let found = audit::before(&mut tx, &wanted, 9).await.unwrap();
        assert_eq!(found.iter().map(|row| row.seq).collect::<Vec<_>>(), expected, "{wanted:?}");
        assert!(found.iter().all(|found| rows.contains(found)));
    }
    assert_eq!(audit::before(&mut tx, &ANY, 2).await.unwrap().len(), 2);
    drop(tx);

    // A row that was not made after the head that is there is not taken.
    let mut tx = bed.store.write(tenant).await.unwrap();
    let stale = audit::append(&mut tx, &row(5, "made", None), &head(5)).await;
    assert!(matches!(stale, Err(StoreError::Conflict { .. })), "{stale:?}");
}

pub(super) async fn append_one(bed: &Bed, tenant: TenantId) {
    let mut tx = bed.store.write(tenant).await.unwrap();
    let seq = audit::hold(&mut tx).await.unwrap().seq + 1;
    audit::append(&mut tx, &row(seq, "began", None), &head(seq)).await.unwrap();
    tx.commit().await.unwrap();
}

/// Eight who append to an empty log at once, the first head included: one waits for the other, and nobody fails.
pub(crate) async fn rivals_leave_no_gap(bed: &Bed) {
    let tenant = bed.tenant().await;
    let four = async || {
        tokio::join!(
            append_one(bed, tenant),
            append_one(bed, tenant),
            append_one(bed, tenant),
            append_one(bed, tenant)
        );
    };
    tokio::join!(four(), four());
    let mut tx = bed.store.read(tenant).await.unwrap();
    let rows = audit::after(&mut tx, 0, 99).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.seq).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
    assert_eq!(audit::head(&mut tx).await.unwrap(), Some(head(8)));
}

/// The database itself refuses to change or delete a row; it would do so for whoever can run statements as the server.
pub(crate) async fn nothing_is_taken_back(bed: &Bed, kind: Kind) {
    const BOTH: [Sql<0>; 4] = [
        Sql::new("UPDATE audit SET action = 'nothing' WHERE seq = 1"),
        Sql::new("UPDATE audit SET seq = 9 WHERE seq = 1"),
        Sql::new("DELETE FROM audit WHERE seq = 1"),
        Sql::new("DELETE FROM audit_head"),
    ];
    const SQLITE: [Sql<0>; 2] = [
        Sql::new(
            "INSERT OR REPLACE INTO audit SELECT 1, id, at_ms, 'nothing', actor_kind, actor, subject, detail_sealed, mac FROM audit WHERE seq = 2",
        ),
        Sql::new("UPDATE audit_head SET seq = 1"),
    ];
    let tenant = bed.tenant().await;
    for _ in 0..2 {
        append_one(bed, tenant).await;
    }
    let own: &[Sql<0>] = if kind == Kind::Sqlite { &SQLITE } else { &[] };
    for statement in BOTH.iter().chain(own) {
        let mut tx = bed.store.write(tenant).await.unwrap();
        let refused = tx.execute(*statement, args![]).await;
        assert!(matches!(refused, Err(StoreError::Defect { .. })), "{}: {refused:?}", statement.text());
    }
    let mut tx = bed.store.read(tenant).await.unwrap();
    assert_eq!(audit::after(&mut tx, 0, 9).await.unwrap().len(), 2);
}
