//! A change of membership, carried out by the leader: catch-up, joint, final.
//!
//! [`advance`] is called after whatever may move it on: an answer, a commit, the clock. It knows
//! two things: the change that was asked for here, if any, and whether the newest configuration of
//! the log is *settled*: final, committed, and acted upon. A leader begins unsettled, so it carries
//! on what an earlier one left behind, whether it knows of it or not (etcd#12136).
//!
//! While newcomers catch up they are fed beside the members and nothing is in the log yet: a
//! change that fails there has changed nothing.

use std::collections::BTreeSet;

use kontiki_types::{
    Body, EntryKind, Index, Membership, MembershipChange, Moment, Peer, PeerId, StoreId,
};

use super::plan::{self, Plan};
use crate::quorum::{Tally, joint};
use crate::replication::flow;
use crate::replication::progress::{Mode, Progress};
use crate::roles::Transition;
use crate::roles::leader::{self, Leader};
use crate::shared::Shared;
use crate::{Cause, ChangeError, ChangeFailure, ChangeStage, Notice, transfer};

/// The part of a leader that changes the membership.
#[derive(Debug, Default)]
pub(crate) struct Changing {
    /// The change asked for here.
    asked: Option<Asked>,
    /// The newest configuration is final, committed, and acted upon.
    settled: bool,
}

#[derive(Debug)]
enum Asked {
    /// Nothing is in the log yet.
    CatchingUp { plan: Plan, window: Window },
    /// It is in the log, as the newest configuration or the one before.
    Appended,
}

/// Each newcomer must say something within it; then there is another.
#[derive(Clone, Copy, Debug)]
struct Window {
    began: Moment,
    ends: Moment,
}

impl Changing {
    /// Nobody may begin another change.
    pub(crate) fn is_busy(&self) -> bool {
        self.asked.is_some() || !self.settled
    }

    /// A caller here waits for the end of a change.
    pub(crate) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Peers that are fed although no configuration has them yet.
    pub(crate) fn newcomers(&self) -> &[Peer] {
        match &self.asked {
            Some(Asked::CatchingUp { plan, .. }) => &plan.newcomers,
            Some(Asked::Appended) | None => &[],
        }
    }

    /// When [`on_time`] is due.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        match &self.asked {
            Some(Asked::CatchingUp { window, .. }) => Some(window.ends),
            Some(Asked::Appended) | None => None,
        }
    }

    /// The reign ends. What is in the log may commit under the next leader, or go.
    pub(crate) fn leave(&mut self, shared: &mut Shared) {
        let failure = match self.asked.take() {
            None => return,
            Some(Asked::CatchingUp { .. }) => ChangeFailure::LeadershipLost,
            Some(Asked::Appended) => ChangeFailure::Unknown,
        };
        shared.outbox.notify(Notice::ChangeEnded(Err(failure)));
    }
}

/// Begin a change.
pub(crate) fn begin(
    shared: &mut Shared,
    leader: &mut Leader,
    change: &MembershipChange,
    now: Moment,
) -> Result<Transition, ChangeError> {
    leader.now = leader.now.max(now);
    may_begin(shared, leader)?;
    let plan = plan::plan(shared.membership(), change)?;
    Ok(carry_out(shared, leader, plan, now))
}

/// Whom the group would wait for after the change, although it need not now. Newcomers catch up
/// before they have a say. Where a quorum does not serve as it is, the change may be the way out.
fn stalled_by(shared: &Shared, leader: &Leader, plan: &Plan) -> Option<PeerId> {
    let (id, timeout) = (shared.config.id, shared.config.election_timeout);
    let serves = |peer: PeerId| {
        let comes = plan.newcomers.iter().any(|newcomer| newcomer.id == peer);
        let is_fed = |progress: &Progress| progress.serves(&shared.log, leader.now, timeout);
        peer == id || comes || leader.find(peer).is_some_and(is_fed)
    };
    let decides =
        |membership: &Membership| joint::tally(membership, |peer| Some(serves(peer))) == Tally::Won;
    let last = plan::leave(&plan.first);
    let stalls = decides(shared.membership()) && !decides(&last);
    last.incoming().find(|peer| stalls && !serves(*peer))
}

