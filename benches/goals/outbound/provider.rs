//! Everybody's endpoints: an HTTPS server that takes what it is told and writes down when. One of its paths, the bad one,
//! answers as it is set to. With it come the authority that certifies it and the name server that leads to it.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hickory_resolver::proto::op::{Message, MessageType, OpCode};
use hickory_resolver::proto::rr::rdata::A;
use hickory_resolver::proto::rr::{RData, Record, RecordType};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use crate::process::Folder;

const BAD: &str = "/bad";
const WELL: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
/// How often one that drips sends a byte.
const DRIP_EVERY: Duration = Duration::from_secs(1);

/// How the bad path answers.
#[derive(Clone, Copy)]
pub(super) enum Mode {
    /// With an empty 200.
    Well,
    /// With this status, and this line of a head.
    Status(u16, &'static str),
    /// By closing the connection.
    Closes,
    /// Never.
    Hangs,
    /// A byte a second.
    Drips,
}

/// A call to the bad path.
#[derive(Clone, Copy)]
struct Call {
    began: Instant,
    /// `None` as long as both sides wait.
    ended: Option<Instant>,
}

#[derive(Default)]
struct Known {
    /// When the other paths were told, by the id of the request that made it.
    told: BTreeMap<String, Instant>,
    calls: Vec<Call>,
}

/// The server. Dropped, it is gone.
pub(super) struct Provider {
    address: SocketAddr,
    /// Where its name server answers.
    pub(super) names: SocketAddr,
    /// The certificate of whoever vouches for it.
    pub(super) root: PathBuf,
    mode: watch::Sender<Mode>,
    known: Arc<Mutex<Known>>,
    _runtime: Runtime,
}

impl Provider {
    pub(super) fn start(folder: &Folder) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (root, acceptor) = certified(folder);
        let (listener, socket) = runtime.block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            (listener, UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap())
        });
        let (address, names) = (listener.local_addr().unwrap(), socket.local_addr().unwrap());
        let (mode, known) = (watch::Sender::new(Mode::Well), Arc::<Mutex<Known>>::default());
        let (modes, shared) = (mode.subscribe(), Arc::clone(&known));
        runtime.spawn(lead_here(socket));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, modes, known) = (acceptor.clone(), modes.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    drop(stream.set_nodelay(true));
                    if let Ok(stream) = acceptor.accept(stream).await {
                        serve(stream, modes, &known).await;
                    }
                });
            }
        });
        Self { address, names, root, mode, known, _runtime: runtime }
    }

    /// The URL of the bad path, at a name of its own.
    pub(super) fn url_of_the_bad(&self) -> String {
        format!("https://bad.hooks.test:{}{BAD}", self.address.port())
    }

    /// The URL of somebody who is always well.
    pub(super) fn url_of(&self, name: &str) -> String {
        format!("https://{name}.hooks.test:{}/well", self.address.port())
    }

    /// How the bad path answers from now on. Calls under way end here.
    pub(super) fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// When somebody who is well was told of what this request did, if they were.
    pub(super) fn told_at(&self, request: &str) -> Option<Instant> {
        self.known.lock().unwrap().told.get(request).copied()
    }

    /// How many calls were under way at the bad path in this time, and for what share of it one was.
    pub(super) fn calls(&self, from: Instant, to: Instant) -> (usize, f64) {
        let calls = self.known.lock().unwrap().calls.clone();
        let ended = |call: &Call| call.ended.unwrap_or(to);
        let within = calls.iter().filter(|call| call.began < to && ended(call) >= from);
        // One at a time: no moment is counted twice.
        let under_way = within.clone().map(|call| (ended(call).min(to) - call.began.max(from)).as_secs_f64());
        (within.count(), under_way.fold(0.0, |sum, one| sum + one) / (to - from).as_secs_f64())
    }
}

