//! A real certificate authority on loopback: pebble, and the DNS server that comes with it, for which every name is here.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::ops::Range;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::version::TLS13;
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::{Authority, Conn, Engine, Folder, Options, connect};
use crate::watch::until;

/// The domain of the platform in these tests.
pub(crate) const DOMAIN: &str = "example.test";

/// The authority. Dropped, it is killed.
pub(crate) struct Pebble {
    authority: Authority,
    folder: Folder,
    settings: Settings,
    running: Option<Running>,
}

#[derive(Clone, Copy)]
struct Settings {
    acme: SocketAddr,
    management: SocketAddr,
    /// Where it asks whose a host is, whatever the host.
    asks_at: SocketAddr,
    good_for_s: u32,
}

struct Running {
    children: [Child; 2],
    said: Arc<Mutex<String>>,
    root: CertificateDer<'static>,
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.children {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// A port that was free a moment ago, for TCP and UDP; none of those that the system gives to whoever asks for any, for it
/// would be given away again before it is used.
fn free() -> SocketAddr {
    const OURS: Range<u16> = 20_000..32_000;
    loop {
        let mut random = [0; 2];
        getrandom::fill(&mut random).unwrap();
        let port = OURS.start + u16::from_ne_bytes(random) % (OURS.end - OURS.start);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

fn program(name: &str) -> Command {
    let path =
        std::env::var(name).unwrap_or_else(|_| panic!("run the tests with `cargo xtask test`, which finds pebble"));
    let mut command = Command::new(path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

impl Pebble {
    /// One whose certificates are good for so many seconds.
    pub(crate) async fn start(good_for_s: u32) -> Self {
        let mut pebble = Self::absent(good_for_s);
        pebble.begin().await;
        pebble
    }

    /// One that does not run yet.
    pub(crate) fn absent(good_for_s: u32) -> Self {
        let settings = Settings { acme: free(), management: free(), asks_at: free(), good_for_s };
        let (authority, folder) = (Authority::new(), Folder::new());
        std::fs::write(folder.path().join("ca.pem"), &authority.root_pem).unwrap();
        Self { authority, folder, settings, running: None }
    }

    /// Runs it. It remembers nothing of an earlier run.
    pub(crate) async fn begin(&mut self) {
        let Settings { acme, management, asks_at, good_for_s } = self.settings;
        let dns = free();
        let mut names = program("FREEHOLD_TEST_CHALLTESTSRV");
        for (flag, value) in [
            ("-dns01", dns.to_string()),
            ("-management", free().to_string()),
            ("-defaultIPv4", "127.0.0.1".to_owned()),
            ("-defaultIPv6", String::new()),
            ("-http01", String::new()),
            ("-https01", String::new()),
            ("-tlsalpn01", String::new()),
        ] {
            names.arg(format!("{flag}={value}"));
        }
        let names = names.stdout(Stdio::null()).spawn().unwrap();
        let files = self.authority.certify(self.folder.path(), "pebble", &["127.0.0.1", "localhost"]);
        let config = json!({ "pebble": {
            "listenAddress": acme.to_string(), "managementListenAddress": management.to_string(),
            "certificate": files.cert, "privateKey": files.key, "httpPort": asks_at.port(), "tlsPort": 1,
            "ocspResponderURL": "", "externalAccountBindingRequired": false, "certificateValidityPeriod": good_for_s,
        }});
        let path = self.folder.path().join("pebble.json");
        std::fs::write(&path, config.to_string()).unwrap();
        let mut child = program("FREEHOLD_TEST_PEBBLE")
            .args(["-strict", "-config"])
            .arg(&path)
            .args(["-dnsserver", &dns.to_string()])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_AUTHZREUSE", "0")
            .env("PEBBLE_WFE_NONCEREJECT", "2") // clients must cope, and give up at the third in a row
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (stdout, written) = (child.stdout.take().unwrap(), Arc::clone(&said));
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                written.lock().unwrap().push_str(&(line + "\n"));
            }
        });
        let children = [child, names];
        let root = until("pebble answers", async || self.root().await).await.0;
        self.running = Some(Running { children, said, root });
    }

    /// Kills it.
    pub(crate) fn end(&mut self) {
        self.running = None;
    }

    /// The root of what it issues.
    async fn root(&self) -> Option<CertificateDer<'static>> {
        let stream =
            self.authority.connect(self.settings.management, "localhost", &[&TLS13], &["http/1.1"]).await.ok()?;
        let answer = Conn::over(stream, "localhost").await.get("/roots/0", None).await;
        CertificateDer::from_pem_slice(&answer.is(200).body).ok()
    }

    /// Where it asks whose a host is, whatever the host.
    pub(crate) fn asks_at(&self) -> String {
        self.settings.asks_at.to_string()
    }

    /// What a server is started with whose certificates it issues.
    pub(crate) fn options(&self, engine: Engine) -> Options {
        let acme = self.settings.acme;
        let ca_file = self.folder.path().join("ca.pem");
        with_acme(engine, &format!("https://{acme}/dir"), &ca_file.display().to_string())
            .env("FREEHOLD_HTTP_REDIRECT_LISTEN", &self.asks_at())
    }

    /// A connection that asked for this host and was shown a certificate that this authority vouches for.
    pub(crate) async fn connect(&self, server: SocketAddr, host: &str) -> Option<TlsStream<TcpStream>> {
        let root = &self.running.as_ref().expect("it runs").root;
        connect(root, server, host, &[&TLS13], &["http/1.1"]).await.ok()
    }

    /// The certificate that this host is shown with, once there is one.
    pub(crate) async fn shown(&self, server: SocketAddr, host: &str) -> Vec<u8> {
        until(host, async || Some(leaf(&self.connect(server, host).await?))).await.0
    }

    /// How many certificates it has issued in this run.
    pub(crate) fn issued(&self) -> usize {
        self.running.as_ref().expect("it runs").said.lock().unwrap().matches("Issued certificate serial").count()
    }
}

/// The certificate that was shown.
pub(crate) fn leaf(stream: &TlsStream<TcpStream>) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// A server that orders its certificates at this directory.
pub(crate) fn with_acme(engine: Engine, directory: &str, ca_file: &str) -> Options {
    Options::new(engine)
        .limits_off()
        .env("FREEHOLD_PLATFORM_DOMAIN", DOMAIN)
        .env("FREEHOLD_PLATFORM_PUBLIC_URL", &format!("https://{DOMAIN}"))
        .env("FREEHOLD_ACME_DIRECTORY", directory)
        .env("FREEHOLD_ACME_TERMS_AGREED", "true")
        .env("FREEHOLD_ACME_CONTACT", "certificates@example.com")
        .env("FREEHOLD_ACME_CA_FILE", ca_file)
        .env("FREEHOLD_ACME_RETRY_S", "1")
}
