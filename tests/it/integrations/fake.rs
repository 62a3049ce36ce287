//! Providers made by hand that speak like QuickBooks, Square, Shopify, Twilio and a service like `OpenAI`'s, and fail as they are
//! told to.

pub(super) mod shopify;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use freehold_domain::rfc3339;
use freehold_domain::time::UnixMs;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::sleep;

use self::shopify::Shops;
use crate::support::{Asked, Authority, Folder, Options};

pub(super) const SID: &str = "AC0123456789abcdef0123456789abcdef";
pub(super) const TOKEN: &str = "deadbeefcafef00ddeadbeefcafef00d";
pub(super) const API_KEY: &str = "sk-cAnArY-openai-key-4321";
pub(super) const REALM: &str = "9130347957983146";
const MERCHANT: &str = "MLEFBHHSJGVHD";
const CLIENT_SECRET: &str = "cAnArY-client-secret";
/// What every token of its own begins with.
pub(super) const CANARY: &str = "cAnArY-token";

/// Bytes of an answer that are more than is read.
const BABBLE_BYTES: usize = 300 * 1_024;

/// How token endpoints behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Good,
    /// 500.
    Fails,
    /// Takes the request and says nothing.
    Hangs,
    /// Says that the grant is over.
    Over,
    /// Another refusal.
    Refuses,
    /// Rotates and hangs up: the answer is lost.
    Loses,
    /// Gives out tokens, and says more besides than anybody reads.
    Babbles,
}

struct Known {
    mode: Mode,
    /// How long tokens last.
    lasts_s: u64,
    /// How long a token endpoint takes.
    takes: Duration,
    /// Codes that were given out, and for which address to come back to.
    codes: BTreeMap<String, String>,
    given: usize,
    /// The access tokens that are good, and the refresh tokens, by provider.
    access: Vec<String>,
    refresh: BTreeMap<&'static str, Vec<String>>,
    revoked: Vec<String>,
    revokes: bool,
    /// How many requests have come to token endpoints, answered or not.
    come: usize,
    /// What token endpoints were asked, as `provider grant_type`.
    asked: Vec<String>,
    /// Every refresh token that was shown.
    shown: Vec<String>,
    denies: bool,
    shops: Shops,
}

/// All of them.
#[derive(Clone)]
pub(super) struct Fake {
    address: SocketAddr,
    tls: SocketAddr,
    known: Arc<Mutex<Known>>,
}

