//! Kills and pauses: one store at a time, chosen by the dice; pauses strike the leader half the
//! time, because a leader that wakes and does not know that it leads no more is what they are for.
//!
//! Runs on the main thread, which owns the [`Cluster`], while the tasks of the load run elsewhere.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::books::Books;
use super::dice::Dice;
use super::findings::Kind;
use super::load::Alarm;
use crate::exit::Failure;
use crate::supervise::{Cluster, Event, TEND_EVERY, ready};

/// How long before a paused store wakes the sleepers begin to read.
const STRIKE_BEFORE: Duration = Duration::from_millis(30);
/// How long finding out who leads may take; then any store will do.
const LEADER_DEADLINE: Duration = Duration::from_millis(200);

/// What shall be done to the stores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// From a kill to the next fault, and from the end of a pause to the next fault.
    pub(crate) interval: Duration,
    /// Whether stores are killed.
    pub(crate) kills: bool,
    /// How long stores are paused, if they are.
    pub(crate) pause: Option<Duration>,
}

/// What was done.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Done {
    /// Stores killed and started again.
    pub(crate) kills: u64,
    /// Stores paused and woken.
    pub(crate) pauses: u64,
}

/// Who does it.
pub(crate) struct Faults<'a> {
    /// The stores.
    pub(crate) cluster: &'a mut Cluster,
    /// For finding the leader.
    pub(crate) runtime: &'a tokio::runtime::Runtime,
    /// Where stores that end by themselves are noted, and when the load is over.
    pub(crate) books: &'a Books,
    /// Tells the sleepers.
    pub(crate) alarm: watch::Sender<Alarm>,
    /// Chooses.
    pub(crate) dice: Dice,
    /// Called now and then with what was done so far.
    pub(crate) progress: &'a dyn Fn(Done),
    /// So far.
    pub(crate) done: Done,
}

impl Faults<'_> {
    /// Does it until the load is over. All stores run when this returns, or are about to.
    pub(crate) fn run(mut self, plan: Plan) -> Result<Done, Failure> {
        let mut next = Instant::now() + plan.interval;
        while self.tend_until(next) {
            match plan.pause {
                Some(length) if !plan.kills || self.dice.one_in(2) => {
                    self.pause(length);
                    next = Instant::now() + plan.interval;
                }
                _ => {
                    next = Instant::now() + plan.interval;
                    self.kill(plan.interval / 4)?;
                }
            }
        }
        Ok(self.done)
    }

    /// Tends the stores until then; false when the load is over.
    fn tend_until(&mut self, then: Instant) -> bool {
        loop {
            for event in self.cluster.tend() {
                self.note(event);
            }
            (self.progress)(self.done);
            if self.books.over() {
                return false;
            }
            let left = then.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(TEND_EVERY));
        }
    }

    /// A store that ends by itself is a failure of the run, whatever it lost.
    fn note(&mut self, event: Event) {
        match event {
            Event::Died { store, status, last_lines, .. } => {
                let log = last_lines.join("\n    ");
                let what = format!("store {store} ended by itself ({status}):\n    {log}");
                self.books.findings.add(Kind::Crash, 1, what);
            }
            Event::RestartFailed { store, why } => {
                let what = format!("store {store} could not be started: {why}");
                self.books.findings.add(Kind::Crash, 1, what);
            }
            Event::Restarted { .. } => {}
        }
    }

    fn any_store(&mut self) -> u64 {
        let count = self.cluster.layout().sites().count();
        self.dice.below(count) as u64 + 1
    }

    fn leader_or_any(&mut self) -> u64 {
        if self.dice.one_in(2) {
            let endpoints = self.cluster.layout().endpoints();
            let leader = self.runtime.block_on(async {
                tokio::time::timeout(LEADER_DEADLINE, ready::look(&endpoints)).await
            });
            if let Ok(Some(leader)) = leader {
                return leader.0;
            }
        }
        self.any_store()
    }

    fn kill(&mut self, down_max: Duration) -> Result<(), Failure> {
        let store = self.any_store();
        if self.cluster.kill(store) {
            self.done.kills += 1;
        }
        self.books.note_fault(format!("killed {store}"));
        let down = self.dice.up_to(down_max);
        self.tend_until(Instant::now() + down);
        self.books.note_fault(format!("started {store}"));
        self.cluster.start_store(store)
    }

    fn pause(&mut self, length: Duration) {
        let store = self.leader_or_any();
        self.alarm.send_replace(Alarm::Learn);
        self.tend_until(Instant::now() + STRIKE_BEFORE);
        if self.cluster.pause(store) {
            self.done.pauses += 1;
        }
        self.books.note_fault(format!("paused {store}"));
        self.tend_until(Instant::now() + length.saturating_sub(STRIKE_BEFORE));
        self.alarm.send_replace(Alarm::Strike);
        std::thread::sleep(STRIKE_BEFORE);
        self.cluster.resume(store);
        self.books.note_fault(format!("woke {store}"));
    }
}
