//! One Raft group as a pure state machine: events in, effects out.

#![forbid(unsafe_code)]

mod batch;
mod config;
mod error;
mod node;
mod status;

pub use batch::{Batch, Notice, Outgoing, ReadId, ReadReady, Seq, StoreOp, StoredSnapshot};
pub use config::{Config, MembershipCodec, Restored};
pub use error::{ProposeError, ReadError, TransferError};
pub use node::Node;
pub use status::{PeerProgress, ProgressMode, RoleKind};
