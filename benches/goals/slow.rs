//! 10,000 clients that are slow on purpose: with heads, with bodies, and with what they take. How long does the server bear
//! with them, what do they cost, and does anybody else notice?

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::Options;
use crate::estate::{self, Plan};
use crate::load::{Tally, ms, one_thread, quantile};
use crate::process::{Cores, Folder, Process};
use crate::table::Row;
use crate::wire::{Conn, get};

const CLIENTS: usize = 10_000;
/// Clients of one address: as many as may be.
const OF_ONE_ADDRESS: usize = 1_000;
/// By when all are cut, since the last of them came.
const CUT_WITHIN_S: f64 = 20.0;
const PROBE_MS: f64 = 100.0;
const MEMORY_MB: f64 = 300.0;
/// How often somebody who is not slow comes, on a connection of its own.
const PROBE_EVERY: Duration = Duration::from_millis(20);
/// What is waited for them at most.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often a slow client sends a byte, and takes one.
const A_BYTE_EVERY: Duration = Duration::from_secs(1);

/// Slow clients.
pub(crate) fn clients(options: Options) -> Vec<Row> {
    one_thread().block_on(measure(if options.short { CLIENTS / 10 } else { CLIENTS }))
}

async fn measure(clients: usize) -> Vec<Row> {
    let folder = Folder::new();
    let tenants = estate::make(&folder, Plan { tenants: 1, members: 1, sessions: 0 }, 0).await;
    let tenant = &tenants[0];
    let server = Process::freehold(&folder, Cores::All, &[]);
    let ask = get(&tenant.host(), "/v1/me", &tenant.access_token());
    assert_eq!(Conn::open(server.http).await.ask(&ask).await.status, 200);
    sleep(Duration::from_secs(2)).await;
    let before = server.descriptors();

    let tally = Tally::default();
    let probing = tokio::spawn(probe(server.http, ask, tally.clone()));
    let began = Instant::now();
    let mut slow = tokio::task::JoinSet::new();
    for n in 0..clients {
        slow.spawn(trickle(connect(server.http, n).await, opening(&tenant.host(), n)));
    }
    eprintln!("  {clients} slow clients came in {:.1} s", began.elapsed().as_secs_f64());
    let came = Instant::now();
    while server.descriptors() > before + clients / 100 && came.elapsed() < PATIENCE {
        sleep(Duration::from_millis(50)).await;
    }
    let cut_s = came.elapsed().as_secs_f64();
    tally.stop();
    let (times, failed) = probing.await.unwrap();
    slow.shutdown().await;
    sleep(Duration::from_secs(2)).await;
    let left = server.descriptors().saturating_sub(before);

    let (p99, memory_mb) = (quantile(&times, 0.99), server.peak_bytes() as f64 / 1e6);
    eprintln!("  cut after {cut_s:.1} s; probes: p50 {:.1} ms, p99 {p99:.1} ms", quantile(&times, 0.5));
    let row = |what: &str, figure: f64, note: &str| {
        Row::at_most("slow", &format!("{clients} slow clients: {what}"), figure, 1.0, note)
    };
    let probes = format!("{p99:.1} ms, worst {:.1}, of {} probes", quantile(&times, 1.0), times.len());
    vec![
        row("all are cut ÷ 20 s", cut_s / CUT_WITHIN_S, &format!("{cut_s:.1} s")),
        row("a new connection's GET /v1/me meanwhile, p99 ÷ 100 ms", p99 / PROBE_MS, &probes),
        row("peak memory ÷ 300 MB", memory_mb / MEMORY_MB, &format!("{memory_mb:.0} MB")),
        Row::at_most("slow", "descriptors left, and probes that failed", (left + failed) as f64, 0.0, ""),
    ]
}

/// Asks again and again, each time over a new connection: how long it took, and how often it failed.
async fn probe(server: SocketAddr, ask: Vec<u8>, tally: Tally) -> (Vec<f64>, usize) {
    let (mut times, mut failed) = (vec![], 0);
    while !tally.is_stopped() {
        let since = Instant::now();
        let answered = timeout(PATIENCE, async { Conn::open(server).await.ask(&ask).await.status }).await;
        if answered != Ok(200) {
            failed += 1;
        }
        times.push(ms(since));
        sleep(PROBE_EVERY).await;
    }
    (times, failed)
}

/// What the client sends at once: half a head, half a body, or more questions than it will take answers to.
fn opening(host: &str, n: usize) -> String {
    match n % 3 {
        0 => format!("GET / HTTP/1.1\r\nhost: {host}\r\nx-slow: "),
        1 => format!(
            "POST /v1/auth/login HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{{"
        ),
        _ => format!("GET /openapi.json HTTP/1.1\r\nhost: {host}\r\n\r\n").repeat(100),
    }
}

async fn connect(server: SocketAddr, n: usize) -> TcpStream {
    let host = u8::try_from(2 + n / OF_ONE_ADDRESS).unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1_024).unwrap();
    socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into()).unwrap();
    socket.connect(server).await.unwrap()
}

/// Sends and takes a byte now and then, as long as it can.
async fn trickle(mut stream: TcpStream, opening: String) {
    if stream.write_all(opening.as_bytes()).await.is_err() {
        return;
    }
    loop {
        sleep(A_BYTE_EVERY).await;
        let is_over = stream.try_write(b" ").is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock);
        let taken = stream.try_read(&mut [0]);
        if is_over || taken.is_ok_and(|bytes| bytes == 0) {
            return;
        }
    }
}
