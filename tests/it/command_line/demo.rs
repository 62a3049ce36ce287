//! `freehold serve --demo`: two tenants to try, made once.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Conn, Folder, freehold};

/// A demonstration; killed when dropped.
struct Demo {
    child: Child,
    http: std::net::SocketAddr,
}

impl Demo {
    fn start(folder: &Folder) -> Self {
        let mut child = freehold()
            .env("FREEHOLD_DATA_DIR", folder.path().join("data"))
            .env("FREEHOLD_HTTP_LISTEN", "127.0.0.1:0")
            .env("FREEHOLD_PRIVATE_LISTEN", "127.0.0.1:0")
            .args(["serve", "--demo"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["event"], "listening");
        Self { child, http: event["http"].as_str().unwrap().parse().unwrap() }
    }

    /// Stops it; what it has written to stderr.
    fn stop(mut self) -> String {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let mut said = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{said}");
        said
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
async fn the_demonstration_is_made_once_and_says_its_passwords_at_every_start() {
    let folder = Folder::new();
    let file = folder.path().join("data/demo.txt");
    let mut lines = None;
    for start in 1..=3 {
        let demo = Demo::start(&folder);
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&file).unwrap();
        let known = lines.get_or_insert_with(|| text.clone());
        assert_eq!(*known, text, "start {start}");
        let rows: Vec<Vec<_>> = text.lines().map(|line| line.split(' ').collect()).collect();
        assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), ["acme", "globex"]);
        for row in &rows {
            let mut conn = Conn::open(demo.http, &format!("{}.localhost", row[0])).await;
            conn.post("/v1/auth/login", None, &json!({ "email": row[1], "password": row[2] })).await.is(200);
        }
        assert_ne!(rows[0][2], rows[1][2]);
        let said = demo.stop();
        assert!(rows.iter().all(|row| said.contains(&row.join(" "))), "start {start}: {said}");
    }
}
