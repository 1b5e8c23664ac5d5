//! Feeds nodes and carries out what they want: the driver that production has in `multiraft`.

use kontiki_types::{Message, PeerId};

use super::Group;
use super::trace::{self, Status};
use crate::invariants::{self, Observed};
use crate::testing::safety::Witness;
use crate::{Batch, Node, Notice, Outgoing, Seq, describe};

impl Group {
    /// Feed a node, drain it, check everything.
    pub(super) fn feed<T>(&mut self, id: PeerId, input: impl FnOnce(&mut Node) -> T) -> T {
        let replica = self.replica_mut(id);
        let node = replica.node.as_mut().unwrap_or_else(|| panic!("{id} is down"));
        let (before, status) = (Observed::of(node), Status::of(node));
        let result = input(node);
        before.check_delta(node);
        invariants::check(node);
        if self.tracing {
            let changes = status.changes(self.node(id));
            self.trace.extend(changes.into_iter().map(|change| format!("  {id} {change}")));
        }
        self.drain(id);
        self.check();
        result
    }

    pub(super) fn drain(&mut self, id: PeerId) {
        let mut batch = Batch::default();
        let replica = self.replica_mut(id);
        let node = replica.node.as_mut().expect("only a running node is drained");
        let (has_output, deadline) = (node.has_output(), node.next_deadline());
        node.take(&mut batch);
        // Without output nothing is planned sooner than before either.
        let later = |after| deadline.is_some_and(|before| before <= after);
        let is_quiet = batch.is_empty() && node.next_deadline().is_none_or(later);
        assert!(has_output || is_quiet, "{id} had no output, and then {batch:?}");
        invariants::check(node);
        for notice in batch.notices {
            self.on_notice(id, notice);
        }
        if let Some(op) = batch.store {
            self.mark_op(id, &op);
            self.line(format!("  {id} {}", describe::store_op(&op)));
            self.replica_mut(id).disk.write(op);
        }
        for outgoing in batch.send {
            let gate = match outgoing.after {
                Seq(0) => String::new(),
                Seq(seq) => format!(", after #{seq}"),
            };
            self.line(format!("  {}{gate}", describe::message(&outgoing.message)));
            if outgoing.after == Seq(0) {
                self.send(outgoing.message);
            } else {
                self.replica_mut(id).gated.push(outgoing);
            }
        }
        self.replica_mut(id).machine.queue.extend(batch.apply);
        for fetch in batch.fetch {
            self.line(format!("  {id} wants entries after {} up to {}", fetch.after, fetch.to));
            self.replica_mut(id).fetching.push(fetch);
        }
        for ready in batch.reads {
            self.line(format!("  {id} read {} at {}", ready.id.0, ready.index));
            self.mark("read answered");
            let asked = self.replica_mut(id).reads.remove(&ready.id).expect("it was asked");
            assert!(ready.index >= asked, "{id}: read at {}, {asked} was committed", ready.index);
        }
        for read in batch.reads_failed {
            self.line(format!("  {id} read {} failed", read.0));
            self.mark("read failed");
            self.replica_mut(id).reads.remove(&read).expect("it was asked");
        }
    }

    /// Messages that waited for `seq` leave.
    pub(super) fn release(&mut self, id: PeerId, seq: Seq) {
        let gated = std::mem::take(&mut self.replica_mut(id).gated);
        let (free, wait) = gated.into_iter().partition(|outgoing| outgoing.after <= seq);
        self.replica_mut(id).gated = wait;
        let free: Vec<Outgoing> = free;
        for outgoing in free {
            self.line(format!("  {}", describe::message(&outgoing.message)));
            self.send(outgoing.message);
        }
    }

    pub(super) fn send(&mut self, message: Message) {
        if !self.network.send(message) {
            self.line("  lost: the link is cut".into());
        }
    }

    pub(super) fn check(&mut self) {
        let Self { replicas, safety, .. } = self;
        let witnesses: Vec<Witness<'_>> = replicas
            .iter()
            .map(|(&peer, replica)| Witness {
                peer,
                node: replica.node.as_ref(),
                stored: replica.disk.stored(),
            })
            .collect();
        safety.check(&witnesses);
    }

    fn on_notice(&mut self, id: PeerId, notice: Notice) {
        self.line(format!("  {id} {}", describe::notice(&notice)));
        self.mark(trace::word(&notice));
        let replica = self.replica_mut(id);
        if let Notice::SnapshotWanted { to, session } = notice {
            let term = replica.node.as_ref().expect("it said so just now").term();
            replica.wanted.push((to, session, term));
        } else if let Notice::SnapshotInstall(meta) = notice {
            replica.installing = Some(meta);
        }
    }
}
