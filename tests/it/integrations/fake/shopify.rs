//! Shops, each at a name of its own below one domain, as Shopify runs them: only the newest tokens of a shop are good, and one that
//! was exchanged is taken again until the one that came for it is used.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use super::super::hex;
use super::{CANARY, CLIENT_SECRET, Fake, Known, Mode, wall};
use crate::support::{Asked, pairs};

/// The domain of all shops, without its port.
pub(crate) const DOMAIN: &str = "myshopify.test";
const CLIENT_ID: &str = "sh-id";

#[derive(Default)]
pub(super) struct Shops {
    /// Codes that were given out, and for which shop.
    codes: BTreeMap<String, String>,
    /// Of each shop the access token that is good.
    access: BTreeMap<String, String>,
    /// And the refresh tokens.
    refresh: BTreeMap<String, Vec<String>>,
    /// Whether tokens do not end.
    lasting: bool,
}

/// With what a shop sends a browser back.
pub(crate) type Parameters = Vec<(&'static str, String)>;

impl Fake {
    /// The settings that make the server known here.
    pub(super) fn shopify_settings(&self) -> [(&'static str, String); 3] {
        [
            ("FREEHOLD_INTEGRATIONS_SHOPIFY_CLIENT_ID", CLIENT_ID.to_owned()),
            ("FREEHOLD_INTEGRATIONS_SHOPIFY_CLIENT_SECRET", CLIENT_SECRET.to_owned()),
            ("FREEHOLD_INTEGRATIONS_SHOPIFY_DOMAIN", format!("{DOMAIN}:{}", self.tls.port())),
        ]
    }

    /// What somebody is sent back with who allows it at this address, and where to. Nothing is signed yet.
    pub(crate) fn consents(&self, url: &str) -> (String, Parameters) {
        let (shop, rest) = url.strip_prefix("https://").unwrap().split_once('/').unwrap();
        let (path, query) = rest.split_once('?').unwrap();
        assert_eq!(path, "admin/oauth/authorize");
        let shop = shop.strip_suffix(&format!(":{}", self.tls.port())).unwrap();
        let asked = pairs(query);
        let names: Vec<_> = asked.as_object().unwrap().keys().collect();
        assert_eq!(names, ["client_id", "redirect_uri", "scope", "state"]);
        assert_eq!((&asked["client_id"], &asked["scope"]), (&json!(CLIENT_ID), &json!("read_products")));
        let mut known = self.known.lock().unwrap();
        known.given += 1;
        let code = format!("code-{}", known.given);
        known.shops.codes.insert(code.clone(), shop.to_owned());
        let back = vec![
            ("code", code),
            ("host", "YWRtaW4uc2hvcGlmeS5jb20vc3RvcmUvb25l==".to_owned()),
            ("shop", shop.to_owned()),
            ("state", asked["state"].as_str().unwrap().to_owned()),
            ("timestamp", (wall().get() / 1_000).to_string()),
        ];
        (asked["redirect_uri"].as_str().unwrap().to_owned(), back)
    }

    /// Whether tokens do not end.
    pub(crate) fn lasting(&self, lasting: bool) {
        self.known.lock().unwrap().shops.lasting = lasting;
    }

    /// What a shop answers; `None` for a path that it has not.
    pub(super) fn shop_answers(known: &mut Known, asked: &Asked) -> Option<(u16, String, String)> {
        let plain = |status: u16| Some((status, String::new(), "{}".to_owned()));
        let host = asked.header("host").split(':').next().unwrap_or_default().to_owned();
        let token = asked.header("x-shopify-access-token").to_owned();
        let is_good = known.shops.access.get(&host) == Some(&token);
        match (asked.method(), asked.path()) {
            ("POST", "/admin/oauth/access_token") => Some(known.shop_tokens(asked, &host)),
            ("GET", "/admin/api/2026-07/shop.json") => plain(if is_good { 200 } else { 401 }),
            ("DELETE", "/admin/api_permissions/current.json") if !known.revokes => plain(503),
            ("DELETE", "/admin/api_permissions/current.json") if is_good => {
                known.shops.access.remove(&host);
                known.shops.refresh.remove(&host);
                known.revoked.push(token);
                plain(200)
            }
            ("DELETE", "/admin/api_permissions/current.json") => plain(401),
            _ => None,
        }
    }
}

impl Known {
    fn shop_tokens(&mut self, asked: &Asked, host: &str) -> (u16, String, String) {
        assert_eq!(asked.header("content-type"), "application/json");
        let sent: Value = serde_json::from_str(&asked.body).unwrap();
        assert_eq!((&sent["client_id"], &sent["client_secret"]), (&json!(CLIENT_ID), &json!(CLIENT_SECRET)));
        let is_refresh = sent["grant_type"] == "refresh_token";
        self.asked.push(if is_refresh { "sh refresh_token".to_owned() } else { "sh code".to_owned() });
        let refused = |error: &str| (400, String::new(), json!({ "error": error }).to_string());
        match self.mode {
            Mode::Fails => return (500, String::new(), "{}".to_owned()),
            Mode::Over => return refused("invalid_grant"),
            Mode::Refuses => return refused("invalid_request"),
            Mode::Good | Mode::Hangs | Mode::Loses | Mode::Babbles => {}
        }
        let shown = sent["refresh_token"].as_str().unwrap_or_default().to_owned();
        let is_good = if is_refresh {
            self.shops.refresh.get(host).is_some_and(|known| known.contains(&shown))
        } else {
            assert_eq!(sent["expiring"], "1");
            self.shops.codes.remove(sent["code"].as_str().unwrap()).as_deref() == Some(host)
        };
        if !is_good {
            return refused("invalid_grant");
        }
        self.given += 1;
        let (access, next) = (format!("{CANARY}-a{}", self.given), format!("{CANARY}-r{}", self.given));
        self.shops.access.insert(host.to_owned(), access.clone());
        if self.shops.lasting {
            self.shops.refresh.remove(host);
            return (200, String::new(), json!({ "access_token": access, "scope": "read_products" }).to_string());
        }
        let still_good = if is_refresh { vec![shown, next.clone()] } else { vec![next.clone()] };
        self.shops.refresh.insert(host.to_owned(), still_good);
        let body = json!({
            "access_token": access, "scope": "read_products", "expires_in": self.lasts_s,
            "refresh_token": next, "refresh_token_expires_in": 7_776_000,
        });
        (200, String::new(), body.to_string())
    }
}

/// The address `to` with these parameters and the signature of all of them. They are in the order of their names.
pub(crate) fn signed(to: &str, parameters: &[(&'static str, String)]) -> String {
    let query = query(parameters);
    format!("{to}?{query}&hmac={}", mac(&query))
}

/// Parameters as browsers write them.
pub(crate) fn query(parameters: &[(&'static str, String)]) -> String {
    let escaped = |text: &str| text.replace('%', "%25").replace('=', "%3D").replace('&', "%26");
    parameters.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect::<Vec<_>>().join("&")
}

pub(crate) fn mac(text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(CLIENT_SECRET.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    hex(&mac.finalize().into_bytes())
}
