//! Nobody changes the log unnoticed, and nodes that write to it together leave it whole.

use std::process::Output;

use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _};

use super::log;
use crate::support::{Conn, Engine, Options, Server, Tenant, on_both_engines, open_many, post_at_once};

on_both_engines! {
    tampering_is_named
    what_cannot_be_recorded_does_not_happen
}

/// A tenant's store as somebody holds it who may do everything to it.
pub(crate) enum Raw {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// Opens a tenant's store behind the server's back. On PostgreSQL it holds every tenant's rows.
pub(crate) async fn raw(server: &Server, tenant: &Tenant, engine: Engine) -> Raw {
    match engine {
        Engine::Sqlite => {
            let file = server.data_dir().join(format!("tenants/{}.db", tenant.id));
            Raw::Sqlite(SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(file)).await.unwrap())
        }
        Engine::Postgres => Raw::Postgres(server.database().superuser().await),
    }
}

impl Raw {
    async fn try_run(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Sqlite(file) => sql.execute(file).await.map(drop),
            Self::Postgres(server) => sql.execute(server).await.map(drop),
        }
    }

    pub(crate) async fn run(&mut self, sql: &str) {
        self.try_run(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

/// What `freehold audit verify` says.
#[track_caller]
fn verdict(output: &Output) -> (Option<i32>, Value) {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), serde_json::from_str(text).unwrap())
}

#[track_caller]
fn is_right(server: &Server, rows: usize) {
    let said = verdict(&server.cli(&["audit", "verify", "acme"], ""));
    assert_eq!(said, (Some(0), json!({ "slug": "acme", "rows": rows, "ok": true })));
}

#[track_caller]
fn is_wrong(server: &Server, rows: usize, fault: &str, seq: usize) {
    let said = verdict(&server.cli(&["audit", "verify", "acme"], ""));
    assert_eq!(said, (Some(65), json!({ "slug": "acme", "rows": rows, "ok": false, "fault": fault, "seq": seq })));
}

async fn tampering_is_named(engine: Engine) {
    const SWAP: &str = "UPDATE audit SET seq = 99 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 5;
                        UPDATE audit SET seq = 5 WHERE seq = 99";
    let mut server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    for _ in 0..6 {
        conn.sign_in(&acme).await;
    }
    is_right(&server, 7);
    let unknown = server.cli(&["audit", "verify", "globex"], "");
    assert_eq!((unknown.status.code(), unknown.stdout.len()), (Some(65), 0));
    // Without a server it is the same.
    assert_eq!(server.terminate(), Some(0));
    is_right(&server, 7);
    let mut server = server.restarted();

    let mut raw = raw(&server, &acme, engine).await;
    if engine == Engine::Sqlite {
        for statement in ["UPDATE audit SET action = 'x'", "DELETE FROM audit", "UPDATE audit_head SET seq = 6"] {
            let refused = raw.try_run(statement).await.unwrap_err().to_string();
            assert!(refused.contains("append-only"), "{refused}");
        }
        let triggers =
            ["is_not_changed", "is_not_deleted", "is_not_replaced", "head_is_not_set_back", "head_is_not_deleted"];
        for trigger in triggers {
            raw.run(&format!("DROP TRIGGER audit_{trigger}")).await;
        }
    }
    raw.run("UPDATE audit SET action = 'session.ended' WHERE seq = 3").await;
    is_wrong(&server, 2, "changed", 3);
    raw.run("UPDATE audit SET action = 'session.started' WHERE seq = 3").await;
    raw.run("UPDATE audit SET at_ms = at_ms + 1 WHERE seq = 7").await;
    is_wrong(&server, 6, "changed", 7);
    raw.run("UPDATE audit SET at_ms = at_ms - 1 WHERE seq = 7").await;
    is_right(&server, 7);
    raw.run(SWAP).await;
    is_wrong(&server, 2, "reordered", 3);
    raw.run(SWAP).await;
    is_right(&server, 7);

    raw.run("DELETE FROM audit WHERE seq = 7").await;
    is_wrong(&server, 6, "missing", 7);
    // Nor is it hidden by a head that is set back.
    raw.run("UPDATE audit_head SET seq = 6, mac = (SELECT mac FROM audit WHERE seq = 6)").await;
    is_wrong(&server, 6, "changed", 6);
    raw.run("DELETE FROM audit WHERE seq = 4").await;
    is_wrong(&server, 3, "missing", 4);
    assert_eq!(server.terminate(), Some(0));
    is_wrong(&server, 3, "missing", 4);

    // A log that was emptied, and one that began anew after that.
    raw.run("DELETE FROM audit; DELETE FROM audit_head").await;
    is_wrong(&server, 0, "missing", 1);
    let server = server.restarted();
    Conn::to(&server, &acme).await.sign_in(&acme).await;
    is_wrong(&server, 0, "missing", 1);
}

