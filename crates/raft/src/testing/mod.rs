//! A whole group in one struct, for tests and simulation: nodes, disks that lose what is not
//! synced, state machines, and a network that does what it is told.
//!
//! Nothing happens by itself: every delivery, sync and apply is a call, so a test decides the
//! order and a random schedule finds the rest. After every event [`crate::invariants`] are checked
//! on the node it touched, and the rules of [`safety`] over the group. Every event can be rendered
//! as a line of [`group::Group::take_trace`], in the words of [`crate::describe`].

pub mod codec;
pub mod disk;
pub mod group;
pub mod machine;
pub mod network;
pub mod safety;
