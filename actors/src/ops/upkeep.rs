//! What is done for a password while it is at hand and known to be right: an outdated hash is made anew, and a password of
//! which nobody could say whether it was breached is looked up again. Neither keeps anybody from signing in.

use freehold_domain::audit::{Action, Actor};
use freehold_domain::password::{Password, PasswordHash};
use freehold_storage::member::{self, MemberRow};

use crate::metric;
use crate::ops::audit;
use crate::ops::context::Context;
use crate::ops::refusal::Refusal;
use crate::password_pool::HashPermit;

/// What is due for a password.
pub(super) struct Upkeep {
    password: Password,
    is_outdated: bool,
    is_unchecked: bool,
}

impl Upkeep {
    /// What is due, should `password` be right; most often nothing.
    pub(super) fn due(cx: &Context, member: &MemberRow, hash: &PasswordHash, password: &Password) -> Option<Self> {
        let is_outdated = cx.node.pool.is_outdated(hash) && hash.covers(password);
        let is_unchecked = member.password_unchecked_at_ms.is_some();
        (is_outdated || is_unchecked).then(|| Self { password: password.clone(), is_outdated, is_unchecked })
    }

    /// Does it; what cannot be done now is due at the next sign-in.
    pub(super) async fn run(self, cx: &Context, member: &MemberRow, permit: &mut HashPermit) {
        let left = |refusal: &Refusal, what| {
            tracing::warn!(%refusal, tenant.id = %cx.slot.id, what, "left until the next sign-in");
        };
        if self.is_unchecked
            && let Err(refusal) = look_up(cx, member, &self.password).await
        {
            left(&refusal, "an unchecked password");
        }
        if self.is_outdated
            && let Err(refusal) = rehash(cx, member, self.password, permit).await
        {
            left(&refusal, "an outdated password hash");
        }
    }
}

async fn rehash(cx: &Context, member: &MemberRow, password: Password, permit: &mut HashPermit) -> Result<(), Refusal> {
    let hash = cx.node.pool.hash(permit, password).await?;
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    member::renew_hash(&mut tx, member.id, member.credential_version, &hash.text()).await?;
    tx.commit().await?;
    metrics::counter!(metric::REHASHES).increment(1);
    Ok(())
}

/// Looks the password up. A breached one is recorded once; whether anything follows from it is for people to decide.
async fn look_up(cx: &Context, member: &MemberRow, password: &Password) -> Result<(), Refusal> {
    let _place = cx.look_up_place()?;
    let Some(is_breached) = cx.node.breached.is_breached(password).await else { return Ok(()) };
    let mut tx = cx.node.store.write(cx.slot.id).await?;
    let noted = member::password_checked(&mut tx, member.id, member.credential_version).await?;
    let found = noted && is_breached;
    if found {
        let actor = Actor::System;
        audit::record_request(&mut tx, cx, Action::PasswordBreached, actor, member.id.uuid()).await?;
    }
    tx.commit().await?;
    if found {
        metrics::counter!(metric::BREACHED_LATER).increment(1);
    }
    Ok(())
}
