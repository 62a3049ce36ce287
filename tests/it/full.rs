//! No room is left for files: what must be written is refused, what is read goes on, and nothing is damaged.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{Conn, Engine, Options, Server, Session, freehold};
use crate::watch::{is_503, until};

/// The ring of the server and of its stand-in.
const MASTER: &str = "full:HBobGhkYFxYVFBMSERAPDg0MCwoJCAcGBQQDAgEAHx4=";

/// A file may not grow beyond the limit of the process that writes it, which anybody may lower: as good as a full disk.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_room_refuses_writes_and_is_not_damaged() {
    let options = Options::new(Engine::Sqlite).limits_off().env("FREEHOLD_KEYS_MASTER", MASTER);
    let mut server = Server::start(options.env("FREEHOLD_LOCKOUT_FAILURES_MAX", "2")).await;
    let acme = server.tenant("acme");
    assert_eq!(server.terminate(), Some(0));

    let cramped = Cramped::over(&server);
    let mut conn = Conn::open(cramped.http.parse().unwrap(), &acme.host()).await;
    let (session, ended) = (conn.sign_in(&acme).await, conn.sign_in(&acme).await);
    cramped.room("0");
    for _ in 0..3 {
        is_503(&conn.login(&acme, &acme.password).await, "unavailable");
        is_503(&conn.refresh(&session.refresh).await, "unavailable");
        assert_eq!(conn.me(&session.access).await, 200);
        // A failed write leaves the file open, and what is open can be read.
        conn.get("/v1/sessions", Some(&session.access)).await.is(200);
    }
    // Whether that session ended is not known, and so it may be dead; the other is not.
    is_503(&conn.call("POST", "/v1/auth/logout", Some(&ended.access)).await, "unavailable");
    assert_eq!(conn.me(&session.access).await, 200);

    cramped.room("unlimited");
    let refreshed = async || Some(conn.refresh(&session.refresh).await).filter(|answer| answer.status == 200);
    Session::of(&until("it writes again", refreshed).await.0);
    conn.login(&acme, "wrong horse").await.is_problem(401, "invalid-credentials");
    is_whole(&mut conn, &ended).await;

    // The same for all sessions at once; whoever signs in after it has a session that works.
    let session = conn.sign_in(&acme).await;
    cramped.room("0");
    is_503(&conn.call("POST", "/v1/auth/logout-all", Some(&session.access)).await, "unavailable");
    cramped.room("unlimited");
    let again = async || Some(conn.login(&acme, &acme.password).await).filter(|answer| answer.status == 200);
    let later = Session::of(&until("it writes again", again).await.0);
    assert_eq!(conn.me(&later.access).await, 200);
    is_whole(&mut conn, &session).await;
    let session = Session::of(&conn.refresh(&later.refresh).await);
    assert_eq!(conn.me(&session.access).await, 200);
    drop(cramped);

    let server = server.restarted();
    let mut conn = Conn::to(&server, &acme).await;
    assert_eq!(conn.me(&session.access).await, 200);
    Session::of(&conn.refresh(&session.refresh).await);
}

/// Asserts that a session is alive in every way or dead in every way.
async fn is_whole(conn: &mut Conn, session: &Session) {
    let alive = conn.me(&session.access).await == 200;
    let refreshed = conn.refresh(&session.refresh).await;
    assert_eq!(refreshed.status == 200, alive, "{refreshed:?}");
    if alive {
        assert_eq!(conn.me(&Session::of(&refreshed).access).await, 200);
    }
}

/// A server on the folder of another that has ended. It is told by an error, not by a signal, when there is no room.
struct Cramped {
    child: Child,
    http: String,
}

impl Cramped {
    fn over(ended: &Server) -> Self {
        let freehold = freehold();
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" serve"]).arg(freehold.get_program());
        for (name, _) in freehold.get_envs() {
            command.env_remove(name);
        }
        let settings = [
            ("PROFILE", "development"),
            ("HTTP_LISTEN", "127.0.0.1:0"),
            ("PRIVATE_LISTEN", "127.0.0.1:0"),
            ("PLATFORM_PUBLIC_URL", "http://localhost:8080"),
            ("KEYS_MASTER", MASTER),
            ("LOCKOUT_FAILURES_MAX", "2"),
            ("LIMITS_ADDRESS", "off"),
            ("LIMITS_LOGIN_ADDRESS", "off"),
            ("LIMITS_LOGIN_ACCOUNT", "off"),
            ("LIMITS_REFRESH", "off"),
        ];
        command.envs(settings.map(|(name, value)| (format!("FREEHOLD_{name}"), value)));
        command.env("FREEHOLD_DATA_DIR", ended.data_dir()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let event: Value = serde_json::from_str(&line).unwrap();
        Self { child, http: event["http"].as_str().unwrap().to_owned() }
    }

    /// How many bytes a file may have from here on.
    fn room(&self, bytes: &str) {
        let pid = self.child.id().to_string();
        let set = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:")]).status().unwrap();
        assert!(set.success());
    }
}

impl Drop for Cramped {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
