//! Callers that put all the time, and when they were acknowledged.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use kontiki_client::{Client, Error};
use tokio::task::JoinHandle;

use crate::workload::key;

/// Acknowledgements that are remembered; older ones are forgotten.
const ACKS_MAX: usize = 1 << 20;

/// See the module.
pub(super) struct Writers {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

/// Requests that failed although the client retries.
#[derive(Clone, Default)]
pub(super) struct Failed {
    pub(super) count: u64,
    first: Option<String>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// In the order in which they came.
    acks: Vec<Instant>,
    failed: Failed,
}

impl Writers {
    /// Starts this many, each on a key of its own.
    pub(super) fn start(client: &Client, count: u64) -> Self {
        let shared = Arc::new(Shared::default());
        let tasks = (0..count)
            .map(|n| tokio::spawn(write(client.clone(), n, Arc::clone(&shared))))
            .collect();
        Self { shared, tasks }
    }

    /// The longest time without an acknowledgement, from `since` until now.
    pub(super) fn longest_silence(&self, since: Instant) -> Duration {
        longest(&self.shared.lock().acks, since, Instant::now())
    }

    /// A request of somebody else failed.
    pub(super) fn count_failure(&self, error: &Error) {
        self.shared.lock().failed.count(error);
    }

    /// Ends them.
    pub(super) async fn stop(&mut self) -> Failed {
        self.shared.stop.store(true, Ordering::Relaxed);
        for task in self.tasks.drain(..) {
            if let Err(panicked) = task.await {
                let mut state = self.shared.lock();
                state.failed.count += 1;
                state.failed.first.get_or_insert_with(|| panicked.to_string());
            }
        }
        self.shared.lock().failed.clone()
    }
}

impl Failed {
    fn count(&mut self, error: &Error) {
        self.count += 1;
        self.first.get_or_insert_with(|| error.to_string());
    }

    pub(super) fn first_in_words(&self) -> String {
        self.first.as_ref().map(|first| format!(", first of them: {first}")).unwrap_or_default()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn write(client: Client, n: u64, shared: Arc<Shared>) {
    let mut count = 0_u64;
    while !shared.stop.load(Ordering::Relaxed) {
        count += 1;
        let value = Bytes::copy_from_slice(&count.to_be_bytes());
        let result = client.put(key(1000 + n), value).await;
        let mut state = shared.lock();
        match result {
            Ok(()) => {
                if state.acks.len() == ACKS_MAX {
                    state.acks.drain(..ACKS_MAX / 2);
                }
                state.acks.push(Instant::now());
            }
            Err(error) => state.failed.count(&error),
        }
    }
}

/// The longest step from `since` over the moments after it to `until`.
fn longest(moments: &[Instant], since: Instant, until: Instant) -> Duration {
    let first = moments.partition_point(|&moment| moment < since);
    let mut longest = Duration::ZERO;
    let mut last = since;
    for &moment in moments[first..].iter().chain([&until]) {
        longest = longest.max(moment - last);
        last = moment;
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_measured_from_the_beginning_to_the_end() {
        let base = Instant::now();
        let at = |ms| base + Duration::from_millis(ms);
        let acks = [at(1), at(2), at(10), at(12)];
        let ms = |since, until| longest(&acks, at(since), at(until)).as_millis();
        assert_eq!(ms(0, 13), 8, "between two");
        assert_eq!(ms(2, 13), 8, "the beginning counts");
        assert_eq!(ms(11, 30), 18, "until now");
        assert_eq!(ms(20, 25), 5, "none at all");
    }
}
