//! A batch of the client library arrives twice: a leader appends the first copy and loses power,
//! its next life, which does not lead, refuses the second one. The library told its caller that
//! nothing was changed, and the next leader committed the entry.
//!
//! Found by seed 140494551344 as a history that is not linearizable. The mistake was the
//! simulator's: a stream is a connection, and no connection delivers twice (`wire`).

use std::time::Duration;

use crate::fault::Fault;
use crate::marks::Mark;

use super::hold;

#[test]
fn what_a_store_refused_is_never_executed() {
    hold(
        10,
        40,
        |options| {
            options.faults.hat = vec![Fault::IsolateLeader, Fault::Transfer, Fault::CrashLeader];
            options.faults.every_mean = Duration::from_secs(1);
            options.faults.partition_max = Duration::from_secs(2);
            options.faults.down_max = Duration::from_millis(50);
            options.network.duplication = 300;
            options.network.holds = 2_000;
            options.network.is_ordered = false;
            options.store.election_timeout = Duration::from_millis(300);
            options.workload.library_clients = 1000;
            options.workload.attempt_timeout = Duration::from_millis(200);
            options.workload.operation_timeout = Duration::from_millis(400);
        },
        &[Mark::PacketDuplicated, Mark::PacketHeld, Mark::ClientGaveUp],
    );
}
