//! `GET /oauth/callback` on the platform's own domain: the one address that providers send everybody back to.
//!
//! The state says whose sign-in it is. From here on the browser goes to the tenant's host, with a code or with the name of
//! a problem; a state that nobody knows leads nowhere.

use axum::Extension;
use axum::http::Method;
use axum::response::Response;
use freehold_actors::ops::oauth::{self as ops, CameBack, Ended, Returned};
use freehold_domain::oauth::state::State;
use freehold_domain::secret::Secret;

use super::see_other;
use crate::admission::Entered;
use crate::caller::run;
use crate::faults::Faults;
use crate::problem::{Kind, Problem};
use crate::query::{FromParams, Params, Query};

/// Most characters of a code.
const CODE_CHARS_MAX: usize = 2_048;

/// What a provider sends back (RFC 6749 §4.1.2). What it sends besides is not looked at.
#[derive(Debug)]
pub(crate) struct Callback {
    state: Option<State>,
    returned: Returned,
    issuer: Option<String>,
}

impl FromParams for Callback {
    fn from_params(params: &mut Params, _: &mut Faults) -> Option<Self> {
        let state = params.take("state").and_then(|text| text.parse().ok());
        let fits = |code: &String| code.len() <= CODE_CHARS_MAX && code.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let returned = match (params.take("error").as_deref(), params.take("code").filter(fits)) {
            (None, Some(code)) => Returned::Code(Secret::new(code)),
            (Some("access_denied"), None) => Returned::Denied,
            (_, _) => Returned::Failed,
        };
        let issuer = params.take("iss");
        params.ignore_rest();
        Some(Self { state, returned, issuer })
    }
}

/// Takes the code to the provider, and sends the browser home.
pub(crate) async fn callback(
    Extension(entered): Extension<Entered>,
    Query(Callback { state, returned, issuer }): Query<Callback>,
) -> Result<Response, Problem> {
    let expired = || Problem::new(Kind::OauthExpired);
    let state = state.ok_or_else(expired)?;
    let tenant = entered.admit_to(state.tenant, &Method::POST).await;
    // Whether there is such a tenant is not for strangers to learn.
    let cx = tenant.map_err(|problem| if problem.kind() == Kind::NotFound { expired() } else { problem })?;
    let CameBack { ended, home } =
        run(async move { ops::callback(&cx, &state, returned, issuer.as_deref()).await }).await?;
    let fragment = match ended {
        Ended::HandedOff(code) => format!("code={}", code.expose()),
        Ended::Refused(refusal) => format!("error={}", Problem::from(refusal).kind().slug()),
    };
    see_other(&format!("{home}/auth/handoff#{fragment}"))
}
