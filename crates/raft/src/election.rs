//! Who may be elected: the vote rule, the pre-vote rule, and who may stand.
//!
//! Called by every role with what only the role knows: whether a leader is alive. A vote leaves
//! only once term and vote are durable, otherwise a crash could make a peer vote twice
//! (jraft#1245); a pre-vote promises nothing and leaves at once.

use kontiki_types::mutants::{self, Mutant};
use kontiki_types::{Body, Message, PeerId, Position, Term};

use crate::roles::Transition;
use crate::shared::Shared;
use crate::{Priority, Seq, priority};

/// Why a peer stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Occasion {
    /// No leader was heard of in time, and a pre-vote was won.
    Timeout,
    /// The leader asked for it: peers that hear the leader vote nevertheless.
    Transfer,
}

/// May this peer campaign? Learners never do (NuRaft#553), nor a replica without a membership, nor
/// one of the priority that never leads, nor one whose state machine is being replaced, nor one
/// that knows it was removed. Whoever had a vote before an *uncommitted* membership took it may
/// still: the voters of before need somebody with the longest log, and that can be this peer,
/// removed (openraft#2091) or demoted.
pub(crate) fn may_campaign(shared: &Shared) -> bool {
    if shared.applying.install.is_some() || shared.removed {
        return false;
    }
    if priority::of(shared, shared.config.id) == Priority::NEVER {
        return false;
    }
    let mut live = shared.memberships.live(shared.applying.commit());
    live.any(|membership| membership.is_voter(shared.config.id))
}

/// Answer a pre-vote: yes when this log is not newer, no leader is alive, and the candidate's term
/// is not behind (thesis §9.6). A refusal carries our term, so that a candidate that is behind
/// catches up instead of asking for ever (etcd#8501, openraft#1796).
pub(crate) fn answer_pre_vote(
    shared: &mut Shared,
    from: PeerId,
    term: Term,
    last: Position,
    hears_leader: bool,
) {
    let fresh = last >= shared.log.last() || mutants::is_on(Mutant::VoteForOlderLog);
    let granted = term > shared.term() && fresh && !hears_leader;
    if granted {
        // In the term asked for: the candidate's own term is still the one before.
        let message = Message {
            from: shared.config.id,
            to: from,
            term,
            body: Body::PreVoteReply { granted },
        };
        shared.outbox.send(Seq(0), message);
    } else {
        shared.send(from, Body::PreVoteReply { granted });
    }
}

/// A peer whose log is older than ours asks around although it may not win: it is for us to stand,
/// and at once; to wait for our own turn would only lengthen the silence.
pub(crate) fn is_called(shared: &Shared, last: Position) -> bool {
    let unranked = priority::of(shared, shared.config.id) == Priority::OFF;
    last < shared.log.last() && unranked && may_campaign(shared)
}

/// Answer a vote request of the current term: the first come gets the vote if its log is not
/// older than ours (Raft §5.4.1), and gets it again when it asks again (nebula#2419). Positions
/// order by term first; comparing indexes first elects stale logs (openraft a48a3282).
/// `bound`: this term's leader is known, or a promise to one still holds. True when the vote was
/// given.
pub(crate) fn answer_vote(shared: &mut Shared, from: PeerId, last: Position, bound: bool) -> bool {
    let free = match shared.vote() {
        Some(vote) => vote == from,
        None => !bound,
    };
    let granted = free && (last >= shared.log.last() || mutants::is_on(Mutant::VoteForOlderLog));
    if granted {
        shared.set_vote(from);
    }
    shared.send_after_ballot(from, Body::VoteReply { granted });
    granted
}

/// The leader of this term wants us to take over. A refusal lets it go on at once instead of
/// standing still until its deadline (raft-rs#144, dqlite#271).
pub(crate) fn on_timeout_now(shared: &mut Shared, from: PeerId) -> Transition {
    if may_campaign(shared) {
        return Transition::Campaign(Occasion::Transfer);
    }
    shared.send_after_ballot(from, Body::TimeoutNowRefused);
    Transition::Stay
}

/// Ask every other voter of both halves.
pub(crate) fn ask_voters(shared: &mut Shared, mut ask: impl FnMut(&mut Shared, PeerId)) {
    let id = shared.config.id;
    let membership = shared.membership();
    let voters: Vec<PeerId> =
        membership.peers().map(|p| p.id).filter(|&p| p != id && membership.is_voter(p)).collect();
    for voter in voters {
        ask(shared, voter);
    }
}
