//! The latch that stops an engine for good after its first failed write or sync.
//!
//! After a failed write or sync nobody knows what is on disk: a retry that "succeeds" may have
//! lost what came before it (the lesson of fsync errors that are reported once). So every engine
//! asks this latch before it writes or syncs, and nothing ever opens it again.

use std::sync::OnceLock;

use crate::Error;

/// Closed until the first failure, then open for ever; shared by all threads of one engine.
#[derive(Debug, Default)]
pub struct Poison {
    reason: OnceLock<String>,
}

impl Poison {
    /// Fine as long as nothing has failed.
    ///
    /// # Errors
    ///
    /// [`Error::Poisoned`] with the first failure, ever after it.
    pub fn check(&self) -> Result<(), Error> {
        match self.reason.get() {
            None => Ok(()),
            Some(reason) => Err(Error::Poisoned { reason: reason.clone() }),
        }
    }

    /// Passes the outcome of a write or sync through and remembers the first failure.
    ///
    /// # Errors
    ///
    /// The error that came in.
    pub fn guard<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        outcome.inspect_err(|error| self.spill(error))
    }

    /// Remembers a failure; only the first one is kept.
    pub fn spill(&self, error: &Error) {
        // A second failure loses the race on purpose: the first one is the cause.
        let _ = self.reason.set(error.to_string());
    }

    /// Whether a failure has been seen.
    pub fn is_poisoned(&self) -> bool {
        self.reason.get().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::Poison;
    use crate::Error;

    #[test]
    fn the_first_failure_stays() {
        let poison = Poison::default();
        assert!(poison.guard(Ok(1)).is_ok());
        assert!(poison.check().is_ok());

        assert!(poison.guard::<()>(Err(Error::damaged("first"))).is_err());
        assert!(poison.guard::<()>(Err(Error::damaged("second"))).is_err());

        let Err(Error::Poisoned { reason }) = poison.check() else { panic!("not poisoned") };
        assert!(reason.contains("first"), "{reason}");
    }
}
