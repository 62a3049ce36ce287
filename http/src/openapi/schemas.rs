//! Shapes of answers whose types belong to crates that know nothing of HTTP, or that are rendered by hand.

use freehold_domain::api_key::{KeyKind, Scope};
use freehold_domain::audit::Action;
use freehold_domain::inbox::State;
use freehold_domain::integration::{self, Integration};
use freehold_domain::oauth::Provider;
use freehold_domain::plan::{Plan, Quota};
use freehold_domain::rich_text::CHARS_MAX;
use freehold_domain::role::Role;
use freehold_domain::stripe::Status;
use freehold_domain::tenant_state::TenantState;
use utoipa::openapi::schema::{Array, ArrayBuilder, Object, ObjectBuilder, Type};
use utoipa::{IntoParams, ToSchema};

use crate::advice::Advice;

/// What is wrong (RFC 9457).
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape: `problem.rs` renders it")]
pub(crate) struct Problem {
    /// `/problems/{slug}`, where a page explains it. Decide by this.
    r#type: String,
    title: String,
    status: u16,
    #[schema(nullable = false)]
    detail: Option<String>,
    /// The same as in `x-request-id`.
    request_id: String,
    /// With 400 `validation`: every fault.
    #[schema(nullable = false)]
    errors: Option<Vec<FieldFault>>,
    /// With 400 `validation` of a new password: what would be a better one.
    #[schema(nullable = false)]
    advice: Option<Advice>,
    /// With 401 `second-factor-required`: what `POST /v1/auth/second-factor` wants, once, within five minutes.
    #[schema(nullable = false)]
    challenge: Option<String>,
    /// With 403 `quota-reached`: what there are as many of as the plan allows.
    #[schema(nullable = false)]
    quota: Option<String>,
    /// And how many that is.
    #[schema(nullable = false)]
    limit: Option<u32>,
    /// And the plan.
    #[schema(nullable = false)]
    plan: Option<String>,
    /// With 429 `rate-limited`: the limit that is reached.
    #[schema(nullable = false)]
    tier: Option<String>,
    /// With 429: seconds until it is worth trying again.
    #[schema(nullable = false, minimum = 1)]
    retry_after_s: Option<u64>,
    /// With 403 `forbidden` for a member who must enrol a second factor before anything else: `required`.
    #[schema(nullable = false)]
    second_factor_enrolment: Option<String>,
    /// With 403 `tenant-suspended`: `TenantSuspendedError`.
    #[schema(nullable = false)]
    error: Option<String>,
}

/// One field and what is wrong with it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape: `faults.rs` has the type")]
struct FieldFault {
    /// `items[0].name`, or `(body)`, `(query)`, `(host)`, `(cookie)`.
    field: String,
    /// To be read after the field's name: "is required".
    message: String,
}

/// A JWK set (RFC 7517 §5).
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape: the domain has the type")]
pub(crate) struct Jwks {
    keys: Vec<Jwk>,
}

/// An Ed25519 key (RFC 8037 §2).
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape: the domain has the type")]
struct Jwk {
    kty: String,
    crv: String,
    r#use: String,
    alg: String,
    kid: String,
    x: String,
}

/// Which part of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a shape: `query.rs` reads it")]
pub(crate) struct ListParams {
    /// At most this many items.
    #[param(minimum = 1, maximum = 200, default = 50, nullable = false)]
    limit: Option<u16>,
    /// The `next_cursor` of the part before.
    #[param(min_length = 1, max_length = 512, nullable = false, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*$")]
    cursor: Option<String>,
}

/// Which events are asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a shape: `AuditPart` reads it")]
pub(crate) struct AuditParams {
    /// By this member, or by this kind of actor: `operator`, `system` or `unknown`.
    #[param(
        nullable = false,
        pattern = "^(operator|system|unknown|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$"
    )]
    actor: Option<String>,
    /// Of this action.
    #[param(nullable = false, schema_with = action)]
    action: Option<String>,
    /// At this time or later.
    #[param(nullable = false, format = DateTime)]
    since: Option<String>,
    /// Before this time.
    #[param(nullable = false, format = DateTime)]
    until: Option<String>,
}

