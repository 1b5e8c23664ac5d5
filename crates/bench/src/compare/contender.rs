//! A cluster that this program starts and loads: its processes, and the connection to them.
//!
//! A run begins only when every server of the comparison idles and dirty pages are written back,
//! so that nobody pays for what another left behind.

use anyhow::Context;

use super::{Plan, Point};
use crate::closed_loop::{Measured, Run};
use crate::systems::{Kind, System, etcd_cluster, kontiki_cluster};
use crate::usage::{Watch, Watched, print_threads, settle};

/// See the module.
pub(super) struct Contender {
    pub(super) kind: Kind,
    cluster: Cluster,
    system: System,
}

/// The processes of a cluster.
enum Cluster {
    Etcd(etcd_cluster::Cluster),
    Kontiki(kontiki_cluster::Cluster),
}

impl Contender {
    /// Starts it in an empty directory and puts every key.
    pub(super) async fn start(kind: Kind, plan: &Plan<'_>) -> anyhow::Result<Self> {
        let (name, args) = (kind.name(), plan.args);
        let dir = plan.dir.join(name);
        let cluster = match kind {
            Kind::Etcd => Cluster::Etcd(etcd_cluster::Cluster::start(&args.etcd, &dir)?),
            Kind::Kontiki => {
                let binary = args.kontiki.as_deref();
                Cluster::Kontiki(kontiki_cluster::Cluster::start(binary, &dir).await?)
            }
        };
        let system = cluster.connect().await?;
        println!("{name} is up; preloading {} keys", plan.workload.keys);
        system.preload(&plan.workload).await.with_context(|| format!("preload {name}"))?;
        Ok(Self { kind, cluster, system })
    }

    /// Brings it into the state in which reads and writes are measured.
    pub(super) async fn refresh(&mut self) -> anyhow::Result<()> {
        if let Cluster::Etcd(cluster) = &mut self.cluster {
            cluster.restart()?;
            self.system = self.cluster.connect().await?;
        }
        Ok(())
    }

    /// Its processes.
    pub(super) fn watched(&self) -> Vec<Watched> {
        match &self.cluster {
            Cluster::Etcd(cluster) => cluster.watched(),
            Cluster::Kontiki(cluster) => cluster.watched(),
        }
    }

    /// One run, once `all` servers idle.
    pub(super) async fn measure(
        &mut self,
        plan: &Plan<'_>,
        point: Point,
        round: u64,
        all: &Watch,
    ) -> anyhow::Result<Measured> {
        if let Some(cores) = settle(all).await {
            println!("note: the servers do not idle, they use {cores:.2} cores");
        }
        let mut processes = self.watched();
        processes.push(Watched::this_program());
        let watch = Watch { processes, data: Some(plan.dir.clone()) };
        let (system, workload) = (self.kind.name(), &plan.workload);
        let Point { op, clients } = point;
        let run = Run { system, op, clients, round, workload, watch: &watch };
        let outcome = self.system.run(run).await;
        self.check(&watch)?;
        outcome.print_line();
        if plan.args.threads && round == plan.args.rounds {
            print_threads(&outcome.row, &outcome.used);
        }
        Ok(outcome)
    }

    /// Refuses figures of a cluster that lost a member meanwhile.
    fn check(&self, watch: &Watch) -> anyhow::Result<()> {
        let dir = match &self.cluster {
            Cluster::Etcd(cluster) => cluster.dir(),
            Cluster::Kontiki(cluster) => cluster.dir(),
        };
        for one in &watch.processes {
            let (name, label) = (self.kind.name(), &one.label);
            anyhow::ensure!(one.runs(), "{label} of {name} died; see {}", dir.display());
        }
        Ok(())
    }
}

impl Cluster {
    async fn connect(&self) -> anyhow::Result<System> {
        let (kind, endpoints, dir) = match self {
            Self::Etcd(cluster) => (Kind::Etcd, etcd_cluster::Cluster::endpoints(), cluster.dir()),
            Self::Kontiki(cluster) => (Kind::Kontiki, cluster.endpoints(), cluster.dir()),
        };
        let connected = System::connect(kind, &endpoints).await;
        connected.with_context(|| format!("its logs are in {}", dir.display()))
    }
}
