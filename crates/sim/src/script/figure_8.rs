//! Figure 8 of the Raft paper, with three stores: an entry of an older term stands on a majority
//! and is replaced nevertheless. A leader that counts copies of it loses a committed entry.

use std::time::Duration;

use kontiki_types::{Index, RegionId, StoreId};

use crate::cluster::peer_of;

use super::stage::{Met, Stage, others};

/// Plays it.
pub(super) fn play(stage: &mut Stage) -> Met {
    // (a) One leads, and everybody holds everything.
    let first = stage.settle()?;
    let last = stage.node(first).map(|node| node.last_position().index);
    let contested = last.ok_or_else(|| "the leader has no power".to_owned())?.next();
    let [second, third] = others(first);

    // (b) It appends an entry that reaches nobody, and dies.
    stage.cut(first, second);
    stage.cut(first, third);
    stage.propose(first);
    stage.reach("the first entry is durable", |stage| holds(stage, first, contested))?;
    stage.power_off(first);
    stage.join(first, second);
    stage.join(first, third);

    // (c) Another is elected, appends its first entry at the same index, reaches nobody, and dies.
    stage.reach("a rival gets a vote", |stage| {
        elected(stage, third, second) || elected(stage, second, third)
    })?;
    let (rival, voter) =
        if elected(stage, third, second) { (second, third) } else { (third, second) };
    stage.cut(rival, voter);
    // The first one comes back at once: what is on its way to it would still arrive.
    stage.cut(rival, first);
    stage.reach("the rival's entry is durable", |stage| {
        stage.leader() == Some(rival) && holds(stage, rival, contested)
    })?;
    stage.power_off(rival);
    stage.join(rival, voter);
    stage.join(rival, first);

    // (d) The first one leads again and brings its old entry to a majority, its new one to nobody.
    stage.power_on(first);
    stage.reach("the old entry is on a majority", |stage| {
        stage.node(voter).is_some_and(|node| node.last_position().index == contested)
    })?;
    stage.cut(first, voter);
    stage.wait(Duration::from_millis(100));
    stage.power_off(first);

    // (e) The rival comes back with the younger entry, wins, and replaces the old one.
    stage.power_on(rival);
    stage.reach("the rival leads", |stage| stage.leader() == Some(rival))
}

fn elected(stage: &Stage, voter: StoreId, candidate: StoreId) -> bool {
    let candidate = peer_of(RegionId(1), candidate);
    stage.node(voter).is_some_and(|node| node.vote() == Some(candidate))
}

fn holds(stage: &Stage, store: StoreId, index: Index) -> bool {
    stage.node(store).is_some_and(|node| node.durable() >= index)
}
