//! Found by the soak: a change took the votes of all but two, one of whom needed a snapshot, which
//! waited for that of another and was behind the log when it came. Nothing was committed for half a
//! minute without any fault. Such a change fails now, and a snapshot is opened when its turn
//! comes.

use std::time::Duration;

use crate::fault::Fault;
use crate::habits::HabitOptions;
use crate::marks::Mark;

use super::hold;

#[test]
fn changes_that_would_stall_a_group_fail_among_faults() {
    let narrow = |options: &mut crate::options::Options| {
        options.habits = HabitOptions::none();
        let hat = [Fault::ChangeRoles, Fault::ChangeMembers, Fault::CutOff, Fault::CrashOne];
        options.faults.hat = hat.to_vec();
        options.faults.every_mean = Duration::from_millis(700);
        options.faults.partition_max = Duration::from_secs(8);
        options.faults.down_max = Duration::from_secs(8);
        options.store.election_timeout = Duration::from_millis(300);
        options.store.snapshot_chunk_bytes = 100;
        options.store.retain_bytes = 2_000;
        options.store.retain_bytes_max = 8_000;
    };
    let marks = [Mark::ChangeWouldStall, Mark::MembershipChanged, Mark::SnapshotStreamed];
    hold(8, 60, narrow, &marks);
}
