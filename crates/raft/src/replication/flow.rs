//! What to send to a follower next. Called once a round for each, after all inputs.
//!
//! So one append carries all that a round proposed, and every append carries the newest commit
//! index and read round. A heartbeat of its own is sent only where nothing else would tell.

use kontiki_types::mutants::{self, Mutant};
use kontiki_types::{Body, Entry, Index, Position};

use super::progress::{Mode, Progress};
use crate::Notice;
use crate::fetch::{self, Purpose};
use crate::shared::Shared;

/// Send the entries that are due, as far as mode and window allow. True when an append left.
pub(crate) fn send_appends(shared: &mut Shared, progress: &mut Progress, round: u64) -> bool {
    let last = shared.log.last().index;
    let mut sent = false;
    while is_due(progress, last) {
        if !send_append(shared, progress, round) {
            return sent;
        }
        sent = true;
    }
    if std::mem::take(&mut progress.nudge) && !sent {
        return send_nudge(shared, progress, round);
    }
    sent
}

/// True when an append would leave now.
pub(crate) fn is_due(progress: &Progress, last: Index) -> bool {
    match progress.mode {
        Mode::Probe { waiting } => !waiting,
        Mode::Replicate => progress.next <= last && !progress.inflight.is_full(),
        Mode::Snapshot { .. } => false,
    }
}

/// Send one append from `next` on. False when nothing can leave now: the entries must come back
/// from the disk first, or a snapshot is needed instead because the term of the entry before is not
/// known any more, and guessing it would be a false match (raft#31).
fn send_append(shared: &mut Shared, progress: &mut Progress, round: u64) -> bool {
    let after = progress.next.prev();
    if shared.log.term(after).is_none() {
        want_snapshot(shared, progress);
        return false;
    }
    let bytes_max = shared.config.options.append_bytes_max;
    let mut entries = std::mem::take(&mut progress.fetched);
    let last = if entries.first().is_some_and(|entry| entry.position.index == progress.next) {
        entries.last().map_or(after, |entry| entry.position.index)
    } else if after < shared.log.evicted() {
        let (peer, session, term) = (progress.peer, progress.session, shared.term());
        let purpose = Purpose::Feed { peer, session, term };
        fetch::ask(shared, purpose, after, shared.log.last().index, bytes_max);
        return false;
    } else {
        entries.clear();
        shared.log.copy_range(after, shared.log.last().index, bytes_max, &mut entries)
    };
    match &mut progress.mode {
        Mode::Probe { waiting } => *waiting = true,
        Mode::Replicate => {
            let bytes = shared.log.bytes_between(after, last);
            progress.inflight.push(last, usize::try_from(bytes).unwrap_or(usize::MAX));
            progress.next = last.next();
            if mutants::is_on(Mutant::MatchedAtSend) {
                progress.matched = last;
            }
        }
        Mode::Snapshot { .. } => panic!("{} gets a snapshot, not entries", progress.peer),
    }
    progress.told_commit = progress.told_commit.max(shared.applying.commit().min(last));
    send(shared, progress, after, entries, round);
    true
}

/// An empty append, past the window, whose answer shows where the follower is.
fn send_nudge(shared: &mut Shared, progress: &mut Progress, round: u64) -> bool {
    let after = match progress.mode {
        Mode::Probe { .. } => return false,
        Mode::Replicate => progress.next.prev(),
        // Accepted once the snapshot is installed, whichever it was.
        Mode::Snapshot { .. } => shared.log.start().index,
    };
    if shared.log.term(after).is_none() {
        want_snapshot(shared, progress);
        return false;
    }
    send(shared, progress, after, Vec::new(), round);
    true
}

fn send(
    shared: &mut Shared,
    progress: &mut Progress,
    after: Index,
    entries: Vec<Entry>,
    round: u64,
) {
    let term = shared.log.term(after).expect("the caller looked");
    let body = Body::Append {
        session: progress.session,
        prev: Position::new(term, after),
        entries,
        commit: shared.applying.commit(),
        round,
    };
    progress.carried = round;
    progress.quiet = false;
    progress.sent.appends += 1;
    shared.send(progress.peer, body);
}

/// Say that we lead, and what the follower may take for committed: never beyond what it is known
/// to hold.
pub(crate) fn send_heartbeat(shared: &mut Shared, progress: &mut Progress, round: u64) {
    let blind = mutants::is_on(Mutant::HeartbeatCommits);
    let known = if blind { shared.log.last().index } else { progress.matched };
    let commit = shared.applying.commit().min(known);
    progress.carried = round;
    progress.sent.heartbeats += 1;
    progress.told_commit = progress.told_commit.max(commit);
    shared.send(progress.peer, Body::Heartbeat { session: progress.session, commit, round });
}

/// An idle follower does not know of the newest commit. While an append is under way, the next one
/// or the answer to it brings the occasion.
pub(crate) fn owes_commit(shared: &Shared, progress: &Progress) -> bool {
    let idle = progress.mode == Mode::Replicate && progress.inflight.is_empty();
    idle && progress.told_commit < shared.applying.commit().min(progress.matched)
}

/// The log cannot be continued from where the follower is.
pub(crate) fn want_snapshot(shared: &mut Shared, progress: &mut Progress) {
    progress.become_snapshot(&shared.log);
    progress.sent.snapshots += 1;
    let notice = Notice::SnapshotWanted { to: progress.peer, session: progress.session };
    shared.outbox.notify(notice);
}
