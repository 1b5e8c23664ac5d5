//! The child's side of supervision: a store started by `playground` or `chaos` dies with it, even
//! when the parent was killed with SIGKILL and could not say good-bye.
//!
//! Called at the start of `kontiki serve` when the hidden flag `--parent-pid` is given.

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use crate::exit::Failure;

/// Asks the kernel to kill this process when its parent dies.
///
/// The signal is KILL: a store that was stopped with SIGSTOP would never act on a softer one, and
/// every store survives a kill. The parent may have died before the request was made, when nobody
/// would send the signal any more: so its id is checked afterwards.
pub(crate) fn die_with_parent(parent_pid: i32) -> Result<(), Failure> {
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| Failure::machine("cannot bind this store to its parent", error))?;
    let parent = getppid().map(|pid| pid.as_raw_nonzero().get());
    if parent != Some(parent_pid) {
        return Err(Failure::machine("not starting", format!("parent {parent_pid} is gone")));
    }
    Ok(())
}
