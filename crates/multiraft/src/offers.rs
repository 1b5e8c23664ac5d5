//! Snapshots that leaders here want sent, in the order in which they were asked for.
//!
//! One is under way at a time, which is the throttle: a store that must seed many peers does not
//! starve its own work. It may take long, so the next one is opened only when its turn has come: a
//! view taken while it waited would be behind the log by the time it arrives, and the peer would
//! need another one. Who is not wanted any more by then, because the leader leads no more or the
//! peer rejoined the log, is passed over: it would only keep the others waiting.

use std::collections::{BTreeMap, VecDeque};

use kontiki_raft::Notice;
use kontiki_types::{PeerId, RegionId, StoreId, Term};

use crate::effect::{ApplyTask, Effects};
use crate::group::Group;

/// A snapshot that a leader wants sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Offer {
    pub(crate) group: RegionId,
    /// The replica here.
    pub(crate) from: PeerId,
    /// The peer that needs it.
    pub(crate) to: PeerId,
    /// Where that one lives.
    pub(crate) store: StoreId,
    /// In which the replica here leads.
    pub(crate) term: Term,
    /// Of the peer, at the leader.
    pub(crate) session: u64,
}

impl Offer {
    fn task(self) -> ApplyTask {
        let Self { group, from, to, store, term, session } = self;
        ApplyTask::Snapshot { group, from, to, store, term, session }
    }
}

/// See the module.
#[derive(Default, Debug)]
pub(crate) struct Offers {
    /// Opened, and not reported as sent or failed.
    under_way: Option<Offer>,
    /// At most one for each peer of a group.
    waiting: VecDeque<Offer>,
    passed_over: u64,
}

impl Offers {
    /// End of a turn of these groups: what they ask for waits, and the next is opened.
    pub(crate) fn turn(
        &mut self,
        groups: &mut BTreeMap<RegionId, Box<Group>>,
        effects: &mut Effects,
    ) {
        for (group, notice) in &effects.notices {
            if let &Notice::SnapshotWanted { to, session } = notice {
                let group = groups.get(group);
                if let Some(offer) = group.and_then(|group| group.offer(to, session)) {
                    self.ask(offer);
                }
            }
        }
        let next = self.next(|offer| {
            let group = groups.get(&offer.group);
            group.and_then(|group| group.offer(offer.to, offer.session)) == Some(*offer)
        });
        if let Some(offer) = next {
            groups.get_mut(&offer.group).expect("it wants it").on_snapshot_opened(&offer);
            effects.apply.push(offer.task());
        }
    }

    /// A leader asks. What it asked for before on behalf of the same peer has no use any more.
    fn ask(&mut self, offer: Offer) {
        let is_same = |other: &&mut Offer| (other.group, other.to) == (offer.group, offer.to);
        if let Some(older) = self.waiting.iter_mut().find(is_same) {
            *older = offer;
            self.passed_over += 1;
        } else {
            self.waiting.push_back(offer);
        }
    }

    /// The one under way has ended, well or not. Reports of others are late.
    pub(crate) fn end(&mut self, group: RegionId, to: PeerId, asked: (Term, u64)) {
        let is_it = |offer: &Offer| {
            (offer.group, offer.to, (offer.term, offer.session)) == (group, to, asked)
        };
        self.under_way.take_if(|offer| is_it(offer));
    }

    /// What is to be opened now, if it is anybody's turn.
    fn next(&mut self, is_wanted: impl Fn(&Offer) -> bool) -> Option<Offer> {
        while self.under_way.is_none() {
            let offer = self.waiting.pop_front()?;
            if is_wanted(&offer) {
                self.under_way = Some(offer);
                return Some(offer);
            }
            self.passed_over += 1;
        }
        None
    }

    /// How many were not wanted any more before their turn came.
    pub(crate) fn passed_over(&self) -> u64 {
        self.passed_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(group: u64, to: u64, term: u64) -> Offer {
        let (group, from, to) = (RegionId(group), PeerId(1), PeerId(to));
        Offer { group, from, to, store: StoreId(to.0), term: Term(term), session: 1 }
    }

    fn next(offers: &mut Offers) -> Option<(u64, u64, u64)> {
        let Offer { group, to, term, .. } = offers.next(|offer| offer.term.0 != 9)?;
        Some((group.0, to.0, term.0))
    }

    #[test]
    fn one_is_under_way_at_a_time() {
        let mut offers = Offers::default();
        assert_eq!(next(&mut offers), None);
        offers.ask(offer(1, 2, 5));
        offers.ask(offer(1, 3, 5));
        assert_eq!(next(&mut offers), Some((1, 2, 5)));
        assert_eq!(next(&mut offers), None);
        offers.end(RegionId(1), PeerId(2), (Term(4), 1));
        offers.end(RegionId(1), PeerId(3), (Term(5), 1));
        assert_eq!(next(&mut offers), None, "those were others");
        offers.end(RegionId(1), PeerId(2), (Term(5), 1));
        assert_eq!(next(&mut offers), Some((1, 3, 5)));
    }

    #[test]
    fn a_newer_one_takes_the_place_of_the_older_one_to_the_same_peer() {
        let mut offers = Offers::default();
        for (group, to, term) in [(1, 2, 5), (1, 3, 5), (2, 2, 5), (1, 2, 6)] {
            offers.ask(offer(group, to, term));
        }
        for sent in [(1, 2, 6), (1, 3, 5), (2, 2, 5)] {
            assert_eq!(next(&mut offers), Some(sent));
            offers.end(RegionId(sent.0), PeerId(sent.1), (Term(sent.2), 1));
        }
        assert_eq!(offers.passed_over(), 1);
    }

    #[test]
    fn who_is_not_wanted_any_more_is_passed_over() {
        let mut offers = Offers::default();
        for (group, term) in [(1, 9), (2, 9), (3, 5), (4, 9)] {
            offers.ask(offer(group, 2, term));
        }
        assert_eq!(next(&mut offers), Some((3, 2, 5)));
        offers.end(RegionId(3), PeerId(2), (Term(5), 1));
        assert_eq!(next(&mut offers), None);
        assert_eq!(offers.passed_over(), 3);
    }
}
