//! Who gets through where: every operation, asked by everybody, and nothing but the policy decides between the roles.

use std::collections::BTreeMap;
use std::path::Path;

use freehold_domain::api_key::Scope;
use freehold_domain::policy::{PRINT_SHOP, Permission, Policy};
use freehold_domain::role::Role;
use serde_json::{Value, json};

use crate::audit::chain::raw;
use crate::openapi::operations;
use crate::operators::platform;
use crate::support::{Answer, Conn, Engine, Options, Server, Tenant, on_both_engines};

on_both_engines! {
    the_grid_is_the_one_that_is_committed
    a_role_that_may_not_is_told_so_before_anything_else
}

const HEAD: &str =
    "# Every operation of every host and what it asks for, and whom the server lets through to it: a generated file.
# FREEHOLD_TEST_WRITE_RBAC=1 writes it anew. 401: no credential that is good here. 403: not with this role.
# passes: access is not what the answer is about. The roles are those of members of the host's own tenant, which at the
# operators' host is the platform, and at the API host the tenant of the key. A stranger is an admin of another tenant.
# api_key: a secret key of the tenant in `X-ND-Key`, and no bearer.
";
const CALLERS: [&str; 6] = ["nobody", "admin", "sales_rep", "employee", "stranger", "api_key"];

/// What an operation asks for, and how each of the callers is answered.
type Row = (String, [&'static str; 6]);
/// By host, method and path.
type Grid = BTreeMap<String, Row>;

/// What a request comes with.
#[derive(Clone, Debug)]
enum Credential {
    Nothing,
    Bearer(String),
    Key(String),
}

/// Whether access is what this answer is about.
fn class(answer: &Answer) -> &'static str {
    match answer.status.as_u16() {
        401 => "401",
        403 => {
            assert_eq!(answer.problem(), "forbidden", "{answer:?}");
            "403"
        }
        _ => "passes",
    }
}

/// The text of a grid: a line for each operation.
fn text(grid: &Grid) -> String {
    let mut lines = vec![HEAD.to_owned()];
    let row = |operation: &str, asks: &str, cells: [&str; 6]| {
        let cells: Vec<_> = cells.iter().map(|cell| format!("{cell:9}")).collect();
        format!("{operation:54} {asks:28} {}", cells.join(" ")).trim_end().to_owned() + "\n"
    };
    lines.push(row("# operation", "asks for", CALLERS));
    lines.extend(grid.iter().map(|(operation, (asks, cells))| row(operation, asks, *cells)));
    lines.concat()
}

/// One answer to an empty request.
async fn ask(conn: &mut Conn, method: &str, path: &str, credential: &Credential) -> Answer {
    let target = path
        .replace("{slug}", "not-found")
        .replace("{id}", "019a0000-0000-7000-8000-000000000000")
        .replace("{block}", "019a0000-0000-7000-8000-000000000000")
        .replace("{provider}", "google");
    let (name, value) = match credential {
        Credential::Nothing => ("", String::new()),
        Credential::Bearer(token) => ("authorization", format!("Bearer {token}")),
        Credential::Key(key) => ("x-nd-key", key.clone()),
    };
    let mut headers = vec![(name, value.as_str())];
    headers.retain(|(name, _)| !name.is_empty());
    let has_body = matches!(method, "POST" | "PUT" | "PATCH");
    headers.extend(has_body.then_some(("content-type", "application/json")));
    conn.send(conn.request(method, &target, &headers, if has_body { b"{}" } else { b"" })).await
}

/// A host that is asked, and the tenant whose members have roles there.
struct Host<'a> {
    name: &'static str,
    asked: Conn,
    home: Conn,
    tenant: &'a Tenant,
    engine: Engine,
    server: &'a Server,
}

impl<'a> Host<'a> {
    async fn of(name: &'static str, domain: &str, server: &'a Server, tenant: &'a Tenant, engine: Engine) -> Self {
        let (asked, home) = (Conn::open(server.http, domain).await, Conn::to(server, tenant).await);
        Self { name, asked, home, tenant, engine, server }
    }

