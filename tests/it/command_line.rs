//! The command line: results on stdout, one JSON object a line; the rest on stderr; exit codes that scripts can trust.

mod demo;
mod files;

use std::net::TcpListener;
use std::process::Output;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Conn, Engine, Folder, Options, Server, freehold, on_both_engines};

/// The results of a command that did what was asked.
#[track_caller]
fn results(output: &Output) -> Vec<Value> {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    logs_are_json(&said);
    let text = std::str::from_utf8(&output.stdout).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text:?}");
    let objects: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(objects.iter().all(Value::is_object), "{text}");
    objects
}

/// The one result.
#[track_caller]
fn result(output: &Output) -> Value {
    let [one] = results(output).try_into().unwrap();
    one
}

/// Asserts the exit code of a refusal: it says why on stderr and nothing on stdout.
#[track_caller]
fn is_refused(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{said}");
    assert!(!said.trim().is_empty());
    said
}

#[track_caller]
fn logs_are_json(stderr: &str) {
    for line in stderr.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|line| line.is_object()), "{line}");
    }
}

const CREATE: [&str; 5] = ["tenant", "create", "acme", "--admin-email", "ada@example.com"];

on_both_engines!(what_a_running_server_is_told_is_in_force_at_once what_is_told_without_a_server_is_in_the_store);

async fn what_a_running_server_is_told_is_in_force_at_once(engine: Engine) {
    let server = Server::start(Options::new(engine)).await;
    let mut conn = Conn::open(server.http, "acme.localhost").await;
    let made = result(&server.cli(&[&CREATE[..], &["--name", "Acme <Ltd>"]].concat(), ""));
    let password = made["admin_password"].as_str().unwrap();
    assert!(password.len() >= 20, "160 random bits");
    let id = made["id"].as_str().unwrap();
    let wanted = json!({
        "id": id, "slug": "acme", "name": "Acme <Ltd>", "url": "http://acme.localhost:8080", "state": "active",
        "admin_email": "ada@example.com", "admin_password": password,
    });
    assert_eq!(made, wanted);
    let login = json!({ "email": "ada@example.com", "password": password });
    let session = conn.post("/v1/auth/login", None, &login).await.is(200).json();
    let access = session["access_token"].as_str().unwrap();

    let row = |state: &str| json!({ "id": id, "slug": "acme", "name": "Acme <Ltd>", "url": "http://acme.localhost:8080", "state": state });
    for _ in 0..2 {
        let told = server.cli(&["tenant", "suspend", "acme", "--reason", "unpaid \"bill\""], "");
        assert_eq!(result(&told), row("suspended"), "saying it twice is saying it");
        let refused = conn.get("/v1/me", Some(access)).await;
        refused.is_problem(403, "tenant-suspended");
        assert_eq!(refused.json()["error"], "TenantSuspendedError");
        conn.post("/v1/auth/login", None, &login).await.is_problem(403, "tenant-suspended");
    }
    assert_eq!(results(&server.cli(&["tenant", "list"], "")), [row("suspended")]);
    for _ in 0..2 {
        assert_eq!(result(&server.cli(&["tenant", "resume", "acme"], "")), row("active"));
        assert_eq!(conn.me(access).await, 200);
    }

    let limit = |limit: &str| server.cli(&["tenant", "limit", "acme", "api-tenant", limit], "");
    assert_eq!(result(&limit("2/h")), json!({ "slug": "acme", "tier": "api-tenant", "limit": "2/h", "own": true }));
    let told = conn.get("/v1/me", Some(access)).await;
    assert_eq!((told.header("x-ratelimit-tier"), told.header("x-ratelimit-limit")), (Some("api-tenant"), Some("2")));
    // What is left of the level under the limit before keeps the second one waiting for a moment, or not.
    let mut passed = u8::from(told.status == 200);
    for _ in 0..4 {
        let answer = conn.get("/v1/me", Some(access)).await;
        if answer.status == 200 {
            passed += 1;
        } else {
            answer.is_problem(429, "rate-limited");
        }
    }
    assert!((1..=2).contains(&passed), "{passed}");
    // A wider one as well: the bucket is still empty, but it fills at the new rate, within a second and not an hour.
    result(&limit("1000000/s"));
    let since = Instant::now();
    while conn.me(access).await != 200 {
        assert!(since.elapsed() < Duration::from_secs(1), "the old limit holds on");
    }
}

