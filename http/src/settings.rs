//! What a tenant has decided for itself: `/v1/settings`, for its admins.

use std::collections::BTreeSet;

use axum::Json;
use axum::response::{IntoResponse, Response};
use freehold_actors::ops::settings as ops;
use freehold_domain::policy::Permission;
use freehold_domain::rich_text::RichText;
use freehold_domain::role::Role;
use freehold_domain::settings::{
    Bounds, GRACE, IDLE, LIFETIME, PASSWORD, PASSWORD_OF_TWO, REUSE_GRACE, Registration, RequireSecondFactor,
    TenantSettings,
};
use freehold_domain::text::free;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{May, Routes};
use crate::auth::parsed;
use crate::body::{Valid, Validate, given, whole, word};
use crate::caller::{Member, run};
use crate::faults::Faults;
use crate::openapi;
use crate::problem::Problem;
use crate::query::Query;

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::default().get("/v1/settings", May(Permission::SettingsRead), settings).patch(
        "/v1/settings",
        May(Permission::SettingsChange),
        change,
    )
}

/// Every setting.
#[derive(Serialize, ToSchema)]
#[schema(as = Settings)]
pub(crate) struct SettingsBody {
    /// Who may become a member without an invitation.
    #[schema(schema_with = openapi::registration)]
    registration: Registration,
    /// Who must have a second factor.
    #[schema(schema_with = openapi::require_second_factor)]
    require_second_factor: RequireSecondFactor,
    /// Which roles `roles` means.
    #[schema(schema_with = openapi::roles)]
    second_factor_roles: BTreeSet<Role>,
    /// Seconds in which a member who must have one may still do without, from joining or from when the rule was made.
    #[schema(minimum = 0, maximum = 7_776_000)]
    second_factor_grace_s: u32,
    /// Seconds in which a refresh token that was just spent gives its successor again, while nobody has used that.
    #[schema(minimum = 0, maximum = 60)]
    refresh_reuse_grace_s: u32,
    /// Whether an operator may act as a member, for support.
    support_access: bool,
    /// Seconds after which a session that nobody refreshes has ended.
    #[schema(minimum = 900, maximum = 7_776_000)]
    session_idle_s: u32,
    /// Seconds after which a session has ended, however often it is refreshed.
    #[schema(minimum = 900, maximum = 7_776_000)]
    session_lifetime_s: u32,
    /// Fewest characters of a new password.
    #[schema(minimum = 15, maximum = 64)]
    password_chars_min: u32,
    /// Fewest characters of a new password of a member who has a second factor and must have it.
    #[schema(minimum = 8, maximum = 64)]
    password_chars_min_with_second_factor: u32,
    /// What the first page of the tenant's host says, as HTML that was cleaned; empty for nothing.
    notice_html: String,
}

impl From<TenantSettings> for SettingsBody {
    fn from(settings: TenantSettings) -> Self {
        Self {
            registration: settings.registration,
            require_second_factor: settings.require_second_factor,
            second_factor_roles: settings.second_factor_roles,
            second_factor_grace_s: settings.second_factor_grace_s,
            refresh_reuse_grace_s: settings.refresh_reuse_grace_s,
            support_access: settings.support_access,
            session_idle_s: settings.session_idle_s,
            session_lifetime_s: settings.session_lifetime_s,
            password_chars_min: settings.password_chars_min,
            password_chars_min_with_second_factor: settings.password_chars_min_with_second_factor,
            notice_html: settings.notice_html.as_html().to_owned(),
        }
    }
}

/// The settings to change; those left out stay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeSettings {
    #[serde(default, deserialize_with = "word")]
    #[schema(nullable = false, schema_with = openapi::registration)]
    registration: Option<Registration>,
    #[serde(default, deserialize_with = "word")]
    #[schema(nullable = false, schema_with = openapi::require_second_factor)]
    require_second_factor: Option<RequireSecondFactor>,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, schema_with = openapi::roles)]
    second_factor_roles: Option<Vec<String>>,
    #[serde(default, deserialize_with = "whole")]
    #[schema(nullable = false, minimum = 0, maximum = 7_776_000)]
    second_factor_grace_s: Option<u32>,
    #[serde(default, deserialize_with = "whole")]
    #[schema(nullable = false, minimum = 0, maximum = 60)]
    refresh_reuse_grace_s: Option<u32>,
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false)]
    support_access: Option<bool>,
    #[serde(default, deserialize_with = "whole")]
    #[schema(nullable = false, minimum = 900, maximum = 7_776_000)]
    session_idle_s: Option<u32>,
    #[serde(default, deserialize_with = "whole")]
    #[schema(nullable = false, minimum = 900, maximum = 7_776_000)]
    session_lifetime_s: Option<u32>,
    #[serde(default, deserialize_with = "whole")]
    #[schema(nullable = false, minimum = 15, maximum = 64)]
    password_chars_min: Option<u32>,
    #[serde(default, deserialize_with = "whole")]
    #[schema(nullable = false, minimum = 8, maximum = 64)]
    password_chars_min_with_second_factor: Option<u32>,
    /// Paragraphs, lists, headings, emphasis, code, and links by `https:` and `mailto:`; everything else is taken out before
    /// it is stored. Empty takes the notice back.
    #[serde(default, deserialize_with = "given")]
    #[schema(nullable = false, schema_with = openapi::rich_text)]
    notice_html: Option<String>,
}

