//! What a user replicates: the contract between the library and a state machine in memory.
//!
//! The library calls it from one thread at a time. Only `apply` must be written; the snapshot
//! methods bound the log and the time of a restart, the callbacks are there for those who need
//! them. A state machine starts empty: after a restart the library loads the newest snapshot into
//! it and replays the log from there.

use kontiki_raft::Cause;
use kontiki_types::{Index, Membership, PeerId, StoreId, Term};

use super::entries::Entries;
use super::error::Error;
use super::snapshot::{SnapshotReader, SnapshotWriter};

/// Why user code could not go on. Anything that is an error fits: `?` makes one.
pub type MachineError = Box<dyn std::error::Error + Send + Sync>;

/// Writes a snapshot of the state as it was when it was made, on a thread of its own, while the
/// state machine goes on.
pub type SaveSnapshot = Box<dyn FnOnce(&mut SnapshotWriter) -> Result<(), MachineError> + Send>;

/// A deterministic state machine, replicated to every node of a group.
///
/// What `apply` does must depend on nothing but the entries and the state before them: no clock,
/// no randomness, no iteration order of a hash map. What is wrong with a *request* is a reply; an
/// error or a panic means that this replica cannot go on, and puts its node into the error state.
pub trait StateMachine: Send + 'static {
    /// Apply these entries in order, all of them. The batch counts as applied when this returns.
    ///
    /// # Errors
    /// This replica cannot go on: `on_error` is called, nothing more is applied, and a leader
    /// hands over, until the node is recovered. Callers whose tasks of this batch have no reply yet
    /// are told [`Error::OutcomeUnknown`], for the other nodes apply them.
    fn apply(&mut self, entries: &mut Entries<'_>) -> Result<(), MachineError>;

    /// Prepare a snapshot of the current state: quickly, `apply` waits for it. The function it
    /// returns writes it at leisure: give it a copy, or something shared that does not change.
    ///
    /// # Errors
    /// There is no snapshot now; it is tried again at the next occasion.
    fn save_snapshot(&self) -> Result<SaveSnapshot, MachineError> {
        Err("this state machine makes no snapshots".into())
    }

    /// Replace the whole state by a snapshot.
    ///
    /// # Errors
    /// This replica cannot go on.
    fn load_snapshot(&mut self, _snapshot: &mut SnapshotReader) -> Result<(), MachineError> {
        Err("this state machine loads no snapshots".into())
    }

    /// This node leads, and has applied everything from before its reign.
    fn on_leader_start(&mut self, _term: Term) {}

    /// This node leads no more.
    fn on_leader_stop(&mut self, _term: Term, _why: Cause) {}

    /// This node follows another from now on.
    fn on_start_following(&mut self, _leader: &Following) {}

    /// This node follows that leader no more.
    fn on_stop_following(&mut self, _leader: &Following, _why: Cause) {}

    /// A membership is committed.
    fn on_configuration_committed(&mut self, _index: Index, _membership: &Membership) {}

    /// The node entered its error state. Called once, and nothing is applied after it.
    fn on_error(&mut self, _error: &Error) {}

    /// The node was shut down. Nothing is called after it.
    fn on_shutdown(&mut self) {}
}

/// Whom a node follows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Following {
    /// The leader.
    pub peer: PeerId,
    /// The store it lives on.
    pub store: StoreId,
    /// Its term.
    pub term: Term,
}
