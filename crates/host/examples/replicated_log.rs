//! A replicated log of lines: three hosts in one process, a snapshot, a new learner, a restart.
//!
//! `cargo run -p kontiki-host --example replicated_log`. The hosts speak TCP on loopback, exactly
//! as they would in three processes.

#![expect(clippy::print_stdout, reason = "an example that tells what it does")]

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kontiki_host::library::{
    Configuration, Entries, Host, HostOptions, MachineError, Member, Network, Node, NodeOptions,
    ReadMode, SaveSnapshot, SnapshotReader, StateMachine,
};
use kontiki_types::{RegionId, StoreId};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const GROUP: RegionId = RegionId(1);
const PATIENCE: Duration = Duration::from_mins(1);

/// All lines, in the order every store has them in.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn get(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl StateMachine for Lines {
    fn apply(&mut self, entries: &mut Entries<'_>) -> Result<(), MachineError> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for task in entries {
            lines.push(String::from_utf8_lossy(&task.data).into_owned());
            if let Some(done) = task.done {
                done.reply(lines.len().to_string());
            }
        }
        Ok(())
    }

    fn save_snapshot(&self) -> Result<SaveSnapshot, MachineError> {
        let lines = self.get();
        Ok(Box::new(move |snapshot| {
            let mut file = snapshot.file("lines")?;
            for line in &lines {
                writeln!(file, "{line}")?;
            }
            Ok(file.finish()?)
        }))
    }

    fn load_snapshot(&mut self, snapshot: &mut SnapshotReader) -> Result<(), MachineError> {
        let text = String::from_utf8(snapshot.read("lines")?)?;
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) =
            text.lines().map(str::to_owned).collect();
        Ok(())
    }
}

struct Store {
    host: Host,
    node: Node,
    lines: Lines,
}

fn start(dir: &std::path::Path, member: &Member, options: NodeOptions) -> Outcome<Store> {
    let place = dir.join(member.store.0.to_string());
    let network = Network::tcp(member.address.clone());
    let settings = HostOptions::new(member.store, place, network)
        .with_election_timeout(Duration::from_millis(300));
    let host = Host::start(settings)?;
    let lines = Lines::default();
    let node = host.create_node(GROUP, options, lines.clone())?;
    Ok(Store { host, node, lines })
}

/// Append through whoever leads.
fn append(stores: &[Store], line: &str) -> Outcome<()> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        for store in stores {
            match store.node.propose(line.to_owned()).wait_timeout(PATIENCE) {
                Ok(_) => return Ok(()),
                Err(error) if error.is_retryable() => {}
                Err(error) => return Err(error.into()),
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err("nobody leads".into())
}

/// Read linearizably at this store.
fn read(store: &Store) -> Outcome<Vec<String>> {
    let began = Instant::now();
    loop {
        match store.node.read_index_handle(ReadMode::Index).wait_timeout(PATIENCE) {
            Ok(_) => return Ok(store.lines.get()),
            Err(error) if began.elapsed() > PATIENCE => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

fn main() -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let held: Result<Vec<_>, _> =
        (0..4).map(|_| std::net::TcpListener::bind("127.0.0.1:0")).collect();
    let addresses: Result<Vec<_>, _> =
        held?.iter().map(std::net::TcpListener::local_addr).collect();
    let members = (1..).zip(addresses?).map(|(n, at)| Member::new(StoreId(n), at.to_string()));
    let members: Vec<Member> = members.collect();
    let conf = Configuration::new(members[..3].to_vec());

    let mut stores = Vec::new();
    for member in conf.members() {
        stores.push(start(dir.path(), member, NodeOptions::new(conf.clone()))?);
    }
    for n in 1..=100 {
        append(&stores, &format!("line {n}"))?;
    }
    println!("100 lines on three stores: {}", read(&stores[2])?.len());
    for store in &stores {
        store.node.snapshot().wait_timeout(PATIENCE)?;
    }
    append(&stores, "after the snapshot")?;

    let newcomer = start(dir.path(), &members[3], NodeOptions::joining())?;
    let leader = stores.iter().find(|store| store.node.is_leader()).ok_or("nobody leads")?;
    let learner = members[3].clone().learner();
    leader.node.add_peer(&learner).wait_timeout(PATIENCE)?;
    println!("a learner has {} lines", read(&newcomer)?.len());

    stores.remove(0).host.shutdown();
    let first = start(dir.path(), &members[0], NodeOptions::new(conf.clone()))?;
    stores.insert(0, first);
    append(&stores, "after the restart")?;
    let all = read(&stores[0])?;
    println!("a restarted store has {} lines, the last is {:?}", all.len(), all.last());
    for store in stores.iter().chain([&newcomer]) {
        store.host.shutdown();
    }
    println!("done");
    Ok(())
}
