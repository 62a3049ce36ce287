//! Requests of tenants compared with rules in SecLang, such as those of the OWASP Core Rule Set (feature `waf`).
//!
//! Once a tenant is known and has admitted a request, its head and its body are given to the rules before any route sees
//! them. A tenant in `detect` is told in a metric and a line of the log, one in `block` has the request refused; where the
//! rules cannot be asked, `detect` lets it through and `block` does not. Answers are not looked at.
//!
//! What a rule found is never told, only which one it was: what was sent may be a secret.

mod rules;
mod shown;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use axum::http::request::Parts;
use freehold_domain::id::TenantId;
use freehold_domain::waf::Mode;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use zentinel_modsec::variables::Collection as _;
use zentinel_modsec::{Error, ModSecurity};

pub use self::rules::RuleFault;
use self::rules::{FOUND, Rules};
use self::shown::Shown;
use crate::arrival::Arrival;
use crate::body;
use crate::problem::{Kind, Problem};

/// Rules that a request matched, by `rule` and `mode`.
const MATCHES: &str = "freehold_waf_matches_total";
/// Requests that the rules were not asked about, or not about all of them, by `reason` and `mode`.
const UNSEEN: &str = "freehold_waf_uninspected_total";

/// Bytes of a body that rules are given: what they take may grow with the square of it.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// Fields of query and body together: each is compared with each rule.
const PARTS_MAX: usize = 512;
/// How long a request waits for its turn.
const TURN_WAIT_MAX: Duration = Duration::from_millis(250);
const SOON: Duration = Duration::from_secs(1);

thread_local! {
    static INSPECTS: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is comparing a request with rules: the words of a panic in there may be of the request.
#[must_use]
pub fn is_inspecting() -> bool {
    INSPECTS.get()
}

/// The rules, and how many requests are compared with them at once.
#[derive(Debug)]
pub struct Waf {
    engine: ModSecurity,
    turns: Arc<Semaphore>,
    /// Of how many turns a tenant may have at once, for those that have or want one.
    shares: Mutex<HashMap<TenantId, Weak<Semaphore>>>,
    share: usize,
    /// What the rules say they are, such as `OWASP_CRS/3.3.4`.
    pub signatures: Vec<String>,
    /// How many rules there are.
    pub count: usize,
    /// Rules that never match, because the engine does not know what they ask for.
    pub dead: Vec<String>,
}

/// What the rules say of a request.
#[derive(Debug, Default, PartialEq, Eq)]
struct Verdict {
    /// The rules that matched and do not say that they are not to be told, in order.
    rules: Vec<String>,
    is_refused: bool,
}

/// Why the rules were not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unseen {
    /// No turn came in time.
    Busy,
    /// The engine failed.
    Failed,
    /// Its body is larger than what the rules are given, or it has more fields.
    Large,
}

impl Unseen {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::Large => "large",
        }
    }

    fn problem(self) -> Problem {
        match self {
            Self::Busy => Problem::new(Kind::Overloaded).retry_after(SOON),
            Self::Failed => Problem::new(Kind::Internal),
            Self::Large => Problem::new(Kind::PayloadTooLarge)
                .detail("This tenant takes no body over 16 KiB, and no more than 512 fields."),
        }
    }
}

impl Waf {
    /// Reads the rules in these files, each a path or a pattern of paths; `threads` requests are compared at once.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn load(patterns: &[String], threads: usize) -> Result<Self, Vec<RuleFault>> {
        let Rules { compiled, signatures, count, dead } = Rules::load(patterns)?;
        let (engine, turns) = (ModSecurity::new(compiled), Arc::new(Semaphore::new(threads.max(1))));
        let (shares, share) = (Mutex::default(), threads.div_ceil(2).max(1));
        Ok(Self { engine, turns, shares, share, signatures, count, dead })
    }

    /// Compares a request with the rules, and gives its body back.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        tenant: TenantId,
        mode: Mode,
        request: &Parts,
        body: Body,
    ) -> Result<Body, Problem> {
        if mode == Mode::Off {
            return Ok(body);
        }
        if body::announced(&request.headers).is_some_and(|bytes| bytes > BODY_BYTES_MAX as u64) {
            unseen(Unseen::Large, mode)?;
            return Ok(body);
        }
        let (bytes, body) = if body.is_end_stream() {
            (Bytes::new(), body)
        } else {
            let bytes = body::collect(body).await?;
            (bytes.clone(), Body::from(bytes))
        };
        if bytes.len() > BODY_BYTES_MAX || shown::parts(request, &bytes) > PARTS_MAX {
            unseen(Unseen::Large, mode)?;
            return Ok(body);
        }
        let arrival = Arrival::of(&request.extensions)?;
        let shown = Shown::of(request, arrival, &bytes);
        match self.judge(tenant, shown).await {
            Ok(verdict) => told(&verdict, mode, arrival),
            Err(reason) => unseen(reason, mode),
        }?;
        Ok(body)
    }

    /// A tenant's share of the turns: half of them, so that one tenant's requests do not keep all others waiting.
    fn share_of(&self, tenant: TenantId) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(share) = shares.get(&tenant).and_then(Weak::upgrade) {
            return share;
        }
        shares.retain(|_, share| share.strong_count() > 0);
        let share = Arc::new(Semaphore::new(self.share));
        shares.insert(tenant, Arc::downgrade(&share));
        share
    }

    /// On a thread that may take its time, when it is this request's turn.
    async fn judge(self: &Arc<Self>, tenant: TenantId, shown: Shown) -> Result<Verdict, Unseen> {
        let (share, turns) = (self.share_of(tenant), Arc::clone(&self.turns));
        let turn = async { (share.acquire_owned().await, turns.acquire_owned().await) };
        let turn = match timeout(TURN_WAIT_MAX, turn).await {
            Ok((Ok(of_tenant), Ok(of_all))) => (of_tenant, of_all),
            _ => return Err(Unseen::Busy),
        };
        let waf = Arc::clone(self);
        let judged = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let _inspects = Inspects::begin();
            verdict(&waf.engine, &shown)
        });
        // Neither the error nor the panic is told: both may quote the request.
        judged.await.ok().and_then(Result::ok).ok_or(Unseen::Failed)
    }
}

