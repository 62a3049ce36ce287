//! The Lockouts actor: charges sign-in attempts, one at a time an account, each committed before its password is hashed.
//!
//! The state of an account is its row; the actor only decides who is next ([`freehold_domain::attempts`]). A charge is one transaction: read the row,
//! apply [`freehold_domain::lockout`], write it back if it is still the one that was read. Nodes therefore count
//! together, and nothing is lost with the actor.

use std::sync::Arc;

use freehold_domain::attempts::Charge;
use freehold_domain::audit::{Action, Actor as Doer, Event};
use freehold_domain::id::MemberId;
use freehold_domain::keys::LookupKey;
use freehold_domain::lockout::Lockout;
use freehold_domain::time::UnixMs;
use freehold_storage::{StoreError, TenantTx, lockout as rows};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::runtime::Handle;

use crate::ask::Reply;
use crate::node::Node;
use crate::ops::audit;
use crate::ops::context::{Context, Origin};
use crate::ops::refusal::Refusal;
use crate::slot::{Live, TenantSlot};

/// How often a charge that loses to another node is decided again.
const RACES_MAX: u32 = 3;

/// How many accounts, known or not, a tenant keeps failures of.
const ACCOUNTS_MAX: u64 = 100_000;
const FORGOTTEN_AT_ONCE: u32 = 1_000;

/// The answer to an attempt: charged, or why its password must not be looked at.
pub type Charged = Result<(), Refusal>;

/// Who attempts what: what the audit log says should this attempt lock its account.
#[derive(Clone)]
pub struct Attempted {
    live: Arc<Live>,
    member: Option<MemberId>,
    origin: Origin,
}

/// An attempt that waits for its charge.
pub(crate) struct Waiting {
    attempted: Attempted,
    reply: Reply<Charged>,
}

/// What Lockouts can be asked.
pub enum Msg {
    /// Charge one attempt.
    Begin(LookupKey, Attempted, Reply<Charged>),
    /// The charge in flight for this account has come out.
    Settled(LookupKey, Charged, Reply<()>),
    /// The password of a charged attempt has been hashed.
    Finished(LookupKey, Reply<()>),
    /// How many accounts have attempts under way.
    Snapshot(Reply<usize>),
    /// An injected failure.
    #[cfg(feature = "test-faults")]
    Fault(crate::fault::Fault),
}

/// An attempt that was charged. Dropped when its password has been hashed and whatever follows is done.
pub(crate) struct Attempt {
    node: Arc<Node>,
    slot: Arc<TenantSlot>,
    account: LookupKey,
}

impl Attempt {
    /// Charges one attempt for this account, which may be a member's; the charge is committed when this returns.
    ///
    /// # Errors
    /// [`Refusal::Locked`] while the account is locked; what the actor and the store refuse.
    pub(crate) async fn charge(cx: &Context, account: LookupKey, member: Option<MemberId>) -> Result<Self, Refusal> {
        let attempted = Attempted { live: Arc::clone(&cx.live), member, origin: cx.client.origin.clone() };
        cx.node.ask(&cx.slot, |reply| Msg::Begin(account, attempted.clone(), reply)).await??;
        Ok(Self { node: Arc::clone(&cx.node), slot: Arc::clone(&cx.slot), account })
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        // Without a runtime the process is ending, and nobody waits any more.
        let Ok(runtime) = Handle::try_current() else { return };
        let (node, slot, account) = (Arc::clone(&self.node), Arc::clone(&self.slot), self.account);
        runtime.spawn(async move { node.report(&slot, |reply| Msg::Finished(account, reply)).await });
    }
}

/// The shell.
pub(crate) struct Lockouts;

/// What the shell knows: whose accounts it charges.
pub(crate) struct State {
    pub(crate) node: Arc<Node>,
    pub(crate) slot: Arc<TenantSlot>,
}

impl Actor for Lockouts {
    type Msg = Msg;
    type State = State;
    type Arguments = State;

    async fn pre_start(&self, _: ActorRef<Msg>, state: State) -> Result<State, ActorProcessingErr> {
        Ok(state)
    }

