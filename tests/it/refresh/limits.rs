//! What a refresh token is counted for: a made-up one for nothing of the tenant's, a dead one for its own session.

use serde_json::json;

use crate::operators::platform;
use crate::support::{Answer, Conn, Engine, Options, Server, Session, on_both_engines};
use crate::watch::{remaining, set_limit};

on_both_engines! {
    what_a_stranger_makes_up_costs_nobody_anything
    whoever_has_a_dead_token_uses_up_what_its_session_had
}

/// The token with another last character but one, so that it is still a token by its form.
fn changed(token: &str) -> String {
    let at = token.len() - 2;
    let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
    format!("{}{other}{}", &token[..at], &token[at + 1..])
}

fn tier(answer: &Answer) -> &str {
    answer.header("x-ratelimit-tier").unwrap()
}

async fn what_a_stranger_makes_up_costs_nobody_anything(engine: Engine) {
    let server = Server::start(Options::new(engine).env("FREEHOLD_LIMITS_LOGIN_ADDRESS", "off")).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    for tier in ["api-tenant", "refresh"] {
        set_limit(&server, "acme", tier, "5/h");
    }
    let before = remaining(conn.get("/v1/me", Some(&session.access)).await.is(200));
    let made_up = [
        format!("fhr_{}_{}", "0".repeat(32), "A".repeat(56)),
        changed(&session.refresh),
        // A token of another tenant is made up here.
        {
            let globex = server.tenant("globex");
            let mut elsewhere = Conn::to(&server, &globex).await;
            elsewhere.sign_in(&globex).await.refresh
        },
    ];
    for token in made_up.iter().cycle().take(30) {
        for path in ["/v1/auth/refresh", "/v1/auth/logout", "/v1/auth/logout-all"] {
            let answer = conn.post(path, None, &json!({ "refresh_token": token })).await;
            answer.is_problem(401, "unauthenticated");
            assert_eq!(tier(&answer), "address", "{path}");
        }
        let cookie = format!("__Host-freehold-refresh={token}");
        let asked = conn.send(conn.request("GET", "/v1/auth/forward", &[("cookie", &cookie)], b"")).await;
        asked.is_problem(401, "unauthenticated");
        assert_eq!(tier(&asked), "address");
    }
    // The member finds all that was left.
    let answer = conn.get("/v1/me", Some(&session.access)).await;
    assert_eq!((tier(answer.is(200)), remaining(&answer)), ("api-tenant", before - 1));
    Session::of(&conn.refresh(&session.refresh).await);
}

async fn whoever_has_a_dead_token_uses_up_what_its_session_had(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let (lost, kept) = (conn.sign_in(&acme).await, conn.sign_in(&acme).await);
    conn.post("/v1/auth/logout", Some(&lost.access), &json!({})).await.is(204);
    set_limit(&server, "acme", "refresh", "4/h");
    for left in (0..4).rev() {
        let answer = conn.refresh(&lost.refresh).await;
        answer.is_problem(401, "unauthenticated");
        assert_eq!((tier(&answer), remaining(&answer)), ("refresh", left));
    }
    // Whoever keeps on is stopped there.
    for _ in 0..40 {
        let answer = conn.refresh(&lost.refresh).await;
        answer.is_problem(429, "rate-limited");
        assert_eq!(answer.json()["tier"], "refresh");
    }
    let operators = platform(&server).await;
    let mut operator = Conn::to(&server, &operators).await;
    let access = operator.sign_in(&operators).await.access;
    let page = operator.get(&format!("/v1/tenants/{}/rate-limits", acme.id), Some(&access)).await.is(200).json();
    let blocked = page["items"].as_array().unwrap();
    assert_eq!(blocked.len(), 1, "{page}");
    assert_eq!(blocked[0]["subject"], format!("session {}", lost.id));
    // The member's other session goes on, as often as it may.
    let mut session = kept;
    for left in (0..4).rev() {
        let answer = conn.refresh(&session.refresh).await;
        assert_eq!((tier(answer.is(200)), remaining(&answer)), ("refresh", left));
        session = Session::of(&answer);
    }
    conn.refresh(&session.refresh).await.is_problem(429, "rate-limited");
}
