//! Committed tasks read back from the log: JRaft's `readCommittedUserLog`.

use std::sync::mpsc::sync_channel;
use std::time::Duration;

use bytes::Bytes;
use kontiki_codec::payloads;
use kontiki_types::{EntryKind, Index};

use super::error::Error;
use super::node::Node;

/// How long the log may take to answer.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// Bytes read at once, one entry at least; entries without tasks are short.
const LOOK_BYTES: usize = 64 * 1024;

/// An entry of the log that holds tasks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UserLog {
    /// Where it stands.
    pub index: Index,
    /// The data of its tasks, in order of their slots.
    pub tasks: Vec<Bytes>,
}

impl Node {
    /// The first entry with tasks at `index` or after it, of those that this node has applied.
    /// Entries without tasks, a leader's first and configurations, are passed over. Waits for the
    /// thread that writes the log, at most two seconds.
    ///
    /// # Errors
    /// [`Error::LogIndexOutOfBounds`] when nothing is applied there yet; [`Error::LogCompacted`]
    /// when a snapshot has taken its place.
    pub fn read_committed_user_log(&self, index: Index) -> Result<UserLog, Error> {
        let status = self.status()?;
        let (first, applied) = (status.first, status.applied);
        let mut after = Index(index.0.max(1)).prev();
        while after < applied {
            if after.next() < first {
                return Err(Error::LogCompacted { first });
            }
            let (sender, receiver) = sync_channel(1);
            // Whoever gave up waiting does not want to know.
            let done = Box::new(move |entries| drop(sender.try_send(entries)));
            let range = (after, applied);
            self.host.0.node_host.look_at_log(self.group(), range, LOOK_BYTES, done);
            let found = receiver.recv_timeout(LOOK_TIMEOUT).map_err(|_| Error::TimedOut)?;
            // It was compacted since we asked how far it goes.
            let Some(entries) = found else {
                return Err(Error::LogCompacted { first: self.status()?.first });
            };
            if let Some(entry) = entries.iter().find(|entry| entry.kind == EntryKind::Normal) {
                let tasks = payloads::iter(&entry.data)
                    .map(|task| entry.data.slice_ref(task.unwrap_or_default()));
                return Ok(UserLog { index: entry.position.index, tasks: tasks.collect() });
            }
            after = entries.last().map_or(applied, |entry| entry.position.index);
        }
        Err(Error::LogIndexOutOfBounds { applied })
    }
}
