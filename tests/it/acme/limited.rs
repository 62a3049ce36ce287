//! A certificate authority on loopback that makes nobody an account: its limit is reached.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::pebble::with_acme;
use crate::support::{Authority, Engine, Folder, Options};

/// The authority. It ends with the test.
pub(super) struct Limited {
    address: SocketAddr,
    folder: Folder,
    /// How often it was asked for an account.
    asked: Arc<AtomicUsize>,
}

impl Limited {
    pub(super) async fn start(retry_after_s: u64) -> Self {
        let (authority, folder) = (Authority::new(), Folder::new());
        std::fs::write(folder.path().join("ca.pem"), &authority.root_pem).unwrap();
        let files = authority.certify(folder.path(), "authority", &["127.0.0.1"]);
        let chain = CertificateDer::pem_file_iter(files.cert).unwrap().collect::<Result<_, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_file(files.key).unwrap();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let (acceptor, counted) = (TlsAcceptor::from(Arc::new(config)), Arc::clone(&asked));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, counted) = (acceptor.clone(), Arc::clone(&counted));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(|request: Request<Incoming>| {
                        let answer = answer(request.uri().path(), address, retry_after_s, &counted);
                        async { Ok::<_, Infallible>(answer) }
                    });
                    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        Self { address, folder, asked }
    }

    pub(super) fn options(&self) -> Options {
        let ca_file = self.folder.path().join("ca.pem");
        with_acme(Engine::Sqlite, &format!("https://{}/dir", self.address), &ca_file.display().to_string())
            .env("FREEHOLD_HTTP_REDIRECT_LISTEN", "127.0.0.1:0")
    }

    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn answer(path: &str, address: SocketAddr, retry_after_s: u64, asked: &AtomicUsize) -> Response<Full<Bytes>> {
    let url = |path: &str| format!("https://{address}/{path}");
    let answer = Response::builder().header("replay-nonce", "bm9uY2U");
    match path {
        "/dir" => {
            let directory = json!({ "newNonce": url("nonce"), "newAccount": url("account"), "newOrder": url("order") });
            answer.body(directory.to_string().into()).unwrap()
        }
        "/account" => {
            asked.fetch_add(1, Ordering::Relaxed);
            let problem =
                json!({ "type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many", "status": 429 });
            let answer = answer.status(429).header("retry-after", retry_after_s);
            answer.body(problem.to_string().into()).unwrap()
        }
        _ => answer.body(Full::default()).unwrap(),
    }
}
