//! The `kontiki` binary: store, client and tools in one. Parses the command line, calls the
//! libraries, prints. No logic of the store, and no rule of consistency, lives here.
//!
//! | folder | what |
//! |---|---|
//! | [`cmd`] | one file per command |
//! | [`supervise`] | a cluster of child processes, for `playground` and `chaos` |
//! | [`chaos`] | the torment and the proof that nothing was lost |
//! | [`records`] | the files that `load` reads and `dump` writes |

#![forbid(unsafe_code)]

mod allocator;
mod bytes_arg;
mod bytes_text;
mod chaos;
mod cli;
mod cmd;
mod connect;
mod duration_arg;
mod exit;
mod output;
mod records;
mod supervise;

use std::io::Write;
use std::process::ExitCode;

use exit::Failure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure);
            failure.code.into()
        }
    }
}

/// Prints a failure. Standard error may be gone; the exit code then has to do.
fn complain(failure: &Failure) {
    if failure.message.is_empty() {
        return;
    }
    let (red, dim, reset) = if output::stderr_is_coloured() {
        ("\x1b[1;31m", "\x1b[2m", "\x1b[0m")
    } else {
        ("", "", "")
    };
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "{red}error:{reset} {}", failure.message);
    if let Some(hint) = &failure.hint {
        let _ = writeln!(stderr, "{dim}hint:{reset} {hint}");
    }
}
