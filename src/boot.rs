//! From a configuration to a running node: the data directory, the store, the master keys, the tree.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use freehold_actors::breached::Breached;
use freehold_actors::domain_proofs::DomainProofs;
use freehold_actors::integrations::Integrations;
use freehold_actors::levels::Levels;
use freehold_actors::mail::Post;
use freehold_actors::mail::carrier::Carrier;
use freehold_actors::node::{Node, Parts, Settings};
use freehold_actors::password_pool::PasswordPool;
use freehold_actors::providers::Providers;
use freehold_actors::public_client::PublicClient;
use freehold_actors::shared_counters::SharedCounters;
use freehold_actors::stripe::Stripe;
use freehold_domain::gcra::Unseen;
use freehold_domain::id::NodeId;
use freehold_domain::keys::{MasterKeyId, MasterRing, Nonce};
use freehold_domain::policy::{PRINT_SHOP, Policy};
use freehold_domain::secret::Secret;
use freehold_domain::slug::ReservedNames;
use freehold_storage::master_check::{self, MasterCheckRow};
use freehold_storage::master_seal::{self, Sealing};
use freehold_storage::{OpenError, PostgresOptions, SqliteOptions, Store, StoreError};

use crate::cli::Exit;
use crate::clock::AMBIENT;
use crate::config::{Config, DEVELOPMENT_KEY_FILE, Database, Pooler, Profile, PublicUrl, prepare_data_dir};
use crate::failure::{Failure, chain};
use crate::lock::{DataDirLock, NotLocked};

/// How many tenants' files are open at once.
const OPEN_FILES_MAX: usize = 256;
/// More master keys than a ring will ever hold.
const MASTERS_MAX: u32 = 1_000;
/// How many connections to PostgreSQL a node holds.
const CONNECTIONS_MAX: u32 = 32;
const STARTED_FILE: &str = "started";
const LEVELS_FILE: &str = "levels.json";

/// Prepares the data directory and takes it for this process.
///
/// # Errors
/// Exit 78 for a directory that cannot be used, 69 when another process serves it.
pub fn take_data_dir(config: &Config) -> Result<DataDirLock, Failure> {
    prepare_data_dir(&config.data_dir)?;
    DataDirLock::acquire(&config.data_dir).map_err(|error| match error {
        NotLocked::Held { .. } => Failure::new(Exit::Unavailable, error),
        NotLocked::Io(error) => Failure::new(Exit::Config, format!("FREEHOLD_DATA_DIR: {error}; check the directory")),
    })
}

/// A store that may be served, and the master ring that opens it.
pub struct Opened {
    store: Store,
    ring: MasterRing,
}

/// Opens the store, and checks that it may be served and that the ring is its own.
///
/// # Errors
/// Exit 78 for a store that must not be served as it is, 69 for one that is away.
pub async fn open(config: &Config) -> Result<Opened, Failure> {
    let store = open_store(config).await?;
    let ring = master_ring(config, &store).await?;
    check_ring(&store, &ring).await?;
    Ok(Opened { store, ring })
}

