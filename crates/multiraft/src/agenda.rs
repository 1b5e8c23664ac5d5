//! What a shard has to do next: which groups to drain at the end of the turn, and when each wants
//! to hear of time.
//!
//! [`Agenda::note`] is called for a group right after it took something in, while all of it is at
//! hand: with a thousand groups, to look at one again costs more than what happened in it. A group
//! without output is not drained, and a deadline that only moved on is left where it is.

use std::collections::BTreeSet;

use kontiki_types::{Moment, RegionId};

use crate::ShardConfig;
use crate::group::Group;

/// What an agenda keeps with the group itself.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Noted {
    /// It is to be drained at the end of the turn.
    is_dirty: bool,
    /// When to look at it next.
    visit_at: Option<Moment>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Agenda {
    /// Groups with something to drain, each once.
    dirty: Vec<RegionId>,
    /// Groups that took something in and had nothing to drain then.
    touched: Vec<RegionId>,
    /// When to look at each group, earliest first; never later than it wants to hear of time.
    visits: BTreeSet<(Moment, RegionId)>,
}

impl Agenda {
    /// This group took something in.
    pub(crate) fn note(&mut self, group: &mut Group, config: &ShardConfig) {
        if group.noted.is_dirty {
            return;
        }
        if group.has_output(config) {
            group.noted.is_dirty = true;
            self.dirty.push(group.id());
        } else {
            self.touched.push(group.id());
            self.plan_visit(group);
        }
    }

    /// This group took in what makes nothing due, neither now nor later.
    pub(crate) fn touch(&mut self, group: &Group) {
        self.touched.push(group.id());
    }

    /// Look at this group when it wants to hear of time, or before.
    pub(crate) fn plan_visit(&mut self, group: &mut Group) {
        let Some(deadline) = group.next_deadline() else { return };
        if group.noted.visit_at.is_some_and(|at| at <= deadline) {
            return;
        }
        if let Some(later) = group.noted.visit_at.replace(deadline) {
            self.visits.remove(&(later, group.id()));
        }
        self.visits.insert((deadline, group.id()));
    }

    /// This group is no more.
    pub(crate) fn forget(&mut self, group: &Group) {
        if let Some(at) = group.noted.visit_at {
            self.visits.remove(&(at, group.id()));
        }
    }

    /// When the next visit is due.
    pub(crate) fn next_visit(&self) -> Option<Moment> {
        self.visits.first().map(|&(at, _)| at)
    }

    /// Look in on what is no group that takes part.
    pub(crate) fn plan(&mut self, id: RegionId, at: Option<Moment>) {
        self.visits.extend(at.map(|at| (at, id)));
    }

    /// The visits that are due; tell each of a group by [`Agenda::is_visited`].
    pub(crate) fn due(&mut self, now: Moment) -> Vec<(Moment, RegionId)> {
        let mut due = Vec::new();
        while self.visits.first().is_some_and(|(at, _)| *at <= now) {
            due.extend(self.visits.pop_first());
        }
        due
    }

    /// The visit planned for `at` takes place. True when the group wants to hear of time by now;
    /// else the next visit is planned. One that was planned for what stood in its place is none.
    pub(crate) fn is_visited(&mut self, group: &mut Group, at: Moment, now: Moment) -> bool {
        if group.noted.visit_at != Some(at) {
            return false;
        }
        group.noted.visit_at = None;
        let wanted = group.next_deadline().is_some_and(|at| at <= now);
        if !wanted {
            self.plan_visit(group);
        }
        wanted
    }

    /// The end of the turn: the groups to drain. A group among them may be gone by now, or be
    /// another one; see [`Noted::take_dirty`].
    pub(crate) fn take_dirty(&mut self) -> Vec<RegionId> {
        self.touched.clear();
        std::mem::take(&mut self.dirty)
    }

    /// Give back the memory of [`Agenda::take_dirty`].
    pub(crate) fn reuse(&mut self, mut drained: Vec<RegionId>) {
        drained.clear();
        if self.dirty.is_empty() {
            self.dirty = drained;
        }
    }

    /// The groups that took something in this turn.
    pub(crate) fn touched(&self) -> BTreeSet<RegionId> {
        self.dirty.iter().chain(&self.touched).copied().collect()
    }
}

impl Noted {
    /// It is drained now; false when it is not to be.
    pub(crate) fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.is_dirty)
    }
}
