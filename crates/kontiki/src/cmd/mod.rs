//! One file per command. Each holds its flags and a `run` that calls the client or the server
//! library and prints; commands never call each other.

pub(crate) mod bench;
pub(crate) mod cas;
pub(crate) mod completion;
pub(crate) mod delete;
pub(crate) mod delete_range;
pub(crate) mod dump;
pub(crate) mod get;
pub(crate) mod load;
pub(crate) mod playground;
pub(crate) mod progress;
pub(crate) mod put;
mod range;
pub(crate) mod rejoin;
pub(crate) mod scan;
pub(crate) mod serve;
pub(crate) mod status;

use kontiki_client::{Client, ReadMode};
use tokio::runtime::{Builder, Runtime};

use crate::exit::Failure;

/// Threads for sockets and timers; the machine is shared with the stores of a playground.
const WORKER_THREADS: usize = 1;

/// A runtime for clients.
pub(crate) fn runtime() -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .enable_all()
        .build()
        .map_err(|error| Failure::machine("cannot start threads", error))
}

/// Runs a client command to its end.
pub(crate) fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    runtime()?.block_on(command)
}

/// The same client, or one that any replica may answer.
fn fresh_or_stale(client: Client, stale: bool) -> Client {
    if stale { client.with_read_mode(ReadMode::Stale) } else { client }
}