/// Starts the tree over an opened store.
///
/// # Errors
/// Exit 70 when the hashing threads or the tree do not start.
pub async fn start_node(
    config: &Config,
    Opened { store, ring }: Opened,
    public: &PublicUrl,
    unseen: Unseen,
) -> Result<Arc<Node>, Failure> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let pool = PasswordPool::start(threads, config.passwords.params, AMBIENT)
        .map_err(|error| Failure::new(Exit::Internal, chain(&error)))?;
    let mail = config.mail.clone();
    let carrier = Carrier::new(mail.from, config.platform.domain.as_str(), mail.way);
    let carrier = carrier.map_err(|error| {
        Failure::new(Exit::Config, format!("FREEHOLD_MAIL_SMTP_URL: {error}; name it by a host name or an address"))
    })?;
    let post = Post::new(carrier, mail.patience);
    let breached = Breached::new(config.passwords.breached.clone(), AMBIENT)
        .map_err(|error| Failure::new(Exit::Internal, chain(&error)))?;
    let providers =
        Providers::new(config.oauth.clone(), AMBIENT).map_err(|error| Failure::new(Exit::Internal, chain(&error)))?;
    let integrations =
        Integrations::new(config.integrations.clone()).map_err(|error| Failure::new(Exit::Internal, chain(&error)))?;
    let stripe = config.stripe.clone().map(Stripe::new).transpose();
    let stripe = stripe.map_err(|error| Failure::new(Exit::Internal, chain(&error)))?;
    let proofs = DomainProofs::new(config.domains.clone());
    let public_client =
        PublicClient::new(config.outbound.clone()).map_err(|error| Failure::new(Exit::Internal, chain(&error)))?;
    let policy = Policy::parse(PRINT_SHOP).map_err(|faults| Failure::new(Exit::Internal, faults))?;
    let settings = Settings {
        limits: Arc::new(config.limits.clone()),
        lockout: config.lockout,
        breaker: config.breaker,
        policy: Arc::new(policy),
        passivate: config.tree.passivate,
        suspect_from: config.tree.unready_from,
        quarantine: config.tree.quarantine,
        reconcile: config.tree.reconcile,
        signing_rotate: config.signing.rotate,
        signing_announced: config.signing.announced,
        refresh_hold: config.refresh.coalesce,
        public_scheme: public.scheme().as_str(),
        platform_domain: config.platform.domain.as_str().into(),
        reserved: ReservedNames::with(config.platform.reserved_slugs.clone()),
        denied_networks: config.http.denied.clone(),
        operator_networks: config.platform.operator_cidrs.clone(),
        operators_need_second_factor: config.profile == Profile::Production,
        waf: config.waf.as_ref().map(|waf| waf.mode),
        public_port: Some(public.port()).filter(|port| *port != public.scheme().default_port()),
    };
    let id = NodeId::new(AMBIENT.wall(), AMBIENT.random());
    let counters = config.counters.as_ref().map(|rule| SharedCounters::start(rule, id, AMBIENT)).transpose();
    let shared_counters =
        counters.map_err(|error| Failure::new(Exit::Config, format!("FREEHOLD_REDIS_URL: {error}")))?;
    let parts = Parts {
        id,
        ambient: AMBIENT,
        settings,
        store,
        ring,
        pool,
        breached,
        post,
        public_client,
        providers,
        integrations,
        stripe,
        proofs,
        shared_counters,
        unseen,
    };
    Node::start(parts).await.map_err(|error| Failure::new(Exit::Internal, chain(&error)))
}

async fn open_store(config: &Config) -> Result<Store, Failure> {
    let opened = match &config.database {
        Database::Sqlite => {
            let data_dir = config.data_dir.clone();
            Store::open_sqlite(SqliteOptions { data_dir, open_files_max: OPEN_FILES_MAX }).await
        }
        Database::Postgres { url, pooler, .. } => {
            let pooler = match pooler {
                Pooler::None => freehold_storage::Pooler::None,
                Pooler::Transaction => freehold_storage::Pooler::Transaction,
            };
            let options = PostgresOptions { url: url.clone(), pooler, connections_max: CONNECTIONS_MAX };
            Store::open_postgres(options).await
        }
    };
    opened.map_err(|error| refused(&error))
}

/// A store that does not answer is away; any other that cannot be opened is a matter of configuration.
pub(crate) fn refused(error: &OpenError) -> Failure {
    let exit = match error {
        OpenError::Store(StoreError::Unavailable { .. }) => Exit::Unavailable,
        OpenError::Folder { .. }
        | OpenError::Address
        | OpenError::Store(_)
        | OpenError::RoleIsSuperuser { .. }
        | OpenError::RoleCanBypass { .. }
        | OpenError::RoleOwnsTable { .. }
        | OpenError::TableUnprotected { .. }
        | OpenError::NotGranted { .. }
        | OpenError::GroupRoleMissing { .. } => Exit::Config,
    };
    Failure::new(exit, format!("FREEHOLD_DATABASE_URL: {}; {}", chain(error), error.remedy()))
}

