//! Three nodes of the crate `raft`, moved by hand as its examples show.

use std::time::Instant;

use anyhow::Context;
use raft::eraftpb::{Entry, EntryType, Message};
use raft::storage::MemStorage;
use raft::{Config, RawNode, StateRole};

use super::{COMPACT_EVERY, Group, HEARTBEAT, REPLICAS};

/// How many turns an election may take.
const ELECTION_TURNS_MAX: usize = 1000;
/// The same as ours.
const APPEND_BYTES_MAX: u64 = 1024 * 1024;

/// See the module. The first node leads.
pub(super) struct RaftRs {
    ticked: Instant,
    nodes: Vec<RawNode<MemStorage>>,
    inboxes: Vec<Vec<Message>>,
    /// What each node has applied.
    applied: Vec<u64>,
    compacted: u64,
}

impl RaftRs {
    /// # Errors
    /// When nobody is elected.
    pub(super) fn start() -> anyhow::Result<Self> {
        let nodes = (1..=REPLICAS as u64).map(node).collect::<anyhow::Result<_>>()?;
        let mut group = Self {
            ticked: Instant::now(),
            nodes,
            inboxes: vec![Vec::new(); REPLICAS],
            applied: vec![0; REPLICAS],
            compacted: 0,
        };
        group.nodes[0].campaign()?;
        for _ in 0..ELECTION_TURNS_MAX {
            group.advance()?;
            if group.nodes[0].raft.state == StateRole::Leader && group.applied[0] > 0 {
                return Ok(group);
            }
        }
        anyhow::bail!("nobody leads")
    }

    fn advance(&mut self) -> anyhow::Result<usize> {
        let is_tick = self.ticked.elapsed() >= HEARTBEAT;
        if is_tick {
            self.ticked = Instant::now();
        }
        let mut applied = 0;
        for at in 0..REPLICAS {
            let mut messages = std::mem::take(&mut self.inboxes[at]);
            for message in messages.drain(..) {
                self.nodes[at].step(message)?;
            }
            self.inboxes[at] = messages;
            if is_tick {
                self.nodes[at].tick();
            }
            let more = self.execute(at)?;
            if at == 0 {
                applied = more;
            }
        }
        self.compact()?;
        Ok(applied)
    }

    /// Does what a node wants until it wants nothing; the number of proposals it applied.
    fn execute(&mut self, at: usize) -> anyhow::Result<usize> {
        let mut applied = 0;
        while self.nodes[at].has_ready() {
            let mut ready = self.nodes[at].ready();
            self.send(ready.take_messages());
            applied += self.apply(at, &ready.take_committed_entries());
            let store = self.nodes[at].raft.raft_log.store.clone();
            if !ready.entries().is_empty() {
                store.wl().append(ready.entries())?;
            }
            if let Some(state) = ready.hs() {
                store.wl().set_hardstate(state.clone());
            }
            self.send(ready.take_persisted_messages());
            let mut light = self.nodes[at].advance(ready);
            if let Some(commit) = light.commit_index() {
                store.wl().mut_hard_state().set_commit(commit);
            }
            self.send(light.take_messages());
            applied += self.apply(at, &light.take_committed_entries());
            self.nodes[at].advance_apply();
        }
        Ok(applied)
    }

    fn send(&mut self, messages: Vec<Message>) {
        for message in messages {
            let to = usize::try_from(message.to - 1).expect("peers are numbered from 1");
            self.inboxes[to].push(message);
        }
    }

    fn apply(&mut self, at: usize, entries: &[Entry]) -> usize {
        if let Some(last) = entries.last() {
            self.applied[at] = last.index;
        }
        // The empty entry of a new leader is no proposal.
        let is_proposal = |entry: &&Entry| {
            entry.get_entry_type() == EntryType::EntryNormal && !entry.data.is_empty()
        };
        entries.iter().filter(is_proposal).count()
    }

    fn compact(&mut self) -> anyhow::Result<()> {
        let all = self.applied.iter().copied().min().unwrap_or_default();
        if all >= self.compacted + COMPACT_EVERY {
            self.compacted = all;
            for node in &self.nodes {
                node.raft.raft_log.store.wl().compact(all)?;
            }
        }
        Ok(())
    }
}

impl Group for RaftRs {
    async fn propose(&mut self, data: Vec<u8>) -> anyhow::Result<()> {
        self.nodes[0].propose(Vec::new(), data).context("propose")
    }

    async fn turn(&mut self) -> anyhow::Result<usize> {
        self.advance()
    }
}

fn node(id: u64) -> anyhow::Result<RawNode<MemStorage>> {
    let config = Config {
        election_tick: 10,
        heartbeat_tick: 1,
        max_size_per_msg: APPEND_BYTES_MAX,
        check_quorum: true,
        pre_vote: true,
        batch_append: true,
        ..Config::new(id)
    };
    let voters: Vec<u64> = (1..=REPLICAS as u64).collect();
    let storage = MemStorage::new_with_conf_state((voters, Vec::new()));
    let logger = slog::Logger::root(slog::Discard, slog::o!());
    Ok(RawNode::new(&config, storage, &logger)?)
}