/// A checked change, and how it is made.
pub struct Change {
    named: ChangeSettings,
    roles: Option<BTreeSet<Role>>,
    notice: Option<RichText>,
}

impl Validate for ChangeSettings {
    type Checked = Change;

    fn check(mut self, faults: &mut Faults) -> Option<Change> {
        let numbers = [
            (GRACE, self.second_factor_grace_s),
            (REUSE_GRACE, self.refresh_reuse_grace_s),
            (IDLE, self.session_idle_s),
            (LIFETIME, self.session_lifetime_s),
            (PASSWORD, self.password_chars_min),
            (PASSWORD_OF_TWO, self.password_chars_min_with_second_factor),
        ];
        for (Bounds { name, min, max }, number) in numbers {
            if number.is_some_and(|number| !(min..=max).contains(&number)) {
                faults.add(name, format!("must be {min} to {max}"));
            }
        }
        let roles = self.second_factor_roles.take().map(|names| roles(faults, &names));
        let notice = self.notice_html.take();
        let notice = notice.and_then(|text| parsed(faults, "notice_html", free::<String>(text)));
        let notice = notice.and_then(|text| parsed(faults, "notice_html", RichText::clean(&text)));
        Some(Change { named: self, roles, notice })
    }
}

fn roles(faults: &mut Faults, names: &[String]) -> BTreeSet<Role> {
    let mut roles = BTreeSet::new();
    for (index, name) in names.iter().take(Role::ALL.len() + 1).enumerate() {
        let field = || format!("second_factor_roles[{index}]");
        match name.parse() {
            Err(error) => faults.add(field(), format!("{error}")),
            Ok(role) if !roles.insert(role) => faults.add(field(), "is named twice"),
            Ok(_) => {}
        }
    }
    roles
}

impl Change {
    fn make(self, settings: &mut TenantSettings) {
        fn set<T>(setting: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *setting = value;
            }
        }
        let Self { named, roles, notice } = self;
        set(&mut settings.registration, named.registration);
        set(&mut settings.require_second_factor, named.require_second_factor);
        set(&mut settings.second_factor_roles, roles);
        set(&mut settings.notice_html, notice);
        set(&mut settings.second_factor_grace_s, named.second_factor_grace_s);
        set(&mut settings.refresh_reuse_grace_s, named.refresh_reuse_grace_s);
        set(&mut settings.support_access, named.support_access);
        set(&mut settings.session_idle_s, named.session_idle_s);
        set(&mut settings.session_lifetime_s, named.session_lifetime_s);
        set(&mut settings.password_chars_min, named.password_chars_min);
        set(&mut settings.password_chars_min_with_second_factor, named.password_chars_min_with_second_factor);
    }
}

/// `GET /v1/settings`: what the tenant has decided for itself; admins alone.
#[utoipa::path(get, path = "/v1/settings", tag = "settings", security(("bearer" = [])), responses(
    (status = 200, description = "Every setting.", body = SettingsBody),
))]
pub(crate) async fn settings(member: Member, Query(()): Query<()>) -> Result<Response, Problem> {
    let settings = ops::read(member.cx(), &member.claims).await?;
    Ok(Json(SettingsBody::from(settings)).into_response())
}

/// `PATCH /v1/settings`: changes those that are named; in force on the next request.
///
/// 409 `conflict` when somebody else changed them at the same moment: try again.
#[utoipa::path(patch, path = "/v1/settings", tag = "settings", operation_id = "change_settings",
    request_body = ChangeSettings, security(("bearer" = [])), responses(
        (status = 200, description = "Every setting, as it is now.", body = SettingsBody),
        (status = 409, description = "problem"),
    ),
)]
pub(crate) async fn change(member: Member, Valid(change): Valid<ChangeSettings>) -> Result<Response, Problem> {
    let (cx, claims) = (member.tenant.cx, member.claims);
    let settings = run(async move { ops::change(&cx, &claims, |settings| change.make(settings)).await }).await?;
    Ok(Json(SettingsBody::from(settings)).into_response())
}