impl Fake {
    pub(super) async fn start(authority: &Authority, folder: &Folder) -> Self {
        let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let tls = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let known = Known {
            mode: Mode::Good,
            lasts_s: 3_600,
            takes: Duration::ZERO,
            codes: BTreeMap::new(),
            given: 0,
            access: vec![],
            refresh: BTreeMap::new(),
            revoked: vec![],
            revokes: true,
            come: 0,
            asked: vec![],
            shown: vec![],
            denies: false,
            shops: Shops::default(),
        };
        let fake = Self {
            address: plain.local_addr().unwrap(),
            tls: tls.local_addr().unwrap(),
            known: Arc::new(Mutex::new(known)),
        };
        let acceptor = authority.certify(folder.path(), "ai", &["ai.test", "*.myshopify.test"]).acceptor();
        let (one, two) = (fake.clone(), fake.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = plain.accept().await {
                let fake = one.clone();
                tokio::spawn(async move { fake.serve(stream).await });
            }
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = tls.accept().await {
                let (fake, acceptor) = (two.clone(), acceptor.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        fake.serve(stream).await;
                    }
                });
            }
        });
        fake
    }

    pub(super) fn configure(&self, mut options: Options) -> Options {
        let at = format!("http://{}", self.address);
        for (name, short) in [("QUICKBOOKS", "qb"), ("SQUARE", "sq")] {
            let set = |options: Options, setting: &str, value: String| {
                options.env(&format!("FREEHOLD_INTEGRATIONS_{name}_{setting}"), &value)
            };
            options = set(options, "CLIENT_ID", format!("{short}-id"));
            options = set(options, "CLIENT_SECRET", CLIENT_SECRET.to_owned());
            for url in ["authorize", "token", "revoke", "api"] {
                options = set(options, &format!("{}_URL", url.to_uppercase()), format!("{at}/{short}/{url}"));
            }
        }
        for (name, value) in self.shopify_settings() {
            options = options.env(name, &value);
        }
        options.env("FREEHOLD_INTEGRATIONS_TWILIO_API_URL", &format!("{at}/twilio"))
    }

    /// The base of the service like `OpenAI`'s.
    pub(super) fn base_url(&self) -> String {
        format!("https://ai.test:{}/v1", self.tls.port())
    }

    pub(super) fn mode(&self, mode: Mode) {
        self.known.lock().unwrap().mode = mode;
    }

    pub(super) fn takes(&self, takes: Duration) {
        self.known.lock().unwrap().takes = takes;
    }

    pub(super) fn denies(&self) {
        self.known.lock().unwrap().denies = true;
    }

    /// Whether revocation is answered.
    pub(super) fn revokes(&self, revokes: bool) {
        self.known.lock().unwrap().revokes = revokes;
    }

    pub(super) fn revoked(&self) -> Vec<String> {
        self.known.lock().unwrap().revoked.clone()
    }

    /// How often this was asked of a token endpoint, such as `qb refresh_token`.
    pub(super) fn asked(&self, what: &str) -> usize {
        self.known.lock().unwrap().asked.iter().filter(|asked| *asked == what).count()
    }

    /// How many requests have come to token endpoints, answered or not.
    pub(super) fn come(&self) -> usize {
        self.known.lock().unwrap().come
    }

    /// Asserts that no refresh token of QuickBooks', which rotate, was shown twice.
    pub(super) fn no_token_was_shown_twice(&self) {
        let shown = self.known.lock().unwrap().shown.clone();
        let mut once = shown.clone();
        once.sort();
        once.dedup();
        assert_eq!(shown.len(), once.len(), "{shown:?}");
    }

    async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let Some(asked) = Asked::read(&mut stream).await else { return };
        let is_token = asked.path().ends_with("token");
        let (mode, takes) = {
            let mut known = self.known.lock().unwrap();
            known.come += usize::from(is_token);
            (known.mode, known.takes)
        };
        if is_token {
            sleep(takes).await;
        }
        let (status, head, body) = match mode {
            Mode::Hangs if is_token => {
                self.answer(&asked);
                return sleep(Duration::from_mins(1)).await;
            }
            Mode::Loses if is_token => {
                self.answer(&asked);
                return;
            }
            Mode::Babbles if is_token => {
                let (status, head, body) = self.answer(&asked);
                (status, head, format!("{body}{}", " ".repeat(BABBLE_BYTES)))
            }
            Mode::Good | Mode::Fails | Mode::Hangs | Mode::Over | Mode::Refuses | Mode::Loses | Mode::Babbles => {
                self.answer(&asked)
            }
        };
        let text = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{head}content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        drop(stream.write_all(text.as_bytes()).await);
        drop(stream.shutdown().await);
    }

    fn answer(&self, asked: &Asked) -> (u16, String, String) {
        let mut known = self.known.lock().unwrap();
        let plain = |status: u16| (status, String::new(), "{}".to_owned());
        let json = |status: u16, body: Value| (status, String::new(), body.to_string());
        let bearer = asked.header("authorization").strip_prefix("Bearer ").unwrap_or_default().to_owned();
        match asked.path() {
            "/qb/authorize" | "/sq/authorize" => {
                (302, format!("location: {}\r\n", known.authorize(asked)), String::new())
            }
            "/qb/token" | "/sq/token" => known.tokens(asked),
            "/qb/revoke" | "/sq/revoke" => {
                let body: Value = serde_json::from_str(&asked.body).unwrap();
                let is_square = asked.path() == "/sq/revoke";
                let opens = if is_square { format!("Client {CLIENT_SECRET}") } else { basic("qb-id", CLIENT_SECRET) };
                assert_eq!(asked.header("authorization"), opens);
                if !known.revokes {
                    return plain(503);
                }
                let token = if is_square { &body["access_token"] } else { &body["token"] };
                known.revoked.push(token.as_str().unwrap().to_owned());
                plain(200)
            }
            "/sq/api/v2/merchants/me" => plain(if known.access.contains(&bearer) { 200 } else { 401 }),
            path if path == format!("/qb/api/v3/company/{REALM}/companyinfo/{REALM}") => {
                plain(if known.access.contains(&bearer) { 200 } else { 401 })
            }
            path if path == format!("/twilio/2010-04-01/Accounts/{SID}.json") => {
                plain(if asked.header("authorization") == basic(SID, TOKEN) { 200 } else { 401 })
            }
            "/v1/models" => json(if bearer == API_KEY { 200 } else { 401 }, json!({ "data": [] })),
            _ => Self::shop_answers(&mut known, asked).unwrap_or_else(|| plain(404)),
        }
    }
}

