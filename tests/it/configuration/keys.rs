//! The master ring and the data directory: what opens a store, and what must not.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::{CANARY, RING};
use crate::support::{Conn, Engine, Folder, Options, Server, freehold, on_both_engines};

/// The id of the ring that tests use, with another key.
const SAME_ID: &str = "test:q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
/// The ring that tests use, behind a newer key.
const NEWER: &str = "k1:q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=,test:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// `freehold` on the store of a server that is gone.
fn on_store_of(server: &Server, engine: Engine) -> Command {
    let mut command = freehold();
    command
        .env("FREEHOLD_PROFILE", "development")
        .env("FREEHOLD_HTTP_LISTEN", "127.0.0.1:0")
        .env("FREEHOLD_PRIVATE_LISTEN", "127.0.0.1:0")
        .env("FREEHOLD_DATA_DIR", server.data_dir());
    if engine == Engine::Postgres {
        command.env("FREEHOLD_DATABASE_URL", server.database().url());
    }
    command
}

#[track_caller]
fn is_refused(output: &Output, name: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    let faults: Vec<_> = said.lines().filter(|line| line.starts_with("FREEHOLD_")).collect();
    assert_eq!((output.status.code(), output.stdout.len(), faults.len()), (Some(78), 0, 1), "{said}");
    assert!(faults[0].starts_with(&format!("{name}: ")) && faults[0].contains("; "), "{said}");
    assert!(!said.contains("q83v") && !said.contains("AAEC"), "{said}");
}

on_both_engines!(a_store_opens_with_its_own_ring_alone);

async fn a_store_opens_with_its_own_ring_alone(engine: Engine) {
    let mut server = Server::start(Options::new(engine)).await;
    let acme = server.tenant("acme");
    server.kill();
    let run = |ring: &str, args: &[&str]| {
        on_store_of(&server, engine).env("FREEHOLD_KEYS_MASTER", ring).args(args).output().unwrap()
    };
    for wrong in [SAME_ID, RING] {
        for args in [["serve"].as_slice(), &["tenant", "list"], &["tenant", "suspend", "acme"]] {
            is_refused(&run(wrong, args), "FREEHOLD_KEYS_MASTER");
        }
    }
    // A newer key in front is a rotation: it opens, and leaves everything readable with what the server had.
    let listed = run(NEWER, &["tenant", "list"]);
    assert_eq!(listed.status.code(), Some(0), "{}", String::from_utf8_lossy(&listed.stderr));
    // Once met, the newer id is known too.
    let renamed = NEWER.replacen("k1:q83v", "k1:r83v", 1);
    is_refused(&run(&renamed, &["tenant", "list"]), "FREEHOLD_KEYS_MASTER");
    let server = server.restarted();
    Conn::to(&server, &acme).await.sign_in(&acme).await;
}

