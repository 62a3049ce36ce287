//! `freehold keys …`: another master key, and sealing everything anew by it.
//!
//! A rotation is many requests: a batch each, so that a server that stops is not kept waiting, and whoever gives up has done
//! what was done. Who says it again goes on with what is left.

use std::time::Instant;

use freehold_actors::node::Node;
use freehold_actors::ops::master_keys::{self, Batch, Cursor, NotSettled, Settled, Standing, Unopened};
use freehold_actors::ops::tenants::TenantRefusal;
use freehold_domain::keys::{MasterKeyId, MasterRing};
use freehold_domain::secret::Secret;
use freehold_storage::master_seal::Kept;
use serde_json::{Value, json};

use super::{Own, PATIENCE, ask_server, refused};
use crate::cli::Exit;
use crate::clock::AMBIENT;
use crate::config::Config;
use crate::control::{Reply, Request};
use crate::failure::{Failure, chain};
use crate::out::{self, Bar};

/// Runs `freehold keys new`: prints an entry for the master ring, and stores nothing.
///
/// # Errors
/// When stdout is closed.
pub fn keys_new(id: Option<MasterKeyId>) -> Result<(), Failure> {
    let made_up = || format!("k{:x}", AMBIENT.wall().get()).parse::<MasterKeyId>();
    let id = id.map_or_else(made_up, Ok).map_err(|error| Failure::new(Exit::Internal, error))?;
    let entry = MasterRing::generate_entry(&id, &Secret::new(AMBIENT.random()));
    say(&json!({ "id": id.as_str(), "entry": entry.expose() }))
}

/// Runs `freehold keys rotate`: through the running server, or with the store opened here.
///
/// # Errors
/// Exit 65 when something does not open, once everything else is sealed anew; 78 for a server that seals with another key
/// than the newest that is configured here; what the verb is refused for.
pub async fn keys_rotate(config: &Config) -> Result<(), Failure> {
    let mut rotation = Rotation { config, own: None, resealed: 0 };
    let outcome = rotation.run().await;
    let Rotation { own, resealed, .. } = rotation;
    if let Some(own) = own {
        own.close().await;
    }
    outcome.map_err(|failure| match resealed {
        0 => failure,
        _ => Failure::new(failure.exit, format!("{}; sealed anew so far: {resealed}", failure.message)),
    })
}

struct Rotation<'a> {
    config: &'a Config,
    own: Option<Own>,
    resealed: u64,
}

