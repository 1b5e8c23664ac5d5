//! A range delete with more rows than one engine batch may hold cuts the batch within a payload.
//! The outcomes that came after the cut were recorded without the session they belong to.
//!
//! Found by the first sweep: "outcome of q157 before any touch".

use std::time::Duration;

use crate::fault::Fault;
use crate::marks::Mark;

use super::hold;

#[test]
fn outcomes_after_a_cut_keep_their_session() {
    hold(
        6,
        20,
        |options| {
            options.faults.hat = vec![Fault::CrashOne, Fault::CrashAll];
            options.faults.every_mean = Duration::from_secs(1);
            options.faults.down_max = Duration::from_millis(50);
            options.store.delete_chunk_rows = 1;
            options.store.outcome_records = 2;
            options.workload.library_clients = 1000;
            options.workload.window = 2;
        },
        &[Mark::EngineLostBatches, Mark::FuseBlown, Mark::RetryAnswered],
    );
}
