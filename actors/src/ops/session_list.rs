//! A member's own sessions, with where each was started.

use freehold_domain::access_token::AccessClaims;
use freehold_domain::id::FamilyId;
use freehold_domain::keys::Sealed;
use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use freehold_storage::family::{self, Alive, FamilyRow};

use crate::ops::context::Context;
use crate::ops::refusal::Refusal;
use crate::ops::sign_in::client_place;

/// One session.
#[derive(Clone, Debug)]
pub struct SessionItem {
    /// The session.
    pub id: FamilyId,
    /// When it was started.
    pub created_at: UnixMs,
    /// When it was last refreshed.
    pub last_used_at: UnixMs,
    /// The address it was started from.
    pub address: String,
    /// The user agent it was started with.
    pub user_agent: String,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// One page of a member's sessions, oldest first.
#[derive(Clone, Debug)]
pub struct SessionPage {
    /// The sessions.
    pub items: Vec<SessionItem>,
    /// Where the next page begins; `None` on the last.
    pub next: Option<FamilyId>,
}

/// The caller's live sessions after `after`, at most `limit`.
///
/// # Errors
/// What the limits and the store refuse.
pub async fn list_sessions(
    cx: &Context,
    caller: &AccessClaims,
    after: Option<FamilyId>,
    limit: u32,
) -> Result<SessionPage, Refusal> {
    cx.admit_member(caller).await?;
    let now = cx.node.ambient.now();
    let mut tx = cx.node.store.read(cx.slot.id).await?;
    let settings = &cx.live.settings;
    let alive = Alive {
        now,
        used_after: now.minus(settings.session_idle()),
        begun_after: now.minus(settings.session_lifetime()),
    };
    let mut rows = family::live_of(&mut tx, caller.sub, after, alive, limit + 1).await?;
    drop(tx);
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next = rows.last().filter(|_| more).map(|row| row.id);
    let items = rows.into_iter().map(|row| item(cx, caller, row)).collect::<Result<_, _>>()?;
    Ok(SessionPage { items, next })
}

fn item(cx: &Context, caller: &AccessClaims, row: FamilyRow) -> Result<SessionItem, Refusal> {
    let sealed = Sealed::<Secret<String>>::from_stored(row.client_sealed).map_err(|_| Refusal::Internal)?;
    let client = cx.live.keys.open_sealed(&client_place(&row.id), &sealed).map_err(|_| Refusal::Internal)?;
    let (address, user_agent) = client.expose().split_once('\n').ok_or(Refusal::Internal)?;
    Ok(SessionItem {
        id: row.id,
        created_at: row.created_at_ms,
        last_used_at: row.last_used_at_ms,
        address: address.to_owned(),
        user_agent: user_agent.to_owned(),
        current: row.id == caller.sid,
    })
}
