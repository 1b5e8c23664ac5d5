//! Calls that wait for threads of a host, made on one of them; and hosts that nobody holds.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};

use kontiki_host::library::{
    Cause, Configuration, Entries, Error, Host, HostOptions, MachineError, Member, MemoryNetwork,
    Network, Node, NodeOptions, NodeState, ReadMode, SaveSnapshot, SnapshotReader, StateMachine,
    Task,
};
use kontiki_log::SimDisk;
use kontiki_types::{Index, Membership, PeerId, RegionId, StoreId, Term};
use tempfile::TempDir;

use crate::cluster::{GROUP, PATIENCE};

/// Where user code is called.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Place {
    LeaderStart,
    Configuration,
    Committed,
    Apply,
    Done,
    Read,
    Capture,
    Write,
    Load,
    LeaderStop,
    Shutdown,
    Error,
}

/// All but the loading of snapshots, which needs an end first.
const PLACES: [Place; 11] = [
    Place::LeaderStart,
    Place::Configuration,
    Place::Committed,
    Place::Apply,
    Place::Done,
    Place::Read,
    Place::Capture,
    Place::Write,
    Place::LeaderStop,
    Place::Shutdown,
    Place::Error,
];

/// What is done in each place.
type Act = Arc<dyn Fn(Place, &Host, &Node) + Send + Sync>;

/// A state machine, and completions, that act.
#[derive(Clone)]
struct Actor {
    act: Act,
    there: Arc<OnceLock<(Host, Node)>>,
    places: SyncSender<Place>,
}

impl Actor {
    fn at(&self, place: Place) {
        if let Some((host, node)) = self.there.get() {
            (self.act)(place, host, node);
        }
        let _ = self.places.try_send(place);
    }
}

impl StateMachine for Actor {
    fn apply(&mut self, entries: &mut Entries<'_>) -> Result<(), MachineError> {
        for task in entries {
            self.at(Place::Apply);
            if task.data.as_ref() == b"fail" {
                return Err("on purpose".into());
            }
        }
        Ok(())
    }

    fn save_snapshot(&self) -> Result<SaveSnapshot, MachineError> {
        self.at(Place::Capture);
        let actor = self.clone();
        Ok(Box::new(move |snapshot| {
            actor.at(Place::Write);
            Ok(snapshot.put("nothing", b"")?)
        }))
    }

    fn load_snapshot(&mut self, _: &mut SnapshotReader) -> Result<(), MachineError> {
        self.at(Place::Load);
        Ok(())
    }

    fn on_leader_start(&mut self, _: Term) {
        // The first reign may begin before the test knows its node.
        self.there.wait();
        self.at(Place::LeaderStart);
    }

    fn on_leader_stop(&mut self, _: Term, _: Cause) {
        self.at(Place::LeaderStop);
    }

    fn on_configuration_committed(&mut self, _: Index, _: &Membership) {
        self.at(Place::Configuration);
    }

    fn on_error(&mut self, _: &Error) {
        self.at(Place::Error);
    }

    fn on_shutdown(&mut self) {
        self.at(Place::Shutdown);
    }
}

/// A host with one node that leads itself.
struct Lone {
    _dir: TempDir,
    host: Host,
    actor: Actor,
    places: Receiver<Place>,
}

impl Lone {
    fn new(act: impl Fn(Place, &Host, &Node) + Send + Sync + 'static) -> Self {
        let dir = tempfile::tempdir().expect("made");
        let host = start(&dir);
        let (sender, places) = sync_channel(1024);
        let actor = Actor { act: Arc::new(act), there: Arc::default(), places: sender };
        let node = host.create_node(GROUP, lone_options(), actor.clone()).expect("created");
        assert!(actor.there.set((host.clone(), node)).is_ok(), "set once");
        let lone = Self { _dir: dir, host, actor, places };
        lone.waits_for(Place::LeaderStart);
        lone
    }

