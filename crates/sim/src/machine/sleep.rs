//! Who sleeps, what woke whom, and who leads instead of somebody wanted more: for coverage marks.

use std::collections::{BTreeMap, BTreeSet};

use kontiki_multiraft::Event;
use kontiki_raft::{Node, Priority, RoleKind};
use kontiki_types::RegionId;

use crate::env::Env;
use crate::marks::Mark;

use super::Machine;
use super::running::Running;

impl Machine {
    /// Its power goes: some that slept may count on it.
    pub(super) fn mark_sleeping_leader(&self, env: &mut Env) {
        let Some(running) = &self.running else { return };
        if running.asleep.iter().any(|&group| self.leads(group)) {
            env.marks.hit(Mark::SleepingLeaderLost);
        }
    }

    /// Its replica of this group leads from now on.
    pub(super) fn mark_priority(&self, group: RegionId, env: &mut Env) {
        let Some(node) = self.node(group) else { return };
        let wishes = env.options.priorities(env.cluster.region(group));
        let wish = |peer| wishes.get(&peer).copied().unwrap_or_default();
        let greatest = node.membership().incoming().map(wish).max();
        let own = wish(node.id());
        if own != Priority::OFF && greatest > Some(own) {
            env.marks.hit(Mark::LesserElected);
        }
        let before = env.led_by.insert(group, own).unwrap_or_default();
        if before != Priority::OFF && before < own {
            env.marks.hit(Mark::LesserMadeWay);
        }
    }
}

impl Running {
    /// The end of a turn: who fell asleep, and who woke. A sleeper has no deadline, so if nothing
    /// came for it, it was the watch.
    pub(super) fn note_sleep(
        &mut self,
        touched: &BTreeSet<RegionId>,
        roused: &BTreeMap<RegionId, Mark>,
        env: &mut Env,
    ) {
        for &group in touched {
            let node = self.shard.node(group);
            let leads = node.is_some_and(|node| node.role() == RoleKind::Leader);
            if node.is_some_and(Node::is_asleep) {
                if self.asleep.insert(group) && leads {
                    env.marks.hit(Mark::FellAsleep);
                }
            } else if self.asleep.remove(&group) {
                env.marks.hit(roused.get(&group).copied().unwrap_or(Mark::WokenByWatch));
            }
        }
    }
}

/// An event comes: if its group sleeps, that may be what wakes it.
pub(super) fn rouse(
    asleep: &BTreeSet<RegionId>,
    event: &Event,
    roused: &mut BTreeMap<RegionId, Mark>,
) {
    let (group, mark) = match event {
        Event::Message { group, .. } => (group, Mark::WokenByMessage),
        Event::Propose { group, .. } => (group, Mark::WokenByWrite),
        Event::Read { group, .. } => (group, Mark::WokenByRead),
        _ => return,
    };
    if asleep.contains(group) {
        roused.entry(*group).or_insert(mark);
    }
}
