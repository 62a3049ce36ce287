//! `freehold doctor`: 0 when all is well, and each thing that is broken is named with its remedy.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{Authority, Engine, Files, Folder, Options, Redis, Server, on_both_engines};

/// The findings: what was checked, what was found, and the remedy.
#[track_caller]
fn findings(lines: &[Value]) -> Vec<(&str, &str, &str)> {
    let text = |line: &'static str, value: &Value| value[line].as_str().map(str::len).unwrap_or_default();
    for line in lines {
        let keys: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["check", "found", "ok", "remedy"], "{line}");
        assert!(text("check", line) > 0 && text("found", line) > 0, "{line}");
        assert_eq!(line["ok"] == true, line["remedy"].is_null(), "a finding has a remedy: {line}");
    }
    let bad = lines.iter().filter(|line| line["ok"] == false);
    bad.map(|line| (line["check"].as_str().unwrap(), line["found"].as_str().unwrap(), line["remedy"].as_str().unwrap()))
        .collect()
}

/// The one check with a finding, which says this, with a remedy that says that.
#[track_caller]
fn only((code, lines): &(Option<i32>, Vec<Value>), check: &str, found: &str, remedy: &str) {
    let findings = findings(lines);
    assert_eq!(*code, Some(65), "{findings:?}");
    assert!(!findings.is_empty() && findings.iter().all(|(name, ..)| *name == check), "{check}: {findings:?}");
    assert!(findings.iter().all(|(_, said, _)| said.contains(found)), "{found}: {findings:?}");
    assert!(findings.iter().all(|(_, _, said)| said.contains(remedy)), "{remedy}: {findings:?}");
}

#[track_caller]
fn clean((code, lines): &(Option<i32>, Vec<Value>)) {
    assert_eq!((findings(lines), *code), (vec![], Some(0)));
}

