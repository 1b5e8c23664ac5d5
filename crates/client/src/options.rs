//! What a user may choose about a client, with defaults that need no choice.

use std::time::Duration;

/// How fresh a read must be.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub enum ReadMode {
    /// Sees every write that was acknowledged before the read began.
    #[default]
    Linearizable,
    /// Sees some earlier state: any replica answers at once from what it has applied.
    Stale,
}

/// Options of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// How long a call may take, retries included, unless the handle says otherwise.
    pub deadline: Duration,
    /// How fresh reads must be, unless the handle says otherwise.
    pub read_mode: ReadMode,
    /// How long connecting to one store may take before another one is tried.
    pub connect_timeout: Duration,
    /// How long one store may leave a request unanswered before it is sent elsewhere. Writes keep
    /// their request id, so they still take effect once.
    pub attempt_timeout: Duration,
    /// Most calls under way; further callers wait for one to finish, within their deadline.
    pub calls_max: usize,
    /// Seed of client ids and jitter; drawn from the operating system when not given.
    pub seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(10),
            read_mode: ReadMode::Linearizable,
            connect_timeout: Duration::from_secs(1),
            attempt_timeout: Duration::from_secs(1),
            calls_max: 16 * 1024,
            seed: None,
        }
    }
}
