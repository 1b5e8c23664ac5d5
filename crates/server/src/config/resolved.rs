//! The configuration of a store once it cannot be wrong: ids are not zero, addresses parse, this
//! store is one of the cluster, times fit each other. Made only by [`Raw::resolve`].

use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use kontiki_types::{ClusterId, StoreId};

use super::{Error, Raw};

/// Where rows live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EngineKind {
    /// On disk, in the fjall LSM tree.
    Fjall,
    /// In memory; durable by the Raft log and snapshot files.
    Memory,
}

/// One store, ready to run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// Its id.
    pub store: StoreId,
    /// Where it keeps its log and its data.
    pub data_dir: PathBuf,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Every store of the cluster (this one too) and the `HOST:PORT` others reach it at.
    pub stores: BTreeMap<StoreId, String>,
    /// Where rows live.
    pub engine: EngineKind,
    /// Most memory for cached blocks of the engine.
    pub engine_cache_bytes: u64,
    /// Shortest time without a leader before it campaigns.
    pub election_timeout: Duration,
    /// Time between heartbeats of a leader.
    pub heartbeat_interval: Duration,
    /// A filter of `tracing_subscriber`, applied by the binary.
    pub log_level: String,
}

impl Raw {
    /// Checks every key and fills in the defaults.
    ///
    /// # Errors
    /// The first key that is missing or cannot be meant.
    pub fn resolve(self) -> Result<Config, Error> {
        let stores = stores(self.initial_cluster.as_deref())?;
        let store =
            self.store_id.ok_or(Error::Missing { key: "store_id", flag: "--store-id 1" })?;
        let store = StoreId(store);
        let Some(own_address) = stores.get(&store) else {
            return Err(bad(
                "store_id",
                &store.0,
                "it must be one of the ids in `initial_cluster`",
            ));
        };
        let listen = self.listen.unwrap_or_else(|| own_address.clone());
        let listen = listen.parse().map_err(|_| {
            bad(
                "listen",
                &listen,
                "give IP:PORT, for example 0.0.0.0:7401 (names are not resolved)",
            )
        })?;
        let data_dir =
            self.data_dir.ok_or(Error::Missing { key: "data_dir", flag: "--data-dir DIR" })?;
        if data_dir.is_empty() {
            return Err(bad("data_dir", &data_dir, "name a directory"));
        }
        let cluster = self.cluster_id.unwrap_or(1);
        if cluster == 0 {
            return Err(bad("cluster_id", &cluster, "it is at least 1"));
        }
        let (election_timeout, heartbeat_interval) =
            times(self.election_timeout_ms, self.heartbeat_interval_ms)?;
        Ok(Config {
            cluster: ClusterId(cluster),
            store,
            data_dir: data_dir.into(),
            listen,
            stores,
            engine: engine(self.engine.as_deref())?,
            engine_cache_bytes: cache_bytes(self.engine_cache_mib)?,
            election_timeout,
            heartbeat_interval,
            log_level: self.log_level.unwrap_or_else(|| "info".to_owned()),
        })
    }
}

fn bad(key: &'static str, value: &dyn Display, wanted: &str) -> Error {
    Error::Bad { key, value: value.to_string(), wanted: wanted.to_owned() }
}

fn stores(list: Option<&[String]>) -> Result<BTreeMap<StoreId, String>, Error> {
    const KEY: &str = "initial_cluster";
    let flag = "--initial-cluster 1=127.0.0.1:7401,2=127.0.0.1:7402,3=127.0.0.1:7403";
    let list = list.filter(|list| !list.is_empty()).ok_or(Error::Missing { key: KEY, flag })?;
    let mut stores = BTreeMap::new();
    for item in list {
        let form = || bad(KEY, &item, "each store is ID=HOST:PORT with an id from 1");
        let (id, address) = item.split_once('=').ok_or_else(form)?;
        let id: u64 = id.trim().parse().map_err(|_| form())?;
        let address = address.trim();
        let (host, port) = address.rsplit_once(':').ok_or_else(form)?;
        if id == 0 || host.is_empty() || port.parse::<u16>().is_err() {
            return Err(form());
        }
        if stores.values().any(|other| other == address) {
            return Err(bad(KEY, &item, "another store has this address already"));
        }
        if stores.insert(StoreId(id), address.to_owned()).is_some() {
            return Err(bad(KEY, &item, "this id occurs twice"));
        }
    }
    Ok(stores)
}

