//! The sources of webhooks that a tenant has set, as it has them loaded: sealed until a delivery is verified.

use std::fmt;

use freehold_domain::keys::{Sealed, TenantKeys};
use freehold_domain::secret::Secret;
use freehold_domain::time::UnixMs;
use freehold_domain::webhook::{self, Delivery, Provider, Refusal, Secrets, Source, Verified};
use freehold_storage::StoreError;
use freehold_storage::webhook_source::WebhookSourceRow;

/// A secret that nobody has opened.
pub(crate) type SealedSecret = Sealed<Secret<String>>;

/// What is nobody's secret.
const DECOY: &str = "nobody's secret, of the length of one";

/// All of them, by name.
#[derive(Debug, Default)]
pub struct WebhookSources(Box<[KnownSource]>);

/// A source, and what its deliveries are verified with.
pub(crate) struct KnownSource {
    pub(crate) source: Source,
    pub(crate) secret: SealedSecret,
    pub(crate) set_at: UnixMs,
    /// The one before, and until when it is good.
    pub(crate) previous: Option<(SealedSecret, UnixMs)>,
}

/// It holds what deliveries are signed with.
impl fmt::Debug for KnownSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.source.as_str())
    }
}

/// Why a delivery was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotVerified {
    /// The tenant has set no secret for the provider.
    NotSet,
    /// A secret that is stored does not open.
    Sealed,
    /// As the rule says, of the first source that is set.
    Refused(Source, Refusal),
}

impl WebhookSources {
    /// What is stored, read.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a name that is none.
    pub(crate) fn read(rows: Vec<WebhookSourceRow>) -> Result<Self, StoreError> {
        rows.into_iter().map(KnownSource::read).collect::<Result<_, _>>().map(Self)
    }

    /// Each of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &KnownSource> {
        self.0.iter()
    }

    /// By whose secret a delivery of this provider is signed, at the process clock `now` and the wall clock `wall`. Secrets are
    /// opened for this and wiped after it.
    ///
    /// # Errors
    /// [`NotVerified`]
    pub(crate) fn verify<'a>(
        &self,
        provider: Provider,
        delivery: &Delivery<'a>,
        keys: &TenantKeys,
        (now, wall): (UnixMs, UnixMs),
    ) -> Result<(Source, Verified<'a>), NotVerified> {
        let mut refused = NotVerified::NotSet;
        if self.of(provider).next().is_none() {
            // As much work as where one is set: whoever has none shall not be found by the time that it takes.
            let decoy = Secret::new(DECOY.to_owned());
            let secrets = Secrets { newest: &decoy, previous: None };
            std::hint::black_box(webhook::verify(provider.rule(), delivery, &secrets, wall)).ok();
        }
        for known in self.of(provider) {
            let (newest, previous) = known.open(keys, now)?;
            let secrets = Secrets { newest: &newest, previous: previous.as_ref() };
            match webhook::verify(provider.rule(), delivery, &secrets, wall) {
                Ok(verified) => return Ok((known.source, verified)),
                Err(refusal) if refused == NotVerified::NotSet => refused = NotVerified::Refused(known.source, refusal),
                Err(_) => {}
            }
        }
        Err(refused)
    }

    /// Looks closer at a delivery that was refused: see [`webhook::explain`].
    pub(crate) fn explain(
        &self,
        source: Source,
        delivery: &Delivery<'_>,
        keys: &TenantKeys,
        (refusal, now): (Refusal, UnixMs),
    ) -> Refusal {
        let known = self.of(source.provider()).find(|known| known.source == source);
        let Some(Ok((newest, previous))) = known.map(|known| known.open(keys, now)) else { return refusal };
        let secrets = Secrets { newest: &newest, previous: previous.as_ref() };
        webhook::explain(source.provider().rule(), delivery, &secrets, refusal)
    }

    fn of(&self, provider: Provider) -> impl Iterator<Item = &KnownSource> {
        self.0.iter().filter(move |known| known.source.provider() == provider)
    }
}

impl KnownSource {
    /// A row, read.
    pub(crate) fn read(row: WebhookSourceRow) -> Result<Self, StoreError> {
        let WebhookSourceRow { source, secret_sealed, set_at_ms, previous } = row;
        let corrupt = || StoreError::Corrupt { table: "webhook_source", id: source.clone() };
        let sealed = |bytes: Vec<u8>| Sealed::from_stored(bytes).map_err(|_| corrupt());
        let previous = previous.map(|(bytes, until)| Ok::<_, StoreError>((sealed(bytes)?, until))).transpose()?;
        let known = source.parse().map_err(|_| corrupt())?;
        Ok(Self { source: known, secret: sealed(secret_sealed)?, set_at: set_at_ms, previous })
    }

    /// The secret in force, and the one before it while that is good.
    ///
    /// # Errors
    /// [`NotVerified::Sealed`]
    pub(crate) fn open(
        &self,
        keys: &TenantKeys,
        now: UnixMs,
    ) -> Result<(Secret<String>, Option<Secret<String>>), NotVerified> {
        let open = |place, sealed| keys.open_sealed(&place, sealed).map_err(|_| NotVerified::Sealed);
        let newest = open(self.source.secret_place(), &self.secret)?;
        let previous = self.previous.as_ref().filter(|(_, until)| now < *until);
        let previous = previous.map(|(sealed, _)| open(self.source.previous_place(), sealed)).transpose()?;
        Ok((newest, previous))
    }
}
