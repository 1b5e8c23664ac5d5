//! The map and the state of a cluster, as operators and routing see them.

use kontiki_types::{ClusterId, Region, StoreId, Term};

pub use kontiki_proto::v1::{
    BootstrapInfoResponse as BootstrapInfo, EngineStatus, LogStatus, ReplicaStatus, Role,
    StateHash, StatusResponse as Status,
};

/// Where everything is, as far as one store knows.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Routes {
    /// The cluster.
    pub cluster: ClusterId,
    /// All stores with their addresses.
    pub stores: Vec<Store>,
    /// All regions.
    pub regions: Vec<Route>,
}

/// A store and how to reach it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Store {
    /// Its id.
    pub id: StoreId,
    /// host:port.
    pub address: String,
}

/// A region and who leads it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Route {
    /// The descriptor.
    pub region: Region,
    /// The leader's store, if known.
    pub leader: Option<StoreId>,
    /// The term of that claim; 0 when not known.
    pub term: Term,
}
