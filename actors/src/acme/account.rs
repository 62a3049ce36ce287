//! The account at the certificate authority: one for all nodes, its key made here and sealed by the master key.

use freehold_domain::keys::{MasterError, ServerSecret};
use freehold_domain::secret::Secret;
use freehold_storage::StoreError;
use freehold_storage::acme::{self, SealedRow};
use instant_acme::{Account, AccountCredentials, Error, NewAccount};

use super::caller::Caller;
use super::order::{Failure, Keeping};

/// The problem of an authority that does not know the account (RFC 8555 §6.7).
const UNKNOWN: &str = "urn:ietf:params:acme:error:accountDoesNotExist";

/// The account, and the row that it was opened from.
pub(super) struct Opened {
    pub(super) account: Account,
    row: SealedRow,
}

/// The account that is kept; without one, or when what is kept does not open, a new one.
pub(super) async fn open(keeping: &Keeping, caller: Caller) -> Result<Opened, Failure> {
    let directory = keeping.rule.directory.as_str();
    let kept = acme::account(&mut keeping.node.store.keys_read().await?, directory).await?;
    if let Some(row) = kept {
        if let Some(credentials) = unsealed(keeping, &row)? {
            let account = Account::builder_with_http(Box::new(caller)).from_credentials(credentials).await?;
            return Ok(Opened { account, row });
        }
        tracing::error!(
            acme.directory = directory,
            "the account at the certificate authority does not open: another is made"
        );
        forget(keeping, &row).await?;
    }
    make(keeping, caller).await
}

/// Makes an account at the authority. Of two nodes that do, the first to keep its own is followed.
async fn make(keeping: &Keeping, caller: Caller) -> Result<Opened, Failure> {
    let Keeping { node, rule, way, .. } = keeping;
    let directory = rule.directory.as_str();
    let contact = rule.contact.as_ref().map(|contact| format!("mailto:{contact}"));
    let contacts: Vec<&str> = contact.iter().map(String::as_str).collect();
    let asked = NewAccount { contact: &contacts, terms_of_service_agreed: true, only_return_existing: false };
    let builder = Account::builder_with_http(Box::new(caller));
    let (account, credentials) = builder.create(&asked, directory.to_owned(), None).await?;
    let secret = Secret::new(serde_json::to_vec(&credentials).map_err(Error::from)?);
    let (id, sealed) = node.ring.load().seal_own(which(directory), &secret, node.nonce())?;
    let row = SealedRow { master_key_id: id.as_str().to_owned(), sealed };
    let mut tx = node.store.keys_write().await?;
    if acme::insert_account(&mut tx, directory, &row, node.ambient.now()).await? {
        tx.commit().await?;
        tracing::info!(acme.directory = directory, "an account was made at the certificate authority");
        return Ok(Opened { account, row });
    }
    let row = acme::account(&mut tx, directory).await?.ok_or(Failure::NoAccount)?;
    let credentials = unsealed(keeping, &row)?.ok_or(Failure::NoAccount)?;
    let (caller, _) = way.caller();
    let account = Account::builder_with_http(Box::new(caller)).from_credentials(credentials).await?;
    Ok(Opened { account, row })
}

/// Forgets the account if this error says that the authority does not know it; whether it does.
pub(super) async fn forget_if_unknown(keeping: &Keeping, opened: &Opened, error: &Error) -> Result<bool, StoreError> {
    let is_unknown = matches!(error, Error::Api(problem) if problem.r#type.as_deref() == Some(UNKNOWN));
    if is_unknown {
        tracing::warn!(acme.directory = keeping.rule.directory, "the certificate authority does not know the account");
        forget(keeping, &opened.row).await?;
    }
    Ok(is_unknown)
}

async fn forget(keeping: &Keeping, row: &SealedRow) -> Result<(), StoreError> {
    let mut tx = keeping.node.store.keys_write().await?;
    acme::delete_account(&mut tx, &keeping.rule.directory, row).await?;
    tx.commit().await
}

/// The account, if it opens. One that another node's ring opens is none of ours to forget.
fn unsealed(keeping: &Keeping, row: &SealedRow) -> Result<Option<AccountCredentials>, Failure> {
    let Ok(id) = row.master_key_id.parse() else { return Ok(None) };
    let ring = keeping.node.ring.load();
    match ring.open_own(which(&keeping.rule.directory), &id, &row.sealed) {
        Ok(secret) => Ok(serde_json::from_slice(secret.expose()).ok()),
        Err(error @ MasterError::UnknownKey(_)) => Err(Failure::UnknownMaster(error)),
        Err(MasterError::DoesNotOpen(_)) => Ok(None),
    }
}

const fn which(directory: &str) -> ServerSecret<'_> {
    ServerSecret::AcmeAccount { directory }
}
