//! The password pool: a fixed number of threads that own and reuse their argon2 memory, before them a bounded queue in which
//! tenants take turns.
//!
//! Hashing is the one expensive thing a stranger can ask for. A place in the queue is taken before anything is charged: who
//! finds none is shed, and nobody's counter moves. [`freehold_domain::fair_queue`] says who finds one, and whose turn it is.
//! Threads run at niceness 10, so that cheap requests go first.
//!
//! One thread more is **spare**: it hashes only while one tenant has all the others, and only for somebody else, a little ahead
//! of them (niceness 5). So whoever signs in elsewhere waits for no hash of the one that came first; and while nobody has all
//! of the threads it sleeps, and costs neither memory nor time.

#[cfg(feature = "test-faults")]
mod overtaken;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use freehold_domain::fair_queue::{FairQueue, NoPlace, Places};
use freehold_domain::id::TenantId;
use freehold_domain::password::{self, Argon2Params, HashError, HashMemory, Password, PasswordHash};
use freehold_domain::weight::Weight;
use tokio::sync::oneshot;

use crate::ambient::Ambient;
use crate::metric;
use crate::shares::Resource;

/// How many places the queue has for each hashing thread: passwords that wait or are hashed at once.
pub const QUEUE_PER_THREAD: usize = 64;

const NICENESS: i32 = 10;
const SPARE_NICENESS: i32 = 5;

/// The pool.
pub struct PasswordPool {
    queue: Arc<Queue>,
    places: Places,
    threads: usize,
    params: Argon2Params,
    decoy: PasswordHash,
    ambient: Ambient,
    hashed: Arc<AtomicU64>,
}

/// A place in the queue: exactly one hash may be run with it at a time.
pub struct HashPermit {
    place: Arc<Place>,
}

/// There is no place in the queue for this tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the hash queue is full")]
pub struct QueueFull(#[source] NoPlace);

/// The hash did not come out: a stored hash that cannot be read, or a thread that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the password could not be hashed")]
pub struct HashFailed;

type Work = Box<dyn FnOnce(&mut HashMemory) + Send>;

struct Job {
    tenant: TenantId,
    work: Work,
    queued_ms: i64,
    #[cfg(feature = "test-faults")]
    behind: overtaken::Behind,
}

/// What the threads take jobs from.
struct Queue {
    state: Mutex<State>,
    /// There is a job, or there will be none any more.
    changed: Condvar,
    /// There may be a job for the spare thread, or there will be none any more.
    spare_changed: Condvar,
}

struct State {
    jobs: FairQueue<TenantId, Job>,
    /// Whose password each of the ordinary threads hashes.
    hashed_for: Vec<Option<TenantId>>,
    is_closed: bool,
    #[cfg(feature = "test-faults")]
    overtaken: overtaken::Overtaken,
}

/// Which thread that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// One of those that hash what comes, by number.
    Ordinary(usize),
    /// The one that hashes beside a tenant that has all of those.
    Spare,
}

impl State {
    /// The tenant that has every ordinary thread.
    fn monopolist(&self) -> Option<TenantId> {
        let (first, others) = self.hashed_for.split_first()?;
        first.filter(|_| others.iter().all(|other| other == first))
    }

    /// The next job for this thread, which has none any more.
    fn next(&mut self, role: Role) -> Option<Job> {
        let job = match role {
            Role::Ordinary(number) => {
                let job = self.jobs.pop();
                if let Some(hashed_for) = self.hashed_for.get_mut(number) {
                    *hashed_for = job.as_ref().map(|job| job.tenant);
                }
                job
            }
            Role::Spare => self.monopolist().and_then(|tenant| self.jobs.pop_beside(tenant)),
        }?;
        #[cfg(feature = "test-faults")]
        self.overtaken.begins(&job.behind);
        Some(job)
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a job of the tenant's and wakes a thread.
    fn push(&self, tenant: TenantId, work: Work, queued_ms: i64) {
        let mut state = self.lock();
        let job = Job {
            tenant,
            work,
            queued_ms,
            #[cfg(feature = "test-faults")]
            behind: state.overtaken.joins(tenant),
        };
        state.jobs.push(tenant, job);
        drop(state);
        self.changed.notify_one();
        self.spare_changed.notify_one();
    }
}

/// A tenant's place, given back when dropped.
struct Place {
    queue: Arc<Queue>,
    tenant: TenantId,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.lock().jobs.give_back(self.tenant);
    }
}