impl Known {
    fn authorize(&mut self, asked: &Asked) -> String {
        let (state, back) =
            (asked.parameter("state").unwrap_or_default(), asked.parameter("redirect_uri").unwrap_or_default());
        assert_eq!(asked.parameter("response_type").unwrap_or_default(), "code");
        let is_square = asked.path().starts_with("/sq");
        assert_eq!(asked.parameter("client_id").unwrap_or_default(), if is_square { "sq-id" } else { "qb-id" });
        if self.denies {
            return format!("{back}?error=access_denied&state={state}");
        }
        self.given += 1;
        let code = format!("code-{}", self.given);
        self.codes.insert(code.clone(), back.clone());
        let realm = if is_square { String::new() } else { format!("&realmId={REALM}") };
        format!("{back}?code={code}&state={state}{realm}")
    }

    /// As QuickBooks answers forms, and Square JSON; QuickBooks' refresh tokens rotate.
    fn tokens(&mut self, asked: &Asked) -> (u16, String, String) {
        let is_square = asked.path() == "/sq/token";
        let provider = if is_square { "sq" } else { "qb" };
        let sent: Value = if is_square { serde_json::from_str(&asked.body).unwrap() } else { asked.form() };
        if is_square {
            assert_eq!(
                (sent["client_id"].as_str(), sent["client_secret"].as_str()),
                (Some("sq-id"), Some(CLIENT_SECRET))
            );
        } else {
            assert_eq!(asked.header("authorization"), basic("qb-id", CLIENT_SECRET));
        }
        let grant_type = sent["grant_type"].as_str().unwrap();
        self.asked.push(format!("{provider} {grant_type}"));
        let refused = |error: &str| (400, String::new(), json!({ "error": error }).to_string());
        match self.mode {
            Mode::Fails => return (500, String::new(), "{}".to_owned()),
            Mode::Over => return refused("invalid_grant"),
            Mode::Refuses => return refused("invalid_client"),
            Mode::Good | Mode::Hangs | Mode::Loses | Mode::Babbles => {}
        }
        let is_good = if grant_type == "authorization_code" {
            let back = self.codes.remove(sent["code"].as_str().unwrap());
            back.is_some_and(|back| sent["redirect_uri"] == back)
        } else {
            let token = sent["refresh_token"].as_str().unwrap().to_owned();
            let is_known = self.refresh.get(provider).is_some_and(|known| known.contains(&token));
            if !is_square {
                self.shown.push(token);
            }
            is_known
        };
        if !is_good {
            return refused("invalid_grant");
        }
        self.given += 1;
        let (access, next) = (format!("{CANARY}-a{}", self.given), format!("{CANARY}-r{}", self.given));
        self.access.push(access.clone());
        let known = self.refresh.entry(provider).or_default();
        if !is_square {
            known.clear(); // one that was exchanged is not taken again
        }
        known.push(next.clone());
        let mut body = json!({ "access_token": access, "refresh_token": next, "token_type": "bearer" });
        if is_square {
            body["expires_at"] = json!(rfc3339::text(wall().plus(Duration::from_secs(self.lasts_s))));
            body["merchant_id"] = json!(MERCHANT);
        } else {
            body["expires_in"] = json!(self.lasts_s);
            body["x_refresh_token_expires_in"] = json!(8_726_400);
        }
        (200, String::new(), body.to_string())
    }
}

fn wall() -> UnixMs {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    UnixMs::new(i64::try_from(since.as_millis()).unwrap())
}

fn basic(user: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{secret}")))
}
