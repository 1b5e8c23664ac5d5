//! Ways to break the log on purpose, so that its tests are seen to catch them.
//!
//! Only test builds, and those for the simulator's mutation check, can break anything; in every
//! other build the answer is a constant and the compiler removes the question.

/// A mechanism that a test may switch off for its own thread: what it does then.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Broken {
    /// Checksums know nothing of the segment's incarnation and number.
    Salt,
    /// Recovery does not look at what later frames knew to be durable.
    Watermark,
    /// Recovery leaves the frames behind a torn one where they are.
    Erase,
    /// Old segments are freed without waiting for the note of it to be durable.
    Barrier,
    /// A segment is put into use before the previous one is synced.
    SyncAtRotation,
    /// Sections do not tell which section of their group came before.
    Chain,
    /// A failed sync is forgotten.
    Poison,
}

#[cfg(test)]
thread_local! {
    static BROKEN: std::cell::Cell<Option<Broken>> = const { std::cell::Cell::new(None) };
}

/// Runs `test` with one mechanism switched off.
#[cfg(test)]
pub(crate) fn with<T>(broken: Broken, test: impl FnOnce() -> T) -> T {
    BROKEN.set(Some(broken));
    let result = test();
    BROKEN.set(None);
    result
}

/// Whether this mechanism is switched off.
#[cfg(test)]
pub(crate) fn is(broken: Broken) -> bool {
    BROKEN.get() == Some(broken)
}

/// Whether the simulator's mutation check switched this mechanism off; never in a product.
#[cfg(not(test))]
pub(crate) fn is(broken: Broken) -> bool {
    use kontiki_types::mutants::{self, Mutant};

    match broken {
        Broken::Watermark => mutants::is_on(Mutant::LogTornAnywhere),
        Broken::Erase => mutants::is_on(Mutant::LogKeepsTorn),
        Broken::Barrier => mutants::is_on(Mutant::LogFreesEarly),
        Broken::SyncAtRotation => mutants::is_on(Mutant::LogRotatesUnsynced),
        Broken::Poison => mutants::is_on(Mutant::LogSyncErrorForgotten),
        Broken::Salt | Broken::Chain => false,
    }
}
