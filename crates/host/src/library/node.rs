//! A node: one replica of one group, as its user holds it.
//!
//! Everything here may be called from any thread and none of it waits for the disk or the network,
//! unless it says so.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kontiki_multiraft::{GroupStatus, Refused, Shard};
use kontiki_raft::TransferOutcome;
use kontiki_types::{Index, Membership, Peer, PeerId, ReadMode, StoreId, Term};

use super::error::Error;
use super::handle::{Handle, promised};
use super::host::{GroupId, Host};
use super::replica::Replica;
use super::state_machine::StateMachine;
use super::task::{TASK_BYTES_MAX, Task, guarded};

/// What a node is at the moment.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum NodeState {
    /// It leads.
    Leader,
    /// It asks for votes, or whether it would get them.
    Candidate,
    /// It follows, or waits for a leader.
    Follower,
    /// It knows that it was removed from its group: it takes part in nothing.
    Removed,
    /// Its state machine failed, or the host did.
    Error(Error),
    /// It was shut down.
    ShutDown,
}

/// Who is to lead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Successor {
    /// The replica on this store.
    On(StoreId),
    /// Whichever is furthest.
    Any,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    pub(super) host: Host,
    pub(super) replica: Arc<Replica>,
}

impl Node {
    pub(super) fn new(host: Host, replica: Arc<Replica>) -> Self {
        Self { host, replica }
    }

    // ---- write and read ----

    /// Submit a task. Never blocks; whatever happens is told to the task's completion. Only the
    /// leader takes tasks.
    pub fn apply(&self, task: Task) {
        let Task { data, done, expected_term } = task;
        let refused = match self.ended() {
            Some(error) => Some(error),
            None if data.len() > TASK_BYTES_MAX => {
                Some(Error::TooLarge { bytes: data.len(), max: TASK_BYTES_MAX })
            }
            None => None,
        };
        match (refused, done) {
            (None, done) => {
                self.host.0.node_host.submit_task(self.group(), data, expected_term, done);
            }
            (Some(error), Some(done)) => done.run(Err(error)),
            (Some(_), None) => {}
        }
    }

    /// Submit data and wait for the state machine's reply with a handle.
    pub fn propose(&self, data: impl Into<bytes::Bytes>) -> Handle<bytes::Bytes> {
        let (task, handle) = Task::new(data).with_handle();
        self.apply(task);
        handle
    }

    /// Call `done` once this node has applied everything acknowledged before now: then its state
    /// may be read, and the read is linearizable. On any node, leader or not. It runs on the thread
    /// that applies, between two batches, with the index the state stands at, and must not block.
    pub fn read_index(
        &self,
        mode: ReadMode,
        done: impl FnOnce(Result<Index, Error>) + Send + 'static,
    ) {
        if let Some(error) = self.ended() {
            return guarded(|| done(Err(error)));
        }
        let began = Instant::now();
        let replica = Arc::clone(&self.replica);
        let finish = move |result: Result<(), Refused>| {
            let result = result.map(|()| replica.applied()).map_err(Error::from);
            if let Some(metrics) = &replica.shared.metrics {
                match &result {
                    Ok(_) => metrics.read_index.observe_since(began),
                    Err(Error::Busy) => metrics.read_index_overload_times.add_one(),
                    Err(_) => {}
                }
            }
            guarded(|| done(result));
        };
        self.host.0.node_host.read(self.group(), mode, Box::new(finish));
    }

    /// The same with a handle.
    pub fn read_index_handle(&self, mode: ReadMode) -> Handle<Index> {
        let (promise, handle) = promised();
        self.read_index(mode, move |result| promise.keep(result));
        handle
    }

    // ---- leadership ----

    /// Who leads, as far as this node knows.
    pub fn leader(&self) -> Option<(PeerId, StoreId)> {
        self.replica.view().leader
    }

    /// Whether this node leads, as far as it knows. Never a reason to serve a read without
    /// [`Node::read_index`].
    pub fn is_leader(&self) -> bool {
        self.leader().is_some_and(|(peer, _)| peer == self.peer())
    }

