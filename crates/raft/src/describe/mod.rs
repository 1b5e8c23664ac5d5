//! The one rendering of messages, outputs and states, for logs, status and golden scripts.
//!
//! A line reads `p1→p2 t3 append 4@2 [5@3 "a"] commit 4`. Nothing here decides anything.

mod report;

pub use report::report;

use std::fmt::Write as _;

use kontiki_types::{
    AppendOutcome, Body, Entry, EntryKind, Membership, Message, ReadMode, SnapshotMeta,
};

use crate::status::ProgressMode;
use crate::{ChangeStage, Node, Notice, PeerProgress, StoreOp};

/// Bits of a forwarded read's number that count up; the rest is drawn at the start of a process.
const READ_NUMBER_MASK: u64 = u32::MAX as u64;

/// A message with sender, receiver and term.
pub fn message(message: &Message) -> String {
    let Message { from, to, term, body: said } = message;
    format!("{from}→{to} {term} {}", body(said))
}

fn body(body: &Body) -> String {
    match body {
        Body::PreVote { last } => format!("pre-vote? last {last}"),
        Body::PreVoteReply { granted } => format!("pre-vote {}", yes(*granted)),
        Body::Vote { last, transfer: false } => format!("vote? last {last}"),
        Body::Vote { last, transfer: true } => format!("vote? last {last} (transfer)"),
        Body::VoteReply { granted } => format!("vote {}", yes(*granted)),
        Body::Append { session, prev, entries: list, commit, round } => {
            let entries = entries(list);
            format!("append after {prev} {entries} commit {commit}{}", tags(*session, *round))
        }
        Body::AppendReply { session, outcome, round } => {
            format!("{}{}", outcome_of(*outcome), tags(*session, *round))
        }
        Body::Heartbeat { session, commit, round } => {
            format!("heartbeat commit {commit}{}", tags(*session, *round))
        }
        Body::HeartbeatReply { session, round } => format!("alive{}", tags(*session, *round)),
        Body::Sleep { session, commit } => format!("sleep at {commit}{}", tags(*session, 0)),
        Body::Snapshot { session, meta } => {
            format!("snapshot {}{}", snapshot(meta), tags(*session, 0))
        }
        Body::ReadIndex { id, mode } => {
            let by = if *mode == ReadMode::Lease { " (lease)" } else { "" };
            format!("read? #{}{by}", id & READ_NUMBER_MASK)
        }
        Body::ReadIndexReply { id, index: Some(index) } => {
            format!("read #{} at {index}", id & READ_NUMBER_MASK)
        }
        Body::ReadIndexReply { id, index: None } => {
            format!("read #{} refused", id & READ_NUMBER_MASK)
        }
        Body::TimeoutNow => "campaign now".into(),
        Body::Succeed { store } => format!("succeed the peer on {store}"),
        Body::TimeoutNowRefused => "campaign refused".into(),
        Body::Removed { as_of } => format!("no member as of {as_of}"),
    }
}

fn outcome_of(outcome: AppendOutcome) -> String {
    match outcome {
        AppendOutcome::Accepted { matched } => format!("accepted ..{matched}"),
        AppendOutcome::Rejected { prev, hint } => format!("rejected {prev}, try {hint}"),
    }
}

fn tags(session: u64, round: u64) -> String {
    let mut tags = format!(" s{session}");
    if round > 0 {
        let _ = write!(tags, " round {round}");
    }
    tags
}

/// Entries in brackets: position, and data or kind.
pub fn entries(entries: &[Entry]) -> String {
    let list: Vec<String> = entries.iter().map(entry).collect();
    format!("[{}]", list.join(", "))
}

/// One entry.
pub fn entry(entry: &Entry) -> String {
    match entry.kind {
        EntryKind::Empty => format!("{}", entry.position),
        EntryKind::Normal => format!("{} {}", entry.position, entry.data.escape_ascii()),
        EntryKind::Config => format!("{} config", entry.position),
    }
}

