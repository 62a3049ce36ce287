//! The access token of a service, good for a call: refreshed ahead of its end, once, however many ask.
//!
//! ```text
//! due --this node's turn--> read again --claim of the row: of several nodes one--> provider --answer--> commit by version
//! ```
//!
//! Whoever asks meanwhile has the token that is there while it is good, and waits for the next one once it is not: on this node for
//! the turn, on others for the row to change.
//!
//! A refresh token that was exchanged is not shown to its provider again: the new one takes its place by the version that was
//! read. There is one hole. A process that ends between the provider's answer and the commit has lost that answer; the claim
//! runs out after [`LEASE`], and the old token is shown once more. QuickBooks takes it for a day after it was exchanged, Square
//! for ever, Shopify until the new one is used; where it is not taken, the grant is over and admins are told.

use std::sync::Arc;
use std::time::Duration;

use freehold_domain::audit::{Action, Actor, Detail, Event};
use freehold_domain::integration::Integration;
use freehold_domain::integration::grant::{Grant, LASTS_UNTOLD};
use freehold_domain::integration::refresh::{LEASE, REST, Step, due_at, step};
use freehold_domain::keys::Sealed;
use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use freehold_storage::integration::{self as rows, IntegrationRow, Renewed};
use freehold_storage::{Chain, StoreError};
use tokio::time::{Instant, sleep};

use super::app::{App, Failed, Whose};
use super::guarded;
use crate::fault;
use crate::metric;
use crate::node::Node;
use crate::ops::audit;
use crate::ops::refusal::Refusal;
use crate::slot::{Live, TenantSlot};

/// How often the row is looked at that another node refreshes.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long it is waited for: longer than the provider may take.
const OTHERS_WITHIN: Duration = Duration::from_secs(12);
/// How often a commit is tried that keeps what the provider gave out: while nobody else may refresh.
const KEEP_TRIES: u32 = 8;
const KEEP_AGAIN: Duration = Duration::from_millis(250);
/// How long a refresh rests that was not begun: no place was free, or the provider is left alone.
const NOT_ASKED_REST: Duration = Duration::from_secs(1);

/// With what a service is called.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) token: Secret<String>,
    /// Whose account it is there.
    pub(crate) account: String,
}

/// Whose tokens.
#[derive(Clone)]
pub(crate) struct Holder {
    pub(crate) node: Arc<Node>,
    pub(crate) slot: Arc<TenantSlot>,
    pub(crate) live: Arc<Live>,
    pub(crate) of: Integration,
}

impl Holder {
    /// The access token, opened, good for some time still. The refresh is a task of its own: whoever asks may go away.
    ///
    /// # Errors
    /// [`Refusal::NotFound`] for what is not connected; [`Refusal::IntegrationExpired`] once the grant is over;
    /// [`Refusal::Unavailable`] while the token has ended and the provider gives no other.
    pub(crate) async fn access(&self) -> Result<Access, Refusal> {
        let row = self.row().await?;
        match self.step(&row)? {
            Step::Use => self.open(&row),
            Step::Wait => Err(Refusal::Unavailable),
            Step::Refresh => {
                let this = self.clone();
                tokio::spawn(async move { this.refreshed(&row).await }).await.unwrap_or(Err(Refusal::Internal))
            }
        }
    }

    async fn row(&self) -> Result<IntegrationRow, Refusal> {
        let mut tx = self.node.store.read(self.slot.id).await?;
        let row = rows::by_name(&mut tx, self.of.as_str()).await?.ok_or(Refusal::NotFound)?;
        if row.expired_at_ms.is_some() { Err(Refusal::IntegrationExpired) } else { Ok(row) }
    }

    fn step(&self, row: &IntegrationRow) -> Result<Step, Refusal> {
        match (row.due_at_ms, row.ends_at_ms) {
            (Some(due), Some(ends)) => Ok(step(due, ends, self.node.ambient.now())),
            (None, None) => Ok(Step::Use), // one that does not end
            (Some(_), None) | (None, Some(_)) => Err(Refusal::Internal),
        }
    }

