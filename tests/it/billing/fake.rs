//! A Stripe made by hand: it keeps customers, pages, subscriptions and accounts, answers a key twice with the same, and fails as it is
//! told to. What the official library asks it is what it is asked here: see `same_as_the_library`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::support::{Asked, Options, pairs};

pub(super) const KEY: &str = "sk_test_cAnArY0stripe0key";
/// What its answers tell that must never be stored.
pub(super) const CANARY: &str = "cAnArY0personal";

/// How it behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Good,
    /// 500, and what it answered it answers again under the same key.
    Fails,
    /// 429 that asks for a minute.
    Limits,
    /// Takes the request and says nothing.
    Hangs,
    /// Does it and hangs up.
    Loses,
    /// Does it, and a gateway before it answers 502.
    Gateway,
    /// Is still at the first request of this key.
    IsBusy,
    /// Does not know the key of the account.
    Refuses,
    /// Answers with a page.
    TalksHtml,
}

/// A call as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) target: String,
    /// By name.
    pub(super) form: BTreeMap<String, String>,
    pub(super) version: String,
    pub(super) once: String,
    pub(super) account: String,
}

struct Known {
    mode: Mode,
    calls: Vec<Call>,
    /// What was answered under a key, to which call.
    answered: BTreeMap<String, (Call, u16, Value)>,
    made: usize,
    /// Pages to pay at, and whether each is open.
    pages: Vec<(Value, bool)>,
    accounts: Vec<Value>,
    /// Customers who are gone.
    gone: Vec<String>,
    /// Whether accounts have money in them.
    is_rich: bool,
    payouts: Vec<Value>,
}

/// All of it.
#[derive(Clone)]
pub(super) struct Fake {
    address: SocketAddr,
    known: Arc<Mutex<Known>>,
}

