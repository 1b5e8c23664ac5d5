//! The four parts a peer can play, and the one place where it changes from one to another.
//!
//! Each role owns what only it needs, so a follower cannot have votes nor a candidate followers.
//! A handler borrows [`Shared`] and its own role, and returns a [`Transition`]; only
//! [`Role::change`] carries it out. Reading order: [`follower`], [`pre_candidate`], [`candidate`],
//! [`leader`]; [`arrival`] judges a message's term before any role sees it.

pub(crate) mod arrival;
pub(crate) mod candidate;
pub(crate) mod cause;
pub(crate) mod follower;
pub(crate) mod leader;
pub(crate) mod pre_candidate;

use kontiki_types::{Message, Moment, PeerId, Term};

use crate::election::Occasion;
use crate::limits::TRANSITIONS_MAX;
use crate::roles::candidate::Candidate;
use crate::roles::cause::Cause;
use crate::roles::follower::Follower;
use crate::roles::leader::Leader;
use crate::roles::pre_candidate::PreCandidate;
use crate::shared::Shared;
use crate::{Notice, RoleKind, transfer};

/// The part a peer plays, with what belongs to it.
#[derive(Debug)]
pub(crate) enum Role {
    Follower(Follower),
    PreCandidate(PreCandidate),
    Candidate(Candidate),
    Leader(Box<Leader>),
}

/// What a handler wants to become of its role.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Transition {
    /// Nothing changes.
    Stay,
    /// Follow in this term, which is the current one or newer.
    Follow { term: Term, leader: Option<PeerId>, why: Cause },
    /// Ask whether an election could be won.
    PreCampaign,
    /// Hold an election in the next term.
    Campaign(Occasion),
    /// The election is won.
    Lead,
}

impl Transition {
    /// What it comes from.
    ///
    /// # Panics
    /// When it is none.
    fn why(self) -> Cause {
        match self {
            Self::Stay => panic!("nothing changes for a reason"),
            Self::Follow { why, .. } => why,
            Self::PreCampaign => Cause::AsksForVotes,
            Self::Campaign(_) => Cause::Stands,
            Self::Lead => Cause::Elected,
        }
    }
}

impl Role {
    /// Which one.
    pub(crate) fn kind(&self) -> RoleKind {
        match self {
            Self::Follower(_) => RoleKind::Follower,
            Self::PreCandidate(_) => RoleKind::PreCandidate,
            Self::Candidate(_) => RoleKind::Candidate,
            Self::Leader(_) => RoleKind::Leader,
        }
    }

    /// Who leads, as far as this peer knows.
    pub(crate) fn leader(&self, shared: &Shared) -> Option<PeerId> {
        match self {
            Self::Follower(follower) => follower.leader(),
            Self::PreCandidate(_) | Self::Candidate(_) => None,
            Self::Leader(_) => Some(shared.config.id),
        }
    }

    /// This peer's reign, if it leads.
    pub(crate) fn reign(&self) -> Option<&Leader> {
        if let Self::Leader(leader) = self { Some(leader) } else { None }
    }

    /// True while a leader is alive as far as this peer knows: then it helps nobody else to power
    /// (thesis §4.2.3). A leader checks its quorum itself, so it counts.
    pub(crate) fn hears_leader(&self, shared: &Shared, now: Moment) -> bool {
        self.kind() == RoleKind::Leader || shared.hears_leader(now)
    }

    /// A message arrived.
    pub(crate) fn step(&mut self, shared: &mut Shared, message: Message, now: Moment) {
        let Some(transition) = arrival::judge(shared, self, &message, now) else { return };
        self.change(shared, transition, now);
        let transition = match self {
            Self::Follower(follower) => follower::step(shared, follower, message, now),
            Self::PreCandidate(pre) => pre_candidate::step(shared, pre, &message),
            Self::Candidate(candidate) => candidate::step(shared, candidate, &message),
            Self::Leader(leader) => leader::step(shared, leader, &message, now),
        };
        self.change(shared, transition, now);
    }

