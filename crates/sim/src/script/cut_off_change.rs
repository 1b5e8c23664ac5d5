//! A leader that is cut off begins a change of membership, which is in effect at once, and nobody
//! hears of it. When its entry is cut off by the next leader, the membership before is in effect
//! again (thesis §4.1).

use kontiki_raft::Node;
use kontiki_types::{PeerChange, RegionId};

use crate::cluster::peer_of;

use super::stage::{Met, Stage, others};

/// Plays it.
pub(super) fn play(stage: &mut Stage) -> Met {
    let old = stage.settle()?;
    let [one, other] = others(old);
    let before = stage.node(old).map(|node| node.membership().clone());
    for peer in [one, other] {
        stage.cut(old, peer);
        stage.cut(peer, old);
    }
    stage.change(old, [PeerChange::Demote(peer_of(RegionId(1), other))]);
    stage.reach("the change is in effect", |stage| {
        stage.node(old).map(|node| node.membership().clone()) != before
    })?;
    stage.reach("another leads", |stage| stage.leader().is_some_and(|new| new != old))?;
    let new = stage.leader().ok_or_else(|| "it leads still".to_owned())?;
    stage.reach("its first entry is committed", |stage| {
        stage.node(new).is_some_and(|node| node.commit() == node.last_position().index)
    })?;
    for peer in [one, other] {
        stage.join(old, peer);
        stage.join(peer, old);
    }
    stage.reach("everything is as it was", |stage| {
        let commit = stage.node(new).map(Node::commit);
        let is_back = stage.node(old).map(Node::commit) == commit;
        is_back && stage.node(old).map(|node| node.membership().clone()) == before
    })
}