#[tokio::test]
async fn a_new_key_works() {
    let made = |args: &[&str]| {
        let made = freehold().args(["keys", "new"]).args(args).output().unwrap();
        assert!(made.status.success() && made.stderr.is_empty(), "{made:?}");
        let text = String::from_utf8(made.stdout).unwrap();
        assert_eq!(text.lines().count(), 1);
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let (one, two) = (made(&["--id", "one"]), made(&["--id", "two"]));
    assert_eq!(one["id"], "one");
    let entry = |made: &Value| made["entry"].as_str().unwrap().to_owned();
    assert!(entry(&one).starts_with("one:"));
    assert_ne!(entry(&one).split_once(':').unwrap().1, entry(&two).split_once(':').unwrap().1);
    assert!(entry(&made(&[])).starts_with(made(&[])["id"].as_str().unwrap().get(..2).unwrap()));

    let ring = format!("{},{}", entry(&two), entry(&one));
    for ring in [entry(&one), ring] {
        let server = Server::start(Options::new(Engine::Sqlite).env("FREEHOLD_KEYS_MASTER", &ring)).await;
        let acme = server.tenant("acme");
        Conn::to(&server, &acme).await.sign_in(&acme).await;
    }
}

#[tokio::test]
async fn a_key_file_is_private_and_not_with_the_data() {
    let folder = Folder::new();
    let data = folder.path().join("data");
    let run = |file: &Path| {
        let mut command = freehold();
        command.env("FREEHOLD_PROFILE", "development").env("FREEHOLD_DATA_DIR", &data);
        command.env("FREEHOLD_KEYS_MASTER_FILE", file).args(["tenant", "list"]).output().unwrap()
    };
    let write = |path: &Path, text: &str, mode: u32| {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    let file = folder.path().join("master");
    for mode in [0o644, 0o640, 0o604, 0o660] {
        write(&file, RING, mode);
        is_refused(&run(&file), "FREEHOLD_KEYS_MASTER_FILE");
    }
    write(&file, CANARY, 0o600);
    let garbled = run(&file);
    is_refused(&garbled, "FREEHOLD_KEYS_MASTER_FILE");
    assert!(!String::from_utf8_lossy(&garbled.stderr).contains(CANARY));
    is_refused(&run(&folder.path().join("missing")), "FREEHOLD_KEYS_MASTER_FILE");
    write(&file, &format!("{RING}\n"), 0o400);
    assert_eq!(run(&file).status.code(), Some(0));
    let within = data.join("master");
    write(&within, RING, 0o600);
    is_refused(&run(&within), "FREEHOLD_KEYS_MASTER_FILE");
    std::os::unix::fs::symlink(&within, folder.path().join("link")).unwrap();
    is_refused(&run(&folder.path().join("link")), "FREEHOLD_KEYS_MASTER_FILE");
}

#[tokio::test]
async fn a_data_directory_that_others_can_enter_is_refused() {
    let server = Server::start(Options::new(Engine::Sqlite)).await;
    let dir = server.data_dir();
    let mut stopped = server;
    stopped.kill();
    let run = || {
        let mut command = on_store_of(&stopped, Engine::Sqlite);
        command.env("FREEHOLD_KEYS_MASTER", RING).args(["serve"]).output().unwrap()
    };
    for mode in [0o755, 0o750, 0o701, 0o770] {
        fs::set_permissions(&dir, Permissions::from_mode(mode)).unwrap();
        is_refused(&run(), "FREEHOLD_DATA_DIR");
    }
    let mut elsewhere = on_store_of(&stopped, Engine::Sqlite);
    let file = elsewhere.env("FREEHOLD_DATA_DIR", "/dev/null").args(["serve"]).output().unwrap();
    is_refused(&file, "FREEHOLD_DATA_DIR");
}

#[tokio::test]
async fn a_file_with_secrets_that_others_can_read_is_refused() {
    let mut server = Server::start(Options::new(Engine::Sqlite)).await;
    server.tenant("acme");
    server.kill();
    let dir = server.data_dir();
    for name in ["development-master-key", "demo.txt", "keys.db.before-0009"] {
        fs::write(dir.join(name), "").unwrap();
        chmod(&dir.join(name), 0o600);
    }
    let run = |log: &str| {
        let mut command = on_store_of(&server, Engine::Sqlite);
        command.env("FREEHOLD_KEYS_MASTER", RING).env("FREEHOLD_LOG", log).args(["tenant", "list"]).output().unwrap()
    };
    let names = ["demo.txt", "development-master-key", "keys.db", "keys.db.before-0009", "system.db", "system.db-wal"];
    for name in names {
        for mode in [0o640, 0o604, 0o622] {
            chmod(&dir.join(name), mode);
            let refused = run("info");
            is_refused(&refused, "FREEHOLD_DATA_DIR");
            let said = String::from_utf8(refused.stderr).unwrap();
            assert!(said.contains(&format!("/{name} is open to other users")) && said.contains("chmod 600"), "{said}");
        }
        chmod(&dir.join(name), 0o600);
    }
    chmod(&dir.join("tenants"), 0o750);
    let refused = run("info");
    is_refused(&refused, "FREEHOLD_DATA_DIR");
    assert!(String::from_utf8(refused.stderr).unwrap().contains("chmod 700"));
    // All of them at once, and with whatever else is wrong.
    for name in names {
        chmod(&dir.join(name), 0o644);
    }
    chmod(&dir, 0o755);
    let refused = run("freehold=loud");
    let said = String::from_utf8(refused.stderr).unwrap();
    let faults = said.lines().filter(|line| line.starts_with("FREEHOLD_DATA_DIR: ") && line.contains("; ")).count();
    assert_eq!((refused.status.code(), faults), (Some(78), names.len() + 2), "{said}");
    assert!(said.contains("FREEHOLD_LOG: "), "{said}");
}

#[track_caller]
fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

on_both_engines!(no_key_is_made_for_a_store_that_has_one);

async fn no_key_is_made_for_a_store_that_has_one(engine: Engine) {
    let mut server = Server::start(Options::new(engine)).await;
    server.kill();
    for args in [["serve"].as_slice(), &["tenant", "list"]] {
        is_refused(&on_store_of(&server, engine).args(args).output().unwrap(), "FREEHOLD_KEYS_MASTER");
        assert!(!server.data_dir().join("development-master-key").exists());
    }
}

#[tokio::test]
async fn a_ring_without_a_key_that_seals_a_tenant_is_refused() {
    let folder = Folder::new();
    let newer =
        format!("newer:{}", RING.split_once(':').unwrap().1.replacen(|c: char| c.is_ascii_alphanumeric(), "A", 1));
    let both = format!("{newer},{RING}");
    let run = |ring: &str, args: &[&str]| {
        let mut command = freehold();
        command.env("FREEHOLD_PROFILE", "development").env("FREEHOLD_DATA_DIR", folder.path().join("data"));
        command.env("FREEHOLD_KEYS_MASTER", ring).args(args).output().unwrap()
    };
    let create = |ring: &str, slug: &str| run(ring, &["tenant", "create", slug, "--admin-email", "ada@example.com"]);
    assert_eq!(create(RING, "acme").status.code(), Some(0));
    assert_eq!(create(&both, "globex").status.code(), Some(0));
    for half in [RING, newer.as_str()] {
        is_refused(&run(half, &["tenant", "list"]), "FREEHOLD_KEYS_MASTER");
        is_refused(&run(half, &["serve"]), "FREEHOLD_KEYS_MASTER");
    }
    assert_eq!(run(&both, &["tenant", "list"]).status.code(), Some(0));
}