/// Which events of providers are asked for.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a shape: `EventsPart` reads it")]
pub(crate) struct WebhookEventParams {
    /// Those that stand so.
    #[param(nullable = false, schema_with = inbox_state)]
    state: Option<String>,
}

/// How an event of a provider's stands.
pub(crate) fn inbox_state() -> Object {
    one_of(State::ALL.map(State::as_str))
}

/// A service outside.
pub(crate) fn integration() -> Object {
    one_of(Integration::ALL.map(Integration::as_str))
}

/// By what one is opened.
pub(crate) fn opened_by() -> Object {
    one_of([integration::Kind::Key, integration::Kind::Grant].map(integration::Kind::as_str))
}

/// How a connection stands.
pub(crate) fn connection_state() -> Object {
    one_of(["connected", "expired"])
}

/// How a subscription at Stripe stands.
pub(crate) fn subscription_status() -> Object {
    one_of(Status::ALL.iter().map(|status| status.as_str()))
}

/// What a plan bounds.
pub(crate) fn quota() -> Object {
    one_of(Quota::ALL.map(Quota::as_str))
}

/// A plan that is paid for.
pub(crate) fn paid_plan() -> Object {
    one_of([Plan::Pro, Plan::Business].map(Plan::as_str))
}

/// A member's role.
pub(crate) fn role() -> Object {
    one_of(Role::ALL.map(Role::as_str))
}

/// Some roles, each once.
pub(crate) fn roles() -> Array {
    ArrayBuilder::new().items(role()).unique_items(true).build()
}

/// Whether a tenant is served.
pub(crate) fn tenant_state() -> Object {
    one_of(TenantState::ALL.map(TenantState::as_str))
}

/// A provider's name, in a path.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape: the domain has the type")]
#[schema(rename_all = "snake_case")]
pub(crate) enum ProviderName {
    Github,
    Google,
}

/// A provider.
pub(crate) fn provider() -> Object {
    one_of(Provider::ALL.map(Provider::as_str))
}

/// Who may become a member without an invitation.
pub(crate) fn registration() -> Object {
    one_of(["closed", "open"])
}

/// Who must have a second factor.
pub(crate) fn require_second_factor() -> Object {
    one_of(["off", "roles", "all"])
}

/// The kinds of API keys.
pub(crate) fn key_kind() -> Object {
    one_of([KeyKind::Publishable, KeyKind::Secret].map(KeyKind::as_str))
}

/// What API keys may be used for.
pub(crate) fn scopes() -> Array {
    ArrayBuilder::new()
        .items(one_of(Scope::ALL.map(Scope::as_str)))
        .min_items(Some(1))
        .max_items(Some(Scope::ALL.len()))
        .unique_items(true)
        .build()
}

/// What an audit log tells of.
pub(crate) fn action() -> Object {
    one_of(Action::ALL.iter().map(|action| action.as_str()))
}

/// Who acts.
pub(crate) fn actor_kind() -> Object {
    one_of(crate::audit::actor_kinds())
}

/// A text on one line, as [`freehold_domain::text::OneLine`] takes it: no control character, none that is hidden but the
/// joiners, and not white space alone.
pub(crate) fn one_line<const MAX: usize>() -> ObjectBuilder {
    const PATTERN: &str = r"^[^\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]*[^\s\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb][^\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]*$";
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(MAX));
    text.pattern(Some(PATTERN))
}

/// A text on several lines, as [`freehold_domain::security_report::Lines`] takes it: no control character but line ends and
/// tabs, and not white space alone.
pub(crate) fn lines<const MAX: usize>() -> ObjectBuilder {
    const PATTERN: &str = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$";
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).max_length(Some(MAX));
    text.pattern(Some(PATTERN))
}

/// HTML as [`freehold_domain::rich_text::RichText`] takes it: no control character but line ends and tabs.
pub(crate) fn rich_text() -> ObjectBuilder {
    const PATTERN: &str = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$";
    ObjectBuilder::new().schema_type(Type::String).max_length(Some(CHARS_MAX)).pattern(Some(PATTERN))
}

fn one_of(names: impl IntoIterator<Item = &'static str>) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(names)).build()
}
