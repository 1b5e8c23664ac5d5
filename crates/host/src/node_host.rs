//! Many Raft groups in one process: starts the threads, wires them, hands out the face.
//!
//! ```text
//!  propose / read / receive ──▶ shard thread ──▶ log writer ──▶ peers, shard
//!                                    │  └──────▶ apply worker ──▶ waiters, shard
//!                                    └─────────▶ peers
//!  beside: background (engine sync), snapshot sender, segment keeper
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use kontiki_codec::frame;
use kontiki_log::{Disk, Log};
use kontiki_multiraft::{
    Applier, Event, GroupStatus, OpenSnapshot, Refused, RestoreError, Shard, ShardConfig,
    StateMachine,
};
use kontiki_raft::Notice;
use kontiki_types::{
    Membership, PeerId, Position, ReadMode, RegionId, SnapshotMeta, StoreId, Term,
};

use crate::apply_queues::{ApplyInput, ApplyQueues};
use crate::apply_worker::ApplyWorker;
use crate::background::{self, Background, SyncEngine};
use crate::clock::Clock;
use crate::fatal::{Fatal, OnFatal};
use crate::host_thread::Mark;
use crate::installer::{self, Install, Installs};
use crate::log_writer::{LogInput, LogStatus, LogWriter};
use crate::mailbox::{Mailbox, Rejected};
use crate::metrics::{Metrics, Replication};
use crate::outbox::Outbox;
use crate::segment_keeper::SegmentKeeper;
use crate::shard_thread::{Input, ShardThread};
use crate::snapshot_receiver::SnapshotReceiver;
use crate::snapshot_sender;
use crate::spool::Spools;
use crate::transport::Transport;
use crate::turns::{Owed, Turn, Turns};
use crate::waiters::{ProposeDone, ReadDone, TransferDone, Waiter, Waiters};

mod groups;
mod recovery;

use groups::Comings;
pub use groups::JoiningGroup;
use recovery::Recovery;
pub use recovery::Succession;

/// The groups whose replicas take no part.
pub(crate) type Quarantine = Arc<RwLock<BTreeSet<RegionId>>>;

/// Told of every leadership and membership change, on the shard thread: must return at once.
pub type OnNotice = Arc<dyn Fn(RegionId, &Notice) + Send + Sync>;

/// Most requests and frames that wait for the shard thread; beyond it callers are told `Busy` and
/// frames are dropped.
const INPUTS_MAX: usize = 16_384;
/// Most callers that wait for a reply; beyond it they are told `Busy`.
const WAITERS_MAX: usize = 65_536;
/// How long an inspection waits for the shard thread before it gives up.
const INSPECT_TIMEOUT: Duration = Duration::from_secs(2);

/// One group as the state machine side knows it.
pub struct HostedGroup {
    /// Its id.
    pub group: RegionId,
    /// The replica on this store.
    pub peer: PeerId,
    /// What is replicated.
    pub machine: Box<dyn StateMachine>,
    /// What the state machine has applied, durably as far as is known.
    pub applied: Position,
    /// The membership as of there.
    pub membership: Membership,
    /// An install of a snapshot that a crash interrupted: run again before anything else.
    pub pending_install: Option<(SnapshotMeta, u64)>,
    /// How it is succeeded when it may have forgotten a promise; nothing: then the host does not
    /// start.
    pub succession: Option<Succession>,
}

/// What a host is started with.
pub struct Options {
    /// Bounds of the shard.
    pub shard: ShardConfig,
    /// Time between heartbeats of a leader.
    pub heartbeat_interval: Duration,
    /// Shortest time without a leader before an election.
    pub election_timeout: Duration,
    /// Seed of the election jitter.
    pub seed: u64,
    /// Directory for snapshots on their way in.
    pub spool_dir: PathBuf,
    /// How frames leave.
    pub transport: Arc<dyn Transport>,
    /// Makes the engine durable.
    pub sync_engine: SyncEngine,
    /// Where slow work goes.
    pub background: Background,
    /// Told of changes.
    pub on_notice: OnNotice,
    /// Told of the end.
    pub on_fatal: OnFatal,
    /// Threads that apply; a group stays with one. One for state machines that share an engine.
    pub apply_workers: usize,
    /// Where snapshots are installed.
    pub installs: Installs,
    /// Where to count, if anywhere.
    pub metrics: Option<Arc<Metrics>>,
}

