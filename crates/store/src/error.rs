//! What can go wrong below a region: the engine, or bytes in it that make no sense.
//!
//! None of it is a client's fault, so none of it is an outcome. The store stops on all but a
//! damaged snapshot, which is fetched again.

use kontiki_types::{ClusterId, RegionId, StoreId};

/// Why a store cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The storage engine failed.
    #[error(transparent)]
    Engine(#[from] kontiki_engine::Error),
    /// A row of the store's own does not decode.
    #[error("{what} is damaged: {source}; restore this store from its peers")]
    Row {
        /// Which row.
        what: String,
        /// What is wrong with it.
        source: kontiki_codec::Error,
    },
    /// Rows that decode but contradict each other.
    #[error("store is inconsistent: {0}; restore this store from its peers")]
    Inconsistent(String),
    /// The data directory belongs to someone else.
    #[error(
        "data belongs to store {found_store} of cluster {found_cluster}, not to store {store} of \
         cluster {cluster}; check the data directory"
    )]
    OtherStore {
        /// Who was expected.
        cluster: ClusterId,
        /// Who was expected.
        store: StoreId,
        /// Whose it is.
        found_cluster: ClusterId,
        /// Whose it is.
        found_store: StoreId,
    },
    /// The engine was never bootstrapped.
    #[error("store is empty; bootstrap it or join a cluster first")]
    NotBootstrapped,
    /// The engine was bootstrapped before.
    #[error("store holds data already; start it without bootstrapping")]
    AlreadyBootstrapped,
    /// A snapshot that is not whole, or not of this region.
    #[error("snapshot of {region} refused: {why}")]
    Snapshot {
        /// Whose.
        region: RegionId,
        /// What is wrong.
        why: String,
    },
    /// An earlier install destroyed the old rows and did not complete.
    #[error("{0} has no data since an install failed; a whole snapshot must arrive first")]
    Incomplete(RegionId),
}

impl Error {
    /// A row that does not decode.
    pub(crate) fn row(what: impl Into<String>, source: kontiki_codec::Error) -> Self {
        Self::Row { what: what.into(), source }
    }
}

impl From<Error> for kontiki_multiraft::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Snapshot { .. } => Self::Snapshot(error.to_string()),
            error => Self::Storage(Box::new(error)),
        }
    }
}
