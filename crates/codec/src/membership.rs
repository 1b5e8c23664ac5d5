//! Memberships: the peers in order of id, each with its store and role.
//!
//! This is the data of a `Config` entry, and part of snapshots and of region descriptors.

use bytes::Bytes;
use kontiki_types::{Membership, Peer, PeerId, PeerRole, StoreId};

use crate::wire::{Reader, put_u8, put_varint, whole};
use crate::{Error, Result};

/// Fewest bytes of a peer: id, store, role.
const PEER_BYTES_MIN: usize = 3;

/// Appends a membership.
pub fn encode(out: &mut Vec<u8>, membership: &Membership) {
    put_varint(out, membership.len() as u64);
    for peer in membership.peers() {
        encode_peer(out, peer);
    }
}

/// Reads a membership.
///
/// # Errors
/// When the bytes are not one, peers out of order or twice included.
pub fn decode(reader: &mut Reader) -> Result<Membership> {
    decode_peers(reader).map(Membership::new)
}

/// The data of a `Config` entry.
pub fn to_bytes(membership: &Membership) -> Bytes {
    let mut out = Vec::with_capacity(1 + membership.len() * 8);
    encode(&mut out, membership);
    Bytes::from(out)
}

/// Reads the data of a `Config` entry.
///
/// # Errors
/// As [`decode`], and when bytes are left over.
pub fn from_bytes(data: Bytes) -> Result<Membership> {
    whole(data, decode)
}

pub(crate) fn encode_peers(out: &mut Vec<u8>, peers: &[Peer]) {
    assert!(peers.is_sorted_by(|a, b| a.id < b.id), "peers not in order of id: {peers:?}");
    put_varint(out, peers.len() as u64);
    for &peer in peers {
        encode_peer(out, peer);
    }
}

pub(crate) fn decode_peers(reader: &mut Reader) -> Result<Vec<Peer>> {
    let count = reader.count(PEER_BYTES_MIN)?;
    let peers = reader.items(count, decode_peer)?;
    // A peer that occurred twice would have two roles; order makes that visible.
    if !peers.is_sorted_by(|a, b| a.id < b.id) {
        return Err(Error::Corrupt("peers are not in order of id"));
    }
    Ok(peers)
}

fn encode_peer(out: &mut Vec<u8>, peer: Peer) {
    put_varint(out, peer.id.0);
    put_varint(out, peer.store.0);
    put_u8(
        out,
        match peer.role {
            PeerRole::Voter => 0,
            PeerRole::Learner => 1,
            PeerRole::Incoming => 2,
            PeerRole::Outgoing => 3,
            PeerRole::Demoting => 4,
        },
    );
}

fn decode_peer(reader: &mut Reader) -> Result<Peer> {
    let id = PeerId(reader.varint()?);
    let store = StoreId(reader.varint()?);
    let role = match reader.u8()? {
        0 => PeerRole::Voter,
        1 => PeerRole::Learner,
        2 => PeerRole::Incoming,
        3 => PeerRole::Outgoing,
        4 => PeerRole::Demoting,
        _ => return Err(Error::Corrupt("unknown role of a peer")),
    };
    Ok(Peer { id, store, role })
}
