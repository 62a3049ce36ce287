//! The description of the interface is the interface.

use std::path::Path;

use serde_json::{Value, json};

use crate::operators::platform;
use crate::second_factor::Authenticator;
use crate::support::{Answer, Conn, Engine, Options, Server, Tenant};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Asserts that this document is the one in the root folder that has this name.
#[track_caller]
pub(crate) fn is_committed(answer: &Answer, name: &str) {
    assert_eq!(answer.is(200).header("content-type"), Some("application/json"));
    let document = String::from_utf8(answer.body.to_vec()).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    if std::env::var("FREEHOLD_TEST_WRITE_OPENAPI").is_ok_and(|set| set == "1") {
        std::fs::write(&path, &document).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == document,
        "{name} is not what the server serves: run this test with FREEHOLD_TEST_WRITE_OPENAPI=1 and commit it"
    );
}

#[tokio::test]
async fn the_committed_document_is_the_one_that_is_served() {
    let server = Server::start(Options::new(Engine::Sqlite)).await;
    let acme = server.tenant("acme");
    is_committed(&Conn::to(&server, &acme).await.get("/openapi.json", None).await, "openapi.json");
}

/// The operators' host serves what a tenant's does, and what is for operators alone.
#[tokio::test]
async fn the_committed_document_of_the_operators_host_is_the_one_that_is_served() {
    let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
    let (acme, platform) = (server.tenant("acme"), platform(&server).await);
    let mut conn = Conn::to(&server, &platform).await;
    let answer = conn.get("/openapi.json", None).await;
    is_committed(&answer, "openapi.admin.json");
    let document = answer.json();
    let of_tenants = operations(&mut Conn::to(&server, &acme).await).await;
    for (method, path, _) in operations(&mut conn).await {
        let is_of_tenants = of_tenants.iter().any(|(m, p, _)| (m, p) == (&method, &path));
        let is_of_operators = ["/v1/tenants", "/v1/security-reports/", "/v1/rate-limits/addresses"]
            .iter()
            .any(|own| path.starts_with(own));
        let lists_reports = path == "/v1/security-reports" && method == "GET";
        assert_eq!(is_of_tenants, !is_of_operators && !lists_reports, "{method} {path}");
    }
    let access = conn.sign_in(&platform).await.access;
    let access = Some(access.as_str());
    let new = json!({ "slug": "globex", "name": "Globex", "admin": { "email": "hank@example.com" } });
    is_like(&conn.post("/v1/tenants", access, &new).await.is(201).json(), &document, "Tenant");
    let suspend = format!("/v1/tenants/{}/suspend", acme.id);
    let term = json!({ "reason": "a test", "until": "2999-01-01T00:00:00Z" });
    is_like(&conn.post(&suspend, access, &term).await.is(200).json(), &document, "Tenant");
    is_like(&conn.get("/v1/tenants", access).await.is(200).json(), &document, "TenantPage");
    let report = conn.post("/v1/security-reports", None, &json!({ "text": "a door", "reporter": "Eve" })).await;
    let receipt = report.is(201).json();
    is_like(&receipt, &document, "SecurityReportReceipt");
    is_like(&conn.get("/v1/security-reports", access).await.is(200).json(), &document, "SecurityReportList");
    let answer = format!("/v1/security-reports/{}/answer", receipt["id"].as_str().unwrap());
    let answered = conn.post(&answer, access, &json!({ "note": "closed" })).await.is(200).json();
    is_like(&answered, &document, "SecurityReport");
}

/// The operations of the document: method, path, and what is said about it.
pub(crate) async fn operations(conn: &mut Conn) -> Vec<(String, String, Value)> {
    let document = conn.get("/openapi.json", None).await.is(200).json();
    let mut found = vec![];
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            found.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    found
}

#[tokio::test]
async fn every_described_operation_is_there_and_no_other_method() {
    let options = Options::new(Engine::Sqlite)
        .env("FREEHOLD_OAUTH_GOOGLE_CLIENT_ID", "freehold")
        .env("FREEHOLD_OAUTH_GOOGLE_CLIENT_SECRET", "a-client-secret")
        .env("FREEHOLD_SECURITY_CONTACT", "mailto:security@example.com");
    let server = Server::start(options.limits_off()).await;
    let (acme, platform) = (server.tenant("acme"), platform(&server).await);
    for tenant in [&acme, &platform] {
        what_is_there_is_described(&mut Conn::to(&server, tenant).await, tenant).await;
    }
}

