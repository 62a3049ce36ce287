//! Another master key while the server runs: the ring is read again, everything is sealed anew, the old key is taken out.

mod load;
mod rows;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tokio::task::block_in_place;

use self::load::Load;
use self::rows::{PLANTED, Rows};
use crate::operators;
use crate::support::{Conn, Engine, Folder, Options, Server, on_both_engines};
use crate::watch::{is_503, metric, note, until};

const OLD: &str = "k-1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const NEW: &str = "k-2:q83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
/// What the log says when the ring was read again, and when it was not.
const READ: &str = "the master ring was read again";
const STAYS: &str = "the old one stays";
/// How many rows a transaction seals anew.
const BATCH: u64 = 64;

on_both_engines! {
    the_master_key_is_rotated_under_load_and_the_old_one_is_refused
    a_rotation_that_is_killed_goes_on_with_what_is_left
    a_faulty_ring_changes_nothing_and_says_so_once
    what_does_not_open_is_named_and_everything_else_is_sealed_anew
}

/// What is done to a ring's file.
type Spoil<'a> = Box<dyn Fn() + 'a>;

/// A ring in a file of its own.
struct RingFile {
    _folder: Folder,
    path: PathBuf,
}

impl RingFile {
    fn new(ring: &str) -> Self {
        let folder = Folder::new();
        let file = Self { path: folder.path().join("master"), _folder: folder };
        file.write(ring);
        file
    }

    /// Puts another file in its place.
    fn write(&self, ring: &str) {
        let new = self.path.with_extension("new");
        fs::write(&new, format!("{ring}\n")).unwrap();
        fs::set_permissions(&new, Permissions::from_mode(0o600)).unwrap();
        fs::rename(new, &self.path).unwrap();
    }

    fn name(&self) -> &str {
        self.path.to_str().unwrap()
    }

    fn options(&self, engine: Engine) -> Options {
        Options::new(engine).limits_off().env("FREEHOLD_KEYS_MASTER_FILE", self.name())
    }
}

fn both() -> String {
    format!("{NEW},{OLD}")
}

fn hang_up(server: &Server) {
    assert!(Command::new("kill").args(["-HUP", &server.pid().to_string()]).status().unwrap().success());
}

/// How many lines of the log have this.
fn told(server: &Server, what: &str) -> usize {
    server.log().lines().filter(|line| line.contains(what)).count()
}

/// Has the server read its ring again, and waits for what it says; that line.
async fn reread(server: &Server, outcome: &str) -> String {
    let before = told(server, outcome);
    hang_up(server);
    until(outcome, async || (told(server, outcome) > before).then_some(())).await;
    assert_eq!(told(server, outcome), before + 1, "once");
    server.log().lines().rfind(|line| line.contains(outcome)).unwrap().to_owned()
}

fn rotate(server: &Server) -> Output {
    block_in_place(|| server.cli(&["keys", "rotate"], ""))
}

#[track_caller]
fn lines(output: &Output, exit: i32) -> Vec<Value> {
    assert_eq!(output.status.code(), Some(exit), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The one line of a rotation that ended well.
#[track_caller]
fn done(output: &Output) -> Value {
    let lines = lines(output, 0);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0].clone()
}

async fn the_master_key_is_rotated_under_load_and_the_old_one_is_refused(engine: Engine) {
    let file = RingFile::new(OLD);
    let options = file.options(engine).env("FREEHOLD_TREE_PASSIVATE_S", "1").env("FREEHOLD_REFRESH_COALESCE_MS", "5");
    let mut server = Server::start(options).await;
    let (acme, platform) = (server.tenant("acme"), operators::platform(&server).await);
    Rows::of(&server, engine).plant(OLD).await;
    let load = Load::start(&server).await;
    load.go_on(600).await;

    file.write(&both());
    let line = reread(&server, READ).await;
    assert!(line.contains("\"k-2\""), "{line}");
    let parked = metric(&server, "freehold_tenant_passivations_total").await;
    // Tenants are made while everything is sealed anew.
    let rotated = block_in_place(|| {
        std::thread::scope(|scope| {
            let rotation = scope.spawn(|| server.cli(&["keys", "rotate"], ""));
            (0..3).for_each(|n| drop(server.tenant(&format!("late-{n}"))));
            rotation.join().unwrap()
        })
    });
    let rotated = done(&rotated);
    let sealed = PLANTED + 2 + 12 + 2; // what was planted, and the tenants that were there
    assert_eq!((&rotated["master"], &rotated["resealed"]), (&json!("k-2"), &json!(sealed)), "{rotated}");
    assert_eq!(rotated["unused"], json!(["k-1"]));
    let again = done(&rotate(&server));
    let all = json!({ "master": "k-2", "resealed": 0, "already": sealed + 3, "unused": ["k-1"] });
    assert_eq!(again, all, "nothing is left to do");

    file.write(NEW);
    reread(&server, READ).await;
    load.go_on(1_200).await;
    let figures = load.end().await;
    note(&format!("{} requests in {:?} while the master key was rotated", figures.answered, figures.took));
    figures.is_as_promised();
    assert!(metric(&server, "freehold_tenant_passivations_total").await >= parked + 8, "tenants were loaded anew");
    assert_eq!(metric(&server, "freehold_master_key_resealed_total").await, sealed);
    assert_eq!(metric(&server, "freehold_master_key_unknown_total").await, 0);

    let rows = Rows::of(&server, engine);
    assert_eq!(rows.sealed_by().await, [("k-2".to_owned(), sealed + 3)].into());
    assert_eq!(rows.checks().await, ["k-2"]);
    rows.open_with(NEW).await;
    let mut conn = Conn::to(&server, &platform).await;
    let access = conn.sign_in(&platform).await.access;
    let audit = conn.get("/v1/audit?action=master_key.rotated", Some(&access)).await.is(200).json();
    let items = audit["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "one row for one rotation: {items:?}");
    let (change, actor) = (json!({ "field": "master_key", "from": "k-1", "to": "k-2" }), &items[0]["actor"]["kind"]);
    assert_eq!(
        (&items[0]["subject"], &items[0]["changes"][0], actor),
        (&json!(platform.id), &change, &json!("operator"))
    );

    server.kill();
    file.write(OLD);
    for verb in [["tenant", "list"].as_slice(), &["serve"]] {
        let refused = server.cli(verb, "");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(78), 0), "{said}");
        assert!(said.contains(&format!("sealed by k-2 ({}), which the ring does not have", sealed + 3)), "{said}");
    }
    file.write(NEW);
    let server = server.restarted();
    Conn::to(&server, &acme).await.sign_in(&acme).await;
}

