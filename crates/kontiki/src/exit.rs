//! How a command ends: the exit codes that `--help` documents, and the error a person reads.
//!
//! Every command returns `Result<(), Failure>`; `main` prints the failure and exits with its code.
//! A failure says what happened and, on a second line, what to do next.

use std::fmt::Display;
use std::process::ExitCode;

/// The exit codes, as `kontiki --help` shows them. A test holds the table against [`Code`].
pub(crate) const HELP: &str = "\
Exit codes:
  0  done
  1  not found, or the condition of a cas or put --if-absent was not met
  2  usage or bad input: nothing was sent, or the cluster refused the request as invalid
  3  unavailable or out of time: nothing was changed
  4  outcome unknown: the write may or may not have taken effect
  5  verification failed: data lost, doubled or stale (chaos), or answered with errors (bench)
  6  this machine: a file, a port, a data directory or a child process is not as it must be";

/// What an exit code stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Code {
    /// The key is not there, or a condition was not met.
    NotMet = 1,
    /// The request cannot be meant.
    Usage = 2,
    /// Nobody answered in time; nothing was changed.
    Unavailable = 3,
    /// Nobody answered in time; it may have taken effect.
    Unknown = 4,
    /// What was checked is not so.
    Verification = 5,
    /// A file, port, directory or process of this machine.
    Machine = 6,
}

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    /// How the process exits.
    pub(crate) code: Code,
    /// What happened; empty when the exit code says it all.
    pub(crate) message: String,
    /// What to do next.
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// A failure with a message.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// A request that cannot be meant.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, message)
    }

    /// Something about this machine: `doing` says what was tried, in the present tense.
    pub(crate) fn machine(doing: impl Display, why: impl Display) -> Self {
        Self::new(Code::Machine, format!("{doing}: {why}"))
    }

    /// The same failure with the next thing to do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_documented() {
        let codes = [
            Code::NotMet,
            Code::Usage,
            Code::Unavailable,
            Code::Unknown,
            Code::Verification,
            Code::Machine,
        ];
        for code in codes {
            let line = format!("\n  {}  ", code as u8);
            assert!(HELP.contains(&line), "{code:?}");
        }
    }
}
