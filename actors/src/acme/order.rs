//! One order: claimed, made, proved over HTTP, and what it brings kept.

use std::sync::Arc;
use std::time::Duration;

use freehold_domain::acme::{Asked, ChallengeToken, Validity};
use freehold_domain::breaker::Tripped;
use freehold_domain::keys::{CryptoError, MasterError, ServerSecret};
use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use freehold_storage::acme::{self, CertificateRow, SealedRow};
use freehold_storage::{Chain, StoreError};
use instant_acme::{AuthorizationStatus, ChallengeType, Error, Identifier, NewOrder, Order, OrderStatus, RetryPolicy};
use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use tokio::time::timeout;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::AcmeRule;
use super::account::{self, Opened};
use super::caller::{self, Caller, Heard, Way};
use crate::metric;
use crate::node::Node;

/// How long an order may take in all.
const ORDER_WITHIN: Duration = Duration::from_mins(5);
/// How long a claim is nobody else's: longer than an order takes, and than clocks are apart.
const LEASE: Duration = Duration::from_mins(12);
/// How often the authority is asked whether it is ready, and for how long.
const POLL: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(250)).backoff(1.5).timeout(Duration::from_mins(2));
/// The problem of an authority whose limit is reached (RFC 8555 §6.6).
const LIMITED: &str = "urn:ietf:params:acme:error:rateLimited";
/// Characters of what an authority says that the log repeats.
const SAID_CHARS_MAX: usize = 400;

/// What orders need.
pub(super) struct Keeping {
    pub(super) node: Arc<Node>,
    pub(super) rule: AcmeRule,
    pub(super) way: Way,
}

/// What became of a host whose certificate was due.
pub(super) enum Outcome {
    /// There is another one.
    Issued,
    /// Somebody else orders it, or has: look again after this time.
    NotOurs(UnixMs),
    /// The order failed: the host rests until then, and where the authority asked for it, everybody does.
    Failed {
        /// Until when.
        rests_until: UnixMs,
        /// Whether the authority wants to be left alone.
        is_refused: bool,
    },
}