    fn node(&self) -> Node {
        self.host.node(GROUP).expect("created")
    }

    fn waits_for(&self, place: Place) {
        loop {
            match self.places.recv_timeout(PATIENCE) {
                Ok(at) if at == place => return,
                Ok(_) => {}
                Err(error) => panic!("{error}: {place:?}"),
            }
        }
    }

    fn task(&self, data: &'static str) -> Task {
        let (committed, done) = (self.actor.clone(), self.actor.clone());
        Task::new(data)
            .with_done(move |_| done.at(Place::Done))
            .with_on_committed(move || committed.at(Place::Committed))
    }

    /// Make it come by this place.
    fn visit(&self, place: Place) {
        let node = self.node();
        match place {
            Place::LeaderStart => {}
            Place::Configuration => {
                let learner = Member::new(StoreId(9), "").learner();
                drop(node.add_peer(&learner));
            }
            Place::Committed | Place::Apply | Place::Done => node.apply(self.task("a")),
            Place::Read => {
                let actor = self.actor.clone();
                node.read_index(ReadMode::Index, move |_| actor.at(Place::Read));
            }
            Place::Capture | Place::Write => {
                node.propose("a").wait_timeout(PATIENCE).expect("applied");
                drop(node.snapshot());
            }
            Place::LeaderStop => {
                // A second voter, of whom nothing is ever heard.
                let two = Configuration::new([1, 9].map(|n| Member::new(StoreId(n), "")));
                node.reset_peers(&two).wait_timeout(PATIENCE).expect("in effect");
            }
            Place::Shutdown => in_time(place, move || node.shutdown()),
            Place::Load => {
                let (host, actor) = (self.host.clone(), self.actor.clone());
                let created =
                    in_time(place, move || host.create_node(GROUP, lone_options(), actor));
                created.expect("brought back");
            }
            Place::Error => node.apply(self.task("fail")),
        }
    }
}

/// With a log in memory: there are many of them.
fn start(dir: &TempDir) -> Host {
    let network = Network::Memory(MemoryNetwork::new());
    let options = HostOptions::new(StoreId(1), dir.path(), network)
        .with_election_timeout(std::time::Duration::from_millis(100));
    Host::start_on(options, SimDisk::new()).expect("started")
}

fn lone_options() -> NodeOptions {
    NodeOptions::new(Configuration::new([Member::new(StoreId(1), "")]))
}

/// In time, and not never: what hangs must not hang the test.
fn in_time<T: Send + 'static>(what: Place, call: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = sync_channel(1);
    let spawned = std::thread::Builder::new().spawn(move || {
        let _ = sender.send(call());
    });
    drop(spawned.expect("a thread"));
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{error}: {what:?}"))
}

#[test]
fn what_waits_for_threads_of_the_host_is_refused_on_them_by_name() {
    let answers = Arc::new(Mutex::new(Vec::<(Place, [Option<Error>; 3])>::new()));
    let told = Arc::clone(&answers);
    let act = move |place: Place, host: &Host, node: &Node| {
        let other =
            Actor { act: Arc::new(|_, _, _| {}), there: Arc::default(), places: sync_channel(1).0 };
        let created = host.create_node(RegionId(8), lone_options(), other.clone()).err();
        let recovered = node.recover(other).err();
        let destroyed = host.destroy_node(RegionId(9), PeerId(1)).err();
        told.lock().expect("no panic").push((place, [created, recovered, destroyed]));
    };
    let lone = Lone::new(act);
    for place in &PLACES[1..PLACES.len() - 1] {
        lone.visit(*place);
        lone.waits_for(*place);
        if *place == Place::LeaderStop {
            let alone = lone_options().initial_conf;
            lone.node().reset_peers(&alone).wait_timeout(PATIENCE).expect("in effect");
            lone.waits_for(Place::LeaderStart);
        }
    }
    // Loaded on the thread of the caller, who holds the host meanwhile.
    lone.visit(Place::Load);
    lone.waits_for(Place::LeaderStart);
    lone.visit(Place::Error);
    lone.waits_for(Place::Error);
    let answers = std::mem::take(&mut *answers.lock().expect("no panic"));
    let host = lone.host.clone();
    in_time(Place::Shutdown, move || host.shutdown());
    for (place, errors) in &answers {
        assert!(errors.iter().all(|e| *e == Some(Error::OnHostThread)), "{place:?}: {errors:?}");
    }
    for place in PLACES.into_iter().skip(1).chain([Place::Load]) {
        assert!(answers.iter().any(|(at, _)| *at == place), "{place:?} not visited");
    }
}

