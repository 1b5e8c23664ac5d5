//! What must hold of one node: now ([`check`]) and compared with before
//! ([`Observed::check_delta`]).
//!
//! Run after every event in tests and simulation (the form is LogCabin's); too costly for every
//! event in production, where the asserts beside the code stand guard. The rules that span a whole
//! group are in [`crate::testing::safety`].

use kontiki_types::{Index, Membership, PeerId, Position, Term};

use crate::log::Log;
use crate::replication::progress::{Mode, Progress};
use crate::roles::Role;
use crate::roles::leader::Leader;
use crate::shared::Shared;
use crate::{Node, RoleKind};

/// Check everything that must hold at any moment between inputs.
///
/// # Panics
/// When something does not.
pub fn check(node: &Node) {
    check_state(node);
    check_log(&node.shared.log);
}

/// The same without the walk over the log, for those who check at every turn of a long run.
///
/// # Panics
/// When something does not.
pub fn check_state(node: &Node) {
    check_indexes(&node.shared);
    check_memberships(&node.shared);
    check_role(node);
}

fn check_indexes(shared: &Shared) {
    let (log, applying, id) = (&shared.log, &shared.applying, shared.config.id);
    let (start, last) = (log.start().index, log.last().index);
    let (applied, out, commit) = (applying.applied(), applying.handed_out(), applying.commit());
    assert!(start <= applied, "{id}: log cut at {start}, applied only {applied}");
    assert!(applied <= out, "{id}: applied {applied}, handed out {out}");
    assert!(out <= commit, "{id}: handed out {out}, committed {commit}");
    assert!(commit <= last, "{id}: committed {commit}, log ends at {last}");
    assert!(log.handed() <= last, "{id}: wrote {}, log ends at {last}", log.handed());
    assert!(log.durable() <= log.handed(), "{id}: durable {}", log.durable());
    // Where a snapshot was just installed, the restart of the log may be on its way to the disk.
    assert!(out <= log.durable().max(start), "{id}: handed out {out} before it was durable");
    assert!(log.last().term <= shared.term(), "{id}: {} in {}", log.last(), shared.term());
}

fn check_log(log: &Log) {
    let mut before = log.start();
    let mut bytes = 0;
    for entry in log.entries() {
        let position = entry.position;
        assert_eq!(position.index, before.index.next(), "gap after {before}");
        assert!(position.term >= before.term, "term falls after {before}: {position}");
        before = position;
        if position.index > log.evicted() {
            bytes += entry.cost_bytes() as u64;
        }
    }
    assert_eq!(bytes, log.cached_bytes(), "the log lost count of its bytes");
    assert!(log.evicted() <= log.durable().max(log.start().index), "evicted what is nowhere else");
}

fn check_memberships(shared: &Shared) {
    let (start, last) = (shared.log.start().index, shared.log.last().index);
    assert!(shared.memberships.current_index() <= last, "a membership beyond the log's end {last}");
    assert!(shared.memberships.at(start).is_some(), "no membership known at the start {start}");
}

fn check_role(node: &Node) {
    let (shared, id) = (&node.shared, node.id());
    match &node.role {
        Role::Follower(follower) => assert_ne!(follower.leader(), Some(id), "follows itself"),
        Role::PreCandidate(_) => assert!(shared.applying.install.is_none(), "{id} installs"),
        Role::Candidate(_) => assert_eq!(shared.vote(), Some(id), "{id} votes for a rival"),
        Role::Leader(leader) => check_leader(shared, leader),
    }
}