async fn what_is_told_without_a_server_is_in_the_store(engine: Engine) {
    let mut server = Server::start(Options::new(engine)).await;
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(results(&server.cli(&["tenant", "list"], "")), Vec::<Value>::new());
    let made = result(&server.cli(&CREATE, ""));
    let password = made["admin_password"].as_str().unwrap().to_owned();
    let globex = server.tenant("globex");
    result(&server.cli(&["tenant", "suspend", "globex"], ""));
    let listed = results(&server.cli(&["tenant", "list"], ""));
    let states: Vec<_> =
        listed.iter().map(|row| (row["slug"].as_str().unwrap(), row["state"].as_str().unwrap())).collect();
    assert_eq!(states, [("acme", "active"), ("globex", "suspended")]);
    result(&server.cli(&["tenant", "limit", "acme", "api-tenant", "7/h"], ""));

    let server = server.restarted();
    let mut conn = Conn::open(server.http, "acme.localhost").await;
    let login = json!({ "email": "ada@example.com", "password": password });
    let session = conn.post("/v1/auth/login", None, &login).await.is(200).json();
    let me = conn.get("/v1/me", session["access_token"].as_str()).await;
    assert_eq!((me.header("x-ratelimit-tier"), me.header("x-ratelimit-limit")), (Some("api-tenant"), Some("7")));
    Conn::to(&server, &globex).await.login(&globex, &globex.password).await.is_problem(403, "tenant-suspended");
}

#[tokio::test]
async fn data_that_is_refused_is_65_and_leaves_nothing() {
    let mut server = Server::start(Options::new(Engine::Sqlite)).await;
    let stdin = [&CREATE[..], &["--admin-password-stdin"]].concat();
    let owned = |email: &'static str| ["tenant", "create", "acme", "--admin-email", email];
    for running in [true, false] {
        for password in ["\n", "", "short\n", "fourteen chars\nfifteen chars and more\n", "with a NUL\0in the middle\n"]
        {
            is_refused(&server.cli(&stdin, password), 65);
        }
        let too_long = "x".repeat(9_000) + "\n";
        is_refused(&server.cli(&stdin, &too_long), 65);
        for email in ["", "ada", "ada@", "a b@example.com", "ada@example.com\nbob@example.com"] {
            is_refused(&server.cli(&owned(email), ""), 65);
        }
        for name in ["", "two\nlines", "nul\u{7}", &"x".repeat(10_000)] {
            is_refused(&server.cli(&[&CREATE[..], &["--name", name]].concat(), ""), 65);
        }
        for verb in ["suspend", "resume"] {
            is_refused(&server.cli(&["tenant", verb, "acme"], ""), 65);
            is_refused(&server.cli(&["tenant", verb, "Not A Slug"], ""), 65);
        }
        is_refused(&server.cli(&["tenant", "limit", "acme", "pin", "5/min"], ""), 65);
        assert_eq!(results(&server.cli(&["tenant", "list"], "")), Vec::<Value>::new());
        if running {
            server.kill();
        }
    }
    result(&server.cli(&CREATE, ""));
    let taken = is_refused(&server.cli(&CREATE, ""), 65);
    assert!(taken.contains("acme"), "{taken}");
    assert_eq!(results(&server.cli(&["tenant", "list"], "")).len(), 1);
}

