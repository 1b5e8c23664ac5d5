//! Callers in the process of the leader: each waits until what it proposed is applied, and
//! proposes again. Tasks of a runtime, as goroutines are in dragonboat's baseline.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kontiki_host::NodeHost;
use kontiki_multiraft::Refused;
use kontiki_types::{ReadMode, RegionId};
use tokio::sync::oneshot;

use super::machine::Machine;
use super::rows::KEY_BYTES;
use super::{Load, Loaded};
use crate::closed_loop::{self, Client, Run, Target};
use crate::usage::Watch;
use crate::workload::{Values, Workload};

/// Callers over these groups, dealt in turn.
pub(super) struct Callers {
    pub(super) host: NodeHost,
    pub(super) groups: Vec<(RegionId, Machine)>,
}

impl Callers {
    pub(super) async fn run(&self, load: &Load) -> anyhow::Result<Loaded> {
        let workload = Workload {
            keys: load.keys,
            values: Values::new(load.payload.saturating_sub(KEY_BYTES)),
            warmup: Duration::try_from_secs_f64(load.warmup_s)?,
            seconds: Duration::try_from_secs_f64(load.seconds)?,
        };
        let run = Run {
            system: "kontiki",
            op: load.op,
            clients: load.callers,
            round: load.round,
            workload: &workload,
            watch: &Watch::default(),
        };
        let measured = closed_loop::run(self, run).await;
        let row = measured.row;
        Ok(Loaded {
            ops_per_s: row.ops_per_s,
            p50_ms: row.p50_ms,
            p99_ms: row.p99_ms,
            p999_ms: row.p999_ms,
            errors: row.errors,
            error: measured.error,
        })
    }
}

impl Target for Callers {
    type Client = Caller;

    fn client(&self, n: usize) -> Caller {
        let (group, machine) = self.groups[n % self.groups.len()].clone();
        Caller { host: self.host.clone(), group, machine }
    }
}

/// One of them.
pub(super) struct Caller {
    host: NodeHost,
    group: RegionId,
    machine: Machine,
}

impl Client for Caller {
    async fn put(&mut self, key: Bytes, value: Bytes) -> anyhow::Result<()> {
        let mut payload = BytesMut::with_capacity(KEY_BYTES + value.len());
        payload.put_slice(&short(&key));
        payload.put_slice(&value);
        let (done, outcome) = oneshot::channel();
        let done = Box::new(move |result| drop(done.send(result)));
        self.host.propose(self.group, payload.freeze(), None, done);
        outcome.await?.map_err(|refused| anyhow::anyhow!("refused: {refused:?}"))?;
        Ok(())
    }

    /// A key that was never put is no error here: nothing was preloaded.
    async fn get(&mut self, key: Bytes) -> anyhow::Result<()> {
        let (done, outcome) = oneshot::channel();
        let (machine, key) = (self.machine.clone(), short(&key));
        let done = Box::new(move |result: Result<(), Refused>| {
            // Whoever does not wait any more does not want to know.
            let _ = done.send(result.map(|()| machine.get(key)));
        });
        self.host.read(self.group, ReadMode::Index, done);
        outcome.await?.map_err(|refused| anyhow::anyhow!("refused: {refused:?}"))?;
        Ok(())
    }
}

/// The last digits of a key, which tell a hundred million apart.
fn short(key: &Bytes) -> [u8; KEY_BYTES] {
    *key.last_chunk().expect("keys have sixteen digits")
}
