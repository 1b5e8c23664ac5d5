//! The Raft library: replicate a state machine of your own, with any number of groups in a process.
//!
//! What a user needs, in the order in which it is met: a [`StateMachine`], a [`Host`] for the
//! process, a [`Node`] for each group, a [`Task`] for each write. The guide,
//! `docs/guide/raft-library.md`, goes the whole way.
//!
//! ```text
//!  Task ─▶ Node::apply ─▶ NodeHost: shard, log, peers ─▶ apply worker ─▶ Adapter ─▶ Replica
//!                                                                                      │ lock
//!            Done ◀────────────────────────────── StateMachine::apply(Entries) ◀───────┘
//! ```
//!
//! What waits for threads of a host is not done on one, which is where callbacks and completions
//! run: to create, recover or destroy a node there is refused with [`Error::OnHostThread`], and a
//! host or a node that is shut down there ends soon after the call. With its last handle, every
//! [`Node`] included, a host is shut down too.
//!
//! Everything that decides lies below, in the crates that know no thread. In here: user code is
//! fenced in, completions are brought to it, snapshots are files. Reading order: `state_machine`,
//! `task`, `host`, `node`; then `replica`, where it all meets.

#[cfg(doctest)]
#[doc = include_str!("../../../../docs/guide/raft-library.md")]
mod guide {}

mod adapter;
mod bounds;
mod calls;
mod cli;
mod configuration;
mod destroy;
mod entries;
mod error;
mod handle;
mod host;
mod lanes;
mod members;
mod memory_network;
mod node;
mod options;
mod raft_options;
mod replica;
mod snapshot;
mod state_machine;
mod task;
mod tcp_network;
mod user_log;

pub use bounds::{
    APPLY_WORKERS_MAX, ELECTION_TIMEOUT_MAX, ELECTION_TIMEOUT_MIN, HEARTBEAT_INTERVAL_MIN,
    LOG_CACHE_BYTES_ALL_MIN, LOG_SEGMENT_BYTES_MIN, SNAPSHOT_BYTES_PER_SECOND_MIN,
    SNAPSHOT_INTERVAL_MIN,
};
pub use cli::{CliOptions, CliService, RouteTable};
pub use configuration::{Configuration, Member};
pub use entries::{AppliedTask, Entries};
pub use error::Error;
pub use handle::{Handle, Promise, promised};
pub use host::{GroupId, Host};
pub use kontiki_raft::{Cause, Contradiction};
pub use kontiki_types::ReadMode;
pub use memory_network::MemoryNetwork;
pub use node::{Node, NodeState, Successor};
pub use options::{ELECTION_HEARTBEAT_FACTOR, ELECTION_TIMEOUT, HostOptions, Network, NodeOptions};
pub use raft_options::RaftOptions;
pub use snapshot::{SnapshotFile, SnapshotRead, SnapshotReader, SnapshotWriter};
pub use state_machine::{Following, MachineError, SaveSnapshot, StateMachine};
pub use task::{Done, TASK_BYTES_MAX, Task};
pub use user_log::UserLog;
