//! Cookies and origins: what a browser adds by itself is believed only from a page of the same host.

use serde_json::{Value, json};

use crate::openapi::operations;
use crate::operators::platform;
use crate::support::{Answer, Conn, Engine, Options, Server, Session, Tenant};

const COOKIE: &str = "__Host-freehold-refresh";
/// The public address of the tenant, and the one that the client used.
const OWN: [&str; 2] = ["http://acme.localhost:8080", "http://acme.localhost"];
/// What must never pass for them.
const FOREIGN: [&str; 14] = [
    "null",
    "https://evil.test",
    "http://globex.localhost:8080",
    "http://localhost:8080",
    "https://acme.localhost:8080",
    "http://acme.localhost:8081",
    "http://acme.localhost.evil.test:8080",
    "http://evilacme.localhost:8080",
    "http://acme.localhost:8080@evil.test",
    "http://evil.test@acme.localhost:8080",
    "http://acme.localhost:8080/",
    "http://acme.localhost:8080 http://evil.test",
    "acme.localhost:8080",
    "",
];

struct Browser {
    server: Server,
    acme: Tenant,
    conn: Conn,
}

impl Browser {
    async fn new() -> Self {
        let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
        let acme = server.tenant("acme");
        let conn = Conn::to(&server, &acme).await;
        Self { server, acme, conn }
    }

    async fn post(&mut self, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.conn.send(self.conn.request("POST", path, &all, body.as_bytes())).await
    }

    /// A sign-in that asks for the cookie.
    async fn sign_in(&mut self, headers: &[(&str, &str)]) -> Answer {
        let body = json!({ "email": self.acme.email, "password": self.acme.password, "transport": "cookie" });
        self.post("/v1/auth/login", headers, &body).await
    }
}

/// What an answer sets the refresh cookie to, attributes and all.
fn set_cookie(answer: &Answer) -> Option<String> {
    let lines = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    let ours: Vec<_> = lines.filter(|line| line.starts_with(COOKIE)).collect();
    assert!(ours.len() <= 1, "{ours:?}");
    ours.first().map(|line| (*line).to_owned())
}

/// The cookie that a browser would keep of an answer: the header it sends back, and the token in it. Every attribute
/// is checked, to the byte.
#[track_caller]
fn kept(answer: &Answer) -> (String, String) {
    let body = answer.is(200).json();
    assert!(body.get("refresh_token").is_none(), "{body}");
    let line = set_cookie(answer).expect("a cookie");
    let token = line.split(['=', ';']).nth(1).unwrap().to_owned();
    let max_age = &body["refresh_expires_in"];
    assert!((2_591_000..=2_592_000).contains(&max_age.as_u64().unwrap()), "{max_age}");
    assert_eq!(line, format!("{COOKIE}={token}; Path=/; Max-Age={max_age}; Secure; HttpOnly; SameSite=Strict"));
    (format!("{COOKIE}={token}"), token)
}

#[tokio::test]
async fn a_cookie_is_given_to_pages_of_this_host_alone() {
    let mut browser = Browser::new().await;
    browser.sign_in(&[]).await.is_problem(403, "csrf");
    for foreign in FOREIGN {
        let refused = browser.sign_in(&[("origin", foreign)]).await;
        refused.is_problem(403, "csrf");
        assert_eq!(set_cookie(&refused), None);
        // A page of our own in `Referer` does not heal a foreign `Origin`.
        let both = [("origin", foreign), ("referer", "http://acme.localhost:8080/")];
        browser.sign_in(&both).await.is_problem(403, "csrf");
    }
    for foreign in
        ["https://evil.test/http://acme.localhost:8080/", "http://acme.localhost:8080.evil.test/", "null", "/", ""]
    {
        browser.sign_in(&[("referer", foreign)]).await.is_problem(403, "csrf");
    }
    let twice = [("origin", OWN[0]), ("origin", OWN[0])];
    browser.sign_in(&twice).await.is_problem(403, "csrf");
    for own in OWN {
        kept(&browser.sign_in(&[("origin", own)]).await);
        kept(&browser.sign_in(&[("referer", &format!("{own}/sign-in?next=/x"))]).await);
    }
}

