//! What a person writes: every key optional, unknown keys refused, units in the names.
//!
//! The command line fills one [`Raw`] from flags and `KONTIKI_*` variables, the file gives another;
//! [`Raw::over`] joins them. Checks live in [`super::resolved`], none here.

use serde::Deserialize;

use super::Error;

/// Keys of the TOML file, flags of `kontiki serve` (with `-` for `_`), and `KONTIKI_*` variables.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    /// This store's id, from 1; one of those in `initial_cluster`. No default.
    pub store_id: Option<u64>,
    /// The cluster; stores and data directories of another one are refused. Default 1.
    pub cluster_id: Option<u64>,
    /// Where this store keeps its log and its data; made if missing. No default.
    pub data_dir: Option<String>,
    /// Address to listen on, `IP:PORT`. Default: this store's address in `initial_cluster`.
    pub listen: Option<String>,
    /// All stores as `ID=HOST:PORT`, the address others reach them at. No default.
    pub initial_cluster: Option<Vec<String>>,
    /// `fjall` (on disk) or `memory` (durable by log and snapshots). Default `fjall`.
    pub engine: Option<String>,
    /// Memory the engine may use to cache blocks, MiB. Default 256.
    pub engine_cache_mib: Option<u64>,
    /// Shortest time without a leader before a store campaigns, milliseconds; the actual time is
    /// drawn between this and twice this. Default 500.
    pub election_timeout_ms: Option<u64>,
    /// Time between heartbeats of a leader, milliseconds; at most a third of the election timeout.
    /// Default: a tenth of it.
    pub heartbeat_interval_ms: Option<u64>,
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as
    /// `info,kontiki_host=debug`. Default `info`.
    pub log_level: Option<String>,
}

impl Raw {
    /// The keys of a TOML text.
    ///
    /// # Errors
    /// When it is not TOML or has a key that is not a field of [`Raw`].
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        Ok(toml::from_str(text)?)
    }

    /// These keys, and those of `file` where these say nothing.
    #[must_use]
    pub fn over(self, file: Self) -> Self {
        Self {
            store_id: self.store_id.or(file.store_id),
            cluster_id: self.cluster_id.or(file.cluster_id),
            data_dir: self.data_dir.or(file.data_dir),
            listen: self.listen.or(file.listen),
            initial_cluster: self.initial_cluster.or(file.initial_cluster),
            engine: self.engine.or(file.engine),
            engine_cache_mib: self.engine_cache_mib.or(file.engine_cache_mib),
            election_timeout_ms: self.election_timeout_ms.or(file.election_timeout_ms),
            heartbeat_interval_ms: self.heartbeat_interval_ms.or(file.heartbeat_interval_ms),
            log_level: self.log_level.or(file.log_level),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_refused_by_name() {
        let error = Raw::from_toml("store_id = 1\ndata_dri = \"x\"\n").unwrap_err();
        assert!(error.to_string().contains("data_dri"), "{error}");
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = Raw::from_toml("store_id = 1\nengine = \"memory\"\n").unwrap();
        let flags = Raw { store_id: Some(2), ..Raw::default() };
        let both = flags.over(file);
        assert_eq!(both.store_id, Some(2));
        assert_eq!(both.engine.as_deref(), Some("memory"));
    }
}
