//! PostgreSQL over TLS: its certificate is looked at before anything is said.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Authority, Conn, Database, Engine, Files, Folder, Options, Server, freehold};

/// What a client asks with whether TLS is spoken (PostgreSQL, `SSLRequest`).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// TLS before a PostgreSQL that speaks none, as a proxy in the network would add it; how many came to an understanding.
async fn before(port: u16, files: &Files) -> (u16, Arc<AtomicUsize>) {
    let acceptor = files.acceptor();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (own, understood) = (listener.local_addr().unwrap().port(), Arc::<AtomicUsize>::default());
    let counted = Arc::clone(&understood);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (acceptor, counted) = (acceptor.clone(), Arc::clone(&counted));
            tokio::spawn(async move {
                let mut asked = [0; 8];
                if stream.read_exact(&mut asked).await.is_err() || asked != SSL_REQUEST {
                    return;
                }
                stream.write_all(b"S").await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                counted.fetch_add(1, Ordering::SeqCst);
                let mut there = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
                drop(tokio::io::copy_bidirectional(&mut stream, &mut there).await);
            });
        }
    });
    (own, understood)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_reached_over_tls_and_only_with_a_certificate_that_is_good() {
    let (folder, authority, other) = (Folder::new(), Authority::new(), Authority::new());
    let files = authority.certify(folder.path(), "database", &["localhost"]);
    let root = authority.root_file(folder.path());
    let database = Database::new().await;
    let (port, understood) = before(database.port(), &files).await;
    let url = |host: &str, root: &std::path::Path| {
        let url = database.url_at(port).replace("127.0.0.1", host);
        format!("{url}?sslmode=verify-full&sslrootcert={}", root.display())
    };
    let good = url("localhost", &root);

    // For another host, and by an authority that is not ours.
    let strange = other.root_file(&{
        let strange = folder.path().join("strange");
        std::fs::create_dir(&strange).unwrap();
        strange
    });
    for bad in [url("127.0.0.1", &root), url("localhost", &strange)] {
        let refused = freehold()
            .args(["tenant", "list"])
            .env("FREEHOLD_PROFILE", "development")
            .env("FREEHOLD_DATA_DIR", folder.path().join("data"))
            .env("FREEHOLD_DATABASE_URL", &bad)
            .output()
            .unwrap();
        assert_eq!(refused.status.code(), Some(69), "{}", String::from_utf8_lossy(&refused.stderr));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("certificate"), "{refused:?}");
    }
    assert_eq!(understood.load(Ordering::SeqCst), 0, "nothing was said");

    let options = Options::new(Engine::Postgres).env("FREEHOLD_DATABASE_URL", &good);
    let server = Server::start_with(options, database);
    let acme = server.tenant("acme");
    let mut conn = Conn::to(&server, &acme).await;
    conn.sign_in(&acme).await;
    assert!(understood.load(Ordering::SeqCst) > 0);
}
