//! What a node is told about replication itself: JRaft's `RaftOptions`; the guide's last section
//! has the table.
//!
//! They are the core's own. What no group could live with is refused when the host starts; the rest
//! is the user's judgement.

use std::collections::BTreeMap;
use std::time::Duration;

use kontiki_multiraft::membership_codec;
pub use kontiki_raft::Options as RaftOptions;
use kontiki_raft::{Config, Priority};
use kontiki_types::{PeerId, limits};

use super::error::Error;
use super::options::HostOptions;

/// What the core is told of a node; `seed` differs with each start of it.
pub(super) fn config(
    options: &HostOptions,
    (peer, seed): (PeerId, u64),
    priorities: &BTreeMap<PeerId, i32>,
    election_timeout: Duration,
) -> Config {
    let mut config = Config {
        options: options.raft.clone(),
        election_timeout: options.election_timeout,
        heartbeat_interval: options.heartbeat_interval,
        hibernate_after: options.hibernate_after,
        cache_bytes_max: options.log_cache_bytes,
        priorities: priorities.iter().map(|(&peer, &p)| (peer, Priority(p))).collect(),
        ..Config::new(peer, seed, membership_codec())
    };
    config.set_election_timeout(election_timeout);
    config
}

/// # Errors
/// [`Error::Invalid`], with the name of what no group could live with.
pub(super) fn check(options: &RaftOptions) -> Result<(), Error> {
    const MILLION: u32 = 1_000_000;
    let most = limits::APPEND_BYTES_MAX;
    let bad = if options.append_bytes_max > most {
        format!("append_bytes_max is {}: a frame takes {most}", options.append_bytes_max)
    } else if options.inflight_messages_max == 0 {
        "inflight_messages_max is 0: nothing would ever be sent".to_owned()
    } else if options.uncommitted_bytes_max < limits::ENTRY_BYTES_MAX {
        let (bytes, task) = (options.uncommitted_bytes_max, limits::ENTRY_BYTES_MAX);
        format!("uncommitted_bytes_max is {bytes}: one task may have {task}")
    } else if options.clock_drift_ppm_max >= MILLION {
        let ppm = options.clock_drift_ppm_max;
        format!("clock_drift_ppm_max is {ppm}: a clock that stands still proves nothing")
    } else {
        return Ok(());
    };
    Err(Error::Invalid(bad))
}

#[cfg(test)]
mod tests {
    use kontiki_types::StoreId;

    use super::*;
    use crate::library::{MemoryNetwork, Network};

    #[test]
    fn the_core_is_told() {
        let network = Network::Memory(MemoryNetwork::new());
        let mut options = HostOptions::new(StoreId(1), "unused", network);
        options.raft.append_bytes_max = 1;
        options.hibernate_after = Some(2);
        options.log_cache_bytes = 3;
        let wanted = BTreeMap::from([(PeerId(5), 20)]);
        let told = config(&options, (PeerId(4), 6), &wanted, 3 * options.election_timeout);
        assert_eq!((told.id, told.seed), (PeerId(4), 6));
        assert_eq!(told.options, options.raft);
        assert_eq!((told.hibernate_after, told.cache_bytes_max), (Some(2), 3));
        assert_eq!(told.election_timeout, 3 * options.election_timeout);
        assert_eq!(told.heartbeat_interval, 3 * options.heartbeat_interval);
        assert_eq!(told.priorities[&PeerId(5)], Priority(20));
    }

    #[test]
    fn what_no_group_could_live_with_is_refused_by_name() {
        let good = RaftOptions::default();
        assert_eq!(check(&good), Ok(()));
        let bad = [
            RaftOptions { append_bytes_max: limits::APPEND_BYTES_MAX + 1, ..good.clone() },
            RaftOptions { inflight_messages_max: 0, ..good.clone() },
            RaftOptions { uncommitted_bytes_max: 1024, ..good.clone() },
            RaftOptions { clock_drift_ppm_max: 1_000_000, ..good },
        ];
        let names = ["append_bytes", "inflight_messages", "uncommitted_bytes", "clock_drift_ppm"];
        for (options, name) in bad.into_iter().zip(names) {
            let refused = check(&options);
            let is_named = |why: &str| why.starts_with(name);
            assert!(matches!(&refused, Err(Error::Invalid(why)) if is_named(why)), "{refused:?}");
        }
    }
}