    async fn handle(&self, _: ActorRef<Msg>, message: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        let now = state.node.ambient.now();
        match message {
            Msg::Begin(account, attempted, reply) => {
                let waiting = reply.start().then_some(Waiting { attempted, reply });
                if waiting.is_some_and(|waiting| state.slot.cells.attempts().begin(account, waiting, now)) {
                    state.charge(account);
                }
            }
            Msg::Settled(account, charged, reply) => {
                if reply.start() {
                    let (answered, more) = state.slot.cells.attempts().settled(&account, outcome(&charged), now);
                    for waiter in answered {
                        waiter.reply.answer(charged.clone());
                    }
                    if more {
                        state.charge(account);
                    }
                    reply.answer(());
                }
            }
            Msg::Finished(account, reply) => {
                if reply.start() {
                    if state.slot.cells.attempts().finished(&account, now) {
                        state.charge(account);
                    }
                    reply.answer(());
                }
            }
            Msg::Snapshot(reply) => reply.answer(state.slot.cells.attempts().len()),
            #[cfg(feature = "test-faults")]
            Msg::Fault(fault) => fault.strike().await,
        }
        Ok(())
    }
}

fn outcome(charged: &Charged) -> Charge {
    match charged {
        Ok(()) => Charge::Committed,
        Err(Refusal::Locked(_)) => Charge::Locked,
        Err(_) => Charge::Failed,
    }
}

impl State {
    /// Starts the charge of an account's first attempt; its outcome comes back as [`Msg::Settled`].
    fn charge(&self, account: LookupKey) {
        let Some(attempted) = self.slot.cells.attempts().first(&account).map(|first| first.attempted.clone()) else {
            return;
        };
        let (node, slot) = (Arc::clone(&self.node), Arc::clone(&self.slot));
        tokio::spawn(async move {
            let charged = charge(&node, &slot, account, &attempted).await;
            node.report(&slot, |reply| Msg::Settled(account, charged.clone(), reply)).await;
        });
    }
}

/// Charges one attempt in the store.
///
/// # Errors
/// [`Refusal::Locked`] while the lock holds; [`Refusal::Unavailable`] when nothing was charged, or nobody knows.
async fn charge(node: &Node, slot: &TenantSlot, account: LookupKey, attempted: &Attempted) -> Charged {
    for _ in 0..RACES_MAX {
        if try_charge(node, slot, account, attempted).await? {
            crate::fault::reach("lockout.answered");
            return Ok(());
        }
    }
    Err(Refusal::Overloaded)
}

/// One try: `false` when another node wrote the row in between.
async fn try_charge(
    node: &Node,
    slot: &TenantSlot,
    account: LookupKey,
    attempted: &Attempted,
) -> Result<bool, Refusal> {
    let now = node.ambient.now();
    let mut tx = node.store.write(slot.id).await?;
    crate::fault::reach("lockout.begun");
    let row = rows::by_account(&mut tx, account.bytes()).await?;
    let charged = row.as_ref().map_or_else(Lockout::default, read).begin_attempt(node.settings.lockout, now)?;
    let failures = rows::Failures { count: charged.failures.into(), locked_until_ms: charged.locked_until };
    let written = if let Some(row) = row {
        rows::update(&mut tx, account.bytes(), row.version, failures, now).await?
    } else {
        make_room(&mut tx, account, now).await?;
        rows::insert(&mut tx, account.bytes(), failures, now).await?
    };
    if !written {
        return Ok(false);
    }
    if charged.locked_until.is_some() {
        record_lock(&mut tx, node, attempted).await?;
    }
    crate::fault::reach("lockout.written");
    tx.commit().await?;
    crate::fault::reach("lockout.committed");
    if charged.locked_until.is_some() {
        metrics::counter!(crate::metric::ACCOUNTS_LOCKED).increment(1);
        tracing::warn!(tenant.id = %slot.id, failures = charged.failures, "an account was locked");
    }
    Ok(true)
}

async fn record_lock(tx: &mut TenantTx, node: &Node, attempted: &Attempted) -> Result<(), audit::NotRecorded> {
    let subject = attempted.member.map(MemberId::uuid);
    let detail = attempted.origin.detail();
    let event = Event { action: Action::AccountLocked, actor: Doer::Unknown, subject, detail };
    audit::record(tx, node, &attempted.live.keys, &event).await
}

/// Keeps the table near [`ACCOUNTS_MAX`]: one new account in 256 looks, and makes room by forgetting the accounts that
/// nobody has tried for longest. A lock in force is never forgotten.
async fn make_room(tx: &mut TenantTx, account: LookupKey, now: UnixMs) -> Result<(), StoreError> {
    let looks = account.bytes().first() == Some(&0);
    if looks && rows::count(tx).await? >= ACCOUNTS_MAX {
        rows::sweep(tx, now, now, FORGOTTEN_AT_ONCE).await?;
    }
    Ok(())
}

fn read(row: &rows::LockoutRow) -> Lockout {
    Lockout {
        failures: u32::try_from(row.failures.count).unwrap_or(u32::MAX),
        locked_until: row.failures.locked_until_ms,
    }
}
