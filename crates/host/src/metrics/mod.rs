//! What a host counts, under JRaft's names, for Prometheus.
//!
//! A small registry of its own: a fixed list of atomics, no lock and no name on the hot path. Only
//! the host's own threads write to it; nothing below the quiet line knows of it. Names are
//! JRaft's with `kontiki_raft_` in front and underscores for dashes. Each distribution is exported
//! as a summary with the quantiles 0.5, 0.75, 0.95, 0.99 and 0.999, and `_min`, `_max` and `_avg`
//! beside it. Quantiles, least and greatest are of the last one to two minutes, sums and counts
//! since the start.

mod histogram;
mod prometheus;
mod replication;
mod replicators;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

pub use histogram::{Distribution, Summary};
pub use prometheus::Page;
pub(crate) use replication::Replication;
pub(crate) use replicators::Replicators;

use kontiki_multiraft::Refused;

use crate::waiters::Waiter;

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// One more.
    pub fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long something takes; kept in microseconds, exported in seconds.
#[derive(Debug, Default)]
pub struct Timer(Distribution);

impl Timer {
    /// It began then and ends now.
    pub fn observe_since(&self, began: Instant) {
        let micros = began.elapsed().as_micros();
        self.0.observe(u64::try_from(micros).unwrap_or(u64::MAX));
    }

    /// How long it took, in microseconds.
    pub fn summary(&self) -> Summary {
        self.0.summary()
    }
}

macro_rules! metrics {
    (
        timers { $($timer:ident, $timer_help:literal;)* }
        distributions { $($distribution:ident, $distribution_help:literal;)* }
        counters { $($counter:ident, $counter_help:literal;)* }
    ) => {
        /// Everything a host counts.
        #[derive(Debug, Default)]
        pub struct Metrics {
            $(#[doc = $timer_help] pub $timer: Timer,)*
            $(#[doc = $distribution_help] pub $distribution: Distribution,)*
            $(#[doc = $counter_help] pub $counter: Counter,)*
        }

        impl Metrics {
            /// Write all of it.
            pub fn write(&self, page: &mut Page) {
                $(page.timer(stringify!($timer), $timer_help, &self.$timer);)*
                $(page.distribution(
                    stringify!($distribution), $distribution_help, &self.$distribution,
                );)*
                $(page.counter(stringify!($counter), $counter_help, &self.$counter);)*
            }
        }
    };
}

metrics! {
    timers {
        append_logs, "Appending one batch of entries to the log, sync included.";
        replicate_entries, "From sending entries to a follower until it has acknowledged them.";
        fsm_apply_tasks, "One batch in the state machine.";
        fsm_commit, "A round of a thread that applies, from taking in what is committed until it is applied.";
        pre_vote, "From asking for pre-votes until a quorum would vote.";
        request_vote, "From asking for votes until leading.";
        handle_append_entries, "A follower handling one append.";
        install_snapshot, "Installing a snapshot from another store.";
        snapshot_save, "Saving a snapshot.";
        snapshot_load, "Loading a snapshot into the state machine.";
        truncate_log_prefix, "Freeing log segments after entries were dropped.";
        truncate_log_suffix, "Writing entries that replace what another leader left behind.";
        read_index, "From a caller's read_index until it may read.";
        handle_read_index, "Handling one read index request of a follower.";
    }
    distributions {
        append_logs_count, "Entries in one batch appended to the log.";
        append_logs_bytes, "Bytes of one batch appended to the log.";
        replicate_entries_count, "Entries in one append to a follower.";
        replicate_entries_bytes, "Bytes of one append to a follower.";
        fsm_apply_tasks_count, "Tasks in one batch of the state machine.";
        replicate_inflights_count, "Appends under way to a follower, seen with each one timed.";
        handle_append_entries_count, "Entries in one append a follower handled.";
        handle_read_index_entries, "Reads released together.";
    }
    counters {
        apply_task_overload_times, "Tasks refused as busy.";
        read_index_overload_times, "Reads refused as busy.";
        fsm_error_times, "State machines that failed.";
        leader_start_times, "Times a node here began to lead.";
        snapshot_save_failed_times, "Snapshots that could not be saved.";
    }
}

impl Metrics {
    /// Somebody is refused.
    pub(crate) fn refused(&self, waiter: &Waiter, refused: Refused) {
        if refused == Refused::Busy && matches!(waiter, Waiter::Task(_) | Waiter::Propose(_)) {
            self.apply_task_overload_times.add_one();
        }
    }

    pub(crate) fn appended(&self, count: u64, bytes: u64, began: Instant) {
        self.append_logs.observe_since(began);
        self.append_logs_count.observe(count);
        self.append_logs_bytes.observe(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_name_of_the_guide() {
        let metrics = Metrics::default();
        metrics.append_logs_count.observe(4);
        let mut page = Page::default();
        metrics.write(&mut page);
        let text = page.into_text();
        for name in [
            "append_logs_bytes",
            "append_logs_count",
            "append_logs_seconds",
            "replicate_entries_bytes",
            "replicate_entries_count",
            "replicate_entries_seconds",
            "fsm_apply_tasks_seconds",
            "fsm_apply_tasks_count",
            "fsm_commit_seconds",
            "pre_vote_seconds",
            "request_vote_seconds",
            "handle_append_entries_seconds",
            "handle_append_entries_count",
            "install_snapshot_seconds",
            "truncate_log_prefix_seconds",
            "truncate_log_suffix_seconds",
            "replicate_inflights_count",
            "read_index_seconds",
            "handle_read_index_entries",
            "handle_read_index_seconds",
        ] {
            let line = format!("kontiki_raft_{name}{{quantile=\"0.95\"}} ");
            assert!(text.contains(&line), "{line} in {text}");
        }
        assert!(text.contains("kontiki_raft_append_logs_count_avg 4\n"), "{text}");
        assert!(text.contains("kontiki_raft_apply_task_overload_times 0\n"), "{text}");
    }
}
