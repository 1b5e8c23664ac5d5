//! A leader hands over and hears nothing of it: another leads and commits, while it still believes
//! that it leads. Its quorum check would end that after an election timeout; until then only the
//! confirmation of reads keeps it from answering with what is old (thesis §6.4).

use std::time::Duration;

use kontiki_types::StoreId;

use super::stage::{Met, Stage, others};

/// Far less than an election timeout.
const MOMENT: Duration = Duration::from_millis(10);
/// Less than an election timeout, and longer than a transfer takes.
const DEAFNESS: Duration = Duration::from_millis(150);
/// Longer than a transfer takes.
const HAND_OVER: Duration = Duration::from_millis(120);

/// The old leader hears nobody, and confirms a read alone or not at all.
pub(super) fn alone(stage: &mut Stage) -> Met {
    let old = stage.settle()?;
    let new = hand_over(stage, old)?;
    stage.read(old);
    stage.wait(MOMENT);
    if stage.leader() == Some(new) { Ok(()) } else { Err("the new leader stays".to_owned()) }
}

/// The old leader hears, late, an echo of the round before the read: that says nothing about it.
pub(super) fn late_echo(stage: &mut Stage) -> Met {
    let old = stage.settle()?;
    for other in others(old) {
        stage.clog(other, old, DEAFNESS);
    }
    stage.read(old);
    stage.wait(MOMENT);
    let new = hand_over(stage, old)?;
    stage.read(old);
    stage.wait(DEAFNESS);
    if stage.leader() == Some(new) { Ok(()) } else { Err("the new leader stays".to_owned()) }
}

/// Another leads and has committed something, and the old leader does not know.
fn hand_over(stage: &mut Stage, old: StoreId) -> Met<StoreId> {
    let [new, _] = others(old);
    let committed = stage.node(old).map(kontiki_raft::Node::commit).unwrap_or_default();
    for other in others(old) {
        // Longer ones are kept.
        stage.clog(other, old, HAND_OVER);
    }
    stage.transfer(old, new);
    stage.reach("another leads and commits", |stage| {
        stage.leader() == Some(new) && stage.node(new).is_some_and(|node| node.commit() > committed)
    })?;
    Ok(new)
}
