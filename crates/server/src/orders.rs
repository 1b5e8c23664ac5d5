//! Commands a store proposes on its own behalf: a client session of the process itself.

use std::sync::atomic::{AtomicU64, Ordering};

use kontiki_types::{ClientId, Command, Epoch, Header, RequestId, WriteBatch};

use crate::wall_clock::wall_ms;

/// Orders that may be under way at once; an older one is taken for answered.
const CONCURRENT_MAX: u64 = 64;

/// The session.
#[derive(Debug)]
pub(crate) struct Orders {
    client: ClientId,
    next: AtomicU64,
}

impl Orders {
    /// A session under a client id drawn at random.
    pub(crate) fn new(client: ClientId) -> Self {
        Self { client, next: AtomicU64::new(1) }
    }

    /// A batch of one command. Orders are never retried; only those that may still be on their way
    /// are remembered.
    pub(crate) fn batch(&self, epoch: Epoch, command: Command) -> WriteBatch {
        let id = RequestId(self.next.fetch_add(1, Ordering::Relaxed));
        let (client, lowest) = (self.client, RequestId(id.0.saturating_sub(CONCURRENT_MAX)));
        WriteBatch {
            header: Header { client, lowest, open: true, epoch, wall_ms: wall_ms() },
            commands: vec![(id, command)],
        }
    }
}
