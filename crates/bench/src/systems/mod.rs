//! The systems that can be loaded: how to reach one, and how to start a cluster of one.
//!
//! | file | about |
//! |---|---|
//! | [`etcd`], [`kontiki`] | a connection to a running cluster: clients, preload |
//! | [`etcd_cluster`], [`kontiki_cluster`] | three processes of it on loopback |
//! | [`kontiki_stores`] | the same, each store a child of this program, to be killed |
//! | [`rheakv`] | three processes and their load, by a harness of its own |
//!
//! `load` uses the former alone, `compare` both.

pub(crate) mod etcd;
pub(crate) mod etcd_cluster;
pub(crate) mod kontiki;
pub(crate) mod kontiki_cluster;
pub(crate) mod kontiki_stores;
pub(crate) mod rheakv;

use std::sync::atomic::{AtomicU64, Ordering};

use clap::ValueEnum;

use crate::closed_loop::{self, Measured, Run};
use crate::workload::Workload;

/// Keys in one preloading request.
const PRELOAD_KEYS: u64 = 100;
/// Preloading requests under way.
const PRELOADERS: usize = 16;

/// A system by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// This project
    Kontiki,
    /// etcd, API version 3
    Etcd,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kontiki => "kontiki",
            Self::Etcd => "etcd",
        }
    }
}

/// Connections to a running cluster.
pub(crate) enum System {
    Kontiki(kontiki::System),
    Etcd(etcd::System),
}

impl System {
    /// Connects and waits until it serves.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) async fn connect(kind: Kind, endpoints: &[String]) -> anyhow::Result<Self> {
        Ok(match kind {
            Kind::Kontiki => Self::Kontiki(kontiki::System::connect(endpoints).await?),
            Kind::Etcd => Self::Etcd(etcd::System::connect(endpoints).await?),
        })
    }

    /// Puts all keys of the workload.
    ///
    /// # Errors
    /// When one request fails.
    pub(crate) async fn preload(&self, workload: &Workload) -> anyhow::Result<()> {
        match self {
            Self::Kontiki(system) => system.preload(workload).await,
            Self::Etcd(system) => system.preload(workload).await,
        }
    }

    /// One run of the closed loop.
    pub(crate) async fn run(&mut self, run: Run<'_>) -> Measured {
        match self {
            Self::Kontiki(system) => closed_loop::run(system, run).await,
            Self::Etcd(system) => {
                system.find_leader().await;
                closed_loop::run(system, run).await
            }
        }
    }
}

/// Deals ranges of keys to preloaders.
struct Deal {
    next: AtomicU64,
    keys: u64,
}

impl Deal {
    fn new(keys: u64) -> Self {
        Self { next: AtomicU64::new(0), keys }
    }

    fn next(&self) -> Option<std::ops::Range<u64>> {
        let first = self.next.fetch_add(PRELOAD_KEYS, Ordering::Relaxed);
        (first < self.keys).then(|| first..self.keys.min(first + PRELOAD_KEYS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_dealt_once() {
        let deal = Deal::new(250);
        let ranges: Vec<_> = std::iter::from_fn(|| deal.next()).collect();
        assert_eq!(ranges, [0..100, 100..200, 200..250]);
    }
}
