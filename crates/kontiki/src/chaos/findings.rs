//! What chaos found wrong, counted by kind, the first of each described. Shared by all tasks.

use std::sync::Mutex;

/// How many findings are described; all are counted.
const DESCRIBED_MAX: usize = 20;

/// What is wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// An acknowledged write is not there.
    Lost,
    /// Something took effect more often than it may, or was never asked for.
    Doubled,
    /// A read showed what was over when it began.
    StaleRead,
    /// A store ended by itself.
    Crash,
}

/// All findings of a run.
#[derive(Default, Debug)]
pub(crate) struct Findings {
    inner: Mutex<Inner>,
}

#[derive(Default, Debug)]
struct Inner {
    counts: [u64; 4],
    described: Vec<(Kind, String)>,
}

impl Findings {
    /// Notes a finding that counts for `count`.
    pub(crate) fn add(&self, kind: Kind, count: u64, what: String) {
        let mut inner = self.inner.lock().expect("no task panics while it notes a finding");
        inner.counts[kind as usize] += count;
        if inner.described.len() < DESCRIBED_MAX {
            inner.described.push((kind, what));
        }
    }

    /// How much was found of a kind.
    pub(crate) fn count(&self, kind: Kind) -> u64 {
        self.inner.lock().expect("no task panics while it notes a finding").counts[kind as usize]
    }

    /// The first findings, in words.
    pub(crate) fn described(&self) -> Vec<String> {
        let inner = self.inner.lock().expect("no task panics while it notes a finding");
        inner.described.iter().map(|(kind, what)| format!("{kind:?}: {what}")).collect()
    }
}
