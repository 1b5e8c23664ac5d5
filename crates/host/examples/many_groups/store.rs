//! One of the three processes: so many groups whose state machine does nothing. Asked by a line on
//! its input, it tells how many groups have a leader.

use std::io::BufRead as _;

use kontiki_host::library::{
    Configuration, Entries, Host, HostOptions, MachineError, Network, NodeOptions, SaveSnapshot,
    StateMachine,
};
use kontiki_types::{RegionId, StoreId};

use crate::Outcome;

struct Nothing;

impl StateMachine for Nothing {
    fn apply(&mut self, entries: &mut Entries<'_>) -> Result<(), MachineError> {
        entries.for_each(drop);
        Ok(())
    }

    fn save_snapshot(&self) -> Result<SaveSnapshot, MachineError> {
        Ok(Box::new(|_| Ok(())))
    }
}

pub(crate) fn serve(store: u64, dir: &str, conf: &str, groups: u64) -> Outcome<()> {
    let conf: Configuration = conf.parse()?;
    let store = StoreId(store);
    let member = conf.member(store).ok_or("this store is not in the configuration")?;
    let network = Network::tcp(member.address.clone());
    let mut options = HostOptions::new(store, dir, network);
    options.hibernate_after = Some(3);
    let host = Host::start(options)?;
    let mut nodes = Vec::new();
    for group in (1..=groups).map(RegionId) {
        nodes.push(host.create_node(group, NodeOptions::new(conf.clone()), Nothing)?);
    }
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        // A leader on this store is known dead or alive by the one who asks.
        let dead: Option<u64> = line?.parse().ok();
        let led = nodes.iter().filter_map(kontiki_host::library::Node::leader);
        let led = led.filter(|(_, store)| Some(store.0) != dead).count();
        println!("{led}");
    }
    Ok(())
}