    /// Time passed.
    pub(crate) fn on_time(&mut self, shared: &mut Shared, now: Moment) {
        transfer::on_time(shared, now);
        let transition = match self {
            Self::Follower(follower) => follower::on_time(shared, follower, now),
            Self::PreCandidate(pre) if pre.deadline <= now => Transition::PreCampaign,
            Self::Candidate(candidate) if candidate.deadline <= now => Transition::PreCampaign,
            Self::PreCandidate(_) | Self::Candidate(_) => Transition::Stay,
            Self::Leader(leader) => leader::on_time(shared, leader, now),
        };
        self.change(shared, transition, now);
    }

    /// When `on_time` is due.
    pub(crate) fn next_deadline(&self, shared: &Shared) -> Option<Moment> {
        let own = match self {
            Self::Follower(follower) => follower.next_deadline(),
            Self::PreCandidate(pre) => Some(pre.deadline),
            Self::Candidate(candidate) => Some(candidate.deadline),
            Self::Leader(leader) => leader.next_deadline(),
        };
        let handover = shared.handover.map(|handover| handover.deadline);
        [own, handover].into_iter().flatten().min()
    }

    /// Carry out a transition and those it leads to. The only place where roles change.
    pub(crate) fn change(&mut self, shared: &mut Shared, transition: Transition, now: Moment) {
        let mut transition = transition;
        for _ in 0..TRANSITIONS_MAX {
            if transition == Transition::Stay {
                return;
            }
            transition = self.change_once(shared, transition, now);
        }
        panic!("{} goes round in circles: {transition:?}", shared.config.id);
    }

    fn change_once(
        &mut self,
        shared: &mut Shared,
        transition: Transition,
        now: Moment,
    ) -> Transition {
        let before = (self.kind(), shared.term(), self.leader(shared));
        let why = transition.why();
        self.leave(shared, why);
        let next = match transition {
            Transition::Stay => Transition::Stay,
            Transition::Follow { term, leader, why } => {
                if term != shared.term() {
                    shared.set_term(term);
                }
                tracing::debug!(peer = %shared.config.id, %term, ?leader, %why, "follow");
                *self = Self::Follower(Follower::new(shared, leader, now));
                Transition::Stay
            }
            Transition::PreCampaign => {
                let (role, next) = pre_candidate::enter(shared, now);
                *self = Self::PreCandidate(role);
                next
            }
            Transition::Campaign(occasion) => {
                *self = Self::Candidate(candidate::enter(shared, occasion, now));
                Transition::Stay
            }
            Transition::Lead => {
                assert!(matches!(self, Self::Candidate(_)), "only a candidate wins elections");
                *self = Self::Leader(Box::new(leader::enter(shared, now)));
                Transition::Stay
            }
        };
        self.announce(shared, before, why);
        next
    }

    /// Let go of what dies with the role: whoever waits is told.
    fn leave(&mut self, shared: &mut Shared, why: Cause) {
        match self {
            Self::Follower(follower) => follower.leave(shared),
            Self::PreCandidate(_) | Self::Candidate(_) => {}
            Self::Leader(leader) => leader.leave(shared, why),
        }
    }

    fn announce(&self, shared: &mut Shared, before: (RoleKind, Term, Option<PeerId>), why: Cause) {
        let (kind, term, leader) = (self.kind(), shared.term(), self.leader(shared));
        if kind != before.0 {
            let id = shared.config.id;
            tracing::info!(peer = %id, %term, from = before.0.name(), to = kind.name(), "role");
        }
        let news = leader != before.2 || (leader.is_some() && term != before.1);
        if news {
            shared.outbox.notify(Notice::LeaderChanged { term, leader, why });
        }
        if let Some(leader) = leader {
            transfer::on_leader_known(shared, leader);
        }
    }
}
