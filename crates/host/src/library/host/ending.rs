//! The end of a host and of its nodes: asked for, by a failure, or with the last handle.
//!
//! Whoever ends something waits for threads. Where that is impossible, on a thread of a host, the
//! work is left to a thread of its own: see [`crate::host_thread`].

use std::ops::Deref;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError, Weak};

use super::{GroupId, Host, Inner};
use crate::host_thread::{self, Mark};
use crate::library::error::Error;
use crate::library::options::Network;

/// What handles share. None of the host's own threads keeps it, so that its end is the end of the
/// last handle; what they need for longer than a call they hold weakly, or without it.
pub(in crate::library) struct Held(Arc<Inner>);

impl Held {
    pub(super) fn new(inner: Inner) -> Arc<Self> {
        Arc::new(Self(Arc::new(inner)))
    }

    /// The host without the handles.
    pub(super) fn weak(&self) -> Weak<Inner> {
        Arc::downgrade(&self.0)
    }
}

impl Deref for Held {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let inner = Arc::clone(&self.0);
        host_thread::elsewhere("shutdown", move || inner.shut_down());
    }
}

/// While it lives, nodes are made, ended and recovered by this thread alone. User code that it
/// calls meanwhile must not do the same.
pub(in crate::library) struct Changing<'a> {
    _alone: MutexGuard<'a, ()>,
    _mark: Mark,
}

impl Host {
    /// Shut down every node, then the host. Leaders hand over first, all at once; a snapshot that
    /// is being written, and those that were asked for, are finished. Blocks until the threads have
    /// ended; called on a thread of a host, such as from a callback, it returns at once, and all of
    /// it happens soon after.
    pub fn shutdown(&self) {
        let inner = Arc::clone(&self.0.0);
        host_thread::elsewhere("shutdown", move || inner.shut_down());
    }

    /// See [`crate::library::Node::shutdown`].
    pub(in crate::library) fn shut_down_node(&self, group: GroupId) {
        let inner = Arc::clone(&self.0.0);
        host_thread::elsewhere("shutdown", move || inner.shut_down_node(group));
    }
}

impl Inner {
    /// Nodes are made, ended and recovered one after the other.
    ///
    /// # Errors
    /// [`Error::OnHostThread`]: it could wait for itself.
    pub(in crate::library) fn change(&self) -> Result<Changing<'_>, Error> {
        if host_thread::is_here() { Err(Error::OnHostThread) } else { Ok(self.begin_change()) }
    }

    fn begin_change(&self) -> Changing<'_> {
        let alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        Changing { _alone: alone, _mark: Mark::set() }
    }

    fn shut_down(&self) {
        let _changing = self.begin_change();
        if !self.has_failed.load(Ordering::SeqCst) {
            let groups: Vec<GroupId> = self.lock_nodes().keys().copied().collect();
            self.node_host.halt_all(&groups);
        }
        self.stop();
        for replica in self.replicas() {
            replica.shut_down();
        }
    }

    fn shut_down_node(&self, group: GroupId) {
        let _changing = self.begin_change();
        let Some(replica) = self.replica(group) else { return };
        if replica.ended().is_none() {
            self.node_host.halt(group);
        }
        self.node_host.remove(group);
        replica.shut_down();
    }

    /// The host has failed: called on the thread that did, so the rest happens on one of its own.
    pub(super) fn fail(inner: &Arc<Self>, cause: String) {
        *inner.cause.lock().unwrap_or_else(PoisonError::into_inner) = Some(cause.clone());
        inner.has_failed.store(true, Ordering::SeqCst);
        let inner = Arc::clone(inner);
        let spawned = std::thread::Builder::new().name("fatal".to_owned()).spawn(move || {
            let _mark = Mark::set();
            inner.stop();
            for replica in inner.replicas() {
                replica.host_failed(&cause);
            }
        });
        if let Err(error) = spawned {
            tracing::error!(%error, "nobody can be told that the host has failed");
        }
    }

    /// End all threads, once; callers that still wait are refused. A second call waits for the
    /// first, and leaves another host alone that has taken this one's place in its network.
    fn stop(&self) {
        self.has_failed.store(true, Ordering::SeqCst);
        self.stopped.call_once_force(|_| {
            if let Network::Memory(network) = &self.options.network {
                network.detach(self.options.store);
            }
            if let Some(tcp) = &self.tcp {
                tcp.stop();
            }
            self.shared.keeper.stop();
            self.node_host.stop();
        });
    }
}
