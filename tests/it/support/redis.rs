//! A Redis of a test's own: the real server on a free loopback port, in a folder of its own, keeping nothing.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::FromRedisValue;
use rustix::process::{Pid, Signal, kill_process};

use super::{Files, Folder};

const PATIENCE: Duration = Duration::from_secs(20);
/// Stands for the port in the arguments.
const PORT: &str = "{port}";
/// Where Debian has what gives a program another clock, which the allocator that Redis comes with does not bear.
const OTHER_CLOCK: &str =
    "/usr/lib/x86_64-linux-gnu/libmimalloc.so.2.0:/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";

/// The running server. Dropped, it is killed.
pub(crate) struct Redis {
    child: Child,
    folder: Folder,
    pub(crate) port: u16,
    args: Vec<String>,
}

impl Redis {
    /// Starts one that keeps nothing, with more settings than that.
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_in(Folder::new(), args)
    }

    /// Starts one whose clock can be moved.
    pub(crate) fn with_a_clock_of_its_own() -> Self {
        let folder = Folder::new();
        set_clock(&folder, "+0s");
        Self::start_in(folder, &[])
    }

    /// Starts one that speaks TLS alone.
    pub(crate) fn with_tls(files: &Files) -> Self {
        let (cert, key) = (files.cert.to_str().unwrap(), files.key.to_str().unwrap());
        let tls = ["--port", "0", "--tls-port", PORT, "--tls-auth-clients", "no", "--tls-cert-file", cert];
        Self::start(&[&tls[..], &["--tls-key-file", key]].concat())
    }

    fn start_in(folder: Folder, args: &[&str]) -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let args: Vec<_> = args.iter().map(ToString::to_string).collect();
        let child = run(port, &folder, &args);
        let redis = Self { child, folder, port, args };
        redis.wait();
        redis
    }

    /// Its address for a server.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Asks it something.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &[&str]) -> T {
        let mut connection = self.connection().await;
        let mut asked = redis::cmd(command[0]);
        asked.arg(&command[1..]).query_async(&mut connection).await.unwrap()
    }

    /// A connection to it.
    pub(crate) async fn connection(&self) -> redis::aio::MultiplexedConnection {
        redis::Client::open(self.url()).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    /// Stops it where it is: it takes connections and bytes, and answers nothing.
    pub(crate) fn hang(&self) {
        kill_process(Pid::from_child(&self.child), Signal::STOP).unwrap();
    }

    /// Lets it go on.
    pub(crate) fn go_on(&self) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
    }

    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Starts it again, with nothing in it.
    pub(crate) fn start_again(&mut self) {
        self.kill();
        self.child = run(self.port, &self.folder, &self.args);
        self.wait();
    }

    /// Moves its clock by this against the machine's, like `-600s`.
    pub(crate) fn move_clock(&self, by: &str) {
        set_clock(&self.folder, by);
    }

    fn wait(&self) {
        let since = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(since.elapsed() < PATIENCE, "Redis does not start");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn set_clock(folder: &Folder, by: &str) {
    std::fs::write(folder.path().join("clock.new"), by).unwrap();
    std::fs::rename(folder.path().join("clock.new"), folder.path().join("clock")).unwrap();
}

fn run(port: u16, folder: &Folder, args: &[String]) -> Child {
    let mut command = Command::new(std::env::var("FREEHOLD_TEST_REDIS").expect("cargo xtask services"));
    let clock = folder.path().join("clock");
    if clock.exists() {
        command.env("LD_PRELOAD", OTHER_CLOCK).env("FAKETIME_TIMESTAMP_FILE", clock).env("FAKETIME_NO_CACHE", "1");
    }
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"])
        .arg(folder.path())
        .args(args.iter().map(|arg| if arg == PORT { port.to_string() } else { arg.clone() }))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
