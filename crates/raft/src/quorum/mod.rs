//! Who must agree. Every decision of a group is an order statistic or a vote count over the voters
//! of its membership, taken in both halves while a change is under way (Raft §6).
//!
//! [`majority`] decides among one set of voters, [`joint`] over both halves of a membership.

pub(crate) mod joint;
pub(crate) mod majority;

/// The state of an election among some voters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Tally {
    /// A majority refused: no longer winnable.
    Lost,
    /// Still open.
    Pending,
    /// A majority granted.
    Won,
}
