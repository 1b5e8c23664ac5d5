//! One store: a host with the counter's group, and a port for clients.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use kontiki_host::library::{
    Configuration, Error, Host, HostOptions, Network, Node, NodeOptions, ReadMode, Task,
};
use kontiki_types::{RegionId, StoreId};

use crate::Outcome;
use crate::machine::Counter;

/// The one group.
const GROUP: RegionId = RegionId(1);
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn serve(store: u64, dir: &str, conf: &str, clients: &str) -> Outcome<()> {
    let conf: Configuration = conf.parse()?;
    let store = StoreId(store);
    let member = conf.member(store).ok_or("this store is not in the configuration")?;
    let network = Network::tcp(member.address.clone());
    let options =
        HostOptions::new(store, dir, network).with_election_timeout(Duration::from_millis(500));
    let host = Host::start(options)?;
    let counter = Counter::default();
    let node = host.create_node(GROUP, NodeOptions::new(conf), counter.clone())?;
    let listener = TcpListener::bind(clients)?;
    println!("ready");
    for socket in listener.incoming() {
        let (socket, node, counter) = (socket?, node.clone(), counter.clone());
        std::thread::Builder::new().spawn(move || talk(&socket, &node, &counter))?;
    }
    Ok(())
}

/// Lines in, lines out, until the client goes.
fn talk(socket: &TcpStream, node: &Node, counter: &Counter) {
    let mut out = socket;
    for line in BufReader::new(socket).lines().map_while(Result::ok) {
        let answer = answer(&line, node, counter);
        let answer = answer.unwrap_or_else(|error| match error {
            Error::NotLeader { leader: Some((_, store)) } => format!("leader {}", store.0),
            other => format!("error {other}"),
        });
        if writeln!(out, "{answer}").is_err() {
            return;
        }
    }
}

fn answer(line: &str, node: &Node, counter: &Counter) -> Result<String, Error> {
    if let Some(delta) = line.strip_prefix("add ").and_then(|delta| delta.parse::<i64>().ok()) {
        let (task, reply) = Task::new(delta.to_le_bytes().to_vec()).with_handle();
        node.apply(task.with_context(delta));
        let sum = reply.wait_timeout(PATIENCE)?;
        return Ok(format!("ok {}", String::from_utf8_lossy(&sum)));
    }
    match line {
        "get" => {
            // Any store may answer: it has applied all that was acknowledged before the question.
            node.read_index_handle(ReadMode::Index).wait_timeout(PATIENCE)?;
            Ok(format!("ok {}", counter.get()))
        }
        "leader" => {
            let leader = node.leader().map_or(0, |(_, store)| store.0);
            Ok(format!("ok {leader}"))
        }
        _ => Ok("error say add N, get or leader".to_owned()),
    }
}
