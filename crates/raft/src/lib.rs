//! One Raft group as a pure state machine: events in, effects out.

#![forbid(unsafe_code)]

mod applying;
mod batch;
mod config;
pub mod describe;
mod durability;
mod election;
mod error;
mod install;
#[cfg(any(test, feature = "testing"))]
pub mod invariants;
mod limits;
mod log;
mod membership;
mod node;
mod outbox;
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

pub use batch::{Batch, Notice, Outgoing, ReadId, ReadReady, Seq, StoreOp, StoredSnapshot};
pub use config::{Config, MembershipCodec, Restored};
pub use error::{ProposeError, ReadError, TransferError};
pub use node::Node;
pub use status::{PeerProgress, ProgressMode, RoleKind};
