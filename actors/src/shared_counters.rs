//! Counters that several nodes share, kept by Redis or Valkey: one connection, little time for an answer, and a watch over
//! both.
//!
//! Away --connected, script there, node told--> Here
//! Here --an answer late or wrong, or a clock that jumped--> Away, for [`AWAY_FOR`] at least
//!
//! While the keeper is away every tenant's own buckets decide, each node by its share: see [`freehold_domain::gcra::shared`].

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use freehold_domain::gcra::Layer;
use freehold_domain::gcra::shared::{Ask, SCRIPT, Verdict};
use freehold_domain::id::{NodeId, TenantId};
use freehold_domain::secret::Secret;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionAddr, IntoConnectionInfo, RedisError, TlsCertificates, cmd};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::ambient::Ambient;
use crate::metric;

/// How long an answer is waited for.
pub const ANSWER_WITHIN: Duration = Duration::from_millis(50);
/// How long the keeper stays away once it was lost: it is not asked again before.
const AWAY_FOR: Duration = Duration::from_secs(1);
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// How often a node tells that it is there.
const BEAT_EVERY: Duration = Duration::from_millis(250);
/// How long a node counts among those that serve after it was heard of last.
const LIVE_FOR_MS: u64 = 3_000;
/// A clock that moves further than this against ours has jumped.
const JUMP_US: i64 = 1_000_000;
/// Where the nodes are listed, by when they were heard of.
const NODES: &str = "freehold:nodes";

/// Says that a node is there. KEYS: the list. ARGV: the node, and how long it counts. Answers how many there are, and the
/// time in microseconds since 1970.
const BEAT: &str = "\
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now_ms, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms - ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return { redis.call('ZCARD', KEYS[1]), time[1] * 1000000 + time[2] }";

/// Where the keeper is.
#[derive(Clone, Debug)]
pub struct CounterRule {
    /// What it takes to reach it and to sign in.
    url: Secret<String>,
    address: ConnectionAddr,
    /// Who may have signed its certificate, in PEM; those of the system if there is nobody.
    ca: Option<Vec<u8>>,
}

impl CounterRule {
    /// The keeper at `redis://…`, `rediss://…` or `unix://…`. None for another text, and for one that switches the
    /// look at its certificate off.
    #[must_use]
    pub fn parse(url: &str) -> Option<Self> {
        let address = url.into_connection_info().ok()?.addr().clone();
        let is_checked = !matches!(address, ConnectionAddr::TcpTls { insecure: true, .. });
        is_checked.then(|| Self { url: Secret::new(url.to_owned()), address, ca: None })
    }

    /// The same, whose certificate only these authorities may have signed: in PEM.
    #[must_use]
    pub fn signed_by(self, ca: Option<Vec<u8>>) -> Self {
        Self { ca, ..self }
    }

    fn client(&self) -> Result<Client, RedisError> {
        let url = self.url.expose().as_str();
        match &self.ca {
            None => Client::open(url),
            Some(ca) => Client::build_with_tls(url, TlsCertificates { client_tls: None, root_cert: Some(ca.clone()) }),
        }
    }

    /// Whether the keeper is there and would count: it takes the script, and a key that is gone at once. Waits as long as a
    /// node would.
    ///
    /// # Errors
    /// [`RedisError`] says why not.
    pub async fn greet(&self) -> Result<(), RedisError> {
        let mut connection = self.client()?.get_multiplexed_async_connection_with_config(&config()).await?;
        cmd("SCRIPT").arg("LOAD").arg(SCRIPT).exec_async(&mut connection).await?;
        cmd("SET").arg("freehold:doctor").arg(1).arg("PX").arg(1).exec_async(&mut connection).await
    }