impl PasswordPool {
    /// Starts `threads` hashing threads, and the spare one.
    ///
    /// # Errors
    /// An error of the operating system when a thread cannot be started; [`HashError`] when its memory cannot be had.
    pub fn start(threads: usize, params: Argon2Params, ambient: Ambient) -> Result<Self, StartError> {
        let threads = threads.max(1);
        let places = Places::new(threads * QUEUE_PER_THREAD);
        let state = Mutex::new(State {
            jobs: FairQueue::new(places),
            hashed_for: vec![None; threads],
            is_closed: false,
            #[cfg(feature = "test-faults")]
            overtaken: overtaken::Overtaken::default(),
        });
        let queue = Arc::new(Queue { state, changed: Condvar::new(), spare_changed: Condvar::new() });
        let hashed = Arc::new(AtomicU64::new(0));
        for role in (0..threads).map(Role::Ordinary).chain([Role::Spare]) {
            let (queue, hashed) = (Arc::clone(&queue), Arc::clone(&hashed));
            let mut memory = HashMemory::new(params)?;
            let work = move || run(&queue, role, ambient, &hashed, &mut memory);
            let name =
                if let Role::Ordinary(number) = role { format!("hash-{number}") } else { "hash-spare".to_owned() };
            thread::Builder::new().name(name).spawn(work)?;
        }
        let decoy = PasswordHash::decoy(params, ambient.random());
        Ok(Self { queue, places, threads, params, decoy, ambient, hashed })
    }

    /// Takes a place in the queue for a tenant of this weight.
    ///
    /// # Errors
    /// [`QueueFull`] at once, when the tenant has its share of the places or all are taken.
    pub fn reserve(&self, tenant: TenantId, weight: Weight) -> Result<HashPermit, QueueFull> {
        self.queue.lock().jobs.take(tenant, weight).map_err(|none| {
            metrics::counter!(metric::SHED, "reason" => "hash_queue").increment(1);
            if none == NoPlace::Share {
                Resource::Hashes.refused();
            }
            QueueFull(none)
        })?;
        Ok(HashPermit { place: Arc::new(Place { queue: Arc::clone(&self.queue), tenant }) })
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
        self.queue.lock().jobs.taken()
    }

    /// How many places there are, and who may have how many.
    #[must_use]
    pub const fn places(&self) -> Places {
        self.places
    }

    /// How many passwords are hashed at once, the spare thread's not among them.
    #[must_use]
    pub const fn threads(&self) -> usize {
        self.threads
    }

    /// How many hashes were begun since the start.
    #[must_use]
    pub fn hashed(&self) -> u64 {
        self.hashed.load(Ordering::Relaxed)
    }

    /// The most passwords that were begun while one of a tenant's waited for its turn, for each tenant since the start.
    #[cfg(feature = "test-faults")]
    #[must_use]
    pub fn overtaken(&self) -> Vec<(TenantId, u64)> {
        self.queue.lock().overtaken.told()
    }

    async fn run<T: Send + 'static>(
        &self,
        permit: &mut HashPermit,
        work: impl FnOnce(&mut HashMemory) -> T + Send + 'static,
    ) -> Result<T, HashFailed> {
        let (done, result) = oneshot::channel();
        // The job keeps the place until it is done, whatever becomes of whoever asked for it.
        let place = Arc::clone(&permit.place);
        let work: Work = Box::new(move |memory| {
            let result = work(memory);
            drop(place);
            drop(done.send(result));
        });
        self.queue.push(permit.place.tenant, work, self.ambient.now().get());
        result.await.map_err(|_| HashFailed)
    }
}

/// The threads do what is queued and end.
impl Drop for PasswordPool {
    fn drop(&mut self) {
        self.queue.lock().is_closed = true;
        self.queue.changed.notify_all();
        self.queue.spare_changed.notify_all();
    }
}

/// The next job. A thread that has to wait for it wipes its memory first.
fn next(queue: &Queue, role: Role, memory: &mut HashMemory) -> Option<Job> {
    let mut job = queue.lock().next(role);
    if job.is_none() {
        memory.wipe();
        job = wait(queue, role);
    }
    // This job may be the one with which a tenant has every thread.
    if matches!(role, Role::Ordinary(_)) {
        queue.spare_changed.notify_one();
    }
    job
}

fn wait(queue: &Queue, role: Role) -> Option<Job> {
    let changed = if role == Role::Spare { &queue.spare_changed } else { &queue.changed };
    let mut state = queue.lock();
    loop {
        let job = state.next(role);
        if job.is_some() || state.is_closed {
            return job;
        }
        state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
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
fn run(queue: &Queue, role: Role, ambient: Ambient, hashed: &AtomicU64, memory: &mut HashMemory) {
    let niceness = if role == Role::Spare { SPARE_NICENESS } else { NICENESS };
    if let Err(error) = rustix::process::setpriority_process(Some(rustix::thread::gettid()), niceness) {
        tracing::warn!(%error, "the hashing threads run at ordinary priority");
    }
    loop {
        let Some(Job { work, queued_ms, .. }) = next(queue, role, memory) else { return };
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
