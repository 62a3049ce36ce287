//! One endpoint's line: its messages, one after the other, each when it is due and the endpoint's breaker lets it.

use std::sync::Arc;
use std::time::Duration;

use freehold_domain::audit::{Action, Actor, Detail, Event};
use freehold_domain::id::{TenantId, WebhookEndpointId};
use freehold_domain::keys::{Sealed, TenantKeys};
use freehold_domain::public_url::PublicUrl;
use freehold_domain::tenant_state::TenantState;
use freehold_domain::time::UnixMs;
use freehold_domain::webhook_out::{ANSWER_WITHIN, Answered, EndpointSecret, Profile, Told, is_given_up, next_try};
use freehold_storage::webhook_endpoint::{self, WebhookEndpointRow};
use freehold_storage::webhook_message::{self, WebhookAttemptRow, WebhookMessageRow};
use freehold_storage::{TenantTx, audit as log};
use hyper::StatusCode;

use super::Trouble;
use crate::breakers::{self, Health, Integration};
use crate::metric;
use crate::node::Node;
use crate::ops::audit;
use crate::ops::webhook_endpoints::notice;
use crate::public_client::{Answer, NoAnswer, Post};
use crate::slot::{Live, TenantSlot};

/// Messages of one endpoint before another has its turn, and how long they may take: whoever is slow has one.
const MESSAGES_MAX: u32 = 50;
const TURN: Duration = Duration::from_millis(250);
/// How long a claimed message is nobody else's: longer than it takes to send it.
const LEASE: Duration = Duration::from_secs(30);
/// How long messages of a tenant wait that is not served.
const UNSERVED_WAIT: Duration = Duration::from_mins(5);

/// Before which integration the breaker of an endpoint stands.
pub(crate) fn integration(endpoint: WebhookEndpointId) -> Integration {
    format!("webhook:{endpoint}").into()
}

/// What became of a try.
struct Tried {
    /// In a word.
    outcome: &'static str,
    status: Option<StatusCode>,
    answer: Option<Answered>,
    /// What that says of the endpoint.
    health: Health,
    retry_after: Option<Duration>,
}

/// Tells an endpoint what is due; when the next is.
pub(super) async fn round(
    node: &Arc<Node>,
    tenant: TenantId,
    endpoint: WebhookEndpointId,
) -> Result<Option<UnixMs>, Trouble> {
    let slot = node.slot_of(tenant).await?;
    let began = tokio::time::Instant::now();
    for _ in 0..MESSAGES_MAX {
        if began.elapsed() >= TURN {
            break;
        }
        let now = node.ambient.now();
        let mut tx = node.store.read(tenant).await?;
        let Some(row) = webhook_endpoint::by_id(&mut tx, endpoint).await? else {
            node.outbox.slow.remove(&endpoint);
            return Ok(None);
        };
        let Some(message) = webhook_message::next(&mut tx, endpoint).await? else { return Ok(None) };
        drop(tx);
        if row.disabled.is_some() {
            return Ok(None);
        }
        if message.next_try_at_ms > now {
            return Ok(Some(message.next_try_at_ms));
        }
        if !matches!(slot.standing().state_at(now), TenantState::Active | TenantState::ReadOnly) {
            return Ok(Some(now.plus(UNSERVED_WAIT)));
        }
        let live = node.live(&slot).await?;
        let to = Line { node, slot: &slot, live: &live, endpoint: &row };
        if let Some(wait) = to.send(&message).await? {
            return Ok(Some(node.ambient.now().plus(wait)));
        }
    }
    Ok(Some(node.ambient.now()))
}

/// Whom to tell, and for whom.
struct Line<'a> {
    node: &'a Arc<Node>,
    slot: &'a Arc<TenantSlot>,
    live: &'a Live,
    endpoint: &'a WebhookEndpointRow,
}

