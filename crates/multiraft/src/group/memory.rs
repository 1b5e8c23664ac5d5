//! What a group gives back of its memory: all it can in its sleep, and entries that others need the
//! room of. The end of its turn and `cache.rs` call it.

use super::Group;

impl Group {
    /// Nothing happens here for a while: give back what memory was kept for the next time.
    pub(super) fn shrink(&mut self) {
        self.proposals.shrink_to_fit();
        self.waiting.shrink_to_fit();
        self.in_flight.shrink_to_fit();
        self.gated.shrink_to_fit();
        self.transfers.shrink_to_fit();
        self.node.shrink();
    }

    /// Others need the room of the older half of the entries in memory; of what is not needed
    /// soon, or, when that is urgent, of all.
    pub(crate) fn give_half(&mut self, is_urgent: bool) {
        let half = self.node.cached_bytes() / 2;
        if is_urgent {
            self.node.evict_even_needed(half);
        } else {
            self.node.evict(half);
        }
    }
}
