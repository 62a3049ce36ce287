//! Operators: members of the platform's own tenant, who make tenants, take them out of service, and help their members.

mod entering;
mod limits;

use serde_json::{Value, json};

use crate::audit;
use crate::support::{Answer, Conn, Engine, Options, Server, Session, Tenant, on_both_engines};

const OPERATOR: &str = "olga@example.com";
const PASSWORD: &str = "an operator's password";
const TENANTS: &str = "/v1/tenants";

on_both_engines! {
    operators_make_tenants_and_set_their_states
    an_operator_acts_as_a_member_where_the_tenant_allows_it
    what_an_operator_cannot_do_is_named
}

/// Makes the operator: the platform's own tenant, as a tenant of its server.
pub(crate) async fn platform(server: &Server) -> Tenant {
    let made = server.cli(&["operator", "create", OPERATOR, "--password-stdin"], &format!("{PASSWORD}\n"));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(made["email"], OPERATOR);
    assert!(made["url"].as_str().unwrap().starts_with("http://admin.localhost:"), "{made}");
    let (email, password) = (OPERATOR.to_owned(), PASSWORD.to_owned());
    let mut platform = Tenant { id: String::new(), slug: "admin".to_owned(), email, password };
    let mut conn = Conn::to(server, &platform).await;
    let access = conn.sign_in(&platform).await.access;
    let me = conn.get("/v1/me", Some(&access)).await.is(200).json();
    me["tenant"]["id"].as_str().unwrap().clone_into(&mut platform.id);
    platform
}

/// Makes the operator, and signs in.
async fn operator(server: &Server) -> (Conn, Session) {
    let platform = platform(server).await;
    let mut conn = Conn::to(server, &platform).await;
    let session = conn.sign_in(&platform).await;
    (conn, session)
}

async fn sign_in(conn: &mut Conn) -> Answer {
    conn.post("/v1/auth/login", None, &json!({ "email": OPERATOR, "password": PASSWORD })).await
}

async fn actions(conn: &mut Conn, access: &str) -> Vec<String> {
    let log = audit::log(conn, access).await;
    log.iter().map(|row| row["action"].as_str().unwrap().to_owned()).collect()
}

async fn operators_make_tenants_and_set_their_states(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let (mut conn, session) = operator(&server).await;
    let access = Some(session.access.as_str());
    assert_eq!(conn.get(TENANTS, access).await.is(200).json()["items"], json!([]), "the platform is none of them");

    let new = json!({ "slug": "globex", "name": "Globex", "admin": { "email": "hank@example.com" } });
    let made = conn.post(TENANTS, access, &new).await.is(201).json();
    let id = made["id"].as_str().unwrap();
    assert_eq!((&made["slug"], &made["name"], &made["state"]), (&json!("globex"), &json!("Globex"), &json!("active")));
    assert!(made["url"].as_str().unwrap().starts_with("http://globex.localhost:"), "{made}");
    assert_eq!(conn.get(TENANTS, access).await.is(200).json()["items"], json!([made]));

    // Its first admin is invited, and nobody else is there.
    let letter = server.letters(1).await.remove(0);
    assert_eq!(letter.header("To"), "hank@example.com");
    let mut globex = Conn::open(server.http, "globex.localhost").await;
    let hank = json!({ "email": "hank@example.com", "password": "a password of hank", "name": "Hank",
                       "invitation": letter.token("/auth/invitation") });
    assert_eq!(globex.post("/v1/auth/register", None, &hank).await.is(201).json()["member"]["role"], "admin");
    let hank = json!({ "email": "hank@example.com", "password": "a password of hank" });
    let admin = Session::of(&globex.post("/v1/auth/login", None, &hank).await);

    let path = |verb: &str| format!("{TENANTS}/{id}/{verb}");
    for (verb, state, status) in [
        ("suspend", "suspended", 403),
        ("freeze", "read-only", 200),
        ("drain", "draining", 503),
        ("hold", "held", 503),
        ("resume", "active", 200),
    ] {
        for _ in 0..2 {
            let set = conn.post(&path(verb), access, &json!({ "reason": "a test" })).await.is(200).json();
            assert_eq!((&set["state"], &set["reason"]), (&json!(state), &json!("a test")), "{verb}");
        }
        assert_eq!(globex.me(&admin.access).await, status, "{verb} is in force on the next request");
    }
    let until = "2099-01-01T00:00:00Z";
    let set = conn.post(&path("suspend"), access, &json!({ "until": until })).await.is(200).json();
    assert!(set["until"].as_str().unwrap().starts_with("2099-01-01T00:00:00"), "{set}");
    conn.post(&path("resume"), access, &json!({})).await.is(200);
    assert_eq!(globex.me(&admin.access).await, 200);
    assert_eq!(conn.get(&path("tree"), access).await.is(200).json()["slug"], "globex");

    // Recorded at the tenant, with the operator, and at the platform.
    let log = audit::log(&mut globex, &admin.access).await;
    let row = log.iter().find(|row| row["action"] == "tenant.frozen").unwrap();
    let me = conn.get("/v1/me", access).await.json()["member"]["id"].clone();
    assert_eq!((&row["actor"]["kind"], &row["actor"]["id"]), (&json!("operator"), &me));
    assert_eq!(row["reason"], "a test");
    let platform = actions(&mut conn, &session.access).await;
    assert!(platform.contains(&"tenant.created".to_owned()) && platform.contains(&"tenant.held".to_owned()));
    for slug in ["globex", "admin"] {
        assert!(server.cli(&["audit", "verify", slug], "").status.success(), "{slug}");
    }
    // A tenant's admin is no operator: not at the tenant's host, and not with its token at the operators'.
    globex.get(TENANTS, Some(&admin.access)).await.is_problem(404, "not-found");
    conn.get(TENANTS, Some(&admin.access)).await.is_problem(401, "unauthenticated");
}

