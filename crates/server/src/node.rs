//! A store, assembled: what the services share, and the order in which it comes up.
//!
//! Up: lock the directory, open the engine, open the regions, start the host (which opens the log),
//! listen. Down: stop listening, stop the host, sync the engine. Nothing is said to anyone before
//! everything is recovered.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use kontiki_codec::store_ident::StoreIdent;
use kontiki_engine::{Engine, MemoryEngine};
use kontiki_engine_fjall::FjallEngine;
use kontiki_host::disk::RealDisk;
use kontiki_host::tcp::{Identity, OnLost, Tcp};
use kontiki_host::{Background, HostedGroup, NodeHost, Options, Succession};
use kontiki_multiraft::{EngineSyncConfig, ShardConfig};
use kontiki_raft::Notice;
use kontiki_store::{Descriptors, Opened, Replica, Tuning, bootstrap, heir};
use kontiki_types::{ClientId, Peer, PeerId, PeerRole, RegionId, SnapshotMeta, StoreId};
use tokio::sync::watch;

use crate::config::{Config, EngineKind};
use crate::data_dir::DataDir;
use crate::error::Error;
use crate::image_file::ImageFile;
use crate::known_stores::KnownStores;
use crate::leaders::Leaders;
use crate::orders::Orders;
use crate::random::random_u64;

/// Ids of heirs are drawn from 48 bits: short in status, and never drawn twice.
const HEIR_SHIFT: u32 = 16;

/// What the services of a store share.
pub(crate) struct Node {
    pub(crate) identity: Identity,
    pub(crate) stores: BTreeMap<StoreId, String>,
    pub(crate) known_stores: KnownStores,
    pub(crate) host: NodeHost,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) regions: Arc<Descriptors>,
    pub(crate) leaders: Arc<Leaders>,
    pub(crate) orders: Orders,
    pub(crate) background: Background,
    pub(crate) started: Instant,
    /// Bytes of a log segment, for status.
    pub(crate) segment_bytes: u64,
    /// Set when the store can no longer keep its promises.
    pub(crate) fatal: watch::Receiver<Option<String>>,
    _dir: DataDir,
}

impl Node {
    /// Bring the store up.
    ///
    /// # Errors
    /// See [`Error`]; nothing was said to anyone.
    pub(crate) fn start(config: &Config) -> Result<Arc<Self>, Error> {
        let started = Instant::now();
        let dir = DataDir::open(&config.data_dir, config.cluster, config.store)?;
        let (cluster, store) = (config.cluster, config.store);
        let (incarnation, address) = (dir.incarnation.to_u64(), String::new());
        let identity = Identity { cluster, store, incarnation, address };
        let known_stores = KnownStores::open(dir.path())?;
        let engine = open_engine(config, &dir)?;
        let background = Background::new();
        let opened = open_regions(config, &dir, &engine, &background)?;

        let (fatal_in, fatal) = watch::channel(None);
        let leaders = Arc::new(Leaders::default());
        let (noted, synced) = (Arc::clone(&leaders), Arc::clone(&engine));
        // The lanes are there before the host, and tell it when they break.
        let hosting = Arc::new(OnceLock::<NodeHost>::new());
        let told = Arc::clone(&hosting);
        let on_lost: OnLost = Arc::new(move |store| {
            if let Some(host) = told.get() {
                host.unreachable(store);
            }
        });
        let options = Options {
            shard: ShardConfig {
                engine_sync: engine_sync(config.engine),
                ..ShardConfig::default()
            },
            heartbeat_interval: config.heartbeat_interval,
            election_timeout: config.election_timeout,
            seed: random_u64()?,
            spool_dir: dir.join("spool"),
            transport: Arc::new(Tcp::start(identity.clone(), &config.stores, &on_lost)?),
            sync_engine: Box::new(move || synced.sync().map_err(|error| error.to_string())),
            background: background.clone(),
            on_notice: Arc::new(move |region, notice| note(&noted, region, notice)),
            on_fatal: Box::new(move |cause| drop(fatal_in.send(Some(cause)))),
            // The regions share an engine: one worker writes one batch for all of them.
            apply_workers: 1,
            installs: kontiki_host::Installs::InOrder,
            metrics: None,
        };
        let disk = RealDisk::open(&dir.join("log"))?;
        let log_config = kontiki_log::Config::new(random_u64()?);
        let segment_bytes = log_config.segment_bytes;
        let (groups, regions) = hosted(config.store, &engine, opened)?;
        let host = NodeHost::start(options, disk, log_config, groups)?;
        let host = hosting.get_or_init(|| host).clone();
        Ok(Arc::new(Self {
            identity,
            stores: config.stores.clone(),
            known_stores,
            host,
            engine,
            regions,
            leaders,
            orders: Orders::new(ClientId(random_u64()?)),
            background,
            started,
            segment_bytes,
            fatal,
            _dir: dir,
        }))
    }

    /// Bring the store down; blocks until its threads have ended.
    pub(crate) fn stop(&self) {
        self.host.stop();
        // Not needed for safety, the log has it all: the next start has less to replay.
        if let Err(error) = self.engine.sync() {
            tracing::error!(%error, "engine not synced at the end");
        }
    }
}