    /// Whether it is spoken to by TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        matches!(self.address, ConnectionAddr::TcpTls { .. })
    }

    /// Whether what is said to it can be read between two machines.
    #[must_use]
    pub fn is_read_on_the_way(&self) -> bool {
        let ConnectionAddr::Tcp(host, _) = &self.address else { return false };
        let host = host.trim_matches(['[', ']']);
        host != "localhost" && !host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// Why the keeper is not believed.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("there was no answer within {} ms", ANSWER_WITHIN.as_millis())]
    Late,
    #[error("its clock jumped")]
    Jumped,
    #[error(transparent)]
    Failed(#[from] RedisError),
}

/// The keeper, as it is reached now.
pub(crate) struct Line {
    connection: MultiplexedConnection,
    script: String,
    beat: String,
    /// Its clock less ours.
    offset_us: AtomicI64,
}

/// The counters.
pub struct SharedCounters {
    client: Client,
    node: NodeId,
    ambient: Ambient,
    line: ArcSwapOption<Line>,
    nodes: AtomicU32,
    losses: AtomicU64,
    lost: Notify,
}

impl fmt::Debug for SharedCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedCounters").field("is_here", &self.is_here()).finish_non_exhaustive()
    }
}

impl SharedCounters {
    /// Starts to look for the keeper, and to watch over it. Nobody waits for it.
    ///
    /// # Errors
    /// [`RedisError`] for an address or a certificate that cannot be read.
    pub fn start(rule: &CounterRule, node: NodeId, ambient: Ambient) -> Result<Arc<Self>, RedisError> {
        let counters = Arc::new(Self {
            client: rule.client()?,
            node,
            ambient,
            line: ArcSwapOption::empty(),
            nodes: AtomicU32::new(1),
            losses: AtomicU64::new(0),
            lost: Notify::new(),
        });
        tokio::spawn(Arc::clone(&counters).watch());
        Ok(counters)
    }