/// Asks for everything that is described, with every method.
async fn what_is_there_is_described(conn: &mut Conn, tenant: &Tenant) {
    let access = conn.sign_in(tenant).await.access;
    let all = operations(conn).await;
    assert!(all.len() >= 13, "{}", all.len());
    for (_, path, _) in &all {
        let described = |method: &str| all.iter().any(|(m, p, _)| m == method && p == path);
        let target = path
            .replace("{slug}", "not-found")
            .replace("{id}", "019a0000-0000-7000-8000-000000000000")
            .replace("/webhooks/{provider}", "/webhooks/stripe")
            .replace("{source}", "square")
            .replace("{provider}", "google");
        for method in METHODS {
            // Only what names a thing needs a session to be told from a route that is not there.
            let answer =
                conn.call(method, &target, Some(&access).filter(|_| method == "DELETE").map(String::as_str)).await;
            let there = described(method) || (method == "HEAD" && described("GET"));
            assert_eq!(answer.status == 405, !there, "{method} {path}: {answer:?}");
            if !there {
                let allowed: Vec<_> = answer.header("allow").unwrap().split(',').map(str::trim).collect();
                assert!(allowed.iter().all(|method| described(method) || **method == *"HEAD"), "{path}: {allowed:?}");
            } else if path == "/v1/csp-reports" && method == "DELETE" {
                answer.is(204); // a whole list, which is empty
            } else if method == "DELETE" {
                answer.is_problem(404, "not-found");
            } else {
                assert_ne!(answer.status, 404, "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_answered_has_the_shape_that_is_described() {
    let server = Server::start(Options::new(Engine::Sqlite)).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let document = conn.get("/openapi.json", None).await.is(200).json();
    let signed_in = conn.login(&acme, &acme.password).await.is(200).json();
    is_like(&signed_in, &document, "TokenPair");
    let access = signed_in["access_token"].as_str().unwrap().to_owned();
    is_like(&conn.get("/v1/me", Some(&access)).await.json(), &document, "Me");
    is_like(&conn.get("/v1/sessions", Some(&access)).await.json(), &document, "SessionPage");
    is_like(&conn.get("/v1/audit", Some(&access)).await.json(), &document, "AuditPage");
    let new_key = json!({ "name": "server", "kind": "secret", "expires_at": "2999-01-01T00:00:00Z" });
    is_like(&conn.post("/v1/api-keys", Some(&access), &new_key).await.is(201).json(), &document, "ApiKey");
    is_like(&conn.get("/v1/api-keys", Some(&access)).await.json(), &document, "ApiKeyPage");
    is_like(&conn.get("/v1/auth/identities", Some(&access)).await.json(), &document, "IdentityList");
    let enrolment = conn.post("/v1/auth/totp/enrol", Some(&access), &json!({})).await.is(200).json();
    is_like(&enrolment, &document, "Enrolment");
    let code = Authenticator::of(enrolment["secret"].as_str().unwrap()).code(0);
    let confirmed = conn.post("/v1/auth/totp/confirm", Some(&access), &json!({ "code": code })).await;
    is_like(&confirmed.is(200).json(), &document, "BackupCodes");
    let challenged = conn.login(&acme, &acme.password).await;
    challenged.is_problem(401, "second-factor-required");
    is_like(&challenged.json(), &document, "Problem");
    is_like(&conn.get("/.well-known/jwks.json", None).await.json(), &document, "Jwks");
    is_like(&conn.get("/v1/me", None).await.json(), &document, "Problem");
    is_like(&conn.post("/v1/auth/login", None, &json!({})).await.json(), &document, "Problem");
    let weak = json!({ "current_password": acme.password, "new_password": "password1" });
    is_like(&conn.post("/v1/auth/password", Some(&access), &weak).await.json(), &document, "Problem");
    for body in [
        "Login", "Refresh", "ChangePassword", "SecondFactor", "Confirm", "Nothing", "Forgot", "Reset", "Register",
        "Verify", "Handoff", "CreateApiKey", "RotateApiKey",
    ] {
        assert_eq!(document["components"]["schemas"][body]["additionalProperties"], false, "{body}");
    }
}

/// Asserts that an object has the members that its schema requires and no others, each of its type.
#[track_caller]
fn is_like(value: &Value, document: &Value, name: &str) {
    check(value, &document["components"]["schemas"][name], document, name);
}

#[track_caller]
fn check(value: &Value, schema: &Value, document: &Value, at: &str) {
    if let Some(target) = schema["$ref"].as_str() {
        let name = target.rsplit('/').next().unwrap();
        return check(value, &document["components"]["schemas"][name], document, at);
    }
    let types = schema["type"].as_array().cloned().unwrap_or_else(|| vec![schema["type"].clone()]);
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    assert!(types.contains(&json!(is)), "{at}: {is} is not one of {types:?}");
    if let Some(names) = schema["enum"].as_array() {
        assert!(names.contains(value), "{at}: {value}");
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check(item, &schema["items"], document, &format!("{at}[{index}]"));
    }
    if let Some(members) = value.as_object() {
        for required in schema["required"].as_array().into_iter().flatten() {
            assert!(members.contains_key(required.as_str().unwrap()), "{at}: {required} is missing");
        }
        for (name, member) in members {
            assert!(schema["properties"].get(name).is_some(), "{at}: {name} is not described");
            check(member, &schema["properties"][name], document, &format!("{at}.{name}"));
        }
    }
}
