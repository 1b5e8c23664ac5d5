//! The words of Kontiki: ids, positions, entries, peer messages, regions, commands, limits.
//!
//! Every other crate speaks in these. There is no behaviour here beyond small arithmetic and
//! predicates, no I/O, and no serialization: bytes are made in `kontiki-codec` (disk and peers)
//! and `kontiki-proto` (clients) and nowhere else.
//!
//! Reading order: [`id`], [`position`], [`time`], [`entry`], [`membership`], [`change`],
//! [`message`] (what a Raft group speaks), then [`key`], [`region`], [`region_time`], [`command`],
//! [`outcome`] (what the store speaks), and [`limits`]. [`slack`] is about memory, [`mutants`] for
//! the simulator alone.

#![forbid(unsafe_code)]

pub mod change;
pub mod command;
pub mod entry;
pub mod id;
pub mod key;
pub mod limits;
pub mod membership;
pub mod message;
pub mod mutants;
pub mod outcome;
pub mod position;
pub mod region;
pub mod region_time;
pub mod slack;
pub mod time;

pub use change::{MembershipChange, PeerChange};
pub use command::{Command, Header, WriteBatch};
pub use entry::{Entry, EntryKind, HardState, SnapshotMeta};
pub use id::{ClientId, ClusterId, PeerId, RegionId, RequestId, StoreId};
pub use key::KeyRange;
pub use membership::{Membership, PeerRole};
pub use message::{AppendOutcome, Body, Message, ReadMode};
pub use outcome::{Outcome, Refusal};
pub use position::{Index, Position, Term};
pub use region::{Epoch, Peer, Region};
pub use region_time::RegionTime;
pub use time::Moment;
