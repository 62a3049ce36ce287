//! `[integrations]`: what this server is to the services that tenants connect. One of those that give out tokens can be connected
//! when it has a client id.

use std::path::Path;

use freehold_actors::integrations::{AppRule, IntegrationsRule, ShopifyRule};
use freehold_domain::integration::shopify::ShopDomain;

use super::oauth::{Credentials, Names, client, credentials, url};
use super::values::Values;

pub(super) const QUICKBOOKS_SECRET: &str = "integrations.quickbooks_client_secret";
pub(super) const SQUARE_SECRET: &str = "integrations.square_client_secret";
pub(super) const SHOPIFY_SECRET: &str = "integrations.shopify_client_secret";
const SHOPIFY_SCOPES: &str = "integrations.shopify_scopes";
const SHOPIFY_DOMAIN: &str = "integrations.shopify_domain";
const TWILIO_API_URL: &str = "integrations.twilio_api_url";

const QUICKBOOKS: App = App {
    client: Names {
        credentials: Credentials {
            id: "integrations.quickbooks_client_id",
            secret: QUICKBOOKS_SECRET,
            secret_file: "integrations.quickbooks_client_secret_file",
        },
        authorize_url: "integrations.quickbooks_authorize_url",
        token_url: "integrations.quickbooks_token_url",
    },
    revoke_url: "integrations.quickbooks_revoke_url",
    api_url: "integrations.quickbooks_api_url",
};
const SQUARE: App = App {
    client: Names {
        credentials: Credentials {
            id: "integrations.square_client_id",
            secret: SQUARE_SECRET,
            secret_file: "integrations.square_client_secret_file",
        },
        authorize_url: "integrations.square_authorize_url",
        token_url: "integrations.square_token_url",
    },
    revoke_url: "integrations.square_revoke_url",
    api_url: "integrations.square_api_url",
};
const SHOPIFY: Credentials = Credentials {
    id: "integrations.shopify_client_id",
    secret: SHOPIFY_SECRET,
    secret_file: "integrations.shopify_client_secret_file",
};

/// Characters of a list of scopes.
const SCOPES_CHARS_MAX: usize = 2_048;

pub(super) const SETTINGS: &[&str] = &[
    QUICKBOOKS.client.credentials.id,
    QUICKBOOKS.client.credentials.secret,
    QUICKBOOKS.client.credentials.secret_file,
    QUICKBOOKS.client.authorize_url,
    QUICKBOOKS.client.token_url,
    QUICKBOOKS.revoke_url,
    QUICKBOOKS.api_url,
    SQUARE.client.credentials.id,
    SQUARE.client.credentials.secret,
    SQUARE.client.credentials.secret_file,
    SQUARE.client.authorize_url,
    SQUARE.client.token_url,
    SQUARE.revoke_url,
    SQUARE.api_url,
    SHOPIFY.id,
    SHOPIFY.secret,
    SHOPIFY.secret_file,
    SHOPIFY_SCOPES,
    SHOPIFY_DOMAIN,
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
    let shopify = shopify(values, data_dir);
    let twilio_api_url = url(values, TWILIO_API_URL)?;
    Some(IntegrationsRule { quickbooks, square, shopify, twilio_api_url })
}

/// What this server is to Shopify; `None` when it is nothing to it, or something is wrong.
fn shopify(values: &mut Values, data_dir: Option<&Path>) -> Option<ShopifyRule> {
    let client = credentials(values, &SHOPIFY, data_dir);
    let remedy = "write names with commas between, like read_products,read_orders";
    let scopes = values.read(SHOPIFY_SCOPES, "a list of scopes", remedy, scopes);
    let remedy = "write a name with a dot in lower case, like myshopify.com";
    let domain = values.read(SHOPIFY_DOMAIN, "the domain of all shops", remedy, ShopDomain::parse);
    let (client_id, client_secret) = client?;
    Some(ShopifyRule { client_id, client_secret, scopes: scopes?, domain: domain? })
}

/// Names of scopes with commas between, at least one: Shopify asks nobody for nothing.
fn scopes(text: &str) -> Option<String> {
    let is_name =
        |name: &str| !name.is_empty() && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    (text.len() <= SCOPES_CHARS_MAX && text.split(',').all(is_name)).then(|| text.to_owned())
}

/// What this server is to it; `None` when it is nothing to it, or something is wrong.
fn app(values: &mut Values, app: &App, data_dir: Option<&Path>) -> Option<AppRule> {
    let client = client(values, &app.client, data_dir);
    let (revoke_url, api_url) = (url(values, app.revoke_url), url(values, app.api_url));
    Some(AppRule { client: client?, revoke_url: revoke_url?, api_url: api_url? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_names_with_commas_between() {
        for good in ["read_products", "read_products,write_orders,read_x2"] {
            assert_eq!(scopes(good).as_deref(), Some(good));
        }
        let long = "a".repeat(SCOPES_CHARS_MAX + 1);
        for wrong in
            ["", ",", "read_products,", "read products", "read-products", "Read_products", "a,,b", "a\n", &long]
        {
            assert_eq!(scopes(wrong), None, "{wrong}");
        }
    }
}
