//! Access tokens, refresh tokens and their keys; sessions and their end.

use std::time::Duration;

use freehold_domain::access_token::ACCESS_TOKEN_S;

use super::super::View;
use super::super::entry::Entry;

const DAY_S: u64 = 24 * 3_600;

pub(super) fn entries(view: View<'_>) -> Vec<Entry> {
    let (node, tenant) = (&view.node.settings, view.settings);
    let rotate_days = node.signing_rotate.as_ref().map(Duration::as_secs).map(|seconds| seconds / DAY_S);
    vec![
        Entry::new(
            "K28",
            "Access tokens are short-lived, and bound to tenant, issuer and key.",
            "JWTs with one algorithm, EdDSA; anybody can check one with the keys at /.well-known/jwks.json.",
        )
        .with("expires_in_s", ACCESS_TOKEN_S)
        .with("algorithm", "EdDSA"),
        Entry::new(
            "K28",
            "The keys that sign them are replaced by schedule, and no token dies of it.",
            "A key is published before it signs, and verifies until its last token has expired.",
        )
        .with("rotate_days", rotate_days)
        .with("announced_s", node.signing_announced.as_secs())
        .unless(rotate_days.is_none(), "The operator has switched the schedule off: keys are replaced by hand alone."),
        Entry::new(
            "K29",
            "A refresh token rotates with each use, and only its hash is stored.",
            "256 random bits and a tag by the tenant's key, of which the server keeps a SHA-256. Sessions end when they are idle or old.",
        )
        .with("session_idle_s", tenant.session_idle_s)
        .with("session_lifetime_s", tenant.session_lifetime_s),
        Entry::new(
            "K30",
            "A refresh token presented again ends its session; tabs that refresh together do not.",
            "Those who ask together get the same pair. Where the tenant allows a grace, a lost answer is given again in it.",
        )
        .with("together_ms", u64::try_from(node.refresh_hold.as_millis()).unwrap_or(u64::MAX))
        .with("grace_s", tenant.refresh_reuse_grace_s),
        Entry::new(
            "K31",
            "A password change ends every earlier session on its next request, and so does another e-mail address.",
            "Access tokens carry the member's epoch, which the change raises.",
        ),
        Entry::new(
            "K32",
            "A deactivated member is out on the next request.",
            "What a node did not hear of it finds when it compares its sessions with the store.",
        )
        .with("compared_every_s", node.reconcile.as_secs()),
    ]
}
