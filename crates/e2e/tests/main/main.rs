//! The real binary under real conditions: real sockets, real files, `kill -9`, nonsense.

mod chaos;
mod data;
mod nonsense;
mod quarantine;
mod stale_leader;

fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}
