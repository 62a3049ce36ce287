//! The names of every metric of the tree. None carries a tenant: no label is of unbounded size.

/// Actor restarts, by `actor` kind.
pub const RESTARTS: &str = "freehold_actor_restarts_total";
/// Tenants taken out of service.
pub const QUARANTINES: &str = "freehold_tenant_quarantines_total";
/// Tenants activated.
pub const ACTIVATIONS: &str = "freehold_tenant_activations_total";
/// Seconds from the first request for a parked tenant until it is served.
pub const ACTIVATION_SECONDS: &str = "freehold_tenant_activation_seconds";
/// Tenants parked again.
pub const PASSIVATIONS: &str = "freehold_tenant_passivations_total";
/// Tenants that the node remembers something of.
pub const KNOWN_TENANTS: &str = "freehold_tenants_known";
/// Tenants that are active.
pub const ACTIVE_TENANTS: &str = "freehold_tenants_active";
/// Tenants that are quarantined.
pub const QUARANTINED_TENANTS: &str = "freehold_tenants_quarantined";
/// 1 while the store keeps tenants apart, as far as was seen last; 0 when it was found not to.
pub const ISOLATED: &str = "freehold_tenants_isolated";
/// Requests in flight on the node.
pub const IN_FLIGHT: &str = "freehold_requests_in_flight";
/// Requests whose small bodies are still being sent.
pub const RECEIVING: &str = "freehold_requests_receiving";
/// Requests shed, by `reason`.
pub const SHED: &str = "freehold_requests_shed_total";
/// Requests refused because their tenant had its share, by `resource`.
pub const SHARE_REFUSED: &str = "freehold_share_refused_total";
/// 1 while requests are counted together with the other nodes, 0 while this node admits its share alone.
pub const COUNTERS_SHARED: &str = "freehold_counters_shared";
/// How often the keeper of shared counters was lost.
pub const COUNTERS_LOST: &str = "freehold_counters_lost_total";
/// Nodes that share their counters, as far as was heard last.
pub const COUNTER_NODES: &str = "freehold_counter_nodes";
/// Requests refused by a rate tier, by `tier` and by `stage`: `limit`, `block` or `ban`.
pub const RATE_LIMITED: &str = "freehold_rate_limited_total";
/// Requests that a limit which is tried would have refused, and that were admitted, by `tier`.
pub const RATE_SHADOW_REFUSED: &str = "freehold_rate_shadow_refused_total";
/// Who is blocked or banned now on this node, by `stage`.
pub const RATE_BLOCKED: &str = "freehold_rate_blocked";
/// Refusals that were held against nobody, because too many others were counted against a block already.
pub const RATE_UNPLACED: &str = "freehold_rate_unplaced_total";
/// Accounts locked.
pub const ACCOUNTS_LOCKED: &str = "freehold_accounts_locked_total";
/// Families revoked because a spent token was presented.
pub const REPLAYS: &str = "freehold_refresh_replays_total";
/// Violations that browsers reported, by `disposition`.
pub const CSP_REPORTS: &str = "freehold_csp_reports_total";
/// Deliveries of providers, by `provider` and `outcome`: `accepted`, `repeated`, `refused`.
pub const WEBHOOKS: &str = "freehold_webhooks_total";
/// Received events that were acted on, by `outcome`: `done`, `retried`, `parked`.
pub const WEBHOOK_INBOX: &str = "freehold_webhook_inbox_total";
/// Tenants with received events that wait for their effect, as far as this node knows.
pub const WEBHOOK_INBOX_TENANTS: &str = "freehold_webhook_inbox_tenants_waiting";
/// Signing keys that took over, or will.
pub const SIGNING_KEY_ROTATIONS: &str = "freehold_signing_key_rotations_total";
/// What an older master key had sealed and the newest has sealed anew.
pub const MASTER_RESEALED: &str = "freehold_master_key_resealed_total";
/// How often something was not opened because the ring of this node lacks the master key that sealed it.
pub const MASTER_UNKNOWN: &str = "freehold_master_key_unknown_total";
/// Letters that were taken, by `kind`.
pub const MAIL_SENT: &str = "freehold_mail_sent_total";
/// Letters that were not taken and are tried again, by `reason`.
pub const MAIL_NOT_TAKEN: &str = "freehold_mail_not_taken_total";
/// Letters that were given up.
pub const MAIL_GIVEN_UP: &str = "freehold_mail_given_up_total";
/// Tenants with letters that wait, as far as this node knows.
pub const MAIL_TENANTS: &str = "freehold_mail_tenants_waiting";
/// Tries to tell an endpoint of an event, by `outcome`.
pub const WEBHOOKS_OUT: &str = "freehold_webhooks_out_total";
/// Endpoints with messages that wait, as far as this node knows.
pub const WEBHOOK_LINES: &str = "freehold_webhook_endpoints_waiting";
/// Passwords waiting for a hashing thread.
pub const HASH_QUEUE: &str = "freehold_hash_queue_depth";
/// Passwords of which nobody could say whether they were breached.
pub const BREACH_UNKNOWN: &str = "freehold_breached_unknown_total";
/// Passwords that were accepted when nobody could say, and turned out to be breached.
pub const BREACHED_LATER: &str = "freehold_breached_later_total";
/// Calls to services outside that tenants have connected, by `integration` and `outcome`: `answered`, `failed`, or `left_alone`
/// by the breaker.
pub const INTEGRATION_CALLS: &str = "freehold_integration_calls_total";
/// Tokens of theirs that were to be refreshed, by `integration` and `outcome`: `refreshed`, `over`, `failed`, `not_asked`.
pub const INTEGRATION_REFRESHES: &str = "freehold_integration_refreshes_total";
/// Sign-ins at providers, by `provider` and by the `outcome` of each step.
pub const OAUTH: &str = "freehold_oauth_total";
/// Looks for the proof of a custom domain, by what each of the two places had.
pub const DOMAIN_LOOKS: &str = "freehold_domain_looks_total";
/// Custom domains that were detached because their proof was gone for too long.
pub const DOMAINS_DETACHED: &str = "freehold_domains_detached_total";
/// Changes of circuit breakers, by `service` and by what they changed `to`.
pub const BREAKER_CHANGES: &str = "freehold_breaker_changes_total";
/// Stored password hashes that were made anew at a sign-in.
pub const REHASHES: &str = "freehold_password_rehashes_total";
/// Seconds a password waited for a hashing thread.
pub const HASH_WAIT_SECONDS: &str = "freehold_hash_wait_seconds";
/// Passwords hashed.
pub const HASHES: &str = "freehold_hashes_total";
/// Questions that wait for an actor to take them up, by `actor` kind.
pub const ACTOR_QUEUE: &str = "freehold_actor_queue_depth";
/// Seconds a question waited for its actor to take it up, by `actor` kind.
pub const ACTOR_QUEUE_SECONDS: &str = "freehold_actor_queue_seconds";
/// Orders of certificates by ACME, by `outcome`: issued, failed, or refused until later.
pub const ACME_ORDERS: &str = "freehold_acme_orders_total";
/// Hosts that are wanted and have no certificate.
pub const ACME_MISSING: &str = "freehold_acme_hosts_without_certificate";
/// Seconds until the first of the certificates by ACME ends; negative once it has.
pub const ACME_LEFT: &str = "freehold_acme_certificate_left_seconds";
/// Seconds that the oldest report of a weakness waits for its answer; 0 when none does.
pub const SECURITY_REPORT_OLDEST: &str = "freehold_security_report_oldest_open_seconds";
/// Reports of weaknesses that wait for their answer.
pub const SECURITY_REPORTS_OPEN: &str = "freehold_security_reports_open";
/// Those of them that wait for longer than they may.
pub const SECURITY_REPORTS_OVERDUE: &str = "freehold_security_reports_overdue";
