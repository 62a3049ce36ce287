//! Device cookies: a lock that strangers cause does not lock the owner out.

use hyper::header::{CONTENT_TYPE, COOKIE, ORIGIN, SET_COOKIE};
use serde_json::json;

use crate::support::{Answer, Conn, Engine, Options, Server, Tenant};

const DEVICE: &str = "__Host-freehold-device=";

/// A sign-in for cookies, as the tenant's own page sends it.
async fn login(conn: &mut Conn, tenant: &Tenant, password: &str, cookie: &str) -> Answer {
    let body = json!({ "email": tenant.email, "password": password, "transport": "cookie" }).to_string();
    let origin = format!("http://{}", tenant.host());
    let mut headers = vec![(CONTENT_TYPE.as_str(), "application/json"), (ORIGIN.as_str(), origin.as_str())];
    if !cookie.is_empty() {
        headers.push((COOKIE.as_str(), cookie));
    }
    conn.send(conn.request("POST", "/v1/auth/login", &headers, body.as_bytes())).await
}

fn device_cookie(answer: &Answer) -> String {
    let cookies = answer.headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap());
    let cookie = cookies.into_iter().find(|cookie| cookie.starts_with(DEVICE)).expect("a device cookie");
    assert!(cookie.ends_with("; Path=/; Max-Age=34560000; Secure; HttpOnly; SameSite=Strict"), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_device_has_a_counter_of_its_own() {
    let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    let mut conn = Conn::to(&server, &acme).await;
    let known = device_cookie(login(&mut conn, &acme, &acme.password, "").await.is(200));

    for _ in 0..5 {
        conn.login(&acme, "a stranger's wrong guess").await.is_problem(401, "invalid-credentials");
    }
    conn.login(&acme, &acme.password).await.is_problem(429, "account-locked");
    login(&mut conn, &acme, &acme.password, "").await.is_problem(429, "account-locked");
    let again = device_cookie(login(&mut conn, &acme, &acme.password, &known).await.is(200));

    // The device's counter is a counter: five wrong ones close it too, for this device and its account alone.
    for _ in 0..5 {
        login(&mut conn, &acme, "a wrong guess at the desk", &again).await.is_problem(401, "invalid-credentials");
    }
    login(&mut conn, &acme, &acme.password, &again).await.is_problem(429, "account-locked");
    login(&mut conn, &acme, &acme.password, &known).await.is(200);

    // At another tenant, or touched, it is no device cookie.
    let mut other = Conn::to(&server, &globex).await;
    login(&mut other, &globex, &globex.password, &known).await.is(200);
    let touched = format!("{}A", &known[..known.len() - 1]);
    let touched = if touched == known { format!("{}B", &known[..known.len() - 1]) } else { touched };
    login(&mut conn, &acme, &acme.password, &touched).await.is_problem(429, "account-locked");
}
