//! One Raft group as a pure state machine: events in, effects out.
//!
//! A [`Node`] is one replica of one group. It knows no clock, thread, socket, file or randomness of
//! its own: the driver (`kontiki-multiraft`, a test, the simulator) tells it what happened and at
//! which moment, and drains what is to be done. One seed gives one behaviour.
//!
//! ```text
//!  step (a message)      propose    read    transfer    change     on_time      on_persisted …
//!        └──────────────────┴──────────┴────┬──────┴─────────────┴──────────────┘
//!                                        ┌──▼───┐
//!                                        │ Node │      one turn: any number of inputs,
//!                                        └──┬───┘      then one `take`
//!        ┌─────────────┬───────────┬────────┴────┬──────────────┐
//!      store         send        apply         reads         notices          (a `Batch`)
//! ```
//!
//! # Method grammar
//! Inputs are `step`, `propose`, `read`, `transfer`, `change`, `reset_peers`, `campaign`,
//! `step_down`, `wake`, `set_priority` and `on_*`; outputs are `take` and `next_deadline`;
//! everything else is a getter. Inputs that can be refused say so at once, typed; a refused input
//! changed nothing.
//!
//! # Roles
//!
//! ```text
//!             no leader for [T, 2T)            a quorum would vote
//!  Follower ───────────────────▶ PreCandidate ───────────────────▶ Candidate
//!     ▲  ▲                            │ a leader, a newer term         │ a quorum voted
//!     │  └────────────────────────────┴────────────────────────────────┤
//!     │                                                                ▼
//!     └───────── a newer term, no quorum heard for T, no vote ────── Leader
//! ```
//!
//! A role owns its state, so a follower has no progress to misuse; its handlers return a
//! transition, and one function carries transitions out (`roles/`).
//!
//! # What may leave before what is durable
//!
//! | message | leaves | why |
//! |---|---|---|
//! | append, heartbeat, read round, TimeoutNow of a leader | at once | its term and vote were durable before it could win |
//! | the leader's word for its own log | once its entries are durable | it counts itself like any follower |
//! | answer to an append or a snapshot | once what it acknowledges is durable | acknowledged means durable |
//! | vote request, answer to one | once term and vote are durable | or a crash could vote twice (jraft#1245) |
//! | pre-vote, its answer | at once | changes no state |
//!
//! Each message names the store operation it waits for ([`Outgoing::after`]), so the driver needs
//! no knowledge of Raft. Durability is tracked by marks (`durability.rs`): a completed write counts
//! only for entries that nothing has replaced since.
//!
//! # Invariants
//! - At most one leader a term; a vote never changes within a term.
//! - Terms, the commit index and what is handed out to apply never go back.
//! - Only entries of the leader's own term are committed by counting (Raft §5.4.2).
//! - Two neighbouring configurations share a peer of every two quorums, and the next one comes only
//!   once the one before is committed (`membership/`).
//! - An acknowledgement is believed only in the session it belongs to: a progress that began anew
//!   (another reign, another process) is not moved by words to the one before.
//! - A read is released only by a quorum that answered after it was asked (or, if it asks for that,
//!   by a lease that a quorum still owes), and only after an entry of the leader's own term is
//!   committed.
//!
//! `invariants.rs` checks one node after every event in tests; `testing/` checks a whole group.
//!
//! Reading order: [`Batch`] and [`Config`], [`Node`], `roles/`, `log.rs`, `replication/`,
//! `quorum/`, `read/`, `membership/`, `durability.rs`, `transfer.rs`, `priority.rs`,
//! `hibernate.rs`, `fetch.rs`.

#![forbid(unsafe_code)]

mod applying;
mod batch;
mod config;
mod contradiction;
pub mod describe;
mod durability;
mod election;
mod error;
mod fetch;
mod hibernate;
mod install;
#[cfg(any(test, feature = "testing"))]
pub mod invariants;
pub mod limits;
mod log;
mod membership;
mod node;
mod options;
mod outbox;
mod priority;
mod quorum;
mod read;
mod replication;
mod roles;
mod shared;
mod status;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod transfer;

pub use batch::{
    Batch, ChangeStage, Fetch, Notice, Outgoing, ReadId, ReadReady, Seq, StoreOp, StoredSnapshot,
    TransferOutcome,
};
pub use config::{Config, MembershipCodec, Restored};
pub use contradiction::Contradiction;
pub use error::{ChangeError, ChangeFailure, ProposeError, ReadError, ResetError, TransferError};
pub use node::Node;
pub use options::Options;
pub use priority::Priority;
pub use roles::cause::Cause;
pub use status::{PeerProgress, ProgressMode, RoleKind, SentCounts};
