//! Entries are applied while the engine syncs what was applied before. When that sync ends, the log
//! is cut, and soon the power of all goes: what the engine lost must still be in the logs.
//!
//! How much a sync covers and an engine loses is drawn, so it is played some times.

use std::time::Duration;

use kontiki_raft::Node;
use kontiki_types::{Index, StoreId};

use crate::options::Options;

use super::stage::{Met, Stage};

/// Each shows the mistake with a chance of about a third, on each of three stores.
const ROUNDS: usize = 10;
/// From one entry to the next: some of them within an engine sync.
const GAP: Duration = Duration::from_millis(2);
/// Long enough for a log sync, so that a crash does not take back the cut.
const MOMENT: Duration = Duration::from_millis(20);

/// Logs are cut at each engine sync, and far more is logged between two syncs than during one.
pub(super) fn narrow(options: &mut Options) {
    options.store.retain_bytes = 1;
    options.store.retain_bytes_max = 1_000_000;
    options.store.sync_engine_every_bytes = 2_000;
    options.store.engine_sync_mean = Duration::from_millis(20);
}

/// Plays it.
pub(super) fn play(stage: &mut Stage) -> Met {
    for _ in 0..ROUNDS {
        let leader = stage.settle()?;
        let before = firsts(stage);
        while firsts(stage).iter().zip(&before).any(|(now, before)| now <= before) {
            stage.propose(leader);
            stage.wait(GAP);
            stage.reach("the leader goes on", |stage| stage.leader() == Some(leader))?;
        }
        stage.wait(MOMENT);
        for store in (1..=3).map(StoreId) {
            stage.power_off(store);
        }
        for store in (1..=3).map(StoreId) {
            stage.power_on(store);
        }
    }
    stage.settle().map(drop)
}

/// Where the logs begin.
fn firsts(stage: &Stage) -> [Option<Index>; 3] {
    [1, 2, 3].map(|store| stage.node(StoreId(store)).map(Node::first_index))
}
