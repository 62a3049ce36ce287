//! The example of `docs/forward-auth.md`, run by nginx itself before a small application.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{cookie, member_of};
use crate::support::{Answer, Conn, Engine, Folder, Options, Server, Session};
use crate::watch::until;

/// An nginx before a server and an application; killed when dropped.
struct Nginx {
    child: Child,
    address: SocketAddr,
    _folder: Folder,
}

impl Nginx {
    async fn before(server: &Server, application: SocketAddr) -> Self {
        let program = std::env::var("FREEHOLD_TEST_NGINX")
            .unwrap_or_else(|_| panic!("run the tests with `cargo xtask test`, which finds nginx"));
        let folder = Folder::new();
        let address = free_address().await;
        std::fs::write(folder.path().join("nginx.conf"), configuration(address, server.http, application)).unwrap();
        let child = Command::new(program)
            .arg("-p")
            .arg(folder.path())
            .args(["-e", "stderr", "-c", "nginx.conf"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        until("nginx listens", async || TcpStream::connect(address).await.ok()).await;
        Self { child, address, _folder: folder }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// An address that was free a moment ago.
async fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap()
}

/// The text of the documentation, with the addresses of this test.
fn configuration(own: SocketAddr, freehold: SocketAddr, application: SocketAddr) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/forward-auth.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once("```nginx\n").expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    let mut example = example.to_owned();
    for (documented, here) in [
        ("listen 80;", format!("listen {own};")),
        ("*.example.com", "*.localhost".to_owned()),
        ("127.0.0.1:8080", freehold.to_string()),
        ("127.0.0.1:3000", application.to_string()),
    ] {
        assert!(example.contains(documented), "{documented}");
        example = example.replace(documented, &here);
    }
    let temporary =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {kind};\n"));
    let paths = temporary.concat();
    format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}{example}}}\n"
    )
}

/// An application that answers every request with the head that it got.
async fn application() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(echo(stream));
        }
    });
    address
}

async fn echo(mut stream: TcpStream) {
    let (mut head, mut chunk) = (vec![], [0; 4_096]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut chunk).await {
            Ok(n @ 1..) => head.extend_from_slice(&chunk[..n]),
            Ok(0) | Err(_) => return,
        }
    }
    let answer = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", head.len());
    drop(stream.write_all(&[answer.as_bytes(), &head].concat()).await);
}

/// The values that the application got under this name.
fn got(answer: &Answer, name: &str) -> Vec<String> {
    let head = String::from_utf8(answer.is(200).body.to_vec()).unwrap();
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_behind_nginx_knows_its_users_and_nobody_can_pretend() {
    let server = Server::start(Options::new(Engine::Sqlite).env("FREEHOLD_HTTP_TRUSTED_PROXIES", "127.0.0.1")).await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    let nginx = Nginx::before(&server, application().await).await;
    let mut conn = Conn::open(nginx.address, &acme.host()).await;
    let session = conn.sign_in(&acme).await; // through the proxy, too
    let member = member_of(&mut conn, &session).await;
    let (cookie, bearer) = (cookie(&session), format!("Bearer {}", session.access));
    let spoofed = [
        ("x-user-id", "019a0000-0000-7000-8000-000000000000"),
        ("x-tenant-id", globex.id.as_str()),
        ("x-role", "operator"),
        ("x-original-method", "GET"),
        ("x-forwarded-method", "GET"),
    ];

    for credential in [("cookie", cookie.as_str()), ("authorization", bearer.as_str())] {
        let headers = [&[credential], spoofed.as_slice()].concat();
        let answer = conn.send(conn.request("GET", "/orders?page=2", &headers, b"")).await;
        for (name, value) in [("x-user-id", &member), ("x-tenant-id", &acme.id), ("x-role", &"admin".to_owned())] {
            assert_eq!(got(&answer, name), [value.as_str()], "{name}");
        }
        assert!(answer.body.starts_with(b"GET /orders?page=2 "), "{answer:?}");
        assert_eq!(got(&answer, "authorization"), Vec::<String>::new());
    }
    // Of the cookies the application gets its own.
    let headers = [("cookie", cookie.as_str())];
    let answer = conn.send(conn.request("GET", "/", &headers, b"")).await;
    assert_eq!(got(&answer, "cookie"), ["other=1; last=2"]);

    // Not signed in, whatever the client says of itself.
    for path in ["/", "/_freehold", "/orders"] {
        let answer = conn.send(conn.request("GET", path, &spoofed, b"")).await;
        let refused = if path == "/_freehold" { 404 } else { 401 };
        assert_eq!(answer.status.as_u16(), refused, "{path}: {answer:?}");
    }
    // A form of another site's page, with the cookie that the browser adds.
    for (origin, status) in [("https://evil.test", 403), ("http://acme.localhost", 200)] {
        let headers = [&[("cookie", cookie.as_str()), ("origin", origin)], spoofed.as_slice()].concat();
        let answer = conn.send(conn.request("POST", "/orders", &headers, b"")).await;
        assert_eq!(answer.status.as_u16(), status, "{origin}: {answer:?}");
    }
    // Another tenant's.
    let mut at_globex = Conn::open(nginx.address, &globex.host()).await;
    for credential in [("cookie", cookie.as_str()), ("authorization", bearer.as_str())] {
        let answer = at_globex.send(at_globex.request("GET", "/", &[credential], b"")).await;
        assert_eq!(answer.status, 401, "{answer:?}");
    }

    assert!(server.cli(&["tenant", "suspend", "acme"], "").status.success());
    assert_eq!(conn.send(conn.request("GET", "/", &headers, b"")).await.status, 403);
    assert!(server.cli(&["tenant", "resume", "acme"], "").status.success());
    let next = Session::of(&conn.refresh(&session.refresh).await);
    conn.call("POST", "/v1/auth/logout", Some(&next.access)).await.is(204);
    for credential in [("cookie", super::cookie(&next)), ("authorization", format!("Bearer {}", next.access))] {
        let headers = [(credential.0, credential.1.as_str())];
        assert_eq!(conn.send(conn.request("GET", "/", &headers, b"")).await.status, 401);
    }
}
