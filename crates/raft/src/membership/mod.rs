//! Who belongs to the group, and how that changes (Raft §6, thesis §4).
//!
//! In effect is the newest configuration entry in the log, committed or not (thesis §4.1): a peer
//! never acts on less than it knows, and no second path can be behind (etcd#12133, etcd#12359).
//! [`stack`] remembers the older ones, so that truncation can go back.
//!
//! # A change, from the leader's side
//!
//! ```text
//!  change ──▶ catching up ──▶ joint entry ──committed──▶ final entry ──committed──▶ done
//!               │      └────── straight, when at most one vote changes ──┘
//!               └─ a new voter fell silent, or the group would wait for an old one:
//!                  failed, and nothing was changed
//! ```
//!
//! [`plan`] judges a change and says which configurations it passes through; [`change`] carries it
//! out; [`reset`] is the way out when no majority is left; [`removal`] is how a peer learns that it
//! belongs to the group no more.
//!
//! # Rules
//! - A configuration follows the one before only once that, and an entry of the leader's own term,
//!   is committed (the single-server bug: openraft#2051).
//! - Two neighbouring configurations share a quorum of every quorum: at most one vote apart, or one
//!   of them is joint with the other as a half.
//! - A leader that finds a joint configuration leaves it, whoever entered it (etcd#12136), and not
//!   before it is committed by both halves (camunda#60086).
//! - Whoever belongs to a configuration that may yet decide is fed, removed peers too, until the
//!   one without them is committed (camunda#57390).
//! - Whoever has a vote in a configuration that may yet decide may campaign, although the newest
//!   took that vote (openraft#2091): it can have the only log that ends the change.
//! - A leader without a vote in the committed configuration leads no more.

pub(crate) mod change;
pub(crate) mod plan;
pub(crate) mod removal;
pub(crate) mod reset;
pub(crate) mod stack;