/// Marks this thread, also while a panic goes through.
struct Inspects;

impl Inspects {
    fn begin() -> Self {
        INSPECTS.set(true);
        Self
    }
}

impl Drop for Inspects {
    fn drop(&mut self) {
        INSPECTS.set(false);
    }
}

fn verdict(engine: &ModSecurity, shown: &Shown) -> Result<Verdict, Error> {
    let mut transaction = engine.new_transaction();
    transaction.set_client_addr(&shown.client, 0);
    transaction.process_uri(&shown.target, &shown.method, &shown.version)?;
    for (name, value) in &shown.headers {
        transaction.add_request_header(name, value)?;
    }
    transaction.process_request_headers()?;
    transaction.append_request_body(&shown.body)?;
    transaction.process_request_body()?;
    let found = transaction.tx().all().into_iter().filter_map(|(name, _)| name.strip_prefix(FOUND));
    let mut rules: Vec<String> = found.map(str::to_owned).collect();
    rules.sort_unstable();
    Ok(Verdict { rules, is_refused: transaction.has_intervention() })
}

/// Counts and logs what matched, and refuses the request where the rules and the mode do.
fn told(verdict: &Verdict, mode: Mode, arrival: &Arrival) -> Result<(), Problem> {
    for rule in &verdict.rules {
        metrics::counter!(MATCHES, "rule" => rule.clone(), "mode" => mode.as_str()).increment(1);
    }
    if verdict.is_refused || !verdict.rules.is_empty() {
        tracing::warn!(
            tenant.slug = arrival.tenant(),
            waf.rules = verdict.rules.join(" "),
            waf.mode = mode.as_str(),
            waf.refused = verdict.is_refused,
            "a request matches rules"
        );
    }
    if verdict.is_refused && mode == Mode::Block {
        return Err(
            Problem::new(Kind::Forbidden).detail("This request looks like an attack, and this tenant takes none.")
        );
    }
    Ok(())
}

/// Counts a request that the rules were not asked about; only `detect` lets it through.
fn unseen(reason: Unseen, mode: Mode) -> Result<(), Problem> {
    metrics::counter!(UNSEEN, "reason" => reason.as_str(), "mode" => mode.as_str()).increment(1);
    if reason == Unseen::Failed {
        tracing::error!(waf.mode = mode.as_str(), "a request could not be compared with the rules");
    }
    if mode == Mode::Block { Err(reason.problem()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use freehold_domain::time::UnixMs;

    use super::*;

    fn shown() -> Shown {
        let text = |text: &str| text.to_owned();
        let (method, target, version, client) = (text("GET"), text("/"), text("HTTP/1.1"), text("192.0.2.7"));
        Shown { method, target, version, headers: vec![], client, body: vec![] }
    }

    #[tokio::test]
    async fn who_gets_no_turn_in_time_is_refused_or_goes_on_by_mode() {
        let waf = Arc::new(Waf::load(&[], 2).expect("no rules"));
        let (one, other) = (TenantId::new(UnixMs::new(1), [1; 10]), TenantId::new(UnixMs::new(1), [2; 10]));
        assert_eq!(waf.judge(one, shown()).await, Ok(Verdict::default()));
        let all = Arc::clone(&waf.turns).acquire_many_owned(2).await.expect("both turns");
        assert_eq!(waf.judge(one, shown()).await, Err(Unseen::Busy));
        drop(all);
        assert_eq!(waf.judge(one, shown()).await, Ok(Verdict::default()));
        // What one tenant has under way keeps its own others waiting, and no other tenant's.
        let turn = waf.share_of(one).acquire_owned().await.expect("a turn");
        assert_eq!(waf.judge(one, shown()).await, Err(Unseen::Busy));
        assert_eq!(waf.judge(other, shown()).await, Ok(Verdict::default()));
        drop(turn);
        assert_eq!(waf.judge(one, shown()).await, Ok(Verdict::default()));
        assert!(waf.shares.lock().expect("not poisoned").len() <= 2, "who has no turn is not remembered for long");
        for reason in [Unseen::Busy, Unseen::Failed, Unseen::Large] {
            assert!(unseen(reason, Mode::Detect).is_ok() && unseen(reason, Mode::Block).is_err(), "{reason:?}");
        }
    }

    #[test]
    fn a_panic_leaves_no_thread_marked() {
        let panics = || {
            let _inspects = Inspects::begin();
            assert!(!is_inspecting(), "it says so while it lasts");
        };
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert!(!is_inspecting());
    }
}
