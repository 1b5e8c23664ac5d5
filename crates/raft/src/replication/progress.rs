//! What a leader knows of one follower, and how it feeds it.
//!
//! ```text
//!            accepted                     rejected, unreachable
//!   Probe ─────────────► Replicate ────────────────────────────► Probe
//!     │                      │
//!     │ the log no longer holds what it needs
//!     └──────────┬───────────┘
//!                ▼
//!            Snapshot ── any acknowledgement that rejoins the log ──► Replicate
//!                └────── the stream failed ─────────────────────────► Probe
//! ```
//!
//! # Invariants
//! - `matched < next`: what is known to be there is never sent as the next.
//! - `matched` never falls within one session; replies of other sessions are not even looked at
//!   (nine of seventeen cores surveyed accept them after a peer was removed and added again).

use std::time::Duration;

use kontiki_types::{Entry, Index, Moment, PeerId, Position};

use super::inflight::Inflight;
use crate::log::Log;
use crate::{Config, PeerProgress, ProgressMode, SentCounts};

/// How a follower is fed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    /// One append at a time, until one is accepted; `waiting` for the answer to it, or for a sign
    /// of life.
    Probe { waiting: bool },
    /// Entries leave as they come, as far as the window allows.
    Replicate,
    /// A snapshot is made, streamed or installed; `delivered` once its stream ended well. It stands
    /// nowhere before `pinned`, and what comes after it will be needed.
    Snapshot { delivered: Option<Moment>, pinned: Index },
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Whose.
    pub(crate) peer: PeerId,
    /// Unique in the life of the node: replies must echo it.
    pub(crate) session: u64,
    pub(crate) mode: Mode,
    /// The logs are equal up to here, durably there.
    pub(crate) matched: Index,
    /// The first entry of the next append.
    pub(crate) next: Index,
    pub(crate) inflight: Inflight,
    /// When the follower last spoke in this session; when it began, if never.
    pub(crate) heard: Moment,
    /// The newest read round it echoed, when at the earliest that was sent (for the lease), and the
    /// newest sent to it.
    pub(crate) echoed: u64,
    pub(crate) echoed_sent: Option<Moment>,
    pub(crate) carried: u64,
    /// When the last append left.
    pub(crate) fed: Moment,
    /// What it will take for committed, as far as sent.
    pub(crate) told_commit: Index,
    /// A heartbeat of the clock left, and no append since: an answer now means that whatever is
    /// not answered was lost, or is slow enough to be asked about.
    pub(crate) quiet: bool,
    /// Entries that came back from the disk, from `next` on; used or dropped by the next append.
    pub(crate) fetched: Vec<Entry>,
    /// It is to be asked with an empty append.
    pub(crate) nudge: bool,
    /// For metrics.
    pub(crate) sent: SentCounts,
}

/// What an answer changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effect {
    /// Nothing that others need to know.
    None,
    /// `matched` grew: perhaps more is committed.
    Matched,
    /// The follower needs a snapshot, the first or another one.
    NeedsSnapshot,
}

impl Progress {
    /// A follower of whom nothing is known yet; its log is guessed to equal ours.
    pub(crate) fn new(
        peer: PeerId,
        session: u64,
        last: Index,
        config: &Config,
        now: Moment,
    ) -> Self {
        Self {
            peer,
            session,
            mode: Mode::Probe { waiting: false },
            matched: Index(0),
            next: last.next(),
            inflight: Inflight::new(
                config.options.inflight_messages_max,
                config.options.inflight_bytes_max,
            ),
            heard: now,
            echoed: 0,
            echoed_sent: None,
            carried: 0,
            fed: Moment::ZERO,
            told_commit: Index(0),
            quiet: false,
            fetched: Vec::new(),
            nudge: false,
            sent: SentCounts::default(),
        }
    }

    /// The follower's log equals ours up to `matched`, durably.
    pub(crate) fn on_accepted(&mut self, matched: Index, log: &Log) -> Effect {
        assert!(matched <= log.last().index, "{} has {matched}, we {}", self.peer, log.last());
        self.inflight.free_to(matched);
        let grew = matched > self.matched;
        self.matched = self.matched.max(matched);
        self.next = self.next.max(self.matched.next());
        match self.mode {
            Mode::Replicate => {}
            // The log may have been cut further since the snapshot was made.
            Mode::Snapshot { delivered, .. } if log.term(self.matched).is_none() => {
                return if delivered.is_some() { Effect::NeedsSnapshot } else { Effect::None };
            }
            Mode::Probe { .. } | Mode::Snapshot { .. } => self.become_replicate(),
        }
        if grew { Effect::Matched } else { Effect::None }
    }

