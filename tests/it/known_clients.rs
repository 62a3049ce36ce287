//! A sign-in from where a member was not seen lately is told of by mail, and no other is.

use hyper::header::{CONTENT_TYPE, COOKIE, ORIGIN, SET_COOKIE, USER_AGENT};
use serde_json::json;

use crate::support::{Answer, Conn, Engine, Options, Server, Tenant, on_both_engines};

on_both_engines! {
    a_sign_in_from_elsewhere_is_told_of_once
    a_browser_is_known_by_its_cookie_wherever_it_is
    another_password_makes_everybody_else_a_stranger
}

/// A sign-in by a program that calls itself so.
async fn login(conn: &mut Conn, tenant: &Tenant, user_agent: &str) -> Answer {
    let body = json!({ "email": tenant.email, "password": tenant.password }).to_string();
    let headers = [(CONTENT_TYPE.as_str(), "application/json"), (USER_AGENT.as_str(), user_agent)];
    conn.send(conn.request("POST", "/v1/auth/login", &headers, body.as_bytes())).await
}

/// A sign-in by a browser, which keeps what it is given.
async fn browse(conn: &mut Conn, tenant: &Tenant, user_agent: &str, cookie: &str) -> String {
    let body = json!({ "email": tenant.email, "password": tenant.password, "transport": "cookie" }).to_string();
    let origin = format!("http://{}", tenant.host());
    let mut headers = vec![(CONTENT_TYPE.as_str(), "application/json"), (ORIGIN.as_str(), origin.as_str())];
    headers.push((USER_AGENT.as_str(), user_agent));
    headers.extend((!cookie.is_empty()).then_some((COOKIE.as_str(), cookie)));
    let answer = conn.send(conn.request("POST", "/v1/auth/login", &headers, body.as_bytes())).await;
    let cookies = answer.is(200).headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap());
    let device = cookies.into_iter().find(|cookie| cookie.starts_with("__Host-freehold-device=")).unwrap();
    device.split(';').next().unwrap().to_owned()
}

/// The letters that were sent before this one, which is asked for now: there are this many.
async fn letters_before_now(server: &Server, conn: &mut Conn, count: usize) -> Vec<crate::support::Mail> {
    conn.post("/v1/auth/password/forgot", None, &json!({ "email": "nobody@example.org" })).await.is(202);
    let mut letters = server.letters(count + 1).await;
    assert_eq!(letters.len(), count + 1, "{letters:?}");
    assert_eq!(letters.pop().unwrap().header("Subject"), "No account at acme");
    letters
}

async fn a_sign_in_from_elsewhere_is_told_of_once(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    for user_agent in ["desk", "desk"] {
        login(&mut conn, &acme, user_agent).await.is(200); // the first of a new member, and again
    }
    let wrong = Tenant { password: "not the password".to_owned(), ..acme.clone() };
    login(&mut conn, &wrong, "a stranger").await.is_problem(401, "invalid-credentials");
    assert!(letters_before_now(&server, &mut conn, 0).await.is_empty());

    for user_agent in ["telephone <b>", "telephone <b>", "desk"] {
        login(&mut conn, &acme, user_agent).await.is(200);
    }
    let letters = letters_before_now(&server, &mut conn, 2).await;
    assert_eq!(letters[1].header("To"), acme.email);
    assert_eq!(letters[1].header("Subject"), "A new sign-in at acme");
    assert!(letters[1].text.contains("Browser: telephone <b>") && letters[1].text.contains("From: 127.0.0.1"));
    assert!(letters[1].html.contains("telephone &lt;b&gt;"), "{}", letters[1].html);

    // Who has not come for three months is new again, and an old member's first sign-in is told of too.
    server.run_sql(&acme, "DELETE FROM known_client").await;
    server.run_sql(&acme, "UPDATE member SET created_at_ms = created_at_ms - 86400000").await;
    login(&mut conn, &acme, "desk").await.is(200);
    assert_eq!(letters_before_now(&server, &mut conn, 4).await[3].header("Subject"), "A new sign-in at acme");
}

async fn a_browser_is_known_by_its_cookie_wherever_it_is(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let first = browse(&mut conn, &acme, "Firefox 150", "").await;
    let second = browse(&mut conn, &acme, "Firefox 151", &first).await;
    browse(&mut conn, &acme, "Firefox 152", &second).await;
    assert!(letters_before_now(&server, &mut conn, 0).await.is_empty());
    let forged = format!("{}A", &first[..first.len() - 2]);
    browse(&mut conn, &acme, "Firefox 153", &forged).await;
    assert_eq!(letters_before_now(&server, &mut conn, 2).await[1].header("Subject"), "A new sign-in at acme");
}

async fn another_password_makes_everybody_else_a_stranger(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let thief = browse(&mut conn, &acme, "thief", "").await; // the first of a new member
    let session = conn.sign_in(&acme).await;
    assert_eq!(letters_before_now(&server, &mut conn, 1).await[0].header("Subject"), "A new sign-in at acme");
    let change = json!({ "current_password": acme.password, "new_password": "a wholly different phrase" });
    conn.post("/v1/auth/password", Some(&session.access), &change).await.is(200);
    letters_before_now(&server, &mut conn, 3).await; // of the change, and none of the client that made it
    let changed = Tenant { password: "a wholly different phrase".to_owned(), ..acme };
    conn.sign_in(&changed).await;
    letters_before_now(&server, &mut conn, 4).await;
    browse(&mut conn, &changed, "thief", &thief).await;
    assert_eq!(letters_before_now(&server, &mut conn, 6).await[5].header("Subject"), "A new sign-in at acme");
}
