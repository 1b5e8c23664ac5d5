//! A group in which nothing happens costs nothing: no heartbeats, no deadlines.
//!
//! ```text
//!  leader    nothing to do for N election timeouts ──▶ Sleep to all, no deadlines ──▶ woken
//!  follower  Sleep, and it holds that very log     ──▶ no deadline                ──▶ woken
//! ```
//!
//! Any message of a member wakes, and so do a read, a proposal, a transfer, and
//! [`crate::Node::wake`]; a leader that wakes beats at once and so wakes the others. A follower
//! that does not hold what the leader says refuses to sleep, which wakes the leader. One that never
//! heard the word campaigns in time, which wakes everyone: lost words cost a round, not the group.
//!
//! Asleep, nobody notices that another died. That is for the layer above to tell
//! ([`crate::Node::on_unreachable`], [`crate::Node::wake`]): it watches stores, of which there are
//! few, in place of groups, of which there are many (known raft bug 68). Whom a sleeper relies
//! on is [`crate::Node::sleeps_beside`].

use kontiki_types::{AppendOutcome, Body, Message, Moment, PeerId, Position};

use crate::membership::removal;
use crate::replication::progress::Mode;
use crate::roles::Role;
use crate::roles::follower::Follower;
use crate::roles::leader::{self, Leader};
use crate::shared::Shared;

/// What a leader remembers to know whether its group is quiet.
#[derive(Debug, Default)]
pub(crate) struct Quiet {
    /// The end of the log and the newest read round, and since when they are the same.
    since: Option<(Position, u64, Moment)>,
    /// Since when this leader sleeps.
    asleep: Option<Moment>,
}

impl Quiet {
    /// This leader sleeps.
    pub(crate) fn is_asleep(&self) -> bool {
        self.asleep.is_some()
    }
}

/// Heartbeats are due. True when the leader says good night in their place.
pub(crate) fn falls_asleep(shared: &mut Shared, leader: &mut Leader, now: Moment) -> bool {
    let Some(timeouts) = shared.config.hibernate_after else { return false };
    if !is_still(shared, leader, now) {
        leader.quiet.since = None;
        return false;
    }
    let (last, round) = (shared.log.last(), leader.reads.newest());
    let since = match leader.quiet.since {
        Some((seen, rounds, since)) if (seen, rounds) == (last, round) => since,
        Some(_) | None => now,
    };
    leader.quiet.since = Some((last, round, since));
    if now.since(since) < shared.config.election_timeout * timeouts {
        return false;
    }
    for progress in &leader.followers {
        shared.send(progress.peer, Body::Sleep { session: progress.session, commit: last });
    }
    leader.quiet.asleep = Some(now);
    true
}

/// Everything is committed, durable, and known to everyone alive; nobody waits for anything. A
/// follower that is not heard of keeps nobody awake: it asks by itself when it is back.
fn is_still(shared: &Shared, leader: &Leader, now: Moment) -> bool {
    let (last, commit) = (shared.log.last().index, shared.applying.commit());
    let idle = commit == last && shared.log.durable() == last && !leader.changing.is_busy();
    let asked = leader.transfer.is_some() || !leader.reads.is_empty();
    let kept_up = leader.lease.is_wanted(&shared.config, now);
    let timeout = shared.config.election_timeout;
    let mut alive = leader.followers.iter().filter(|p| now.since(p.heard) < timeout);
    let told =
        alive.all(|p| p.mode == Mode::Replicate && p.matched == last && p.told_commit == last);
    idle && told && !asked && !kept_up
}

/// The leader says good night: sleep if this log is the one it speaks of, else keep it awake.
pub(crate) fn on_sleep(
    shared: &mut Shared,
    follower: &mut Follower,
    from: PeerId,
    session: u64,
    commit: Position,
) {
    let busy = shared.applying.install.is_some() || !follower.reads.is_empty();
    if shared.log.last() == commit && !busy {
        shared.commit_to(commit.index);
        follower.sleep(shared);
        return;
    }
    let hint = shared.log.newest_not_after(commit);
    let outcome = AppendOutcome::Rejected { prev: commit.index, hint };
    shared.send_after_ballot(from, Body::AppendReply { session, outcome, round: 0 });
}

/// A message arrives, and is judged after this. Answers that say nothing new wake no leader: they
/// were on their way when it fell asleep. Nor does a stranger wake anybody who asks for what it
/// cannot get: it may be the leftover of a change that was given up, which asks for ever.
pub(crate) fn on_message(shared: &mut Shared, role: &mut Role, message: &Message, now: Moment) {
    match (role, &message.body) {
        (
            Role::Leader(_),
            Body::HeartbeatReply { .. }
            | Body::AppendReply { outcome: AppendOutcome::Accepted { .. }, .. },
        )
        | (Role::Follower(_), Body::Sleep { .. }) => {}
        (Role::Leader(_), _) if is_idle_talk(shared, message) => {}
        (Role::Follower(_), _) if is_idle_talk(shared, message) => {
            if shared.is_asleep() {
                shared.on_leader_heard(now);
            }
        }
        (Role::Leader(leader), _) => wake_leader(shared, leader, now),
        (Role::Follower(follower), body) if shared.is_asleep() => {
            // The leader may live: nobody shall depose it because somebody else woke us. Unless it
            // is the one who asks for votes; then it leads no more.
            let asks = matches!(body, Body::PreVote { .. } | Body::Vote { .. });
            if !asks || follower.leader() != Some(message.from) {
                shared.on_leader_heard(now);
            }
            follower.wake(shared, now);
        }
        (Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_), _) => {}
    }
}

/// A stranger wants a leader, or votes that it could not win with by its log. One with a newer log
/// may be a member that this peer does not know yet.
fn is_idle_talk(shared: &Shared, message: &Message) -> bool {
    let is_hopeless = match message.body {
        Body::ReadIndex { .. } => true,
        Body::PreVote { last } | Body::Vote { last, .. } => last < shared.log.last(),
        _ => false,
    };
    is_hopeless && removal::is_stranger(shared, message.from)
}

/// Somebody wants something of this peer, or of its group.
pub(crate) fn wake(shared: &mut Shared, role: &mut Role, now: Moment) {
    match role {
        Role::Leader(leader) => wake_leader(shared, leader, now),
        Role::Follower(follower) => follower.wake(shared, now),
        Role::PreCandidate(_) | Role::Candidate(_) => {}
    }
}

fn wake_leader(shared: &mut Shared, leader: &mut Leader, now: Moment) {
    let Some(since) = leader.quiet.asleep.take() else { return };
    leader.quiet.since = None;
    // Who slept with us has an election timeout to show that it lives.
    let timeout = shared.config.election_timeout;
    let slept = leader.followers.iter_mut().filter(|p| since.since(p.heard) < timeout);
    for progress in slept {
        progress.heard = now;
    }
    leader.quorum_check_at = now + timeout;
    leader::beat(shared, leader, now);
}

/// Whom this peer, asleep, relies on to be alive: its leader, or the followers that sleep too.
pub(crate) fn sleeps_beside(shared: &Shared, role: &Role) -> Vec<PeerId> {
    match role {
        Role::Leader(leader) => {
            let Some(since) = leader.quiet.asleep else { return Vec::new() };
            let timeout = shared.config.election_timeout;
            let slept = leader.followers.iter().filter(|p| since.since(p.heard) < timeout);
            slept.map(|progress| progress.peer).collect()
        }
        Role::Follower(follower) if shared.is_asleep() => follower.leader().into_iter().collect(),
        Role::Follower(_) | Role::PreCandidate(_) | Role::Candidate(_) => Vec::new(),
    }
}