/// The row and what it tells of are one transaction; a suspension, which lies elsewhere, holds without its row, and says so.
async fn what_cannot_be_recorded_does_not_happen(engine: Engine) {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    let mut raw = raw(&server, &acme, engine).await;

    raw.run("ALTER TABLE audit RENAME TO hidden").await;
    conn.call("POST", "/v1/auth/logout", Some(&session.access)).await.is_problem(500, "internal");
    conn.login(&acme, &acme.password).await.is_problem(500, "internal");
    assert_eq!(conn.me(&session.access).await, 200);
    let suspended = server.cli(&["tenant", "suspend", "acme"], "");
    assert_eq!((suspended.status.code(), suspended.stdout.len()), (Some(69), 0));
    assert!(String::from_utf8_lossy(&suspended.stderr).contains("it is done"));
    conn.get("/v1/me", Some(&session.access)).await.is_problem(403, "tenant-suspended");

    raw.run("ALTER TABLE hidden RENAME TO audit").await;
    assert!(server.cli(&["tenant", "resume", "acme"], "").status.success());
    let log = log(&mut conn, &session.access).await;
    let actions: Vec<_> = log.iter().map(|item| item["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["tenant.created", "session.started", "tenant.resumed"]);
    is_right(&server, 3);
}

/// Sign-outs and sign-ins at the same moment on two servers: every one has its row, and the chain is whole.
#[tokio::test(flavor = "multi_thread")]
async fn two_servers_that_write_at_once_leave_the_chain_whole() {
    const SESSIONS: usize = 50;
    const SIGN_INS: usize = 5;
    let one = Server::start(Options::new(Engine::Postgres).limits_off()).await;
    let two = one.another();
    let acme = one.tenant("acme");
    let mut conns = open_many(&one, &acme, SESSIONS / 2).await;
    conns.extend(open_many(&two, &acme, SESSIONS / 2).await);
    let mut sessions = vec![];
    for conn in &mut conns {
        sessions.push(conn.sign_in(&acme).await);
    }
    let mut arriving = open_many(&one, &acme, SIGN_INS).await;
    arriving.extend(open_many(&two, &acme, SIGN_INS).await);
    let login = json!({ "email": acme.email, "password": acme.password });
    let (left, came) = tokio::join!(
        post_at_once(&mut conns, "/v1/auth/logout", |n| json!({ "refresh_token": sessions[n].refresh })),
        post_at_once(&mut arriving, "/v1/auth/login", |_| login.clone()),
    );
    for answer in &left {
        answer.is(204);
    }
    // The attempts of one node can lock the account for the other while they are under way.
    let came = came.iter().filter(|answer| answer.status == 200).count();
    assert!(came > 0);

    let mut conn = Conn::to(&one, &acme).await;
    let last = conn.sign_in(&acme).await;
    let log = log(&mut conn, &last.access).await;
    let count = |action: &str| log.iter().filter(|item| item["action"] == action).count();
    assert_eq!((count("session.started"), count("session.ended")), (SESSIONS + came + 1, SESSIONS));
    is_right(&one, log.len());
    is_right(&two, log.len());
}