/// A snapshot's place and membership.
pub fn snapshot(meta: &SnapshotMeta) -> String {
    format!("{} {}", meta.position, membership(&meta.membership))
}

/// Peers with their roles, by id.
pub fn membership(membership: &Membership) -> String {
    let peer = |peer: kontiki_types::Peer| match peer.role {
        kontiki_types::PeerRole::Voter => format!("{}", peer.id),
        role => format!("{}({role:?})", peer.id),
    };
    format!("{{{}}}", membership.peers().map(peer).collect::<Vec<_>>().join(" "))
}

/// A store operation, in the order it is executed.
pub fn store_op(op: &StoreOp) -> String {
    let mut line = format!("store #{}", op.seq.0);
    if let Some(stored) = &op.snapshot {
        let tail = if stored.keep_tail { "keep tail" } else { "drop all" };
        let _ = write!(line, " restart at {} ({tail})", snapshot(&stored.meta));
    }
    if !op.entries.is_empty() {
        let _ = write!(line, " append {}", entries(&op.entries));
    }
    if let Some(state) = op.hard_state {
        let vote = state.vote.map_or_else(|| "-".into(), |vote| vote.to_string());
        let _ = write!(line, " ballot {} vote {vote} commit {}", state.term, state.commit);
    }
    line
}

/// A notice.
pub fn notice(notice: &Notice) -> String {
    match notice {
        Notice::LeaderStart { term, index } => format!("leads {term} from {index}"),
        Notice::LeaderStop { term, .. } => format!("leads {term} no more"),
        Notice::LeaderChanged { term, leader: Some(leader), .. } => {
            format!("leader of {term} is {leader}")
        }
        Notice::LeaderChanged { term, leader: None, .. } => format!("leader of {term} is unknown"),
        Notice::MembershipAppended(members) => format!("membership {}", membership(members)),
        Notice::MembershipCommitted { index, membership: members } => {
            format!("membership {} committed at {index}", membership(members))
        }
        Notice::ChangeStage(stage) => change_stage(stage),
        Notice::ChangeEnded(Ok(members)) => format!("change done {}", membership(members)),
        Notice::ChangeEnded(Err(failure)) => format!("change failed: {failure}"),
        Notice::Removed => "is removed".into(),
        Notice::SnapshotWanted { to, session } => format!("wants a snapshot for {to} s{session}"),
        Notice::SnapshotInstall(meta) => format!("install {}", snapshot(meta)),
        Notice::TransferEnded { to, outcome } => format!("transfer to {to} {}", outcome.name()),
    }
}

fn change_stage(stage: &ChangeStage) -> String {
    match stage {
        ChangeStage::CatchingUp { peers } => {
            let peers: Vec<String> = peers.iter().map(ToString::to_string).collect();
            format!("change waits for {} to catch up", peers.join(" "))
        }
        ChangeStage::Joint { index } => format!("change is joint at {index}"),
        ChangeStage::Final { index } => format!("change is final at {index}"),
    }
}

/// A follower's progress.
pub fn progress(progress: &PeerProgress) -> String {
    let mode = match progress.mode {
        ProgressMode::Probe => "probe",
        ProgressMode::Replicate => "replicate",
        ProgressMode::Snapshot => "snapshot",
    };
    let PeerProgress { peer, matched, next, inflight_messages, .. } = progress;
    format!("{peer} {mode} matched {matched} next {next} inflight {inflight_messages}")
}

/// A node in one line.
pub fn node(node: &Node) -> String {
    let leader = node.leader().map_or_else(|| "-".into(), |leader| leader.to_string());
    format!(
        "{} {} {} leader {leader} last {} durable {} commit {} applied {}{}",
        node.id(),
        node.role_name(),
        node.term(),
        node.last_position(),
        node.durable(),
        node.commit(),
        node.applied(),
        if node.is_asleep() { " asleep" } else { "" },
    )
}

fn yes(granted: bool) -> &'static str {
    if granted { "granted" } else { "refused" }
}