#[tokio::test]
async fn without_cookies_an_origin_may_be_absent_but_not_foreign() {
    let mut browser = Browser::new().await;
    let login = json!({ "email": browser.acme.email, "password": browser.acme.password });
    let session = Session::of(&browser.post("/v1/auth/login", &[], &login).await);
    let bearer = format!("Bearer {}", session.access);
    let logout = json!({ "refresh_token": session.refresh });
    let change = json!({ "current_password": browser.acme.password, "new_password": "something else entirely" });
    for foreign in FOREIGN {
        let origin = ("origin", foreign);
        browser.post("/v1/auth/login", &[origin], &login).await.is_problem(403, "csrf");
        browser.post("/v1/auth/refresh", &[origin], &logout).await.is_problem(403, "csrf");
        browser.post("/v1/auth/logout", &[origin], &logout).await.is_problem(403, "csrf");
        let signed_in = [origin, ("authorization", bearer.as_str())];
        browser.post("/v1/auth/logout-all", &signed_in, &Value::Null).await.is_problem(403, "csrf");
        browser.post("/v1/auth/password", &signed_in, &change).await.is_problem(403, "csrf");
        let end = format!("/v1/sessions/{}", session.id);
        let end = browser.conn.request("DELETE", &end, &signed_in, b"");
        browser.conn.send(end).await.is_problem(403, "csrf");
        // Reading changes nothing: CORS, which allows nobody, keeps the answer from the page.
        let me = browser.conn.send(browser.conn.request("GET", "/v1/me", &signed_in, b"")).await;
        assert_eq!(me.is(200).header("access-control-allow-origin"), None);
    }
    for own in OWN {
        Session::of(&browser.post("/v1/auth/login", &[("origin", own)], &login).await);
    }
    // A foreign `Referer` without cookies says nothing: links lead here from anywhere.
    Session::of(&browser.post("/v1/auth/login", &[("referer", "https://evil.test/")], &login).await);
    assert_eq!(browser.conn.me(&session.access).await, 200);
}

#[tokio::test]
async fn a_refresh_through_the_cookie_stays_in_the_cookie() {
    let mut browser = Browser::new().await;
    let (first, _) = kept(&browser.sign_in(&[("origin", OWN[0])]).await);
    for refused in [vec![("cookie", first.as_str())], vec![("cookie", first.as_str()), ("origin", "null")]] {
        let answer = browser.post("/v1/auth/refresh", &refused, &Value::Null).await;
        answer.is_problem(403, "csrf");
        assert_eq!(set_cookie(&answer), None);
    }
    let from_us = [("cookie", first.as_str()), ("origin", OWN[0])];
    let answer = browser.post("/v1/auth/refresh", &from_us, &Value::Null).await;
    let (second, token) = kept(&answer);
    assert_ne!(first, second);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    // The cookie among others, and a body of `{}`.
    let crowded = format!("theme=dark; {second}; a=b");
    let (third, _) =
        kept(&browser.post("/v1/auth/refresh", &[("cookie", &crowded), ("origin", OWN[1])], &json!({})).await);
    assert_ne!(second, third);

    // A cookie that is no token of ours is refused, and left where it is.
    let unknown = [("cookie", "__Host-freehold-refresh=x"), ("origin", OWN[0])];
    let refused = browser.post("/v1/auth/refresh", &unknown, &Value::Null).await;
    refused.is_problem(401, "unauthenticated");
    assert_eq!(set_cookie(&refused), None);
    // Under another name it is not ours.
    let renamed = [("cookie", &*format!("freehold-refresh={token}")), ("origin", OWN[0])];
    browser.post("/v1/auth/refresh", &renamed, &Value::Null).await.is_problem(400, "validation");
}