impl Line<'_> {
    /// Sends one message; how long the breaker wants the endpoint to be left alone, if it does.
    async fn send(&self, message: &WebhookMessageRow) -> Result<Option<Duration>, Trouble> {
        const { assert!(ANSWER_WITHIN.as_secs() < LEASE.as_secs()) };
        let (node, integration) = (self.node, integration(self.endpoint.id));
        let call = match breakers::begin(node, self.slot, &integration).await {
            Ok(Ok(call)) => call,
            Ok(Err(tripped)) => return Ok(Some(tripped.retry_after)),
            Err(error) => return Err(Trouble::Refused(error.into())),
        };
        let mut tx = node.store.write(self.slot.id).await?;
        if !webhook_message::claim(&mut tx, message, node.ambient.now().plus(LEASE)).await? {
            return Ok(None); // a rival has it
        }
        tx.commit().await?;
        crate::fault::reach("webhook_out.claimed");
        let (began, at) = (tokio::time::Instant::now(), node.ambient.now());
        let tried = self.try_once(message).await?;
        let took = began.elapsed();
        node.outbox.took(self.endpoint.id, took);
        let took_ms = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
        crate::fault::reach("webhook_out.sent");
        breakers::end_call(node, self.slot, &integration, (&call, tried.health.outcome(self.spread()))).await;
        self.settle(message, &tried, (at, took_ms)).await?;
        Ok(None)
    }

    async fn try_once(&self, message: &WebhookMessageRow) -> Result<Tried, Trouble> {
        let (node, keys) = (self.node, &self.live.keys);
        let row = log::by_seq(&mut node.store.read(self.slot.id).await?, message.seq).await?;
        let row = row.ok_or(Trouble::Sealed)?;
        let profile: Profile = self.endpoint.profile.parse().map_err(|_| Trouble::Sealed)?;
        let body = profile.body(&told(self.slot.id, &row));
        let Ok(secrets) = secrets(keys, self.endpoint, node.ambient.now()) else {
            return Ok(Tried::unanswered("sealed")); // counted, so that it is told of
        };
        let mut headers = profile.headers(row.entry.id, &body, &secrets, node.ambient.wall());
        let sealed = Sealed::<Detail>::from_stored(row.entry.detail_sealed).ok();
        let detail = sealed.and_then(|sealed| keys.open_sealed(&Detail::place(row.entry.id.as_bytes()), &sealed).ok());
        headers.extend(detail.and_then(|detail| detail.request_id).map(|id| ("x-request-id", id)));
        let Ok(url) = PublicUrl::parse(&self.endpoint.url, node.outbox.client.reach()) else {
            return Ok(Tried::unanswered("url-not-allowed")); // the operator allows less than it did
        };
        let post = Post { headers: &headers, body: &body };
        let answered = node.outbox.client.post(&url, post, ANSWER_WITHIN).await;
        Ok(answered.map_or_else(|no| self.not_answered(&no), |answer| Tried::answered(&answer)))
    }

    fn not_answered(&self, no: &NoAnswer) -> Tried {
        tracing::debug!(tenant.id = %self.slot.id, endpoint.id = %self.endpoint.id, error = %no, "an endpoint did not answer");
        Tried::unanswered(no.as_str())
    }

    fn spread(&self) -> u8 {
        let [spread] = self.node.ambient.random();
        spread
    }

    /// Writes down what became of a try, and of the endpoint.
    async fn settle(
        &self,
        message: &WebhookMessageRow,
        tried: &Tried,
        (at, took_ms): (UnixMs, i64),
    ) -> Result<(), Trouble> {
        let (node, keys, id) = (self.node, &self.live.keys, self.endpoint.id);
        let (now, attempt) = (node.ambient.now(), message.attempts + 1);
        let row = place(id, message.seq, attempt);
        let sealed = tried.answer.as_ref().map(|answer| keys.seal(&Answered::place(&row), answer, node.nonce()));
        let answer_sealed = sealed.transpose().map_err(|_| Trouble::Sealed)?.map(Sealed::into_bytes);
        let status = tried.status.map(|status| i64::from(status.as_u16()));
        let outcome = tried.outcome.to_owned();
        let row = WebhookAttemptRow { attempt, at_ms: at, took_ms, outcome, status, answer_sealed };
        let again = next_try(u32::try_from(message.tries + 1).unwrap_or(u32::MAX), tried.retry_after, now);
        let next = match again {
            _ if tried.is_delivered() => ("delivered", now),
            Some(at) => ("waiting", at),
            None => ("failed", now),
        };
        let mut tx = node.store.write(self.slot.id).await?;
        webhook_message::settle(&mut tx, message, next, &row).await?;
        if tried.is_delivered() {
            webhook_endpoint::succeeded(&mut tx, id).await?;
        } else {
            webhook_endpoint::failed(&mut tx, id, now).await?;
            let is_gone = tried.status == Some(StatusCode::GONE);
            let is_over = self.endpoint.failing_since_ms.is_some_and(|since| is_given_up(since, now));
            if is_gone || is_over {
                self.disable(&mut tx, if is_gone { "gone" } else { "failing" }, now).await?;
            }
        }
        tx.commit().await?;
        metrics::counter!(metric::WEBHOOKS_OUT, "outcome" => tried.outcome).increment(1);
        Ok(())
    }

    /// Has nothing sent to the endpoint any more, and tells the admins.
    async fn disable(&self, tx: &mut TenantTx, why: &'static str, now: UnixMs) -> Result<(), Trouble> {
        let (node, keys, id) = (self.node, &self.live.keys, self.endpoint.id);
        if !webhook_endpoint::disable(tx, id, now, why).await? {
            return Ok(());
        }
        notice::write(tx, node, keys, (&self.endpoint.url, why)).await.map_err(|_| Trouble::Sealed)?;
        let detail = Detail { reason: Some(why.to_owned()), ..Detail::default() };
        let subject = Some(id.uuid());
        let event = Event { action: Action::WebhookEndpointDisabled, actor: Actor::System, subject, detail };
        audit::record(tx, node, keys, &event).await.map_err(|_| Trouble::Sealed)?;
        tracing::warn!(tenant.id = %self.slot.id, endpoint.id = %id, why, "an endpoint of webhooks was disabled");
        Ok(())
    }
}

