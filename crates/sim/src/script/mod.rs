//! Directed scripts: situations that random seeds hide from, played step by step.
//!
//! Some famous mistakes need an order of events that chance almost never finds (Raft's figure 8 hid
//! from 8,000 seeds of a toy). A script leads a cluster without random faults into that order. It
//! must keep every rule as the product is, and break one with its mutant; both are tested.

mod deaf_leader;
mod figure_8;
mod stage;

use crate::mutant::{Inside, Mutant, Switched};
use crate::violation::Violation;

use stage::{Met, Stage};

/// What a script does to a cluster.
type Script = fn(&mut Stage) -> Met;

/// The script that shows this mutant.
fn script_of(mutant: Mutant) -> Option<Script> {
    match mutant {
        Mutant::Inside(Inside::CommitOldTerm) => Some(figure_8::play),
        Mutant::Inside(Inside::ReadAlone) => Some(deaf_leader::alone),
        Mutant::Inside(Inside::ReadRoundOff) => Some(deaf_leader::late_echo),
        Mutant::Inside(_) | Mutant::Outside(_) => None,
    }
}

/// The rule that this mutant breaks in its script, if it has one and breaks one.
pub fn violation(mutant: Mutant) -> Option<Violation> {
    let script = script_of(mutant)?;
    let _switched = Switched::on(Some(mutant));
    play(script).1
}

/// Plays a script: whether its situation came up, and the first broken rule.
fn play(script: Script) -> (Met, Option<Violation>) {
    let mut stage = Stage::new();
    let is_met = script(&mut stage);
    (is_met, stage.violation())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_product_keeps_every_rule_in_every_script() {
        for mutant in Mutant::all() {
            let Some(script) = script_of(mutant) else { continue };
            assert_eq!(play(script), (Ok(()), None), "script of {mutant:?}");
        }
    }

    #[cfg(feature = "mutants")]
    #[test]
    fn every_script_shows_its_mutant() {
        for mutant in Mutant::all().filter(|&mutant| script_of(mutant).is_some()) {
            assert!(violation(mutant).is_some(), "{mutant:?} hides in its script");
        }
    }
}
