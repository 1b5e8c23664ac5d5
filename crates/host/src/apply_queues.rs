//! The ways to the apply workers: every group has one worker, which keeps its order.
//!
//! One worker is best for state machines that share an engine (one batch for all that queued up);
//! several keep a slow state machine of a library user from holding up the groups of the others.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use kontiki_multiraft::{ApplyTask, StateMachine};
use kontiki_types::RegionId;

use crate::installer::Installed;
use crate::mailbox::Mailbox;

/// What reaches an apply worker.
pub(crate) enum ApplyInput {
    /// Work, from the shard.
    Task(ApplyTask),
    /// A group begins here.
    Add(RegionId, Box<dyn StateMachine>),
    /// A group ends here; the sender is told once everything before is done and reported.
    Remove(RegionId, SyncSender<()>),
    /// What is for this group waits from now on; the sender is told, unless it waits already.
    Pause(RegionId, SyncSender<()>),
    /// It waits no more.
    Resume(RegionId),
    /// A state machine comes back from an install.
    Installed(Installed),
}

impl ApplyInput {
    /// For which group.
    pub(crate) fn group(&self) -> RegionId {
        match self {
            Self::Task(task) => group_of(task),
            Self::Add(group, _)
            | Self::Remove(group, _)
            | Self::Pause(group, _)
            | Self::Resume(group) => *group,
            Self::Installed(installed) => installed.install.group,
        }
    }
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ApplyQueues {
    queues: Arc<[Arc<Mailbox<ApplyInput>>]>,
}

impl ApplyQueues {
    /// Queues to so many workers. What they hold is bounded by the shard's own limits.
    pub(crate) fn new(workers: usize) -> Self {
        let queues = (0..workers.max(1)).map(|_| Arc::new(Mailbox::new(usize::MAX)));
        Self { queues: queues.collect() }
    }

    /// One queue for each worker.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Mailbox<ApplyInput>>> {
        self.queues.iter()
    }

    /// The queue of a group.
    pub(crate) fn of(&self, group: RegionId) -> &Mailbox<ApplyInput> {
        self.queues.get(self.worker_of(group)).expect("less than the length")
    }

    fn worker_of(&self, group: RegionId) -> usize {
        let worker = group.0 % self.queues.len() as u64;
        usize::try_from(worker).expect("less than a length")
    }

    /// Hand out one turn's tasks: one lock and one wake-up a worker, however many groups.
    pub(crate) fn push_all(&self, tasks: &mut Vec<ApplyTask>) {
        if let [only] = &*self.queues {
            return only.push_all(tasks.drain(..).map(ApplyInput::Task));
        }
        for (worker, queue) in self.queues.iter().enumerate() {
            let is_its = |task: &mut ApplyTask| self.worker_of(group_of(task)) == worker;
            let its: Vec<_> = tasks.extract_if(.., is_its).collect();
            if !its.is_empty() {
                queue.push_all(its.into_iter().map(ApplyInput::Task));
            }
        }
    }

    pub(crate) fn close(&self) {
        for queue in &*self.queues {
            queue.close();
        }
    }
}

pub(crate) fn group_of(task: &ApplyTask) -> RegionId {
    match *task {
        ApplyTask::Entries { group, .. }
        | ApplyTask::Read { group, .. }
        | ApplyTask::Snapshot { group, .. }
        | ApplyTask::Install { group, .. }
        | ApplyTask::Save { group }
        | ApplyTask::Contradicted { group, .. }
        | ApplyTask::Discard { group, .. }
        | ApplyTask::Destroy { group }
        | ApplyTask::Leading { group, .. }
        | ApplyTask::Following { group, .. } => group,
    }
}
