//! The members of a tenant: what an admin does is in force on the member's next request, and one admin always stays.

use serde_json::{Value, json};

use crate::support::{Conn, Engine, Options, Server, on_both_engines};
use crate::watch::until;

on_both_engines! {
    the_last_admin_stays
    what_is_no_member_or_no_change_is_named
    what_a_node_did_not_hear_of_is_found_in_the_store
}

async fn the_last_admin_stays(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let access = conn.sign_in(&acme).await.access;
    let page = conn.get("/v1/members", Some(&access)).await.is(200).json();
    let ada = page["items"][0].clone();
    let id = ada["id"].as_str().unwrap();
    let expected = json!({
        "id": id, "email": acme.email, "name": "Admin", "role": "admin", "created_at": ada["created_at"],
        "active": true, "second_factor": false,
    });
    assert_eq!((page["items"].as_array().unwrap().len(), &ada, &page["next_cursor"]), (1, &expected, &Value::Null));
    let path = format!("/v1/members/{id}");
    assert_eq!(conn.get(&path, Some(&access)).await.is(200).json(), expected);

    conn.patch(&path, &access, &json!({ "role": "employee" })).await.is_problem(409, "conflict");
    conn.post(&format!("{path}/deactivate"), Some(&access), &json!({})).await.is_problem(409, "conflict");
    conn.call("DELETE", &path, Some(&access)).await.is_problem(409, "conflict");
    assert_eq!(conn.get(&path, Some(&access)).await.is(200).json(), expected, "and nothing has changed");

    let renamed = conn.patch(&path, &access, &json!({ "name": "Ada Lovelace", "role": "admin" })).await;
    assert_eq!(renamed.is(200).json()["name"], "Ada Lovelace");
    assert_eq!(conn.me(&access).await, 200, "a name ends no session");
    let log = crate::audit::log(&mut conn, &access).await;
    let told: Vec<_> = log.iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(told, ["tenant.created", "session.started", "member.renamed"]);
}

async fn what_is_no_member_or_no_change_is_named(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let token = conn.sign_in(&acme).await.access;
    let access = Some(token.as_str());
    for id in ["019a0000-0000-7000-8000-000000000000", "x", "019A0000-0000-7000-8000-000000000000"] {
        let path = format!("/v1/members/{id}");
        conn.get(&path, access).await.is_problem(404, "not-found");
        conn.patch(&path, &token, &json!({ "name": "X" })).await.is_problem(404, "not-found");
        conn.call("DELETE", &path, access).await.is_problem(404, "not-found");
        for verb in ["deactivate", "reactivate", "reset-second-factor"] {
            conn.post(&format!("{path}/{verb}"), access, &json!({})).await.is_problem(404, "not-found");
        }
    }
    let me = conn.get("/v1/members", access).await.json()["items"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/members/{me}");
    for (body, field) in [
        (json!({ "name": "" }), "name"),
        (json!({ "name": "a\nb" }), "name"),
        (json!({ "name": "x".repeat(201) }), "name"),
        (json!({ "role": "owner" }), "role"),
        (json!({ "role": 1 }), "role"),
        (json!({ "role": null }), "role"),
        (json!({ "name": null }), "name"),
        (json!({ "email": "x@example.com" }), "email"),
    ] {
        let answer = conn.patch(&path, &token, &body).await;
        answer.is_problem(400, "validation");
        assert_eq!(answer.json()["errors"][0]["field"], field, "{body}");
    }
    conn.post(&format!("{path}/deactivate"), access, &json!({ "x": 1 })).await.is_problem(400, "validation");
    conn.post(&format!("{path}/reset-second-factor"), access, &json!({})).await.is_problem(404, "not-found");
    conn.get("/v1/members?cursor=x", access).await.is_problem(400, "validation");
    conn.get("/v1/members", None).await.is_problem(401, "unauthenticated");

    server.run_sql(&acme, "UPDATE member SET role = 'employee'").await;
    let session = conn.sign_in(&acme).await;
    let access = Some(session.access.as_str());
    assert_eq!(conn.get(&path, access).await.is(200).json()["role"], "employee", "everybody reads the own entry");
    conn.get("/v1/members/019a0000-0000-7000-8000-000000000000", access).await.is_problem(403, "forbidden");
    conn.get("/v1/members", access).await.is_problem(403, "forbidden");
    conn.patch(&path, &session.access, &json!({ "role": "admin" })).await.is_problem(403, "forbidden");
    conn.call("DELETE", &path, access).await.is_problem(403, "forbidden");
}

/// Nobody tells the server: the row alone says that the member is deactivated.
async fn what_a_node_did_not_hear_of_is_found_in_the_store(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off().env("FREEHOLD_TREE_RECONCILE_S", "1")).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    server.run_sql(&acme, "UPDATE member SET deactivated_at_ms = 4102444800000").await;
    until("the session is dead", async || (conn.me(&session.access).await == 401).then_some(())).await;
    conn.refresh(&session.refresh).await.is_problem(401, "unauthenticated");
}
