//! What the platform sells: plans that are bought at Stripe and told of by webhooks, what they bound, and payouts.

mod buying;
mod cards;
mod failing;
mod fake;
mod library;
mod payouts;
mod quotas;
mod telling;

use serde_json::{Value, json};

use self::fake::Fake;
use crate::operators;
use crate::support::{Answer, Conn, Engine, Options, Server, Session, Tenant};
use crate::watch::until;
use crate::webhook_in::signed::{stripe, stripe_event_of};
use crate::webhook_in::{post, set_secret};

pub(super) use crate::webhook_in::inbox::now_s;

const PLAN: &str = "/v1/plan";
const CHECKOUT: &str = "/v1/plan/checkout";
const PORTAL: &str = "/v1/plan/portal";
const CREATED: &str = "customer.subscription.created";
const UPDATED: &str = "customer.subscription.updated";
const DELETED: &str = "customer.subscription.deleted";
/// What Stripe signs the platform's own events with, and those of accounts that are connected to it.
const OWN: &str = "whsec_platform0own0secret";
const CONNECT: &str = "whsec_platform0connect0secret";

/// A server that sells at a fake Stripe, the platform whose operator has set what events are signed with, and a tenant whose admin is
/// Ada.
struct Scene {
    server: Server,
    fake: Fake,
    platform: Tenant,
    operator: (Conn, Session),
    acme: Tenant,
    conn: Conn,
    ada: Session,
    told: usize,
}

impl Scene {
    async fn start(engine: Engine) -> Self {
        Self::with(engine, &[]).await
    }

    async fn with(engine: Engine, settings: &[(&str, &str)]) -> Self {
        let fake = Fake::start().await;
        let options = fake.configure(Options::new(engine)).limits_off();
        let options = settings.iter().fold(options, |options, (name, value)| options.env(name, value));
        let server = Server::start(options).await;
        let platform = operators::platform(&server).await;
        let mut conn = Conn::to(&server, &platform).await;
        let olga = conn.sign_in(&platform).await;
        for (source, secret) in [("stripe", OWN), ("stripe-connect", CONNECT)] {
            set_secret(&mut conn, &olga, source, secret).await;
        }
        let operator = (conn, olga);
        let acme = server.tenant("acme");
        let mut conn = Conn::to(&server, &acme).await;
        let ada = conn.sign_in(&acme).await;
        Self { server, fake, platform, operator, acme, conn, ada, told: 0 }
    }

    /// The server is another process now.
    async fn reconnect(&mut self) {
        self.conn = Conn::to(&self.server, &self.acme).await;
        self.operator.0 = Conn::to(&self.server, &self.platform).await;
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.conn.get(path, Some(&self.ada.access)).await
    }

    async fn post(&mut self, path: &str) -> Answer {
        self.conn.call("POST", path, Some(&self.ada.access)).await
    }

    async fn checkout(&mut self, plan: &str) -> Answer {
        self.conn.post(CHECKOUT, Some(&self.ada.access), &json!({ "plan": plan })).await
    }

    /// Buys a plan; the subscription as Stripe has it.
    async fn buy(&mut self, plan: &str) -> Value {
        let url = self.checkout(plan).await.is(200).json()["url"].as_str().unwrap().to_owned();
        let subscription = self.fake.pay(&url);
        self.tell(CREATED, now_s(), &subscription).await;
        self.is_on(plan).await;
        subscription
    }

    /// The platform's own account tells of this.
    async fn tell(&mut self, kind: &str, at_s: i64, object: &Value) -> String {
        self.tell_of((OWN, None), kind, at_s, object).await
    }

    /// An event that is signed with this secret, of this connected account.
    async fn tell_of(&mut self, (secret, of): (&str, Option<&str>), kind: &str, at_s: i64, object: &Value) -> String {
        self.told += 1;
        let id = format!("evt_{}", self.told);
        let signed = stripe(secret, &stripe_event_of(&id, kind, (of, at_s), object));
        assert_eq!(post(&mut self.operator.0, &signed).await.unwrap().status, 200);
        id
    }

    /// Waits until the platform has acted on everything that it was told.
    async fn all_done(&mut self) {
        let (conn, session) = &mut self.operator;
        let done = async || {
            let waiting = conn.get("/v1/webhooks/events?state=waiting&limit=1", Some(&session.access)).await;
            (waiting.is(200).json()["items"] == json!([])).then_some(())
        };
        until("nothing waits", done).await;
    }

    async fn plan(&mut self) -> Value {
        self.get(PLAN).await.is(200).json()
    }

    /// Waits until the tenant is on this plan.
    async fn is_on(&mut self, plan: &str) {
        until(&format!("it is on {plan}"), async || (self.plan().await["plan"] == plan).then_some(())).await;
    }

    /// What the audit log says of the plan and of payouts, oldest first.
    async fn logged(&mut self) -> Vec<String> {
        let rows = crate::audit::log(&mut self.conn, &self.ada.access).await;
        let actions = rows.iter().map(|row| row["action"].as_str().unwrap().to_owned());
        actions.filter(|action| action.starts_with("plan.") || action.starts_with("payout_account.")).collect()
    }
}

/// The subscription in another state.
fn with(subscription: &Value, field: &str, value: Value) -> Value {
    let mut subscription = subscription.clone();
    subscription[field] = value;
    subscription
}
