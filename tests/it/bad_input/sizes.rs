//! Bodies and texts that are too long: refused without being read, and up to the limit taken whole.

use std::fmt::Write as _;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{Scene, is_invalid, operations};
use crate::raw;
use crate::support::{Conn, Engine, Options, Server, Session};

const AUTH_BYTES_MAX: usize = 16 * 1024;
const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn an_announced_length_past_the_limit_is_refused_unread() {
    let scene = Scene::new().await;
    let gib = 1024 * MIB;
    let mut requests: Vec<_> = operations().iter().map(|(path, _)| ("POST", *path, gib)).collect();
    requests.extend([("POST", "/v1/auth/login", AUTH_BYTES_MAX + 1), ("POST", "/v1/auth/nothing", AUTH_BYTES_MAX + 1)]);
    requests.extend([("GET", "/v1/me", MIB + 1), ("POST", "/nothing", MIB + 1), ("DELETE", "/v1/sessions/x", gib)]);
    for (method, path, length) in requests {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: acme.localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        let answer = raw::ask(&scene.server, head).await;
        answer.is_problem(413, "payload-too-large");
        assert_eq!(answer.header("connection"), Some("close"), "{method} {path}");
    }
    // Lengths that are none, or two: the connection cannot be trusted any further.
    for length in ["-1", "x", "1e3", "99999999999999999999", "5\r\ncontent-length: 6"] {
        let head = format!("POST /v1/auth/login HTTP/1.1\r\nhost: acme.localhost\r\ncontent-length: {length}\r\n\r\n");
        let answer = raw::ask(&scene.server, head).await;
        assert!(matches!(answer.status.as_u16(), 400 | 413), "{length}: {answer:?}");
    }
    scene.nothing_changed().await;
}

#[tokio::test]
async fn a_body_without_an_end_is_cut_off_at_the_limit() {
    let scene = Scene::new().await;
    let (mut reader, mut writer) = TcpStream::connect(scene.server.http).await.unwrap().into_split();
    let head = "POST /v1/auth/login HTTP/1.1\r\nhost: acme.localhost\r\ncontent-type: application/json\r\n\
                transfer-encoding: chunked\r\n\r\n";
    writer.write_all(head.as_bytes()).await.unwrap();
    // It ends when the server has hung up, which it must.
    let endless = tokio::spawn(async move {
        let chunk = format!("400\r\n{}\r\n", " ".repeat(1_024));
        let mut sent = 0;
        while writer.write_all(chunk.as_bytes()).await.is_ok() {
            sent += chunk.len();
        }
        sent
    });
    raw::answer(&mut reader).await.is_problem(413, "payload-too-large");
    let sent = endless.await.unwrap();
    assert!(sent > AUTH_BYTES_MAX, "{sent}");
    scene.nothing_changed().await;
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_read() {
    let mut scene = Scene::new().await;
    for (path, _) in operations() {
        let fits = format!("{{\"extra\":\"{}\"}}", "x".repeat(AUTH_BYTES_MAX - 12));
        assert_eq!(fits.len(), AUTH_BYTES_MAX);
        is_invalid(&scene.post_json(path, fits.as_bytes()).await, &["extra"], path);
        scene.post_json(path, format!("{fits} ").as_bytes()).await.is_problem(413, "payload-too-large");
        scene.conn = Conn::to(&scene.server, &scene.acme).await;
        // Deep enough to end a parser that recurses, were it read.
        scene.post_json(path, "[".repeat(100_000).as_bytes()).await.is_problem(413, "payload-too-large");
        scene.conn = Conn::to(&scene.server, &scene.acme).await;
    }
    scene.nothing_changed().await;
}

#[tokio::test]
async fn a_password_of_1024_characters_works_whole() {
    let server = Server::start(Options::new(Engine::Sqlite).limits_off()).await;
    // Four bytes each, and the last one is the only difference from what is tried below.
    let longest = "\u{1f511}".repeat(1_023) + "a";
    let made = server.cli(
        &["tenant", "create", "acme", "--admin-email", "ada@example.com", "--admin-password-stdin"],
        &format!("{longest}\n"),
    );
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut conn = Conn::open(server.http, "acme.localhost").await;
    let login = |password: &str| json!({ "email": "ada@example.com", "password": password });
    let session = Session::of(&conn.post("/v1/auth/login", None, &login(&longest)).await);
    let other = "\u{1f511}".repeat(1_023) + "b";
    conn.post("/v1/auth/login", None, &login(&other)).await.is_problem(401, "invalid-credentials");
    let longer = format!("{longest}x");
    is_invalid(&conn.post("/v1/auth/login", None, &login(&longer)).await, &["password"], "1,025 characters");

    // Composed and decomposed are one password: 1,024 characters once normalised.
    let mut decomposed = String::new();
    let mut composed = String::new();
    for (base, one) in "eaounic".chars().zip("éáóúńíć".chars()).cycle().take(1_024) {
        write!(decomposed, "{base}\u{301}").unwrap();
        composed.push(one);
    }
    let change = json!({ "current_password": longest, "new_password": decomposed });
    Session::of(&conn.post("/v1/auth/password", Some(&session.access), &change).await);
    Session::of(&conn.post("/v1/auth/login", None, &login(&composed)).await);

    conn.post("/v1/auth/login", None, &login(&"x".repeat(64 * 1_024))).await.is_problem(413, "payload-too-large");
    let refused = server.cli(
        &["tenant", "create", "globex", "--admin-email", "ada@example.com", "--admin-password-stdin"],
        &format!("{longer}\n"),
    );
    assert_eq!(refused.status.code(), Some(65));
}