#[test]
fn a_node_that_is_shut_down_where_its_own_code_runs_ends() {
    for place in PLACES {
        let lone = Lone::new(move |at, _, node| {
            if at == place {
                node.shutdown();
            }
        });
        lone.visit(place);
        lone.waits_for(Place::Shutdown);
        let host = lone.host.clone();
        in_time(place, move || host.shutdown());
    }
}

#[test]
fn a_host_that_is_shut_down_where_user_code_runs_ends() {
    for place in PLACES {
        let lone = Lone::new(move |at, host, _| {
            if at == place {
                host.shutdown();
            }
        });
        lone.visit(place);
        lone.waits_for(Place::Shutdown);
        let host = lone.host.clone();
        in_time(place, move || host.shutdown());
    }
}

#[test]
fn who_would_wait_for_the_very_thread_that_calls_is_told_so() {
    let dir = tempfile::tempdir().expect("made");
    let host = start(&dir);
    let (sender, places) = sync_channel(1024);
    drop(places);
    let actor = Actor { act: Arc::new(|_, _, _| {}), there: Arc::default(), places: sender };
    let three = Configuration::new([1, 8, 9].map(|n| Member::new(StoreId(n), "")));
    let node = host.create_node(GROUP, NodeOptions::new(three), actor).expect("created");
    // Nobody leads: the thread that knows refuses the task, and says so itself.
    let (sender, answers) = sync_channel(1);
    let asked = node.clone();
    node.apply(Task::new("a").with_done(move |result| {
        let refused = result.err();
        let (status, state) = (asked.status().err(), asked.state());
        let log = asked.read_committed_user_log(Index(1)).err();
        let _ = sender.send((refused, status, state, log));
    }));
    let answer = answers.recv_timeout(PATIENCE).expect("answered");
    let named = Error::OnHostThread;
    let refused = Some(Error::NotLeader { leader: None });
    assert_eq!(
        answer,
        (refused, Some(named.clone()), NodeState::Error(named.clone()), Some(named))
    );
}

#[test]
fn a_panic_in_a_completion_or_in_a_save_is_nobody_elses() {
    for place in [Place::Committed, Place::Done, Place::Read, Place::Capture, Place::Write] {
        let lone = Lone::new(move |at, _, _| assert!(at != place, "on purpose"));
        lone.visit(place);
        lone.visit(Place::Write);
        let node = lone.node();
        node.propose("a").wait_timeout(PATIENCE).expect("applied");
        assert_eq!((node.state(), lone.host.failure()), (NodeState::Leader, None), "{place:?}");
        lone.host.shutdown();
    }
}

#[test]
fn a_panic_in_what_a_state_machine_is_told_puts_its_node_into_the_error_state() {
    for place in [Place::Configuration, Place::Apply, Place::LeaderStop] {
        let lone = Lone::new(move |at, _, _| assert!(at != place, "on purpose"));
        lone.visit(place);
        lone.waits_for(Place::Error);
        let reason = "panicked: on purpose".to_owned();
        let state = NodeState::Error(Error::StateMachine { reason });
        assert_eq!((lone.node().state(), lone.host.failure()), (state, None), "{place:?}");
        lone.host.shutdown();
    }
}
