//! A leader is stopped (SIGSTOP), another one is elected and takes writes, and the old one wakes up
//! before it hears of it: to its clients it must not say anything that is not so any more.
//!
//! With its peers' words held back nothing tells it but its own clock and the silence. A build that
//! confirms reads alone and does not check its quorum answers `old` here; one that commits alone
//! and does not check its quorum loses the write. Each mistake alone is hidden by that check: at
//! the first turn after the pause it has ended the reign. The simulator shows those.

use std::time::Duration;

use kontiki_e2e::{Gated, Output, run, three_behind_gates, wait_for};
use rustix::process::Signal;

use crate::temporary;

const SOON: Duration = Duration::from_secs(30);

fn ask(stores: &[&Gated], args: &[&str]) -> Output {
    let addresses: Vec<_> = stores.iter().map(|store| store.address.as_str()).collect();
    let endpoints = addresses.join(",");
    let (command, rest) = args.split_first().expect("a command");
    run(&[&[*command, "--endpoints", &endpoints, "--timeout", "10s"], rest].concat(), b"")
}

/// The place of the store that leads, as these see it.
fn leader(stores: &[&Gated], but: Option<u64>) -> usize {
    let id = wait_for("a leader", SOON, || {
        let status = ask(stores, &["status", "-o", "json"]).text();
        let rows = status.lines().filter_map(|line| serde_json::from_str(line).ok());
        let mut rows = rows.filter(|row: &serde_json::Value| row["leads"].as_u64() > Some(0));
        rows.find_map(|row| row["id"].as_u64().filter(|&id| Some(id) != but))
    });
    usize::try_from(id - 1).expect("one of three")
}

#[test]
fn a_leader_that_wakes_up_and_hears_nobody_says_nothing_stale() {
    let dir = temporary();
    let stores = three_behind_gates(dir.path());
    let all: Vec<_> = stores.iter().collect();
    wait_for("a cluster that serves", SOON, || {
        (ask(&all, &["put", "key", "old"]).code == 0).then_some(())
    });
    for round in ["first", "second", "third"] {
        let at = leader(&all, None);
        let (old, others) = (all[at], [all[(at + 1) % 3], all[(at + 2) % 3]]);
        old.signal(Signal::STOP);
        old.hold(true);
        ask(&others, &["put", "key", round]).ok();

        // Their first words lie at the old leader's door when it wakes.
        std::thread::scope(|scope| {
            let (read, write) = old.after_asking(|| {
                let read = scope.spawn(|| ask(&[old], &["get", "key"]));
                (read, scope.spawn(|| ask(&[old], &["put", round, "written"])))
            });
            old.signal(Signal::CONT);
            let read = read.join().expect("it does not panic");
            assert!(read.code != 0 || read.text().trim_end() == round, "stale: {read:?}");
            let write = write.join().expect("it does not panic");
            old.hold(false);
            if write.code == 0 {
                let kept = ask(&others, &["get", round]);
                assert_eq!(kept.text().trim_end(), "written", "lost: {write:?} {kept:?}");
            }
        });
    }
}
