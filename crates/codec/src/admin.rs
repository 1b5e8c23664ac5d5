//! Administration of groups over the network: what an operator's tool asks a store, and the answer.
//!
//! ```text
//! caller:   magic (8) | cluster (u64)
//! then:   ( length (u32) | version (1) | request ) *
//! store:  ( length (u32) | version (1) | reply ) *      one for each request, in order
//! ```
//!
//! The magic tells an operator from a peer ([`crate::hello`]) on one port.

use bytes::Bytes;
use kontiki_types::{PeerId, RegionId, StoreId};

use crate::wire::{Reader, put_bytes, put_flag, put_u8, put_varint, whole};
use crate::{Error, Result};

/// Begins every connection of an operator's tool.
pub const MAGIC: [u8; 8] = *b"KONTADM1";

/// The version this build speaks.
pub const VERSION: u8 = 1;

/// Most bytes of a request or a reply.
pub const BYTES_MAX: usize = 1024 * 1024;

/// Fewest bytes of a member: two ids, address, role.
const MEMBER_BYTES_MIN: usize = 4;

/// A member of a group and where it is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Its store.
    pub store: StoreId,
    /// Its replica.
    pub peer: PeerId,
    /// `host:port`, or nothing.
    pub address: String,
    /// Receives the log, has no vote.
    pub is_learner: bool,
}

/// What is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Who leads?
    Leader(RegionId),
    /// Who are the members?
    Members(RegionId),
    /// Which of them does the leader hear?
    Alive(RegionId),
    /// Add this one.
    Add(RegionId, Member),
    /// Give this learner a vote.
    Promote(RegionId, PeerId),
    /// Remove this one.
    Remove(RegionId, PeerId),
    /// Have exactly these members.
    ChangePeers(RegionId, Vec<Member>),
    /// Have exactly these learners.
    ResetLearners(RegionId, Vec<Member>),
    /// Force these members upon the replica asked.
    ResetPeers(RegionId, Vec<Member>),
    /// Hand leadership to this store, or to whoever can take over soonest.
    Transfer(RegionId, Option<StoreId>),
    /// Save a snapshot of the replica asked.
    Snapshot(RegionId),
    /// Which groups have a node here?
    Groups,
    /// Stores are at these addresses.
    Learn(Vec<Member>),
}

/// What is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// It is done.
    Done,
    /// These members; for a leader one or none.
    Members(Vec<Member>),
    /// These groups.
    Groups(Vec<RegionId>),
    /// It was not done.
    Refused {
        /// JRaft's number for the reason.
        code: u64,
        /// For people.
        message: String,
    },
}

/// The bytes of a request.
pub fn request_to_bytes(request: &Request) -> Bytes {
    let mut out = vec![VERSION];
    match request {
        Request::Leader(group) => put_head(&mut out, 1, *group),
        Request::Members(group) => put_head(&mut out, 2, *group),
        Request::Alive(group) => put_head(&mut out, 3, *group),
        Request::Add(group, member) => {
            put_head(&mut out, 4, *group);
            put_member(&mut out, member);
        }
        Request::Promote(group, peer) => {
            put_head(&mut out, 5, *group);
            put_varint(&mut out, peer.0);
        }
        Request::Remove(group, peer) => {
            put_head(&mut out, 6, *group);
            put_varint(&mut out, peer.0);
        }
        Request::ChangePeers(group, members) => {
            put_head(&mut out, 7, *group);
            put_members(&mut out, members);
        }
        Request::ResetLearners(group, members) => {
            put_head(&mut out, 8, *group);
            put_members(&mut out, members);
        }
        Request::ResetPeers(group, members) => {
            put_head(&mut out, 9, *group);
            put_members(&mut out, members);
        }
        Request::Transfer(group, store) => {
            put_head(&mut out, 10, *group);
            // Store 0 is never used.
            put_varint(&mut out, store.map_or(0, |store| store.0));
        }
        Request::Snapshot(group) => put_head(&mut out, 11, *group),
        Request::Groups => put_u8(&mut out, 12),
        Request::Learn(members) => {
            put_u8(&mut out, 13);
            put_members(&mut out, members);
        }
    }
    Bytes::from(out)
}

