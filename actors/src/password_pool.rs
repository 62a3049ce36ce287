//! The password pool: a fixed number of threads that own and reuse their argon2 memory, before them a bounded queue.
//!
//! Hashing is the one expensive thing a stranger can ask for. The queue is taken before anything is charged: when it is
//! full, the request is shed and nobody's counter moves. Threads run at niceness 10, so that cheap requests go first.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use freehold_domain::password::{self, Argon2Params, HashError, HashMemory, Password, PasswordHash};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::ambient::Ambient;
use crate::metric;

/// How many passwords may wait or be hashed at once, for each hashing thread.
pub const QUEUE_PER_THREAD: usize = 32;

const NICENESS: i32 = 10;

/// The pool.
pub struct PasswordPool {
    jobs: mpsc::Sender<Job>,
    places: Arc<Semaphore>,
    capacity: usize,
    params: Argon2Params,
    decoy: PasswordHash,
    ambient: Ambient,
    hashed: Arc<AtomicU64>,
}

/// A place in the queue: exactly one hash may be run with it at a time.
pub struct HashPermit {
    _place: OwnedSemaphorePermit,
    jobs: mpsc::Sender<Job>,
}

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hash queue is full")]
pub struct QueueFull;

/// The hash did not come out: a stored hash that cannot be read, or a thread that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the password could not be hashed")]
pub struct HashFailed;

type Work = Box<dyn FnOnce(&mut HashMemory) + Send>;

struct Job {
    work: Work,
    queued_ms: i64,
}

impl PasswordPool {
    /// Starts `threads` hashing threads.
    ///
    /// # Errors
    /// An error of the operating system when a thread cannot be started; [`HashError`] when its memory cannot be had.
    pub fn start(threads: usize, params: Argon2Params, ambient: Ambient) -> Result<Self, StartError> {
        let capacity = threads.max(1) * QUEUE_PER_THREAD;
        let (jobs, queue) = mpsc::channel(capacity);
        let queue = Arc::new(Mutex::new(queue));
        let hashed = Arc::new(AtomicU64::new(0));
        for n in 0..threads.max(1) {
            let (queue, hashed) = (Arc::clone(&queue), Arc::clone(&hashed));
            let mut memory = HashMemory::new(params)?;
            let work = move || run(&queue, ambient, &hashed, &mut memory);
            thread::Builder::new().name(format!("hash-{n}")).spawn(work)?;
        }
        let decoy = PasswordHash::decoy(params, ambient.random());
        Ok(Self { jobs, places: Arc::new(Semaphore::new(capacity)), capacity, params, decoy, ambient, hashed })
    }

    /// Takes a place in the queue.
    ///
    /// # Errors
    /// [`QueueFull`] at once, when all places are taken.
    pub fn reserve(&self) -> Result<HashPermit, QueueFull> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            metrics::counter!(metric::SHED, "reason" => "hash_queue").increment(1);
            QueueFull
        })?;
        Ok(HashPermit { _place: place, jobs: self.jobs.clone() })
    }

    /// Whether `password` is what `hash` was made from. Without a hash the same work is done on a decoy, and the answer
    /// is no.
    ///
    /// # Errors
    /// [`HashFailed`] when nobody can say.
    pub async fn verify(
        &self,
        permit: &mut HashPermit,
        password: Password,
        hash: Option<PasswordHash>,
    ) -> Result<bool, HashFailed> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.clone());
        let right = self.run(permit, move |memory| password::verify(&password, &hash, memory)).await?;
        Ok(known && right.map_err(|_| HashFailed)?)
    }

    /// Hashes a new password with a fresh salt.
    ///
    /// # Errors
    /// [`HashFailed`] when it did not come out.
    pub async fn hash(&self, permit: &mut HashPermit, password: Password) -> Result<PasswordHash, HashFailed> {
        let (params, salt) = (self.params, self.ambient.random());
        let hash = self.run(permit, move |memory| password::hash(&password, salt, params, memory)).await?;
        hash.map_err(|_| HashFailed)
    }

    /// Whether a hash should be made anew when its password is at hand: it cost less or more than new ones do.
    #[must_use]
    pub fn is_outdated(&self, hash: &PasswordHash) -> bool {
        hash.needs_rehash(self.params)
    }

    /// What a new hash costs.
    #[must_use]
    pub const fn params(&self) -> Argon2Params {
        self.params
    }

    /// How many places are taken.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.capacity.saturating_sub(self.places.available_permits())
    }

    /// How many hashes were begun since the start.
    #[must_use]
    pub fn hashed(&self) -> u64 {
        self.hashed.load(Ordering::Relaxed)
    }

    async fn run<T: Send + 'static>(
        &self,
        permit: &mut HashPermit,
        work: impl FnOnce(&mut HashMemory) -> T + Send + 'static,
    ) -> Result<T, HashFailed> {
        let (done, result) = oneshot::channel();
        let work: Work = Box::new(move |memory| drop(done.send(work(memory))));
        let job = Job { work, queued_ms: self.ambient.now().get() };
        permit.jobs.try_send(job).map_err(|_| HashFailed)?;
        result.await.map_err(|_| HashFailed)
    }
}

/// The next job. A thread that has to wait for it wipes its memory first.
fn next(queue: &Mutex<mpsc::Receiver<Job>>, memory: &mut HashMemory) -> Option<Job> {
    let lock = || queue.lock().unwrap_or_else(PoisonError::into_inner);
    if let Ok(job) = lock().try_recv() {
        return Some(job);
    }
    memory.wipe();
    lock().blocking_recv()
}

/// Why the pool did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No thread.
    #[error("a hashing thread could not be started")]
    Thread(#[from] std::io::Error),
    /// No memory.
    #[error(transparent)]
    Memory(#[from] HashError),
}

/// One hashing thread: takes jobs until the pool is gone. A job that panics costs its caller an answer, nothing more.
fn run(queue: &Mutex<mpsc::Receiver<Job>>, ambient: Ambient, hashed: &AtomicU64, memory: &mut HashMemory) {
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICENESS) {
        tracing::warn!(%error, "the hashing threads run at ordinary priority");
    }
    loop {
        let Some(Job { work, queued_ms }) = next(queue, memory) else { return };
        let waited_ms = ambient.now().get().saturating_sub(queued_ms).unsigned_abs();
        metrics::histogram!(metric::HASH_WAIT_SECONDS).record(Duration::from_millis(waited_ms).as_secs_f64());
        // Counted first: whoever has the answer finds it counted.
        hashed.fetch_add(1, Ordering::Relaxed);
        metrics::counter!(metric::HASHES).increment(1);
        let outcome = catch_unwind(AssertUnwindSafe(|| work(memory)));
        if outcome.is_err() {
            memory.wipe();
            tracing::error!("a password could not be hashed: its job panicked");
        }
    }
}
