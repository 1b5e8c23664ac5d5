//! The table in memory against a map per state.

use std::collections::BTreeMap;
use std::ops::Bound;

use kontiki_engine::{Batch, Direction, Family};
use lsm_tree::UserKey;
use proptest::prelude::*;

use crate::memtable::{Known, Memtable, Page};
use crate::view::row_key;

/// What a reader of a state sees.
type Model = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Batches of puts and deletes of a few keys, some of them long.
fn batches() -> impl Strategy<Value = Vec<Vec<(u8, Option<u16>)>>> {
    let op = (0..40_u8, prop::option::weighted(0.8, 0..100_u16));
    prop::collection::vec(prop::collection::vec(op, 1..8), 1..24)
}

fn key(number: u8) -> Vec<u8> {
    vec![number; 1 + usize::from(number)]
}

/// The table, and what is seen at every number from 1 on.
fn table(batches: &[Vec<(u8, Option<u16>)>]) -> (Memtable, Vec<Model>) {
    let (table, mut models) = (Memtable::default(), vec![Model::new()]);
    for (number, ops) in (1..).zip(batches) {
        let mut model = models.last().expect("the first").clone();
        let mut batch = Batch::default();
        for (row, value) in ops {
            let value = value.map(|value| vec![7; usize::from(value) * 500]);
            match &value {
                Some(value) => batch.put(Family::Default, key(*row), value.clone()),
                None => batch.delete(Family::Default, key(*row)),
            }
            model.insert(row_key(Family::Default, &key(*row)), value);
        }
        table.insert(batch.ops(), number);
        models.push(model);
    }
    (table, models)
}

fn plain(known: Known) -> Option<Vec<u8>> {
    known.value().map(|value| value.to_vec())
}

proptest! {
    #[test]
    fn every_state_is_seen_as_it_was(batches in batches(), rows in 1..9_usize) {
        let (table, models) = table(&batches);
        for (below, model) in (1..).zip(&models) {
            for number in 0..40 {
                let key = row_key(Family::Default, &key(number));
                let known = table.get(&UserKey::from(&key[..]), below).map(plain);
                prop_assert_eq!(known.as_ref(), model.get(&key));
            }
            for direction in [Direction::Forward, Direction::Backward] {
                let mut bounds = (Bound::Unbounded, Bound::Unbounded);
                let mut seen = Vec::new();
                loop {
                    let Page { rows, is_cut } = table.page(&bounds, direction, below, rows);
                    prop_assert!(!is_cut || !rows.is_empty(), "a page that leads nowhere");
                    seen.extend(rows);
                    let Some((last, _)) = seen.last().filter(|_| is_cut) else { break };
                    match direction {
                        Direction::Forward => bounds.0 = Bound::Excluded(last.clone()),
                        Direction::Backward => bounds.1 = Bound::Excluded(last.clone()),
                    }
                }
                let seen = seen.into_iter().map(|(key, known)| (key.to_vec(), plain(known)));
                let mut seen: Vec<_> = seen.collect();
                if direction == Direction::Backward {
                    seen.reverse();
                }
                let model: Vec<_> = model.clone().into_iter().collect();
                prop_assert_eq!(seen, model);
            }
        }
    }

    #[test]
    fn what_is_written_holds_every_state_that_may_be_open(
        batches in batches(),
        oldest in 1..25_u64,
    ) {
        let (table, models) = table(&batches);
        let rows = table.rows();
        let written: Vec<_> = rows.to_write(oldest).map(|row| row.expect("no disk")).collect();
        prop_assert!(written.is_sorted_by(|one, two| one.key < two.key));
        for (below, model) in (1..).zip(&models).filter(|(below, _)| *below >= oldest) {
            let mut seen = Model::new();
            for row in written.iter().filter(|row| row.key.seqno < below) {
                let value = (!row.is_tombstone()).then(|| row.value.to_vec());
                seen.entry(row.key.user_key.to_vec()).or_insert(value);
            }
            prop_assert_eq!(&seen, model);
        }
        let settled = written.iter().filter(|row| row.key.seqno < oldest);
        let mut keys: Vec<_> = settled.map(|row| &row.key.user_key).collect();
        let count = keys.len();
        keys.dedup();
        prop_assert_eq!(keys.len(), count, "versions that nobody can see");
    }
}
