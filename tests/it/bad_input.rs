//! What is not a request is refused by name, all faults at once, and changes nothing.

mod bodies;
mod sizes;
mod targets;

use serde_json::{Value, json};

use crate::support::{Answer, Conn, Engine, Options, Server, Session, Tenant};

/// Every operation that reads a body, and one that it accepts as far as its shape goes.
fn operations() -> [(&'static str, Value); 12] {
    let token = json!({ "refresh_token": "not-one" });
    [
        ("/v1/auth/login", json!({ "email": "ada@example.com", "password": "not the password", "transport": "body" })),
        ("/v1/auth/refresh", token.clone()),
        ("/v1/auth/logout", token.clone()),
        ("/v1/auth/logout-all", token),
        ("/v1/auth/second-factor", json!({ "challenge": "not-one", "totp": "123456" })),
        ("/v1/auth/totp/confirm", json!({ "code": "123456" })),
        ("/v1/auth/password", json!({ "current_password": "not the password", "new_password": "another password" })),
        ("/v1/auth/password/forgot", json!({ "email": "ada@example.com" })),
        ("/v1/auth/password/reset", json!({ "token": "not-one", "new_password": "another password" })),
        ("/v1/auth/register", json!({ "email": "eve@example.com", "password": "another password", "name": "Eve E." })),
        ("/v1/auth/email/change", json!({ "new_email": "ada@example.org" })),
        ("/v1/auth/email/verify", json!({ "token": "not-one" })),
    ]
}

/// A server with a tenant, and a session that must outlive everything that is refused.
struct Scene {
    server: Server,
    acme: Tenant,
    conn: Conn,
    session: Session,
    hashes: u64,
}

impl Scene {
    async fn new() -> Self {
        let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
        let acme = server.tenant("acme");
        let mut conn = Conn::to(&server, &acme).await;
        let session = conn.sign_in(&acme).await;
        let hashes = server.count("hashes").await;
        Self { server, acme, conn, session, hashes }
    }

    /// Posts these bytes with the session's token, where the operation wants one.
    async fn post(&mut self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let bearer = format!("Bearer {}", self.session.access);
        let mut all = headers.to_vec();
        let own = ["/v1/auth/password", "/v1/auth/totp", "/v1/auth/backup-codes", "/v1/auth/email/change"];
        if own.iter().any(|own| path.starts_with(own)) {
            all.push(("authorization", &bearer));
        }
        self.conn.send(self.conn.request("POST", path, &all, body)).await
    }

    async fn post_json(&mut self, path: &str, body: &[u8]) -> Answer {
        self.post(path, &[("content-type", "application/json")], body).await
    }

    /// Nothing was hashed, nothing counted against anybody, and the session and its tokens are as good as before.
    async fn nothing_changed(mut self) {
        assert_eq!(self.server.count("hashes").await, self.hashes, "a password was hashed");
        let listed = self.conn.get("/v1/sessions", Some(&self.session.access)).await.is(200).json();
        assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
        assert_eq!(Session::of(&self.conn.refresh(&self.session.refresh).await).id, self.session.id);
        self.conn.sign_in(&self.acme).await;
    }
}

/// Asserts a validation problem with faults of exactly these fields, in this order.
#[track_caller]
pub(crate) fn is_invalid(answer: &Answer, fields: &[&str], what: &str) {
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, "validation"), "{what}: {answer:?}");
    let body = answer.json();
    let errors = body["errors"].as_array().unwrap();
    let told: Vec<&str> = errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
    assert_eq!(told, fields, "{what}: {body}");
    assert!(errors.iter().all(|error| !error["message"].as_str().unwrap().is_empty()), "{what}: {body}");
}
