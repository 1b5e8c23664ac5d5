//! Everything there is to say about a node, for people: what JRaft's `describe` prints.
//!
//! One thought a line, times relative to now. For support and for golden scripts; programs read the
//! getters of [`crate::Node`] instead.

use std::fmt::Write as _;

use kontiki_types::{Moment, PeerId};

use super::{membership, snapshot};
use crate::replication::progress::{Mode, Progress};
use crate::roles::Role;
use crate::roles::follower::Follower;
use crate::roles::leader::Leader;
use crate::shared::Shared;
use crate::{Node, describe};

/// A node as it stands at `now`, without the last newline.
pub fn report(node: &Node, now: Moment) -> String {
    let mut report = Report { text: describe::node(node), shared: &node.shared, now };
    report.log();
    report.configurations();
    match &node.role {
        Role::Leader(leader) => report.leader(leader),
        Role::Follower(follower) => report.follower(follower),
        Role::PreCandidate(_) | Role::Candidate(_) => {
            report.timers(&[("election", node.next_deadline())]);
        }
    }
    report.text
}

struct Report<'a> {
    text: String,
    shared: &'a Shared,
    now: Moment,
}

impl Report<'_> {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = write!(self.text, "\n  {line}");
    }

    fn log(&mut self) {
        let Shared { log, applying, fetching, .. } = self.shared;
        let (start, last) = (log.start(), log.last().index);
        let (bytes, cached) = (log.bytes(), log.cached_bytes());
        let vote = self.shared.vote().map_or_else(|| "nobody".to_owned(), |peer| peer.to_string());
        self.line(format_args!("voted for {vote}"));
        self.line(format_args!(
            "log after {start} up to {last}, {bytes} bytes, {cached} in memory, {} disk reads",
            fetching.count()
        ));
        let (handed_out, applied) = (applying.handed_out(), applying.applied());
        self.line(format_args!("apply: handed out {handed_out}, reported {applied}"));
        if let Some(install) = &applying.install {
            let stage = if install.started { "installs" } else { "waits for apply to install" };
            let (meta, from) = (snapshot(&install.meta), install.from);
            self.line(format_args!("{stage} the snapshot {meta} of {from}"));
        }
    }

    fn configurations(&mut self) {
        let (stack, commit) = (&self.shared.memberships, self.shared.applying.commit());
        for (index, members) in stack.all() {
            let joint = if members.is_joint() { ", joint" } else { "" };
            let open = if *index > commit { ", not committed" } else { "" };
            let members = membership(members);
            self.line(format_args!("configuration as of {index}: {members}{joint}{open}"));
        }
        if let Some(forced) = stack.forced() {
            self.line(format_args!("configuration forced: {}", membership(forced)));
        }
    }

    fn leader(&mut self, leader: &Leader) {
        let transfer = leader.transfer;
        let timers = [
            ("heartbeat", Some(leader.heartbeat_at)),
            ("quorum check", Some(leader.quorum_check_at)),
            ("commit notice", leader.tell_commit_at),
            ("end of transfer", transfer.map(|transfer| transfer.deadline)),
            ("end of catch-up", leader.changing.next_deadline()),
        ];
        if !leader.quiet.is_asleep() {
            self.timers(&timers);
        }
        let (readers, rounds) = leader.reads.size();
        let newest = leader.reads.newest();
        self.line(format_args!(
            "reads: {readers} wait, {rounds} rounds under way, newest {newest}"
        ));
        let lease = if leader.holds_lease(self.shared, self.now) { "holds" } else { "none" };
        self.line(format_args!("lease: {lease}"));
        if let Some(transfer) = transfer {
            self.line(format_args!("hands leadership over to {}", transfer.to));
        }
        if let Some(index) = leader.needed_after(self.shared) {
            self.line(format_args!("followers need the log after {index}"));
        }
        self.change(leader);
        for progress in &leader.followers {
            self.replicator(progress);
        }
    }

    fn change(&mut self, leader: &Leader) {
        let newcomers: Vec<PeerId> = leader.changing.newcomers().iter().map(|p| p.id).collect();
        if !newcomers.is_empty() {
            self.line(format_args!("change of members: {newcomers:?} catch up"));
        } else if leader.changing.is_asked() {
            self.line(format_args!("change of members: it is in the log"));
        } else if leader.changing.is_busy() {
            self.line(format_args!("change of members: the newest of the log is not settled"));
        }
    }

    fn replicator(&mut self, progress: &Progress) {
        let status = progress.status();
        let lag = self.shared.log.last().index - status.matched;
        let heard = milliseconds(self.now.since(status.heard));
        let snapshot = match progress.mode {
            Mode::Snapshot { delivered: None, .. } => ", snapshot on its way",
            Mode::Snapshot { delivered: Some(_), .. } => ", snapshot delivered",
            Mode::Probe { .. } | Mode::Replicate => "",
        };
        let (shown, bytes) = (describe::progress(&status), status.inflight_bytes);
        let session = progress.session;
        self.line(format_args!(
            "replicator s{session} {shown} ({bytes} bytes) lag {lag} heard {heard} ago{snapshot}"
        ));
    }

    fn follower(&mut self, follower: &Follower) {
        if !self.shared.is_asleep() {
            self.timers(&[("election", follower.election_deadline())]);
        }
        if let Some(heard) = self.shared.leader_heard() {
            let ago = milliseconds(self.now.since(heard));
            self.line(format_args!("a leader was heard {ago} ago"));
        }
        let (readers, questions) = follower.reads.size();
        self.line(format_args!("reads: {readers} wait, {questions} questions to the leader"));
    }

    fn timers(&mut self, timers: &[(&str, Option<Moment>)]) {
        let set: Vec<String> = timers
            .iter()
            .filter_map(|(name, at)| at.map(|at| format!("{name} {}", self.until(at))))
            .collect();
        self.line(format_args!("timers: {}", set.join(", ")));
    }

    fn until(&self, at: Moment) -> String {
        if at <= self.now {
            return "due".to_owned();
        }
        format!("in {}", milliseconds(at.since(self.now)))
    }
}

fn milliseconds(duration: std::time::Duration) -> String {
    format!("{} ms", duration.as_millis())
}
