//! Asks for votes in a term of its own (Raft §5.2).
//!
//! Entered after a won pre-vote or when the leader hands over. Requests wait until term and own
//! vote are durable, and so does the own vote: else a peer that crashed could come back, vote for
//! another in the same term, and the grants it left behind would elect it with a log the crash has
//! shortened (jraft#1245). Only the target of a transfer does not wait, when all of its log is
//! durable: see `docs/design/0007-vote-of-a-transfer.md`. Leaves by winning, by losing, by hearing
//! a leader or a newer term, or by timing out.

use std::collections::BTreeMap;

use kontiki_types::mutants::{self, Mutant};
use kontiki_types::{Body, Message, Moment, PeerId};

use super::Transition;
use super::cause::Cause;
use crate::election::{self, Occasion};
use crate::quorum::{Tally, joint};
use crate::shared::Shared;

/// See the module.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// Why it stands.
    pub(crate) occasion: Occasion,
    /// Which of the others answered what.
    pub(crate) votes: BTreeMap<PeerId, bool>,
    /// When to try again.
    pub(crate) deadline: Moment,
}

/// Enter the next term, vote for ourselves, ask everyone.
pub(crate) fn enter(shared: &mut Shared, occasion: Occasion, now: Moment) -> Candidate {
    assert!(election::may_campaign(shared), "{} may not campaign", shared.config.id);
    shared.set_term(shared.term().next());
    shared.set_vote(shared.config.id);
    let body = Body::Vote { last: shared.log.last(), transfer: occasion == Occasion::Transfer };
    assert!(!shared.durability.is_ballot_durable(), "the ballot changed just now");
    let blind = mutants::is_on(Mutant::TransferBeforeLog);
    if occasion == Occasion::Transfer && (shared.is_log_durable() || blind) {
        election::ask_voters(shared, |shared, to| shared.send(to, body.clone()));
    } else {
        election::ask_voters(shared, |shared, to| shared.send_after_ballot(to, body.clone()));
    }
    Candidate { occasion, votes: BTreeMap::new(), deadline: shared.election_deadline(now) }
}

/// A message of this term arrived (or a pre-vote for a newer one).
pub(crate) fn step(shared: &mut Shared, role: &mut Candidate, message: &Message) -> Transition {
    let from = message.from;
    match message.body {
        // An answer to our request; answers of other terms never get here (openraft#1220). A grant
        // is a promise on disk: a refusal beside it answers an older request, late.
        Body::VoteReply { granted } => {
            *role.votes.entry(from).or_default() |= granted;
            role.tally(shared)
        }
        Body::PreVoteReply { granted: true } if mutants::is_on(Mutant::PreVoteCounts) => {
            role.votes.insert(from, true);
            role.tally(shared)
        }
        Body::PreVote { last } => {
            election::answer_pre_vote(shared, from, message.term, last, false);
            Transition::Stay
        }
        // A rival of the same term: our vote is given.
        Body::Vote { last, .. } => {
            let granted = election::answer_vote(shared, from, last, false);
            assert!(!granted, "{} voted for {from} and for itself", shared.config.id);
            // The vote is split, perhaps for good: with the third peer dead neither can win. One of
            // the two goes on to the next term at once, the other's timeout would be silence.
            let ours = (shared.log.last(), shared.config.id);
            if ours > (last, from) { Transition::PreCampaign } else { Transition::Stay }
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
        Body::PreVoteReply { .. }
        | Body::AppendReply { .. }
        | Body::HeartbeatReply { .. }
        | Body::ReadIndexReply { .. }
        | Body::Succeed { .. }
        | Body::TimeoutNowRefused
        | Body::Removed { .. } => Transition::Stay,
    }
}

impl Candidate {
    /// How the election stands. Asked, too, when something became durable: perhaps our own vote,
    /// which counts from then on.
    pub(crate) fn tally(&self, shared: &Shared) -> Transition {
        let id = shared.config.id;
        let early = mutants::is_on(Mutant::TransferBeforeVote);
        let has_voted = shared.durability.is_ballot_durable() || early;
        let answer = |peer| self.votes.get(&peer).copied();
        let vote = |peer| if peer == id { has_voted.then_some(true) } else { answer(peer) };
        match joint::tally(shared.membership(), vote) {
            // A leader's messages leave at once, so its ballot must be durable by now. Winning
            // without the own vote is possible; leading before it is durable is not.
            Tally::Won if has_voted => Transition::Lead,
            Tally::Won | Tally::Pending => Transition::Stay,
            Tally::Lost => {
                Transition::Follow { term: shared.term(), leader: None, why: Cause::ElectionLost }
            }
        }
    }
}
