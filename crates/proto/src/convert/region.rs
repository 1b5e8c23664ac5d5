//! Regions, epochs, ranges, peers.

use kontiki_types::{Epoch, KeyRange, Peer, PeerId, PeerRole, Region, RegionId, StoreId};

use crate::{Error, v1};

impl From<Epoch> for v1::Epoch {
    fn from(epoch: Epoch) -> Self {
        Self { conf_ver: epoch.conf_ver, version: epoch.version }
    }
}

impl From<v1::Epoch> for Epoch {
    fn from(epoch: v1::Epoch) -> Self {
        Self { conf_ver: epoch.conf_ver, version: epoch.version }
    }
}

impl From<KeyRange> for v1::KeyRange {
    fn from(range: KeyRange) -> Self {
        Self { start: range.start, end: range.end }
    }
}

impl From<v1::KeyRange> for KeyRange {
    fn from(range: v1::KeyRange) -> Self {
        Self { start: range.start, end: range.end }
    }
}

impl From<PeerRole> for v1::PeerRole {
    fn from(role: PeerRole) -> Self {
        match role {
            PeerRole::Voter => Self::Voter,
            PeerRole::Learner => Self::Learner,
            PeerRole::Incoming => Self::Incoming,
            PeerRole::Outgoing => Self::Outgoing,
            PeerRole::Demoting => Self::Demoting,
        }
    }
}

impl From<v1::PeerRole> for PeerRole {
    fn from(role: v1::PeerRole) -> Self {
        match role {
            v1::PeerRole::Voter => Self::Voter,
            v1::PeerRole::Learner => Self::Learner,
            v1::PeerRole::Incoming => Self::Incoming,
            v1::PeerRole::Outgoing => Self::Outgoing,
            v1::PeerRole::Demoting => Self::Demoting,
        }
    }
}

impl From<Peer> for v1::RegionPeer {
    fn from(peer: Peer) -> Self {
        Self { id: peer.id.0, store_id: peer.store.0, role: v1::PeerRole::from(peer.role).into() }
    }
}

impl TryFrom<v1::RegionPeer> for Peer {
    type Error = Error;

    fn try_from(peer: v1::RegionPeer) -> Result<Self, Error> {
        let role = v1::PeerRole::try_from(peer.role)
            .map_err(|_| Error::Unknown { what: "role of a peer", number: peer.role })?;
        Ok(Self { id: PeerId(peer.id), store: StoreId(peer.store_id), role: role.into() })
    }
}

impl From<Region> for v1::Region {
    fn from(region: Region) -> Self {
        Self {
            id: region.id.0,
            range: Some(region.range.into()),
            epoch: Some(region.epoch.into()),
            peers: region.peers.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::Region> for Region {
    type Error = Error;

    fn try_from(region: v1::Region) -> Result<Self, Error> {
        Ok(Self {
            id: RegionId(region.id),
            range: region.range.ok_or(Error::Missing("range of a region"))?.into(),
            epoch: region.epoch.ok_or(Error::Missing("epoch of a region"))?.into(),
            peers: region.peers.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
        })
    }
}
