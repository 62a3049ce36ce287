//! How many files and sockets the process may have open: as many as the system lets it, and never so many connections
//! that nothing is left for the store.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use freehold_http::serve::ServeOptions;

/// Files of the store, its connections, the listeners and what is read now and then.
const KEPT: u64 = 1_000;

/// Raises the soft limit to the hard one.
///
/// # Errors
/// What the system answers; the old limit stays.
pub fn raise() -> rustix::io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
}

/// How many connections the public listener may take: as many as it would, or what the limit leaves.
#[must_use]
pub fn connections_max() -> usize {
    let wanted = ServeOptions::default().connections_max;
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(wanted, |limit| usize::try_from(left(limit)).unwrap_or(wanted).min(wanted))
}

/// The limit below which there is no room for every connection that the public listener would take.
#[must_use]
pub fn wanted() -> u64 {
    u64::try_from(ServeOptions::default().connections_max).unwrap_or(u64::MAX).saturating_add(KEPT)
}

/// The limit that a server started from here would have; `None` for none.
#[must_use]
pub fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).maximum
}

/// What a limit leaves for connections: all but [`KEPT`], and of a small one a quarter.
pub(crate) const fn left(limit: u64) -> u64 {
    let quarter = limit / 4;
    let rest = limit.saturating_sub(KEPT);
    if rest > quarter { rest } else { quarter }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn something_is_left_for_the_store_and_for_connections() {
        assert_eq!((left(128), left(1_024), left(1_400), left(20_000)), (32, 256, 400, 19_000));
    }
}