/// When the engine is synced: what a store that was killed has to apply again.
fn engine_sync(engine: EngineKind) -> EngineSyncConfig {
    const MIB: usize = 1 << 20;
    let (every_bytes, resting_bytes) = match engine {
        // A sync writes what is new, and every row of it is merged with old ones later: the more
        // at once, the fewer of those.
        EngineKind::Fjall => (32 * MIB, MIB),
        // A sync writes everything there is. Twice as much to apply again takes two seconds on a
        // busy machine, in which the next store may be killed.
        EngineKind::Memory => (32 * MIB, 32 * MIB),
    };
    EngineSyncConfig { every_bytes, resting_bytes, ..EngineSyncConfig::default() }
}

fn open_engine(config: &Config, dir: &DataDir) -> Result<Arc<dyn Engine>, Error> {
    let place = dir.join("engine");
    Ok(match config.engine {
        EngineKind::Fjall => Arc::new(FjallEngine::open_with(&place, config.engine_cache_bytes)?),
        EngineKind::Memory => Arc::new(MemoryEngine::open(Arc::new(ImageFile::open(place)?))?),
    })
}

/// The regions of the engine; those of a new cluster when it is empty.
fn open_regions(
    config: &Config,
    dir: &DataDir,
    engine: &Arc<dyn Engine>,
    background: &Background,
) -> Result<Opened, Error> {
    let ident = StoreIdent { cluster: config.cluster, store: config.store };
    if bootstrap::identity(engine.as_ref())?.is_none() {
        // One voter per store; with a static membership the peer of store n is peer n.
        let peers = config.stores.keys().map(|&store| Peer {
            id: PeerId(store.0),
            store,
            role: PeerRole::Voter,
        });
        let region = bootstrap::first_region(peers.collect());
        if dir.incarnation.rejoined {
            // In place of a directory that was lost: nobody may speak for who was born there.
            bootstrap::rejoin(engine.as_ref(), ident, &[region], draw_heir()?)?;
        } else {
            bootstrap::bootstrap(engine.as_ref(), ident, &[region])?;
        }
    }
    let jobs: Arc<dyn kontiki_store::Background> = Arc::new(Jobs(background.clone()));
    Ok(kontiki_store::open::open(engine, ident, &jobs, Tuning::default())?)
}

/// The regions as the host takes them.
fn hosted(
    store: StoreId,
    engine: &Arc<dyn Engine>,
    opened: Opened,
) -> Result<(Vec<HostedGroup>, Arc<Descriptors>), Error> {
    let mut pending: BTreeMap<RegionId, (SnapshotMeta, u64)> = opened
        .pending_installs
        .into_iter()
        .map(|install| (install.region, (install.meta, install.spool)))
        .collect();
    let mut groups = Vec::new();
    for replica in opened.replicas {
        let group = replica.id();
        let pending_install = pending.remove(&group);
        let peer = own_peer(&replica, pending_install.as_ref(), store)
            .ok_or(Error::NotAMember { region: group, store })?;
        groups.push(HostedGroup {
            group,
            peer,
            applied: replica.applied(),
            membership: replica.membership(),
            succession: Some(succession(store, engine, &replica)),
            machine: Box::new(replica),
            pending_install,
        });
    }
    Ok((groups, opened.descriptors))
}

/// An id that no replica ever had.
fn draw_heir() -> std::io::Result<PeerId> {
    Ok(PeerId(random_u64()? >> HEIR_SHIFT))
}

/// A new replica in place of this one, should it have forgotten what it promised.
fn succession(store: StoreId, engine: &Arc<dyn Engine>, replica: &Replica) -> Succession {
    let (engine, region) = (Arc::clone(engine), replica.id());
    let appoint = Box::new(move || {
        let heir = draw_heir().map_err(|error| error.to_string())?;
        heir::appoint(engine.as_ref(), region, heir).map_err(|error| error.to_string())?;
        Ok(heir)
    });
    Succession { store, is_heir: replica.heir().is_some(), appoint }
}

/// This store's peer: an heir, or by the descriptor or, after an interrupted install, by the
/// snapshot's.
fn own_peer(
    replica: &Replica,
    pending: Option<&(SnapshotMeta, u64)>,
    store: StoreId,
) -> Option<PeerId> {
    if let Some(heir) = replica.heir() {
        return Some(heir);
    }
    let mine = |peer: &Peer| peer.store == store;
    let found = replica.region().peers.iter().copied().find(mine);
    let found = found.or_else(|| pending?.0.membership.peers().find(mine));
    found.map(|peer| peer.id)
}

/// The store's view of the host's background thread.
struct Jobs(Background);

impl kontiki_store::Background for Jobs {
    fn spawn(&self, job: Box<dyn FnOnce() + Send>) {
        self.0.spawn(job);
    }
}

fn note(leaders: &Leaders, region: RegionId, notice: &Notice) {
    match notice {
        Notice::LeaderChanged { term, leader, why } => {
            leaders.set(region, *term, *leader);
            let leader = leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
            tracing::info!(%region, %term, leader, %why, "leader");
        }
        Notice::SnapshotInstall(meta) => {
            tracing::info!(%region, position = %meta.position, "installing a snapshot");
        }
        Notice::TransferEnded { to, outcome } => {
            let outcome = outcome.name();
            tracing::info!(%region, %to, outcome, "transfer of leadership ended");
        }
        _ => {}
    }
}
