//! The Internet of these tests: a name server that knows what it is told, and web servers of whoever owns a name.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, TXT};
use hickory_resolver::proto::rr::{RData, Record};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

/// What is known of names: texts and addresses.
#[derive(Default)]
struct Zone {
    texts: BTreeMap<String, Vec<String>>,
    addresses: BTreeMap<String, Vec<IpAddr>>,
    /// What is asked is not answered.
    silent: bool,
    /// What is asked is answered by a failure.
    failing: bool,
    asked: Vec<String>,
}

/// A name server.
pub(crate) struct Names {
    pub(crate) address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

impl Names {
    pub(crate) async fn start() -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, zone) = (socket.local_addr().unwrap(), Arc::new(Mutex::new(Zone::default())));
        let answers = Arc::clone(&zone);
        tokio::spawn(async move {
            let mut buffer = [0; 1_500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let answer =
                    Message::from_vec(&buffer[..length]).ok().and_then(|asked| answers.lock().unwrap().answer(&asked));
                if let Some(answer) = answer {
                    drop(socket.send_to(&answer, from).await);
                }
            }
        });
        Self { address, zone }
    }

    /// The texts of a name from now on.
    pub(crate) fn texts(&self, name: &str, texts: &[&str]) {
        let texts = texts.iter().map(ToString::to_string).collect();
        self.zone.lock().unwrap().texts.insert(name.to_owned(), texts);
    }

    /// The addresses of a name from now on.
    pub(crate) fn addresses(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        self.zone.lock().unwrap().addresses.insert(name.to_owned(), addresses);
    }

    /// Whether it answers from now on.
    pub(crate) fn silent(&self, silent: bool) {
        self.zone.lock().unwrap().silent = silent;
    }

    /// Whether it fails from now on.
    pub(crate) fn failing(&self, failing: bool) {
        self.zone.lock().unwrap().failing = failing;
    }

    /// How often this name was asked for.
    pub(crate) fn asked(&self, name: &str) -> usize {
        self.zone.lock().unwrap().asked.iter().filter(|asked| *asked == name).count()
    }
}

impl Zone {
    fn answer(&mut self, asked: &Message) -> Option<Vec<u8>> {
        let query = asked.queries.first()?;
        let name = query.name().to_ascii().trim_end_matches('.').to_lowercase();
        self.asked.push(name.clone());
        if self.silent {
            return None;
        }
        let mut answer = Message::new(asked.metadata.id, MessageType::Response, OpCode::Query);
        answer.add_query(query.clone());
        answer.metadata.recursion_desired = true;
        answer.metadata.recursion_available = true;
        let texts = self.texts.get(&name).into_iter().flatten().map(|text| RData::TXT(TXT::new(vec![text.clone()])));
        let addresses = self.addresses.get(&name).into_iter().flatten().map(|address| match address {
            IpAddr::V4(address) => RData::A(A(*address)),
            IpAddr::V6(address) => RData::AAAA(AAAA(*address)),
        });
        let data: Vec<_> = texts.chain(addresses).filter(|data| data.record_type() == query.query_type()).collect();
        answer.metadata.response_code = match () {
            () if self.failing => ResponseCode::ServFail,
            () if data.is_empty() => ResponseCode::NXDomain,
            () => ResponseCode::NoError,
        };
        if !self.failing {
            answer.add_answers(data.into_iter().map(|data| Record::from_rdata(query.name().clone(), 60, data)));
        }
        answer.to_vec().ok()
    }
}

/// A web server that answers every request with this, whatever it is; what it was asked.
pub(crate) struct Web {
    pub(crate) address: SocketAddr,
    pub(crate) heads: Arc<Mutex<Vec<String>>>,
    answer: Arc<Mutex<String>>,
}

impl Web {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heads, answer) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<String>>::default());
        let (seen, told) = (Arc::clone(&heads), Arc::clone(&answer));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (seen, told) = (Arc::clone(&seen), told.lock().unwrap().clone());
                tokio::spawn(async move {
                    let (mut head, mut chunk) = (vec![], [0; 2_048]);
                    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
                        match stream.read(&mut chunk).await {
                            Ok(n @ 1..) => head.extend_from_slice(&chunk[..n]),
                            Ok(0) | Err(_) => return,
                        }
                    }
                    seen.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
                    drop(stream.write_all(told.as_bytes()).await);
                });
            }
        });
        Self { address, heads, answer }
    }

    /// Answers with this page from now on.
    pub(crate) fn page(&self, body: &str) {
        self.raw(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()));
    }

    /// Sends everybody there from now on.
    pub(crate) fn redirect(&self, to: &str) {
        self.raw(&format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"));
    }

    pub(crate) fn raw(&self, answer: &str) {
        answer.clone_into(&mut self.answer.lock().unwrap());
    }
}
