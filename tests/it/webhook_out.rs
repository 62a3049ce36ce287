//! Webhooks to a tenant's own endpoints: what happens is told, signed, again until it is taken, and nobody waits for anybody else.

mod addresses;
mod breakers;
mod endpoints;
mod receiver;
mod told;

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use crate::domains::names::Names;
use crate::support::{Answer, Authority, Conn, Folder, Options, Server, Session, Tenant};
use crate::watch::until;
use receiver::{Heard, Receiver};

const ENDPOINTS: &str = "/v1/webhooks/endpoints";
const BREAKERS: &str = "/v1/breakers";

/// A tenant whose admin is Ada, a name server, and a receiver that `hooks.test` leads to.
pub(crate) struct Scene {
    pub(crate) server: Server,
    pub(crate) acme: Tenant,
    pub(crate) conn: Conn,
    pub(crate) ada: Session,
    pub(crate) names: Names,
    pub(crate) receiver: Receiver,
    _folder: Folder,
}

impl Scene {
    pub(crate) async fn on(options: Options) -> Self {
        let (folder, authority, names) = (Folder::new(), Authority::new(), Names::start().await);
        let receiver = Receiver::start(&authority, &folder, Ipv4Addr::LOCALHOST).await;
        names.addresses("hooks.test", &["127.0.0.1"]);
        let ca_file = authority.root_file(folder.path());
        let options = options.calls_loopback(names.address, &ca_file).limits_off();
        let server = Server::start(options).await;
        let acme = server.tenant("acme");
        let mut conn = Conn::to(&server, &acme).await;
        let ada = conn.sign_in(&acme).await;
        Self { server, acme, conn, ada, names, receiver, _folder: folder }
    }

    /// The same tenant on a server that was started anew.
    pub(crate) async fn restarted(mut self) -> Self {
        self.server = self.server.restarted();
        self.conn = Conn::to(&self.server, &self.acme).await;
        self.ada = self.conn.sign_in(&self.acme).await;
        self
    }

    pub(crate) async fn get(&mut self, path: &str) -> Value {
        self.conn.get(path, Some(&self.ada.access)).await.is(200).json()
    }

    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.conn.post(path, Some(&self.ada.access), body).await
    }

    /// Does something to an endpoint that has no body.
    pub(crate) async fn act(&mut self, id: &str, act: &str) -> Answer {
        self.conn.call("POST", &format!("{ENDPOINTS}/{id}/{act}"), Some(&self.ada.access)).await
    }

    pub(crate) async fn create(&mut self, body: &Value) -> Answer {
        self.post(ENDPOINTS, body).await
    }

    /// An endpoint at this path of the receiver, for these topics: its id and its secret.
    pub(crate) async fn endpoint(&mut self, path: &str, topics: &[&str]) -> (String, String) {
        let url = self.receiver.url(path);
        let made = self.create(&json!({ "url": url, "topics": topics })).await.is(201).json();
        (made["id"].as_str().unwrap().to_owned(), made["secret"].as_str().unwrap().to_owned())
    }

    /// Something happens: Ada's settings get another name for the tenant's shop, which is an event of its own.
    pub(crate) async fn happen(&mut self) {
        let mut other = Conn::to(&self.server, &self.acme).await;
        other.sign_in(&self.acme).await;
    }

    /// Waits until a path was told so often.
    pub(crate) async fn hears(&self, path: &str, times: usize) -> Vec<Heard> {
        let what = format!("{path} is told {times} times");
        until(&what, async || Some(self.receiver.heard(path)).filter(|heard| heard.len() >= times)).await.0
    }

    /// The messages of an endpoint, the newest first.
    pub(crate) async fn messages(&mut self, id: &str) -> Vec<Value> {
        let part = self.get(&format!("{ENDPOINTS}/{id}/messages?limit=200")).await;
        assert_eq!(part["next_cursor"], Value::Null);
        part["items"].as_array().unwrap().clone()
    }

    /// Waits until the newest message of an endpoint is in this state after so many tries.
    pub(crate) async fn settles(&mut self, id: &str, state: &str, attempts: u64) -> Value {
        let what = format!("{state} after {attempts}");
        let settled = async || {
            let newest = self.messages(id).await.into_iter().next()?;
            let whole = self.message(id, &newest).await;
            let is_known = whole["tries"].as_array().unwrap().len() as u64 == attempts;
            Some(newest).filter(|newest| is_known && newest["state"] == state && newest["attempts"] == attempts)
        };
        until(&what, settled).await.0
    }

    /// A message with its tries.
    pub(crate) async fn message(&mut self, id: &str, message: &Value) -> Value {
        self.get(&format!("{ENDPOINTS}/{id}/messages/{}", message["number"])).await
    }

    /// What is known of the breaker of an endpoint.
    pub(crate) async fn breaker(&mut self, id: &str) -> Value {
        let all = self.get(BREAKERS).await;
        let name = format!("webhook:{id}");
        all["items"].as_array().unwrap().iter().find(|shown| shown["name"] == *name).cloned().unwrap_or_default()
    }

    /// Lets the clock jump, and has everything that waits looked at again: by an event that nobody else wants to hear of.
    pub(crate) async fn later(&mut self, seconds: u64) {
        self.server.clock_ahead(seconds).await;
        let bell = self.get(ENDPOINTS).await["items"][0]["id"].as_str().unwrap().to_owned();
        self.act(&bell, "test").await;
    }
}
