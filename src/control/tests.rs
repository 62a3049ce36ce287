//! Both sides together, over a real socket.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use freehold_domain::secret::Secret;
use freehold_domain::tenant_state::TenantState;
use freehold_domain::tier::{Allowance, Tier};
use freehold_domain::waf::Mode;
use freehold_domain::weight::Weight;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{Barrier, Notify};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::server::serve_within;
use super::wire::REQUEST_BYTES_MAX;
use super::*;
use crate::config::control_socket;
use crate::config::scratch::Scratch;
use crate::lock::DataDirLock;

struct Running {
    scratch: Scratch,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
}

impl Running {
    fn with<H, F>(handler: H) -> Self
    where
        H: Fn(Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Vec<Reply>> + Send + 'static,
    {
        Self::within(Duration::from_secs(5), handler)
    }

    fn within<H, F>(read_max: Duration, handler: H) -> Self
    where
        H: Fn(Request) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Vec<Reply>> + Send + 'static,
    {
        let scratch = Scratch::new();
        let lock = DataDirLock::acquire(scratch.path()).expect("nobody has it");
        let listener = bind(&lock).expect("the socket is made");
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(serve_within(read_max, listener, handler, shutdown.clone()));
        Self { scratch, shutdown, server }
    }

    fn socket(&self) -> PathBuf {
        control_socket(self.scratch.path())
    }

    /// What the server answers to these bytes.
    async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(self.socket()).await.expect("it listens");
        stream.write_all(bytes).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        answer
    }
}

fn resume(slug: String) -> Request {
    Request::TenantState { slug, state: TenantState::Active, reason: None, until: None }
}

fn requests() -> Vec<Request> {
    let slug = || "acme".to_owned();
    let create = |admin_password| Request::TenantCreate {
        slug: slug(),
        name: Some("Acme \"Ltd\"\n".to_owned()),
        admin_email: "a@example.com".to_owned(),
        admin_password,
    };
    vec![
        create(None),
        create(Some(Secret::new("correct horse".to_owned()))),
        Request::TenantList,
        Request::TenantState {
            slug: slug(),
            state: TenantState::Held,
            reason: Some("why".to_owned()),
            until: Some("2027-01-31T18:00:00Z".to_owned()),
        },
        resume(slug()),
        Request::KeysStanding,
        Request::KeysReseal { after: None },
        Request::KeysReseal { after: Some("root/019a0000-0000-7000-8000-000000000000/1".to_owned()) },
        Request::KeysSettle { resealed: 3 },
        Request::AuditVerify { slug: slug() },
        Request::MemberExport { slug: slug() },
        Request::DomainList { slug: slug() },
        Request::DomainRemove { slug: slug(), domain: "shop.test".to_owned() },
        Request::MemberImport { slug: slug(), lines: Secret::new("{\"correct horse\"}\n{}\n".to_owned()) },
        Request::TenantBlocks { slug: slug() },
        Request::TenantUnblock { slug: slug(), id: "019a0000-0000-7000-8000-000000000000".to_owned() },
        Request::AddressBlocks,
        Request::AddressUnblock { id: "019a0000-0000-7000-8000-000000000000".to_owned() },
        Request::TenantWaf { slug: slug(), mode: Some(Mode::Detect) },
        Request::TenantWaf { slug: slug(), mode: None },
        Request::TenantWeight { slug: slug(), weight: Weight::MAX },
        Request::TenantShadow { slug: slug(), tier: Tier::Pin, limit: Tier::Pin.default_limit() },
        Request::TenantEndShadow { slug: slug() },
        Request::TenantLimit {
            slug: slug(),
            tier: Tier::LoginAddress,
            limit: Allowance::Own(Tier::Export.default_limit()),
        },
        Request::TenantLimit { slug: slug(), tier: Tier::LoginAddress, limit: Allowance::Default },
    ]
}

#[tokio::test]
async fn every_request_arrives_as_it_was_asked() {
    for expected in requests() {
        let check = expected.clone();
        let running = Running::with(move |request| {
            let same = request == check;
            async move { vec![Reply::Item(json!({ "same": same }))] }
        });
        let replies = ask(&running.socket(), &expected).await.expect("it answers");
        assert_eq!(replies, [Reply::Item(json!({ "same": true })), Reply::Done], "{expected:?}");
    }
}

#[test]
fn a_request_never_shows_its_password() {
    let shown = format!("{:?}", requests());
    assert!(shown.contains("[secret]") && !shown.contains("horse"), "{shown}");
}

#[tokio::test]
async fn a_refusal_is_the_last_reply() {
    let refusal = Reply::Refused { exit: 65, message: "taken".to_owned() };
    let reply = refusal.clone();
    let running = Running::with(move |_| std::future::ready(vec![reply.clone()]));
    assert_eq!(ask(&running.socket(), &Request::TenantList).await.expect("it answers"), [refusal]);
}

