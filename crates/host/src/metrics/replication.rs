//! How long replication and elections take, as the shard's turns see messages leave and arrive.
//!
//! One append to each follower is timed at once, as a sample: its entries are acknowledged by the
//! first answer that covers them. The Raft core is not asked and knows nothing of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use kontiki_multiraft::{Effects, Refused, Shard};
use kontiki_raft::Notice;
use kontiki_types::{AppendOutcome, Body, Entry, Index, Message, PeerId, RegionId};

use super::Metrics;
use crate::waiters::Waiter;

/// Most samples and elections under way; beyond it nothing new is timed.
const UNDER_WAY_MAX: usize = 4096;

/// See the module.
pub(crate) struct Replication {
    metrics: Arc<Metrics>,
    /// The append that is timed, by group and follower.
    samples: BTreeMap<(RegionId, PeerId), (Index, Instant)>,
    /// When a node here asked for pre-votes or votes.
    elections: BTreeMap<RegionId, (Stage, Instant)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    PreVote,
    Vote,
}

/// A message that is being handled.
#[derive(Clone, Copy)]
pub(crate) enum Arrived {
    Append { entries: u64, at: Instant },
    ReadIndex { at: Instant },
    Other,
}

impl Replication {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, samples: BTreeMap::new(), elections: BTreeMap::new() }
    }

    /// A message arrived and is about to be handled.
    pub(crate) fn arrived(&mut self, group: RegionId, message: &Message) -> Arrived {
        match &message.body {
            Body::Append { entries, .. } if !entries.is_empty() => {
                Arrived::Append { entries: entries.len() as u64, at: Instant::now() }
            }
            Body::ReadIndex { .. } => Arrived::ReadIndex { at: Instant::now() },
            Body::AppendReply { outcome, .. } => {
                self.acknowledged(group, message.from, *outcome);
                Arrived::Other
            }
            _ => Arrived::Other,
        }
    }

    /// It was handled.
    pub(crate) fn handled(&self, arrived: Arrived) {
        match arrived {
            Arrived::Append { entries, at } => {
                self.metrics.handle_append_entries.observe_since(at);
                self.metrics.handle_append_entries_count.observe(entries);
            }
            Arrived::ReadIndex { at } => self.metrics.handle_read_index.observe_since(at),
            Arrived::Other => {}
        }
    }

    /// Somebody is refused.
    pub(crate) fn refused(&self, waiter: &Waiter, refused: Refused) {
        self.metrics.refused(waiter, refused);
    }

    /// These are the effects of a turn.
    pub(crate) fn leaving(&mut self, effects: &Effects, shard: &Shard) {
        let gated = effects.log.iter().flat_map(|task| &task.gated);
        for outbound in effects.send.iter().chain(gated) {
            let group = outbound.group;
            match &outbound.message.body {
                Body::Append { entries, .. } => {
                    let to = outbound.message.to;
                    if self.append_leaves(group, to, entries) {
                        let progress = shard.node(group).and_then(|node| node.progress_of(to));
                        let inflight = progress.map_or(0, |p| p.inflight_messages as u64);
                        self.metrics.replicate_inflights_count.observe(inflight);
                    }
                }
                Body::PreVote { .. } => self.campaigns(group, Stage::PreVote),
                Body::Vote { .. } => self.campaigns(group, Stage::Vote),
                _ => {}
            }
        }
        for (group, notice) in &effects.notices {
            match notice {
                Notice::LeaderStart { .. } => {
                    self.metrics.leader_start_times.add_one();
                    if let Some((Stage::Vote, at)) = self.elections.remove(group) {
                        self.metrics.request_vote.observe_since(at);
                    }
                }
                Notice::LeaderChanged { leader: Some(_), .. } => {
                    self.elections.remove(group);
                }
                _ => {}
            }
        }
    }

    /// True when this one is timed.
    fn append_leaves(&mut self, group: RegionId, to: PeerId, entries: &[Entry]) -> bool {
        let Some(last) = entries.last() else { return false };
        let bytes = entries.iter().map(|entry| entry.data.len() as u64).sum();
        self.metrics.replicate_entries_count.observe(entries.len() as u64);
        self.metrics.replicate_entries_bytes.observe(bytes);
        if self.samples.len() >= UNDER_WAY_MAX || self.samples.contains_key(&(group, to)) {
            return false;
        }
        self.samples.insert((group, to), (last.position.index, Instant::now()));
        true
    }

    fn acknowledged(&mut self, group: RegionId, from: PeerId, outcome: AppendOutcome) {
        let Some(&(index, at)) = self.samples.get(&(group, from)) else { return };
        match outcome {
            AppendOutcome::Accepted { matched } if matched < index => return,
            AppendOutcome::Accepted { .. } => self.metrics.replicate_entries.observe_since(at),
            AppendOutcome::Rejected { .. } => {}
        }
        self.samples.remove(&(group, from));
    }

    fn campaigns(&mut self, group: RegionId, stage: Stage) {
        match self.elections.get(&group) {
            Some((found, _)) if *found == stage => return,
            Some((Stage::PreVote, at)) => self.metrics.pre_vote.observe_since(*at),
            Some((Stage::Vote, _)) | None => {}
        }
        if self.elections.len() < UNDER_WAY_MAX {
            self.elections.insert(group, (stage, Instant::now()));
        }
    }
}
