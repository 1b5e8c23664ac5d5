//! When snapshots are saved: one thread for all groups of a host, one snapshot at a time.
//!
//! A group that applied something has one appointment; a group that did not has none and costs
//! nothing. Appointments are spread, so that a thousand groups do not save at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kontiki_types::{Index, RegionId};

use crate::host_thread::Mark;
use crate::library::error::Error;
use crate::library::handle::Promise;
use crate::library::replica::Replica;
use crate::mailbox::Mailbox;

/// Most requests that wait for the keeper.
const REQUESTS_MAX: usize = 65_536;

/// When one group wants its snapshots.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    /// Time between two.
    pub(crate) interval: Option<Duration>,
    /// Entries between two, at least.
    pub(crate) margin: u64,
    /// Bytes applied that make one due at once.
    pub(crate) log_bytes: usize,
}

enum Request {
    /// Now, whether due or not; somebody waits for it.
    Save(Arc<Replica>, Promise<Index>),
    /// Soon, unless a newer one holds all up to here by then: asked for several times while one is
    /// saved, it is saved once more at most.
    SaveThrough(Arc<Replica>, Index),
    /// Then.
    Appoint(Instant, Arc<Replica>),
}

/// The way to the thread. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Keeper {
    requests: Arc<Mailbox<Request>>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Keeper {
    /// Start the thread.
    pub(crate) fn start() -> std::io::Result<Self> {
        let requests = Arc::new(Mailbox::new(REQUESTS_MAX));
        let inbox = Arc::clone(&requests);
        let run = move || {
            let _mark = Mark::set();
            run(&inbox);
        };
        let thread = std::thread::Builder::new().name("snapshot-keeper".to_owned()).spawn(run)?;
        Ok(Self { requests, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Save one as soon as possible.
    pub(crate) fn save(&self, replica: Arc<Replica>, promise: Promise<Index>) {
        if let Err((Request::Save(_, promise), _)) =
            self.requests.offer(Request::Save(replica, promise))
        {
            promise.keep(Err(Error::Busy));
        }
    }

    /// Save one soon that holds all that is applied by now. With very many requests before it, it
    /// is forgotten: whoever needs it asks again.
    pub(crate) fn save_through(&self, replica: &Arc<Replica>) {
        let request = Request::SaveThrough(Arc::clone(replica), replica.applied());
        let _ = self.requests.offer(request);
    }

    /// Save one when it is due. False when there is no appointment; an interval beyond what the
    /// clock can tell makes none.
    pub(crate) fn appoint(&self, replica: &Arc<Replica>) -> bool {
        let Some(interval) = replica.schedule.interval else { return false };
        let wait = spread(interval, replica.group);
        let Some(at) = Instant::now().checked_add(wait) else { return false };
        self.requests.offer(Request::Appoint(at, Arc::clone(replica))).is_ok()
    }

    /// End the thread, after the snapshot it is at.
    pub(crate) fn stop(&self) {
        self.requests.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the snapshot keeper panicked");
        }
    }
}

/// Between half of the interval and all of it, as in JRaft, but the same for a group each time.
fn spread(interval: Duration, group: RegionId) -> Duration {
    let hash = group.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    interval.mul_f64(0.5 + 0.5 * hash as f64 / (1_u64 << 24) as f64)
}

fn run(requests: &Mailbox<Request>) {
    let mut waiting = Vec::new();
    let mut due: BTreeMap<(Instant, RegionId), Arc<Replica>> = BTreeMap::new();
    loop {
        let first = due.first_key_value().map(|((at, _), _)| *at);
        let timeout = first.map(|at| at.saturating_duration_since(Instant::now()));
        if !requests.drain(&mut waiting, timeout) {
            return;
        }
        for request in waiting.drain(..) {
            match request {
                Request::Appoint(at, replica) => drop(due.insert((at, replica.group), replica)),
                Request::Save(replica, promise) => promise.keep(save(&replica, 0)),
                Request::SaveThrough(replica, index) if newest(&replica) < index => {
                    // Nobody waits for it.
                    let _ = save(&replica, 0);
                }
                Request::SaveThrough(..) => {}
            }
        }
        while let Some(entry) = due.first_entry().filter(|entry| entry.key().0 <= Instant::now()) {
            let replica = entry.remove();
            replica.unschedule();
            let _ = save(&replica, replica.schedule.margin);
        }
    }
}

/// What the newest snapshot holds.
fn newest(replica: &Replica) -> Index {
    replica.files.newest().map_or(Index(0), |stored| stored.index())
}

/// Save a snapshot if `margin` entries were applied since the newest, and one at least.
fn save(replica: &Replica, margin: u64) -> Result<Index, Error> {
    let newest = newest(replica);
    let applied = replica.applied();
    if applied == Index(0) {
        return Err(Error::Snapshot("nothing was applied yet".to_owned()));
    }
    if !has_grown(newest, applied, margin) {
        return Ok(newest);
    }
    let saved = replica.save().map(|stored| stored.index());
    report(replica, &saved);
    saved
}

/// So many entries were applied since, and one at least.
fn has_grown(newest: Index, applied: Index, margin: u64) -> bool {
    applied.0.saturating_sub(newest.0) >= margin.max(1)
}

fn report(replica: &Replica, result: &Result<Index, Error>) {
    match result {
        Ok(index) => tracing::debug!(group = %replica.group, %index, "snapshot saved"),
        Err(Error::ShutDown) => {}
        Err(error) => {
            tracing::warn!(group = %replica.group, %error, "snapshot not saved");
            if let Some(metrics) = &replica.shared.metrics {
                metrics.snapshot_save_failed_times.add_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_margin_is_counted_from_the_newest_and_the_largest_is_never_reached() {
        let (newest, next) = (Index(5), Index(6));
        assert!(!has_grown(newest, newest, 0) && has_grown(newest, next, 0));
        assert!(!has_grown(newest, next, 2) && has_grown(newest, Index(7), 2));
        assert!(!has_grown(newest, next, u64::MAX));
    }

    #[test]
    fn appointments_are_spread_over_the_second_half() {
        let second = Duration::from_secs(1);
        let all: Vec<Duration> = (1..=100).map(|group| spread(second, RegionId(group))).collect();
        assert!(all.iter().all(|at| *at >= second / 2 && *at <= second), "{all:?}");
        let early = all.iter().filter(|at| **at < second * 3 / 4).count();
        assert!((30..70).contains(&early), "{early} of 100 in the first half");
    }
}