    /// Hand leadership over. The handle tells how that ended, within two election timeouts; while
    /// it lasts, tasks are refused.
    pub fn transfer_leadership_to(&self, successor: Successor) -> Handle<()> {
        let (promise, handle) = promised();
        if let Some(error) = self.ended() {
            promise.keep(Err(error));
            return handle;
        }
        let to = match successor {
            Successor::On(store) => Some(store),
            Successor::Any => None,
        };
        let done = move |result: Result<TransferOutcome, Refused>| {
            promise.keep(match result {
                Ok(TransferOutcome::Done) => Ok(()),
                Ok(other) => Err(Error::Transfer(other.name().to_owned())),
                Err(refused) => Err(Error::from(refused)),
            });
        };
        self.host.0.node_host.transfer_to_end(self.group(), to, Box::new(done));
        handle
    }

    /// How much a replica is wanted as leader, as this node sees it from now on: tell every node of
    /// the group. Greater ones stand first; 0 never leads; -1, the default, turns it off. A restart
    /// of the process begins with the node's options again.
    pub fn set_priority(&self, peer: PeerId, priority: i32) {
        self.host.set_priority(self.group(), peer, priority);
    }

    /// Another shortest election timeout of this node, and in proportion another heartbeat
    /// interval: tell every node of the group, and read by lease only before the first and after
    /// the last. A restart of the process begins with the host's options again.
    ///
    /// # Errors
    /// [`Error::Invalid`] when it is shorter than [`super::ELECTION_TIMEOUT_MIN`] or longer than
    /// [`super::ELECTION_TIMEOUT_MAX`]: nothing was changed.
    pub fn reset_election_timeout(&self, timeout: Duration) -> Result<(), Error> {
        self.host.set_election_timeout(self.group(), timeout)
    }

    // ---- snapshots ----

    /// Save a snapshot now. The handle tells the index it stands at; the one there is, if nothing
    /// was applied since.
    pub fn snapshot(&self) -> Handle<Index> {
        let (promise, handle) = promised();
        if let Some(error) = self.ended() {
            promise.keep(Err(error));
        } else {
            self.replica.shared.keeper.save(Arc::clone(&self.replica), promise);
        }
        handle
    }

    // ---- what it is ----

    /// Which group.
    pub fn group(&self) -> GroupId {
        self.replica.group
    }

    /// Which replica.
    pub fn peer(&self) -> PeerId {
        self.replica.peer
    }

    /// What it is at the moment. Waits for the thread that knows, at most two seconds; in a
    /// completion that this very thread runs, such as that of a task it refused, the answer is
    /// [`Error::OnHostThread`].
    pub fn state(&self) -> NodeState {
        match self.ended() {
            Some(Error::ShutDown) => return NodeState::ShutDown,
            Some(error) => return NodeState::Error(error),
            None => {}
        }
        match self.status().map(|status| status.role) {
            Ok("leader") => NodeState::Leader,
            Ok("candidate" | "pre-candidate") => NodeState::Candidate,
            Ok("removed") => NodeState::Removed,
            Ok(_) => NodeState::Follower,
            Err(error) => NodeState::Error(error),
        }
    }

    /// The term, as far as this node knows.
    pub fn term(&self) -> Term {
        self.replica.view().term
    }

    /// The last entry its state machine holds.
    pub fn last_applied_index(&self) -> Index {
        self.replica.applied()
    }

    /// Term, leader, log, commit, applied. Waits as [`Node::state`].
    ///
    /// # Errors
    /// The node is not there, or its thread did not answer; [`Error::OnHostThread`] where it calls.
    pub fn status(&self) -> Result<GroupStatus, Error> {
        self.look_at_shard(Shard::status)?.ok_or(Error::NoGroup)
    }

