//! Everything there is to say about a replica, for people.

use kontiki_types::Moment;

use super::Group;

impl Group {
    /// What its node tells, and who waits here. Without the last newline.
    pub(crate) fn report(&self, now: Moment) -> String {
        let callers: usize = self.waiting.iter().map(|entry| entry.tokens.len()).sum();
        let reads: usize = self.reads.len();
        format!(
            "{}\n  part: {:?}; log operations under way: {}; messages that wait for them: {}\n  \
             callers: {callers} proposals of {} bytes, {reads} confirmed reads, {} transfers\n  \
             handed to the state machine up to {}, {} bytes not reported; durable up to {}",
            self.node.report(now),
            self.part,
            self.in_flight.len(),
            self.gated.len(),
            self.waiting_bytes,
            self.transfers.len(),
            self.dispatched,
            self.unapplied_bytes,
            self.durable_applied,
        )
    }
}
