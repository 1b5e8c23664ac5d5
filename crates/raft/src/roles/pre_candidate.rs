//! Asks whether an election could be won, without disturbing anyone (thesis §9.6).
//!
//! Entered when no leader was heard of in time. Nothing here changes the term or needs the disk.
//! Leaves by winning (to [`super::candidate`]), by hearing a leader or a newer term, or by asking
//! again after another timeout.

use std::collections::BTreeMap;

use kontiki_types::{Body, Message, Moment, PeerId};

use super::Transition;
use super::cause::Cause;
use crate::election::{self, Occasion};
use crate::quorum::{Tally, joint};
use crate::shared::Shared;

/// See the module.
#[derive(Debug)]
pub(crate) struct PreCandidate {
    /// Who answered what; this peer's own yes included.
    pub(crate) votes: BTreeMap<PeerId, bool>,
    /// When to ask again.
    pub(crate) deadline: Moment,
}

/// Ask everyone. A lone voter has won already.
pub(crate) fn enter(shared: &mut Shared, now: Moment) -> (PreCandidate, Transition) {
    assert!(election::may_campaign(shared), "{} may not campaign", shared.config.id);
    let id = shared.config.id;
    let (last, term) = (shared.log.last(), shared.term().next());
    election::ask_voters(shared, |shared, to| {
        let body = Body::PreVote { last };
        shared.outbox.send(crate::Seq(0), Message { from: id, to, term, body });
    });
    let deadline = shared.election_deadline(now);
    let role = PreCandidate { votes: BTreeMap::from([(id, true)]), deadline };
    let next = role.tally(shared);
    (role, next)
}

/// A message arrived, of our term or (grants and requests only) a newer one.
pub(crate) fn step(shared: &mut Shared, role: &mut PreCandidate, message: &Message) -> Transition {
    let from = message.from;
    match message.body {
        // Granted in the term we would campaign in, refused in the refuser's term. A grant for
        // another term answers an older question.
        Body::PreVoteReply { granted } => {
            if granted && message.term != shared.term().next() {
                return Transition::Stay;
            }
            *role.votes.entry(from).or_default() |= granted;
            role.tally(shared)
        }
        Body::PreVote { last } => {
            election::answer_pre_vote(shared, from, message.term, last, false);
            // It may have refused us while it still heard the leader: ask it again.
            let called = election::is_called(shared, last);
            if called { Transition::PreCampaign } else { Transition::Stay }
        }
        // Someone else won its pre-vote first. We gave no vote in this term yet, perhaps.
        Body::Vote { last, .. } => {
            election::answer_vote(shared, from, last, false);
            Transition::Stay
        }
        Body::ReadIndex { id, .. } => {
            shared.send(from, Body::ReadIndexReply { id, index: None });
            Transition::Stay
        }
        // The leader of this term, silent so far, hands over.
        Body::TimeoutNow => election::on_timeout_now(shared, from),
        // The leader's own words never arrive here: they end the candidacy first.
        Body::Append { .. }
        | Body::Heartbeat { .. }
        | Body::Sleep { .. }
        | Body::Snapshot { .. } => {
            panic!("{from} leads, and {} still asks for votes", shared.config.id)
        }
        // Answers to an earlier role.
        Body::VoteReply { .. }
        | Body::AppendReply { .. }
        | Body::HeartbeatReply { .. }
        | Body::ReadIndexReply { .. }
        | Body::Succeed { .. }
        | Body::TimeoutNowRefused
        | Body::Removed { .. } => Transition::Stay,
    }
}

impl PreCandidate {
    fn tally(&self, shared: &Shared) -> Transition {
        match joint::tally(shared.membership(), |peer| self.votes.get(&peer).copied()) {
            Tally::Won => Transition::Campaign(Occasion::Timeout),
            Tally::Pending => Transition::Stay,
            Tally::Lost => {
                Transition::Follow { term: shared.term(), leader: None, why: Cause::PreVoteLost }
            }
        }
    }
}
