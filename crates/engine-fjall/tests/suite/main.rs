//! The fjall engine against the contract, real crashes, damage, and threads.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod conformance;
mod damage;
mod kill;
mod opening;
mod threads;

use std::path::Path;

use tempfile::TempDir;

/// An empty directory in memory where the system has one: these tests crash processes and copy
/// files, they do not wait for disks.
fn directory() -> TempDir {
    const IN_MEMORY: &str = "/dev/shm";
    if Path::new(IN_MEMORY).is_dir()
        && let Ok(directory) = TempDir::new_in(IN_MEMORY)
    {
        return directory;
    }
    TempDir::new().unwrap()
}
