//! Decisions of one set of voters by simple majority.
//!
//! Called only by [`super::joint`]. An empty set never decides: nothing commits and nobody wins in
//! a group whose membership is not known (etcd lets an empty half win; a simple membership here
//! has no second half at all, so that case does not arise).

use kontiki_types::mutants::{self, Mutant};

use super::Tally;

/// Voters up to this many are sorted without allocation.
const SMALL_COUNT: usize = 16;

/// The greatest value that a majority of the voters reached: for acknowledged indexes, what is
/// committed; for echoed rounds, what is confirmed; for moments of contact, since when a majority
/// has been in touch. Nothing when there are no voters.
pub(crate) fn reached<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut values = values.peekable();
    let first = *values.peek()?;
    let mut small = [first; SMALL_COUNT];
    let mut count = 0;
    while let Some(value) = values.peek() {
        match small.get_mut(count) {
            Some(slot) => *slot = *value,
            None => return Some(reached_of_many(&small, values)),
        }
        values.next();
        count += 1;
    }
    let reached = small.get_mut(..count).expect("count is at most the array's length");
    Some(order_statistic(reached))
}

fn reached_of_many<T: Ord + Copy>(small: &[T], rest: impl Iterator<Item = T>) -> T {
    let mut all: Vec<T> = small.to_vec();
    all.extend(rest);
    order_statistic(&mut all)
}

/// Sorted upwards, the value at `(n - 1) / 2` is reached by `n - (n - 1) / 2 = n / 2 + 1` voters.
fn order_statistic<T: Ord + Copy>(values: &mut [T]) -> T {
    assert!(!values.is_empty(), "no voters");
    let too_few = usize::from(mutants::is_on(Mutant::CommitByMinority) && values.len() > 1);
    let at = (values.len() - 1) / 2 + too_few;
    *values.select_nth_unstable(at).1
}

/// How the votes stand; nothing for a voter that has not answered.
pub(crate) fn tally(votes: impl Iterator<Item = Option<bool>>) -> Tally {
    let (mut voters, mut granted, mut refused) = (0_usize, 0_usize, 0_usize);
    for vote in votes {
        voters += 1;
        match vote {
            Some(true) => granted += 1,
            Some(false) => refused += 1,
            None => {}
        }
    }
    let quorum = voters / 2 + usize::from(!mutants::is_on(Mutant::ElectByMinority));
    if granted >= quorum {
        Tally::Won
    } else if voters - refused < quorum {
        Tally::Lost
    } else {
        Tally::Pending
    }
}
