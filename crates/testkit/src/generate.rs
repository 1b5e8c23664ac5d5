//! Values and histories from a seed: what workloads write, and what a correct register would
//! answer.
//!
//! Every written value is unique in the run, so a read names the write it saw. [`register_history`]
//! plays a real register: operations take effect one after the other at known points, and only the
//! invocation and return times around those points are random. What it returns is linearizable by
//! construction, which is what makes it a test of the checker and not of the generator.

use bytes::Bytes;

use crate::linearizability::{Client, History, Operation, Outcome};
use crate::rng::Rng;

/// Hands out values that no other call of the run hands out.
#[derive(Clone, Debug, Default)]
pub struct UniqueValues {
    next: u64,
}

impl UniqueValues {
    /// A value nobody has, like `v17`.
    pub fn take(&mut self) -> Bytes {
        self.next += 1;
        Bytes::from(format!("v{}", self.next))
    }
}

/// The size and mood of a generated history. Rates are per mille of the operations.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// How many operations, over all keys.
    pub operation_count: usize,
    /// How many clients, each with one operation at a time until one ends unknown.
    pub client_count: u64,
    /// How many keys.
    pub key_count: u64,
    /// Operations whose reply is lost; about half of their writes took effect.
    pub unknown_per_mille: u64,
    /// Operations refused before they could take effect.
    pub fail_per_mille: u64,
    /// Whether to use conditional operations too, or only get, put and delete.
    pub is_conditional: bool,
}

/// A history that a correct register produced. Keys are numbers from 0.
pub fn register_history(rng: &mut Rng, shape: Shape) -> History<u64> {
    let mut history = History::new();
    let mut values = UniqueValues::default();
    let mut registers: Vec<Option<Bytes>> =
        vec![None; usize::try_from(shape.key_count).expect("keys fit in memory")];
    // When each client is free. An operation takes effect at its turn's time; its invocation lies
    // after the client's previous return and before that time, its return somewhere behind.
    let mut free_at = vec![0; usize::try_from(shape.client_count).expect("clients fit in memory")];
    for turn in 1..=shape.operation_count as u64 {
        let effect_at = turn * 10;
        let free: Vec<usize> = (0..free_at.len()).filter(|&c| free_at[c] < effect_at).collect();
        if free.is_empty() {
            continue;
        }
        let client = *rng.pick(&free);
        let earliest = free_at[client].max(effect_at.saturating_sub(10 * shape.client_count));
        let invoked_at = rng.range(earliest..effect_at) + 1;
        let returned_at = effect_at + rng.below(10 * shape.client_count);
        let key = rng.below(shape.key_count);
        let register = &mut registers[usize::try_from(key).expect("checked above")];
        let operation = any_operation(rng, shape, register.as_ref(), &mut values);
        let id = history.invoke(client as Client, key, operation.clone(), invoked_at);
        free_at[client] = returned_at;
        if rng.chance(shape.fail_per_mille) {
            history.fail(id);
        } else if rng.chance(shape.unknown_per_mille) {
            if rng.chance(500) {
                apply(register, &operation);
            }
        } else {
            let outcome = apply(register, &operation);
            history.ok(id, outcome, returned_at);
        }
    }
    history
}

fn any_operation(
    rng: &mut Rng,
    shape: Shape,
    current: Option<&Bytes>,
    values: &mut UniqueValues,
) -> Operation {
    match rng.below(if shape.is_conditional { 16 } else { 10 }) {
        0..=4 => Operation::Get,
        5..=8 => Operation::Put(values.take()),
        9 => Operation::Delete,
        10..=12 => {
            // Half of them expect what is there, so that some succeed.
            let expect = if rng.chance(500) { current.cloned() } else { Some(values.take()) };
            Operation::CompareAndPut { expect, new: values.take() }
        }
        13 => Operation::PutIfAbsent(values.take()),
        14 => match current {
            Some(value) if rng.chance(700) => Operation::CompareAndDelete(value.clone()),
            _ => Operation::CompareAndDelete(values.take()),
        },
        _ => Operation::GetAndPut(values.take()),
    }
}

/// What a register does and answers. Written apart from the checker's model, on plain values, so
/// that the two can disagree if one of them is wrong.
fn apply(register: &mut Option<Bytes>, operation: &Operation) -> Outcome {
    match operation {
        Operation::Get => Outcome::Value(register.clone()),
        Operation::Put(value) => {
            *register = Some(value.clone());
            Outcome::Done
        }
        Operation::Delete => Outcome::Applied(register.take().is_some()),
        Operation::CompareAndPut { expect, new } => {
            let is_match = register == expect;
            let previous = register.clone();
            if is_match {
                *register = Some(new.clone());
            }
            Outcome::Conditional { applied: is_match, previous }
        }
        Operation::CompareAndDelete(expect) => {
            let is_match = register.as_ref() == Some(expect);
            if is_match {
                *register = None;
            }
            Outcome::Applied(is_match)
        }
        Operation::PutIfAbsent(value) => {
            let before = register.clone();
            register.get_or_insert_with(|| value.clone());
            Outcome::Value(before)
        }
        Operation::GetAndPut(value) => Outcome::Value(register.replace(value.clone())),
    }
}
