//! Directed scripts: situations that random seeds hide from, played step by step.
//!
//! Some famous mistakes need an order of events that chance almost never finds (Raft's figure 8 hid
//! from 8,000 seeds of a toy). A script leads a cluster without random faults into that order. It
//! must keep every rule as the product is, and break one with its mutant; both are tested.

mod behind_the_sync;
mod cut_off_change;
pub(crate) mod cut_off_install;
mod deaf_leader;
mod early_target;
mod empty_probe;
mod figure_8;
mod jumping_clocks;
mod late_answer;
mod lease;
mod log;
mod long_tail;
mod returned;
mod shut_down_at_work;
mod stage;

use std::time::Duration;

use crate::mutant::{Inside, Mutant, Switched};
use crate::options::{ClusterOptions, Options};
use crate::run::run;
use crate::violation::{Rule, Violation};

use stage::{Met, Stage};

/// How a mistake is shown.
#[derive(Clone, Copy)]
enum Script {
    /// What is done to a cluster without random faults, in order.
    Play(fn(&mut Stage) -> Met),
    /// The same with other options.
    PlayWith(fn(&mut Options), fn(&mut Stage) -> Met),
    /// What is done to a log alone. The error says what it broke.
    Log(fn() -> Result<(), String>),
    /// So many seeds of 30 virtual seconds with options narrowed to the situation.
    Seeds(u64, fn(&mut Options)),
}

/// The script that shows this mutant.
fn script_of(mutant: Mutant) -> Option<Script> {
    let Mutant::Inside(mutant) = mutant else { return None };
    Some(match mutant {
        Inside::VoteBeforeSync | Inside::TransferBeforeLog => {
            Script::PlayWith(early_target::narrow, early_target::crashed)
        }
        Inside::TransferBeforeVote => Script::PlayWith(early_target::narrow, early_target::elected),
        Inside::CommitOldTerm => Script::Play(figure_8::play),
        Inside::CommitUnverified => Script::Play(empty_probe::play),
        Inside::AppendUnmatched => Script::Play(empty_probe::guessed),
        Inside::JointByHalf => Script::Play(cut_off_change::joint),
        Inside::ConfigKept => Script::Play(cut_off_change::play),
        Inside::ReadAlone => Script::Play(deaf_leader::alone),
        Inside::ReadRoundOff => Script::Play(deaf_leader::late_echo),
        Inside::ReadNumberReused => Script::Play(late_answer::play),
        Inside::LeaseEndless => Script::Play(lease::asleep),
        Inside::LeaseOutlivesTransfer => Script::Play(lease::handed_over),
        Inside::SnapshotKeepsTail => Script::PlayWith(long_tail::narrow, long_tail::play),
        Inside::CompactUnsynced => Script::PlayWith(behind_the_sync::narrow, behind_the_sync::play),
        Inside::SessionIgnored => Script::Play(returned::play),
        Inside::InstallUnmarked | Inside::InstallNotSynced => {
            Script::Seeds(30, cut_off_install::narrow)
        }
        Inside::HaltedSilently => Script::Seeds(10, shut_down_at_work::narrow),
        Inside::SessionsByWall => Script::Seeds(20, jumping_clocks::narrow),
        Inside::LogKeepsTorn => Script::Log(log::lost_frame),
        Inside::LogFreesEarly => Script::Log(log::unsynced_note),
        Inside::LogSyncErrorForgotten => Script::Log(log::failed_sync),
        _ => return None,
    })
}

/// The rule that this mutant breaks in its script, if it has one and breaks one.
pub fn violation(mutant: Mutant) -> Option<Violation> {
    let script = script_of(mutant)?;
    play(script, Some(mutant)).1
}

/// Plays a script: whether its situation came up, and the first broken rule.
fn play(script: Script, mutant: Option<Mutant>) -> (Met, Option<Violation>) {
    let _switched = Switched::on(mutant);
    match script {
        Script::Play(play) => play_on(Stage::new(|_| {}), play),
        Script::PlayWith(narrow, play) => play_on(Stage::new(narrow), play),
        Script::Log(story) => {
            (Ok(()), story().err().map(|what| Violation { rule: Rule::RecoveryComplete, what }))
        }
        Script::Seeds(seeds, narrow) => {
            let one = |seed| run(narrowed(seed, narrow).with_mutant(mutant), None).violation;
            (Ok(()), (0..seeds).find_map(one))
        }
    }
}

fn play_on(mut stage: Stage, play: fn(&mut Stage) -> Met) -> (Met, Option<Violation>) {
    let met = stage.caught(play);
    (met, stage.violation())
}

/// A seed with one group under narrowed options.
pub(crate) fn narrowed(seed: u64, narrow: impl Fn(&mut Options)) -> Options {
    let mut options = Options::draw(seed, Duration::from_secs(30));
    options.faults.dead_at_end = None;
    options.set_cluster(ClusterOptions::small(1));
    narrow(&mut options);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_keeps_every_rule_in_every_script() {
        let mut wrong = Vec::new();
        for mutant in Mutant::all() {
            let Some(script) = script_of(mutant) else { continue };
            let played = play(script, None);
            wrong.extend((played != (Ok(()), None)).then_some((mutant, played)));
        }
        assert_eq!(wrong, []);
    }

    #[cfg(feature = "mutants")]
    #[test]
    fn every_script_shows_its_mutant() {
        let mut hidden = Vec::new();
        for mutant in Mutant::all() {
            let Some(script) = script_of(mutant) else { continue };
            let (met, violation) = play(script, Some(mutant));
            hidden.extend(violation.is_none().then_some((mutant, met)));
        }
        assert_eq!(hidden, []);
    }
}