/// Why a host did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The log could not be opened.
    #[error("log: {0}")]
    Log(#[from] kontiki_log::Error),
    /// A replica may not take part.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// A state machine failed while an interrupted install was run again.
    #[error("interrupted snapshot: {0}")]
    Install(#[from] kontiki_multiraft::Error),
    /// The directory for snapshots, or a thread.
    #[error("start: {0}")]
    Io(#[from] std::io::Error),
}

/// A host that is recovered and has no threads yet.
struct Ready<D: Disk> {
    log: Log<D>,
    shard: Shard,
    apply: ApplyQueues,
    spools: Arc<Spools>,
    clock: Clock,
    quarantined: Quarantine,
    comings: Arc<Comings>,
}

/// Many Raft groups in one process. Cheap to clone; [`NodeHost::stop`] ends it.
#[derive(Clone)]
pub struct NodeHost {
    inputs: Arc<Mailbox<Input>>,
    shard: Arc<ShardThread>,
    waiters: Arc<Waiters>,
    spools: Arc<Spools>,
    background: Background,
    log_status: LogStatus,
    quarantined: Quarantine,
    fatal: Fatal,
    clock: Clock,
    apply: ApplyQueues,
    log: Arc<Mailbox<LogInput>>,
    metrics: Option<Arc<Metrics>>,
    comings: Arc<Comings>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl NodeHost {
    /// Recover the log, bring it and the state machines together, start the threads.
    ///
    /// # Errors
    /// See [`StartError`]; nothing was said to anyone then.
    pub fn start<D: Disk>(
        options: Options,
        disk: D,
        log_config: kontiki_log::Config,
        groups: Vec<HostedGroup>,
    ) -> Result<Self, StartError> {
        let clock = Clock::new();
        let spools = Arc::new(Spools::open(options.spool_dir.clone())?);
        let (mut log, mut recovered) = Log::open(disk.clone(), log_config)?;
        for damage in &recovered.damage {
            tracing::error!(?damage, "the log is damaged");
        }
        let apply = ApplyQueues::new(options.apply_workers);
        let (now, mut recovery) = (clock.now(), Recovery::new(&options));
        for hosted in groups {
            let (group, machine) = recovery.bring_up(hosted, &mut recovered, &spools, now)?;
            apply.of(group).push(ApplyInput::Add(group, machine));
        }
        let Recovery { shard, records, quarantined, .. } = recovery;
        if !records.is_empty() {
            log.write(&records)?;
            log.sync()?;
        }
        spools.retain(&[])?;
        let quarantined = Arc::new(RwLock::new(quarantined));
        let comings = Arc::new(Comings::of(recovered));
        let ready = Ready { log, shard, apply, spools, clock, quarantined, comings };
        Self::start_threads(options, disk, ready)
    }

    fn start_threads<D: Disk>(
        options: Options,
        disk: D,
        ready: Ready<D>,
    ) -> Result<Self, StartError> {
        let Ready { log, shard, apply, spools, clock, quarantined, comings } = ready;
        // The log's tasks are what the shard hands out; the shard's own limits bound them.
        let inputs = Arc::new(Mailbox::new(INPUTS_MAX));
        let is_shared = options.transport.sends_within_calls();
        let host = Self {
            shard: Arc::new(ShardThread::new(Arc::clone(&inputs), is_shared)),
            inputs,
            waiters: Arc::default(),
            spools,
            background: options.background,
            log_status: LogStatus::new(log.stats()),
            quarantined,
            fatal: Fatal::new(options.on_fatal),
            clock,
            apply,
            log: Arc::new(Mailbox::new(usize::MAX)),
            metrics: options.metrics,
            comings,
            threads: Arc::default(),
        };
        let mut threads = Threads { handles: Vec::new(), fatal: host.fatal.clone() };
        let outbox = Outbox::new(Arc::clone(&options.transport));
        let writer = LogWriter {
            log,
            tasks: Arc::clone(&host.log),
            shard: Arc::clone(&host.inputs),
            outbox: outbox.clone(),
            keeper: SegmentKeeper::start(disk)?,
            status: host.log_status.clone(),
            fatal: host.fatal.clone(),
            metrics: host.metrics.clone(),
        };
        threads.spawn_all("log", [writer], LogWriter::run)?;

        let snapshots = Arc::new(Mailbox::new(usize::MAX));
        let installer = threads.spawn_installer(options.installs, &host)?;
        let worker = |queue: &Arc<Mailbox<ApplyInput>>| ApplyWorker {
            applier: Applier::new(),
            inputs: Arc::clone(queue),
            shard: Arc::clone(&host.inputs),
            snapshots: Arc::clone(&snapshots),
            installer: installer.clone(),
            waiters: Arc::clone(&host.waiters),
            spools: Arc::clone(&host.spools),
            fatal: host.fatal.clone(),
            metrics: host.metrics.clone(),
            parked: BTreeMap::new(),
        };
        threads.spawn_all("apply", host.apply.all().map(worker), ApplyWorker::run)?;

        threads.spawn_shard(shard, outbox, options.on_notice, &host)?;
        threads.spawn_background(options.sync_engine, &host)?;
        threads.spawn_snapshots(snapshots, options.transport, &host)?;
        *host.threads.lock().unwrap_or_else(PoisonError::into_inner) = threads.handles;
        Ok(host)
    }

    /// Propose a payload; `done` is called once, from a thread of the host: it must not block.
    pub fn propose(
        &self,
        group: RegionId,
        payload: Bytes,
        expected_term: Option<Term>,
        done: ProposeDone,
    ) {
        self.submit(Waiter::Propose(done), |token| Event::Propose {
            group,
            payload,
            token,
            expected_term,
        });
    }

    /// Call `done` on the apply worker once this replica holds everything acknowledged before now.
    pub fn read(&self, group: RegionId, mode: ReadMode, done: ReadDone) {
        self.submit(Waiter::Read(done), |token| Event::Read { group, token, mode });
    }

    /// Ask the leader, if it is here, to hand over to the replica on that store. `done` is called
    /// when the transfer has begun or was refused.
    pub fn transfer(&self, group: RegionId, to: StoreId, done: ProposeDone) {
        self.submit(Waiter::Propose(done), |token| Event::Transfer { group, to: Some(to), token });
    }

    /// Hand leadership to the replica on that store, or to whoever can take over soonest; `done` is
    /// called when the transfer has ended, well or not.
    pub fn transfer_to_end(&self, group: RegionId, to: Option<StoreId>, done: TransferDone) {
        self.submit(Waiter::Transfer(done), |token| Event::Transfer { group, to, token });
    }

    /// A frame from this other store. Dropped when the host is overloaded.
    ///
    /// # Errors
    /// The frame is not one; its sender is broken or no peer at all.
    pub fn receive(&self, store: StoreId, frame: Bytes) -> Result<(), kontiki_codec::Error> {
        let messages = frame::decode(frame)?.into_iter();
        let events = messages.map(|(group, message)| Event::Message { group, store, message });
        // A full mailbox drops the frame, as a network might; Raft repeats it.
        let _ = self.shard.bring(Input::Events(events.collect()));
        Ok(())
    }

    /// A snapshot from another store begins with this offer.
    ///
    /// # Errors
    /// The offer is not one, or the disk refuses.
    pub fn receive_snapshot(&self, offer: Bytes) -> Result<SnapshotReceiver, String> {
        let writer = self.spools.create().map_err(|error| error.to_string())?;
        SnapshotReceiver::new(offer, writer, Arc::clone(&self.inputs))
    }

    /// Nothing reaches this store.
    pub fn unreachable(&self, store: StoreId) {
        let _ = self.inputs.offer(Input::Event(Event::Unreachable { store }));
    }

    /// How all groups stand. Blocks until the shard thread has looked, at most two seconds.
    pub fn statuses(&self) -> Option<Vec<GroupStatus>> {
        self.inspect(|shard| shard.statuses().collect())
    }

    /// Look at the shard from its own thread. Nothing when it did not come to it in two seconds, or
    /// when it is the one that calls.
    pub fn inspect<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Shard) -> T + Send + 'static,
    ) -> Option<T> {
        if self.is_shard_thread() {
            return None;
        }
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let look = move |shard: &Shard| {
            let _ = sender.send(look(shard));
        };
        self.inputs.offer(Input::Inspect(Box::new(look))).ok()?;
        receiver.recv_timeout(INSPECT_TIMEOUT).ok()
    }

    /// The caller is the shard thread, for which it must not wait.
    pub(crate) fn is_shard_thread(&self) -> bool {
        self.shard.is_here()
    }

    /// True while the replica of this group takes no part because its log is damaged: then its
    /// state machine should not be shown either.
    pub fn is_quarantined(&self, group: RegionId) -> bool {
        self.quarantined.read().unwrap_or_else(PoisonError::into_inner).contains(&group)
    }

    /// Sizes and counters of the log.
    pub fn log_status(&self) -> &LogStatus {
        &self.log_status
    }

    /// Where slow work goes.
    pub fn background(&self) -> &Background {
        &self.background
    }

    /// Finish what is under way and stop all threads. Callers that still wait are refused.
    pub fn stop(&self) {
        self.inputs.close();
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the host panicked");
            }
        }
        self.waiters.refuse_all(Refused::LeadershipLost);
    }

    fn submit(&self, waiter: Waiter, event: impl FnOnce(kontiki_multiraft::Token) -> Event) {
        if self.fatal.is_raised() {
            return waiter.refuse(Refused::NotLeader { leader: None });
        }
        let others = self.waiters.len();
        if others >= WAITERS_MAX {
            self.count_refused(&waiter, Refused::Busy);
            return waiter.refuse(Refused::Busy);
        }
        let token = self.waiters.add(waiter);
        let input = Input::Event(event(token));
        // Where others wait, reads that could share a round of heartbeats would each have their own
        // (design/0008).
        let brought = if others == 0 { self.shard.bring(input) } else { self.inputs.offer(input) };
        if let Err((_, rejected)) = brought
            && let Some(waiter) = self.waiters.take(token)
        {
            let refused = match rejected {
                Rejected::Full => Refused::Busy,
                Rejected::Closed => Refused::NotLeader { leader: None },
            };
            self.count_refused(&waiter, refused);
            waiter.refuse(refused);
        }
    }

    fn count_refused(&self, waiter: &Waiter, refused: Refused) {
        if let Some(metrics) = &self.metrics {
            metrics.refused(waiter, refused);
        }
    }
}

