//! What survives the end of the process, and what the next start refuses.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::keepsakes::{self, Keepsakes};
use crate::support::{Conn, Engine, Folder, Options, Server, Session, Tenant, freehold, on_both_engines};
use crate::watch::{number, remaining};

on_both_engines!(a_clean_stop_keeps_everything);

async fn a_clean_stop_keeps_everything(engine: Engine) {
    let mut server = Server::start(keepsakes::options(Options::new(engine))).await;
    let mut kept = Keepsakes::of(&server, server.tenant("acme")).await;
    // The second time nobody has asked the tenant anything while the server ran.
    for _ in 0..2 {
        assert_eq!(server.terminate(), Some(0));
        server = server.restarted();
    }
    let mut conn = Conn::to(&server, &kept.tenant).await;
    kept.hold(&mut conn).await;
}

/// A tier with an interval that no test waits out.
const SLOW: (&str, &str) = ("FREEHOLD_LIMITS_API_MEMBER", "6/min");

async fn tenant_with_a_session(server: &Server) -> (Tenant, Session) {
    let tenant = server.tenant("acme");
    let session = Conn::to(server, &tenant).await.sign_in(&tenant).await;
    (tenant, session)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_a_bucket_begins_with_one_request() {
    let options = Options::new(Engine::Sqlite).limits_off().env(SLOW.0, SLOW.1);
    let mut server = Server::start(options).await;
    let (acme, session) = tenant_with_a_session(&server).await;
    let mut conn = Conn::to(&server, &acme).await;
    assert_eq!(remaining(conn.get("/v1/me", Some(&session.access)).await.is(200)), 5);
    server.kill();
    server = server.restarted();
    begins_with_one(&server, &acme, &session).await;

    // A clean stop soon after does not make up for what nobody knows.
    assert_eq!(server.terminate(), Some(0));
    let server = server.restarted();
    let mut conn = Conn::to(&server, &acme).await;
    let other = conn.sign_in(&acme).await;
    conn.get("/v1/me", Some(&other.access)).await.is_problem(429, "rate-limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_and_a_clean_stop_after_it_refill_nothing() {
    let options = Options::new(Engine::Sqlite).limits_off().env(SLOW.0, SLOW.1);
    let mut server = Server::start(options).await;
    let (acme, session) = tenant_with_a_session(&server).await;
    server.kill();
    server = server.restarted();
    assert_eq!(server.terminate(), Some(0));
    begins_with_one(&server.restarted(), &acme, &session).await;
}

/// The first request passes, and with it everything is used up.
async fn begins_with_one(server: &Server, tenant: &Tenant, session: &Session) {
    let mut conn = Conn::to(server, tenant).await;
    assert_eq!(remaining(conn.get("/v1/me", Some(&session.access)).await.is(200)), 0);
    let refused = conn.get("/v1/me", Some(&session.access)).await;
    refused.is_problem(429, "rate-limited");
    assert!((1..=10).contains(&number(&refused, "retry-after")), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_that_cannot_be_written_is_refused() {
    let folder = Folder::new();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    refused(&serve_in(&file.join("data")), 78, "FREEHOLD_DATA_DIR: ");

    let sealed = folder.path().join("sealed");
    fs::create_dir(&sealed).unwrap();
    fs::set_permissions(&sealed, fs::Permissions::from_mode(0o500)).unwrap();
    refused(&serve_in(&sealed), 78, "FREEHOLD_DATA_DIR: ");
    refused(&serve_in(&sealed.join("data")), 78, "FREEHOLD_DATA_DIR: ");
}

/// What `serve` says with this data directory; root is asked without its right to write everywhere.
fn serve_in(data_dir: &Path) -> Output {
    let is_root = fs::metadata(data_dir.ancestors().find(|dir| dir.is_dir()).unwrap()).unwrap().uid() == 0;
    let freehold = freehold();
    let mut command = Command::new(freehold.get_program());
    if is_root {
        command = Command::new("setpriv");
        command.args(["--bounding-set", "-dac_override,-dac_read_search", "--"]).arg(freehold.get_program());
    }
    for (name, value) in freehold.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let settings = [("PROFILE", "development"), ("HTTP_LISTEN", "127.0.0.1:0"), ("PRIVATE_LISTEN", "127.0.0.1:0")];
    command.envs(settings.map(|(name, value)| (format!("FREEHOLD_{name}"), value)));
    command.arg("serve").env("FREEHOLD_DATA_DIR", data_dir).output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_that_is_served_is_refused() {
    let server = Server::start(Options::new(Engine::Sqlite)).await;
    refused(&server.cli(&["serve"], ""), 69, "data directory");
    server.private_get("/readyz").await.is(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_refused() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for name in ["FREEHOLD_HTTP_LISTEN", "FREEHOLD_PRIVATE_LISTEN"] {
        let folder = Folder::new();
        let mut command = freehold();
        command.env("FREEHOLD_PROFILE", "development").env("FREEHOLD_DATA_DIR", folder.path().join("data"));
        command.env("FREEHOLD_HTTP_LISTEN", "127.0.0.1:0").env("FREEHOLD_PRIVATE_LISTEN", "127.0.0.1:0");
        refused(&command.arg("serve").env(name, &address).output().unwrap(), 69, name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_are_listed_with_and_without_a_server() {
    let mut server = Server::start(Options::new(Engine::Sqlite)).await;
    for slug in ["globex", "acme"] {
        server.tenant(slug);
    }
    // A second process could not open a data directory that is served: the answer came through the socket.
    let socket = server.data_dir().join("control.sock");
    assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o777, 0o600);
    assert_eq!(listed(&server), ["acme", "globex"]);
    assert_eq!(server.terminate(), Some(0));
    assert_eq!(listed(&server), ["acme", "globex"]);
    let server = server.restarted();
    assert_eq!(listed(&server), ["acme", "globex"]);
}

/// The slugs, in their order.
#[track_caller]
fn listed(server: &Server) -> Vec<String> {
    let output = server.cli(&["tenant", "list"], "");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["slug"].as_str().unwrap().to_owned())
        .collect()
}

/// Asserts the exit code, a line that names the setting, and that nothing was said to be listening.
#[track_caller]
fn refused(output: &Output, exit: i32, names: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(exit), "{said}");
    assert!(said.lines().any(|line| line.contains(names)), "{said}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
}