fn engine(name: Option<&str>) -> Result<EngineKind, Error> {
    match name {
        None | Some("fjall") => Ok(EngineKind::Fjall),
        Some("memory") => Ok(EngineKind::Memory),
        Some(other) => Err(bad("engine", &other, "it is `fjall` or `memory`")),
    }
}

fn cache_bytes(mib: Option<u64>) -> Result<u64, Error> {
    const CACHE_MIB_MAX: u64 = 1024 * 1024;
    match mib.unwrap_or(256) {
        mib @ 1..=CACHE_MIB_MAX => Ok(mib * 1024 * 1024),
        other => Err(bad("engine_cache_mib", &other, "give 1 to 1048576 MiB")),
    }
}

fn times(election_ms: Option<u64>, beat_ms: Option<u64>) -> Result<(Duration, Duration), Error> {
    let election = election_ms.unwrap_or(500);
    if !(50..=600_000).contains(&election) {
        return Err(bad("election_timeout_ms", &election, "give 50 to 600000 ms"));
    }
    let beat = beat_ms.unwrap_or(election / 10);
    if beat == 0 || beat > election / 3 {
        let wanted = "give at least 1 ms and at most a third of `election_timeout_ms`";
        return Err(bad("heartbeat_interval_ms", &beat, wanted));
    }
    Ok((Duration::from_millis(election), Duration::from_millis(beat)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Raw {
        Raw {
            store_id: Some(2),
            data_dir: Some("data".to_owned()),
            initial_cluster: Some(vec!["1=127.0.0.1:1".to_owned(), "2=127.0.0.1:2".to_owned()]),
            ..Raw::default()
        }
    }

    #[test]
    fn a_store_listens_at_its_own_address_unless_told_otherwise() {
        let config = good().resolve().unwrap();
        assert_eq!(config.listen, "127.0.0.1:2".parse().unwrap());
        assert_eq!(config.engine, EngineKind::Fjall);
        assert_eq!(config.heartbeat_interval, Duration::from_millis(50));
        let raw = Raw { listen: Some("0.0.0.0:9".to_owned()), ..good() };
        assert_eq!(raw.resolve().unwrap().listen, "0.0.0.0:9".parse().unwrap());
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_key() {
        let cluster = |items: &[&str]| Some(items.iter().map(ToString::to_string).collect());
        let cases: [(&str, Raw); 11] = [
            ("store_id", Raw { store_id: None, ..good() }),
            ("store_id", Raw { store_id: Some(3), ..good() }),
            ("data_dir", Raw { data_dir: None, ..good() }),
            ("initial_cluster", Raw { initial_cluster: None, ..good() }),
            ("initial_cluster", Raw { initial_cluster: cluster(&["2"]), ..good() }),
            ("initial_cluster", Raw { initial_cluster: cluster(&["0=a:1"]), ..good() }),
            ("initial_cluster", Raw { initial_cluster: cluster(&["2=a:1", "2=a:2"]), ..good() }),
            ("initial_cluster", Raw { initial_cluster: cluster(&["1=a:1", "2=a:1"]), ..good() }),
            ("engine", Raw { engine: Some("rocks".to_owned()), ..good() }),
            ("heartbeat_interval_ms", Raw { heartbeat_interval_ms: Some(400), ..good() }),
            ("cluster_id", Raw { cluster_id: Some(0), ..good() }),
        ];
        for (key, raw) in cases {
            let error = raw.clone().resolve().unwrap_err().to_string();
            assert!(error.contains(&format!("`{key}`")), "{raw:?}: {error}");
        }
    }
}