    /// Refreshes what was read, or leaves that to whoever has begun to.
    async fn refreshed(&self, read: &IntegrationRow) -> Result<Access, Refusal> {
        let (turns, whose) = (&self.node.integrations.turns, (self.slot.id, self.of));
        let _turn = match turns.try_take(whose) {
            Some(turn) => turn,
            None if self.is_good(read) => return self.open(read),
            None => turns.take(whose).await,
        };
        let since = Instant::now();
        loop {
            let row = self.row().await?; // whoever had the turn before has changed it
            match self.step(&row)? {
                Step::Use => return self.open(&row),
                Step::Wait => return Err(Refusal::Unavailable),
                Step::Refresh if self.claim(&row).await? => return self.refresh(&row).await,
                Step::Refresh if self.is_good(&row) => return self.open(&row),
                Step::Refresh if since.elapsed() > OTHERS_WITHIN => return Err(Refusal::Unavailable),
                Step::Refresh => sleep(LOOK_EVERY).await,
            }
        }
    }

    async fn claim(&self, row: &IntegrationRow) -> Result<bool, Refusal> {
        let now = self.node.ambient.now();
        let mut tx = self.node.store.write(self.slot.id).await?;
        let claimed = rows::claim(&mut tx, row, (now, now.plus(LEASE))).await?;
        tx.commit().await?;
        fault::reach("integration.claimed");
        Ok(claimed)
    }

    async fn refresh(&self, row: &IntegrationRow) -> Result<Access, Refusal> {
        let app = self.node.integrations.app(self.of).ok_or(Refusal::Unavailable)?; // the operator took it away
        let known = row.refresh_sealed.clone().ok_or(Refusal::Internal)?;
        let known = self.open_as(self.of.refresh_place(), known)?;
        let wall = self.node.ambient.wall();
        let answered = guarded(&self.node, &self.slot, self.of, async {
            let answered = app.refresh(self.whose(row), &known, wall).await;
            let health = answered.as_ref().map_or_else(Failed::health, |_| super::Health::Well);
            (answered, health)
        });
        match answered.await {
            Ok(Ok(grant)) => {
                fault::reach("integration.answered");
                self.count("refreshed");
                self.keep(app, row, &grant, &known).await
            }
            Ok(Err(Failed::Over)) => {
                self.count("over");
                self.expire(row).await?;
                Err(Refusal::IntegrationExpired)
            }
            Ok(Err(failed)) => {
                self.count("failed");
                let (tenant, integration) = (self.slot.id, self.of.as_str());
                tracing::warn!(tenant.id = %tenant, integration, error = %Chain(&failed), "a token was not refreshed");
                self.rest(row, REST).await
            }
            Err(refusal) => {
                self.count("not_asked");
                self.rest(row, NOT_ASKED_REST).await.map_err(|_| refusal)
            }
        }
    }

    /// Keeps what the provider gave out: it may have taken the old ones back, so this is tried for a while.
    async fn keep(
        &self,
        app: &App,
        row: &IntegrationRow,
        grant: &Grant,
        known: &Secret<String>,
    ) -> Result<Access, Refusal> {
        let access = Access { token: grant.access.clone(), account: row.account.clone() };
        let renewed = self.renewed(grant, known)?;
        let mut tries = 0;
        let kept = loop {
            tries += 1;
            match self.renew(row, &renewed).await {
                Ok(kept) => break kept,
                Err(error) if tries == KEEP_TRIES => {
                    let integration = self.of.as_str();
                    tracing::error!(tenant.id = %self.slot.id, integration, error = %Chain(&error), "refreshed tokens are lost");
                    return Ok(access);
                }
                Err(_) => sleep(KEEP_AGAIN).await,
            }
        };
        if kept {
            self.node.integrations.wake(self.slot.id, renewed.due_at_ms);
            return Ok(access);
        }
        // A commit in doubt that was one, or somebody who connected it anew or took it away meanwhile: what is stored counts.
        let stored = self.row().await.and_then(|row| self.open(&row));
        if stored.as_ref().is_err_and(|refusal| *refusal == Refusal::NotFound) {
            drop(app.revoke(self.whose(row), &access.token, Some(grant.refresh.as_ref().unwrap_or(known))).await);
        }
        stored
    }

