//! What anybody tells of weaknesses.

use std::time::Duration;

use freehold_domain::id::{MemberId, SecurityReportId};
use freehold_storage::security_report::{self, AnswerRow, OpenReports};

use crate::fixture::{Bed, NOW, random};

pub(crate) async fn wait_are_answered_once_and_stay_in_bounds(bed: &Bed) {
    let tenant = bed.tenant().await;
    let id = |n: u64| SecurityReportId::new(NOW.plus(Duration::from_millis(n)), random());
    let later = NOW.plus(Duration::from_hours(1));
    let mut tx = bed.store.write(tenant).await.unwrap();
    assert_eq!(security_report::open(&mut tx, later).await.unwrap(), OpenReports::default());
    let (one, two) = (id(1), id(2));
    assert!(security_report::insert(&mut tx, one, b"one", NOW, 2).await.unwrap());
    assert!(security_report::insert(&mut tx, two, b"two", later, 2).await.unwrap());
    assert!(!security_report::insert(&mut tx, id(3), b"three", later, 2).await.unwrap(), "there is no room");
    let open = OpenReports { open: 2, overdue: 1, oldest: Some(NOW) };
    assert_eq!(security_report::open(&mut tx, NOW).await.unwrap(), open);

    let by = MemberId::new(NOW, random());
    let answer = AnswerRow { at_ms: later, by, note_sealed: b"thanks".to_vec() };
    assert!(security_report::answer(&mut tx, one, &answer).await.unwrap());
    let again = AnswerRow { note_sealed: b"no".to_vec(), ..answer.clone() };
    assert!(!security_report::answer(&mut tx, one, &again).await.unwrap(), "the first answer stands");
    assert!(!security_report::answer(&mut tx, id(9), &again).await.unwrap());
    let open = OpenReports { open: 1, overdue: 0, oldest: Some(later) };
    assert_eq!(security_report::open(&mut tx, NOW).await.unwrap(), open);
    assert!(
        security_report::insert(&mut tx, id(3), b"three", later, 2).await.unwrap(),
        "one that is answered leaves room"
    );

    let page = security_report::page(&mut tx, None, 2).await.unwrap();
    assert_eq!(page.iter().map(|row| row.id).collect::<Vec<_>>(), [one, two]);
    assert_eq!(
        (&page[0].report_sealed[..], page[0].received_at_ms, &page[0].answer),
        (&b"one"[..], NOW, &Some(answer))
    );
    assert_eq!((page[1].received_at_ms, &page[1].answer), (later, &None));
    assert_eq!(security_report::page(&mut tx, Some(one), 1).await.unwrap(), page[1..]);
    assert_eq!(security_report::by_id(&mut tx, two).await.unwrap().as_ref(), page.get(1));
    assert_eq!(security_report::by_id(&mut tx, id(9)).await.unwrap(), None);

    assert_eq!(security_report::sweep(&mut tx, NOW, 9).await.unwrap(), 0);
    assert_eq!(security_report::sweep(&mut tx, later, 9).await.unwrap(), 1, "what waits is not swept");
    assert_eq!(security_report::page(&mut tx, None, 9).await.unwrap().len(), 2);
    tx.commit().await.unwrap();
}
