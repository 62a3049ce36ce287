//! What must be proved before a session starts: the second factor too, where the member has one.

use freehold_domain::access_token::AccessClaims;
use freehold_domain::backup_code::{BackupCode, BackupCodeHash};
use freehold_domain::id::MemberId;
use freehold_domain::keys::{Place, Sealed, TenantKeys};
use freehold_domain::time::UnixMs;
use freehold_domain::totp::{Code, Step, TotpSecret};
use freehold_storage::second_factor::TotpRow;
use freehold_storage::{TenantTx, second_factor as rows};

use crate::ops::refusal::Refusal;

/// That everything a member has to prove was proved. Only the functions below make one, and a session starts with no
/// other.
#[must_use]
pub(super) struct Assurance {
    /// Whether a second factor was among it. A member who has confirmed one has no session without it.
    pub(super) has_second_factor: bool,
}

/// A second factor, as it was given.
#[derive(Debug)]
pub enum Factor {
    /// The code that an authenticator shows.
    Totp(Code),
    /// A backup code.
    BackupCode(BackupCode),
}

impl Assurance {
    /// The first factor was right. `None` when that is not enough: the member has confirmed a second one.
    pub(super) async fn by_first_factor(tx: &mut TenantTx, member: MemberId) -> Result<Option<Self>, Refusal> {
        let totp = rows::totp_of(tx, member).await?;
        let is_enough = totp.is_none_or(|totp| totp.confirmed_at_ms.is_none());
        Ok(is_enough.then_some(Self { has_second_factor: false }))
    }

    /// A first factor was right, and this is the second one: it is spent, once this transaction commits. `None` when it
    /// is wrong or was spent before. The member must be held.
    pub(super) async fn by_second_factor(
        tx: &mut TenantTx,
        keys: &TenantKeys,
        member: MemberId,
        factor: &Factor,
        (now, wall): (UnixMs, UnixMs),
    ) -> Result<Option<Self>, Refusal> {
        let Some(totp) = rows::totp_of(tx, member).await?.filter(|totp| totp.confirmed_at_ms.is_some()) else {
            return Ok(None);
        };
        let spent = match factor {
            Factor::Totp(code) => match secret(keys, member, &totp)?.verify(code, Step::new(totp.last_step), wall) {
                Some(step) => rows::spend_step(tx, member, step.get()).await?,
                None => false,
            },
            Factor::BackupCode(code) => {
                let hash = code.hash(member);
                is_among(hash, &rows::unspent_backup_codes(tx, member).await?)
                    && rows::spend_backup_code(tx, member, hash.bytes(), now).await?
            }
        };
        Ok(spent.then_some(Self { has_second_factor: true }))
    }

    /// The session is to take the place of the one that asks, which had to prove everything when it started.
    pub(super) fn by_session(caller: &AccessClaims) -> Self {
        Self { has_second_factor: caller.has_second_factor() }
    }
}

/// Whether one of the stored hashes is this one; all are compared.
fn is_among(hash: BackupCodeHash, stored: &[Vec<u8>]) -> bool {
    let stored = stored.iter().filter_map(|bytes| bytes.as_slice().try_into().ok()).map(BackupCodeHash::from_bytes);
    stored.filter(|known| *known == hash).count() > 0
}

/// The secret of a member's authenticator.
pub(super) fn secret(keys: &TenantKeys, member: MemberId, totp: &TotpRow) -> Result<TotpSecret, Refusal> {
    let sealed = Sealed::from_stored(totp.secret_sealed.clone()).map_err(|_| Refusal::Internal)?;
    keys.open_sealed(&secret_place(&member), &sealed).map_err(|_| Refusal::Internal)
}

/// Where the secret of a member's authenticator is sealed.
pub(super) fn secret_place(member: &MemberId) -> Place<'_> {
    Place { table: "totp", column: "secret_sealed", row: member.as_bytes() }
}
