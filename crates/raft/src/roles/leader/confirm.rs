//! What a quorum has confirmed to a leader: commits, read rounds, the lease.
//!
//! All three are one order statistic, over what followers hold, over the rounds they echoed, and
//! over when that was sent. Called by the other parts of the leader after whatever may move it.

use kontiki_types::mutants::{self, Mutant};
use kontiki_types::{Index, Moment, PeerId};

use super::Leader;
use crate::quorum::{Tally, joint};
use crate::replication::flow;
use crate::shared::Shared;

impl Leader {
    /// Commit what a quorum holds durably: only an entry of this term may be counted, it takes the
    /// older ones with it (Raft §5.4.2, figure 8).
    /// True when that moved.
    pub(super) fn advance_commit(&mut self, shared: &mut Shared) -> bool {
        let (id, mut durable) = (shared.config.id, shared.log.durable());
        if mutants::is_on(Mutant::CommitUnsynced) {
            durable = shared.log.last().index;
        }
        let matched = |peer: PeerId| {
            if peer == id { durable } else { self.find(peer).map_or(Index(0), |p| p.matched) }
        };
        let Some(index) = joint::reached(shared.membership(), matched) else { return false };
        let ours = shared.log.term(index) == Some(shared.term());
        (ours || mutants::is_on(Mutant::CommitOldTerm)) && shared.commit_to(index)
    }

    /// Confirm the rounds that a quorum echoed. This peer echoes every round at once.
    pub(super) fn confirm_rounds(&mut self, shared: &mut Shared) {
        let (id, newest) = (shared.config.id, self.reads.newest());
        let echoed = |peer: PeerId| {
            let alone = peer == id || mutants::is_on(Mutant::ReadAlone);
            if alone { newest } else { self.find(peer).map_or(0, |p| p.echoed) }
        };
        if let Some(round) = joint::reached(shared.membership(), echoed) {
            let too_many = u64::from(mutants::is_on(Mutant::ReadRoundOff));
            self.reads.confirm(shared, newest.min(round + too_many));
        }
    }

    /// Nobody else can have been elected by `now`, and the commit index is not behind what an
    /// earlier leader answered (etcd#7331, tikv#9208).
    pub(crate) fn holds_lease(&self, shared: &Shared, now: Moment) -> bool {
        let id = shared.config.id;
        let sent = |peer: PeerId| {
            if peer == id { Some(now) } else { self.find(peer).and_then(|p| p.echoed_sent) }
        };
        let quorum_sent = joint::reached(shared.membership(), sent).flatten();
        shared.applying.commit() >= self.noop && self.lease.holds(quorum_sent, &shared.config, now)
    }

    /// Begin a round if readers wait and something may carry it: appends that leave anyway, or
    /// heartbeats of its own. True when one began.
    pub(super) fn begin_round(&mut self, shared: &mut Shared) -> bool {
        if !self.may_begin_round(shared) {
            return false;
        }
        self.reads.begin(shared.applying.commit());
        self.lease.on_round(self.reads.newest(), &shared.config, self.now);
        // A lone voter needs nobody's word.
        self.confirm_rounds(shared);
        true
    }

    pub(super) fn may_begin_round(&self, shared: &Shared) -> bool {
        // Before that, the commit index may lie behind what an earlier leader answered.
        let early = shared.applying.commit() < self.noop && !mutants::is_on(Mutant::ReadBeforeNoop);
        if !self.reads.is_wanted() || early {
            return false;
        }
        let last = shared.log.last().index;
        self.reads.has_room() || self.followers.iter().any(|p| flow::is_due(p, last))
    }

    /// True when enough messages carry the round for a quorum to echo it.
    pub(super) fn is_carried(&self, shared: &Shared, round: u64) -> bool {
        let id = shared.config.id;
        let carries =
            |peer| Some(peer == id || self.find(peer).is_some_and(|p| p.carried == round));
        joint::tally(shared.membership(), carries) == Tally::Won
    }
}
