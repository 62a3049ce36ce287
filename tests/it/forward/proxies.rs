//! The examples of `docs/forward-auth.md`, run by the proxies themselves before a small application.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{cookie, member_of};
use crate::support::{Answer, Conn, Engine, Folder, Options, Server, Session};
use crate::watch::until;

/// A program that asks Freehold about each request.
#[derive(Clone, Copy)]
enum Kind {
    Nginx,
    Caddy,
}

/// A proxy before a server and an application; killed when dropped.
struct Proxy {
    child: Child,
    address: SocketAddr,
    _folder: Folder,
}

impl Proxy {
    async fn before(kind: Kind, server: &Server, application: SocketAddr) -> Self {
        let (variable, file, options) = match kind {
            Kind::Nginx => ("FREEHOLD_TEST_NGINX", "nginx.conf", ["-p", ".", "-e", "stderr", "-c"].as_slice()),
            Kind::Caddy => {
                ("FREEHOLD_TEST_CADDY", "Caddyfile", ["run", "--adapter", "caddyfile", "--config"].as_slice())
            }
        };
        let program =
            std::env::var(variable).unwrap_or_else(|_| panic!("run the tests with `cargo xtask test`, which finds it"));
        let folder = Folder::new();
        let address = free_address().await;
        let configuration = match kind {
            Kind::Nginx => nginx(address, server.http, application),
            Kind::Caddy => caddy(address, server.http, application),
        };
        std::fs::write(folder.path().join(file), configuration).unwrap();
        let child = Command::new(program)
            .args(options)
            .arg(file)
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env("XDG_DATA_HOME", folder.path())
            .env("XDG_CONFIG_HOME", folder.path())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        until("the proxy listens", async || TcpStream::connect(address).await.ok()).await;
        Self { child, address, _folder: folder }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// An address that was free a moment ago.
async fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap()
}

/// The text of the documentation in this language, with what it has replaced by what is here.
fn example(language: &str, here: &[(&str, String)]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/forward-auth.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once(&format!("```{language}\n")).expect("an example");
    let (example, _) = rest.split_once("```").expect("its end");
    let mut example = example.to_owned();
    for (documented, here) in here {
        assert!(example.contains(documented), "{documented}");
        example = example.replace(documented, here);
    }
    example
}

fn nginx(own: SocketAddr, freehold: SocketAddr, application: SocketAddr) -> String {
    let example = example(
        "nginx",
        &[
            ("listen 80;", format!("listen {own};")),
            ("*.example.com", "*.localhost".to_owned()),
            ("127.0.0.1:8080", freehold.to_string()),
            ("127.0.0.1:3000", application.to_string()),
        ],
    );
    let temporary =
        ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(|kind| format!("{kind}_temp_path {kind};\n"));
    let paths = temporary.concat();
    format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nevents {{}}\nhttp {{\naccess_log off;\n{paths}{example}}}\n"
    )
}

fn caddy(own: SocketAddr, freehold: SocketAddr, application: SocketAddr) -> String {
    let example = example(
        "caddyfile",
        &[
            ("*.example.com {", format!("http://*.localhost:{} {{\n\tbind {}", own.port(), own.ip())),
            ("127.0.0.1:8080", freehold.to_string()),
            ("127.0.0.1:3000", application.to_string()),
        ],
    );
    format!("{{\n\tadmin off\n\tauto_https off\n}}\n{example}")
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
    knows_its_users(Kind::Nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_behind_caddy_knows_its_users_and_nobody_can_pretend() {
    knows_its_users(Kind::Caddy).await;
}

async fn knows_its_users(kind: Kind) {
    let server = Server::start(Options::new(Engine::Sqlite).env("FREEHOLD_HTTP_TRUSTED_PROXIES", "127.0.0.1")).await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    let proxy = Proxy::before(kind, &server, application().await).await;
    let mut conn = Conn::open(proxy.address, &acme.host()).await;
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
        let refused = if matches!(kind, Kind::Nginx) && path == "/_freehold" { 404 } else { 401 };
        assert_eq!(answer.status.as_u16(), refused, "{path}: {answer:?}");
    }
    // A form of another site's page, with the cookie that the browser adds.
    for (origin, status) in [("https://evil.test", 403), ("http://acme.localhost", 200)] {
        let headers = [&[("cookie", cookie.as_str()), ("origin", origin)], spoofed.as_slice()].concat();
        let answer = conn.send(conn.request("POST", "/orders", &headers, b"")).await;
        assert_eq!(answer.status.as_u16(), status, "{origin}: {answer:?}");
    }
    // Another tenant's.
    let mut at_globex = Conn::open(proxy.address, &globex.host()).await;
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
