//! What an option may be at least and at most. What is beyond is refused by name, with the value,
//! where it is given: nothing deeper down has to live with it.
//!
//! Where a user can only have meant "for ever" (a wait, a time between snapshots) any length will
//! do.

use std::fmt::Debug;
use std::ops::RangeInclusive;
use std::time::Duration;

use kontiki_log::limits::{PAGE_BYTES, SEGMENT_BYTES_MAX};
pub use kontiki_raft::limits::{
    ELECTION_TIMEOUT_MAX, ELECTION_TIMEOUT_MIN, HEARTBEAT_INTERVAL_MIN,
};
use kontiki_types::{StoreId, limits};

use super::error::Error;
use super::options::{HostOptions, NodeOptions};
use super::raft_options;

/// Most of [`HostOptions::apply_workers`]: each is a thread.
pub const APPLY_WORKERS_MAX: usize = 1024;
/// Least of [`HostOptions::log_segment_bytes`]: the largest task must fit.
pub const LOG_SEGMENT_BYTES_MIN: u64 = 2 * limits::ENTRY_BYTES_MAX as u64;
/// Least of [`HostOptions::log_cache_bytes_all`]: sixteen times as much may be under way, and with
/// less one of the largest tasks would keep all others out.
pub const LOG_CACHE_BYTES_ALL_MIN: usize = limits::ENTRY_BYTES_MAX / 16;
/// Least of [`HostOptions::snapshot_bytes_per_second`]: with less a single chunk on its way
/// to another store would take minutes, and a host that ends waits for it.
pub const SNAPSHOT_BYTES_PER_SECOND_MIN: u64 = 16 * 1024;
/// Least of [`NodeOptions::snapshot_interval`].
pub const SNAPSHOT_INTERVAL_MIN: Duration = Duration::from_millis(1);

const ELECTION_TIMEOUTS: RangeInclusive<Duration> = ELECTION_TIMEOUT_MIN..=ELECTION_TIMEOUT_MAX;

/// # Errors
/// [`Error::Invalid`], with the name of what no host could live with.
pub(super) fn check_host(options: &HostOptions) -> Result<(), Error> {
    if options.store == StoreId(0) {
        return Err(Error::Invalid("a store's number begins at 1".to_owned()));
    }
    check_election_timeout(options.election_timeout)?;
    let beat = options.heartbeat_interval;
    if beat < HEARTBEAT_INTERVAL_MIN || beat >= options.election_timeout {
        let most = options.election_timeout;
        return Err(Error::Invalid(format!(
            "heartbeat_interval is {beat:?}: it must be at least {HEARTBEAT_INTERVAL_MIN:?}, and \
             shorter than the election timeout, {most:?}"
        )));
    }
    within("apply_workers", options.apply_workers, 1..=APPLY_WORKERS_MAX)?;
    let cache = options.log_cache_bytes_all;
    within("log_cache_bytes_all", cache, LOG_CACHE_BYTES_ALL_MIN..=usize::MAX)?;
    if let Some(rate) = options.snapshot_bytes_per_second {
        let name = "snapshot_bytes_per_second";
        within(name, rate, SNAPSHOT_BYTES_PER_SECOND_MIN..=u64::MAX)?;
    }
    check_log(options)?;
    raft_options::check(&options.raft)
}

/// A log that could not hold what callers may ask for would stop the host one day.
fn check_log(options: &HostOptions) -> Result<(), Error> {
    let segment = options.log_segment_bytes;
    within("log_segment_bytes", segment, LOG_SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX)?;
    let what = if !segment.is_multiple_of(PAGE_BYTES) {
        format!("log_segment_bytes is {segment}: it must be a multiple of {PAGE_BYTES}")
    } else if options.keep_segments() < 2 {
        let all = options.log_bytes_all;
        format!("log_bytes_all is {all}: it must be two segments of {segment}")
    } else {
        return Ok(());
    };
    Err(Error::Invalid(what))
}