/// A new replica asks for the place of the one on its store. It is asked again and again, also by
/// replicas that were born and died since, so it must be right at any time: one that is a member
/// has what it wants; where nobody is, nobody is succeeded; and an heir that does not answer never
/// gets beyond catching up, before anything is in the log.
pub(crate) fn succeed(
    shared: &mut Shared,
    leader: &mut Leader,
    heir: PeerId,
    store: StoreId,
    now: Moment,
) -> Transition {
    leader.now = leader.now.max(now);
    if may_begin(shared, leader).is_err() || shared.membership().contains(heir) {
        return Transition::Stay;
    }
    let here: Vec<_> = shared.membership().peers().filter(|peer| peer.store == store).collect();
    let [old] = here[..] else { return Transition::Stay };
    if old.id == shared.config.id {
        return Transition::Stay;
    }
    tracing::info!(leader = %shared.config.id, old = %old.id, %heir, %store, "succession");
    let plan = plan::succession(shared.membership(), old.id, heir);
    carry_out(shared, leader, plan, now)
}

/// No other change, transfer or unfinished business of an earlier leader is in the way.
fn may_begin(shared: &Shared, leader: &Leader) -> Result<(), ChangeError> {
    if leader.transfer.is_some() {
        return Err(ChangeError::Transferring);
    }
    if shared.applying.commit() < leader.noop {
        return Err(ChangeError::NotReady);
    }
    if leader.changing.is_busy() {
        return Err(ChangeError::InProgress);
    }
    Ok(())
}

fn carry_out(shared: &mut Shared, leader: &mut Leader, plan: Plan, now: Moment) -> Transition {
    if !plan.newcomers.is_empty() {
        let peers = plan.newcomers.iter().map(|peer| peer.id).collect();
        shared.outbox.notify(Notice::ChangeStage(ChangeStage::CatchingUp { peers }));
    }
    let window = Window { began: now, ends: now + shared.config.election_timeout };
    leader.changing.asked = Some(Asked::CatchingUp { plan, window });
    feed(shared, leader, shared.log.last().index);
    advance(shared, leader)
}

/// Do what is due. Called after every answer and commit, so it begins with a cheap look.
pub(crate) fn advance(shared: &mut Shared, leader: &mut Leader) -> Transition {
    match &leader.changing.asked {
        None if leader.changing.settled => return Transition::Stay,
        None | Some(Asked::Appended) => {}
        Some(Asked::CatchingUp { plan, .. }) => {
            if have_caught_up(shared, leader, plan) && stalled_by(shared, leader, plan).is_none() {
                let Plan { first, newcomers } = plan.clone();
                leader.changing.asked = Some(Asked::Appended);
                append(shared, leader, &first);
                welcome(leader, &newcomers);
            }
            return Transition::Stay;
        }
    }
    let committed = shared.memberships.current_index() <= shared.applying.commit();
    // A commit index that an earlier leader told proves nothing about its configuration's quorum
    // being the one we count by; an entry of our own term does (openraft#2051).
    if !committed || shared.applying.commit() < leader.noop {
        return Transition::Stay;
    }
    if shared.membership().is_joint() {
        let last = plan::leave(shared.membership());
        append(shared, leader, &last);
        return Transition::Stay;
    }
    settle(shared, leader)
}

/// The window ended: each newcomer has said something within it, and where they are all ready
/// nobody else is waited for any longer, or the change fails. Nothing is in the log then.
pub(crate) fn on_time(shared: &mut Shared, leader: &mut Leader, now: Moment) {
    let Some(Asked::CatchingUp { plan, window }) = &leader.changing.asked else { return };
    let Window { began, ends } = *window;
    if ends > now {
        return;
    }
    let silent = |peer: &&Peer| leader.find(peer.id).is_none_or(|p| p.heard <= began);
    let failure = match plan.newcomers.iter().find(silent) {
        Some(&Peer { id: peer, .. }) => Some(ChangeFailure::CatchUp { peer }),
        None if have_caught_up(shared, leader, plan) => {
            let needed = stalled_by(shared, leader, plan);
            needed.map(|peer| ChangeFailure::WouldStall { peer })
        }
        None => None,
    };
    if let Some(failure) = failure {
        leader.changing.asked = None;
        shared.outbox.notify(Notice::ChangeEnded(Err(failure)));
        feed(shared, leader, shared.log.last().index);
    } else if let Some(Asked::CatchingUp { window, .. }) = &mut leader.changing.asked {
        *window = Window { began: now, ends: now + shared.config.election_timeout };
    }
}

