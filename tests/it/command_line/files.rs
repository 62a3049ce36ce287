//! What a server leaves on the disk is its owner's alone.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use crate::support::{Conn, Engine, Options, Server, Session};

/// Every entry under a folder with its permission bits.
fn modes(dir: &Path) -> Vec<(String, bool, u32)> {
    let mut found = vec![];
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        // SQLite removes its side files when it likes.
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        found.push((path.display().to_string(), metadata.is_dir(), metadata.mode() & 0o7777));
        if metadata.is_dir() {
            found.extend(modes(&path));
        }
    }
    found
}

#[track_caller]
fn is_private(dir: &Path) {
    assert_eq!(fs::metadata(dir).unwrap().mode() & 0o7777, 0o700);
    let found = modes(dir);
    assert!(found.len() >= 4, "{found:?}");
    for (path, is_dir, mode) in found {
        assert_eq!(mode, if is_dir { 0o700 } else { 0o600 }, "{path}: {mode:o}");
    }
}

#[tokio::test]
async fn every_file_is_readable_by_its_owner_alone() {
    let mut server = Server::start(Options::new(Engine::Sqlite)).await;
    let (acme, globex) = (server.tenant("acme"), server.tenant("globex"));
    let mut conn = Conn::to(&server, &acme).await;
    let session = conn.sign_in(&acme).await;
    Session::of(&conn.refresh(&session.refresh).await);
    Conn::to(&server, &globex).await.sign_in(&globex).await;
    let dir = server.data_dir();
    let socket = fs::metadata(dir.join("control.sock")).unwrap();
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.mode() & 0o777, 0o600);
    is_private(&dir);
    assert_eq!(server.terminate(), Some(0));
    is_private(&dir);
    assert!(!dir.join("control.sock").exists() || server.cli(&["tenant", "list"], "").status.success());
}