impl Fake {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let known = Known {
            mode: Mode::Good,
            calls: vec![],
            answered: BTreeMap::new(),
            made: 0,
            pages: vec![],
            accounts: vec![],
            gone: vec![],
            is_rich: false,
            payouts: vec![],
        };
        let fake = Self { address: listener.local_addr().unwrap(), known: Arc::new(Mutex::new(known)) };
        let serving = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let fake = serving.clone();
                tokio::spawn(async move { fake.serve(stream).await });
            }
        });
        fake
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn configure(&self, options: Options) -> Options {
        options
            .env("FREEHOLD_BILLING_STRIPE_API_URL", &format!("http://{}", self.address))
            .env("FREEHOLD_BILLING_STRIPE_SECRET_KEY", KEY)
            .env("FREEHOLD_BILLING_PRICE_PRO", "price_pro")
            .env("FREEHOLD_BILLING_PRICE_BUSINESS", "price_business")
            .env("FREEHOLD_BILLING_PAYOUTS", "true")
            .env("FREEHOLD_BILLING_MEMBERS_MAX", "2,4,off")
            .env("FREEHOLD_BILLING_API_KEYS_MAX", "1,3,off")
            .env("FREEHOLD_BILLING_WEBHOOK_ENDPOINTS_MAX", "0,2,off")
    }

    pub(super) fn mode(&self, mode: Mode) {
        self.known.lock().unwrap().mode = mode;
    }

    /// Somebody deletes a customer there.
    pub(super) fn loses(&self, customer: &str) {
        self.known.lock().unwrap().gone.push(customer.to_owned());
    }

    pub(super) fn is_rich(&self, is_rich: bool) {
        self.known.lock().unwrap().is_rich = is_rich;
    }

    /// Every call so far.
    pub(super) fn calls(&self) -> Vec<Call> {
        self.known.lock().unwrap().calls.clone()
    }

    /// The calls so far of this method to this path, whatever its query.
    pub(super) fn calls_of(&self, method: &str, path: &str) -> Vec<Call> {
        let is_it = |call: &Call| call.method == method && call.target.split('?').next() == Some(path);
        self.calls().into_iter().filter(is_it).collect()
    }

    /// Pays at the page with this address: the subscription that is there then.
    pub(super) fn pay(&self, url: &str) -> Value {
        let mut known = self.known.lock().unwrap();
        known.made += 1;
        let id = format!("sub_{}", known.made);
        let page = known.pages.iter_mut().find(|(page, is_open)| *is_open && page["url"] == url).expect("an open page");
        page.1 = false;
        let asked = &page.0["asked"];
        json!({ "id": id, "object": "subscription", "customer": asked["customer"], "status": "active",
            "cancel_at_period_end": false, "description": CANARY, "default_payment_method": "pm_cAnArY0personal",
            "metadata": { "freehold_tenant": asked["subscription_data[metadata][freehold_tenant]"] },
            "items": { "data": [{ "price": { "id": asked["line_items[0][price]"] },
                "current_period_start": super::now_s(), "current_period_end": super::now_s() + 30 * 86_400 }] } })
    }

    /// The pages at which somebody could pay.
    pub(super) fn open_pages(&self) -> usize {
        self.known.lock().unwrap().pages.iter().filter(|(_, is_open)| *is_open).count()
    }

    /// The account with this id once its owner has told what is wanted: the object that events of it have.
    pub(super) fn onboard(&self, id: &str) -> Value {
        let mut known = self.known.lock().unwrap();
        let account = known.accounts.iter_mut().find(|account| account["id"] == id).expect("the account");
        for field in ["charges_enabled", "payouts_enabled", "details_submitted"] {
            account[field] = json!(true);
        }
        account.clone()
    }

    pub(super) fn pays_out(&self, amounts: &[i64]) {
        let payout = |(n, amount): (usize, &i64)| {
            json!({ "id": format!("po_{n}"), "object": "payout", "amount": amount, "currency": "eur", "status": "paid",
                "created": 1_790_000_000, "arrival_date": 1_790_086_400, "destination": format!("ba_{CANARY}") })
        };
        self.known.lock().unwrap().payouts = amounts.iter().enumerate().map(payout).collect();
    }

    async fn serve(&self, mut stream: TcpStream) {
        while let Some(asked) = Asked::read(&mut stream).await {
            let mode = self.known.lock().unwrap().mode;
            let (status, body) = self.known.lock().unwrap().answer(&asked, self.address);
            match mode {
                Mode::Hangs => return sleep(Duration::from_mins(1)).await,
                Mode::Loses => return,
                Mode::Good
                | Mode::Fails
                | Mode::Limits
                | Mode::Gateway
                | Mode::IsBusy
                | Mode::Refuses
                | Mode::TalksHtml => {}
            }
            let status = if mode == Mode::Gateway { 502 } else { status };
            let body = if mode == Mode::TalksHtml { "<html>".to_owned() } else { body.to_string() };
            let head = if status == 429 { "retry-after: 60\r\n" } else { "" };
            let text = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{head}content-length: {}\r\n\r\n{body}",
                body.len()
            );
            if stream.write_all(text.as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

fn refused(status: u16, kind: &str, code: Option<&str>) -> (u16, Value) {
    (status, json!({ "error": { "type": kind, "code": code, "message": format!("{CANARY}: no") } }))
}

impl Known {
    fn answer(&mut self, asked: &Asked, address: SocketAddr) -> (u16, Value) {
        let form: Value = pairs(&asked.body);
        let form = form.as_object().unwrap().iter().map(|(name, value)| (name.clone(), text(value))).collect();
        let (method, target) = (asked.method().to_owned(), asked.target().to_owned());
        let header = |name: &str| asked.header(name).to_owned();
        let (version, once, account) = (header("stripe-version"), header("idempotency-key"), header("stripe-account"));
        let call = Call { method, target, form, version, once, account };
        self.calls.push(call.clone());
        if self.mode == Mode::Refuses || asked.header("authorization") != format!("Bearer {KEY}") {
            return refused(401, "invalid_request_error", None);
        }
        match self.mode {
            Mode::Limits => return refused(429, "rate_limit_error", None),
            Mode::IsBusy => return refused(409, "idempotency_error", Some("idempotency_key_in_use")),
            Mode::Good | Mode::Fails | Mode::Hangs | Mode::Loses | Mode::Gateway | Mode::Refuses | Mode::TalksHtml => {}
        }
        if let Some((first, status, body)) = self.answered.get(&call.once) {
            let is_same = (&first.target, &first.form) == (&call.target, &call.form);
            return if is_same { (*status, body.clone()) } else { refused(400, "idempotency_error", None) };
        }
        let (status, body) =
            if self.mode == Mode::Fails { refused(500, "api_error", None) } else { self.act(&call, asked, address) };
        if !call.once.is_empty() {
            self.answered.insert(call.once.clone(), (call, status, body.clone()));
        }
        (status, body)
    }

    fn act(&mut self, call: &Call, asked: &Asked, address: SocketAddr) -> (u16, Value) {
        let page = |path: String| (200, page(address, &path));
        let parts: Vec<&str> = asked.path().split('/').skip(2).collect();
        match (call.method.as_str(), parts.as_slice()) {
            ("POST", ["customers"]) => {
                self.made += 1;
                (200, json!({ "id": format!("cus_{}", self.made), "email": format!("{CANARY}@example.com") }))
            }
            ("GET", ["checkout", "sessions"]) => {
                assert_eq!(asked.parameter("status").unwrap_or_default(), "open");
                let customer = asked.parameter("customer").unwrap_or_default();
                let open =
                    self.pages.iter().filter(|(page, is_open)| *is_open && page["asked"]["customer"] == customer);
                list(&open.map(|(page, _)| page).collect::<Vec<_>>(), false)
            }
            ("POST", ["checkout" | "billing_portal", "sessions"]) if self.gone.contains(&call.form["customer"]) => {
                let error = json!({ "type": "invalid_request_error", "code": "resource_missing", "param": "customer" });
                (400, json!({ "error": error }))
            }
            ("POST", ["checkout", "sessions"]) => {
                self.made += 1;
                let id = format!("cs_test_{}", self.made);
                let asked: Map<_, _> = call.form.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
                let page = json!({ "id": id, "url": format!("http://{address}/pay/{id}"), "asked": asked });
                self.pages.push((page.clone(), true));
                (200, page)
            }
            ("POST", ["checkout", "sessions", id, "expire"]) => {
                let page = self.pages.iter_mut().find(|(page, _)| page["id"] == **id).expect("the page");
                page.1 = false;
                (200, page.0.clone())
            }
            ("GET", ["prices", "price_pro"]) => (200, json!({ "active": true, "recurring": { "interval": "month" } })),
            ("GET", ["prices", "price_once"]) => (200, json!({ "active": true, "recurring": null })),
            ("GET", ["prices", _]) => refused(404, "invalid_request_error", Some("resource_missing")),
            ("POST", ["billing_portal", "sessions"]) => page(format!("/portal/{}", call.form["customer"])),
            _ => self.act_on_accounts(call, asked, address),
        }
    }

    fn act_on_accounts(&mut self, call: &Call, asked: &Asked, address: SocketAddr) -> (u16, Value) {
        let page = |path: String| (200, page(address, &path));
        let parts: Vec<&str> = asked.path().split('/').skip(2).collect();
        match (call.method.as_str(), parts.as_slice()) {
            ("POST", ["accounts"]) => {
                self.made += 1;
                let account = json!({ "id": format!("acct_{}", self.made), "email": format!("{CANARY}@example.com"),
                    "charges_enabled": false, "payouts_enabled": false, "details_submitted": false,
                    "metadata": { "freehold_tenant": call.form["metadata[freehold_tenant]"] } });
                self.accounts.push(account.clone());
                (200, account)
            }
            ("POST", ["account_links"]) => page(format!("/onboard/{}", call.form["account"])),
            ("POST", ["accounts", id, "login_links"]) => match self.account(id) {
                Some(account) if account["details_submitted"] == true => page(format!("/express/{id}")),
                Some(_) => refused(400, "invalid_request_error", None),
                None => refused(404, "invalid_request_error", Some("resource_missing")),
            },
            ("DELETE", ["accounts", id]) => {
                if self.account(id).is_none() {
                    return refused(404, "invalid_request_error", Some("resource_missing"));
                }
                if self.is_rich {
                    return refused(400, "invalid_request_error", None);
                }
                self.accounts.retain(|account| account["id"] != **id);
                (200, json!({ "id": id, "object": "account", "deleted": true }))
            }
            ("GET", ["payouts"]) => {
                if self.account(&call.account).is_none() {
                    return refused(403, "invalid_request_error", Some("account_invalid"));
                }
                let after = asked.parameter("starting_after").unwrap_or_default();
                let begin = self.payouts.iter().position(|payout| payout["id"] == after).map_or(0, |at| at + 1);
                let limit: usize = asked.parameter("limit").unwrap_or_default().parse().unwrap();
                let rest: Vec<_> = self.payouts[begin..].iter().collect();
                list(&rest[..limit.min(rest.len())], rest.len() > limit)
            }
            other => panic!("nobody asks that: {other:?}"),
        }
    }

    fn account(&self, id: &str) -> Option<&Value> {
        self.accounts.iter().find(|account| account["id"] == id)
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn list(data: &[&Value], has_more: bool) -> (u16, Value) {
    (200, json!({ "object": "list", "data": data, "has_more": has_more }))
}

fn page(address: SocketAddr, path: &str) -> Value {
    json!({ "object": "page", "url": format!("http://{address}{path}") })
}
