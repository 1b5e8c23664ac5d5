//! The engine against a map per state: batches, views, merges, and a flush that stops at every
//! stage.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use bytes::Bytes;
use kontiki_engine::{Batch, Direction, Engine as _, Family, Range, Read, View};
use lsm_tree::AbstractTree;
use proptest::prelude::*;

use crate::FjallEngine;
use crate::memtable::Memtable;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Clone, Debug)]
enum Step {
    /// Keys, and how long their values are; none: deleted.
    Write(Vec<(u16, Option<u32>)>),
    /// All keys between two.
    Bulk(u16, u16, Option<u32>),
    View,
    Drop(usize),
    Seal,
    Register,
    Show,
    Sync,
    Compact,
    Scan {
        low: u16,
        high: Option<u16>,
        is_long: (bool, bool),
        max: usize,
    },
    Get(u16),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let len = prop_oneof![8 => 0..200_u32, 1 => 60_000..70_000_u32, 1 => 200_000..300_000_u32];
    let value = prop::option::weighted(0.75, len);
    let small = prop::option::weighted(0.7, 0..200_u32);
    let range = (0..700_u16, prop::option::of(0..700_u16), any::<(bool, bool)>(), 0..600_usize);
    let scan = range.prop_map(|(low, high, is_long, max)| Step::Scan {
        low,
        high,
        is_long,
        max: if max > 500 { usize::MAX } else { max },
    });
    let step = prop_oneof![
        8 => prop::collection::vec((0..700_u16, value), 1..8).prop_map(Step::Write),
        3 => (0..700_u16, 0..700_u16, small).prop_map(|(a, b, len)| Step::Bulk(a, b, len)),
        3 => Just(Step::View),
        2 => any::<usize>().prop_map(Step::Drop),
        3 => Just(Step::Seal),
        3 => Just(Step::Register),
        3 => Just(Step::Show),
        2 => Just(Step::Sync),
        2 => Just(Step::Compact),
        6 => scan,
        3 => (0..700_u16).prop_map(Step::Get),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..60)
}

/// Short keys, and the longest there may be.
fn key(number: u16) -> Vec<u8> {
    let mut key = format!("{number:03}").into_bytes();
    match number % 50 {
        7 => key.resize(65_534, 0xff),
        8 => key.resize(65_533, 0),
        9 => key.resize(20, 1),
        _ => {}
    }
    key
}

fn scan(read: &dyn Read, range: &Range, direction: Direction, max: usize) -> Vec<(Bytes, Bytes)> {
    let mut seen = Vec::new();
    let mut visit = |key: &Bytes, value: &Bytes| {
        if seen.len() == max {
            return ControlFlow::Break(());
        }
        seen.push((key.clone(), value.clone()));
        ControlFlow::Continue(())
    };
    read.scan(Family::Lock, range, direction, &mut visit).expect("scan");
    seen
}

fn check(read: &dyn Read, model: &Model, range: &Range, max: usize) -> Result<(), TestCaseError> {
    for direction in [Direction::Forward, Direction::Backward] {
        let mut expected: Vec<_> = model.iter().filter(|(key, _)| range.contains(key)).collect();
        if direction == Direction::Backward {
            expected.reverse();
        }
        expected.truncate(max);
        let seen = scan(read, range, direction, max);
        prop_assert_eq!(seen.len(), expected.len(), "{:?}", direction);
        for ((key, value), (expected_key, expected_value)) in seen.iter().zip(expected) {
            let is_same = key == expected_key && value == expected_value;
            prop_assert!(is_same, "{direction:?}: {key:?}, and not {expected_key:?}");
        }
    }
    Ok(())
}

/// The engine, what it should hold, and what a reopening would find.
struct Run {
    directory: tempfile::TempDir,
    engine: Option<FjallEngine>,
    model: Model,
    synced: Model,
    views: Vec<(Box<dyn View>, Model)>,
    flush: Flush,
}

enum Flush {
    None,
    Sealed(Arc<Memtable>, Model),
    Registered,
}