async fn a_rotation_that_is_killed_goes_on_with_what_is_left(engine: Engine) {
    let file = RingFile::new(OLD);
    let mut server = Server::start(file.options(engine)).await;
    let acme = server.tenant("acme");
    Rows::of(&server, engine).plant(OLD).await;
    let all = PLANTED + 3;
    file.write(&both());
    reread(&server, READ).await;
    for (point, committed) in [("master_keys.written", 0), ("master_keys.committed", BATCH)] {
        server.abort_at(point).await;
        let cut = rotate(&server);
        assert!(lines(&cut, 69).is_empty(), "{point}: nothing is said to be done");
        assert_eq!(server.ended(), None, "{point}");
        server = server.restarted();
        let sealed = Rows::of(&server, engine).sealed_by().await;
        let count = |id: &str| sealed.get(id).copied().unwrap_or_default();
        assert_eq!(
            (count("k-1"), count("k-2")),
            (all - committed, committed),
            "{point}: a batch is whole or not there"
        );
        Conn::to(&server, &acme).await.sign_in(&acme).await;
    }
    let rest = json!({ "master": "k-2", "resealed": all - BATCH, "already": BATCH, "unused": ["k-1"] });
    assert_eq!(done(&rotate(&server)), rest);
    let rows = Rows::of(&server, engine);
    assert_eq!(rows.sealed_by().await, [("k-2".to_owned(), all)].into());
    rows.open_with(NEW).await;

    // Without a server, and back again: each key is as good as another.
    server.kill();
    file.write(&format!("{OLD},{NEW}"));
    let back = json!({ "master": "k-1", "resealed": all, "already": 0, "unused": ["k-2"] });
    assert_eq!(done(&rotate(&server)), back);
    file.write(OLD);
    let server = server.restarted();
    Conn::to(&server, &acme).await.sign_in(&acme).await;
}

async fn a_faulty_ring_changes_nothing_and_says_so_once(engine: Engine) {
    const OTHER: &str = "k-1:r83vEjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJA=";
    let file = RingFile::new(OLD);
    let server = Server::start(file.options(engine).env("FREEHOLD_TREE_PASSIVATE_S", "1")).await;
    let acme = server.tenant("acme");
    let mode = |mode| fs::set_permissions(&file.path, Permissions::from_mode(mode)).unwrap();
    let mut refusals: Vec<(&str, Spoil<'_>)> = vec![
        ("k-1 (1)", Box::new(|| file.write(NEW))),
        ("is not the one that this store knows by its id", Box::new(|| file.write(OTHER))),
        ("an entry is not id:key", Box::new(|| file.write("canary"))),
        ("is empty", Box::new(|| file.write(""))),
        (
            "is open to other users",
            Box::new(|| {
                file.write(&both());
                mode(0o644);
            }),
        ),
        ("cannot be read", Box::new(|| fs::remove_file(&file.path).unwrap())),
    ];
    for (n, (fault, spoil)) in refusals.drain(..).enumerate() {
        spoil();
        let line = reread(&server, STAYS).await;
        assert!(line.contains(fault) && line.contains("\"ERROR\""), "{fault}: {line}");
        assert!(!server.log().contains("canary") && !server.log().contains("q83v"), "{fault}");
        Conn::to(&server, &acme).await.sign_in(&acme).await;
        file.write(OLD);
        let later = server.tenant(&format!("made-{n}"));
        Conn::to(&server, &later).await.sign_in(&later).await;
    }
    let all: u64 = 1 + 6;
    let sealed = || async { Rows::of(&server, engine).sealed_by().await };
    assert_eq!(sealed().await, [("k-1".to_owned(), all)].into());
    // One key has nothing to do.
    let nothing = json!({ "master": "k-1", "resealed": 0, "already": all, "unused": [] });
    assert_eq!(done(&rotate(&server)), nothing);
    // A server that was not told seals nothing by another key than it has.
    file.write(&both());
    let early = rotate(&server);
    assert!(lines(&early, 78).is_empty());
    assert!(String::from_utf8_lossy(&early.stderr).contains("SIGHUP"), "{early:?}");
    assert_eq!(sealed().await, [("k-1".to_owned(), all)].into());
}