/// Reads a request.
///
/// # Errors
/// When the bytes are not one, or of another version.
pub fn request_from_bytes(data: Bytes) -> Result<Request> {
    whole(data, |reader| {
        reader.version(VERSION)?;
        Ok(match reader.u8()? {
            1 => Request::Leader(group(reader)?),
            2 => Request::Members(group(reader)?),
            3 => Request::Alive(group(reader)?),
            4 => Request::Add(group(reader)?, member(reader)?),
            5 => Request::Promote(group(reader)?, PeerId(reader.varint()?)),
            6 => Request::Remove(group(reader)?, PeerId(reader.varint()?)),
            7 => Request::ChangePeers(group(reader)?, members(reader)?),
            8 => Request::ResetLearners(group(reader)?, members(reader)?),
            9 => Request::ResetPeers(group(reader)?, members(reader)?),
            10 => {
                let (group, store) = (group(reader)?, reader.varint()?);
                Request::Transfer(group, Some(StoreId(store)).filter(|_| store > 0))
            }
            11 => Request::Snapshot(group(reader)?),
            12 => Request::Groups,
            13 => Request::Learn(members(reader)?),
            _ => return Err(Error::Corrupt("a request of no known kind")),
        })
    })
}

/// The bytes of a reply.
pub fn reply_to_bytes(reply: &Reply) -> Bytes {
    let mut out = vec![VERSION];
    match reply {
        Reply::Done => put_u8(&mut out, 1),
        Reply::Members(members) => {
            put_u8(&mut out, 2);
            put_members(&mut out, members);
        }
        Reply::Groups(groups) => {
            put_u8(&mut out, 3);
            put_varint(&mut out, groups.len() as u64);
            for group in groups {
                put_varint(&mut out, group.0);
            }
        }
        Reply::Refused { code, message } => {
            put_u8(&mut out, 4);
            put_varint(&mut out, *code);
            put_bytes(&mut out, message.as_bytes());
        }
    }
    Bytes::from(out)
}

/// Reads a reply.
///
/// # Errors
/// When the bytes are not one, or of another version.
pub fn reply_from_bytes(data: Bytes) -> Result<Reply> {
    whole(data, |reader| {
        reader.version(VERSION)?;
        Ok(match reader.u8()? {
            1 => Reply::Done,
            2 => Reply::Members(members(reader)?),
            3 => {
                let count = reader.count(1)?;
                Reply::Groups(reader.items(count, group)?)
            }
            4 => Reply::Refused { code: reader.varint()?, message: text(reader)? },
            _ => return Err(Error::Corrupt("a reply of no known kind")),
        })
    })
}

fn put_head(out: &mut Vec<u8>, kind: u8, group: RegionId) {
    put_u8(out, kind);
    put_varint(out, group.0);
}

fn group(reader: &mut Reader) -> Result<RegionId> {
    reader.varint().map(RegionId)
}

fn put_member(out: &mut Vec<u8>, member: &Member) {
    put_varint(out, member.store.0);
    put_varint(out, member.peer.0);
    put_bytes(out, member.address.as_bytes());
    put_flag(out, member.is_learner);
}

fn member(reader: &mut Reader) -> Result<Member> {
    Ok(Member {
        store: StoreId(reader.varint()?),
        peer: PeerId(reader.varint()?),
        address: text(reader)?,
        is_learner: reader.flag()?,
    })
}

fn put_members(out: &mut Vec<u8>, members: &[Member]) {
    put_varint(out, members.len() as u64);
    for member in members {
        put_member(out, member);
    }
}

fn members(reader: &mut Reader) -> Result<Vec<Member>> {
    let count = reader.count(MEMBER_BYTES_MIN)?;
    reader.items(count, member)
}

fn text(reader: &mut Reader) -> Result<String> {
    String::from_utf8(reader.bytes()?.to_vec()).map_err(|_| Error::Corrupt("text is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_and_answered_reads_back() {
        let group = RegionId(300);
        let member = || Member {
            store: StoreId(2),
            peer: PeerId(7),
            address: "a:1".to_owned(),
            is_learner: true,
        };
        for request in [
            Request::Leader(group),
            Request::Members(group),
            Request::Alive(group),
            Request::Add(group, member()),
            Request::Promote(group, PeerId(7)),
            Request::Remove(group, PeerId(7)),
            Request::ChangePeers(group, vec![member(), member()]),
            Request::ResetLearners(group, Vec::new()),
            Request::ResetPeers(group, vec![member()]),
            Request::Transfer(group, None),
            Request::Transfer(group, Some(StoreId(3))),
            Request::Snapshot(group),
            Request::Groups,
            Request::Learn(vec![member()]),
        ] {
            let bytes = request_to_bytes(&request);
            for cut in 0..bytes.len() {
                assert!(request_from_bytes(bytes.slice(..cut)).is_err(), "{request:?} at {cut}");
            }
            assert_eq!(request_from_bytes(bytes), Ok(request));
        }
        for reply in [
            Reply::Done,
            Reply::Members(vec![member()]),
            Reply::Groups(vec![group, RegionId(1)]),
            Reply::Refused { code: 1009, message: "busy".to_owned() },
        ] {
            assert_eq!(reply_from_bytes(reply_to_bytes(&reply)), Ok(reply));
        }
    }
}
