//! Who comes to the operators' host at all, and with what: from their networks alone, and in production with a second factor.

use serde_json::{Value, json};

use super::{OPERATOR, PASSWORD, TENANTS, platform};
use crate::second_factor::Authenticator;
use crate::second_factor_rule::{must_enrol, started};
use crate::support::{Answer, Conn, Engine, Options, Server, Session, on_both_engines};

on_both_engines! {
    in_production_operators_need_a_second_factor_whatever_their_settings_say
}

const SECOND: &str = "otto@example.com";
const ADMIN: &str = "admin.example.com";

/// A server as production has it, behind a proxy on the same machine, with limits that nobody meets here.
fn production(engine: Engine) -> Options {
    let settings = [
        ("FREEHOLD_PROFILE", "production"),
        ("FREEHOLD_PLATFORM_DOMAIN", "example.com"),
        ("FREEHOLD_PLATFORM_PUBLIC_URL", "https://example.com"),
        ("FREEHOLD_HTTP_TRUSTED_PROXIES", "127.0.0.1"),
    ];
    let tiers = "ADDRESS LOGIN_ADDRESS LOGIN_ACCOUNT SECOND_FACTOR REFRESH OPERATOR API_MEMBER API_TENANT";
    let options = settings.into_iter().fold(Options::new(engine), |options, (name, value)| options.env(name, value));
    tiers.split(' ').fold(options, |options, tier| options.env(&format!("FREEHOLD_LIMITS_{tier}"), "1000/s"))
}