async fn an_operator_acts_as_a_member_where_the_tenant_allows_it(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut tenant = Conn::to(&server, &acme).await;
    let ada = tenant.sign_in(&acme).await;
    let me = tenant.get("/v1/me", Some(&ada.access)).await.json()["member"]["id"].as_str().unwrap().to_owned();
    let (mut conn, session) = operator(&server).await;
    let path = format!("{TENANTS}/{}/impersonate", acme.id);
    let body = json!({ "member_id": me, "reason": "ticket 7" });
    conn.post(&path, Some(&session.access), &body).await.is_problem(403, "forbidden");
    tenant.patch("/v1/settings", &ada.access, &json!({ "support_access": true })).await.is(200);

    let answer = conn.post(&path, Some(&session.access), &body).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let support = answer.is(200).json();
    assert_eq!((&support["expires_in"], support.get("refresh_token")), (&json!(900), None));
    let access = support["access_token"].as_str().unwrap();
    let seen = tenant.get("/v1/me", Some(access)).await.is(200).json();
    assert_eq!((seen["member"]["id"].as_str(), seen["operator"].is_string()), (Some(me.as_str()), true));
    tenant.get("/v1/audit", Some(access)).await.is(200);
    tenant.get("/v1/settings", Some(access)).await.is(200);

    // It looks, and touches no credential, member or key.
    let nothing = json!({});
    for (method, path) in [
        ("POST", "/v1/auth/password"),
        ("POST", "/v1/auth/totp/enrol"),
        ("POST", "/v1/auth/backup-codes"),
        ("DELETE", "/v1/auth/totp"),
        ("POST", "/v1/auth/logout-all"),
        ("GET", "/v1/members"),
        ("GET", &format!("/v1/members/{me}")),
        ("POST", "/v1/invitations"),
        ("PATCH", "/v1/settings"),
        ("DELETE", &format!("/v1/sessions/{}", ada.id)),
    ] {
        let answer = match method {
            "POST" => tenant.post(path, Some(access), &nothing).await,
            "PATCH" => tenant.patch(path, access, &nothing).await,
            _ => tenant.call(method, path, Some(access)).await,
        };
        answer.is_problem(403, "forbidden");
    }

    // The member sees who is there and why, and ends it.
    let sessions = tenant.get("/v1/sessions", Some(&ada.access)).await.is(200).json();
    let id = support["session_id"].as_str().unwrap();
    let shown = sessions["items"].as_array().unwrap().iter().find(|item| item["id"] == id).unwrap();
    assert_eq!(shown["user_agent"], "Support by an operator: ticket 7");
    tenant.call("DELETE", &format!("/v1/sessions/{id}"), Some(&ada.access)).await.is(204);
    assert_eq!(tenant.me(access).await, 401);

    let log = audit::log(&mut tenant, &ada.access).await;
    let row = log.iter().find(|row| row["action"] == "support.started").unwrap();
    assert_eq!((row["subject"].as_str(), row["reason"].as_str()), (Some(me.as_str()), Some("ticket 7")));
    assert_eq!(row["actor"]["kind"], "operator");
    assert!(actions(&mut conn, &session.access).await.contains(&"support.started".to_owned()));

    // It ends with the operator's own session, and with the tenant's leave, each on the next request.
    let again = async |conn: &mut Conn| {
        let session = Session::of(&sign_in(conn).await);
        let support = conn.post(&path, Some(&session.access), &body).await.is(200).json();
        (session, support["access_token"].as_str().unwrap().to_owned())
    };
    let (other, access) = again(&mut conn).await;
    assert_eq!(tenant.me(&access).await, 200);
    tenant.get("/v1/auth/forward", Some(&access)).await.is_problem(401, "unauthenticated");
    conn.post("/v1/auth/logout", Some(&other.access), &json!({})).await.is(204);
    assert_eq!(tenant.me(&access).await, 401);
    let (_, access) = again(&mut conn).await;
    tenant.patch("/v1/settings", &ada.access, &json!({ "support_access": false })).await.is(200);
    assert_eq!(tenant.me(&access).await, 401);
    conn.post(&path, Some(&session.access), &body).await.is_problem(403, "forbidden");
}

