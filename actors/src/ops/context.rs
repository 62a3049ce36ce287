//! One admitted request: whose it is, where it came from, and what was counted for it.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use freehold_domain::access_token::AccessClaims;
use freehold_domain::audit::Detail;
use freehold_domain::email::Email;
use freehold_domain::gcra::{Layer, RateLimited, Reading, Subject};
use freehold_domain::id::MemberId;
use freehold_domain::keys::{Place, Sealable, Sealed};
use freehold_domain::letter::{Content, CredentialChange, Letter, Occasion};
use freehold_domain::password::Password;
use freehold_domain::refresh_token::RefreshToken;
use freehold_domain::role::Role;
use freehold_domain::secret::Secret;
use freehold_domain::tier::Tier;
use freehold_storage::TenantTx;

use crate::breached::Accepted;
use crate::gate::{self, Full, Pass, Places};
use crate::mail::{self, NotEnqueued};
use crate::metric;
use crate::node::Node;
use crate::ops::refusal::Refusal;
use crate::password_pool::{HashPermit, QueueFull};
use crate::slot::{Live, TenantSlot};

/// What the audit log says of a request.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The address it came from: the peer, or what a trusted proxy said.
    pub address: IpAddr,
    /// Its id, as its answer carries it.
    pub request_id: Arc<str>,
}

impl Origin {
    /// The detail of an event that this request made.
    pub(crate) fn detail(&self) -> Detail {
        let (address, request_id) = (self.address.to_string(), self.request_id.to_string());
        Detail { address: Some(address), request_id: Some(request_id), ..Detail::default() }
    }
}

/// Where a request came from.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its address and its id.
    pub origin: Origin,
    /// The bucket of that address: IPv4 whole, IPv6 by /64.
    pub bucket: Subject,
    /// Its `User-Agent`, cut to 256 characters.
    pub user_agent: Box<str>,
    /// The device cookie that it showed, whatever that is worth.
    pub device_cookie: Option<Secret<String>>,
}

/// The tightest reading of all the tiers that counted one request.
#[derive(Clone, Debug, Default)]
pub struct Counted(Arc<Mutex<Option<Reading>>>);

impl Counted {
    /// Takes a reading into account.
    pub fn note(&self, reading: Reading) {
        let mut tightest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *tightest = Some(tightest.map_or(reading, |known| known.tighter(reading)));
    }

    /// Takes a decision into account; a refusal replaces whatever was read before, for it speaks for itself.
    ///
    /// # Errors
    /// The refusal, if it is one.
    pub(crate) fn decided(&self, decision: Result<Option<Reading>, RateLimited>) -> Result<(), Refusal> {
        match decision {
            Ok(reading) => {
                if let Some(reading) = reading {
                    self.note(reading);
                }
                Ok(())
            }
            Err(limited) => {
                let (tier, stage) = (limited.reading.tier.as_str(), limited.stage.as_str());
                metrics::counter!(metric::RATE_LIMITED, "tier" => tier, "stage" => stage).increment(1);
                *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(limited.reading);
                Err(limited.into())
            }
        }
    }

    /// The tightest so far.
    #[must_use]
    pub fn tightest(&self) -> Option<Reading> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One admitted request of one tenant.
#[derive(Clone)]
pub struct Context {
    /// The server.
    pub node: Arc<Node>,
    /// The tenant.
    pub slot: Arc<TenantSlot>,
    /// What the tenant has loaded.
    pub live: Arc<Live>,
    /// Where the request came from.
    pub client: Client,
    /// What was counted for it.
    pub counted: Counted,
    /// Its places on the node and in the tenant: an operation holds them to its end, whether or not its client waits.
    pub passes: Arc<Places>,
}

impl Context {
    /// Counts the request in every one of `layers`, or in none.
    ///
    /// # Errors
    /// As [`Node::admit`].
    pub async fn admit(&self, layers: &[Layer]) -> Result<(), Refusal> {
        self.node.admit(&self.slot, &self.live, layers, &self.counted).await
    }

    /// Refuses a refresh token that this tenant never gave to anybody, before it costs anybody anything.
    ///
    /// # Errors
    /// [`Refusal::Unauthenticated`]
    pub(crate) fn issued(&self, token: &RefreshToken) -> Result<(), Refusal> {
        if token.is_from(&self.live.keys) { Ok(()) } else { Err(Refusal::Unauthenticated) }
    }