/// # Errors
/// [`Error::Invalid`], with the name of what no node could live with.
pub(super) fn check_node(options: &NodeOptions) -> Result<(), Error> {
    if let Some(interval) = options.snapshot_interval {
        within("snapshot_interval", interval, SNAPSHOT_INTERVAL_MIN..=Duration::MAX)?;
    }
    within("snapshot_log_bytes", options.snapshot_log_bytes, 1..=usize::MAX)
}

/// # Errors
/// [`Error::Invalid`] when no group could live with it.
pub(super) fn check_election_timeout(timeout: Duration) -> Result<(), Error> {
    within("election_timeout", timeout, ELECTION_TIMEOUTS)
}

fn within<T: Copy + PartialOrd + Debug>(
    name: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), Error> {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    Err(Error::Invalid(format!("{name} is {value:?}: it must be between {least:?} and {most:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::{Configuration, MemoryNetwork, Network};

    type Change = fn(&mut HostOptions);

    fn host(change: Change) -> Result<(), Error> {
        let network = Network::Memory(MemoryNetwork::new());
        let mut options = HostOptions::new(StoreId(1), "unused", network);
        change(&mut options);
        check_host(&options)
    }

    fn node(change: fn(&mut NodeOptions)) -> Result<(), Error> {
        let mut options = NodeOptions::new(Configuration::default());
        change(&mut options);
        check_node(&options)
    }

    #[test]
    fn what_no_host_could_live_with_is_refused_by_name() {
        let bad: [(&str, Change); 15] = [
            ("a store's number", |o| o.store = StoreId(0)),
            ("election_timeout is 0ns", |o| o.election_timeout = Duration::ZERO),
            ("election_timeout", |o| o.election_timeout = Duration::MAX),
            ("heartbeat_interval is 0ns", |o| o.heartbeat_interval = Duration::ZERO),
            ("heartbeat_interval is 1s", |o| o.heartbeat_interval = o.election_timeout),
            ("heartbeat_interval", |o| o.heartbeat_interval = Duration::MAX),
            ("apply_workers is 0", |o| o.apply_workers = 0),
            ("apply_workers", |o| o.apply_workers = usize::MAX),
            ("log_cache_bytes_all is 0", |o| o.log_cache_bytes_all = 0),
            ("snapshot_bytes_per_second is 0", |o| o.snapshot_bytes_per_second = Some(0)),
            ("log_segment_bytes is 1", |o| o.log_segment_bytes = 1),
            ("log_segment_bytes", |o| o.log_segment_bytes = u64::MAX),
            ("log_segment_bytes", |o| o.log_segment_bytes += 1),
            ("log_bytes_all is 1", |o| o.log_bytes_all = 1),
            ("inflight_messages_max is 0", |o| o.raft.inflight_messages_max = 0),
        ];
        for (name, change) in bad {
            let refused = host(change);
            let is_named = |why: &str| why.starts_with(name);
            assert!(matches!(&refused, Err(Error::Invalid(why)) if is_named(why)), "{refused:?}");
        }
        assert_eq!(host(|_| {}), Ok(()));
        let extreme = host(|o| {
            (o.election_timeout, o.heartbeat_interval) =
                (ELECTION_TIMEOUT_MAX, HEARTBEAT_INTERVAL_MIN);
            (o.log_bytes_all, o.retain_log_bytes) = (u64::MAX, usize::MAX);
            (o.log_cache_bytes, o.log_cache_bytes_all) = (0, usize::MAX);
            o.snapshot_bytes_per_second = Some(u64::MAX);
        });
        assert_eq!(extreme, Ok(()));
    }

    #[test]
    fn what_no_node_could_live_with_is_refused_by_name() {
        let zero = node(|o| o.snapshot_interval = Some(Duration::ZERO));
        assert!(matches!(&zero, Err(Error::Invalid(why)) if why.starts_with("snapshot_interval")));
        let none = node(|o| o.snapshot_log_bytes = 0);
        assert!(matches!(&none, Err(Error::Invalid(why)) if why.starts_with("snapshot_log_bytes")));
        assert_eq!(node(|o| o.snapshot_interval = Some(Duration::MAX)), Ok(()), "never");
    }
}
