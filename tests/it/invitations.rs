//! Invitations, and the life of a member that begins with one.

use serde_json::{Value, json};

use crate::audit;
use crate::second_factor::{Authenticator, backup};
use crate::support::{
    Answer, Conn, Effort, Engine, Options, STATEMENTS_LOGGED, Server, Session, Tenant, headers_seen, on_both_engines,
    open_split, post_at_once, winner,
};

const INVITATIONS: &str = "/v1/invitations";
const REGISTER: &str = "/v1/auth/register";
const PASSWORD: &str = "a password of grace";
const GRACE: &str = "grace@example.com";
const NOT_INVITED: &str = "is not valid any more, or is for another address";
/// Uses of one invitation at the same moment.
const USES: usize = 100;

on_both_engines! {
    a_member_lives_from_invitation_to_deactivation
    an_invitation_is_accepted_once_however_many_try
    only_who_was_invited_accepts_and_only_in_time
    inviting_tells_nothing_of_who_is_a_member
    of_two_admins_who_go_at_once_one_stays
    what_an_admin_does_is_in_force_on_the_next_request
}

/// A server with one tenant, and its admin's session.
async fn with_admin(engine: Engine) -> (Server, Tenant, Conn, String) {
    admin_of(Options::new(engine)).await
}

/// The same, with these options.
async fn admin_of(options: Options) -> (Server, Tenant, Conn, String) {
    let server = Server::start(options.limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let access = conn.sign_in(&acme).await.access;
    (server, acme, conn, access)
}

async fn invite(conn: &mut Conn, access: &str, email: &str, role: &str) -> Value {
    conn.post(INVITATIONS, Some(access), &json!({ "email": email, "role": role })).await.is(201).json()
}

fn application(email: &str, token: &str) -> Value {
    json!({ "email": email, "password": PASSWORD, "name": "Grace Hopper", "invitation": token })
}

/// The token of the newest of so many letters.
async fn newest_token(server: &Server, count: usize) -> String {
    server.letters(count).await.last().unwrap().token("/auth/invitation")
}

async fn sign_in(conn: &mut Conn, email: &str) -> Answer {
    conn.post("/v1/auth/login", None, &json!({ "email": email, "password": PASSWORD })).await
}

/// Makes a member of this role: its id and a session.
async fn member(server: &Server, conn: &mut Conn, access: &str, email: &str, role: &str) -> (String, Session) {
    let known = std::fs::read_dir(server.data_dir().join("outbox")).map_or(0, Iterator::count);
    invite(conn, access, email, role).await;
    let token = newest_token(server, known + 1).await;
    let made = conn.post(REGISTER, None, &application(email, &token)).await.is(201).json();
    let id = made["member"]["id"].as_str().unwrap().to_owned();
    (id, Session::of(&sign_in(conn, email).await))
}

async fn a_member_lives_from_invitation_to_deactivation(engine: Engine) {
    let (server, _acme, mut conn, admin) = with_admin(engine).await;

    // Invited, she chooses name and password, and signs in.
    let invitation = invite(&mut conn, &admin, GRACE, "employee").await;
    let letter = &server.letters(1).await[0];
    assert_eq!((letter.header("To"), letter.header("From").contains("acme")), (GRACE, true), "{letter:?}");
    let token = letter.token("/auth/invitation");
    let page = conn.get("/auth/invitation", None).await;
    let html = String::from_utf8_lossy(&page.is(200).body).into_owned();
    assert!(html.contains(r#"data-post="/v1/auth/register" data-token="invitation""#), "{html}");
    let made = conn.post(REGISTER, None, &application(GRACE, &token)).await.is(201).json();
    let id = made["member"]["id"].as_str().unwrap().to_owned();
    assert_eq!(made, json!({ "member": { "id": id, "role": "employee" } }));
    assert_eq!(conn.get(INVITATIONS, Some(&admin)).await.json()["items"], json!([]), "it is spent");
    let session = Session::of(&sign_in(&mut conn, GRACE).await);
    let own = conn.get(&format!("/v1/members/{id}"), Some(&session.access)).await.is(200).json();
    assert_eq!((&own["name"], &own["email"]), (&json!("Grace Hopper"), &json!(GRACE)));

    // She enrols a second factor, and signs in with a backup code.
    let enrolment = conn.post("/v1/auth/totp/enrol", Some(&session.access), &json!({})).await.is(200).json();
    let code = Authenticator::of(enrolment["secret"].as_str().unwrap()).code(0);
    let confirmed = conn.post("/v1/auth/totp/confirm", Some(&session.access), &json!({ "code": code })).await;
    let backup_code = confirmed.is(200).json()["backup_codes"][0].as_str().unwrap().to_owned();
    let challenged = sign_in(&mut conn, GRACE).await;
    challenged.is_problem(401, "second-factor-required");
    let challenge = challenged.json()["challenge"].as_str().unwrap().to_owned();
    let answer = conn.post("/v1/auth/second-factor", None, &backup(&challenge, &backup_code)).await;
    let session = Session::of(&answer);

    // As a sales representative she is somebody else on her next request, in the same session.
    let path = format!("/v1/members/{id}");
    assert_eq!(conn.patch(&path, &admin, &json!({ "role": "sales_rep" })).await.is(200).json()["role"], "sales_rep");
    assert_eq!(conn.me(&session.access).await, 401);
    let session = Session::of(&conn.refresh(&session.refresh).await);
    let me = conn.get("/v1/me", Some(&session.access)).await.is(200).json();
    assert_eq!(me["member"], json!({ "id": id, "role": "sales_rep" }));

    // Deactivated, she is nobody; made active again, she has to sign in.
    let gone = conn.post(&format!("{path}/deactivate"), Some(&admin), &json!({})).await.is(200).json();
    assert_eq!((&gone["active"], gone["deactivated_at"].is_string()), (&json!(false), true));
    assert_eq!(conn.me(&session.access).await, 401);
    conn.refresh(&session.refresh).await.is_problem(401, "unauthenticated");
    sign_in(&mut conn, GRACE).await.is_problem(401, "invalid-credentials");
    conn.post(&format!("{path}/reactivate"), Some(&admin), &json!({})).await.is(200);
    conn.refresh(&session.refresh).await.is_problem(401, "unauthenticated");
    sign_in(&mut conn, GRACE).await.is_problem(401, "second-factor-required");

    let log = audit::log(&mut conn, &admin).await;
    let told: Vec<_> = log.iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(
        told,
        [
            "tenant.created",
            "session.started",
            "invitation.sent",
            "member.joined",
            "session.started",
            "second_factor.confirmed",
            "session.started",
            "member.role_changed",
            "member.deactivated",
            "member.reactivated",
        ]
    );
    assert_eq!(log[2]["subject"], invitation["id"]);
    assert_eq!(log[7]["changes"], json!([{ "field": "role", "from": "employee", "to": "sales_rep" }]));
    assert!(server.cli(&["audit", "verify", "acme"], "").status.success());
}

async fn an_invitation_is_accepted_once_however_many_try(engine: Engine) {
    let (server, acme, mut conn, admin) = with_admin(engine).await;
    invite(&mut conn, &admin, GRACE, "employee").await;
    let token = newest_token(&server, 1).await;
    one_of_many_joins(&[&server], &acme, &admin, &token).await;
}

/// The same, split over two servers on one store.
#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_accept_an_invitation_once() {
    let (one, acme, mut conn, admin) = with_admin(Engine::Postgres).await;
    invite(&mut conn, &admin, GRACE, "employee").await;
    let token = newest_token(&one, 1).await;
    let two = one.another();
    one_of_many_joins(&[&one, &two], &acme, &admin, &token).await;
}

/// Accepts an invitation many times at the same moment, each time with another password: one of them is a member then, and
/// nobody is told that the address is one's. Who found no place in the hash queue, which is shorter than this on a small
/// machine, did nothing.
async fn one_of_many_joins(servers: &[&Server], acme: &Tenant, admin: &str, token: &str) {
    let mut many = open_split(servers, acme, USES).await;
    let password = |n: usize| format!("password number {n} of many");
    let body = |n| json!({ "email": GRACE, "password": password(n), "name": "Grace Hopper", "invitation": token });
    let answers = post_at_once(&mut many, REGISTER, body).await;
    let won = winner(&answers, 201, (400, "validation"));
    let losers = answers.iter().filter(|answer| answer.status == 400);
    let spent = json!([{ "field": "invitation", "message": NOT_INVITED }]);
    assert!(losers.into_iter().all(|answer| answer.json()["errors"] == spent), "{answers:?}");

    let id = answers[won].json()["member"]["id"].clone();
    let grace = Tenant { email: GRACE.to_owned(), password: password(won), ..acme.clone() };
    for server in servers {
        let mut conn = Conn::to(server, acme).await;
        let session = conn.sign_in(&grace).await;
        assert_eq!(conn.get("/v1/me", Some(&session.access)).await.json()["member"]["id"], id);
        conn.login(&grace, &password(won ^ 1)).await.is_problem(401, "invalid-credentials");
        let members = conn.get("/v1/members", Some(admin)).await.is(200).json();
        assert_eq!(members["items"].as_array().unwrap().len(), 2);
        let log = audit::log(&mut conn, admin).await;
        assert_eq!(log.iter().filter(|row| row["action"] == "member.joined").count(), 1);
    }
}

async fn only_who_was_invited_accepts_and_only_in_time(engine: Engine) {
    let (server, acme, mut conn, admin) = with_admin(engine).await;
    let first = invite(&mut conn, &admin, GRACE, "employee").await;
    let one = newest_token(&server, 1).await;
    let again =
        conn.post(&format!("{INVITATIONS}/{}/resend", first["id"].as_str().unwrap()), Some(&admin), &json!({})).await;
    assert_eq!(again.is(200).json()["id"], first["id"]);
    let two = newest_token(&server, 2).await;
    let second = invite(&mut conn, &admin, GRACE, "sales_rep").await;
    let three = newest_token(&server, 3).await;
    let listed = conn.get(INVITATIONS, Some(&admin)).await.is(200).json();
    assert_eq!(listed["items"], json!([second]), "one an address, the newest");

    let refused = async |conn: &mut Conn, body: &Value| {
        let answer = conn.post(REGISTER, None, body).await;
        answer.is_problem(400, "validation");
        let errors = json!([{ "field": "invitation", "message": NOT_INVITED }]);
        assert_eq!(answer.json()["errors"], errors, "{body}");
    };
    for void in [&one, &two, "fhi_x", "", &three[..46], "fhc_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        refused(&mut conn, &application(GRACE, void)).await;
    }
    refused(&mut conn, &application("mallory@example.com", &three)).await;
    let mut short = application(GRACE, &three);
    short["password"] = json!("14 characters!");
    conn.post(REGISTER, None, &short).await.is_problem(400, "validation");
    conn.post(REGISTER, None, &json!({ "email": GRACE, "password": PASSWORD, "name": "Grace" }))
        .await
        .is_problem(403, "forbidden");

    server.run_sql(&acme, "UPDATE invitation SET expires_at_ms = expires_at_ms - 7 * 86400000").await;
    refused(&mut conn, &application(GRACE, &three)).await;
    conn.post(&format!("{INVITATIONS}/{}/resend", second["id"].as_str().unwrap()), Some(&admin), &json!({}))
        .await
        .is(200);
    let four = newest_token(&server, 4).await;
    conn.call("DELETE", &format!("{INVITATIONS}/{}", second["id"].as_str().unwrap()), Some(&admin)).await.is(204);
    refused(&mut conn, &application(GRACE, &four)).await;
    conn.call("DELETE", &format!("{INVITATIONS}/{}", second["id"].as_str().unwrap()), Some(&admin))
        .await
        .is_problem(404, "not-found");

    for (body, field) in [
        (json!({ "role": "admin" }), "email"),
        (json!({ "email": GRACE }), "role"),
        (json!({ "email": "x", "role": "admin" }), "email"),
        (json!({ "email": GRACE, "role": "owner" }), "role"),
        (json!({ "email": GRACE, "role": "admin", "name": "x" }), "name"),
    ] {
        let answer = conn.post(INVITATIONS, Some(&admin), &body).await;
        answer.is_problem(400, "validation");
        assert_eq!(answer.json()["errors"][0]["field"], field, "{body}");
    }
    assert_eq!(conn.get("/v1/members", Some(&admin)).await.json()["items"].as_array().unwrap().len(), 1);
}

/// Not to whoever invites: answer and work are the same, and only the letter differs.
async fn inviting_tells_nothing_of_who_is_a_member(engine: Engine) {
    let (name, level) = STATEMENTS_LOGGED;
    let (server, acme, mut conn, admin) = admin_of(Options::new(engine).env(name, level)).await;
    let mut seen = vec![];
    for email in ["bob@example.com", acme.email.as_str()] {
        let body = json!({ "email": email, "role": "employee" });
        let (answer, took) = Effort::of(&server, &mut conn, engine, (INVITATIONS, Some(&admin)), &body).await;
        let mut told = answer.is(201).json();
        assert_eq!(told["email"], json!(email));
        for own in ["id", "email", "created_at", "expires_at"] {
            assert!(told[own].take().is_string(), "{own}: {answer:?}");
        }
        let letter = server.letters(seen.len() + 1).await.pop().unwrap();
        assert_eq!(letter.header("To"), email);
        assert_eq!(letter.text.contains("#token="), email != acme.email, "who is a member gets no token");
        assert_eq!((took.hashes, took.letters), (0, 1));
        // As long as its times are, which have no zeros at their ends.
        let headers = headers_seen(&answer).into_iter().filter(|(name, _)| name != "content-length");
        seen.push((told, headers.collect::<Vec<_>>(), took));
    }
    assert_eq!(seen[0], seen[1]);
}

async fn of_two_admins_who_go_at_once_one_stays(engine: Engine) {
    let (server, acme, mut conn, ada) = with_admin(engine).await;
    let (grace_id, grace) = member(&server, &mut conn, &ada, GRACE, "admin").await;
    let members = conn.get("/v1/members", Some(&ada)).await.is(200).json();
    let ada_id = members["items"][0]["id"].as_str().unwrap().to_owned();
    let mut other = Conn::to(&server, &acme).await;
    // Each takes the other away, in each way there is.
    let paths = [&ada_id, &grace_id].map(|id| format!("/v1/members/{id}"));
    let (demote, nothing) = (json!({ "role": "employee" }), json!({}));
    let deactivate = format!("{}/deactivate", paths[0]);
    let (one, two) =
        tokio::join!(conn.patch(&paths[1], &ada, &demote), other.post(&deactivate, Some(&grace.access), &nothing),);
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert!(statuses == [200, 409] || statuses == [200, 401], "one went, and the other could not: {statuses:?}");
    let admins = if one.status == 200 { &ada } else { &grace.access };
    let left = conn.get("/v1/members", Some(admins)).await.is(200).json();
    let active = left["items"].as_array().unwrap().iter().filter(|m| m["role"] == "admin" && m["active"] == true);
    assert_eq!(active.count(), 1);
}

async fn what_an_admin_does_is_in_force_on_the_next_request(engine: Engine) {
    let (server, acme, mut conn, admin) = with_admin(engine).await;
    let (id, grace) = member(&server, &mut conn, &admin, GRACE, "employee").await;
    let path = format!("/v1/members/{id}");

    let enrolment = conn.post("/v1/auth/totp/enrol", Some(&grace.access), &json!({})).await.is(200).json();
    let code = Authenticator::of(enrolment["secret"].as_str().unwrap()).code(0);
    conn.post("/v1/auth/totp/confirm", Some(&grace.access), &json!({ "code": code })).await.is(200);
    sign_in(&mut conn, GRACE).await.is_problem(401, "second-factor-required");
    conn.post(&format!("{path}/reset-second-factor"), Some(&admin), &json!({})).await.is(204);
    conn.refresh(&grace.refresh).await.is_problem(401, "unauthenticated");
    let grace = Session::of(&sign_in(&mut conn, GRACE).await);
    let told = server.letters(3).await.iter().filter(|letter| letter.header("To") == GRACE).count();
    assert_eq!(told, 3, "the invitation, the second factor, its end");

    conn.call("DELETE", &path, Some(&admin)).await.is(204);
    assert_eq!(conn.me(&grace.access).await, 401);
    conn.refresh(&grace.refresh).await.is_problem(401, "unauthenticated");
    sign_in(&mut conn, GRACE).await.is_problem(401, "invalid-credentials");
    conn.get(&path, Some(&admin)).await.is_problem(404, "not-found");
    assert!(server.cli(&["audit", "verify", "acme"], "").status.success());
    // The address is free again.
    member(&server, &mut conn, &admin, GRACE, "employee").await;

    // What takes a member away, or a credential, needs a session that is fresh.
    let sql = "UPDATE token_family SET created_at_ms = created_at_ms - 300000";
    server.run_sql(&acme, sql).await;
    conn.call("DELETE", &path, Some(&admin)).await.is_problem(403, "forbidden");
    conn.post(&format!("{path}/reset-second-factor"), Some(&admin), &json!({})).await.is_problem(403, "forbidden");
}
