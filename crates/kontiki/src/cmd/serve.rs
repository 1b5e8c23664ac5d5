//! `kontiki serve`: runs one store, from flags, variables and a file. All it knows is how to fill
//! a configuration and when to stop.

use std::path::PathBuf;

use kontiki_server::config::Raw;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::allocator;
use crate::exit::{Code, Failure};
use crate::supervise::guard;

/// Run one store
///
/// Flags win over KONTIKI_* variables, and both over the file of --config. SIGTERM and Ctrl-C stop
/// it cleanly; a kill loses nothing either.
#[derive(clap::Args, Debug)]
pub(crate) struct Serve {
    /// TOML file with these flags as keys (`store_id = 1`); unknown keys are refused
    #[arg(long, env = "KONTIKI_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// This store's id, from 1; one of those of --initial-cluster
    #[arg(long, env = "KONTIKI_STORE_ID", value_name = "N")]
    store_id: Option<u64>,
    /// The cluster; stores and directories of another one are refused [default: 1]
    #[arg(long, env = "KONTIKI_CLUSTER_ID", value_name = "N")]
    cluster_id: Option<u64>,
    /// Where this store keeps its log and data; made if missing
    #[arg(long, env = "KONTIKI_DATA_DIR", value_name = "DIR")]
    data_dir: Option<String>,
    /// Address to listen on [default: this store's address of --initial-cluster]
    #[arg(long, env = "KONTIKI_LISTEN", value_name = "IP:PORT")]
    listen: Option<String>,
    /// All stores, for example 1=127.0.0.1:7401,2=127.0.0.1:7402,3=127.0.0.1:7403
    #[arg(
        long,
        env = "KONTIKI_INITIAL_CLUSTER",
        value_name = "ID=HOST:PORT,…",
        value_delimiter = ','
    )]
    initial_cluster: Option<Vec<String>>,
    /// Where rows live: fjall (on disk) or memory (durable by log and snapshots) [default: fjall]
    #[arg(long, env = "KONTIKI_ENGINE", value_name = "NAME")]
    engine: Option<String>,
    /// Memory the engine may use to cache blocks, MiB [default: 256]
    #[arg(long, env = "KONTIKI_ENGINE_CACHE_MIB", value_name = "MIB")]
    engine_cache_mib: Option<u64>,
    /// Shortest time without a leader before an election, ms [default: 500]
    #[arg(long, env = "KONTIKI_ELECTION_TIMEOUT_MS", value_name = "MS")]
    election_timeout_ms: Option<u64>,
    /// Time between heartbeats of a leader, ms [default: a tenth of the election timeout]
    #[arg(long, env = "KONTIKI_HEARTBEAT_INTERVAL_MS", value_name = "MS")]
    heartbeat_interval_ms: Option<u64>,
    /// error, warn, info, debug, trace, or a filter such as info,kontiki_host=debug [default: info]
    #[arg(long, env = "KONTIKI_LOG_LEVEL", value_name = "FILTER")]
    log_level: Option<String>,
    /// Die with the process of this id: set by `playground` and `chaos`
    #[arg(long, hide = true)]
    parent_pid: Option<i32>,
}

impl Serve {
    /// Runs it until it is told to stop.
    pub(crate) fn run(self) -> Result<(), Failure> {
        allocator::keep_freed_memory();
        if let Some(parent) = self.parent_pid {
            guard::die_with_parent(parent)?;
        }
        let config = self.raw()?.resolve().map_err(|error| Failure::usage(error.to_string()))?;
        log_to_stderr(&config.log_level)?;
        let runtime = super::runtime()?;
        let stop = runtime.block_on(async { told_to_stop() })?;
        let ended = runtime.block_on(kontiki_server::run(config, stop));
        // A store that was told to stop while it recovered does not wait for the end of that.
        runtime.shutdown_background();
        ended.map_err(|error| refused(&error))
    }

    fn raw(self) -> Result<Raw, Failure> {
        let file = match &self.config {
            None => Raw::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Failure::machine(format!("cannot read {}", path.display()), error)
                })?;
                Raw::from_toml(&text).map_err(|error| {
                    Failure::usage(format!("{}: {error}", path.display()))
                        .hint("the keys are the flags of `kontiki serve --help`, with _ for -")
                })?
            }
        };
        let flags = Raw {
            store_id: self.store_id,
            cluster_id: self.cluster_id,
            data_dir: self.data_dir,
            listen: self.listen,
            initial_cluster: self.initial_cluster,
            engine: self.engine,
            engine_cache_mib: self.engine_cache_mib,
            election_timeout_ms: self.election_timeout_ms,
            heartbeat_interval_ms: self.heartbeat_interval_ms,
            log_level: self.log_level,
        };
        Ok(flags.over(file))
    }
}

/// Resolves on SIGTERM or Ctrl-C. The handlers are in place when this returns.
fn told_to_stop() -> Result<impl Future<Output = ()> + Send, Failure> {
    let listen =
        |kind| signal(kind).map_err(|error| Failure::machine("cannot listen for signals", error));
    let (mut term, mut interrupt) =
        (listen(SignalKind::terminate())?, listen(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn log_to_stderr(filter: &str) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Failure::usage(format!("--log-level {filter:?}: {error}"))
            .hint("give error, warn, info, debug or trace")
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(crate::output::stderr_is_coloured())
        .init();
    Ok(())
}

/// Why a store did not start, or stopped by itself, with all causes on one line.
fn refused(error: &dyn std::error::Error) -> Failure {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some errors repeat their cause in their own words.
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    Failure::new(Code::Machine, message)
}
