//! The clusters of TinyKV's tests of projects 2B and 2C: so many clients, and some of lost
//! messages, cuts, crashes of every store, and logs so short that followers need snapshots.
//!
//! `docs/acceptance/tinykv.md` names the test each one stands for. What TinyKV's client checks of
//! its own writes the simulator checks of everyone's: linearizable, nothing lost, replicas equal.

use std::time::Duration;

use crate::fault::Fault;
use crate::marks::Mark;
use crate::options::Options;

use super::hold;

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// One message in ten is lost.
    Losses,
    /// Stores cannot hear each other for a while.
    Cuts,
    /// All stores lose power at once.
    Crashes,
    /// Logs are short, and a store is away now and then.
    Snapshots,
}

use Trouble::{Crashes, Cuts, Losses, Snapshots};

fn narrow(clients: usize, troubles: &[Trouble], options: &mut Options) {
    let has = |trouble| troubles.contains(&trouble);
    options.client_count = clients;
    options.workload.think = Duration::from_millis(5);
    options.store.election_timeout = Duration::from_millis(200);
    options.network = options.network.healed();
    options.network.loss = if has(Losses) { 100 } else { 0 };
    let faults = &mut options.faults;
    faults.temptation = 0;
    faults.partition_max = Duration::from_secs(2);
    faults.down_max = Duration::from_millis(300);
    faults.every_mean = Duration::from_millis(if has(Snapshots) { 2_000 } else { 700 });
    faults.hat.clear();
    if has(Cuts) {
        faults.hat.extend([Fault::IsolateOne, Fault::IsolateLeader, Fault::Bridge]);
    }
    if has(Crashes) {
        faults.hat.extend([Fault::CrashAll, Fault::CrashAll]);
    }
    if has(Snapshots) {
        // Somebody has to be away for a while to need one.
        faults.hat.push(if has(Crashes) { Fault::CrashOne } else { Fault::IsolateOne });
        faults.down_max = Duration::from_secs(2);
        options.store.retain_bytes = 4_000;
        options.store.retain_bytes_max = 8_000;
        options.store.sync_engine_every_bytes = 2_000;
        options.store.install_check_bytes = 0;
    }
    if faults.hat.is_empty() {
        faults.hat.push(Fault::CrashOne);
        faults.every_mean = Duration::from_hours(24);
    }
}

fn survives(clients: usize, troubles: &[Trouble]) {
    let mark = |trouble: &Trouble| match trouble {
        Losses => Mark::LeaderElected,
        Cuts => Mark::LeaderLostWithCallers,
        Crashes => Mark::AllDown,
        Snapshots => Mark::SnapshotInstalled,
    };
    let reached: Vec<Mark> = troubles.iter().map(mark).collect();
    let seconds = if troubles.contains(&Snapshots) { 30 } else { 15 };
    hold(2, seconds, |options| narrow(clients, troubles, options), &reached);
}

#[test]
fn one_client_without_faults() {
    survives(1, &[]);
}

#[test]
fn five_clients_without_faults() {
    survives(5, &[]);
}

#[test]
fn five_clients_and_lost_messages() {
    survives(5, &[Losses]);
}

#[test]
fn a_minority_with_the_old_leader_serves_nobody() {
    let narrow = |options: &mut Options| {
        narrow(3, &[Cuts], options);
        // Long enough for both sides to be asked; clients reach either.
        options.faults.hat = vec![Fault::IsolateLeader];
        options.faults.partition_max = Duration::from_secs(4);
        options.faults.every_mean = Duration::from_secs(3);
    };
    hold(4, 20, narrow, &[Mark::LeaderLostWithCallers, Mark::ReadFailed]);
}

#[test]
fn one_client_and_random_cuts() {
    survives(1, &[Cuts]);
}

#[test]
fn five_clients_and_random_cuts() {
    survives(5, &[Cuts]);
}

#[test]
fn one_client_and_crashes_of_all() {
    survives(1, &[Crashes]);
}

#[test]
fn five_clients_and_crashes_of_all() {
    survives(5, &[Crashes]);
}

#[test]
fn crashes_of_all_and_lost_messages() {
    survives(5, &[Crashes, Losses]);
}

#[test]
fn crashes_of_all_and_random_cuts() {
    survives(5, &[Crashes, Cuts]);
}

#[test]
fn crashes_cuts_and_lost_messages() {
    survives(5, &[Crashes, Cuts, Losses]);
}

#[test]
fn a_store_that_was_away_converges_by_snapshot() {
    survives(1, &[Snapshots]);
}

#[test]
fn one_client_snapshots_and_crashes() {
    survives(1, &[Snapshots, Crashes]);
}

#[test]
fn twenty_clients_snapshots_and_crashes() {
    survives(20, &[Snapshots, Crashes]);
}

#[test]
fn snapshots_and_lost_messages() {
    survives(5, &[Snapshots, Losses]);
}

#[test]
fn snapshots_crashes_and_lost_messages() {
    survives(5, &[Snapshots, Crashes, Losses]);
}

#[test]
fn snapshots_crashes_cuts_and_lost_messages() {
    survives(5, &[Snapshots, Crashes, Cuts, Losses]);
}
