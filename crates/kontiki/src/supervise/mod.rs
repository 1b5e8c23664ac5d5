//! A whole cluster as child processes of this one: what `playground` shows and `chaos` torments.
//!
//! | file | what |
//! |---|---|
//! | [`layout`] | directories, ports, endpoints, `playground.json` |
//! | [`child`] | one store process: start, signal, reap, last lines of its log |
//! | [`ready`] | waits until all serve |
//! | [`guard`] | the child's side: it must not outlive its parent |
//!
//! [`Cluster`] is synchronous and stays on the main thread: the kernel's parent death signal is
//! bound to the *thread* that started a child, so a child started from a pool thread would die
//! when that thread is retired. Whoever owns a [`Cluster`] calls [`Cluster::tend`] every few
//! hundredths of a second; nothing happens in between.

mod child;
pub(crate) mod guard;
mod layout;
pub(crate) mod ready;

use std::marker::PhantomData;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::exit::Failure;
use child::Child;
pub(crate) use layout::{Layout, PORT_BASE, Site};

/// How often the owner of a cluster tends it.
pub(crate) const TEND_EVERY: Duration = Duration::from_millis(25);
/// How long a store may take to stop by itself before it is killed.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// First wait before a store that died is started again; doubles with each early death.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
/// Longest such wait.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// A store that lived this long has not died early.
const HEALTHY_AFTER: Duration = Duration::from_secs(20);

/// What the stores of a cluster are told.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `fjall` or `memory`; nothing: the server's default.
    pub(crate) engine: Option<String>,
    /// The stores' log filter.
    pub(crate) log_level: Option<String>,
    /// Logs go to this process' stderr instead of `log.txt`.
    pub(crate) verbose: bool,
}

/// What happened to a store since the last look.
#[derive(Debug)]
pub(crate) enum Event {
    /// It ended although nobody asked it to.
    Died {
        /// Which.
        store: u64,
        /// How.
        status: ExitStatus,
        /// The end of its log.
        last_lines: Vec<String>,
        /// When it is started again; nothing: it stays down.
        restart_in: Option<Duration>,
    },
    /// It was started again.
    Restarted {
        /// Which.
        store: u64,
        /// Its new process.
        pid: u32,
    },
    /// It could not be started again; another try follows.
    RestartFailed {
        /// Which.
        store: u64,
        /// Why.
        why: String,
    },
}

/// One store's place in the cluster and its process, if one runs.
struct Slot {
    site: Site,
    child: Option<Child>,
    backoff: Duration,
    restart_at: Option<Instant>,
}

/// Running stores. Dropping it kills what still runs.
pub(crate) struct Cluster {
    layout: Layout,
    settings: Settings,
    restart: bool,
    slots: Vec<Slot>,
    /// Keeps the cluster on the thread that made it.
    _pinned: PhantomData<*const ()>,
}

impl Cluster {
    /// Starts every store of the layout. `restart`: a store that dies is started again.
    pub(crate) fn start(
        layout: Layout,
        settings: Settings,
        restart: bool,
    ) -> Result<Self, Failure> {
        let slots = layout
            .sites()
            .map(|site| Slot { site, child: None, backoff: BACKOFF_MIN, restart_at: None })
            .collect();
        let mut cluster = Self { layout, settings, restart, slots, _pinned: PhantomData };
        for index in 0..cluster.slots.len() {
            cluster.spawn(index)?;
        }
        Ok(cluster)
    }

    /// Where everything lies.
    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Process ids by store, for those that run.
    pub(crate) fn pids(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        self.slots.iter().filter_map(|slot| Some((slot.site.id, slot.child.as_ref()?.pid())))
    }

    /// Reaps what died and starts again what is due.
    pub(crate) fn tend(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for index in 0..self.slots.len() {
            self.reap(index, &mut events);
            let slot = &self.slots[index];
            if slot.child.is_some() || slot.restart_at.is_none_or(|at| Instant::now() < at) {
                continue;
            }
            let store = slot.site.id;
            match self.spawn(index) {
                Ok(pid) => events.push(Event::Restarted { store, pid }),
                Err(failure) => {
                    let slot = &mut self.slots[index];
                    slot.restart_at = Some(Instant::now() + slot.backoff);
                    slot.backoff = (slot.backoff * 2).min(BACKOFF_MAX);
                    events.push(Event::RestartFailed { store, why: failure.message });
                }
            }
        }
        events
    }

