//! Why a store does not start, or stops: said once, to the person who started it.

use kontiki_types::{RegionId, StoreId};

/// See the module.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The data directory.
    #[error(transparent)]
    DataDir(#[from] crate::data_dir::Error),
    /// The storage engine on disk.
    #[error("engine: {0}")]
    Fjall(#[from] kontiki_engine_fjall::Error),
    /// The storage engine.
    #[error("engine: {0}")]
    Engine(#[from] kontiki_engine::Error),
    /// The regions in the engine.
    #[error("regions: {0}")]
    Regions(#[from] kontiki_store::Error),
    /// The log, or a replica that may not take part.
    #[error(transparent)]
    Host(#[from] kontiki_host::StartError),
    /// A region in the engine has no peer on this store.
    #[error("{region} has no peer on {store}: the data directory was made for another cluster")]
    NotAMember {
        /// Which region.
        region: RegionId,
        /// This store.
        store: StoreId,
    },
    /// The address to listen on.
    #[error("cannot listen on {address}: {source}; give another --listen or free the port")]
    Listen {
        /// Which.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// Files or threads.
    #[error("{0}")]
    Io(#[from] std::io::Error),
    /// The network service ended by itself.
    #[error("network service: {0}")]
    Serve(#[from] tonic::transport::Error),
    /// The store could no longer keep its promises.
    #[error("stopped: {0}")]
    Fatal(String),
}
