//! How the allocator treats memory that a store has freed: it keeps it for a while.
//!
//! Called first thing by `kontiki serve`. The load of a store comes in waves of a few milliseconds.
//! By default mimalloc gives what a wave has freed back to the system after ten, and the next wave
//! pays for getting it again, page by page: a fifth of the rate of puts. It reads this option from
//! the environment when a process starts, so a store that does not find it there starts anew.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// The option, and the milliseconds. The user's own value wins.
const PURGE_DELAY: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "1000");

/// Replaces this process by the same program with the same arguments and the option set; id, parent
/// and open files stay as they are. Returns when it is set already, or when the program cannot be
/// found any more: a store without the option is slower, and that is all.
pub(crate) fn keep_freed_memory() {
    let (name, value) = PURGE_DELAY;
    if std::env::var_os(name).is_some() {
        return;
    }
    let mut args = std::env::args_os();
    if let (Ok(program), Some(name_of_program)) = (std::env::current_exe(), args.next()) {
        let mut again = Command::new(program);
        // It only returns when it failed. Logging has not begun yet, and nothing is wrong.
        let _ = again.arg0(name_of_program).args(args).env(name, value).exec();
    }
}