impl Run {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let engine = Some(FjallEngine::open(directory.path()).expect("open"));
        let (model, synced) = (Model::new(), Model::new());
        Self { directory, engine, model, synced, views: Vec::new(), flush: Flush::None }
    }

    fn engine(&self) -> &FjallEngine {
        self.engine.as_ref().expect("it is open")
    }

    fn write(&mut self, ops: impl Iterator<Item = (u16, Option<u32>)>) {
        let mut batch = Batch::default();
        for (number, len) in ops {
            let Some(len) = len else {
                batch.delete(Family::Lock, key(number));
                self.model.remove(&key(number));
                continue;
            };
            let value = vec![number.to_le_bytes()[0] ^ len.to_le_bytes()[0]; len as usize];
            batch.put(Family::Lock, key(number), value.clone());
            self.model.insert(key(number), value);
        }
        // Neighbouring families must not be seen.
        batch.put(Family::Default, vec![0xff; 100], "x");
        batch.put(Family::Write, vec![0], "x");
        self.engine().write(batch).expect("write");
    }

    fn flush_a_step(&mut self, step: &Step) {
        let engine = self.engine.as_ref().expect("it is open");
        self.flush = match (step, std::mem::replace(&mut self.flush, Flush::None)) {
            (Step::Seal, Flush::None) => match engine.newest.seal() {
                Some(table) => Flush::Sealed(table, self.model.clone()),
                None => Flush::None,
            },
            (Step::Register, Flush::Sealed(table, model)) => {
                engine.register(&table).expect("a table on disk");
                self.synced = model;
                Flush::Registered
            }
            (Step::Show, Flush::Registered) => {
                engine.newest.show_flushed();
                Flush::None
            }
            (_, flush) => flush,
        };
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Write(ops) => self.write(ops.into_iter()),
            Step::Bulk(a, b, len) => self.write((a.min(b)..a.max(b)).map(|number| (number, len))),
            Step::View => {
                self.views.push((self.engine().view().expect("view"), self.model.clone()));
            }
            Step::Drop(at) if !self.views.is_empty() => {
                drop(self.views.swap_remove(at % self.views.len()));
            }
            Step::Seal | Step::Register | Step::Show => self.flush_a_step(&step),
            Step::Sync if matches!(self.flush, Flush::None) => {
                self.engine().sync().expect("sync");
                self.synced = self.model.clone();
            }
            Step::Drop(_) | Step::Sync => {}
            Step::Compact => {
                let engine = self.engine();
                engine.tree.major_compact(1 << 20, engine.views.oldest()).expect("merge");
                engine.newest.show_tables();
            }
            Step::Get(number) => {
                let get = |read: &dyn Read| read.get(Family::Lock, &key(number)).expect("get");
                let expected = |model: &Model| model.get(&key(number)).cloned().map(Bytes::from);
                prop_assert!(get(self.engine()) == expected(&self.model));
                prop_assert!(
                    self.views.iter().all(|(view, model)| get(&**view) == expected(model))
                );
            }
            Step::Scan { low, high, is_long, max } => {
                let bound = |number, is_long: bool| {
                    let mut key = key(number);
                    key.resize(if is_long { 66_000 } else { key.len() }, 0xff);
                    Bytes::from(key)
                };
                let range =
                    Range::new(bound(low, is_long.0), high.map(|high| bound(high, is_long.1)));
                self.check(&range, max)?;
            }
            Step::Reopen => {
                self.views.clear();
                self.flush = Flush::None;
                self.engine = None;
                self.engine = Some(FjallEngine::open(self.directory.path()).expect("open"));
                self.model = self.synced.clone();
            }
        }
        Ok(())
    }

    fn check(&self, range: &Range, max: usize) -> Result<(), TestCaseError> {
        check(self.engine(), &self.model, range, max)?;
        self.views.iter().try_for_each(|(view, model)| check(&**view, model, range, max))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn every_state_reads_as_it_was(steps in steps()) {
        let mut run = Run::new();
        for step in steps {
            run.step(step)?;
        }
        run.check(&Range::all(), usize::MAX)?;
    }
}

#[test]
fn a_table_in_memory_goes_with_the_last_view_of_it() {
    let mut run = Run::new();
    run.write([(1, Some(1))].into_iter());
    let table = Arc::downgrade(&run.engine().views.open().in_memory.active);
    let (one, two) = (run.engine().view().expect("view"), run.engine().view().expect("view"));
    run.engine().sync().expect("sync");
    drop(one);
    assert!(table.upgrade().is_some());
    assert_eq!(scan(&*two, &Range::all(), Direction::Forward, 9).len(), 1);
    drop(two);
    assert!(table.upgrade().is_none());
}

#[test]
fn a_view_that_outlives_its_engine_keeps_the_directory() {
    let mut run = Run::new();
    run.write([(1, Some(1))].into_iter());
    run.engine().sync().expect("sync");
    let view = run.engine().view().expect("view");
    run.engine = None;
    let again = FjallEngine::open(run.directory.path()).map(drop);
    assert!(matches!(again, Err(crate::Error::InUse { .. })), "{again:?}");
    assert_eq!(scan(&*view, &Range::all(), Direction::Forward, 9).len(), 1);
    drop(view);
    FjallEngine::open(run.directory.path()).expect("nobody looks at it any more");
}
