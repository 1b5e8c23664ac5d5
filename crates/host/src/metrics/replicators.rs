//! What each leader here sends to each follower: JRaft's `replicator-{node}` gauges.
//!
//! Looked up in the shard when the page is asked for; nothing is counted beside the Raft core.
//! Groups that sleep replicate nothing and are left out.

use kontiki_multiraft::Shard;
use kontiki_raft::PeerProgress;
use kontiki_types::{Index, RegionId};

use super::Page;

/// Most replicators on a page: a page of thousands of busy groups would serve nobody.
const REPLICATORS_MAX: usize = 4096;

/// See the module.
pub(crate) struct Replicators(Vec<(RegionId, Index, PeerProgress)>);

impl Replicators {
    /// Those of the leaders in this shard.
    pub(crate) fn of(shard: &Shard) -> Self {
        let awake = shard.nodes().filter(|(_, node)| !node.is_asleep());
        let all = awake.flat_map(|(group, node)| {
            let last = node.last_position().index;
            node.progress().into_iter().map(move |progress| (group, last, progress))
        });
        Self(all.take(REPLICATORS_MAX).collect())
    }

    pub(crate) fn write(&self, page: &mut Page) {
        let sent = "since this leader began to feed it";
        self.gauge(page, "append_entries_times", &format!("Appends sent {sent}."), |_, p| {
            p.sent.appends
        });
        self.gauge(page, "heartbeat_times", &format!("Heartbeats sent {sent}."), |_, p| {
            p.sent.heartbeats
        });
        self.gauge(page, "install_snapshot_times", &format!("Snapshots sent {sent}."), |_, p| {
            p.sent.snapshots
        });
        self.gauge(page, "log_lags", "Entries the follower lacks.", |last, p| last - p.matched);
        self.gauge(page, "next_index", "The next entry it gets.", |_, p| p.next.0);
    }

    fn gauge(
        &self,
        page: &mut Page,
        name: &str,
        help: &str,
        value: impl Fn(Index, &PeerProgress) -> u64,
    ) {
        let name = format!("replicator_{name}");
        page.gauge(&name, help);
        for (group, last, progress) in &self.0 {
            let labels = format!("group=\"{}\",peer=\"{}\"", group.0, progress.peer.0);
            page.value(&name, &labels, value(*last, progress));
        }
    }
}
