//! What a store answers to operators. Each connection has a thread that may wait for what it began.

use std::io::Read as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kontiki_codec::admin::{self, Reply, Request};
use kontiki_types::{Membership, Peer, RegionId};

use super::connection::{read, write};
use crate::library::configuration::{Configuration, Member};
use crate::library::error::Error;
use crate::library::host::Host;
use crate::library::lanes::Source;
use crate::library::node::{Node, Successor};

/// Operators that are served at once.
const OPERATORS_MAX: usize = 64;
/// How long a change or a transfer may take before the operator is told to look again.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serve one operator until he goes.
pub(in crate::library) fn serve(host: &Host, mut socket: TcpStream, served: &AtomicUsize) {
    if served.fetch_add(1, Ordering::SeqCst) < OPERATORS_MAX
        && let Err(error) = talk(host, &mut socket)
    {
        tracing::debug!(%error, "an operator's connection ended");
    }
    served.fetch_sub(1, Ordering::SeqCst);
}

fn talk(host: &Host, socket: &mut TcpStream) -> std::io::Result<()> {
    let mut first = [0; admin::MAGIC.len() + 8];
    socket.read_exact(&mut first)?;
    let (magic, cluster) = first.split_at(admin::MAGIC.len());
    let theirs = u64::from_le_bytes(cluster.try_into().map_err(std::io::Error::other)?);
    if magic != admin::MAGIC {
        return Err(std::io::Error::other("not an operator"));
    }
    socket.set_read_timeout(Some(PATIENCE))?;
    loop {
        let request = read(socket)?;
        let mine = host.cluster();
        let reply = if theirs == mine.0 {
            admin::request_from_bytes(request)
                .map_err(|error| Error::Invalid(error.to_string()))
                .and_then(|request| answer(host, request))
        } else {
            Err(Error::Invalid(format!("this is cluster {}, not {theirs}", mine.0)))
        };
        let reply = reply.unwrap_or_else(|error| Reply::Refused {
            code: u64::try_from(error.code()).unwrap_or(0),
            message: error.to_string(),
        });
        write(socket, &admin::reply_to_bytes(&reply))?;
    }
}

fn answer(host: &Host, request: Request) -> Result<Reply, Error> {
    if let Request::Learn(members) = request {
        // From another store, not from an operator.
        let members: Vec<Member> = members.iter().map(from_wire).collect();
        host.0.learn(Source::Another, &members);
        return Ok(Reply::Done);
    }
    if host.refuses_operators() {
        return Err(Error::CliDisabled);
    }
    let node = |group: RegionId| host.node(group).ok_or(Error::NoGroup);
    let done = |_: Membership| Reply::Done;
    match request {
        Request::Groups => Ok(Reply::Groups(host.groups())),
        Request::Leader(group) => Ok(leader(host, &node(group)?)),
        Request::Members(group) => Ok(reply_of(host, node(group)?.membership()?.peers().collect())),
        Request::Alive(group) => Ok(reply_of(host, node(group)?.list_alive()?)),
        Request::Add(group, member) => {
            node(group)?.add_peer(&from_wire(&member)).wait_timeout(PATIENCE).map(done)
        }
        Request::Promote(group, peer) => {
            node(group)?.promote(peer).wait_timeout(PATIENCE).map(done)
        }
        Request::Remove(group, peer) => {
            node(group)?.remove_peer(peer).wait_timeout(PATIENCE).map(done)
        }
        Request::ChangePeers(group, members) => {
            node(group)?.change_peers(&configuration(&members)).wait_timeout(PATIENCE).map(done)
        }
        Request::ResetLearners(group, members) => {
            let learners: Vec<Member> = members.iter().map(from_wire).collect();
            node(group)?.reset_learners(&learners).wait_timeout(PATIENCE).map(done)
        }
        Request::ResetPeers(group, members) => {
            let forced = node(group)?.reset_peers(&configuration(&members));
            forced.wait_timeout(PATIENCE).map(|()| Reply::Done)
        }
        Request::Transfer(group, store) => {
            let to = store.map_or(Successor::Any, Successor::On);
            let ended = node(group)?.transfer_leadership_to(to);
            ended.wait_timeout(PATIENCE).map(|()| Reply::Done)
        }
        Request::Snapshot(group) => {
            node(group)?.snapshot().wait_timeout(PATIENCE).map(|_| Reply::Done)
        }
        Request::Learn(_) => Ok(Reply::Done),
    }
}

fn leader(host: &Host, node: &Node) -> Reply {
    let leader = node.leader().map(|(peer, store)| Member::new(store, "").with_peer(peer));
    let members = leader.iter().map(|member| to_wire(host, member)).collect();
    Reply::Members(members)
}

fn reply_of(host: &Host, peers: Vec<Peer>) -> Reply {
    let member = |peer: Peer| {
        let member = Member::new(peer.store, "").with_peer(peer.id);
        let is_learner = !peer.role.votes_incoming() && !peer.role.votes_outgoing();
        to_wire(host, &if is_learner { member.learner() } else { member })
    };
    Reply::Members(peers.into_iter().map(member).collect())
}

fn to_wire(host: &Host, member: &Member) -> admin::Member {
    admin::Member {
        store: member.store,
        peer: member.peer,
        address: host.address_of(member.store).unwrap_or_default(),
        is_learner: member.is_learner,
    }
}

fn from_wire(member: &admin::Member) -> Member {
    let admin::Member { store, peer, address, is_learner } = member.clone();
    Member { store, peer, address, is_learner }
}

fn configuration(members: &[admin::Member]) -> Configuration {
    Configuration::new(members.iter().map(from_wire))
}
