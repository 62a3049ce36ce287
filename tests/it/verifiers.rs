//! What the tools of others say of the server: each is run as it comes, against the real binary.

mod browser;
mod interface;
mod pages;
mod tls;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::{Authority, Conn, Engine, Files, Folder, Options, Server, Tenant};

/// The hosts of a server that speaks TLS.
const DOMAIN: &str = "example.test";
const HOST: &str = "acme.example.test";

/// A server as it is reached from the internet: TLS, with addresses that name no port, and no limit in the way.
struct Scene {
    server: Server,
    authority: Authority,
    folder: Folder,
    certificate: Files,
    acme: Tenant,
}

impl Scene {
    async fn new() -> Self {
        Self::with(Options::new(Engine::Sqlite)).await
    }

    async fn with(options: Options) -> Self {
        let (authority, folder) = (Authority::new(), Folder::new());
        let certificate = authority.certify(folder.path(), "platform", &["*.example.test", DOMAIN]);
        let options = options
            .limits_off()
            .env("FREEHOLD_LIMITS_CSP_REPORT", "off")
            .env("FREEHOLD_PLATFORM_DOMAIN", DOMAIN)
            .env("FREEHOLD_PLATFORM_PUBLIC_URL", "https://example.test")
            .env("FREEHOLD_HTTP_TLS_CERT", &certificate.cert.display().to_string())
            .env("FREEHOLD_HTTP_TLS_KEY", &certificate.key.display().to_string())
            .env("FREEHOLD_HTTP_REDIRECT_LISTEN", "127.0.0.1:0")
            .env("FREEHOLD_SECURITY_CONTACT", "mailto:security@example.com");
        let server = Server::start(options).await;
        let acme = server.tenant("acme");
        let made = server.cli(&["operator", "create", "olga@example.com"], "");
        assert!(made.status.success(), "{made:?}");
        Self { server, authority, folder, certificate, acme }
    }

    /// A connection by TLS.
    async fn conn(&self, host: &str) -> Conn {
        let versions = [&rustls::version::TLS13];
        let stream = self.authority.connect(self.server.http, host, &versions, &["http/1.1"]).await.unwrap();
        Conn::over(stream, host).await
    }
}

/// Where `cargo xtask` has put something for us.
fn place(variable: &str) -> PathBuf {
    let place = std::env::var_os(variable);
    place
        .unwrap_or_else(|| panic!("run the tests with `cargo xtask test`, which installs what {variable} names"))
        .into()
}

/// A file of the folder beside this one.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/verifiers").join(name)
}

/// A program that came from `PyPI`.
fn python(program: &str) -> Command {
    Command::new(place("FREEHOLD_TEST_VERIFIERS_PYTHON").join("bin").join(program))
}

/// One of our scripts for Node.js, told where its packages are.
fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(file(script)).arg(place("FREEHOLD_TEST_VERIFIERS_NPM"));
    command
}

/// What a command that must succeed prints: JSON.
#[track_caller]
fn said(command: &mut Command, stdin: &str) -> Value {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdin.take().unwrap().write_all(stdin.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{}", text(&output.stdout), text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {}", text(&output.stdout)))
}