async fn what_does_not_open_is_named_and_everything_else_is_sealed_anew(engine: Engine) {
    let file = RingFile::new(OLD);
    let server = Server::start(file.options(engine)).await;
    let rows = Rows::of(&server, engine);
    rows.plant(OLD).await;
    for n in [1, BATCH + 1] {
        rows.spoil(n).await;
    }
    file.write(&both());
    reread(&server, READ).await;
    let said = lines(&rotate(&server), 65);
    let named = |n: u64| {
        let fault = "master key k-1 does not open it";
        json!({ "tenant": Rows::planted(n).to_string(), "version": 1, "master": "k-1", "fault": fault })
    };
    let end = json!({ "master": "k-2", "resealed": PLANTED, "already": 0, "unopened": 2, "unused": [] });
    assert_eq!(said, [named(1), named(BATCH + 1), end]);
    assert_eq!(rows.sealed_by().await, [("k-1".to_owned(), 2), ("k-2".to_owned(), PLANTED)].into());
    assert_eq!(rows.checks().await, ["k-1", "k-2"]);
    file.write(NEW);
    assert!(reread(&server, STAYS).await.contains("k-1 (2)"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ring_that_is_no_file_is_not_read_again() {
    let server = Server::start(Options::new(Engine::Sqlite)).await;
    let acme = server.tenant("acme");
    let line = reread(&server, "FREEHOLD_KEYS_MASTER_FILE").await;
    assert!(line.contains("start it again"), "{line}");
    Conn::to(&server, &acme).await.sign_in(&acme).await;
}

/// What the doctor finds of what master keys seal, and whether that is as it should be.
fn seals(server: &Server) -> (bool, String) {
    let (_, lines) = block_in_place(|| server.doctor(&[]));
    let line = lines.iter().find(|line| line["check"] == "master-key-seals").unwrap();
    assert_eq!(line["ok"] == true, line["remedy"].is_null());
    (line["ok"] == true, line["found"].as_str().unwrap().to_owned())
}

/// Nodes share a store and not a ring: each is told by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_not_told_fails_closed_until_it_is() {
    let (ring_one, ring_two) = (RingFile::new(OLD), RingFile::new(OLD));
    let one = Server::start(ring_one.options(Engine::Postgres)).await;
    let two = one.another_with(&[("FREEHOLD_KEYS_MASTER_FILE", ring_two.name())]);
    let (acme, globex) = (one.tenant("acme"), one.tenant("globex"));
    let mut live = Conn::to(&two, &globex).await;
    let session = live.sign_in(&globex).await;

    ring_one.write(&both());
    reread(&one, READ).await;
    assert_eq!(done(&rotate(&one))["resealed"], 2);
    assert_eq!(seals(&one), (true, "nothing is sealed by another key than k-2".to_owned()));
    let mut conn = Conn::to(&two, &acme).await;
    for _ in 0..3 {
        is_503(&conn.login(&acme, &acme.password).await, "unavailable");
    }
    let log = two.log();
    let named = |line: &&str| line.contains("\"k-2\"") && line.contains(&acme.id);
    assert!(log.lines().any(|line| named(&line)) && log.contains("send SIGHUP"), "{log}");
    assert!(metric(&two, "freehold_master_key_unknown_total").await >= 1);
    assert_eq!(live.me(&session.access).await, 200, "what is loaded is served");
    Conn::to(&one, &acme).await.sign_in(&acme).await;

    // What it seals until it is told keeps the old key where it is.
    two.tenant("initech");
    ring_one.write(NEW);
    assert!(reread(&one, STAYS).await.contains("k-1 (1)"));
    ring_one.write(&both());
    assert_eq!(seals(&one), (false, "not everything is sealed by k-2: 1 by k-1".to_owned()));
    assert_eq!(done(&rotate(&one))["resealed"], 1);

    ring_two.write(&both());
    reread(&two, READ).await;
    conn.sign_in(&acme).await;
    for (server, ring) in [(&one, &ring_one), (&two, &ring_two)] {
        ring.write(NEW);
        reread(server, READ).await;
    }
    let hooli = two.tenant("hooli");
    Conn::to(&one, &hooli).await.sign_in(&hooli).await;
    conn.sign_in(&acme).await;
}
