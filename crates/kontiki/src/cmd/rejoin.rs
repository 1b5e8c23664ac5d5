//! `kontiki rejoin`: a new data directory for a store that lost its own.

use std::path::PathBuf;

use kontiki_types::{ClusterId, StoreId};

use crate::exit::{Code, Failure};

/// Make a new data directory for a store that lost its own
///
/// A store without its data may have promised what it no longer knows, so the others refuse it.
/// In a directory made by this command it comes back as new replicas, which the others let in, fill
/// and give a vote; then `kontiki serve` or `playground` as before, and `kontiki status` shows how
/// far it is. Only for a lost directory: a majority of the stores must have theirs.
#[derive(clap::Args, Debug)]
pub(crate) struct Rejoin {
    /// The store that lost its directory
    #[arg(long, env = "KONTIKI_STORE_ID", value_name = "N")]
    store_id: u64,
    /// Its cluster
    #[arg(long, env = "KONTIKI_CLUSTER_ID", value_name = "N", default_value_t = 1)]
    cluster_id: u64,
    /// Where its data shall be; made if missing, refused if not empty
    #[arg(long, env = "KONTIKI_DATA_DIR", value_name = "DIR")]
    data_dir: PathBuf,
}

impl Rejoin {
    /// Makes it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let (cluster, store) = (ClusterId(self.cluster_id), StoreId(self.store_id));
        kontiki_server::prepare_rejoin(&self.data_dir, cluster, store)
            .map_err(|error| Failure::new(Code::Machine, error.to_string()))
    }
}