/// The file of an authority's certificate, and what takes connections as everybody under `hooks.test`.
fn certified(folder: &Folder) -> (PathBuf, TlsAcceptor) {
    let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let root = folder.path().join("authority.crt");
    fs::write(&root, params.self_signed(&root_key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, root_key);
    let mut params = CertificateParams::new(vec!["*.hooks.test".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "hooks"); // or it is named like its authority
    let cert = params.signed_by(&key, &issuer).unwrap();
    let chain = vec![CertificateDer::from(cert)];
    let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    (root, TlsAcceptor::from(Arc::new(config)))
}

/// Says of every name that it leads here.
async fn lead_here(socket: UdpSocket) {
    let mut buffer = [0; 1_500];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let Ok(asked) = Message::from_vec(&buffer[..length]) else { continue };
        let Some(query) = asked.queries.first() else { continue };
        let mut answer = Message::new(asked.metadata.id, MessageType::Response, OpCode::Query);
        answer.add_query(query.clone());
        answer.metadata.recursion_desired = true;
        answer.metadata.recursion_available = true;
        if query.query_type() == RecordType::A {
            answer.add_answer(Record::from_rdata(query.name().clone(), 60, RData::A(A(Ipv4Addr::LOCALHOST))));
        }
        drop(socket.send_to(&answer.to_vec().unwrap(), from).await);
    }
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    mut modes: watch::Receiver<Mode>,
    known: &Mutex<Known>,
) {
    let Some(head) = read(&mut stream).await else { return };
    let began = Instant::now();
    if head.split(' ').nth(1) != Some(BAD) {
        let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap_or_default().to_owned();
        known.lock().unwrap().told.entry(id).or_insert(began);
        return answer(&mut stream, WELL).await;
    }
    let number = {
        let calls = &mut known.lock().unwrap().calls;
        calls.push(Call { began, ended: None });
        calls.len() - 1
    };
    let mode = *modes.borrow_and_update();
    match mode {
        Mode::Well => answer(&mut stream, WELL).await,
        Mode::Status(status, line) => {
            let text = format!("HTTP/1.1 {status} X\r\n{line}content-length: 0\r\nconnection: close\r\n\r\n");
            answer(&mut stream, &text).await;
        }
        Mode::Closes => {}
        Mode::Hangs => gone(&mut stream, &mut modes).await,
        Mode::Drips => {
            let head = b"HTTP/1.1 200 OK\r\nx-slow: ".iter().chain(std::iter::repeat(&b'x'));
            for byte in head {
                if stream.write_all(&[*byte]).await.is_err() || stream.flush().await.is_err() {
                    break;
                }
                tokio::select! {
                    () = sleep(DRIP_EVERY) => {}
                    () = gone(&mut stream, &mut modes) => break,
                }
            }
        }
    }
    drop(stream);
    if let Some(call) = known.lock().unwrap().calls.get_mut(number) {
        call.ended = Some(Instant::now());
    }
}

async fn answer(stream: &mut (impl AsyncWrite + Unpin), text: &str) {
    drop(stream.write_all(text.as_bytes()).await);
    drop(stream.shutdown().await);
}

/// Waits until the other side has gone, or another mode is set.
async fn gone(stream: &mut (impl AsyncRead + Unpin), modes: &mut watch::Receiver<Mode>) {
    let mut byte = [0];
    tokio::select! {
        _ = stream.read(&mut byte) => {}
        _ = modes.changed() => {}
    }
}

/// The head of a request, once its body is there, too.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let (mut bytes, mut chunk) = (vec![], [0; 4_096]);
    loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = std::str::from_utf8(&bytes[..end]).unwrap().to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
            if bytes.len() >= end + 4 + length.parse::<usize>().unwrap() {
                return Some(head);
            }
        }
        match stream.read(&mut chunk).await {
            Ok(n @ 1..) => bytes.extend_from_slice(&chunk[..n]),
            Ok(0) | Err(_) => return None,
        }
    }
}
