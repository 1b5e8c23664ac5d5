//! Many Raft groups as one pure event loop.
//!
//! A [`Shard`] owns any number of groups. The driver feeds it [`Event`]s with the moment they
//! happened and drains [`Effects`]; nothing in here knows a thread, a clock, a disk or a socket. In
//! production `kontiki-host` drives it with real threads, in simulation `kontiki-sim` drives the
//! very same code in virtual time.
//!
//! ```text
//!            propose, read, message, synced, applied …            (events)
//!                               │
//!                    ┌──────────▼──────────┐
//!                    │  Shard              │   one turn: any number of events,
//!                    │   group r1 ─ Node   │   then one drain of effects
//!                    │   group r2 ─ Node   │
//!                    └──┬──────┬───────┬───┘
//!          log task     │      │ send  │ apply tasks, in order      (effects)
//!          one a turn   ▼      ▼       ▼
//!                log writer  peers   Applier ─ StateMachine per group
//! ```
//!
//! What belongs together is done once per *turn*, not once per request: all proposals of a group
//! merge into one entry, all records of all groups into one log task (one sync), all
//! messages to one store into one frame, all reads of a group share one confirmation round.
//!
//! # Invariants
//! - A message that depends on durability leaves only with or after the log task it depends on.
//! - Apply tasks of a group leave in log order, each entry once; a read leaves only after the apply
//!   task of every entry it must see. Whoever executes tasks in order needs no further check.
//! - Every token given to an [`Event`] is answered exactly once: by the applier, by a [`Refused`]
//!   effect, or, where the event says so, by `accepted` or `changed`.
//! - A group that is destroyed is forgotten by the log first and by the applier last; nothing of it
//!   can reach one that is created under its id later.
//! - Every queue in here is bounded by a limit of [`ShardConfig`].

#![forbid(unsafe_code)]

mod agenda;
mod applier;
mod asking;
mod cache;
mod config;
mod effect;
mod engine_sync;
mod event;
mod group;
mod group_status;
mod held;
mod members;
mod membership;
mod offers;
mod payloads;
mod quarantined;
mod restore;
mod shard;
mod state_machine;
#[cfg(test)]
mod tests;
mod watch;

pub use applier::{Applier, OpenSnapshot, Round};
pub use config::ShardConfig;
pub use effect::{ApplyTask, Effects, LogTask, Outbound, Refused, TaskSeq, Unknown};
pub use engine_sync::EngineSyncConfig;
pub use event::Event;
pub use group::{Durability, Revival};
pub use group_status::GroupStatus;
pub use membership::membership_codec;
pub use payloads::{Iter as PayloadsIter, Payload, Payloads};
pub use quarantined::Quarantined;
pub use restore::{RestoreError, may_restore, restore};
pub use shard::{GroupSpec, Shard};
pub use state_machine::{Committed, CommittedKind, Error, SnapshotSource, StateMachine, Token};
pub use watch::STORES;