/// Why an order brought nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the certificate authority did not do it")]
    Acme(#[from] Error),
    #[error("it took too long")]
    Late,
    #[error("the authority does not ask over HTTP")]
    NoChallenge,
    #[error("the authority could not see that the host is ours: {0}")]
    NotProved(String),
    #[error("what the authority issued is not a certificate for the host and our key")]
    NotACertificate,
    #[error("another node has the order by now")]
    Overtaken,
    #[error("there is no account that opens")]
    NoAccount,
    #[error("the account is sealed by a key that this node's ring does not have")]
    UnknownMaster(#[source] MasterError),
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// What an order brings.
struct Brought {
    chain: String,
    key: Secret<Vec<u8>>,
    validity: Validity,
}

/// Orders a certificate for this host, unless somebody else does; `known` is the one that it has now, if any.
pub(super) async fn order(keeping: &Keeping, host: &str, known: Option<UnixMs>) -> Result<Outcome, StoreError> {
    let node = &keeping.node;
    let failures = match claim(node, host, known).await? {
        Ok(failures) => failures,
        Err(look_again) => return Ok(Outcome::NotOurs(look_again)),
    };
    tracing::info!(acme.host = host, "a certificate is ordered");
    let (caller, heard) = keeping.way.caller();
    let brought = timeout(ORDER_WITHIN, Box::pin(obtain(keeping, host, caller))).await.unwrap_or(Err(Failure::Late));
    let kept = match brought {
        Ok(brought) => keep(node, host, brought).await,
        Err(failure) => Err(failure),
    };
    if let Err(error) = forget_challenges(node, host).await {
        tracing::warn!(acme.host = host, error = %Chain(&error), "the challenges of an order stay until they end");
    }
    match kept {
        Ok(()) => {
            metrics::counter!(metric::ACME_ORDERS, "outcome" => "issued").increment(1);
            Ok(Outcome::Issued)
        }
        Err(failure) => fail(keeping, host, failures, &failure, &heard).await,
    }
}

/// Takes the order. How often in a row it failed before; or, when it is not ours to make, when to look again.
async fn claim(node: &Node, host: &str, known: Option<UnixMs>) -> Result<Result<i64, UnixMs>, StoreError> {
    let now = node.ambient.now();
    let mut tx = node.store.keys_write().await?;
    let claimed = acme::claim(&mut tx, host, node.id, now, now.plus(LEASE)).await?;
    let row = acme::order(&mut tx, host).await?;
    let there = acme::certificate(&mut tx, host).await?.map(|row| row.issued_at_ms);
    if claimed && there == known {
        tx.commit().await?;
        return Ok(Ok(row.map_or(0, |row| row.failures)));
    }
    // Another node has it, or brought one since this node looked. A lease that is let go early is seen within the minute.
    let soon = now.plus(Duration::from_mins(1));
    let look_again = row.filter(|_| !claimed).map_or(now, |row| row.next_try_at_ms.max(row.leased_until_ms.min(soon)));
    Ok(Err(look_again))
}

/// Makes the order; with a new account if the authority does not know the one that is kept.
async fn obtain(keeping: &Keeping, host: &str, caller: Caller) -> Result<Brought, Failure> {
    let opened = account::open(keeping, caller).await?;
    let brought = obtain_with(keeping, host, &opened).await;
    let Err(Failure::Acme(error)) = &brought else { return brought };
    if !account::forget_if_unknown(keeping, &opened, error).await? {
        return brought;
    }
    let (caller, _) = keeping.way.caller();
    obtain_with(keeping, host, &account::open(keeping, caller).await?).await
}

async fn obtain_with(keeping: &Keeping, host: &str, opened: &Opened) -> Result<Brought, Failure> {
    let identifiers = [Identifier::Dns(host.to_owned())];
    let mut order = opened.account.new_order(&NewOrder::new(&identifiers)).await?;
    prove(&keeping.node, host, &mut order).await?;
    match order.poll_ready(&POLL).await {
        Ok(OrderStatus::Ready) => {}
        Ok(_) | Err(Error::Api(_)) => return Err(Failure::NotProved(said_of(&mut order).await)),
        Err(error) => return Err(error.into()),
    }
    let key = Secret::new(order.finalize().await?.into_bytes());
    let chain = order.poll_certificate(&POLL).await?;
    let validity = checked(host, &chain, &key).ok_or(Failure::NotACertificate)?;
    Ok(Brought { chain, key, validity })
}

/// Has the answers to what the authority asks in the store, where every node finds them, and says so.
async fn prove(node: &Node, host: &str, order: &mut Order) -> Result<(), Failure> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let mut challenge = authorization.challenge(ChallengeType::Http01).ok_or(Failure::NoChallenge)?;
        let token = ChallengeToken::parse(&challenge.token).map_err(|_| Failure::NoChallenge)?;
        let mut tx = node.store.keys_write().await?;
        let (answer, expires) = (challenge.key_authorization(), node.ambient.now().plus(LEASE));
        acme::insert_challenge(&mut tx, token.as_str(), host, answer.as_str(), expires).await?;
        tx.commit().await?;
        challenge.set_ready().await?;
    }
    Ok(())
}

/// What the authority says of its own attempts.
async fn said_of(order: &mut Order) -> String {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.as_ref()) {
            return problem.to_string();
        }
    }
    "it does not say why".to_owned()
}

/// While a chain is good that is for this host and this key.
fn checked(host: &str, chain: &str, key: &Secret<Vec<u8>>) -> Option<Validity> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<_, _>>().ok()?;
    let leaf = chain.first()?;
    let name = ServerName::try_from(host).ok()?;
    verify_server_name(&ParsedCertificate::try_from(leaf).ok()?, &name).ok()?;
    let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
    let ms = |seconds: i64| UnixMs::new(seconds.saturating_mul(1_000));
    let times = parsed.validity();
    let validity =
        Validity { not_before: ms(times.not_before.timestamp()), not_after: ms(times.not_after.timestamp()) };
    let key = PrivateKeyDer::from_pem_slice(key.expose()).ok()?;
    let key = aws_lc_rs::default_provider().key_provider.load_private_key(key).ok()?;
    CertifiedKey::new(chain, key).keys_match().ok()?;
    Some(validity)
}

