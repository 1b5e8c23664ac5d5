//! The answer to a follower's question comes after the question was given up, and meets a later
//! question: it says nothing about that one (etcd#20418).

use std::time::Duration;

use kontiki_raft::Node;

use super::stage::{Met, Stage, others};

/// The follower has given a question up by then: an election timeout of the stage after it asked.
const GIVEN_UP: Duration = Duration::from_millis(303);
/// It hears nothing for so long, and must not stand for election meanwhile.
const SILENCE: Duration = Duration::from_millis(320);
/// How long it must be willing to wait for its leader.
const PATIENCE: Duration = Duration::from_millis(400);

/// Plays it.
pub(super) fn play(stage: &mut Stage) -> Met {
    let leader = stage.settle()?;
    let [reader, _] = others(leader);
    stage.reach("a follower that waits for long", |stage| {
        let until = stage.node(reader).and_then(Node::next_deadline);
        until.is_some_and(|until| until > stage.now() + PATIENCE)
    })?;

    // The answer is on its way for as long as the link is clogged.
    let asked = stage.now();
    stage.clog(leader, reader, SILENCE);
    stage.read(reader);
    stage.wait(Duration::from_millis(100));
    let before = stage.node(leader).map(Node::commit);
    stage.propose(leader);
    stage.reach("something new is committed", |stage| {
        stage.node(leader).map(Node::commit) > before
    })?;

    // The first question is given up, the second is asked, and then comes the first answer.
    stage.wait_until(asked + GIVEN_UP);
    if stage.node(reader).and_then(Node::leader).is_none() {
        return Err("the reader follows its leader still".to_owned());
    }
    stage.read(reader);
    stage.wait(SILENCE);
    Ok(())
}