    async fn renew(&self, row: &IntegrationRow, renewed: &Renewed) -> Result<bool, StoreError> {
        let mut tx = self.node.store.write(self.slot.id).await?;
        let kept = rows::renew(&mut tx, row, renewed).await?;
        tx.commit().await?;
        Ok(kept)
    }

    fn renewed(&self, grant: &Grant, known: &Secret<String>) -> Result<Renewed, Refusal> {
        let (now, keys) = (self.node.ambient.now(), &self.live.keys);
        let lasts = grant.lasts.unwrap_or(LASTS_UNTOLD); // what was refreshed once ends again, whatever is not said
        let seal = |place, secret| {
            let sealed = keys.seal(&place, secret, self.node.nonce());
            sealed.map(Sealed::into_bytes).map_err(|_| Refusal::Internal)
        };
        Ok(Renewed {
            secret_sealed: seal(self.of.secret_place(), &grant.access)?,
            refresh_sealed: Some(seal(self.of.refresh_place(), grant.refresh.as_ref().unwrap_or(known))?),
            last4: grant.access.last4(),
            ends_at_ms: now.plus(lasts),
            due_at_ms: due_at(now, lasts),
        })
    }

    /// Leaves the provider alone for a moment; until then the token is used that is there, while it is good.
    async fn rest(&self, row: &IntegrationRow, rest: Duration) -> Result<Access, Refusal> {
        let due = self.node.ambient.now().plus(rest);
        let mut tx = self.node.store.write(self.slot.id).await?;
        rows::rest(&mut tx, row, due).await?;
        tx.commit().await?;
        self.node.integrations.wake(self.slot.id, due);
        self.as_it_is(row)
    }

    /// Notes that nothing but a new consent helps, and tells the admins.
    async fn expire(&self, row: &IntegrationRow) -> Result<(), Refusal> {
        let mut tx = self.node.store.write(self.slot.id).await?;
        if rows::expire(&mut tx, row, self.node.ambient.now()).await? {
            let detail = Detail { source: Some(self.of.to_string()), ..Detail::default() };
            let subject = Some(self.slot.id.uuid());
            let event = Event { action: Action::IntegrationExpired, actor: Actor::System, subject, detail };
            audit::record(&mut tx, &self.node, &self.live.keys, &event).await?;
            tracing::warn!(tenant.id = %self.slot.id, integration = self.of.as_str(), "a grant is over");
        }
        Ok(tx.commit().await?)
    }

    fn whose<'a>(&'a self, row: &'a IntegrationRow) -> Whose<'a> {
        Whose { client: &self.node.outbox.client, account: &row.account }
    }

    fn as_it_is(&self, row: &IntegrationRow) -> Result<Access, Refusal> {
        if self.is_good(row) { self.open(row) } else { Err(Refusal::Unavailable) }
    }

    fn is_good(&self, row: &IntegrationRow) -> bool {
        row.ends_at_ms.is_some_and(|ends: UnixMs| self.node.ambient.now() < ends)
    }

    fn open(&self, row: &IntegrationRow) -> Result<Access, Refusal> {
        let token = self.open_as(self.of.secret_place(), row.secret_sealed.clone())?;
        Ok(Access { token, account: row.account.clone() })
    }

    fn open_as(&self, place: freehold_domain::keys::Place<'_>, sealed: Vec<u8>) -> Result<Secret<String>, Refusal> {
        let sealed = Sealed::from_stored(sealed).map_err(|_| Refusal::Internal)?;
        self.live.keys.open_sealed(&place, &sealed).map_err(|_| Refusal::Internal)
    }

    fn count(&self, outcome: &'static str) {
        let name = self.of.as_str();
        metrics::counter!(metric::INTEGRATION_REFRESHES, "integration" => name, "outcome" => outcome).increment(1);
    }
}
