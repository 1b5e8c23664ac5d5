//! The lease of a leader: until when no other can have been elected, by the clock.
//!
//! A follower that heard its leader helps nobody else to power for an election timeout, in whatever
//! role and term it is by then, and a peer that just started keeps the promise its earlier life may
//! have given ([`crate::shared::Shared::hears_leader`]). So from the moment a quorum's newest
//! answered messages were **sent**, nobody else wins for that long: the same order statistic as
//! commit, over moments. Clocks may drift against each other, so the lease is shorter:
//! `election_timeout * (1 - d) / (1 + d) - slack`.
//!
//! What was sent when is known from the read rounds that messages carry: a round remembers when it
//! began, and nothing that carries it left before. Rounds for the lease alone are begun by
//! heartbeats, and only while somebody reads by lease; so nobody else pays for it.
//!
//! The lease is checked for each read at the moment of the read, never by a timer (jraft#34). It
//! ends with the reign, and for the rest of the reign once an order to campaign may have left
//! (tikv#8034): such a candidate is voted for in spite of the promise, and the order may arrive at
//! any later time.

use std::collections::VecDeque;

use kontiki_types::Moment;
use kontiki_types::mutants::{self, Mutant};

use crate::Config;
use crate::limits::LEASE_MARKS_MAX;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    /// Rounds and when they began, oldest first; not every one, but evenly over a lease.
    began: VecDeque<(u64, Moment)>,
    /// When somebody last read by lease.
    wanted: Option<Moment>,
    /// An order to campaign left in this reign.
    given_up: bool,
}

impl Lease {
    /// Somebody reads by lease: keep it up for a while.
    pub(crate) fn want(&mut self, now: Moment) {
        self.wanted = self.wanted.max(Some(now));
    }

    /// Heartbeats are to begin rounds, so that the lease goes on.
    pub(crate) fn is_wanted(&self, config: &Config, now: Moment) -> bool {
        let recent = |wanted| now.since(wanted) < config.election_timeout;
        !self.given_up && self.wanted.is_some_and(recent)
    }

    /// A round begins: nothing that carries it leaves before `now`.
    pub(crate) fn on_round(&mut self, round: u64, config: &Config, now: Moment) {
        if self.wanted.is_none() || self.given_up {
            return;
        }
        let grain = config.lease() / LEASE_MARKS_MAX;
        // A round between two marks counts as the older one: the lease is a little shorter.
        if self.began.back().is_some_and(|(_, at)| now.since(*at) < grain) {
            return;
        }
        self.began.push_back((round, now));
        let over = |(_, at): &(u64, Moment)| now.since(*at) >= config.lease();
        while self.began.front().is_some_and(over) {
            self.began.pop_front();
        }
    }

    /// When at the earliest a message that carries this round was sent; nothing when too long ago.
    pub(crate) fn sent(&self, round: u64) -> Option<Moment> {
        let known = self.began.partition_point(|(number, _)| *number <= round);
        known.checked_sub(1).and_then(|at| self.began.get(at)).map(|(_, at)| *at)
    }

    /// An order to campaign is about to leave.
    pub(crate) fn give_up(&mut self) {
        self.given_up = !mutants::is_on(Mutant::LeaseOutlivesTransfer);
    }

    /// True at `now`, given since when a quorum has been in touch.
    pub(crate) fn holds(&self, quorum_sent: Option<Moment>, config: &Config, now: Moment) -> bool {
        let endless = mutants::is_on(Mutant::LeaseEndless);
        !self.given_up && quorum_sent.is_some_and(|sent| endless || now < sent + config.lease())
    }
}
