//! What supervisors have in common: how they learn that an actor below them is gone, and how they start it again later.

use std::fmt::Display;
use std::time::Duration;

use ractor::{ActorId, ActorRef, Message, SupervisionEvent};

/// The actor below `supervisor` that failed, which is logged, or ended by itself; `None` for other events.
pub(crate) fn gone(event: SupervisionEvent, supervisor: impl Display) -> Option<ActorId> {
    match event {
        SupervisionEvent::ActorFailed(who, error) => {
            tracing::error!(%supervisor, %error, "an actor failed");
            Some(who.get_id())
        }
        SupervisionEvent::ActorTerminated(who, _, _) => Some(who.get_id()),
        SupervisionEvent::ActorStarted(_) | SupervisionEvent::ProcessGroupChanged(_) => None,
    }
}

/// Sends itself a message after `delay`; at once, and without a timer, when there is none.
pub(crate) fn remind<M: Message>(me: &ActorRef<M>, delay: Duration, message: impl FnOnce() -> M + Send + 'static) {
    if delay.is_zero() {
        drop(me.send_message(message()));
    } else {
        me.send_after(delay, message);
    }
}