#[tokio::test]
async fn what_is_not_one_request_is_refused_and_not_repeated() {
    let running = Running::with(|_| std::future::ready(vec![Reply::Done]));
    for bytes in [
        "\n".to_owned(),
        "{\"verb\": \"canary\"}\n".to_owned(),
        "{\"verb\": \"tenant_resume\", \"slug\": \"a\", \"canary\": 1}\n".to_owned(),
        "{\"verb\": \"tenant_limit\", \"slug\": \"a\", \"tier\": \"canary\", \"limit\": \"1/s\"}\n".to_owned(),
        "{\"verb\": \"tenant_list\"}\n{}\n".to_owned(),
        "x".repeat(REQUEST_BYTES_MAX),
    ] {
        let answer = running.raw(bytes.as_bytes()).await;
        assert!(
            answer.contains("\"refused\"") && answer.lines().count() == 1 && !answer.contains("canary"),
            "{answer}"
        );
    }
    let long = resume("x".repeat(REQUEST_BYTES_MAX));
    let kind = ask(&running.socket(), &long).await.map_err(|error| error.kind());
    assert_eq!(kind, Err(io::ErrorKind::InvalidInput));
    assert!(ask(&running.socket(), &Request::TenantList).await.is_ok(), "it serves on");
}

#[tokio::test]
async fn a_slow_request_is_given_up() {
    let running = Running::within(Duration::from_millis(20), |_| std::future::ready(vec![Reply::Done]));
    assert!(running.raw(b"{\"verb\":").await.contains("in time"));
}

#[tokio::test]
async fn without_a_server_the_client_knows_it() {
    let scratch = Scratch::new();
    let socket = control_socket(scratch.path());
    let absent = ask(&socket, &Request::TenantList).await.map_err(|error| error.kind());
    assert_eq!(absent, Err(io::ErrorKind::NotFound));

    let lock = DataDirLock::acquire(scratch.path()).expect("nobody has it");
    drop(bind(&lock).expect("the socket is made"));
    let stale = ask(&socket, &Request::TenantList).await.map_err(|error| error.kind());
    assert_eq!(stale, Err(io::ErrorKind::ConnectionRefused));
    let _listener = bind(&lock).expect("what a dead server left is replaced");
    assert_eq!(fs::metadata(&socket).map(|found| found.permissions().mode() & 0o777).ok(), Some(0o600));
}

#[tokio::test]
async fn a_panic_leaves_the_outcome_unknown_and_the_server_up() {
    let running = Running::with(|request| async move {
        assert_eq!(request, Request::TenantList, "the panic of this test");
        Vec::new()
    });
    let resume = resume("a".to_owned());
    let unknown = ask(&running.socket(), &resume).await.map_err(|error| error.kind());
    assert_eq!(unknown, Err(io::ErrorKind::UnexpectedEof));
    assert_eq!(ask(&running.socket(), &Request::TenantList).await.expect("it answers"), [Reply::Done]);
}

#[tokio::test]
async fn sixteen_are_served_at_once_and_no_more() {
    let (served, all_in) = (Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(17)));
    let (count, barrier) = (Arc::clone(&served), Arc::clone(&all_in));
    let running = Running::with(move |_| {
        let (count, barrier) = (Arc::clone(&count), Arc::clone(&barrier));
        async move {
            if count.fetch_add(1, Ordering::SeqCst) < 16 {
                barrier.wait().await;
            }
            Vec::new()
        }
    });
    let socket = running.socket();
    let clients: Vec<_> = (0..17)
        .map(|_| {
            let socket = socket.clone();
            tokio::spawn(async move { ask(&socket, &Request::TenantList).await.is_ok() })
        })
        .collect();
    while served.load(Ordering::SeqCst) < 16 {
        tokio::task::yield_now().await;
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(served.load(Ordering::SeqCst), 16, "the seventeenth waits");
    all_in.wait().await;
    for client in clients {
        assert!(client.await.expect("no panic"));
    }
    assert_eq!(served.load(Ordering::SeqCst), 17);
}

#[tokio::test]
async fn shutdown_answers_what_was_asked_and_drops_what_was_not() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (on_entry, on_release) = (Arc::clone(&entered), Arc::clone(&release));
    let running = Running::with(move |_| {
        let (entered, release) = (Arc::clone(&on_entry), Arc::clone(&on_release));
        async move {
            entered.notify_one();
            release.notified().await;
            Vec::new()
        }
    });
    let socket = running.socket();
    let asked = tokio::spawn(async move { ask(&socket, &Request::TenantList).await });
    entered.notified().await;
    let mut idle = UnixStream::connect(running.socket()).await.expect("it listens");
    running.shutdown.cancel();
    let closed =
        tokio::time::timeout(Duration::from_secs(4), idle.read_u8()).await.expect("at once, not after its time-out");
    assert!(closed.is_err());
    release.notify_one();
    assert_eq!(asked.await.expect("no panic").expect("it answers"), [Reply::Done]);
    running.server.await.expect("it ends");
}
