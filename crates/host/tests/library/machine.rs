//! The state machine of these tests: a list of words, with words that make it fail.

use std::io::Write as _;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};

use kontiki_host::library::{
    Cause, Entries, Error, Following, MachineError, SaveSnapshot, SnapshotReader, StateMachine,
};
use kontiki_types::{Index, Membership, StoreId, Term};

/// What happened to a state machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Call {
    LeaderStart(Term),
    LeaderStop(Term),
    StartFollowing(StoreId),
    StopFollowing(StoreId),
    Membership(Index, usize),
    Error(Error),
    Loaded(usize),
    Shutdown,
}

/// What the test sees of a state machine.
#[derive(Clone)]
pub(crate) struct Probe {
    pub(crate) words: Arc<Mutex<Vec<String>>>,
    /// Why it led or followed no more, each time.
    whys: Arc<Mutex<Vec<Cause>>>,
    calls: SyncSender<(StoreId, Call)>,
}

/// All calls of a cluster's state machines, in order.
pub(crate) struct Calls {
    receiver: Receiver<(StoreId, Call)>,
    seen: Mutex<Vec<(StoreId, Call)>>,
}

impl Calls {
    pub(crate) fn new() -> (Probe, Self) {
        let (calls, receiver) = sync_channel(4096);
        (
            Probe { words: Arc::default(), whys: Arc::default(), calls },
            Self { receiver, seen: Mutex::default() },
        )
    }

    /// The next call that fits, of those that nobody has waited for or passed over yet.
    pub(crate) fn wait(&self, fits: impl Fn(StoreId, &Call) -> bool) -> (StoreId, Call) {
        loop {
            let patience = std::time::Duration::from_secs(20);
            let (store, call) = match self.receiver.recv_timeout(patience) {
                Ok(called) => called,
                Err(error) => panic!("{error}: no such call among {:#?}", self.all()),
            };
            self.seen.lock().expect("no panic under it").push((store, call.clone()));
            if fits(store, &call) {
                return (store, call);
            }
        }
    }

    pub(crate) fn leader(&self) -> StoreId {
        self.wait(|_, call| matches!(call, Call::LeaderStart(_))).0
    }

    /// Everything that was called until now.
    pub(crate) fn all(&self) -> Vec<(StoreId, Call)> {
        let mut seen = self.seen.lock().expect("no panic under it");
        seen.extend(self.receiver.try_iter());
        seen.clone()
    }
}

impl Probe {
    /// The same calls, other words.
    pub(crate) fn fresh(&self) -> Self {
        Self { words: Arc::default(), whys: Arc::default(), calls: self.calls.clone() }
    }

    pub(crate) fn words(&self) -> Vec<String> {
        self.words.lock().expect("no panic under it").clone()
    }

    /// Why it led or followed no more, each time.
    pub(crate) fn whys(&self) -> Vec<Cause> {
        self.whys.lock().expect("no panic under it").clone()
    }
}

/// See the module. `panic on N` panics on store N, `fail on N` fails there, `leave on N` leaves
/// what comes after it; with `unsaveable` among the words none can be saved.
pub(crate) struct Words {
    pub(crate) store: StoreId,
    pub(crate) probe: Probe,
}

impl Words {
    fn tell(&self, call: Call) {
        self.probe.calls.send((self.store, call)).expect("the test listens");
    }

    fn tell_why(&self, call: Call, why: Cause) {
        self.probe.whys.lock().expect("no panic under it").push(why);
        self.tell(call);
    }
}

impl StateMachine for Words {
    fn apply(&mut self, entries: &mut Entries<'_>) -> Result<(), MachineError> {
        for task in entries.by_ref() {
            let word = String::from_utf8(task.data.to_vec())?;
            match word.split_once(" on ") {
                Some((what, store)) if store == self.store.0.to_string() => match what {
                    "panic" => panic!("on purpose"),
                    "fail" => return Err("on purpose".into()),
                    _ => return Ok(()),
                },
                _ => {}
            }
            let mut words = self.probe.words.lock().expect("no panic under it");
            words.push(word);
            let count = words.len();
            drop(words);
            if let Some(done) = task.done {
                done.reply(count.to_string());
            }
        }
        Ok(())
    }

    fn save_snapshot(&self) -> Result<SaveSnapshot, MachineError> {
        let words = self.probe.words();
        if words.iter().any(|word| word == "unsaveable") {
            return Err("on purpose".into());
        }
        Ok(Box::new(move |snapshot| {
            let mut file = snapshot.file("words")?;
            for word in &words {
                writeln!(file, "{word}")?;
            }
            Ok(file.finish()?)
        }))
    }

    fn load_snapshot(&mut self, snapshot: &mut SnapshotReader) -> Result<(), MachineError> {
        let text = String::from_utf8(snapshot.read("words")?)?;
        let words: Vec<String> = text.lines().map(str::to_owned).collect();
        self.tell(Call::Loaded(words.len()));
        *self.probe.words.lock().expect("no panic under it") = words;
        Ok(())
    }

    fn on_leader_start(&mut self, term: Term) {
        self.tell(Call::LeaderStart(term));
    }

    fn on_leader_stop(&mut self, term: Term, why: Cause) {
        self.tell_why(Call::LeaderStop(term), why);
    }

    fn on_start_following(&mut self, leader: &Following) {
        self.tell(Call::StartFollowing(leader.store));
    }

    fn on_stop_following(&mut self, leader: &Following, why: Cause) {
        self.tell_why(Call::StopFollowing(leader.store), why);
    }

    fn on_configuration_committed(&mut self, index: Index, membership: &Membership) {
        self.tell(Call::Membership(index, membership.len()));
    }

    fn on_error(&mut self, error: &Error) {
        self.tell(Call::Error(error.clone()));
    }

    fn on_shutdown(&mut self) {
        self.tell(Call::Shutdown);
    }
}
