//! Exactly once: what a region remembers about its clients so that a retry has no second effect.
//!
//! Every write carries (client, request, lowest outstanding request). The first time a request is
//! applied, its outcome is remembered; the next time, the outcome is the answer (RIFL, Lee et al.
//! 2015). The memory is bounded: outcomes below `lowest` are dropped, unused sessions expire by
//! the time their region lived, and there are limits on outcomes, bytes and sessions.
//!
//! ```text
//!  in memory   Sessions (table.rs)          the whole truth, changed by begin() and remember()
//!  in engine   session rows                 as of the last fold
//!              outcome records              what happened since, one per engine batch (persist.rs)
//!  at open     rows, then records replayed  = Sessions again (load.rs)
//! ```
//!
//! What must be remembered:
//! - `begin` depends on nothing but the table and the payload's header, and `remember` only adds;
//!   so replaying records gives the same table on every replica and after every crash.
//! - Refusals are not remembered: they changed nothing, and a retry (under a newer epoch, in an
//!   opened session) may succeed.

pub(crate) mod load;
pub(crate) mod persist;
mod table;

pub(crate) use table::{Known, Sessions, outcome_bytes};