/// Keeps what the order brought.
async fn keep(node: &Node, host: &str, Brought { chain, key, validity }: Brought) -> Result<(), Failure> {
    let (id, sealed) = node.ring.load().seal_own(ServerSecret::CertificateKey { host }, &key, node.nonce())?;
    let key = SealedRow { master_key_id: id.as_str().to_owned(), sealed };
    let row = CertificateRow { host: host.to_owned(), chain, key, validity, issued_at_ms: node.ambient.now() };
    let mut tx = node.store.keys_write().await?;
    if !acme::finish(&mut tx, node.id, &row).await? {
        return Err(Failure::Overtaken);
    }
    tx.commit().await?;
    let days = validity.not_after.since(validity.not_before).as_secs() / (24 * 3_600);
    tracing::info!(acme.host = host, acme.good_for_days = days, "a certificate was issued");
    Ok(())
}

/// Notes a failure, and how long the host rests.
async fn fail(
    keeping: &Keeping,
    host: &str,
    failures: i64,
    failure: &Failure,
    heard: &Heard,
) -> Result<Outcome, StoreError> {
    let Keeping { node, rule, .. } = keeping;
    let asked = asked(failure, heard);
    let now = node.ambient.now();
    // An authority that is left alone was not asked: that is no failure of the host.
    let (failures, pause) = if let Some(tripped) = tripped(failure) {
        (failures, tripped.retry_after)
    } else {
        let failures = failures.saturating_add(1);
        let [random] = node.ambient.random();
        (failures, rule.retry.pause(u32::try_from(failures).unwrap_or(u32::MAX), asked, random))
    };
    let is_refused = asked != Asked::Nothing;
    let outcome = if is_refused { "refused" } else { "failed" };
    metrics::counter!(metric::ACME_ORDERS, "outcome" => outcome).increment(1);
    let said: String = Chain(failure).to_string().chars().take(SAID_CHARS_MAX).collect();
    tracing::warn!(
        acme.host = host,
        acme.failures = failures,
        acme.retry_s = pause.as_secs(),
        error = said,
        "a certificate was not issued"
    );
    let rests_until = now.plus(pause);
    let mut tx = node.store.keys_write().await?;
    if acme::fail(&mut tx, host, node.id, failures, rests_until).await? {
        tx.commit().await?;
    }
    Ok(Outcome::Failed { rests_until, is_refused })
}

fn tripped(failure: &Failure) -> Option<Tripped> {
    if let Failure::Acme(error) = failure { caller::tripped(error) } else { None }
}

fn asked(failure: &Failure, heard: &Heard) -> Asked {
    let is_limited =
        matches!(failure, Failure::Acme(Error::Api(problem)) if problem.r#type.as_deref() == Some(LIMITED));
    match (heard.wait(), is_limited) {
        (Some(wait), _) => Asked::Wait(wait),
        (None, true) => Asked::Limited,
        (None, false) => Asked::Nothing,
    }
}

async fn forget_challenges(node: &Node, host: &str) -> Result<(), StoreError> {
    let mut tx = node.store.keys_write().await?;
    acme::delete_challenges(&mut tx, host).await?;
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    #[test]
    fn what_is_issued_is_for_the_host_and_our_key_or_it_is_refused() {
        let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let params = CertificateParams::new(vec!["shop.test".to_owned()]).unwrap();
        let chain = params.self_signed(&key).unwrap().pem();
        let secret = |key: &KeyPair| Secret::new(key.serialize_pem().into_bytes());
        let validity = checked("shop.test", &chain, &secret(&key)).unwrap();
        assert!(validity.not_before < validity.not_after);
        assert_eq!(checked("evil.test", &chain, &secret(&key)), None);
        assert_eq!(checked("shop.test", &chain, &secret(&other)), None);
        assert_eq!(checked("shop.test", "no certificate", &secret(&key)), None);
        assert_eq!(checked("shop.test", "", &secret(&key)), None);
    }

    #[test]
    fn only_an_authority_that_says_so_is_left_alone() {
        let problem = |r#type: &str| {
            let text = format!("{{\"type\": \"urn:ietf:params:acme:error:{type}\"}}");
            Failure::Acme(Error::Api(serde_json::from_str(&text).unwrap()))
        };
        let heard = Heard::default();
        assert_eq!(asked(&problem("rateLimited"), &heard), Asked::Limited);
        assert_eq!(asked(&problem("unauthorized"), &heard), Asked::Nothing);
        assert_eq!(asked(&Failure::Late, &heard), Asked::Nothing);
    }
}
