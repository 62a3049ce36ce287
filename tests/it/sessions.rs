//! Ending sessions, and the list of them.

use serde_json::{Value, json};

use crate::support::{Answer, Conn, Engine, Options, Server, Session, Tenant, on_both_engines, time};

on_both_engines! {
    a_sign_out_is_in_force_on_the_next_request
    a_spent_refresh_token_still_ends_its_session
    a_sign_out_everywhere_ends_every_session_of_the_member
    a_member_ends_one_of_the_own_sessions
    the_list_shows_where_each_session_began_page_by_page
}

/// A sign-in by a client that calls itself this.
async fn sign_in_as(conn: &mut Conn, tenant: &Tenant, user_agent: &str) -> Session {
    let body = json!({ "email": tenant.email, "password": tenant.password }).to_string();
    let headers = [("content-type", "application/json"), ("user-agent", user_agent)];
    Session::of(&conn.send(conn.request("POST", "/v1/auth/login", &headers, body.as_bytes())).await)
}

fn ids(page: &Value) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

/// Asserts that nothing of a session is worth anything.
async fn assert_dead(conn: &mut Conn, session: &Session) {
    conn.get("/v1/me", Some(&session.access)).await.is_problem(401, "unauthenticated");
    conn.get("/v1/sessions", Some(&session.access)).await.is_problem(401, "unauthenticated");
    conn.refresh(&session.refresh).await.is_problem(401, "unauthenticated");
}

async fn log_out(conn: &mut Conn, path: &str, token: &str) -> Answer {
    conn.post(path, None, &json!({ "refresh_token": token })).await
}

async fn a_sign_out_is_in_force_on_the_next_request(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let (bearer, refresh, stays) = (conn.sign_in(&acme).await, conn.sign_in(&acme).await, conn.sign_in(&acme).await);

    let gone = conn.call("POST", "/v1/auth/logout", Some(&bearer.access)).await;
    assert!(gone.is(204).header("set-cookie").unwrap().contains("Max-Age=0"), "{gone:?}");
    assert_dead(&mut conn, &bearer).await;

    // Without a bearer the refresh token says which session; once it is gone there is nothing to end.
    log_out(&mut conn, "/v1/auth/logout", &refresh.refresh).await.is(204);
    assert_dead(&mut conn, &refresh).await;
    log_out(&mut conn, "/v1/auth/logout", &refresh.refresh).await.is_problem(401, "unauthenticated");
    conn.call("POST", "/v1/auth/logout", None).await.is_problem(401, "unauthenticated");

    assert_eq!(conn.me(&stays.access).await, 200);
    Session::of(&conn.refresh(&stays.refresh).await);
}

async fn a_spent_refresh_token_still_ends_its_session(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let (spent, stays) = (conn.sign_in(&acme).await, conn.sign_in(&acme).await);
    let thief = Session::of(&conn.refresh(&spent.refresh).await);
    let latest = Session::of(&conn.refresh(&thief.refresh).await);

    // The id of a session is no secret: with another secret behind it, it ends nothing.
    let (id, secret) = stays.refresh.split_at(stays.refresh.len() - 43);
    let (own_id, own_secret) = spent.refresh.split_at(spent.refresh.len() - 43);
    for made_up in [format!("{id}{own_secret}"), format!("{own_id}{secret}"), format!("{own_id}{}", "A".repeat(43))] {
        for path in ["/v1/auth/logout", "/v1/auth/logout-all"] {
            log_out(&mut conn, path, &made_up).await.is_problem(401, "unauthenticated");
        }
    }
    assert_eq!((conn.me(&latest.access).await, conn.me(&stays.access).await), (200, 200));

    log_out(&mut conn, "/v1/auth/logout", &spent.refresh).await.is(204);
    assert_dead(&mut conn, &latest).await;
    // Nothing is left to end.
    for token in [&spent, &thief, &latest].map(|session| &session.refresh) {
        log_out(&mut conn, "/v1/auth/logout", token).await.is_problem(401, "unauthenticated");
    }
    assert_eq!(conn.me(&stays.access).await, 200);
    // It says nothing about the member's other sessions: to end those it is no credential.
    let next = Session::of(&conn.refresh(&stays.refresh).await);
    let other = conn.sign_in(&acme).await;
    log_out(&mut conn, "/v1/auth/logout-all", &stays.refresh).await.is_problem(401, "unauthenticated");
    assert_dead(&mut conn, &next).await;
    assert_eq!(conn.me(&other.access).await, 200);
}

