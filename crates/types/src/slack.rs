//! How much memory a queue keeps for the next time.
//!
//! Called where what a queue holds has become less, by the logs of Raft and of the disk: one burst
//! of small entries would otherwise cost each group its memory for good.

use std::collections::VecDeque;

/// A queue keeps room for this many times what it holds.
const ROOM: usize = 4;
/// And for so many items in any case.
const ITEMS_MIN: usize = 64;

/// Give back what a queue keeps beyond that. To move what is left costs less than it did to bring
/// in what has gone.
pub fn trim<T>(queue: &mut VecDeque<T>) {
    let holds = queue.len().max(ITEMS_MIN);
    if queue.capacity() > ROOM * holds {
        queue.shrink_to(ROOM / 2 * holds);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_that_was_long_gives_its_memory_back_and_a_short_one_is_left_alone() {
        let mut queue: VecDeque<u32> = (0..100_000).collect();
        queue.drain(..90_000);
        trim(&mut queue);
        assert!(queue.capacity() < 40_000, "room for {}", queue.capacity());
        assert!(queue.iter().copied().eq(90_000..100_000));
        queue.clear();
        trim(&mut queue);
        let room = queue.capacity();
        assert!((ITEMS_MIN..=ROOM * ITEMS_MIN).contains(&room), "room for {room}");
        queue.extend(0..200);
        queue.clear();
        let room = queue.capacity();
        trim(&mut queue);
        assert_eq!(queue.capacity(), room, "what it needs again and again is kept");
    }
}
