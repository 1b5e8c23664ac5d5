//! A leader steps down in favour of a peer that has not written the whole of its log. That one may
//! ask for votes only when no crash can take anything from it any more: else it comes back with
//! less, and the votes of before elect it (`docs/design/0007-vote-of-a-transfer.md`).
//!
//! How long a sync takes and what a crash leaves is drawn, so it is played some times.

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

/// Plays it.
pub(super) fn play(stage: &mut Stage) -> Met {
    for _ in 0..ROUNDS {
        round(stage)?;
    }
    Ok(())
}

fn round(stage: &mut Stage) -> Met {
    let leader = stage.settle()?;
    let [heir, other] = others(leader);
    let order = order(stage, leader, heir).ok_or("somebody has no power")?;

    // The others commit an entry; then the heir gets it.
    let before = stage.node(leader).map(Node::commit);
    stage.cut(leader, heir);
    stage.propose(leader);
    stage.reach("it is committed", |stage| stage.node(leader).map(Node::commit) > before)?;
    stage.join(leader, heir);
    let last = |node: &Node| node.last_position().index;
    stage.reach("the heir gets it", |stage| stage.node(heir).map(last) > before)?;

    // It asks, or not, and crashes.
    stage.clog(leader, heir, DELAY);
    stage.clog(other, heir, DELAY);
    stage.say(leader, heir, order.clone());
    stage.wait(MOMENT);
    stage.power_off(heir);
    stage.power_on(heir);
    stage.reach("the heir is back", |stage| stage.node(heir).is_some())?;

    // The order arrives a second time, and then what was answered before the crash.
    stage.cut(heir, leader);
    stage.cut(heir, other);
    stage.say(leader, heir, order);
    stage.wait(DELAY * 2);
    stage.join(heir, leader);
    stage.join(heir, other);
    stage.settle().map(drop)
}

/// The word of a leader that steps down.
fn order(stage: &Stage, leader: StoreId, heir: StoreId) -> Option<Message> {
    let (leads, follows) = (stage.node(leader)?, stage.node(heir)?);
    let (from, to, term) = (leads.id(), follows.id(), leads.term());
    Some(Message { from, to, term, body: Body::TimeoutNow })
}
