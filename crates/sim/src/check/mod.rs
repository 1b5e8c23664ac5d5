//! The judges: what must hold in every run, checked as it goes or at its end.
//!
//! Reading order: [`shadow`] (what a log must hold, kept apart from the log), [`safety`] (the rules
//! of Raft across all stores, after every turn), [`group`] (what is known of one group),
//! [`history`] (what clients were told).

pub mod group;
pub mod history;
mod memberships;
pub mod safety;
pub mod shadow;

pub use history::{Added, AdditionId, Book};
pub use safety::Safety;
pub use shadow::{Logs, ShadowLog};
