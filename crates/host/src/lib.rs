//! Many Raft groups in a process: the threads, clocks, files and sockets around the pure crates.
//!
//! Everything that decides anything lives below, in `kontiki-multiraft`, `-raft` and `-log`; this
//! crate moves values between threads. It is the only home of the data path's threads:
//!
//! | thread | does | wakes |
//! |---|---|---|
//! | `shard` | drains its mailbox, lets the shard think, executes effects | log, apply, transport |
//! | `log` | one frame and one fdatasync for all that queued up; sends what waited for it | shard, transport |
//! | `apply` | one engine batch for all that queued up; replies; serves reads | shard, callers |
//! | `background` | engine syncs, deferred work | shard |
//! | `segments` | pre-writes log segments, removes freed ones | – |
//! | `installs` | installs snapshots from peers, where a worker need not wait for that | apply |
//! | `snapshots` | streams snapshots to peers that fell behind | shard |
//! | `lane-sN`, `peer` | keep connections to other stores open; read what they say ([`tcp`]) | shard |
//!
//! Whoever is busy finds several items waiting when it is done: batches form by themselves.
//!
//! # Invariants
//! - Nothing is acknowledged that is not durable on a quorum: messages that say so are sent by the
//!   log writer after its sync, replies come from the apply worker after the commit.
//! - After a failed write or sync nothing is acknowledged any more; `Options::on_fatal` is called.
//! - No thread of the data path waits for a socket, a snapshot or an engine sync.

#![forbid(unsafe_code)]

mod apply_queues;
mod apply_worker;
mod background;
mod clock;
pub mod disk;
mod fatal;
mod host_thread;
mod installer;
pub mod library;
mod log_writer;
mod mailbox;
pub mod metrics;
mod node_host;
mod outbox;
mod segment_keeper;
mod shard_thread;
mod snapshot_receiver;
mod snapshot_sender;
mod spool;
pub mod tcp;
mod transport;
mod turns;
mod waiters;

pub use background::{Background, SyncEngine};
pub use fatal::OnFatal;
pub use installer::Installs;
pub use log_writer::LogStatus;
pub use node_host::{
    HostedGroup, JoiningGroup, NodeHost, OnNotice, Options, StartError, Succession,
};
pub use snapshot_receiver::SnapshotReceiver;
pub use transport::{Class, SnapshotPipe, Transport};
pub use waiters::{ChangeDone, ProposeDone, ReadDone, TransferDone};
