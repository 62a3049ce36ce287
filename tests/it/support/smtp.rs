//! A mail server on loopback that speaks SMTP, takes letters, and fails as it is told to.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{Files, Mail};

/// What the server does with those who come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Takes every letter.
    Take,
    /// Says no to every recipient.
    Refuse,
    /// Hangs up on everybody.
    Away,
    /// Says nothing and goes on saying nothing.
    Hang,
    /// Takes the letter and hangs up without saying so.
    Drop,
}

/// What a conversation goes over.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

struct State {
    mode: Mode,
    taken: Vec<Vec<u8>>,
    logins: Vec<String>,
}

/// The server. It ends with the test.
#[derive(Clone)]
pub(crate) struct Smtp {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Smtp {
    pub(crate) async fn start(mode: Mode) -> Self {
        Self::listen(mode, None).await
    }

    /// One that speaks TLS from the first byte.
    pub(crate) async fn start_tls(files: &Files) -> Self {
        Self::listen(Mode::Take, Some(files.acceptor())).await
    }

    async fn listen(mode: Mode, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let smtp = Self { port, state: Arc::new(Mutex::new(State { mode, taken: vec![], logins: vec![] })) };
        let serving = smtp.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (serving, tls) = (serving.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serving.talk(stream).await,
                        Some(tls) => serving.talk(tls.accept(stream).await.ok()?).await,
                    }
                });
            }
        });
        smtp
    }

    /// The address for `FREEHOLD_MAIL_SMTP_URL`, with `user:password@` or nothing in front of the host.
    pub(crate) fn url(&self, login: &str) -> String {
        format!("smtp://{login}127.0.0.1:{}", self.port)
    }

    /// The same over TLS.
    pub(crate) fn tls_url(&self) -> String {
        format!("smtps://localhost:{}", self.port)
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.state.lock().unwrap().mode = mode;
    }

    /// The letters that were taken, in order.
    pub(crate) fn taken(&self) -> Vec<Mail> {
        self.state.lock().unwrap().taken.iter().map(|bytes| Mail::parse(bytes)).collect()
    }

    /// What was said to log in.
    pub(crate) fn logins(&self) -> Vec<String> {
        self.state.lock().unwrap().logins.clone()
    }

    fn mode(&self) -> Mode {
        self.state.lock().unwrap().mode
    }

    /// One conversation; `None` when somebody hung up.
    async fn talk(&self, stream: impl Stream) -> Option<()> {
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        self.speaks(&mut stream).await?;
        say(&mut stream, "220 loopback").await?;
        loop {
            line.clear();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            self.speaks(&mut stream).await?;
            let verb = line.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
            let answer = match verb.as_str() {
                "EHLO" => "250-loopback\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 AUTH PLAIN",
                "AUTH" => {
                    self.state.lock().unwrap().logins.push(line.trim_end().to_owned());
                    "235 welcome"
                }
                "RCPT" if self.mode() == Mode::Refuse => "550 <ada@example.com> is nobody here",
                "MAIL" | "RCPT" | "RSET" | "NOOP" => "250 fine",
                "DATA" => {
                    say(&mut stream, "354 go on").await?;
                    let letter = letter(&mut stream).await?;
                    self.state.lock().unwrap().taken.push(letter);
                    if self.mode() == Mode::Drop {
                        return None;
                    }
                    "250 taken"
                }
                "QUIT" => "221 bye",
                _ => "500 what?",
            };
            say(&mut stream, answer).await?;
        }
    }
}

impl Smtp {
    /// Goes on only while it speaks at all; a connection that was open before is treated like every other.
    async fn speaks(&self, stream: &mut BufReader<impl Stream>) -> Option<()> {
        match self.mode() {
            Mode::Away => None,
            Mode::Hang => {
                let mut ignored = String::new();
                while stream.read_line(&mut ignored).await.ok()? > 0 {}
                None
            }
            Mode::Take | Mode::Refuse | Mode::Drop => Some(()),
        }
    }
}

async fn say(stream: &mut BufReader<impl Stream>, answer: &str) -> Option<()> {
    stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()
}

/// A letter up to the line that is a dot (RFC 5321 §4.5.2).
async fn letter(stream: &mut BufReader<impl Stream>) -> Option<Vec<u8>> {
    let mut letter = vec![];
    loop {
        let mut line = vec![];
        if stream.read_until(b'\n', &mut line).await.ok()? == 0 {
            return None;
        }
        if line == b".\r\n" {
            return Some(letter);
        }
        letter.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
    }
}
