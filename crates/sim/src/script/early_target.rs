//! The target of a transfer asks for votes before its own is durable, and may be too early in two
//! ways (`docs/design/0007-vote-of-a-transfer.md`). If a crash can still take from its log, it
//! comes back with less, and the votes of before elect it. And its own vote must not count yet.
//!
//! How long a sync takes and what a crash leaves is drawn, so both are played some times.

use std::time::Duration;

use kontiki_raft::Node;
use kontiki_types::{Body, Message, StoreId};

use crate::options::Options;

use super::stage::{Met, Stage, others};

/// Each shows the mistake with a chance of about a half.
const ROUNDS: usize = 8;
/// A request for a vote arrives within; hardly a log sync ends.
const MOMENT: Duration = Duration::from_millis(1);
/// A vote is on its way for so long: longer than a start takes, less than an election timeout.
const DELAY: Duration = Duration::from_millis(150);

/// Log syncs are slow.
pub(super) fn narrow(options: &mut Options) {
    options.store.sync_mean = Duration::from_millis(20);
}

/// The votes of others may come before the target's own disk is done.
pub(super) fn elected(stage: &mut Stage) -> Met {
    for _ in 0..ROUNDS {
        let leader = stage.settle()?;
        let [target, _] = others(leader);
        stage.transfer(leader, target);
        stage.reach("the target leads", |stage| stage.leader() == Some(target))?;
    }
    Ok(())
}

/// A leader that steps down does not wait until the target has written all of its log.
pub(super) fn crashed(stage: &mut Stage) -> Met {
    for _ in 0..ROUNDS {
        crash(stage)?;
    }
    Ok(())
}

fn crash(stage: &mut Stage) -> Met {
    let leader = stage.settle()?;
    let [target, other] = others(leader);
    let order = order(stage, leader, target).ok_or("somebody has no power")?;

    // The others commit an entry; then the target gets it.
    let before = stage.node(leader).map(Node::commit);
    stage.cut(leader, target);
    stage.propose(leader);
    stage.reach("it is committed", |stage| stage.node(leader).map(Node::commit) > before)?;
    stage.join(leader, target);
    let last = |node: &Node| node.last_position().index;
    stage.reach("the target gets it", |stage| stage.node(target).map(last) > before)?;

    // It asks, or not, and crashes.
    stage.clog(leader, target, DELAY);
    stage.clog(other, target, DELAY);
    stage.say(leader, target, order.clone());
    stage.wait(MOMENT);
    stage.power_off(target);
    stage.power_on(target);
    stage.reach("the target is back", |stage| stage.node(target).is_some())?;

    // The order arrives a second time, and then what was answered before the crash.
    stage.cut(target, leader);
    stage.cut(target, other);
    stage.say(leader, target, order);
    stage.wait(DELAY * 2);
    stage.join(target, leader);
    stage.join(target, other);
    stage.settle().map(drop)
}

/// The word of a leader that steps down.
fn order(stage: &Stage, leader: StoreId, target: StoreId) -> Option<Message> {
    let (leads, follows) = (stage.node(leader)?, stage.node(target)?);
    let (from, to, term) = (leads.id(), follows.id(), leads.term());
    Some(Message { from, to, term, body: Body::TimeoutNow })
}