#[tokio::test]
async fn the_password_is_changed_and_the_cookie_with_it() {
    let mut browser = Browser::new().await;
    let signed_in = browser.sign_in(&[("origin", OWN[0])]).await;
    let (cookie, _) = kept(&signed_in);
    let bearer = format!("Bearer {}", signed_in.json()["access_token"].as_str().unwrap());
    let change = json!({ "current_password": browser.acme.password, "new_password": "something else entirely" });
    let from_nowhere = [("cookie", cookie.as_str()), ("authorization", bearer.as_str())];
    browser.post("/v1/auth/password", &from_nowhere, &change).await.is_problem(403, "csrf");
    let from_us = [("cookie", cookie.as_str()), ("authorization", bearer.as_str()), ("origin", OWN[0])];
    let (changed, _) = kept(&browser.post("/v1/auth/password", &from_us, &change).await);
    let old = [("cookie", cookie.as_str()), ("origin", OWN[0])];
    browser.post("/v1/auth/refresh", &old, &Value::Null).await.is_problem(401, "unauthenticated");
    kept(&browser.post("/v1/auth/refresh", &[("cookie", &changed), ("origin", OWN[0])], &Value::Null).await);
}

#[tokio::test]
async fn signing_out_takes_the_cookie_back() {
    let mut browser = Browser::new().await;
    for path in ["/v1/auth/logout", "/v1/auth/logout-all"] {
        let (cookie, token) = kept(&browser.sign_in(&[("origin", OWN[0])]).await);
        browser.post(path, &[("cookie", &cookie)], &Value::Null).await.is_problem(403, "csrf");
        let gone = browser.post(path, &[("cookie", &cookie), ("origin", OWN[0])], &Value::Null).await;
        gone.is(204);
        let line = set_cookie(&gone);
        let wanted = "__Host-freehold-refresh=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Strict";
        assert_eq!(line.as_deref(), Some(wanted), "{path}");
        browser.conn.refresh(&token).await.is_problem(401, "unauthenticated");
    }
    // A host of another tenant knows nothing of the cookie, whatever its pages send.
    let globex = browser.server.tenant("globex");
    let (cookie, token) = kept(&browser.sign_in(&[("origin", OWN[0])]).await);
    let mut theirs = Conn::to(&browser.server, &globex).await;
    let headers = [("cookie", cookie.as_str()), ("origin", "http://globex.localhost:8080")];
    theirs.send(theirs.request("POST", "/v1/auth/logout", &headers, b"")).await.is_problem(401, "unauthenticated");
    Session::of(&browser.conn.refresh(&token).await);
}

/// One table, and nothing beside it: whatever changes something refuses the pages of other sites, to nobody, to a member
/// with a token and to a browser with the cookie, on a tenant's host and on the operators'.
#[tokio::test]
async fn no_operation_is_exempt() {
    let mut browser = Browser::new().await;
    let (cookie, _) = kept(&browser.sign_in(&[("origin", OWN[0])]).await);
    let session = browser.conn.sign_in(&browser.acme).await;
    let bearer = format!("Bearer {}", session.access);
    let platform = platform(&browser.server).await;
    let mut operators = Conn::to(&browser.server, &platform).await;
    let operator = format!("Bearer {}", operators.sign_in(&platform).await.access);
    let mut asked = 0;
    for (conn, bearer) in [(&mut browser.conn, bearer), (&mut operators, operator)] {
        for (method, path, _) in operations(conn).await {
            // Providers post without one: there the signature counts, and nothing else (see `webhook_in`).
            if method == "GET" || path == "/webhooks/{provider}" {
                continue;
            }
            let target = path.replace("{id}", "019a0000-0000-7000-8000-000000000000").replace("{provider}", "google");
            for credential in [None, Some(("authorization", &bearer)), Some(("cookie", &cookie))] {
                for foreign in ["https://evil.test", "null", "http://localhost:8080"] {
                    let mut headers = vec![("content-type", "application/json"), ("origin", foreign)];
                    headers.extend(credential.map(|(name, value)| (name, value.as_str())));
                    let answer = conn.send(conn.request(&method, &target, &headers, b"{}")).await;
                    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (403, "csrf"), "{method} {path}");
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 300, "{asked}");
    assert_eq!(browser.conn.me(&session.access).await, 200, "and nothing was done");
}