    /// A place of the tenant's in the hash queue: before anything is charged.
    ///
    /// # Errors
    /// [`QueueFull`], at once.
    pub(crate) fn reserve_hash(&self) -> Result<HashPermit, QueueFull> {
        self.node.pool.reserve(self.slot.id, self.slot.weight())
    }

    /// Refuses a new password that others know, as [`Breached::check`](crate::breached::Breached::check) does; a call outside takes one of the tenant's places
    /// for such.
    ///
    /// # Errors
    /// [`Refusal::Overloaded`] where there is none; [`Refusal::Common`], [`Refusal::Breached`], [`Refusal::Unavailable`].
    pub(crate) async fn check_breached(&self, password: &Password) -> Result<Accepted, Refusal> {
        let _place = self.look_up_place()?;
        Ok(self.node.breached.check(password).await?)
    }

    /// A place of the tenant's for the call that a look-up among breached passwords makes; `None` where it makes none.
    ///
    /// # Errors
    /// [`Full`].
    pub(crate) fn look_up_place(&self) -> Result<Option<Pass>, Full> {
        self.node.breached.calls_outside().then(|| self.slot.call_outside(gate::OUTBOUND_MAX)).transpose()
    }

    /// Counts one request of a signed-in member, and refuses one who must enrol a second factor first.
    ///
    /// # Errors
    /// [`Refusal::MustEnrol`]; as [`Context::admit`].
    pub async fn admit_member(&self, claims: &AccessClaims) -> Result<(), Refusal> {
        self.admit_enrolling(claims).await?;
        self.enrolled(claims.role, claims.sub, claims.has_second_factor())
    }

    /// Refuses a member who must enrol a second factor first.
    ///
    /// # Errors
    /// [`Refusal::MustEnrol`].
    pub(super) fn enrolled(&self, role: Role, member: MemberId, has_second_factor: bool) -> Result<(), Refusal> {
        let due = self.live.settings.second_factor_due(role, member.made_at());
        let must_enrol = due.is_some_and(|due| self.node.ambient.now() >= due) && !has_second_factor;
        if must_enrol { Err(Refusal::MustEnrol) } else { Ok(()) }
    }

    /// Counts one request of a signed-in member who may not have a second factor yet: for what one needs to enrol, and
    /// to leave.
    ///
    /// # Errors
    /// As [`Context::admit`].
    pub async fn admit_enrolling(&self, claims: &AccessClaims) -> Result<(), Refusal> {
        let member = Layer { tier: Tier::ApiMember, subject: Subject(claims.sub.uuid().as_u128()) };
        self.admit(&[member, self.tenant_layer()]).await
    }

    /// What is stored of a value at this place of the tenant's.
    ///
    /// # Errors
    /// [`Refusal::Internal`]
    pub(crate) fn seal<T: Sealable>(&self, place: Place<'_>, value: &T) -> Result<Vec<u8>, Refusal> {
        let sealed = self.live.keys.seal(&place, value, self.node.nonce());
        sealed.map(Sealed::into_bytes).map_err(|_| Refusal::Internal)
    }

    /// When and from where this request came, for a letter.
    #[must_use]
    pub(crate) fn occasion(&self) -> Occasion {
        Occasion { at: self.node.ambient.wall(), address: self.client.origin.address }
    }

    /// Writes a letter, sent if the transaction commits.
    ///
    /// # Errors
    /// [`NotEnqueued`]; the transaction is lost.
    pub(crate) async fn write_to(&self, tx: &mut TenantTx, to: Email, content: Content) -> Result<(), NotEnqueued> {
        mail::enqueue(tx, &self.node, &self.live.keys, &Letter { to, content }).await
    }

    /// Writes to a member that something it signs in with was changed by this request.
    ///
    /// # Errors
    /// As [`Context::write_to`].
    pub(crate) async fn write_of_change(
        &self,
        tx: &mut TenantTx,
        to: Email,
        change: CredentialChange,
    ) -> Result<(), NotEnqueued> {
        self.write_to(tx, to, Content::CredentialChanged { change, occasion: self.occasion() }).await
    }

    /// The layer of the tenant as a whole.
    #[must_use]
    pub fn tenant_layer(&self) -> Layer {
        Layer { tier: Tier::ApiTenant, subject: Subject::TENANT }
    }
}
