//! Snapshots that wait to be sent, in the order in which they were asked for.
//!
//! One is sent at a time and may take long. A leader that asks once more, in a newer term or
//! because it lost sight of the peer, has no use for what it asked for before: the newer offer
//! takes its place in the line, or a peer would be sent one stale snapshot after the other.

use std::collections::VecDeque;

use crate::OpenSnapshot;

/// See the module: at most one for each peer of a group.
#[derive(Default)]
pub struct Offers {
    waiting: VecDeque<OpenSnapshot>,
}

impl Offers {
    /// Let it wait. Gives the one that it takes the place of, which will not be sent.
    pub fn push(&mut self, offer: OpenSnapshot) -> Option<OpenSnapshot> {
        let is_same =
            |other: &&mut OpenSnapshot| (other.group, other.to) == (offer.group, offer.to);
        if let Some(older) = self.waiting.iter_mut().find(is_same) {
            return Some(std::mem::replace(older, offer));
        }
        self.waiting.push_back(offer);
        None
    }

    /// The next to be sent.
    pub fn pop(&mut self) -> Option<OpenSnapshot> {
        self.waiting.pop_front()
    }

    /// None waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kontiki_types::{PeerId, RegionId, SnapshotMeta, StoreId, Term};

    use super::*;
    use crate::{Error, SnapshotSource};

    struct Nothing;

    impl SnapshotSource for Nothing {
        fn meta(&mut self) -> Result<SnapshotMeta, Error> {
            Err(Error::Snapshot("nothing".to_owned()))
        }

        fn next_chunk(&mut self) -> Result<Option<Bytes>, Error> {
            Ok(None)
        }
    }

    fn offer(group: u64, to: u64, term: u64) -> OpenSnapshot {
        let (group, from, to) = (RegionId(group), PeerId(1), PeerId(to));
        let (store, term) = (StoreId(to.0), Term(term));
        OpenSnapshot { group, from, to, store, term, session: 1, source: Box::new(Nothing) }
    }

    #[test]
    fn a_newer_offer_takes_the_place_of_the_older_one_to_the_same_peer() {
        let mut offers = Offers::default();
        assert!(offers.push(offer(1, 2, 5)).is_none());
        assert!(offers.push(offer(1, 3, 5)).is_none(), "another peer");
        assert!(offers.push(offer(2, 2, 5)).is_none(), "another group");
        let older = offers.push(offer(1, 2, 6)).expect("the first");
        assert_eq!((older.group, older.to, older.term), (RegionId(1), PeerId(2), Term(5)));
        let next = offers.pop().expect("in the place of the first");
        assert_eq!((next.group, next.to, next.term), (RegionId(1), PeerId(2), Term(6)));
        let rest = std::iter::from_fn(|| offers.pop()).map(|offer| (offer.group.0, offer.to.0));
        assert_eq!(rest.collect::<Vec<_>>(), [(1, 3), (2, 2)]);
        assert!(offers.is_empty());
    }
}