async fn master_ring(config: &Config, store: &Store) -> Result<MasterRing, Failure> {
    if let Some(ring) = &config.keys.master {
        return Ok(ring.clone());
    }
    let failed = |error: io::Error| {
        Failure::new(Exit::Config, format!("FREEHOLD_KEYS_MASTER: {error}; set it to a key of `freehold keys new`"))
    };
    let path = config.data_dir.join(DEVELOPMENT_KEY_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => Secret::new(text).expose().trim().parse().map_err(|error| failed(io::Error::other(error))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut tx = store.keys_read().await.map_err(away)?;
            if !master_check::all(&mut tx).await.map_err(away)?.is_empty() {
                return Err(wrong_ring("not set, and this store was sealed with one"));
            }
            make_development_ring(&path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

/// The key of a development server, made at its first start. It lies beside what it seals, so it protects nothing: that
/// is why production does not do this.
fn make_development_ring(path: &Path) -> io::Result<MasterRing> {
    tracing::warn!("no master key is set: one was made for development, beside the data it seals");
    let id: MasterKeyId = "development".parse().map_err(io::Error::other)?;
    let entry = MasterRing::generate_entry(&id, &Secret::new(AMBIENT.random()));
    write_new(path, entry.expose().as_bytes())?;
    entry.expose().parse().map_err(io::Error::other)
}

/// Compares the ring with the store's check values; a key the store has not met gets one.
///
/// # Errors
/// Exit 78 for a ring that is not the store's, 69 for a store that is away.
pub async fn check_ring(store: &Store, ring: &MasterRing) -> Result<(), Failure> {
    let mut tx = store.keys_write().await.map_err(away)?;
    let checks = master_check::all(&mut tx).await.map_err(away)?;
    let known: Vec<_> = checks.iter().filter_map(|check| Some((check.key_id.parse().ok()?, &check.sealed))).collect();
    let mine: Vec<&(MasterKeyId, _)> = known.iter().filter(|(id, _)| ring.ids().any(|mine| mine == id)).collect();
    if mine.iter().any(|(id, sealed)| ring.verify_check(id, sealed).is_err()) {
        return Err(wrong_ring("a key of the ring is not the one that this store knows by its id"));
    }
    let needed = master_seal::counts(&mut tx, MASTERS_MAX).await.map_err(away)?;
    let is_missing = |needed: &&Sealing| !ring.ids().any(|id| id.as_str() == needed.master_key_id);
    let missing: Vec<_> = needed
        .iter()
        .filter(is_missing)
        .map(|missing| format!("{} ({})", missing.master_key_id, missing.things))
        .collect();
    if !missing.is_empty() {
        return Err(lacking(&missing.join(" and by ")));
    }
    if mine.is_empty() && !known.is_empty() {
        return Err(wrong_ring("no key of the ring is one that this store was sealed with"));
    }
    if !known.iter().any(|(id, _)| id == ring.newest()) {
        let check = ring.seal_check(Nonce::from_random(AMBIENT.random()));
        let (id, sealed) = check.map_err(|error| Failure::new(Exit::Internal, error))?;
        let row = MasterCheckRow { key_id: id.as_str().to_owned(), sealed };
        master_check::insert(&mut tx, &row).await.map_err(away)?;
        tx.commit().await.map_err(away)?;
    }
    Ok(())
}

fn away(error: StoreError) -> Failure {
    refused(&OpenError::Store(error))
}

fn wrong_ring(fault: &str) -> Failure {
    let remedy = "give the ring this store was made with, or start with an empty data directory";
    Failure::new(Exit::Config, format!("FREEHOLD_KEYS_MASTER: {fault}; {remedy}"))
}

/// The sealed keys are all there; it is the ring that lacks what opens them.
fn lacking(sealings: &str) -> Failure {
    let remedy = "put the key back, and take it out once `freehold keys rotate` tells that it is unused";
    let fault = format!("tenants' or certificates' keys are sealed by {sealings}, which the ring does not have");
    Failure::new(Exit::Config, format!("FREEHOLD_KEYS_MASTER: {fault}; {remedy}"))
}

/// What the last run left behind: the levels of a clean stop, or the moment since which nothing is known.
pub struct LastRun {
    levels: Option<Levels>,
    /// What buckets without a saved level start from.
    pub unseen: Unseen,
}

impl LastRun {
    /// Reads it; nothing is changed.
    ///
    /// # Errors
    /// An error of the file system.
    pub fn read(data_dir: &Path) -> io::Result<Self> {
        let read = fs::read(data_dir.join(LEVELS_FILE)).ok();
        let levels: Option<Levels> = read.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let started = data_dir.join(STARTED_FILE).try_exists()?;
        let unseen = match &levels {
            Some(levels) => levels.unseen(),
            None if started => Unseen::EmptiedBy(AMBIENT.now()),
            None => Unseen::Full,
        };
        Ok(Self { levels, unseen })
    }

    /// Gives the saved levels to the node, and marks the data directory: without levels saved anew, the next start knows
    /// that this run did not stop cleanly.
    ///
    /// # Errors
    /// An error of the file system.
    pub fn hand_over(self, node: &Node, data_dir: &Path) -> io::Result<()> {
        if let Some(levels) = self.levels {
            levels.restore(node);
        }
        write_new(&data_dir.join(STARTED_FILE), b"")?;
        match fs::remove_file(data_dir.join(LEVELS_FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Saves the levels of a node that stops.
    ///
    /// # Errors
    /// An error of the file system.
    pub fn save(node: &Node, data_dir: &Path) -> io::Result<()> {
        let path = data_dir.join(LEVELS_FILE);
        let partial = PathBuf::from(format!("{}.partial", path.display()));
        write_new(&partial, &serde_json::to_vec(&Levels::of(node))?)?;
        fs::rename(partial, path)
    }
}

/// Writes a file of our own eyes only, durably.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}