    /// The follower has no entry at `prev`; `hint` is the newest of its entries that may be ours.
    pub(crate) fn on_rejected(
        &mut self,
        prev: Index,
        hint: Position,
        log: &Log,
        give_up_before: Moment,
    ) -> Effect {
        match self.mode {
            // It refuses even the origin: it awaits its first snapshot.
            Mode::Probe { .. } | Mode::Replicate if prev == Index(0) && self.matched == prev => {
                Effect::NeedsSnapshot
            }
            // Late: that append was followed by one that arrived.
            Mode::Replicate if prev <= self.matched => Effect::None,
            Mode::Replicate => {
                self.become_probe(false);
                Effect::None
            }
            // Late: not the answer to the probe under way. Taking it could drive `next` below
            // `matched` (raft#148, raft-rs#555).
            Mode::Probe { .. } if prev != self.next.prev() || prev < self.matched => Effect::None,
            Mode::Probe { .. } => {
                // Where our log may agree with the hint, by term: no round trip per entry.
                let agree = log.newest_not_after(hint).index.min(prev.prev());
                self.next = agree.max(self.matched).next();
                self.mode = Mode::Probe { waiting: false };
                Effect::None
            }
            // Delivered long ago, and the follower neither has it nor installs it.
            Mode::Snapshot { delivered: Some(at), .. } if at < give_up_before => {
                Effect::NeedsSnapshot
            }
            Mode::Snapshot { .. } => Effect::None,
        }
    }

    /// The follower lives: what stands still is asked for again, once for each heartbeat of the
    /// clock. Heartbeats also carry read rounds and commits; repeating a probe for each of their
    /// answers would multiply traffic under load.
    pub(crate) fn on_heartbeat_answered(&mut self, last: Index) {
        if !std::mem::take(&mut self.quiet) {
            return;
        }
        match &mut self.mode {
            Mode::Probe { waiting } => *waiting = false,
            Mode::Replicate => self.nudge = !self.inflight.is_empty() && self.matched < last,
            Mode::Snapshot { delivered, .. } => self.nudge = delivered.is_some(),
        }
    }

    /// What was on its way may be lost. Ask again once the follower shows a sign of life; at once
    /// would only fill a broken link.
    pub(crate) fn on_unreachable(&mut self) {
        if self.mode == Mode::Replicate {
            self.become_probe(true);
        }
    }

    /// Wait for a snapshot to be made and streamed: one that stands where the log starts by now, or
    /// later.
    pub(crate) fn become_snapshot(&mut self, log: &Log) {
        self.mode = Mode::Snapshot { delivered: None, pinned: log.start().index };
        self.inflight.reset();
        self.nudge = false;
    }

    /// The snapshot is being opened, perhaps long after it was asked for.
    pub(crate) fn on_snapshot_opened(&mut self, at: Index) {
        if let Mode::Snapshot { pinned, .. } = &mut self.mode {
            *pinned = at.max(*pinned);
        }
    }

    /// The stream of the snapshot ended.
    pub(crate) fn on_snapshot_sent(&mut self, ok: bool, now: Moment) {
        match (self.mode, ok) {
            (Mode::Snapshot { pinned, .. }, true) => {
                self.mode = Mode::Snapshot { delivered: Some(now), pinned };
            }
            (Mode::Snapshot { .. }, false) => self.become_probe(true),
            // It rejoined the log before the stream ended.
            (Mode::Probe { .. } | Mode::Replicate, _) => {}
        }
    }

    /// It is known to hold what the log starts after, and was heard of within this time.
    pub(crate) fn serves(&self, log: &Log, now: Moment, within: Duration) -> bool {
        let is_fed = self.matched > Index(0) && self.matched >= log.start().index;
        is_fed && now.since(self.heard) < within
    }

    /// A snapshot was asked for, and its stream has not ended.
    pub(crate) fn awaits_sending(&self) -> bool {
        matches!(self.mode, Mode::Snapshot { delivered: None, .. })
    }

    /// Its log, or the snapshot on its way to it, is continued after here.
    pub(crate) fn continues_after(&self) -> Index {
        match self.mode {
            Mode::Probe { .. } | Mode::Replicate => self.matched,
            Mode::Snapshot { pinned, .. } => self.matched.max(pinned),
        }
    }

    fn become_probe(&mut self, waiting: bool) {
        self.mode = Mode::Probe { waiting };
        self.next = self.matched.next();
        self.inflight.reset();
        self.nudge = false;
    }

    fn become_replicate(&mut self) {
        self.mode = Mode::Replicate;
        self.next = self.matched.next();
        self.inflight.reset();
        self.nudge = false;
    }

    /// For status pages and scripts.
    pub(crate) fn status(&self) -> PeerProgress {
        let (inflight_messages, inflight_bytes) = self.inflight.size();
        PeerProgress {
            peer: self.peer,
            mode: match self.mode {
                Mode::Probe { .. } => ProgressMode::Probe,
                Mode::Replicate => ProgressMode::Replicate,
                Mode::Snapshot { .. } => ProgressMode::Snapshot,
            },
            matched: self.matched,
            next: self.next,
            inflight_messages,
            inflight_bytes,
            heard: self.heard,
            sent: self.sent,
        }
    }
}
