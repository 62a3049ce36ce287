//! The services outside that a tenant connects: by a key, or by a grant that is kept good.

mod callbacks;
mod connecting;
mod fake;
mod keys;
mod refreshing;
mod shopify;

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use self::fake::Fake;
use crate::domains::names::Names;
use crate::oauth::Browser;
use crate::security_reports::holds;
use crate::support::{Answer, Authority, Conn, Engine, Folder, Options, Server, Session, Tenant};

const LIST: &str = "/v1/integrations";
const HOME: &str = "http://acme.localhost:8080";

/// A server whose providers are all one fake, and a tenant whose admin is Ada.
struct Scene {
    server: Server,
    acme: Tenant,
    conn: Conn,
    ada: Session,
    fake: Fake,
    names: Names,
    _folder: Folder,
}

impl Scene {
    async fn start(engine: Engine) -> Self {
        let (folder, authority, names) = (Folder::new(), Authority::new(), Names::start().await);
        let fake = Fake::start(&authority, &folder).await;
        names.addresses("ai.test", &["127.0.0.1"]);
        names.addresses("one.myshopify.test", &["127.0.0.1"]);
        let ca_file = authority.root_file(folder.path());
        let options = fake.configure(Options::new(engine)).calls_loopback(names.address, &ca_file).limits_off();
        let server = Server::start(options).await;
        let acme = server.tenant("acme");
        let mut conn = Conn::to(&server, &acme).await;
        let ada = conn.sign_in(&acme).await;
        Self { server, acme, conn, ada, fake, names, _folder: folder }
    }

    async fn put_key(&mut self, name: &str, body: &Value) -> Answer {
        put_key(&mut self.conn, &self.ada.access, name, body).await
    }

    async fn check(&mut self, name: &str) -> Answer {
        self.conn.call("POST", &format!("{LIST}/{name}/check"), Some(&self.ada.access)).await
    }

    async fn remove(&mut self, name: &str) -> Answer {
        self.conn.call("DELETE", &format!("{LIST}/{name}"), Some(&self.ada.access)).await
    }

    /// What is known of one.
    async fn shown(&mut self, name: &str) -> Value {
        let list = self.conn.get(LIST, Some(&self.ada.access)).await.is(200).json();
        let items = list["items"].as_array().unwrap();
        items.iter().find(|item| item["name"] == name).unwrap_or_else(|| panic!("no {name}: {list}")).clone()
    }

    /// Begins to connect one in a browser; the answer.
    async fn begin(&self, browser: &mut Browser, name: &str) -> Answer {
        begin(browser, &self.ada, name).await
    }

    /// Connects one, as somebody who allows it.
    async fn connect(&mut self, name: &str) {
        let mut browser = Browser::new(self.server.http);
        connect(&mut browser, &self.ada, name).await.is(200);
    }

    /// The events of integrations in the log, oldest first: what, and of which.
    async fn told(&mut self) -> Vec<(String, String)> {
        let rows = crate::audit::log(&mut self.conn, &self.ada.access).await;
        let mine = rows.iter().filter(|row| row["action"].as_str().unwrap().starts_with("integration."));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        mine.map(|row| (text(&row["action"]), text(&row["source"]))).collect()
    }
}

async fn put_key(conn: &mut Conn, access: &str, name: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {access}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let path = format!("{LIST}/{name}/key");
    conn.send(conn.request("PUT", &path, &headers, body.to_string().as_bytes())).await
}

async fn begin(browser: &mut Browser, session: &Session, name: &str) -> Answer {
    let bearer = format!("Bearer {}", session.access);
    let headers = [("authorization", bearer.as_str()), ("origin", HOME)];
    browser.send("POST", &format!("{HOME}{LIST}/{name}/connect"), &headers, b"").await
}

/// From the beginning at home to the address at home where the browser ends.
async fn round(browser: &mut Browser, session: &Session, name: &str) -> String {
    let started = begin(browser, session, name).await;
    let url = started.is(200).json()["authorization_url"].as_str().unwrap().to_owned();
    browser.follow(&url, "/integrations/return").await
}

async fn connect(browser: &mut Browser, session: &Session, name: &str) -> Answer {
    let address = round(browser, session, name).await;
    browser.get(&address).await
}

/// Whether any file, or any row of any table, holds this text as it is.
async fn is_stored(server: &Server, engine: Engine, text: &str) -> bool {
    if engine == Engine::Sqlite {
        return holds(&server.data_dir(), text.as_bytes());
    }
    let mut store = server.database().superuser().await;
    let tables = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('public', 'keys')";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut store).await.unwrap();
    let hex = hex(text.as_bytes());
    for table in tables {
        let find = format!("SELECT COUNT(*) FROM {table} r WHERE r::text LIKE '%{text}%' OR r::text LIKE '%{hex}%'");
        if sqlx::query_scalar::<_, i64>(AssertSqlSafe(find)).fetch_one(&mut store).await.unwrap() > 0 {
            return true;
        }
    }
    false
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from_digit(digit.into(), 16).unwrap()).collect()
}

fn twilio() -> Value {
    json!({ "account_sid": fake::SID, "auth_token": fake::TOKEN })
}