    fn reap(&mut self, index: usize, events: &mut Vec<Event>) {
        let slot = &mut self.slots[index];
        let Some(child) = slot.child.as_mut() else { return };
        let Some(status) = child.exited() else { return };
        if child.age() >= HEALTHY_AFTER {
            slot.backoff = BACKOFF_MIN;
        }
        let restart_in = self.restart.then_some(slot.backoff);
        slot.restart_at = restart_in.map(|wait| Instant::now() + wait);
        slot.backoff = (slot.backoff * 2).min(BACKOFF_MAX);
        let last_lines =
            if self.settings.verbose { Vec::new() } else { child::last_lines(&slot.site.log()) };
        slot.child = None;
        events.push(Event::Died { store: slot.site.id, status, last_lines, restart_in });
    }

    fn spawn(&mut self, index: usize) -> Result<u32, Failure> {
        let slot = &mut self.slots[index];
        assert!(slot.child.is_none(), "store {} runs already", slot.site.id);
        let child = Child::start(&self.layout, &slot.site, &self.settings)?;
        let pid = child.pid();
        slot.child = Some(child);
        slot.restart_at = None;
        Ok(pid)
    }

    fn slot(&mut self, store: u64) -> &mut Slot {
        let found = self.slots.iter_mut().find(|slot| slot.site.id == store);
        found.expect("callers name stores of the layout")
    }

    /// Kills a store as `kill -9` does and waits for its end. False: it was not running.
    pub(crate) fn kill(&mut self, store: u64) -> bool {
        let slot = self.slot(store);
        slot.restart_at = None;
        slot.child.take().is_some_and(Child::kill)
    }

    /// Starts a store that was killed. A store that runs is left alone.
    pub(crate) fn start_store(&mut self, store: u64) -> Result<(), Failure> {
        let index = self.slots.iter().position(|slot| slot.site.id == store);
        let index = index.expect("callers name stores of the layout");
        if self.slots[index].child.is_none() {
            self.spawn(index)?;
        }
        Ok(())
    }

    /// Stops a store's threads where they are (SIGSTOP). False: it was not running.
    pub(crate) fn pause(&mut self, store: u64) -> bool {
        self.slot(store).child.as_ref().is_some_and(|child| child.signal(Signal::STOP))
    }

    /// Lets a paused store go on (SIGCONT).
    pub(crate) fn resume(&mut self, store: u64) -> bool {
        self.slot(store).child.as_ref().is_some_and(|child| child.signal(Signal::CONT))
    }

    /// Asks every store to stop, waits, and kills those that do not. Answers the stores that had
    /// to be killed or ended with an error.
    pub(crate) fn stop(mut self) -> Vec<(u64, String)> {
        let mut trouble = Vec::new();
        for slot in &self.slots {
            if let Some(child) = &slot.child {
                child.signal(Signal::CONT);
                child.signal(Signal::TERM);
            }
        }
        let deadline = Instant::now() + STOP_GRACE;
        for slot in &mut self.slots {
            let Some(mut child) = slot.child.take() else { continue };
            match child.wait_until(deadline) {
                Some(status) if status.success() => {}
                Some(status) => trouble.push((slot.site.id, status.to_string())),
                None => {
                    child.kill();
                    let why = format!("did not stop within {} s, killed", STOP_GRACE.as_secs());
                    trouble.push((slot.site.id, why));
                }
            }
        }
        trouble
    }

    /// Writes `playground.json` with the processes that run now.
    pub(crate) fn write_state(&self) -> Result<PathBuf, Failure> {
        self.layout.write_state(self.pids())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for slot in &mut self.slots {
            if let Some(child) = slot.child.take() {
                child.kill();
            }
        }
    }
}
