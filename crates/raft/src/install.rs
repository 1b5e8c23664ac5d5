//! A follower whose log cannot be continued gets a snapshot: arrival, install, acknowledgement.
//!
//! Stages: [`on_snapshot`] decides whether it is needed; the notice leaves once nothing handed out
//! is still being applied ([`crate::applying`]); the layer above installs and reports to
//! [`on_installed`]; the log restarts in memory, and the acknowledgement waits for the operation
//! that makes the restart durable.

use kontiki_types::{PeerId, SnapshotMeta};

use crate::applying::Install;
use crate::roles::Role;
use crate::roles::follower::Follower;
use crate::shared::Shared;

/// All chunks of a snapshot are here.
pub(crate) fn on_snapshot(
    shared: &mut Shared,
    follower: &mut Follower,
    from: PeerId,
    session: u64,
    meta: SnapshotMeta,
) {
    assert!(!meta.membership.is_empty(), "the snapshot at {} has no membership", meta.position);
    let position = meta.position;
    if position.index <= shared.applying.commit() {
        // We hold all of it, durably or soon; an older snapshot still rejoins the logs (raft#110).
        follower.acknowledge(session, shared.applying.commit(), 0);
    } else if shared.log.matches(position) {
        // What a snapshot holds is committed, and our log has it: no need to install anything.
        shared.commit_to(position.index);
        follower.acknowledge(session, position.index, 0);
    } else if shared.applying.install.as_ref().is_none_or(|install| !install.started) {
        let install = Install { meta, from, term: shared.term(), session, started: false };
        shared.applying.install = Some(Box::new(install));
    }
}

/// The install ended; not `ok`: the state machine is as it was before, and the leader will notice
/// that we lack the snapshot.
pub(crate) fn on_installed(shared: &mut Shared, role: &mut Role, meta: &SnapshotMeta, ok: bool) {
    let install = shared.applying.install.take();
    let install = install.filter(|install| install.started && install.meta == *meta);
    let install = install.unwrap_or_else(|| panic!("no install of {} is under way", meta.position));
    if !ok {
        return;
    }
    shared.restart_log(meta);
    // The sender may lead no more, or lead anew and count its sessions anew: it asks by itself.
    if let Role::Follower(follower) = role
        && follower.leader() == Some(install.from)
        && shared.term() == install.term
    {
        follower.acknowledge(install.session, meta.position.index, 0);
    }
}
