//! `[integrations]`: what this server is to the services that tenants connect. One of those that give out tokens can be connected
//! when it has a client id.

use std::path::Path;

use freehold_actors::integrations::{AppRule, IntegrationsRule};

use super::oauth::{Names, client, url};
use super::values::Values;

pub(super) const QUICKBOOKS_SECRET: &str = "integrations.quickbooks_client_secret";
pub(super) const SQUARE_SECRET: &str = "integrations.square_client_secret";
const TWILIO_API_URL: &str = "integrations.twilio_api_url";

const QUICKBOOKS: App = App {
    client: Names {
        id: "integrations.quickbooks_client_id",
        secret: QUICKBOOKS_SECRET,
        secret_file: "integrations.quickbooks_client_secret_file",
        authorize_url: "integrations.quickbooks_authorize_url",
        token_url: "integrations.quickbooks_token_url",
    },
    revoke_url: "integrations.quickbooks_revoke_url",
    api_url: "integrations.quickbooks_api_url",
};
const SQUARE: App = App {
    client: Names {
        id: "integrations.square_client_id",
        secret: SQUARE_SECRET,
        secret_file: "integrations.square_client_secret_file",
        authorize_url: "integrations.square_authorize_url",
        token_url: "integrations.square_token_url",
    },
    revoke_url: "integrations.square_revoke_url",
    api_url: "integrations.square_api_url",
};

pub(super) const SETTINGS: &[&str] = &[
    QUICKBOOKS.client.id,
    QUICKBOOKS.client.secret,
    QUICKBOOKS.client.secret_file,
    QUICKBOOKS.client.authorize_url,
    QUICKBOOKS.client.token_url,
    QUICKBOOKS.revoke_url,
    QUICKBOOKS.api_url,
    SQUARE.client.id,
    SQUARE.client.secret,
    SQUARE.client.secret_file,
    SQUARE.client.authorize_url,
    SQUARE.client.token_url,
    SQUARE.revoke_url,
    SQUARE.api_url,
    TWILIO_API_URL,
];

/// The settings of a service that gives out tokens.
struct App {
    client: Names,
    revoke_url: &'static str,
    api_url: &'static str,
}

pub(super) fn read(values: &mut Values, data_dir: Option<&Path>) -> Option<IntegrationsRule> {
    let quickbooks = app(values, &QUICKBOOKS, data_dir);
    let square = app(values, &SQUARE, data_dir);
    let twilio_api_url = url(values, TWILIO_API_URL)?;
    Some(IntegrationsRule { quickbooks, square, twilio_api_url })
}

/// What this server is to it; `None` when it is nothing to it, or something is wrong.
fn app(values: &mut Values, app: &App, data_dir: Option<&Path>) -> Option<AppRule> {
    let client = client(values, &app.client, data_dir);
    let (revoke_url, api_url) = (url(values, app.revoke_url), url(values, app.api_url));
    Some(AppRule { client: client?, revoke_url: revoke_url?, api_url: api_url? })
}
