//! QuickBooks: `intuit-signature`, HMAC-SHA-256 in base64 of the body, keyed by the app's verifier token as it is written. The
//! client secret of the same app is another text and signs nothing.
//!
//! A body tells of several changes, in one of two formats, and what comes again after a failure need not be cut the same
//! way; so each change is an event of its own, with an id that its content makes:
//!
//! - `{"eventNotifications": [{"realmId", "dataChangeEvent": {"entities": [{"name", "id", "operation", "lastUpdated"}]}}]}`:
//!   `realm/name/id/operation/lastUpdated`.
//! - a list of CloudEvents, `[{"id", "type", "time", "intuitaccountid", …}]`: its own id.

use serde::Deserialize;

use super::claim::{Claim, posts_a_body};
use super::event::{EVENTS_MAX, Event, NoEvent, Told, from_json};
use super::{Delivery, Refusal, instant};

const HEADER: &str = "intuit-signature";

pub(super) fn claim<'a>(delivery: &Delivery<'a>) -> Result<Claim<'a>, Refusal> {
    posts_a_body(delivery)?;
    Claim::in_base64(delivery, HEADER, b"")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notifications {
    event_notifications: Vec<Notification>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notification {
    realm_id: String,
    data_change_event: Changes,
}

#[derive(Deserialize)]
struct Changes {
    entities: Vec<Change>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Change {
    name: String,
    id: String,
    operation: String,
    #[serde(default)]
    last_updated: String,
}

#[derive(Deserialize)]
struct CloudEvent {
    id: String,
    r#type: String,
    time: Option<String>,
    intuitaccountid: Option<String>,
}

pub(super) fn events(body: &[u8]) -> Result<Vec<Event>, NoEvent> {
    let is_list = body.trim_ascii_start().first() == Some(&b'[');
    let events: Vec<_> = if is_list {
        from_json::<Vec<CloudEvent>>(body)?.into_iter().map(of_cloud_event).collect()
    } else {
        let notifications = from_json::<Notifications>(body)?.event_notifications.into_iter();
        notifications
            .flat_map(|Notification { realm_id, data_change_event }| {
                let changes = data_change_event.entities.into_iter();
                changes.map(move |change| of_change(&realm_id, &change))
            })
            .collect()
    };
    match events.len() {
        0 => Err(NoEvent::NoId),
        many if many > EVENTS_MAX => Err(NoEvent::TooMany),
        _ => events.into_iter().map(Event::bounded).collect(),
    }
}

fn of_change(realm: &str, Change { name, id, operation, last_updated }: &Change) -> Event {
    Event {
        id: format!("{realm}/{name}/{id}/{operation}/{last_updated}"),
        kind: format!("{name}.{operation}"),
        account: Some(realm.to_owned()),
        at: instant::parse(last_updated),
        number: None,
        told: Told::ById,
    }
}

fn of_cloud_event(CloudEvent { id, r#type, time, intuitaccountid }: CloudEvent) -> Event {
    let at = time.as_deref().and_then(instant::parse);
    Event { id, kind: r#type, account: intuitaccountid, at, number: None, told: Told::ById }
}