#[tokio::test]
async fn a_password_is_read_to_its_first_newline() {
    let server = Server::start(Options::new(Engine::Sqlite)).await;
    let stdin = [&CREATE[..], &["--admin-password-stdin"]].concat();
    let made = server.cli(&stdin, "  correct horse battery \nand what follows\n");
    assert!(result(&made).get("admin_password").is_none(), "what was given is not said back");
    assert!(!String::from_utf8_lossy(&[made.stdout, made.stderr].concat()).contains("correct horse"));
    let mut conn = Conn::open(server.http, "acme.localhost").await;
    let login = |password: &str| json!({ "email": "ada@example.com", "password": password });
    conn.post("/v1/auth/login", None, &login("correct horse battery")).await.is_problem(401, "invalid-credentials");
    conn.post("/v1/auth/login", None, &login("  correct horse battery ")).await.is(200);
}

#[test]
fn a_wrong_command_line_is_64() {
    let lines: [&[&str]; 15] = [
        &[],
        &["sarve"],
        &["serve", "now"],
        &["serve", "--port", "80"],
        &["tenant"],
        &["tenant", "create"],
        &["tenant", "create", "acme"],
        &["tenant", "create", "acme", "--admin-email"],
        &["tenant", "create", "acme", "globex", "--admin-email", "a@example.com"],
        &["tenant", "create", "acme", "--admin-email", "a@example.com", "--admin-password", "x"],
        &["tenant", "limit", "acme", "api_tenant", "5/min"],
        &["tenant", "limit", "acme", "api-tenant", "5/day"],
        &["tenant", "limit", "acme", "api-tenant", "0/min"],
        &["keys", "new", "--id", "Not An Id"],
        &["migrate", "--now"],
    ];
    for line in lines {
        is_refused(&freehold().args(line).output().unwrap(), 64);
    }
    for line in [["--help"].as_slice(), &["serve", "--help"], &["tenant", "create", "--help"], &["--version"]] {
        let helped = freehold().args(line).output().unwrap();
        assert_eq!((helped.status.code(), helped.stderr.len()), (Some(0), 0), "{line:?}");
    }
}

#[test]
fn the_doctor_measures_a_hash_and_proposes_no_weaker_one_than_owasp() {
    let doctor = |args: &[&str]| {
        let mut command = freehold();
        command.env("FREEHOLD_PROFILE", "development").env("FREEHOLD_PASSWORDS_PASSES", "3").arg("doctor").args(args);
        result(&command.output().unwrap())
    };
    let strict = doctor(&["--argon2-target-ms", "1"]);
    assert_eq!((&strict["argon2"]["memory_kib"], &strict["argon2"]["passes"]), (&json!(19_456), &json!(3)));
    assert!(strict["argon2"]["ms"].as_u64().unwrap() > 0);
    assert_eq!((&strict["proposed"]["memory_kib"], &strict["proposed"]["passes"]), (&json!(7_168), &json!(5)));
    assert_eq!((&strict["reached"], &strict["target_ms"]), (&json!(false), &json!(1)));
}

#[tokio::test]
async fn what_is_away_or_in_use_is_69() {
    let server = Server::start(Options::new(Engine::Sqlite)).await;
    is_refused(&server.cli(&["serve"], ""), 69);
    // The one that runs was not disturbed.
    let acme = server.tenant("acme");
    Conn::to(&server, &acme).await.sign_in(&acme).await;

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Folder::new();
    let alone = |name: &str, value: &str, args: &[&str]| {
        let mut command = freehold();
        command
            .env("FREEHOLD_PROFILE", "development")
            .env("FREEHOLD_DATA_DIR", folder.path().join("data"))
            .env("FREEHOLD_HTTP_LISTEN", "127.0.0.1:0")
            .env("FREEHOLD_PRIVATE_LISTEN", "127.0.0.1:0");
        is_refused(&command.env(name, value).args(args).output().unwrap(), 69)
    };
    for name in ["FREEHOLD_HTTP_LISTEN", "FREEHOLD_PRIVATE_LISTEN"] {
        assert!(alone(name, &address, &["serve"]).contains(name));
    }
    drop(taken);
    let database = format!("postgres://nobody:cAnArY5ecret@{address}/nothing");
    for args in [["serve"].as_slice(), &["tenant", "list"]] {
        assert!(!alone("FREEHOLD_DATABASE_URL", &database, args).contains("cAnArY5ecret"));
    }
}