    /// Whether the keeper decides; otherwise every node does, by its share.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.line.load().is_some()
    }

    /// How many nodes served when that was heard of last.
    #[must_use]
    pub fn nodes(&self) -> u32 {
        self.nodes.load(Ordering::Acquire)
    }

    /// How often the keeper was lost.
    pub(crate) fn losses(&self) -> u64 {
        self.losses.load(Ordering::Acquire)
    }

    /// The keeper, if it is here.
    pub(crate) fn line(&self) -> Option<Arc<Line>> {
        self.line.load_full()
    }

    /// Counts requests of one tenant, in their order and in one message. `None` when the keeper was lost: whether any
    /// was counted is not known.
    pub(crate) async fn count(&self, line: &Arc<Line>, tenant: TenantId, requests: &[&[Ask]]) -> Option<Vec<Verdict>> {
        let outcome = timeout(ANSWER_WITHIN, self.ask(line, tenant, requests)).await.unwrap_or(Err(Lost::Late));
        outcome.map_err(|why| self.lose(line, &why)).ok()
    }

    async fn ask(&self, line: &Line, tenant: TenantId, requests: &[&[Ask]]) -> Result<Vec<Verdict>, Lost> {
        let mut pipeline = redis::Pipeline::with_capacity(requests.len());
        for asks in requests {
            let mut command = cmd("EVALSHA");
            command.arg(&line.script).arg(asks.len());
            for ask in *asks {
                command.arg(key(tenant, ask.layer));
            }
            for ask in *asks {
                command.arg(&ask.arguments());
            }
            pipeline.add_command(command);
        }
        let answers: Vec<Vec<i64>> = pipeline.query_async(&mut line.connection.clone()).await?;
        answers.iter().map(|answer| self.verdict(line, answer)).collect()
    }

    fn verdict(&self, line: &Line, answer: &[i64]) -> Result<Verdict, Lost> {
        let [admitted, now_us, ahead_ns @ ..] = answer else {
            return Err(RedisError::from((redis::ErrorKind::UnexpectedReturnType, "too short an answer")).into());
        };
        if (now_us - self.now_us() - line.offset_us.load(Ordering::Acquire)).abs() > JUMP_US {
            return Err(Lost::Jumped);
        }
        Ok(Verdict { admitted: *admitted == 1, ahead_ns: ahead_ns.iter().map(|ns| ns.unsigned_abs()).collect() })
    }

    /// From here on every node decides by itself. Told once, whoever notices.
    fn lose(&self, line: &Arc<Line>, why: &Lost) {
        let current = self.line.compare_and_swap(line, None);
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, line)) {
            self.losses.fetch_add(1, Ordering::AcqRel);
            metrics::gauge!(metric::COUNTERS_SHARED).set(0.0);
            metrics::counter!(metric::COUNTERS_LOST).increment(1);
            tracing::warn!(
                error = %why,
                nodes = self.nodes(),
                "the shared counters are lost: each node admits its share of every limit"
            );
            self.lost.notify_one();
        }
    }

    async fn watch(self: Arc<Self>) {
        metrics::gauge!(metric::COUNTERS_SHARED).set(0.0);
        let mut was_told = false;
        loop {
            match self.connect().await {
                Ok(line) => {
                    was_told = true;
                    tracing::info!(nodes = self.nodes(), "requests are counted together with the other nodes");
                    metrics::gauge!(metric::COUNTERS_SHARED).set(1.0);
                    self.line.store(Some(Arc::clone(&line)));
                    self.beat_while_here(&line).await;
                }
                Err(why) if !was_told => {
                    was_told = true;
                    tracing::warn!(error = %why, "the shared counters are not there: this node counts by itself");
                }
                Err(why) => tracing::debug!(error = %why, "the shared counters are not back"),
            }
            sleep(AWAY_FOR).await;
        }
    }

    async fn connect(&self) -> Result<Arc<Line>, Lost> {
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config()).await?;
        let script = cmd("SCRIPT").arg("LOAD").arg(SCRIPT).query_async(&mut connection).await?;
        let beat = cmd("SCRIPT").arg("LOAD").arg(BEAT).query_async(&mut connection).await?;
        let line = Line { connection, script, beat, offset_us: AtomicI64::new(0) };
        let offset_us = self.beat(&line).await?;
        line.offset_us.store(offset_us, Ordering::Release);
        Ok(Arc::new(line))
    }

    async fn beat_while_here(&self, line: &Arc<Line>) {
        while timeout(BEAT_EVERY, self.lost.notified()).await.is_err() {
            let beat = timeout(ANSWER_WITHIN, self.beat(line)).await.unwrap_or(Err(Lost::Late));
            match beat {
                Ok(offset_us) if (offset_us - line.offset_us.load(Ordering::Acquire)).abs() > JUMP_US => {
                    self.lose(line, &Lost::Jumped);
                }
                Ok(offset_us) => line.offset_us.store(offset_us, Ordering::Release),
                Err(why) => self.lose(line, &why),
            }
        }
    }

    /// Tells that this node is there, hears how many are, and compares the clocks: theirs less ours, in microseconds.
    async fn beat(&self, line: &Line) -> Result<i64, Lost> {
        let beat: &mut Cmd = &mut cmd("EVALSHA");
        beat.arg(&line.beat).arg(1).arg(NODES).arg(self.node.to_string()).arg(LIVE_FOR_MS);
        let (nodes, now_us): (u32, i64) = beat.query_async(&mut line.connection.clone()).await?;
        self.nodes.store(nodes.max(1), Ordering::Release);
        metrics::gauge!(metric::COUNTER_NODES).set(f64::from(nodes));
        Ok(now_us - self.now_us())
    }

    fn now_us(&self) -> i64 {
        self.ambient.now().get().saturating_mul(1_000)
    }
}

fn config() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_WITHIN)).set_response_timeout(Some(ANSWER_WITHIN))
}

/// The name of a bucket. All of a tenant's lie together where a cluster spreads them.
fn key(tenant: TenantId, layer: Layer) -> String {
    format!("freehold:{{{tenant}}}:{}:{:x}", layer.tier, layer.subject.0)
}