/// Makes an operator through the command line.
#[track_caller]
fn make(server: &Server, email: &str) {
    let made = server.cli(&["operator", "create", email, "--password-stdin"], &format!("{PASSWORD}\n"));
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

async fn sign_in(conn: &mut Conn, email: &str) -> Answer {
    conn.post("/v1/auth/login", None, &json!({ "email": email, "password": PASSWORD })).await
}

/// Asserts that this operator's session, which is new, may enrol a second factor and do nothing else.
async fn enrols_alone(conn: &mut Conn, answer: &Answer) -> Session {
    let (session, is_due) = started(answer);
    assert!(is_due, "{answer:?}");
    let access = Some(session.access.as_str());
    for path in ["/v1/me", TENANTS, "/v1/settings", "/v1/audit", "/v1/members"] {
        must_enrol(&conn.get(path, access).await);
    }
    let new = json!({ "slug": "globex", "name": "Globex", "admin": { "email": "hank@example.com" } });
    must_enrol(&conn.post(TENANTS, access, &new).await);
    must_enrol(&conn.patch("/v1/settings", &session.access, &json!({ "require_second_factor": "off" })).await);
    session
}

/// Enrols an authenticator; the session with it.
async fn enrol(conn: &mut Conn, session: &Session) -> Session {
    let enrolment = conn.post("/v1/auth/totp/enrol", Some(&session.access), &json!({})).await.is(200).json();
    let code = Authenticator::of(enrolment["secret"].as_str().unwrap()).code(0);
    conn.post("/v1/auth/totp/confirm", Some(&session.access), &json!({ "code": code })).await.is(200);
    let (session, is_due) = started(&conn.refresh(&session.refresh).await);
    assert!(!is_due);
    session
}

async fn in_production_operators_need_a_second_factor_whatever_their_settings_say(engine: Engine) {
    let server = Server::start(production(engine)).await;
    let acme = server.tenant("acme");
    make(&server, OPERATOR);
    let mut conn = Conn::open(server.http, ADMIN).await.by_https();
    let answer = sign_in(&mut conn, OPERATOR).await;
    let session = enrols_alone(&mut conn, &answer).await;
    let session = enrol(&mut conn, &session).await;
    conn.get(TENANTS, Some(&session.access)).await.is(200);

    // Their settings are theirs to change, and this one is not in them.
    let required = async |conn: &mut Conn| {
        let settings = conn.get("/v1/settings", Some(&session.access)).await.is(200).json();
        (settings["require_second_factor"].clone(), settings["second_factor_grace_s"].clone())
    };
    assert_eq!(required(&mut conn).await, (json!("all"), json!(0)));
    for settings in [
        json!({ "second_factor_grace_s": 3_600 }),
        json!({ "require_second_factor": "roles", "second_factor_roles": ["employee"] }),
        json!({ "require_second_factor": "off" }),
    ] {
        conn.patch("/v1/settings", &session.access, &settings).await.is(200);
        assert_eq!(required(&mut conn).await, (json!("all"), json!(0)), "{settings}");
    }
    make(&server, SECOND);
    let answer = sign_in(&mut conn, SECOND).await;
    enrols_alone(&mut conn, &answer).await;
    sign_in(&mut conn, OPERATOR).await.is_problem(401, "second-factor-required");

    // Not after a new start either, nor for who takes the second factor away; and it is the operators' rule alone.
    let server = server.restarted();
    let mut conn = Conn::open(server.http, ADMIN).await.by_https();
    let answer = sign_in(&mut conn, SECOND).await;
    enrols_alone(&mut conn, &answer).await;
    conn.call("DELETE", "/v1/auth/totp", Some(&session.access)).await.is(204);
    let answer = conn.refresh(&session.refresh).await;
    enrols_alone(&mut conn, &answer).await;
    let mut tenant = Conn::open(server.http, "acme.example.com").await.by_https();
    let session = tenant.sign_in(&acme).await;
    assert_eq!(tenant.me(&session.access).await, 200);
}

/// What an operator sees who comes from here; `None` from the peer's own address.
async fn from(conn: &mut Conn, address: Option<&str>, access: &str) -> Answer {
    let bearer = format!("Bearer {access}");
    let mut headers = vec![("authorization", bearer.as_str())];
    headers.extend(address.map(|address| ("x-forwarded-for", address)));
    conn.send(conn.request("GET", "/v1/me", &headers, b"")).await
}

/// The body without what names the request.
fn without_id(answer: &Answer) -> Value {
    let mut body = answer.json();
    body.as_object_mut().unwrap().remove("request_id");
    body
}

/// A network that is not theirs sees what it sees where there is no host at all; the tenants' hosts are there for everybody.
#[tokio::test(flavor = "multi_thread")]
async fn operators_come_from_their_networks_alone() {
    let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
    let (acme, platform) = (server.tenant("acme"), platform(&server).await);
    let token = Conn::to(&server, &platform).await.sign_in(&platform).await.access;
    let mut server = server;
    for (networks, proxies, cases) in [
        ("127.0.0.0/8", "192.0.2.1", &[(None, true), (Some("10.1.2.3"), true)][..]),
        // Nobody but a proxy of ours says where somebody else is.
        ("10.0.0.0/8", "192.0.2.1", &[(None, false), (Some("10.1.2.3"), false)]),
        (
            "10.0.0.0/8,fd00::/8,192.0.2.7",
            "127.0.0.1",
            &[
                (None, false),
                (Some("10.0.0.0"), true),
                (Some("10.255.255.255"), true),
                (Some("9.255.255.255"), false),
                (Some("11.0.0.0"), false),
                (Some("::ffff:10.1.2.3"), true),
                (Some("fd12::1"), true),
                (Some("fe00::1"), false),
                (Some("192.0.2.7"), true),
                (Some("192.0.2.8"), false),
                (Some("10.1.2.3, 192.0.2.8"), false),
                (Some("192.0.2.8, 10.1.2.3"), true),
            ],
        ),
    ] {
        server = server.restarted_with("FREEHOLD_HTTP_TRUSTED_PROXIES", proxies);
        server = server.restarted_with("FREEHOLD_PLATFORM_OPERATOR_CIDRS", networks);
        let mut conn = Conn::to(&server, &platform).await;
        let mut nobody = Conn::open(server.http, "nobody.localhost").await;
        let mut tenant = Conn::to(&server, &acme).await;
        let missing = from(&mut nobody, None, &token).await;
        missing.is_problem(404, "not-found");
        for (address, is_let_in) in cases {
            let answer = from(&mut conn, *address, &token).await;
            assert_eq!(answer.status == 200, *is_let_in, "{networks}, {address:?}: {answer:?}");
            assert!(*is_let_in || without_id(&answer) == without_id(&missing), "{networks}, {address:?}: {answer:?}");
            from(&mut tenant, *address, &token).await.is_problem(401, "unauthenticated");
        }
    }
}
