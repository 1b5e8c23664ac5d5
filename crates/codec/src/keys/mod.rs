//! Where rows stand in the engine. Two submodules, one per kind of row:
//!
//! - [`user`]: rows of the default family, under the full key of the ordered space;
//! - [`meta`]: the store's own rows, in the meta family.
//!
//! The one function that says which rows belong to a region is [`user::region_rows`].

pub mod meta;
pub mod user;

pub use meta::{MetaKey, RegionRow};
pub use user::{Keyspace, raw_key, raw_range, user_key};
