//! Messages that reach a leader: answers of followers, questions of their readers, rivals.
//!
//! Answers of another session are not even looked at: they say nothing of the follower as it is.

use kontiki_types::mutants::{self, Mutant};
use kontiki_types::{AppendOutcome, Body, Message, Moment, PeerId};

use super::{Leader, Transition};
use crate::election;
use crate::limits::SNAPSHOT_PATIENCE_TIMEOUTS;
use crate::membership::change;
use crate::read::rounds::Reader;
use crate::replication::flow;
use crate::replication::progress::{Effect, Progress};
use crate::shared::Shared;
use crate::{TransferOutcome, transfer};

/// A message of this term arrived, or a pre-vote for a newer one.
pub(crate) fn step(
    shared: &mut Shared,
    leader: &mut Leader,
    message: &Message,
    now: Moment,
) -> Transition {
    leader.now = leader.now.max(now);
    let from = message.from;
    match message.body {
        // A follower took entries, or could not.
        Body::AppendReply { session, outcome, round } => {
            if leader.on_reply(from, session, round, now) {
                on_outcome(shared, leader, from, outcome, now);
                leader.confirm_rounds(shared);
                return change::advance(shared, leader);
            }
        }
        // A follower lives; if it stands still, something was lost.
        Body::HeartbeatReply { session, round } => {
            if leader.on_reply(from, session, round, now) {
                let last = shared.log.last().index;
                if let Some(progress) = leader.progress(from) {
                    progress.on_heartbeat_answered(last);
                }
                leader.confirm_rounds(shared);
                return change::advance(shared, leader);
            }
        }
        // A follower's readers want to know how far they must wait.
        Body::ReadIndex { id, mode } => {
            // They can be served only once their state machine has come so far.
            leader.tell_commit_at = Some(leader.now);
            let reader = Reader::Remote { peer: from, number: id };
            if leader.read(shared, reader, mode, now).is_err() {
                shared.send(from, Body::ReadIndexReply { id, index: None });
            }
        }
        Body::Succeed { store } => return change::succeed(shared, leader, from, store, now),
        // The target of the transfer will not campaign: take up work again at once.
        Body::TimeoutNowRefused => {
            if leader.transfer.is_some_and(|transfer| transfer.to == from) {
                transfer::end(shared, leader, TransferOutcome::Refused);
            }
        }
        Body::PreVote { last } => {
            election::answer_pre_vote(shared, from, message.term, last, true);
        }
        // A rival that lost this term's election.
        Body::Vote { last, .. } => {
            let granted = election::answer_vote(shared, from, last, true);
            assert!(!granted, "{} leads and voted for {from}", shared.config.id);
        }
        // Only the one leader of a term sends these, and that is us: judged before.
        Body::Append { .. }
        | Body::Heartbeat { .. }
        | Body::Sleep { .. }
        | Body::Snapshot { .. } => {
            panic!("{from} leads {} too", message.term)
        }
        // Answers to an earlier role, or meant for followers.
        Body::PreVoteReply { .. }
        | Body::VoteReply { .. }
        | Body::ReadIndexReply { .. }
        | Body::TimeoutNow
        | Body::Removed { .. } => {}
    }
    Transition::Stay
}

impl Leader {
    /// A sign of life of this session. False when the reply is of another one: then it says
    /// nothing about the follower as it is now.
    fn on_reply(&mut self, from: PeerId, session: u64, round: u64, now: Moment) -> bool {
        let (newest, sent) = (self.reads.newest(), self.lease.sent(round));
        let is_current =
            |p: &&mut Progress| p.session == session || mutants::is_on(Mutant::SessionIgnored);
        let Some(progress) = self.progress(from).filter(is_current) else {
            return false;
        };
        assert!(round <= newest, "{from} echoes round {round}, the newest is {newest}");
        progress.heard = progress.heard.max(now);
        progress.echoed = progress.echoed.max(round);
        progress.echoed_sent = progress.echoed_sent.max(sent);
        true
    }
}

fn on_outcome(
    shared: &mut Shared,
    leader: &mut Leader,
    from: PeerId,
    outcome: AppendOutcome,
    now: Moment,
) {
    let patience = shared.config.election_timeout * SNAPSHOT_PATIENCE_TIMEOUTS;
    let Some(progress) = leader.progress(from) else { return };
    let effect = match outcome {
        AppendOutcome::Accepted { matched } => progress.on_accepted(matched, &shared.log),
        AppendOutcome::Rejected { prev, hint } => {
            progress.on_rejected(prev, hint, &shared.log, now - patience)
        }
    };
    match effect {
        Effect::None => {}
        Effect::NeedsSnapshot => flow::want_snapshot(shared, progress),
        Effect::Matched => {
            let moved = leader.advance_commit(shared);
            if moved || leader.transfer.is_some_and(|transfer| transfer.to == from) {
                leader.hand_over(shared);
            }
        }
    }
}
