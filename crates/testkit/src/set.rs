//! Judges a grow-only set: unique elements are added, now and then the whole set is read.
//!
//! Rules, for every read: it holds each element whose addition was acknowledged before the read was
//! sent; it holds each element that an earlier read, finished before this one was sent, had seen
//! (an element once seen never disappears); and it holds nothing that was never added, failed to be
//! added, or was added only after the read returned. The last read after everything healed makes
//! this the classic test for lost writes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

pub use crate::counter::Addition;

/// The additions and reads of one set, which starts empty.
#[derive(Clone, Debug)]
pub struct SetHistory<E> {
    /// element → (invoked at, end)
    additions: BTreeMap<E, (u64, Addition)>,
    /// (invoked at, returned at, elements)
    reads: Vec<(u64, u64, BTreeSet<E>)>,
}

impl<E> Default for SetHistory<E> {
    fn default() -> Self {
        Self { additions: BTreeMap::new(), reads: Vec::new() }
    }
}

/// What a read shows that it must not, or fails to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetViolation<E> {
    /// Acknowledged before the read was sent, and not in it.
    Lost {
        /// The element.
        element: E,
        /// When its addition was acknowledged.
        acknowledged_at: u64,
        /// When the read was sent.
        read_at: u64,
    },
    /// Seen by an earlier read, and gone.
    Vanished {
        /// The element.
        element: E,
        /// When the earlier read returned.
        seen_at: u64,
        /// When the read was sent.
        read_at: u64,
    },
    /// Never added, failed, or added only later.
    Invented {
        /// The element.
        element: E,
        /// When the read returned.
        read_at: u64,
    },
}

impl<E: fmt::Debug> fmt::Display for SetViolation<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { element, acknowledged_at, read_at } => write!(
                f,
                "{element:?} was acknowledged at {acknowledged_at}, a read sent at {read_at} lacks it"
            ),
            Self::Vanished { element, seen_at, read_at } => {
                write!(f, "{element:?} was seen at {seen_at}, a read sent at {read_at} lacks it")
            }
            Self::Invented { element, read_at } => {
                write!(f, "{element:?} was in a read at {read_at}, nobody had added it")
            }
        }
    }
}

impl<E: Ord + Clone> SetHistory<E> {
    /// Records that `element` was sent for addition.
    ///
    /// # Panics
    /// When the element was added before (elements are unique in a run), or acknowledged before
    /// sent.
    pub fn add(&mut self, element: E, invoked_at: u64, end: Addition) {
        if let Addition::Ok(at) = end {
            assert!(at >= invoked_at, "acknowledged at {at}, sent at {invoked_at}");
        }
        let before = self.additions.insert(element, (invoked_at, end));
        assert!(before.is_none(), "an element was added twice; the workload must use unique ones");
    }

    /// Records a read of the whole set.
    ///
    /// # Panics
    /// When it returned before it was sent.
    pub fn read(&mut self, elements: BTreeSet<E>, invoked_at: u64, returned_at: u64) {
        assert!(returned_at >= invoked_at, "returned at {returned_at}, sent at {invoked_at}");
        self.reads.push((invoked_at, returned_at, elements));
    }

    /// Judges every read, in the order they were sent.
    ///
    /// # Errors
    /// The first violation found.
    pub fn check(&self) -> Result<(), SetViolation<E>> {
        // When each element was first known to be in: its acknowledgement, or the return of a read.
        let mut known: BTreeMap<&E, (u64, bool)> = BTreeMap::new();
        for (element, (_, end)) in &self.additions {
            if let Addition::Ok(at) = end {
                known.insert(element, (*at, false));
            }
        }
        for (_, returned_at, elements) in &self.reads {
            for element in elements {
                let entry = known.entry(element).or_insert((*returned_at, true));
                *entry = (*entry).min((*returned_at, true));
            }
        }
        let mut reads: Vec<_> = self.reads.iter().collect();
        reads.sort_by_key(|(invoked_at, returned_at, _)| (*invoked_at, *returned_at));
        for (invoked_at, returned_at, elements) in reads {
            self.check_nothing_invented(elements, *returned_at)?;
            check_nothing_missing(&known, elements, *invoked_at)?;
        }
        Ok(())
    }

    fn check_nothing_invented(
        &self,
        elements: &BTreeSet<E>,
        read_at: u64,
    ) -> Result<(), SetViolation<E>> {
        let invented = elements.iter().find(|element| {
            let addition = self.additions.get(element);
            !addition.is_some_and(|(sent, end)| *end != Addition::Fail && *sent <= read_at)
        });
        match invented {
            Some(element) => Err(SetViolation::Invented { element: element.clone(), read_at }),
            None => Ok(()),
        }
    }
}

fn check_nothing_missing<E: Ord + Clone>(
    known: &BTreeMap<&E, (u64, bool)>,
    elements: &BTreeSet<E>,
    read_at: u64,
) -> Result<(), SetViolation<E>> {
    let missing = known.iter().find(|&(&element, &(at, _))| {
        // Known strictly before the read was sent, so the read cannot have been first.
        at < read_at && !elements.contains(element)
    });
    match missing {
        None => Ok(()),
        Some((&element, &(at, was_seen))) => Err(if was_seen {
            SetViolation::Vanished { element: element.clone(), seen_at: at, read_at }
        } else {
            SetViolation::Lost { element: element.clone(), acknowledged_at: at, read_at }
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1 acknowledged at 10, 2 unknown from 5, 3 failed, 4 sent late.
    fn history() -> SetHistory<u32> {
        let mut history = SetHistory::default();
        history.add(1, 0, Addition::Ok(10));
        history.add(2, 5, Addition::Unknown);
        history.add(3, 6, Addition::Fail);
        history.add(4, 100, Addition::Ok(110));
        history
    }

    fn judge(reads: &[(&[u32], u64, u64)]) -> Result<(), SetViolation<u32>> {
        let mut history = history();
        for (elements, invoked_at, returned_at) in reads {
            history.read(elements.iter().copied().collect(), *invoked_at, *returned_at);
        }
        history.check()
    }

    #[test]
    fn reads_that_agree_are_accepted() {
        assert_eq!(
            judge(&[(&[], 1, 2), (&[1], 3, 4), (&[1, 2], 20, 21), (&[1, 2, 4], 120, 121)]),
            Ok(())
        );
        assert_eq!(judge(&[(&[1], 20, 21), (&[1, 4], 120, 121)]), Ok(()), "2 never happened");
    }

    #[test]
    fn an_acknowledged_element_must_be_there() {
        assert_eq!(
            judge(&[(&[2], 20, 21)]),
            Err(SetViolation::Lost { element: 1, acknowledged_at: 10, read_at: 20 })
        );
    }

    #[test]
    fn an_element_once_seen_stays() {
        assert_eq!(
            judge(&[(&[1, 2], 20, 21), (&[1], 30, 31)]),
            Err(SetViolation::Vanished { element: 2, seen_at: 21, read_at: 30 })
        );
    }

    #[test]
    fn concurrent_reads_may_differ() {
        assert_eq!(judge(&[(&[1, 2], 20, 30), (&[1], 25, 35)]), Ok(()));
    }

    #[test]
    fn failed_later_and_foreign_elements_are_invented() {
        for element in [3, 4, 9] {
            let read = [1, element];
            assert_eq!(
                judge(&[(&read, 20, 21)]),
                Err(SetViolation::Invented { element, read_at: 21 })
            );
        }
    }
}