/// Feed whoever may yet have a say, and nobody else; who goes is told. New progresses guess that
/// the follower has everything up to `guess`.
pub(crate) fn feed(shared: &mut Shared, leader: &mut Leader, guess: Index) {
    let id = shared.config.id;
    let live = shared.memberships.live(shared.applying.commit());
    let mut fed: BTreeSet<PeerId> = live.flat_map(Membership::peers).map(|peer| peer.id).collect();
    fed.extend(leader.changing.newcomers().iter().map(|peer| peer.id));
    fed.remove(&id);
    let gone: Vec<Progress> =
        leader.followers.extract_if(.., |progress| !fed.contains(&progress.peer)).collect();
    for progress in gone {
        // It may hold the entry that removes it, or not: this tells it in either case.
        let as_of = shared.applying.commit();
        shared.send(progress.peer, Body::Removed { as_of });
    }
    for peer in fed {
        if let Err(at) = leader.followers.binary_search_by_key(&peer, |p| p.peer) {
            let session = shared.next_session();
            let progress = Progress::new(peer, session, guess, &shared.config, leader.now);
            leader.followers.insert(at, progress);
        }
    }
}

/// Append a configuration; it is in effect at once.
fn append(shared: &mut Shared, leader: &mut Leader, membership: &Membership) {
    let before = shared.membership();
    assert!(plan::is_step(before, membership), "{before:?} and {membership:?} share no quorum");
    leader.changing.settled = false;
    let guess = shared.log.last().index;
    let data = (shared.config.membership_codec.encode)(membership);
    let index = leader::append(shared, EntryKind::Config, data).index;
    let joint = membership.is_joint();
    if leader.changing.asked.is_some() {
        let stage = if joint { ChangeStage::Joint { index } } else { ChangeStage::Final { index } };
        shared.outbox.notify(Notice::ChangeStage(stage));
    }
    feed(shared, leader, guess);
}

/// Newcomers count as heard of: they answered while they caught up, and the check of the quorum
/// must not take their silence before that for a lost majority.
fn welcome(leader: &mut Leader, newcomers: &[Peer]) {
    let now = leader.now;
    for peer in newcomers {
        if let Some(progress) = leader.progress(peer.id) {
            progress.heard = now;
        }
    }
}

fn have_caught_up(shared: &Shared, leader: &Leader, plan: &Plan) -> bool {
    plan.newcomers.iter().all(|peer| has_caught_up(shared, leader, peer.id))
}

/// It takes entries as they come, spoke within an election timeout, and lacks little.
fn has_caught_up(shared: &Shared, leader: &Leader, peer: PeerId) -> bool {
    let Some(progress) = leader.find(peer) else { return false };
    let (log, config) = (&shared.log, &shared.config);
    let streams = progress.mode == Mode::Replicate && progress.matched >= log.start().index;
    let alive = leader.now.since(progress.heard) < config.election_timeout;
    let last = log.last().index;
    streams
        && alive
        && last - progress.matched <= config.options.catch_up_entries_max
        && log.bytes_between(progress.matched, last) <= config.options.catch_up_bytes_max as u64
}

/// The newest configuration is final and committed.
fn settle(shared: &mut Shared, leader: &mut Leader) -> Transition {
    leader.changing.settled = true;
    if leader.changing.asked.take().is_some() {
        let membership = shared.membership().clone();
        shared.outbox.notify(Notice::ChangeEnded(Ok(membership)));
    }
    if !shared.membership().is_voter(shared.config.id) {
        return retire(shared, leader);
    }
    feed(shared, leader, shared.log.last().index);
    Transition::Stay
}

/// This leader has no vote any more, and what took it is committed: tell the others so, hand the
/// group to whoever can lead soonest, and go (etcd#11038).
fn retire(shared: &mut Shared, leader: &mut Leader) -> Transition {
    let round = leader.reads.newest();
    for progress in &mut leader.followers {
        flow::send_heartbeat(shared, progress, round);
    }
    feed(shared, leader, shared.log.last().index);
    if let Some(successor) = transfer::successor(shared, leader, leader.now) {
        shared.send(successor, Body::TimeoutNow);
    }
    Transition::Follow { term: shared.term(), leader: None, why: Cause::VoteGone }
}
