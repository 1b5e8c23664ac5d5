//! The thread that installs snapshots, so that an apply worker need not: an install may take long,
//! and every other group of the worker would wait for it.
//!
//! The worker lends it the state machine, keeps what is for that group until it is back, and goes
//! on with the others. One install at a time for all groups of a host, first come first served.

use std::sync::Arc;
use std::time::Instant;

use kontiki_multiraft::{Error, StateMachine};
use kontiki_types::{RegionId, SnapshotMeta};

use crate::apply_queues::{ApplyInput, ApplyQueues};
use crate::mailbox::Mailbox;
use crate::metrics::Metrics;
use crate::spool::Spools;

/// Where snapshots are installed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Installs {
    /// In the apply worker, in order with all else: state machines that share an engine may count
    /// on it.
    InOrder,
    /// On a thread of their own.
    Apart,
}

/// What is to be installed.
pub(crate) struct Install {
    pub(crate) group: RegionId,
    pub(crate) meta: SnapshotMeta,
    pub(crate) spool: u64,
    pub(crate) machine: Box<dyn StateMachine>,
}

/// What became of it.
pub(crate) struct Installed {
    pub(crate) install: Install,
    pub(crate) result: Result<(), Error>,
}

/// Until the mailbox is closed and empty.
pub(crate) fn run(
    jobs: &Mailbox<Install>,
    apply: &ApplyQueues,
    spools: &Arc<Spools>,
    metrics: Option<&Metrics>,
) {
    let mut waiting = Vec::new();
    while jobs.drain(&mut waiting, None) {
        for mut install in waiting.drain(..) {
            let began = Instant::now();
            let Install { meta, spool, machine, .. } = &mut install;
            let checked = machine.check_snapshot(meta, &mut spools.read(*spool));
            let result =
                checked.and_then(|()| machine.install(meta, *spool, &mut spools.read(*spool)));
            spools.remove(*spool);
            if let Some(metrics) = metrics {
                metrics.install_snapshot.observe_since(began);
            }
            let group = install.group;
            apply.of(group).push(ApplyInput::Installed(Installed { install, result }));
        }
    }
}