impl Tried {
    fn answered(answer: &Answer) -> Self {
        let status = answer.status;
        let outcome = match status {
            status if status.is_success() => "delivered",
            status if status.is_redirection() => "redirect",
            _ => "status",
        };
        Self {
            outcome,
            status: Some(status),
            answer: Some(Answered::cut(&answer.body)),
            health: Health::of(status, answer.retry_after),
            retry_after: answer.retry_after,
        }
    }

    const fn unanswered(outcome: &'static str) -> Self {
        Self { outcome, status: None, answer: None, health: Health::Ill(None), retry_after: None }
    }

    fn is_delivered(&self) -> bool {
        self.status.is_some_and(|status| status.is_success())
    }
}

/// What a message tells of.
pub(crate) fn told(tenant: TenantId, row: &freehold_domain::audit::chain::Row) -> Told<'_> {
    let entry = &row.entry;
    Told {
        event: entry.id,
        tenant,
        kind: &entry.action,
        at: entry.at,
        actor_kind: &entry.actor_kind,
        actor: entry.actor,
        subject: entry.subject,
    }
}

/// Where the answer to a try is sealed for.
pub(crate) fn place(endpoint: WebhookEndpointId, seq: i64, attempt: i64) -> Vec<u8> {
    [&endpoint.as_bytes()[..], &seq.to_be_bytes(), &attempt.to_be_bytes()].concat()
}

/// The secrets of an endpoint that are good, the newest first.
fn secrets(keys: &TenantKeys, row: &WebhookEndpointRow, now: UnixMs) -> Result<Vec<EndpointSecret>, Trouble> {
    let open = |place, bytes: &[u8]| {
        let sealed = Sealed::from_stored(bytes.to_vec()).map_err(|_| Trouble::Sealed)?;
        keys.open_sealed(&place, &sealed).map_err(|_| Trouble::Sealed)
    };
    let mut secrets = vec![open(EndpointSecret::place(&row.id), &row.secret_sealed)?];
    if let Some((sealed, until)) = &row.previous
        && now < *until
    {
        secrets.push(open(EndpointSecret::previous_place(&row.id), sealed)?);
    }
    Ok(secrets)
}
