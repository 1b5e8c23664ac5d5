//! Three nodes of our crate, moved by hand.

use std::time::Instant;

use anyhow::Context;
use bytes::Bytes;
use kontiki_raft::{Batch, Config, MembershipCodec, Node, Restored, RoleKind};
use kontiki_types::{
    EntryKind, Index, Membership, Message, Moment, PeerId, Position, SnapshotMeta,
};

use super::{COMPACT_EVERY, Group, HEARTBEAT, REPLICAS};

/// How many turns an election may take.
const ELECTION_TURNS_MAX: usize = 1000;

/// See the module. The first node leads.
pub(super) struct Ours {
    began: Instant,
    nodes: Vec<Node>,
    inboxes: Vec<Vec<Message>>,
    batch: Batch,
    compacted: Index,
}

impl Ours {
    /// # Errors
    /// When nobody is elected.
    pub(super) fn start() -> anyhow::Result<Self> {
        let mut group = Self {
            began: Instant::now(),
            nodes: (1..=REPLICAS as u64).map(node).collect(),
            inboxes: vec![Vec::new(); REPLICAS],
            batch: Batch::default(),
            compacted: Index(0),
        };
        let now = group.now();
        group.nodes[0].campaign(now);
        let led = (0..ELECTION_TURNS_MAX).any(|_| {
            group.advance();
            group.nodes[0].role() == RoleKind::Leader && group.nodes[0].applied() > Index(0)
        });
        led.then_some(group).context("nobody leads")
    }

    fn now(&self) -> Moment {
        Moment(u64::try_from(self.began.elapsed().as_micros()).expect("a run is short"))
    }

    /// What has arrived is taken in, node by node; the number of proposals the leader applied.
    fn advance(&mut self) -> usize {
        let now = self.now();
        let mut applied = 0;
        for at in 0..REPLICAS {
            let mut messages = std::mem::take(&mut self.inboxes[at]);
            for message in messages.drain(..) {
                self.nodes[at].step(message, now);
            }
            self.inboxes[at] = messages;
            if self.nodes[at].next_deadline().is_some_and(|deadline| deadline <= now) {
                self.nodes[at].on_time(now);
            }
            let more = self.execute(at, now);
            if at == 0 {
                applied = more;
            }
        }
        self.compact();
        applied
    }

    /// Does what a node wants until it wants nothing; the number of proposals it applied.
    fn execute(&mut self, at: usize, now: Moment) -> usize {
        let (node, batch) = (&mut self.nodes[at], &mut self.batch);
        let mut applied = 0;
        loop {
            node.take(batch);
            let mut quiet = batch.send.is_empty();
            if let Some(operation) = batch.store.take() {
                node.on_persisted(operation.seq, now);
                quiet = false;
            }
            for outgoing in batch.send.drain(..) {
                self.inboxes[slot(outgoing.message.to)].push(outgoing.message);
            }
            if let Some(last) = batch.apply.last() {
                node.on_applied(last.position.index);
                quiet = false;
            }
            let is_proposal = |kind| kind == EntryKind::Normal;
            applied += batch.apply.iter().filter(|entry| is_proposal(entry.kind)).count();
            batch.apply.clear();
            batch.notices.clear();
            if quiet {
                return applied;
            }
        }
    }

    fn compact(&mut self) {
        let all = self.nodes.iter().map(Node::applied).min().unwrap_or_default();
        if all >= self.compacted + COMPACT_EVERY {
            self.compacted = all;
            for node in &mut self.nodes {
                node.compact(all);
            }
        }
    }
}

impl Group for Ours {
    async fn propose(&mut self, data: Vec<u8>) -> anyhow::Result<()> {
        let now = self.now();
        self.nodes[0].propose(Bytes::from(data), None, now).context("propose")?;
        Ok(())
    }

    async fn turn(&mut self) -> anyhow::Result<usize> {
        Ok(self.advance())
    }
}

fn node(id: u64) -> Node {
    // The membership never changes here.
    let codec = MembershipCodec { encode: |_| Bytes::new(), decode: |_| None };
    let mut config = Config::new(PeerId(id), id, codec);
    config.heartbeat_interval = HEARTBEAT;
    config.election_timeout = HEARTBEAT * 10;
    // There is no disk that could give back what left memory.
    config.cache_bytes_max = usize::MAX;
    let membership = Membership::of_voters(REPLICAS as u64);
    let snapshot = SnapshotMeta { position: Position::ZERO, membership };
    Node::new(config, Restored { snapshot, ..Restored::default() }, Moment::ZERO)
}

fn slot(peer: PeerId) -> usize {
    usize::try_from(peer.0 - 1).expect("peers are numbered from 1")
}