/// Named threads, which may call user code and whose panics are fatal.
struct Threads {
    handles: Vec<JoinHandle<()>>,
    fatal: Fatal,
}

impl Threads {
    fn spawn(&mut self, name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let watched = self.fatal.watch(name);
        let body = move || {
            let (_watched, _mark) = (watched, Mark::set());
            body();
        };
        self.handles.push(std::thread::Builder::new().name(name.to_owned()).spawn(body)?);
        Ok(())
    }

    /// One thread for each of these.
    fn spawn_all<T: Send + 'static>(
        &mut self,
        name: &str,
        all: impl IntoIterator<Item = T>,
        run: fn(T),
    ) -> std::io::Result<()> {
        all.into_iter().try_for_each(|one| self.spawn(name, move || run(one)))
    }

    fn spawn_shard(
        &mut self,
        shard: Shard,
        outbox: Outbox,
        on_notice: OnNotice,
        host: &NodeHost,
    ) -> std::io::Result<()> {
        let turns = Turns {
            shard,
            clock: host.clock,
            inputs: Arc::clone(&host.inputs),
            log: Arc::clone(&host.log),
            apply: host.apply.clone(),
            background: Arc::clone(&host.background.jobs),
            outbox,
            waiters: Arc::clone(&host.waiters),
            on_notice,
            fatal: host.fatal.clone(),
            halts: Arc::clone(&host.comings.halts),
            quarantined: Arc::clone(&host.quarantined),
            replication: host.metrics.clone().map(Replication::new),
            turn: Turn::default(),
            owed: Owed::default(),
        };
        let thread = Arc::clone(&host.shard);
        self.spawn("shard", move || thread.run(turns))
    }

    /// The way to the thread that installs snapshots, if there is to be one.
    fn spawn_installer(
        &mut self,
        installs: Installs,
        host: &NodeHost,
    ) -> std::io::Result<Option<Arc<Mailbox<Install>>>> {
        if installs == Installs::InOrder {
            return Ok(None);
        }
        // A group has one install at a time.
        let jobs = Arc::new(Mailbox::new(usize::MAX));
        let (inbox, apply) = (Arc::clone(&jobs), host.apply.clone());
        let (spools, metrics) = (Arc::clone(&host.spools), host.metrics.clone());
        let run = move || installer::run(&inbox, &apply, &spools, metrics.as_deref());
        self.spawn("installs", run)?;
        Ok(Some(jobs))
    }

    fn spawn_background(
        &mut self,
        sync_engine: SyncEngine,
        host: &NodeHost,
    ) -> std::io::Result<()> {
        let (jobs, shard) = (Arc::clone(&host.background.jobs), Arc::clone(&host.inputs));
        let fatal = host.fatal.clone();
        self.spawn("background", move || background::run(&jobs, &sync_engine, &shard, &fatal))
    }

    fn spawn_snapshots(
        &mut self,
        snapshots: Arc<Mailbox<OpenSnapshot>>,
        transport: Arc<dyn Transport>,
        host: &NodeHost,
    ) -> std::io::Result<()> {
        let shard = Arc::clone(&host.inputs);
        self.spawn("snapshots", move || snapshot_sender::run(&snapshots, &transport, &shard))
    }
}
