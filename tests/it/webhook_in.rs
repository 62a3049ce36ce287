//! Webhooks of providers come in: what is signed is kept once before it is acknowledged, and nothing else is.

pub(crate) mod inbox;
mod kept;
mod kept_once;
mod sdks;
pub(crate) mod signed;

use serde_json::{Value, json};

use crate::support::{Answer, Conn, Options, Server, Session, Tenant};
use signed::{SECRETS, Signed};

const SOURCES: &str = "/v1/webhooks/sources";
const EVENTS: &str = "/v1/webhooks/events";
const REFUSALS: &str = "/v1/webhooks/refusals";

/// A tenant whose admin is Ada, with every source set.
pub(crate) struct Scene {
    pub(crate) server: Server,
    pub(crate) acme: Tenant,
    pub(crate) conn: Conn,
    pub(crate) ada: Session,
    /// What providers call, without the path.
    pub(crate) origin: String,
}

impl Scene {
    pub(crate) async fn on(options: Options) -> Self {
        let server = Server::start(options).await;
        let acme = server.tenant("acme");
        let mut conn = Conn::to(&server, &acme).await;
        let ada = conn.sign_in(&acme).await;
        let listed = conn.get(SOURCES, Some(&ada.access)).await.is(200).json();
        let url = listed["items"][0]["urls"][0].as_str().unwrap();
        let origin = url.strip_suffix("/webhooks/stripe").unwrap().to_owned();
        let mut scene = Self { server, acme, conn, ada, origin };
        for (source, secret) in SECRETS {
            set_secret(&mut scene.conn, &scene.ada, source, secret).await;
        }
        scene
    }

    pub(crate) async fn set(&mut self, source: &str, body: &Value) -> Answer {
        put(&mut self.conn, &self.ada, source, body).await
    }

    async fn get(&mut self, path: &str) -> Value {
        self.conn.get(path, Some(&self.ada.access)).await.is(200).json()
    }

    /// Everything that was kept.
    pub(crate) async fn events(&mut self) -> Vec<Value> {
        let (mut all, mut path) = (vec![], format!("{EVENTS}?limit=200"));
        loop {
            let part = self.get(&path).await;
            all.extend(part["items"].as_array().unwrap().iter().cloned());
            match part["next_cursor"].as_str() {
                Some(cursor) => path = format!("{EVENTS}?limit=200&cursor={cursor}"),
                None => return all,
            }
        }
    }

    /// The causes of refusals of a provider.
    async fn causes(&mut self, provider: &str) -> Vec<String> {
        let told = self.get(REFUSALS).await;
        let told = told["items"].as_array().unwrap().iter().filter(|row| row["provider"] == provider);
        told.map(|row| row["cause"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) async fn post(&mut self, signed: &Signed) -> Answer {
        post(&mut self.conn, signed).await.expect("an answer")
    }
}

async fn put(conn: &mut Conn, admin: &Session, source: &str, body: &Value) -> Answer {
    let (path, bearer) = (format!("{SOURCES}/{source}"), format!("Bearer {}", admin.access));
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    conn.send(conn.request("PUT", &path, &headers, body.to_string().as_bytes())).await
}

/// Sets the secret of a source.
pub(crate) async fn set_secret(conn: &mut Conn, admin: &Session, source: &str, secret: &str) {
    put(conn, admin, source, &json!({ "secret": secret })).await.is(200);
}

/// Posts it; `None` when there was no answer.
pub(crate) async fn post(conn: &mut Conn, signed: &Signed) -> Option<Answer> {
    let headers: Vec<_> = signed.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let path = format!("/webhooks/{}{}", signed.provider, signed.query);
    conn.try_send(conn.request("POST", &path, &headers, &signed.body)).await
}

/// Asserts that it was taken, and that nothing more is said.
#[track_caller]
fn taken(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0), "{answer:?}");
}

/// Asserts that it was refused, and that nothing more is said, though it was signed.
#[track_caller]
fn unheard(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), answer.body.len()), (401, 0), "{answer:?}");
}

/// Asserts that it was refused, that nothing more is said, and that it counted for its address alone.
#[track_caller]
fn refused(answer: &Answer) {
    unheard(answer);
    assert_eq!(answer.header("x-ratelimit-tier").filter(|tier| *tier != "address"), None, "{answer:?}");
}
