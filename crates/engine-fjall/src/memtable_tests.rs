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
    // Some rows are written again and again.
    let row = prop_oneof![2 => 0..2_u8, 1 => 0..40_u8];
    let op = (row, prop::option::weighted(0.8, 0..100_u16));
    prop::collection::vec(prop::collection::vec(op, 1..8), 1..40)
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
                    let Page { rows, behind } = table.page(&bounds, direction, below, rows);
                    seen.extend(rows);
                    let Some(behind) = behind.map(Bound::Excluded) else { break };
                    match direction {
                        Direction::Forward => bounds.0 = behind,
                        Direction::Backward => bounds.1 = behind,
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
    fn what_is_written_is_the_newest_state(batches in batches()) {
        let (table, models) = table(&batches);
        let rows = table.rows();
        let written: Vec<_> = rows.to_write().map(|row| row.expect("no disk")).collect();
        let seen = written.iter().map(|row| {
            let value = (!row.is_tombstone()).then(|| row.value.to_vec());
            (row.key.user_key.to_vec(), value)
        });
        let seen: Vec<_> = seen.collect();
        let model: Vec<_> = models.last().expect("the first").clone().into_iter().collect();
        prop_assert_eq!(seen, model);
    }
}
