//! A leader that reads by its lease while another already leads and has committed something: its
//! clock, and what it has sent, must keep it from that.

use std::time::Duration;

use kontiki_raft::Node;
use kontiki_types::StoreId;

use super::stage::{Met, Stage, others};

/// Long enough for a heartbeat and its answers, which carry the lease.
const BEAT: Duration = Duration::from_millis(40);
/// Long enough for the others to elect another.
const SLEEP: Duration = Duration::from_secs(2);
/// Less than a lease, and longer than a transfer takes.
const HAND_OVER: Duration = Duration::from_millis(120);

/// The leader stands still, wakes up, and is asked before it looks at any deadline of its own.
pub(super) fn asleep(stage: &mut Stage) -> Met {
    let old = with_lease(stage)?;
    let committed = stage.node(old).map(Node::commit).unwrap_or_default();
    stage.pause(old, SLEEP);
    stage.reach("another leads and commits", |stage| {
        let new = stage.leader().filter(|&new| new != old);
        new.is_some_and(|new| stage.node(new).is_some_and(|node| node.commit() > committed))
    })?;
    stage.read_by_lease(old);
    stage.wait(SLEEP);
    Ok(())
}

/// The leader hands over, and hears nothing of what came of it.
pub(super) fn handed_over(stage: &mut Stage) -> Met {
    let old = with_lease(stage)?;
    let [new, other] = others(old);
    let committed = stage.node(old).map(Node::commit).unwrap_or_default();
    stage.clog(new, old, HAND_OVER);
    stage.clog(other, old, HAND_OVER);
    stage.transfer(old, new);
    stage.reach("another leads and commits", |stage| {
        stage.leader() == Some(new) && stage.node(new).is_some_and(|node| node.commit() > committed)
    })?;
    stage.read_by_lease(old);
    stage.wait(BEAT);
    Ok(())
}

/// A leader whose lease is kept up by those who read.
fn with_lease(stage: &mut Stage) -> Met<StoreId> {
    let leader = stage.settle()?;
    for _ in 0..5 {
        stage.read_by_lease(leader);
        stage.wait(BEAT);
    }
    Ok(leader)
}
