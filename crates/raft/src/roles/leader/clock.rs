//! What time brings a leader: heartbeats, the check that a quorum still speaks to it, sleep.
//!
//! Nothing here waits: each deadline is a moment, and [`Leader::next_deadline`] the earliest.

use kontiki_types::{Moment, PeerId};

use super::{Leader, Transition};
use crate::hibernate;
use crate::membership::change;
use crate::quorum::joint;
use crate::replication::flow;
use crate::shared::Shared;
use crate::{Cause, TransferOutcome, transfer};

/// A deadline passed.
pub(crate) fn on_time(shared: &mut Shared, leader: &mut Leader, now: Moment) -> Transition {
    leader.now = leader.now.max(now);
    if leader.quiet.is_asleep() {
        return Transition::Stay;
    }
    if leader.transfer.is_some_and(|transfer| transfer.deadline <= now) {
        transfer::end(shared, leader, TransferOutcome::TimedOut);
    }
    change::on_time(shared, leader, now);
    if leader.quorum_check_at <= now && !check_quorum(shared, leader, now) {
        return Transition::Follow { term: shared.term(), leader: None, why: Cause::QuorumSilent };
    }
    if leader.heartbeat_at <= now && !hibernate::falls_asleep(shared, leader, now) {
        beat(shared, leader, now);
    }
    Transition::Stay
}

/// Tell everyone who leads, except whom an append told so within an interval, and who answered
/// within one: in a group at work a heartbeat and its answer would only be two more messages to
/// take in. An append is answered by way of the disk: whoever's is slow still gets heartbeats, or
/// the leader would take it for gone.
pub(crate) fn beat(shared: &mut Shared, leader: &mut Leader, now: Moment) {
    leader.now = leader.now.max(now);
    let interval = shared.config.heartbeat_interval;
    leader.heartbeat_at = now + interval;
    if leader.lease.is_wanted(&shared.config, now) {
        leader.reads.begin_empty();
        leader.lease.on_round(leader.reads.newest(), &shared.config, now);
    }
    let round = leader.reads.newest();
    for progress in &mut leader.followers {
        let next = progress.fed.min(progress.heard) + interval;
        if next > now && progress.carried == round {
            leader.heartbeat_at = leader.heartbeat_at.min(next);
            continue;
        }
        flow::send_heartbeat(shared, progress, round);
        progress.quiet = true;
    }
    leader.hand_over(shared);
}

/// A leader that a quorum did not speak to for an election timeout steps **down**: only refusing
/// proposals would keep its followers from electing another (openraft#2080). Sets the next check.
fn check_quorum(shared: &Shared, leader: &mut Leader, now: Moment) -> bool {
    let id = shared.config.id;
    let heard = |peer: PeerId| {
        if peer == id { now } else { leader.find(peer).map_or(Moment::ZERO, |p| p.heard) }
    };
    let since = joint::reached(shared.membership(), heard).unwrap_or(Moment::ZERO);
    leader.quorum_check_at = since + shared.config.election_timeout;
    now < leader.quorum_check_at
}

impl Leader {
    /// Tell idle followers what is committed, once they have waited long enough for an append that
    /// would say it.
    pub(super) fn tell_commit(&mut self, shared: &mut Shared, round: u64) {
        let delay = shared.config.commit_notice_delay;
        let at = self.tell_commit_at.unwrap_or(self.now + delay);
        self.tell_commit_at = None;
        for progress in &mut self.followers {
            if !flow::owes_commit(shared, progress) {
                continue;
            }
            if at <= self.now {
                flow::send_heartbeat(shared, progress, round);
            } else {
                self.tell_commit_at = Some(at);
            }
        }
    }
}
