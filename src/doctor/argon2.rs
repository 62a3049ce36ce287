//! What a password hash costs on this machine, and what it could cost.

use std::time::{Duration, Instant};

use freehold_domain::password::{self, Argon2Params, HashError, HashMemory, Password};
use serde_json::{Value, json};

use crate::cli::Exit;
use crate::clock::AMBIENT;
use crate::config::{Config, passwords};
use crate::doctor::finding::Finding;
use crate::failure::Failure;
use crate::out;

/// Memory that is tried, in KiB, the most first: it is what an attacker's hardware has least of. 64 MiB is what RFC 9106
/// §4 recommends where memory is scarce; the others are OWASP's rows.
const MEMORY_KIB: [u32; 6] = [65_536, 47_104, 19_456, 12_288, 9_216, 7_168];
const CHECK: &str = "password-hash";
const PASSES_MAX: u32 = 32;
/// Hashes of one measurement; the median counts.
const TRIES: usize = 3;

/// Prints what a hash costs with the configured parameters, and the strongest that stay under the target.
///
/// # Errors
/// Exit 70 when there is not enough memory to hash, 69 when nobody reads the result.
pub fn propose_for(config: &Config, target: Duration) -> Result<(), Failure> {
    let internal = |error: HashError| Failure::new(Exit::Internal, error);
    let configured = config.passwords.params;
    let configured = shown(configured, measure(configured).map_err(internal)?);
    let (params, took) = propose(target, measure).map_err(internal)?;
    let report = json!({
        "argon2": configured, "target_ms": millis(target), "proposed": shown(params, took), "reached": took <= target,
    });
    out::result(&report).map_err(|error| Failure::new(Exit::Unavailable, error))
}

/// What a hash costs with the configured parameters.
pub(super) fn cost(params: Argon2Params) -> Finding {
    let told = |took| {
        format!(
            "argon2id with {} KiB and {} passes takes {} ms here",
            params.memory_kib(),
            params.passes(),
            millis(took)
        )
    };
    match measure(params) {
        Ok(took) => Finding::good(CHECK, told(took)),
        Err(error) => {
            let remedy = "give the server more memory, or set FREEHOLD_PASSWORDS_MEMORY_KIB lower";
            Finding::bad(CHECK, format!("a password cannot be hashed: {error}"), remedy)
        }
    }
}

fn shown(params: Argon2Params, took: Duration) -> Value {
    json!({ "memory_kib": params.memory_kib(), "passes": params.passes(), "ms": millis(took) })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How long a hash takes: the median of a few, in memory that is already there.
fn measure(params: Argon2Params) -> Result<Duration, HashError> {
    tracing::info!(memory_kib = params.memory_kib(), passes = params.passes(), "measuring");
    let password = Password::new("correct horse battery staple").map_err(|_| HashError::Argon2)?;
    let mut memory = HashMemory::new(params)?;
    let mut times = Vec::with_capacity(TRIES);
    password::hash(&password, AMBIENT.random(), params, &mut memory)?;
    for _ in 0..TRIES {
        let begun = Instant::now();
        password::hash(&password, AMBIENT.random(), params, &mut memory)?;
        times.push(begun.elapsed());
    }
    times.sort();
    Ok(times.get(TRIES / 2).copied().unwrap_or_default())
}

/// The most memory with which OWASP's minimum stays under `target`, and then the most passes; the least that is allowed
/// when nothing does.
fn propose<E>(
    target: Duration,
    mut measure: impl FnMut(Argon2Params) -> Result<Duration, E>,
) -> Result<(Argon2Params, Duration), E> {
    let mut last = (Argon2Params::default(), Duration::MAX);
    for memory_kib in MEMORY_KIB {
        let passes_min = passwords::passes_min(memory_kib);
        let Some(mut best) = with(memory_kib, passes_min) else { continue };
        let mut took = measure(best)?;
        last = (best, took);
        if took > target {
            continue;
        }
        let fit =
            u32::try_from(u128::from(passes_min) * target.as_nanos() / took.as_nanos().max(1)).unwrap_or(u32::MAX);
        for passes in (passes_min + 1..=fit.min(PASSES_MAX)).rev() {
            let Some(more) = with(memory_kib, passes) else { continue };
            let time = measure(more)?;
            if time <= target {
                (best, took) = (more, time);
                break;
            }
        }
        return Ok((best, took));
    }
    Ok(last)
}

fn with(memory_kib: u32, passes: u32) -> Option<Argon2Params> {
    Argon2Params::new(memory_kib, passes, 1).ok()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// A machine on which so many KiB and one pass take a millisecond.
    fn proposed(target_ms: u64, kib_per_ms: u32) -> (u32, u32) {
        let machine = |params: Argon2Params| {
            let ms = params.memory_kib() * params.passes() / kib_per_ms;
            Ok::<_, Infallible>(Duration::from_millis(ms.into()))
        };
        let Ok((params, took)) = propose(Duration::from_millis(target_ms), machine);
        assert!(took <= Duration::from_millis(target_ms) || params.memory_kib() == 7_168);
        (params.memory_kib(), params.passes())
    }

    #[test]
    fn memory_comes_before_passes_and_neither_goes_past_the_target() {
        assert_eq!(proposed(100, 1_000), (65_536, 1));
        assert_eq!(proposed(200, 1_000), (65_536, 3));
        assert_eq!(proposed(50, 1_000), (47_104, 1));
        assert_eq!(proposed(40, 1_000), (19_456, 2));
        assert_eq!(proposed(60_000, 1_000), (65_536, 32));
        assert_eq!(proposed(1, 1_000), (7_168, 5), "OWASP's minimum, though it takes longer");
    }
}