/// Every check that there is, but those of other deployments.
fn checks((_, lines): &(Option<i32>, Vec<Value>)) -> Vec<&str> {
    let mut names: Vec<_> = lines.iter().map(|line| line["check"].as_str().unwrap()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

on_both_engines!(a_server_that_is_well_has_no_finding);

async fn a_server_that_is_well_has_no_finding(engine: Engine) {
    let mut server = Server::start(Options::new(engine).unprivileged()).await;
    let report = server.doctor(&[]);
    clean(&report);
    let names = checks(&report);
    for name in ["backups", "clock-server", "data-dir", "descriptors", "mail", "master-key", "private-address", "user"]
    {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    assert_eq!(names.contains(&"database-role") && names.contains(&"clock-database"), engine == Engine::Postgres);

    // One that is stopped has as many findings as it should have answers, and no check hangs on it.
    assert_eq!(server.terminate(), Some(0));
    let (code, lines) = server.doctor(&[]);
    let found = findings(&lines);
    let names: Vec<_> = found.iter().map(|(name, ..)| *name).collect();
    assert_eq!((code, names), (Some(65), vec!["server", "private-listener", "public-listener"]));
    assert!(found[0].2.contains("freehold serve"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_set_wrong_is_named_by_the_doctor() {
    let server = Server::start(Options::new(Engine::Sqlite).unprivileged()).await;
    let folder = Folder::new();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let key = folder.path().join("master");
    std::fs::write(&key, crate::support::MASTER).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (code, lines) =
        server.doctor(&[("FREEHOLD_KEYS_MASTER", ""), ("FREEHOLD_KEYS_MASTER_FILE", key.to_str().unwrap())]);
    let found = findings(&lines);
    assert_eq!(code, Some(78));
    let named = found.iter().find(|(_, said, _)| said.contains("FREEHOLD_KEYS_MASTER_FILE")).unwrap();
    assert!(named.0 == "configuration" && named.1.contains("mode 0644") && named.2.contains("chmod 600"), "{found:?}");

    let proxies = server.doctor(&[("FREEHOLD_HTTP_TRUSTED_PROXIES", "10.0.0.0/7")]);
    only(&proxies, "trusted-proxies", "10.0.0.0/7", "addresses of the proxies alone");
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mail = server.doctor(&[("FREEHOLD_MAIL_SMTP_URL", &format!("smtp://{nobody}"))]);
    only(&mail, "mail", "does not take letters", "FREEHOLD_MAIL_SMTP_URL");
    let everywhere = format!("0.0.0.0:{}", server.private.port());
    only(&server.doctor(&[("FREEHOLD_PRIVATE_LISTEN", &everywhere)]), "private-address", "every address", "loopback");
    let elsewhere = server.doctor(&[
        ("FREEHOLD_PLATFORM_DOMAIN", "example.test"),
        ("FREEHOLD_PLATFORM_PUBLIC_URL", "http://example.test"),
    ]);
    only(&elsewhere, "public-listener", "example.test is answered with 404", "see that this port is the server's");
}

#[cfg(feature = "waf")]
#[tokio::test(flavor = "multi_thread")]
async fn rules_that_are_wrong_are_named_by_the_doctor() {
    let server = Server::start(Options::new(Engine::Sqlite).unprivileged()).await;
    let rules = server.doctor(&[("FREEHOLD_WAF_RULES", "/nonexistent.conf"), ("FREEHOLD_WAF_MODE", "block")]);
    only(&rules, "waf-rules", "/nonexistent.conf: there is no such file", "mend the file");
}

#[tokio::test(flavor = "multi_thread")]
async fn few_descriptors_are_found_in_the_process_that_serves() {
    // As whoever runs the tests, who may lower the limit of a process of their own.
    let server = Server::start(Options::new(Engine::Sqlite)).await;
    let limit = rustix::process::Rlimit { current: Some(2_000), maximum: Some(2_000) };
    let pid = rustix::process::Pid::from_raw(i32::try_from(server.pid()).unwrap());
    rustix::process::prlimit(pid, rustix::process::Resource::Nofile, limit).unwrap();
    let (code, lines) = server.doctor(&[]);
    let found = findings(&lines);
    let said = "2000 files may be open, which leaves room for 1000 connections";
    let [("descriptors", found_said, remedy)] = found[found.len() - 1..] else { panic!("{found:?}") };
    assert!(code == Some(65) && found_said == said && remedy.contains("LimitNOFILE="), "{found:?}");
    let is_root = rustix::process::geteuid().is_root();
    assert_eq!(found.iter().any(|(name, ..)| *name == "user"), is_root, "who runs as root is told: {found:?}");
    assert_eq!(found.len(), 1 + usize::from(is_root), "{found:?}");
}

/// A server with TLS, whose certificate is for these names and ends in so many days.
async fn with_tls(names: &[&str], days: i64) -> (Server, Folder) {
    let (authority, folder) = (Authority::new(), Folder::new());
    let files = certify(&authority, &folder, names, days);
    let options = Options::new(Engine::Sqlite)
        .unprivileged()
        .env("FREEHOLD_PLATFORM_DOMAIN", "example.test")
        .env("FREEHOLD_PLATFORM_PUBLIC_URL", "https://example.test:8443")
        .env("FREEHOLD_HTTP_TLS_CERT", files.cert.to_str().unwrap())
        .env("FREEHOLD_HTTP_TLS_KEY", files.key.to_str().unwrap())
        .env("FREEHOLD_HTTP_REDIRECT_LISTEN", "127.0.0.1:0");
    (Server::start(options).await, folder)
}

/// Files that the server may read, whoever it runs as.
fn certify(authority: &Authority, folder: &Folder, names: &[&str], days: i64) -> Files {
    let files = authority.certify_for(folder.path(), "platform", names, days);
    if rustix::process::geteuid().is_root() {
        for file in [&files.cert, &files.key] {
            std::os::unix::fs::chown(file, Some(65_534), None).unwrap();
        }
    }
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_looked_at_as_clients_see_them() {
    let both = ["example.test", "*.example.test"];
    let (server, _folder) = with_tls(&both, 90).await;
    let report = server.doctor(&[]);
    clean(&report);
    for name in ["certificate", "tls-versions", "redirect-listener", "hsts", "security-headers", "secret-files"] {
        assert!(checks(&report).contains(&name), "{name}: {report:?}");
    }
    let (server, _folder) = with_tls(&both, 5).await;
    only(&server.doctor(&[]), "certificate", "ends in 3 days", "renew it");
    let (server, _folder) = with_tls(&["example.test"], 90).await;
    only(&server.doctor(&[]), "certificate", "no certificate is shown for a", "FREEHOLD_HTTP_TLS_CERT");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_nothing_binds_is_named_by_the_doctor() {
    let server = Server::start(Options::new(Engine::Postgres).unprivileged()).await;
    let role = std::env::var("FREEHOLD_TEST_PG_SUPER_URL").unwrap();
    only(&server.doctor(&[("FREEHOLD_DATABASE_URL", &role)]), "database-role", "is a superuser", "CREATE ROLE");
    let database = crate::support::Database::empty().await;
    let unmigrated = server.doctor(&[("FREEHOLD_DATABASE_URL", &database.url())]);
    only(&unmigrated, "database-migrations", "the schema has version 0", "freehold migrate");
}

/// The keeper of shared counters is asked as a node would ask it.
#[tokio::test(flavor = "multi_thread")]
async fn counters_that_do_not_count_are_named_by_the_doctor() {
    let mut redis = Redis::start(&[]);
    let server =
        Server::start(Options::new(Engine::Sqlite).unprivileged().env("FREEHOLD_REDIS_URL", &redis.url())).await;
    let report = server.doctor(&[]);
    clean(&report);
    assert!(checks(&report).contains(&"shared-counters"));
    let () = redis.ask(&["CONFIG", "SET", "min-replicas-to-write", "1"]).await;
    only(&server.doctor(&[]), "shared-counters", "does not count", "it may write");
    redis.kill();
    only(&server.doctor(&[]), "shared-counters", "refused", "FREEHOLD_REDIS_URL");
}

/// Somebody else holds the port: its headers are not ours, and its clock is wrong.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_at_the_port_is_found_out() {
    let server = Server::start(Options::new(Engine::Sqlite).unprivileged()).await;
    let stranger = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = stranger.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = stranger.accept().await.unwrap();
            drop(socket.read(&mut [0; 1_024]).await);
            let answer =
                "HTTP/1.1 200 OK\r\nserver: nginx\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\ncontent-length: 0\r\n\r\n";
            drop(socket.write_all(answer.as_bytes()).await);
        }
    });
    let as_public = server.doctor(&[("FREEHOLD_HTTP_LISTEN", &address)]);
    only(&as_public, "security-headers", "x-frame-options", "what stands between");
    only(&server.doctor(&[("FREEHOLD_PRIVATE_LISTEN", &address)]), "clock-server", "the server's clock", "chrony");
}

/// A mail server that says nothing is waited for, and not for long.
#[tokio::test(flavor = "multi_thread")]
async fn no_check_waits_for_ever() {
    let server = Server::start(Options::new(Engine::Sqlite).unprivileged()).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let smtp = format!("smtp://{}", silent.local_addr().unwrap());
    let since = std::time::Instant::now();
    let settings = [("FREEHOLD_MAIL_SMTP_URL", smtp.as_str()), ("FREEHOLD_LOG", "info")];
    only(&server.doctor(&settings), "mail", "there is no answer", "FREEHOLD_MAIL_SMTP_URL");
    assert!(since.elapsed() < Duration::from_secs(20), "no check waits for ever");
}