async fn a_sign_out_everywhere_ends_every_session_of_the_member(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let sessions = [conn.sign_in(&acme).await, conn.sign_in(&acme).await, conn.sign_in(&acme).await];
    let refreshed = Session::of(&conn.refresh(&sessions[1].refresh).await);
    conn.call("POST", "/v1/auth/logout-all", Some(&sessions[0].access)).await.is(204);
    for session in sessions.iter().chain([&refreshed]) {
        assert_dead(&mut conn, session).await;
    }
    // What begins afterwards lives, and can end everything again, by its refresh token.
    let later = conn.sign_in(&acme).await;
    assert_eq!(conn.me(&later.access).await, 200);
    log_out(&mut conn, "/v1/auth/logout-all", &later.refresh).await.is(204);
    assert_dead(&mut conn, &later).await;
}

async fn a_member_ends_one_of_the_own_sessions(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let (mine, other) = (conn.sign_in(&acme).await, conn.sign_in(&acme).await);
    let path = format!("/v1/sessions/{}", other.id);
    conn.call("DELETE", &path, Some(&mine.access)).await.is(204);
    assert_dead(&mut conn, &other).await;
    for gone in [path.as_str(), "/v1/sessions/01890000-0000-7000-8000-000000000000", "/v1/sessions/no-id"] {
        conn.call("DELETE", gone, Some(&mine.access)).await.is_problem(404, "not-found");
    }
    let listed = conn.get("/v1/sessions", Some(&mine.access)).await.is(200).json();
    assert_eq!(ids(&listed), std::slice::from_ref(&mine.id));
    conn.call("DELETE", &format!("/v1/sessions/{}", mine.id), Some(&mine.access)).await.is(204);
    assert_dead(&mut conn, &mine).await;
}

async fn the_list_shows_where_each_session_began_page_by_page(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let mut sessions = vec![];
    for n in 0..5 {
        sessions.push(sign_in_as(&mut conn, &acme, &format!("Browser/{n}")).await);
    }
    let all: Vec<_> = sessions.iter().map(|session| session.id.clone()).collect();
    let me = sessions[2].access.clone();
    let listed = conn.get("/v1/sessions", Some(&me)).await;
    assert_eq!(listed.is(200).header("cache-control"), Some("no-store"));
    let listed = listed.json();
    assert_eq!((ids(&listed), &listed["next_cursor"]), (all.clone(), &Value::Null));
    for (n, item) in listed["items"].as_array().unwrap().iter().enumerate() {
        let shown = (&item["address"], &item["user_agent"], &item["current"]);
        assert_eq!(shown, (&json!("127.0.0.1"), &json!(format!("Browser/{n}")), &json!(n == 2)));
        assert_eq!(item["created_at"], item["last_used_at"]);
    }

    // Pages of two, also while a session of an earlier page ends.
    let mut seen = vec![];
    let mut path = "/v1/sessions?limit=2".to_owned();
    loop {
        let page = conn.get(&path, Some(&me)).await.is(200).json();
        assert!(ids(&page).len() <= 2, "{page}");
        seen.extend(ids(&page));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/sessions?limit=2&cursor={cursor}");
        if seen.len() == 2 {
            conn.call("DELETE", &format!("/v1/sessions/{}", seen[0]), Some(&me)).await.is(204);
        }
    }
    assert_eq!(seen, all);
    for bad in ["limit=0", "limit=201", "limit=x", "cursor=x", "page=1", "limit=1&limit=2"] {
        conn.get(&format!("/v1/sessions?{bad}"), Some(&me)).await.is_problem(400, "validation");
    }

    // A refresh shows: it was used later, and is still the same session.
    let used = Session::of(&conn.refresh(&sessions[4].refresh).await);
    let listed = conn.get("/v1/sessions", Some(&used.access)).await.is(200).json();
    let last = &listed["items"][3];
    assert_eq!((&last["id"], &last["current"]), (&json!(used.id), &json!(true)));
    assert!(time(&last["last_used_at"]) > time(&last["created_at"]), "{last}");
}