    /// Asks for everything that is described, as everybody.
    async fn measure(&mut self, stranger: &str, key: &str, grid: &mut Grid) {
        let operations = operations(&mut self.asked).await;
        let mut raw = raw(self.server, self.tenant, self.engine).await;
        for (index, caller) in CALLERS.iter().enumerate() {
            let role = caller.parse::<Role>().ok();
            if let Some(role) = role {
                raw.run(&format!("UPDATE member SET role = '{role}'")).await;
            }
            let mut credential = match *caller {
                "nobody" => Credential::Nothing,
                "stranger" => Credential::Bearer(stranger.to_owned()),
                "api_key" => Credential::Key(key.to_owned()),
                _ => self.signed_in().await,
            };
            for (method, path, said) in &operations {
                let answer = ask(&mut self.asked, method, path, &credential).await;
                assert_ne!(answer.status, 500, "{method} {path}: {answer:?}");
                let asks = said["x-permission"].as_str().unwrap_or_else(|| panic!("{method} {path} asks for nothing"));
                let row = grid.entry(format!("{} {method} {path}", self.name));
                row.or_insert_with(|| (asks.to_owned(), [""; 6])).1[index] = class(&answer);
                // Some end the session that asked.
                if role.is_some() {
                    credential = self.still_signed_in(credential).await;
                }
            }
        }
    }

    async fn signed_in(&mut self) -> Credential {
        Credential::Bearer(self.home.sign_in(self.tenant).await.access)
    }

    async fn still_signed_in(&mut self, credential: Credential) -> Credential {
        if let Credential::Bearer(token) = &credential
            && self.home.me(token).await != 200
        {
            return self.signed_in().await;
        }
        credential
    }
}

/// Asks a running server for everything.
async fn measured(engine: Engine) -> Grid {
    let server = Server::start(Options::new(engine).limits_off()).await;
    let (acme, globex, platform) = (server.tenant("acme"), server.tenant("globex"), platform(&server).await);
    let stranger = Conn::to(&server, &globex).await.sign_in(&globex).await.access;
    let mut conn = Conn::to(&server, &acme).await;
    let access = conn.sign_in(&acme).await.access;
    let body = json!({ "name": "server", "kind": "secret" });
    let key = conn.post("/v1/api-keys", Some(&access), &body).await.is(201).json()["key"].as_str().unwrap().to_owned();
    let mut grid = Grid::new();
    for (name, domain, tenant) in [
        ("tenant", acme.host(), &acme),
        ("operators", platform.host(), &platform),
        ("api", "api.localhost".into(), &acme),
    ] {
        let mut host = Host::of(name, &domain, &server, tenant, engine).await;
        host.measure(&stranger, &key, &mut grid).await;
    }
    grid
}

/// What a policy makes of a grid: its rows, with the cells that the policy decides.
fn expected(grid: &Grid, policy: &Policy) -> Grid {
    let decided = |(asks, cells): &Row| {
        let permission = Permission::ALL.iter().find(|known| known.as_str() == asks);
        let cells = match (permission, asks.as_str()) {
            (Some(permission), _) => CALLERS.map(|caller| match caller.parse::<Role>() {
                Ok(role) if policy.may(role, *permission) => "passes",
                Ok(_) => "403",
                Err(_) => "401",
            }),
            (None, "public") => ["passes"; 6],
            // The credential in the request decides, and no role; a key is none at these hosts.
            (None, "credential") => [cells[0], cells[1], cells[1], cells[1], cells[4], cells[0]],
            (None, scope) => {
                scope.parse::<Scope>().unwrap_or_else(|_| panic!("{asks} is neither a permission nor a scope"));
                CALLERS.map(|caller| if caller == "api_key" { "passes" } else { "401" })
            }
        };
        (asks.clone(), cells)
    };
    grid.iter().map(|(operation, row)| (operation.clone(), decided(row))).collect()
}

fn path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/rbac.txt")
}

/// The committed grid.
fn committed() -> Grid {
    const CLASSES: [&str; 3] = ["401", "403", "passes"];
    let file = std::fs::read_to_string(path()).unwrap_or_default();
    let row = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let [host, method, path, asks, cells @ ..] = &words[..] else { panic!("{line}") };
        let cell = |index: usize| *CLASSES.iter().find(|class| **class == cells[index]).unwrap();
        (format!("{host} {method} {path}"), ((*asks).to_owned(), [0, 1, 2, 3, 4, 5].map(cell)))
    };
    file.lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

