//! JRaft's CliServiceTest where it spreads leaders and cannot: what fails is told, and what was
//! done stays done.

use std::time::Duration;

use kontiki_host::library::{CliOptions, CliService};
use kontiki_types::{RegionId, StoreId};

use crate::network::{GROUP, Net, cli};

fn groups(count: u64) -> Vec<RegionId> {
    (0..count).map(|n| RegionId(GROUP.0 + n)).collect()
}

#[test]
fn spreading_leaders_stops_at_a_group_that_nobody_leads() {
    let net = Net::start(1);
    cli().get_leader(GROUP, &net.conf).expect("there is one");
    let patience = Duration::from_millis(100);
    let impatient = CliService::new(CliOptions { patience, ..CliOptions::default() });
    let spread = impatient.rebalance(&[GROUP, RegionId(99)], &net.conf);
    spread.expect_err("no store has that group");
    cli().get_leader(GROUP, &net.conf).expect("the first is led as before");
}

#[test]
fn spreading_leaders_stops_at_a_store_that_cannot_lead() {
    let mut net = Net::start(6);
    let groups = groups(6);
    for &group in &groups {
        cli().get_leader(group, &net.conf).expect("there is one");
    }
    net.hosts.remove(&3).expect("it is there").shutdown();
    // Two stores lead six groups: one of them leads more than its share, and only the store that
    // is gone leads less.
    let refused = cli().rebalance(&groups, &net.conf).expect_err("store 3 is gone");
    for &group in &groups {
        let leader = cli().get_leader(group, &net.conf).expect("each is led still");
        assert_ne!(leader.store, StoreId(3), "{refused}");
    }
}
