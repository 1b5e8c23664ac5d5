//! Watches stores on behalf of the groups that sleep.
//!
//! A group that sleeps (`kontiki_raft`, `hibernate.rs`) does not notice that a peer died. There
//! are many groups and few stores, so the shard asks each store that a sleeper relies on, several
//! times a timeout, whether it lives; one that says nothing for a timeout is taken to be dead, and
//! whoever slept beside it is woken, evenly over a while: thousands of groups that campaign at once
//! would hold up those that have work. A request wakes its group at once in any case.
//!
//! A group that falls asleep beside a store that is dead already is no exception: watching begins
//! with the sleep. So no group misses its wake-up (tikv#16408, known raft bug 68).
//!
//! The words are those of a group that does not exist, [`STORES`]: a heartbeat asks, its answer
//! answers. So they travel in the frames that are there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kontiki_types::{Body, Message, Moment, PeerId, RegionId, StoreId, Term};

use crate::Outbound;

/// The group under whose name stores talk to each other. No group has this id.
pub const STORES: RegionId = RegionId(u64::MAX);

/// How often a store is asked within the time after which it is taken to be dead.
const ASKED_PER_TIMEOUT: u32 = 4;

/// A store that somebody here relies on in its sleep.
#[derive(Debug)]
struct Watched {
    /// When it last said anything; when watching began, if nothing since.
    heard: Moment,
    /// When to ask again.
    ask_at: Moment,
    sleepers: BTreeSet<RegionId>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Watch {
    timeout: Duration,
    spread: Duration,
    stores: BTreeMap<StoreId, Watched>,
    /// The stores each sleeping group relies on.
    beside: BTreeMap<RegionId, Vec<StoreId>>,
    /// Groups to be woken, and when.
    wakes: BTreeSet<(Moment, RegionId)>,
}

impl Watch {
    /// Nobody sleeps yet. A store is dead after `timeout`; wake-ups are spread over `spread`.
    pub(crate) fn new(timeout: Duration, spread: Duration) -> Self {
        let (stores, beside, wakes) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { timeout, spread, stores, beside, wakes }
    }

    /// Whether the group is known to sleep.
    pub(crate) fn is_asleep(&self, group: RegionId) -> bool {
        self.beside.contains_key(&group)
    }

    /// The group fell asleep beside these stores.
    pub(crate) fn sleep(&mut self, group: RegionId, stores: Vec<StoreId>, now: Moment) {
        for &store in &stores {
            let fresh = || Watched { heard: now, ask_at: now, sleepers: BTreeSet::new() };
            self.stores.entry(store).or_insert_with(fresh).sleepers.insert(group);
        }
        self.beside.insert(group, stores);
    }

    /// The group is awake, or gone.
    pub(crate) fn wake(&mut self, group: RegionId) {
        for store in self.beside.remove(&group).into_iter().flatten() {
            let watched = self.stores.get_mut(&store);
            if watched.is_some_and(|w| w.sleepers.remove(&group) && w.sleepers.is_empty()) {
                self.stores.remove(&store);
            }
        }
    }

    /// This store said something.
    pub(crate) fn heard(&mut self, store: StoreId, now: Moment) {
        if let Some(watched) = self.stores.get_mut(&store) {
            watched.heard = now;
        }
    }

    /// Ask who is to be asked, and find out who is dead; the groups to be woken now.
    pub(crate) fn on_time(&mut self, now: Moment, send: &mut Vec<Outbound>) -> Vec<RegionId> {
        let Self { timeout, spread, stores, wakes, .. } = self;
        stores.retain(|&store, watched| {
            if now.since(watched.heard) >= *timeout {
                tracing::info!(%store, sleepers = watched.sleepers.len(), "silent: wake");
                let count = u32::try_from(watched.sleepers.len()).unwrap_or(u32::MAX);
                let step = *spread / count.max(1);
                let sleepers = std::mem::take(&mut watched.sleepers);
                wakes.extend((0..).zip(sleepers).map(|(nth, group)| (now + step * nth, group)));
                return false;
            }
            if watched.ask_at <= now {
                watched.ask_at = now + *timeout / ASKED_PER_TIMEOUT;
                send.push(outbound(
                    store,
                    Body::Heartbeat { session: 0, commit: kontiki_types::Index(0), round: 0 },
                ));
            }
            true
        });
        let mut due = Vec::new();
        while self.wakes.first().is_some_and(|(at, _)| *at <= now) {
            due.extend(self.wakes.pop_first().map(|(_, group)| group));
        }
        due
    }

    /// When [`Watch::on_time`] is due.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        let asks = self.stores.values().map(|w| w.ask_at.min(w.heard + self.timeout));
        asks.chain(self.wakes.first().map(|(at, _)| *at)).min()
    }
}

/// What to answer when a store asks; nothing when it answered.
pub(crate) fn answer(from: StoreId, message: &Message) -> Option<Outbound> {
    let asks = matches!(message.body, Body::Heartbeat { .. });
    asks.then(|| outbound(from, Body::HeartbeatReply { session: 0, round: 0 }))
}

fn outbound(store: StoreId, body: Body) -> Outbound {
    let nobody = PeerId(0);
    Outbound {
        store,
        group: STORES,
        message: Message { from: nobody, to: nobody, term: Term(0), body },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASIDE: StoreId = StoreId(2);

    fn at(ms: u64) -> Moment {
        Moment::ZERO + Duration::from_millis(ms)
    }

    fn watch(sleepers: u64) -> Watch {
        let mut watch = Watch::new(Duration::from_secs(2), Duration::from_secs(5));
        for group in 1..=sleepers {
            watch.sleep(RegionId(group), vec![ASIDE], at(0));
        }
        watch
    }

    /// Let time pass in steps; who was woken when, and how often the store was asked.
    fn pass(watch: &mut Watch, to_ms: u64) -> (Vec<(u64, RegionId)>, usize) {
        let (mut woken, mut send) = (Vec::new(), Vec::new());
        for ms in (0..=to_ms).step_by(100) {
            woken.extend(watch.on_time(at(ms), &mut send).into_iter().map(|group| (ms, group)));
        }
        (woken, send.len())
    }

    #[test]
    fn sleepers_beside_a_silent_store_are_woken_one_after_the_other() {
        let mut watch = watch(5);
        let (woken, asked) = pass(&mut watch, 8000);
        let expect: Vec<_> = (1..=5).map(|n| (1000 + n * 1000, RegionId(n))).collect();
        assert_eq!(woken, expect);
        assert_eq!(asked, 4, "it is asked four times within the timeout");
    }

    #[test]
    fn a_store_that_answers_wakes_nobody() {
        let mut watch = watch(5);
        let mut send = Vec::new();
        for ms in (0..20_000).step_by(500) {
            assert!(watch.on_time(at(ms), &mut send).is_empty());
            watch.heard(ASIDE, at(ms));
        }
        assert_eq!(send.len(), 40);
    }

    #[test]
    fn whoever_falls_asleep_beside_a_dead_store_is_woken_too() {
        let mut watch = watch(1);
        pass(&mut watch, 3000);
        watch.wake(RegionId(1));
        watch.sleep(RegionId(9), vec![ASIDE], at(3000));
        assert_eq!(watch.on_time(at(5000), &mut Vec::new()), [RegionId(9)]);
    }

    #[test]
    fn nobody_is_asked_for_groups_that_are_awake() {
        let mut watch = watch(2);
        watch.wake(RegionId(1));
        watch.wake(RegionId(2));
        assert_eq!(watch.next_deadline(), None);
        assert_eq!(pass(&mut watch, 9000), (Vec::new(), 0));
    }
}