async fn the_grid_is_the_one_that_is_committed(engine: Engine) {
    let grid = measured(engine).await;
    if std::env::var("FREEHOLD_TEST_WRITE_RBAC").is_ok_and(|set| set == "1") {
        std::fs::write(path(), text(&grid)).unwrap();
    }
    let policy = Policy::parse(PRINT_SHOP).unwrap();
    assert_eq!(text(&grid), text(&expected(&grid, &policy)), "the server does not do what the policy says");
    let file = std::fs::read_to_string(path()).unwrap_or_default();
    assert!(
        file == text(&grid),
        "tests/it/rbac.txt is not what the server does: run this test with FREEHOLD_TEST_WRITE_RBAC=1, read the \
         difference and commit it:\n{}",
        text(&grid)
    );
    assert_eq!(committed(), grid);
}

/// Each cell of the policy, turned over, changes the rows that ask for it, in the column of its role, and nothing else.
#[test]
fn one_changed_cell_of_the_policy_changes_exactly_its_rows() {
    let grid = committed();
    let mut rows_changed = 0;
    for permission in Permission::ALL {
        for role in Role::ALL {
            let changed = Policy::parse(&turned_over(*permission, role)).unwrap();
            let seen = expected(&grid, &changed);
            let column = CALLERS.iter().position(|caller| *caller == role.as_str()).unwrap();
            for (operation, (asks, cells)) in &grid {
                for (index, cell) in cells.iter().enumerate() {
                    let is_its = asks == permission.as_str() && index == column;
                    assert_eq!(seen[operation].1[index] != *cell, is_its, "{permission} {role}: {operation}");
                    rows_changed += usize::from(is_its);
                }
            }
        }
    }
    assert!(rows_changed > 20, "{rows_changed}");
}

/// The text of the policy with one role added to one permission, or taken from it.
fn turned_over(permission: Permission, role: Role) -> String {
    let policy = Policy::parse(PRINT_SHOP).unwrap();
    let may = |of: &Role| policy.may(*of, permission) != (*of == role);
    let list: Vec<_> = Role::ALL.iter().filter(|of| may(of)).map(|of| format!("\"{of}\"")).collect();
    let section = format!("[server.{}]", permission.resource());
    let (before, after) = PRINT_SHOP.split_once(&section).unwrap();
    let verb = format!("may.{} = ", permission.verb());
    let line = after.lines().find(|line| line.starts_with(&verb)).unwrap();
    let after = after.replacen(line, &format!("{verb}[{}]", list.join(", ")), 1);
    format!("{before}{section}{after}")
}

/// 401 tells nothing of roles, 403 nothing of the request: not whether it would be good, nor whether its subject exists.
async fn a_role_that_may_not_is_told_so_before_anything_else(engine: Engine) {
    let server = Server::start(Options::new(engine)).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    raw(&server, &acme, engine).await.run("UPDATE member SET role = 'employee'").await;
    let employee = conn.sign_in(&acme).await.access;
    for path in ["/v1/audit", "/v1/audit?limit=x", "/v1/audit?nothing=1"] {
        conn.get(path, None).await.is_problem(401, "unauthenticated");
        conn.get(path, Some("x")).await.is_problem(401, "unauthenticated");
        let refused = conn.get(path, Some(&employee)).await;
        refused.is_problem(403, "forbidden");
        assert_eq!(refused.header("cache-control"), Some("no-store"));
        assert_eq!(refused.header("x-ratelimit-tier"), Some("address"), "it is counted all the same");
    }
    assert_eq!(conn.me(&employee).await, 200);
    let problem = conn.get("/v1/audit", Some(&employee)).await.json();
    let members: BTreeMap<String, Value> = serde_json::from_value(problem).unwrap();
    assert_eq!(members.keys().collect::<Vec<_>>(), ["detail", "request_id", "status", "title", "type"]);
}

#[tokio::test]
async fn the_help_page_shows_the_policy_to_everybody() {
    let server = Server::start(Options::new(Engine::Sqlite)).await;
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    let answer = conn.get("/help/roles", None).await;
    assert_eq!(answer.is(200).header("content-type"), Some("text/html; charset=utf-8"));
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'nonce-"), "{policy}");
    let html = std::str::from_utf8(&answer.body).unwrap();
    let audit = "<th scope=\"row\">Audit log</th><td>read</td><td>nothing</td><td>nothing</td>";
    assert!(html.contains("<html lang=\"en\">") && html.contains(audit), "{html}");
    assert!(!html.contains("style=") && !html.contains("<script"), "{html}");
    conn.post("/help/roles", None, &json!({})).await.is_problem(405, "method-not-allowed");
    Conn::open(server.http, "localhost").await.get("/help/roles", None).await.is_problem(404, "not-found");
}