    /// Everything there is to say about it, for people. Waits as [`Node::state`].
    pub fn describe(&self) -> String {
        let (group, now) = (self.group(), self.host.0.node_host.now());
        let text = self.host.0.node_host.inspect(move |shard| shard.report(group, now));
        let text = text.flatten().unwrap_or_else(|| "its thread does not answer".to_owned());
        let snapshot = self.replica.files.newest().map(|stored| stored.manifest.meta.position);
        let snapshot = snapshot.map_or_else(|| "none".to_owned(), |at| at.to_string());
        let state = self.ended().map_or_else(|| "working".to_owned(), |error| error.to_string());
        let applied = self.replica.applied();
        format!("{group} {state}\n{text}\n  state machine at {applied}, snapshot {snapshot}")
    }

    // ---- members ----

    /// The membership in effect, committed or not. Waits as [`Node::state`].
    ///
    /// # Errors
    /// As [`Node::status`].
    pub fn membership(&self) -> Result<Membership, Error> {
        self.look(|node| node.membership().clone())
    }

    /// All voters. Waits as [`Node::state`].
    ///
    /// # Errors
    /// As [`Node::status`].
    pub fn list_peers(&self) -> Result<Vec<Peer>, Error> {
        let membership = self.membership()?;
        Ok(membership.peers().filter(|peer| membership.is_voter(peer.id)).collect())
    }

    /// All learners. Waits as [`Node::state`].
    ///
    /// # Errors
    /// As [`Node::status`].
    pub fn list_learners(&self) -> Result<Vec<Peer>, Error> {
        let membership = self.membership()?;
        Ok(membership.peers().filter(|peer| !membership.is_voter(peer.id)).collect())
    }

    /// The members, with or without a vote, that this leader heard of within an election timeout,
    /// and itself. Waits as [`Node::state`].
    ///
    /// # Errors
    /// [`Error::NotLeader`]; else as [`Node::status`].
    pub fn list_alive(&self) -> Result<Vec<Peer>, Error> {
        let now = self.host.0.node_host.now();
        let (progress, membership, leads) = self.look(|node| {
            let leads = node.role() == kontiki_raft::RoleKind::Leader;
            (node.progress(), node.membership().clone(), leads)
        })?;
        if !leads {
            return Err(Error::NotLeader { leader: self.leader() });
        }
        let timeout = self.host.election_timeout(self.group());
        let is_alive = |peer: &Peer| {
            peer.id == self.peer()
                || progress.iter().any(|p| p.peer == peer.id && now.since(p.heard) < timeout)
        };
        Ok(membership.peers().filter(is_alive).collect())
    }

    // ---- the end, and coming back ----

    /// Shut the node down; a leader hands over first. Blocks until the state machine was told; the
    /// host goes on, and `Host::create_node` brings the node back. Called on a thread of a host,
    /// such as from a callback, it returns at once, and all of it happens soon after.
    pub fn shutdown(&self) {
        self.host.shut_down_node(self.group());
    }

    /// Bring a node in its error state back with a new, empty state machine: the newest snapshot is
    /// loaded into it, and the log from there is applied again. Blocks.
    ///
    /// # Errors
    /// [`Error::Exists`] when the node works; [`Error::Snapshot`] when the snapshot cannot be
    /// loaded, and the node stays as it was; [`Error::OnHostThread`] in a callback: `on_error` is
    /// one, so let another thread do it.
    pub fn recover(&self, machine: impl StateMachine) -> Result<(), Error> {
        self.host.recover_node(self.group(), Box::new(machine))
    }

    /// Why it does not work, if it does not.
    pub(super) fn ended(&self) -> Option<Error> {
        self.host.0.check().err().or_else(|| self.replica.ended())
    }

    /// Look at the Raft node from its own thread.
    fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&kontiki_raft::Node) -> T + Send + 'static,
    ) -> Result<T, Error> {
        self.look_at_shard(|shard, group| shard.node(group).map(look))?.ok_or(Error::NoGroup)
    }

    /// The same with the shard, in which this is one group.
    fn look_at_shard<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Shard, GroupId) -> T + Send + 'static,
    ) -> Result<T, Error> {
        self.host.0.check()?;
        let (host, group) = (&self.host.0.node_host, self.group());
        if host.is_shard_thread() {
            return Err(Error::OnHostThread);
        }
        host.inspect(move |shard| look(shard, group)).ok_or(Error::TimedOut)
    }
}