fn check_leader(shared: &Shared, leader: &Leader) {
    let id = shared.config.id;
    assert_eq!(shared.vote(), Some(id), "{id} leads and voted for another");
    assert!(shared.durability.is_ballot_durable(), "{id} leads on a vote that is not durable");
    assert_eq!(shared.log.last().term, shared.term(), "{id} has no entry of its own term");
    assert!(shared.applying.install.is_none(), "{id} leads and installs a snapshot");
    let mut sessions: Vec<u64> = leader.followers.iter().map(|p| p.session).collect();
    sessions.sort_unstable();
    sessions.dedup();
    assert_eq!(sessions.len(), leader.followers.len(), "{id}: a session number was given twice");
    let fed = |id| node_feeds(shared, leader, id);
    if let Some(transfer) = leader.transfer {
        // No change of membership begins while a transfer is under way, so it keeps its vote.
        assert!(shared.membership().is_voter(transfer.to), "{id} hands over to {}", transfer.to);
    }
    for progress in &leader.followers {
        check_progress(shared, progress);
        assert!(fed(progress.peer), "{id} feeds {}, a stranger", progress.peer);
    }
    let live = shared.memberships.live(shared.applying.commit());
    for peer in live.flat_map(Membership::peers).filter(|peer| peer.id != id) {
        assert!(leader.find(peer.id).is_some(), "{id} does not feed {}", peer.id);
    }
}

/// Members of any configuration that may yet decide, and newcomers; a configuration that is just
/// committed is acted upon with the next answer at the latest.
fn node_feeds(shared: &Shared, leader: &Leader, id: PeerId) -> bool {
    let known = leader.changing.newcomers().iter().any(|peer| peer.id == id);
    known || shared.memberships.live(shared.applying.commit()).any(|m| m.contains(id))
}

fn check_progress(shared: &Shared, progress: &Progress) {
    let Progress { peer, matched, next, .. } = progress;
    let last = shared.log.last().index;
    assert!(matched < next, "{peer}: matched {matched}, next {next}");
    assert!(*next <= last.next(), "{peer}: next {next}, log ends at {last}");
    let (messages, _) = progress.inflight.size();
    assert!(messages <= shared.config.options.inflight_messages_max, "{peer}: {messages} appends");
    let streams = progress.mode == Mode::Replicate;
    assert!(streams || progress.inflight.is_empty(), "{peer}: a window outside of replication");
    assert!(progress.told_commit <= shared.applying.commit(), "{peer} was told too much");
}

/// What is remembered of a node to compare it with later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Observed {
    term: Term,
    vote: Option<PeerId>,
    role: RoleKind,
    start: Position,
    last: Position,
    commit: Index,
    commit_term: Option<Term>,
    applied: Index,
}

impl Observed {
    /// The node as it is.
    pub fn of(node: &Node) -> Self {
        Self {
            term: node.term(),
            vote: node.vote(),
            role: node.role(),
            start: node.shared.log.start(),
            last: node.last_position(),
            commit: node.commit(),
            commit_term: node.shared.log.term(node.commit()),
            applied: node.applied(),
        }
    }

    /// Check what one input may have changed since.
    ///
    /// # Panics
    /// When it changed something else.
    pub fn check_delta(&self, node: &Node) {
        let id = node.id();
        assert!(node.term() >= self.term, "{id}: term fell from {} to {}", self.term, node.term());
        if node.term() == self.term {
            if let Some(vote) = self.vote {
                assert_eq!(node.vote(), Some(vote), "{id} took back its vote");
            }
            if self.role == RoleKind::Leader && node.role() == RoleKind::Leader {
                let log = &node.shared.log;
                let kept = log.matches(self.last) || log.start() >= self.last;
                assert!(kept, "{id} leads and lost its own {}", self.last);
            }
        }
        assert!(node.commit() >= self.commit, "{id}: commit fell from {}", self.commit);
        assert!(node.applied() >= self.applied, "{id}: applied fell from {}", self.applied);
        let start = node.shared.log.start();
        assert!(start.index >= self.start.index, "{id}: start fell from {}", self.start);
        if start.index <= self.commit {
            let term = node.shared.log.term(self.commit);
            assert_eq!(term, self.commit_term, "{id}: committed {} changed", self.commit);
        }
    }
}