impl Rotation<'_> {
    async fn run(&mut self) -> Result<(), Failure> {
        let standing = self.ask(Request::KeysStanding).await?.pop().unwrap_or_default();
        let (already, left) = (number(&standing, "already"), number(&standing, "left"));
        let mut master = text(&standing, "master");
        self.check_newest(&master)?;
        let (mut bar, mut noticed) = (Bar::new("sealed anew", left), Instant::now());
        let (mut after, mut unopened) = (None, vec![]);
        loop {
            let mut items = self.ask(Request::KeysReseal { after }).await?;
            let batch = items.pop().unwrap_or_default();
            self.resealed += number(&batch, "resealed");
            if text(&batch, "master") != master {
                // The ring was read again meanwhile: what came before is not sealed by the newest any more.
                master = text(&batch, "master");
                unopened.clear();
                after = None;
                continue;
            }
            unopened.append(&mut items);
            bar.show(self.resealed);
            if !bar.is_drawn() && noticed.elapsed() >= PATIENCE {
                noticed = Instant::now();
                out::notice(&json!({ "notice": format!("{} of {left} sealed anew …", self.resealed) }));
            }
            match batch.get("next").and_then(Value::as_str) {
                Some(next) => after = Some(next.to_owned()),
                None => break,
            }
        }
        drop(bar);
        for item in &unopened {
            say(item)?;
        }
        let settled = self.ask(Request::KeysSettle { resealed: self.resealed }).await?.pop().unwrap_or_default();
        let (resealed, unused) = (self.resealed, settled.get("unused"));
        if unopened.is_empty() {
            return say(&json!({ "master": master, "resealed": resealed, "already": already, "unused": unused }));
        }
        say(&json!({
            "master": master, "resealed": resealed, "already": already, "unopened": unopened.len(), "unused": unused,
        }))?;
        let message = format!("{} could not be sealed anew and stay as they are", unopened.len());
        Err(Failure::new(Exit::Data, message))
    }

    /// A server that did not read its ring again would be asked for nothing, and whoever asked would take the wrong key away.
    fn check_newest(&self, master: &str) -> Result<(), Failure> {
        match &self.config.keys.master {
            Some(ring) if ring.newest().as_str() != master => Err(Failure::new(
                Exit::Config,
                format!(
                    "FREEHOLD_KEYS_MASTER: the server seals with {master}, and the newest key of the ring here is {}; \
                     have the server read the ring (SIGHUP), see in its log that it did, and say it again",
                    ring.newest()
                ),
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// The items of the answer.
    async fn ask(&mut self, request: Request) -> Result<Vec<Value>, Failure> {
        let replies = match &self.own {
            Some(own) => own.answer(request).await,
            None => ask_server(self.config, request, &mut self.own).await?,
        };
        let item = |reply| match reply {
            Reply::Item(item) => Some(Ok(item)),
            Reply::Done => None,
            Reply::Refused { exit, message } => Some(Err(Failure::new(Exit::of(exit), message))),
        };
        replies.into_iter().filter_map(item).collect()
    }
}

fn number(item: &Value, name: &str) -> u64 {
    item.get(name).and_then(Value::as_u64).unwrap_or_default()
}

fn text(item: &Value, name: &str) -> String {
    item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn say(result: &Value) -> Result<(), Failure> {
    out::result(result).map_err(|error| Failure::new(Exit::Unavailable, error))
}

/// Which key seals, and how much.
pub(super) async fn standing(node: &Node) -> Result<Vec<Value>, Failure> {
    let standing = master_keys::standing(node).await.map_err(|error| refused(&TenantRefusal::Store(error)))?;
    let Standing { master, done, left } = standing;
    Ok(vec![json!({ "master": master.as_str(), "already": done, "left": left })])
}

/// Seals a batch anew: an item for each row that does not open, and one that tells the rest.
pub(super) async fn reseal(node: &Node, after: Option<&str>) -> Result<Vec<Value>, Failure> {
    let after = after.map_or_else(|| Ok(Cursor::default()), str::parse);
    let after = after.map_err(|error| Failure::new(Exit::Data, format!("after: {error}")))?;
    let batch = master_keys::reseal(node, &after).await.map_err(|error| refused(&TenantRefusal::Store(error)))?;
    let Batch { master, resealed, unopened, next } = batch;
    let next = next.map(|next| next.to_string());
    let told = json!({ "master": master.as_str(), "resealed": resealed, "next": next });
    Ok(unopened.iter().map(unopened_json).chain([told]).collect())
}

fn unopened_json(Unopened { kept, master, fault }: &Unopened) -> Value {
    let fault = fault.to_string();
    match kept {
        Kept::Root { tenant, version } => {
            json!({ "tenant": tenant.to_string(), "version": version, "master": master, "fault": fault })
        }
        Kept::AcmeAccount { directory } => json!({ "account": directory, "master": master, "fault": fault }),
        Kept::CertificateKey { host } => json!({ "certificate": host, "master": master, "fault": fault }),
    }
}

/// Ends a rotation that has sealed so many rows anew.
pub(super) async fn settle(node: &Node, resealed: u64) -> Result<Vec<Value>, Failure> {
    let Settled { unused } = master_keys::settle(node, resealed).await.map_err(|error| match error {
        NotSettled::Store(error) => refused(&TenantRefusal::Store(error)),
        NotSettled::Unrecorded(_) => Failure::new(Exit::Unavailable, chain(&error)),
    })?;
    let unused: Vec<_> = unused.iter().map(MasterKeyId::as_str).collect();
    Ok(vec![json!({ "unused": unused })])
}
