//! The whole way once: sign in, ask, refresh, sign out.

use serde_json::json;

use crate::support::{Conn, Engine, Options, Server, Session, on_both_engines};

on_both_engines!(a_session_from_sign_in_to_sign_out);

async fn a_session_from_sign_in_to_sign_out(engine: Engine) {
    let server = Server::start(Options::new(engine)).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let first = conn.sign_in(&acme).await;
    let me = conn.get("/v1/me", Some(&first.access)).await.is(200).json();
    assert_eq!(me["member"]["role"], "admin");
    assert_eq!(me["tenant"], json!({ "id": acme.id, "slug": "acme", "name": "acme" }));
    assert_eq!(me["session_id"], first.id);

    let second = Session::of(&conn.refresh(&first.refresh).await);
    assert_eq!(second.id, first.id);
    assert_ne!(second.refresh, first.refresh);
    let listed = conn.get("/v1/sessions", Some(&second.access)).await.is(200).json();
    assert_eq!(listed["items"][0]["id"], first.id);
    assert_eq!(listed["items"][0]["current"], true);

    conn.call("POST", "/v1/auth/logout", Some(&second.access)).await.is(204);
    conn.get("/v1/me", Some(&second.access)).await.is_problem(401, "unauthenticated");
    conn.get("/v1/me", Some(&first.access)).await.is_problem(401, "unauthenticated");
    conn.refresh(&second.refresh).await.is_problem(401, "unauthenticated");
}
