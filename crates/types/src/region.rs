//! A region: a range of keys, replicated by one Raft group.

use std::fmt;

use crate::{KeyRange, PeerId, PeerRole, RegionId, StoreId};

/// One replica of a region.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer {
    /// Its id, unique per incarnation.
    pub id: PeerId,
    /// The store that holds it.
    pub store: StoreId,
    /// Its say.
    pub role: PeerRole,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.store)?;
        match self.role {
            PeerRole::Voter => Ok(()),
            role => write!(f, "({role:?})"),
        }
    }
}

/// How often a region changed. A request made under another epoch is refused with the current one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Epoch {
    /// Moves with membership.
    pub conf_ver: u64,
    /// Moves with split and merge.
    pub version: u64,
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.version, self.conf_ver)
    }
}

/// The descriptor of a region, as every replica applies it and every client caches it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Region {
    /// Its id, and that of its Raft group.
    pub id: RegionId,
    /// The keys it holds.
    pub range: KeyRange,
    /// How often it changed.
    pub epoch: Epoch,
    /// Its replicas, in order of peer id.
    pub peers: Vec<Peer>,
}
