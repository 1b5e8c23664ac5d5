//! Shards and appliers of several stores in one struct: what only shows where groups come, change
//! and go; and single shards, event by event. How one group behaves is tested in `kontiki_raft`.

mod compaction;
mod handover;
mod idle;
mod machine;
mod membership;
mod overload;
mod quarantine;
mod reads;
mod snapshot_line;
mod stores;
mod successor;
mod target;