async fn what_an_operator_cannot_do_is_named(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    Conn::open(server.http, "admin.localhost").await.get("/v1/me", None).await.is_problem(404, "not-found");
    let (mut conn, session) = operator(&server).await;
    let access = Some(session.access.as_str());
    conn.get(TENANTS, None).await.is_problem(401, "unauthenticated");
    let again = server.cli(&["operator", "create", OPERATOR], "");
    assert_eq!(again.status.code(), Some(65), "{}", String::from_utf8_lossy(&again.stderr));

    let with = |slug: &str| json!({ "slug": slug, "name": "X", "admin": { "email": "x@example.com" } });
    for (body, field) in [
        (with("1a"), "slug"),
        (json!({ "slug": "a", "admin": { "email": "x@example.com" } }), "name"),
        (json!({ "slug": "a", "name": "A" }), "admin"),
        (json!({ "slug": "a", "name": "A", "admin": {} }), "admin.email"),
        (json!({ "slug": "a", "name": "A", "admin": { "email": "x", "role": "admin" } }), "role"),
    ] {
        let answer = conn.post(TENANTS, access, &body).await;
        answer.is_problem(400, "validation");
        let field_of = answer.json()["errors"][0]["field"].as_str().unwrap().to_owned();
        assert!(field_of == field || field_of == format!("admin.{field}"), "{body}: {field_of}");
    }
    for taken in ["acme", "admin", "api"] {
        conn.post(TENANTS, access, &with(taken)).await.is_problem(409, "conflict");
    }
    for id in ["x", "019a0000-0000-7000-8000-000000000000"] {
        conn.post(&format!("{TENANTS}/{id}/suspend"), access, &json!({})).await.is_problem(404, "not-found");
    }
    let suspend = format!("{TENANTS}/{}/suspend", acme.id);
    for body in
        [json!({ "until": "tomorrow" }), json!({ "until": "2001-01-01T00:00:00Z" }), json!({ "reason": "a\nb" })]
    {
        conn.post(&suspend, access, &body).await.is_problem(400, "validation");
    }
    // Nobody becomes a member of the platform unasked.
    conn.patch("/v1/settings", &session.access, &json!({ "registration": "open" })).await.is(200);
    let stranger = json!({ "email": "x@example.com", "password": "a stranger's password", "name": "X" });
    conn.post("/v1/auth/register", None, &stranger).await.is_problem(403, "forbidden");
    // Nobody locks the operators out, and a network that is not theirs does not see them.
    let own = conn.get("/v1/me", access).await.is(200).json()["tenant"]["id"].as_str().unwrap().to_owned();
    conn.post(&format!("{TENANTS}/{own}/suspend"), access, &json!({})).await.is_problem(404, "not-found");
    assert_eq!(server.cli(&["tenant", "suspend", "admin"], "").status.code(), Some(65));
    let server = server.restarted_with("FREEHOLD_PLATFORM_OPERATOR_CIDRS", "10.0.0.0/8");
    let mut conn = Conn::open(server.http, "admin.localhost").await;
    conn.get("/v1/me", access).await.is_problem(404, "not-found");
    sign_in(&mut conn).await.is_problem(404, "not-found");
}
