//! The state machine of one peer: the list of payloads it applied, and how far it is.
//!
//! Like an engine behind the log it may forget, in a crash, whatever was applied since its last
//! sync; replay must bring it back.

use bytes::Bytes;
use kontiki_types::{Entry, EntryKind, Position, SnapshotMeta};

/// State as of a position.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct State {
    /// The last entry applied.
    pub position: Position,
    /// The payloads, in order.
    pub payloads: Vec<Bytes>,
    /// The snapshot it was last installed from.
    pub installed: Option<SnapshotMeta>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    state: State,
    synced: State,
    /// Handed over and not applied yet.
    pub queue: Vec<Entry>,
}

impl Machine {
    /// A machine that holds nothing, as of this position.
    pub fn new(position: Position) -> Self {
        let state = State { position, ..State::default() };
        Self { synced: state.clone(), state, queue: Vec::new() }
    }

    /// The state as applied.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Apply what was handed over; the entries.
    pub fn apply(&mut self) -> Vec<Entry> {
        let entries = std::mem::take(&mut self.queue);
        for entry in &entries {
            let (before, position) = (self.state.position, entry.position);
            assert_eq!(position.index, before.index.next(), "applied {position} after {before}");
            self.state.position = position;
            if entry.kind == EntryKind::Normal {
                self.state.payloads.push(entry.data.clone());
            }
        }
        entries
    }

    /// Everything applied so far survives a crash.
    pub fn sync(&mut self) {
        self.synced = self.state.clone();
    }

    /// Become what a snapshot holds, durably.
    pub fn install(&mut self, mut state: State, meta: SnapshotMeta) {
        assert!(self.queue.is_empty(), "installing while {:?} waits to be applied", self.queue);
        state.installed = Some(meta);
        self.state = state;
        self.sync();
    }

    /// Power is lost.
    pub fn crash(&mut self) {
        self.queue.clear();
        self.state = self.synced.clone();
    }
}
