//! The core, step by step: what it sends when, and what callers get to know. The test is the
//! driver: it carries batches and answers by hand, and time moves when it says so.

use std::time::Duration;

use bytes::Bytes;
use kontiki_types::{
    ClusterId, Command, Epoch, KeyRange, Outcome, Peer, PeerId, PeerRole, Refusal, Region,
    RegionId, RequestId, Term,
};

use super::*;
use crate::ReadMode;
use crate::admin::{Route, Store};
use crate::ask::{
    Answer, AnswerBody, Body, Columns, Direction, Found, Outgoing, Read, Scan, Trouble,
};
use crate::session::{SESSION_AGE_MAX, SESSION_OPEN_MAX};

const ATTEMPT: Duration = Duration::from_secs(1);
const DEADLINE: Moment = Moment(10_000_000);
const CLUSTER: ClusterId = ClusterId(1);

fn s(id: u64) -> StoreId {
    StoreId(id)
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

fn range(text: &str) -> KeyRange {
    let (start, end) = text.split_once("..").unwrap();
    KeyRange::new(bytes(start), (!end.is_empty()).then(|| bytes(end)))
}

fn region(id: u64, keys: &str, version: u64) -> Region {
    let peer = |n| Peer { id: PeerId(id * 10 + n), store: s(n), role: PeerRole::Voter };
    let epoch = Epoch { conf_ver: 1, version };
    Region { id: RegionId(id), range: range(keys), epoch, peers: (1..=3).map(peer).collect() }
}

fn routes(regions: &[(Region, u64)]) -> Routes {
    let store = |n| Store { id: s(n), address: format!("host{n}:1") };
    let route = |(region, leader): &(Region, u64)| {
        let leader = (*leader != 0).then(|| s(*leader));
        Route { region: region.clone(), leader, term: Term(1) }
    };
    let regions = regions.iter().map(route).collect();
    Routes { cluster: CLUSTER, stores: (1..=3).map(store).collect(), regions }
}

/// A core that has the map, and the clock.
struct Driver {
    core: Core<&'static str>,
    now: Moment,
}

impl Driver {
    fn new(regions: &[(Region, u64)]) -> Self {
        let mut core = Core::new(Config { attempt_timeout: ATTEMPT, seed: 7 }, Moment::ZERO);
        assert!(core.take_refresh(Moment::ZERO), "a new client asks for the map");
        core.on_routes(routes(regions), Moment::ZERO);
        Self { core, now: Moment::ZERO }
    }

    fn call(&mut self, name: &'static str, ask: Ask) {
        self.core.on_call(ask, DEADLINE, name, self.now);
    }

    fn put(&mut self, key: &'static str) {
        let (key_bytes, value) = (bytes(key), bytes("v"));
        self.call(key, Ask::Write(Command::Put { key: key_bytes, value }));
    }

    fn get(&mut self, key: &'static str) {
        self.call(key, Ask::Read(Read::Get(bytes(key)), ReadMode::Linearizable));
    }

    fn take(&mut self, store: u64) -> Vec<Outgoing> {
        self.core.take_batches(s(store), self.now)
    }

    /// The one batch that waits for a store; nothing waits for the others.
    fn only(&mut self, store: u64) -> Outgoing {
        for other in (1..=3).filter(|&other| other != store) {
            assert_eq!(self.take(other), [], "store {other} was to be left alone");
        }
        let mut batches = self.take(store);
        assert_eq!(batches.len(), 1, "{batches:?}");
        batches.remove(0)
    }

    fn answer(&mut self, store: u64, id: u64, body: AnswerBody) {
        self.core.on_answers(s(store), vec![Answer { id, body }], self.now);
    }

    fn outcomes<const N: usize>(&mut self, store: u64, id: u64, outcomes: [Outcome; N]) {
        self.answer(store, id, AnswerBody::Outcomes(outcomes.map(Some).into()));
    }

    fn trouble(&mut self, store: u64, id: u64, trouble: Trouble) {
        self.answer(store, id, AnswerBody::Failed(trouble));
    }

    /// Lets time pass, stopping whenever the core wants to do something.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.core.next_deadline().filter(|&next| next <= end) {
            self.now = self.now.max(next);
            self.core.on_time(self.now);
            if self.core.take_refresh(self.now) {
                self.core.on_refresh_failed(self.now);
            }
        }
        self.now = end;
    }

    fn done(&mut self) -> Vec<(&'static str, Result<Got, Error>)> {
        self.core.take_done()
    }

    fn only_done(&mut self) -> Result<Got, Error> {
        let mut done = self.done();
        assert_eq!(done.len(), 1, "{done:?}");
        done.remove(0).1
    }
}

/// Session, lowest, open, request ids.
fn said(batch: &Outgoing) -> (ClientId, u64, bool, Vec<u64>) {
    match &batch.body {
        Body::Writes { client, lowest, open, commands } => {
            let ids = commands.iter().map(|(RequestId(id), _)| *id).collect();
            (*client, lowest.0, *open, ids)
        }
        Body::Reads { .. } => panic!("{batch:?}"),
    }
}

const DONE: Result<Got, Error> = Ok(Got::Outcome(Outcome::Done));

#[test]
fn calls_that_wait_together_share_a_batch_by_region_and_kind() {
    let mut driver = Driver::new(&[(region(1, "..m", 1), 1), (region(2, "m..", 1), 2)]);
    for key in ["a", "z", "b"] {
        driver.put(key);
    }
    driver.get("c");
    assert_eq!(driver.core.take_wakes(), [s(1), s(2)].into());
    let first = driver.take(1);
    assert_eq!(first.iter().map(|batch| batch.region.0).collect::<Vec<_>>(), [1, 1]);
    let (client, lowest, open, ids) = said(&first[0]);
    assert_eq!((lowest, open, ids), (1, true, vec![1, 3]));
    assert!(matches!(&first[1].body, Body::Reads { reads, .. } if reads.len() == 1));
    let second = driver.take(2).remove(0);
    assert_eq!(said(&second), (client, 1, true, vec![2]));

    driver.outcomes(1, first[0].id, [Outcome::Done, Outcome::Done]);
    driver.answer(1, first[1].id, AnswerBody::Found(vec![Ok(Found::Value(None))]));
    assert_eq!(driver.done(), [("a", DONE), ("b", DONE), ("c", Ok(Got::Value(None)))]);
    driver.put("d");
    let (_, lowest, open, ids) = said(&driver.only(1));
    assert_eq!((lowest, open, ids), (2, false, vec![4]), "the region has told an outcome");
}

#[test]
fn a_redirected_write_goes_at_once_to_the_leader_under_the_same_id() {
    let mut driver = Driver::new(&[(region(1, "..", 1), 1)]);
    driver.put("a");
    let first = driver.only(1);
    let leader = Some((s(3), "host3:9".to_owned()));
    driver.trouble(1, first.id, Trouble::NotLeader { leader, term: Term(2) });
    assert_eq!(driver.core.cache().address(s(3)), Some("host3:9"));
    let second = driver.only(3);
    assert_eq!(said(&second), said(&first));
    driver.outcomes(3, second.id, [Outcome::Done]);
    assert_eq!(driver.only_done(), DONE);
    driver.put("b");
    assert_eq!(said(&driver.only(3)).3, [2], "the map has learned");
}

#[test]
fn two_stores_that_point_at_each_other_are_not_asked_without_pause() {
    let mut driver = Driver::new(&[(region(1, "..", 1), 1)]);
    driver.put("a");
    let mut at = 1;
    let mut tries = 0;
    loop {
        let Some(batch) = driver.take(at).pop() else { break };
        tries += 1;
        assert!(tries < 10, "a circle without a pause");
        let other = 3 - at;
        let leader = Some((s(other), format!("host{other}:1")));
        driver.trouble(at, batch.id, Trouble::NotLeader { leader, term: Term(2) });
        at = other;
    }
    assert_eq!(tries, 4);
    driver.pass(Duration::from_millis(250));
    assert_eq!(driver.take(1).len() + driver.take(2).len(), 1, "after the pause it is tried again");
}

#[test]
fn without_a_leader_the_others_are_asked_after_a_pause() {
    let mut driver = Driver::new(&[(region(1, "..", 1), 1)]);
    driver.put("a");
    let first = driver.only(1);
    driver.trouble(1, first.id, Trouble::NotLeader { leader: None, term: Term(0) });
    assert!(driver.core.take_refresh(driver.now + Duration::from_millis(20)), "who leads?");
    driver.core.on_refresh_failed(driver.now);
    for store in 1..=3 {
        assert_eq!(driver.take(store), []);
    }
    driver.pass(Duration::from_millis(5));
    let second = driver.only(2);
    assert_eq!(said(&second), said(&first));
}

#[test]
fn a_broken_stream_sends_writes_again_under_the_same_id() {
    let mut driver = Driver::new(&[(region(1, "..", 1), 1)]);
    driver.put("a");
    driver.get("b");
    let first = driver.take(1);
    driver.put("c");
    driver.core.on_down(s(1), driver.now);
    assert_eq!(driver.take(1), [], "the store is down");
    let second = driver.take(2);
    assert_eq!(second.len(), 2, "{second:?}");
    let (client, lowest, _, ids) = said(&second[0]);
    assert_eq!((client, lowest, ids), (said(&first[0]).0, 1, vec![1, 2]));
    // An answer that comes late over the old stream is nobody's.
    driver.outcomes(1, first[0].id, [Outcome::Done]);
    assert_eq!(driver.done(), []);
    driver.outcomes(2, second[0].id, [Outcome::Done, Outcome::Done]);
    assert_eq!(driver.done(), [("a", DONE), ("c", DONE)]);
}

#[test]
fn a_silent_store_is_left_after_the_attempt_time_out() {
    let mut driver = Driver::new(&[(region(1, "..m", 1), 1), (region(2, "m..", 1), 1)]);
    driver.put("a");
    let first = driver.only(1);
    driver.pass(Duration::from_millis(999));
    driver.put("z");
    assert_eq!(driver.core.take_resets(), [].into());
    driver.pass(Duration::from_millis(1));
    assert_eq!(driver.core.take_resets(), [s(1)].into());
    let moved = driver.take(2);
    assert_eq!(moved.len(), 2, "what waits for a silent store moves as well: {moved:?}");
    assert_eq!(said(&moved[0]), said(&first));
    driver.outcomes(2, moved[1].id, [Outcome::Done]);
    assert_eq!(driver.done(), [("z", DONE)]);
    // What the first one owes makes nobody wait longer for the second.
    driver.pass(Duration::from_millis(999));
    assert_eq!((driver.take(1), driver.take(3)), (vec![], vec![]));
    driver.pass(Duration::from_millis(1));
    let mut third = driver.take(1);
    third.extend(driver.take(3));
    assert_eq!(third.len(), 1, "{third:?}");
    assert_eq!(said(&third[0]).3, [1]);
}

/// The time from a try at store 1, which leads, until it is left.
fn patience(driver: &mut Driver) -> Duration {
    let leader =
        || Trouble::NotLeader { leader: Some((s(1), "host1:1".to_owned())), term: Term(2) };
    let mut batches = driver.take(1);
    while batches.is_empty() {
        // Another one was asked; the leader is who it was.
        for store in [2, 3] {
            for batch in driver.take(store) {
                driver.trouble(store, batch.id, leader());
            }
        }
        driver.pass(Duration::from_millis(1));
        batches = driver.take(1);
    }
    let sent = driver.now;
    while driver.core.take_resets().is_empty() {
        driver.pass(Duration::from_millis(1));
    }
    driver.now.since(sent)
}

#[test]
fn a_store_that_is_slow_with_a_call_is_given_twice_the_time_until_it_is_gone() {
    let mut driver = Driver::new(&[(region(1, "..", 1), 1)]);
    driver.put("a");
    let seconds = |driver: &mut Driver| patience(driver).as_secs();
    assert_eq!((seconds(&mut driver), seconds(&mut driver)), (1, 2));
    driver.core.on_down(s(1), driver.now);
    assert_eq!(seconds(&mut driver), 1);
}

#[test]
fn a_region_that_does_not_get_on_leaves_the_other_regions_of_its_store_alone() {
    let mut driver = Driver::new(&[(region(1, "..m", 1), 1), (region(2, "m..", 1), 1)]);
    driver.put("a");
    let stuck = driver.only(1);
    driver.pass(Duration::from_millis(900));
    driver.put("z");
    let quick = driver.only(1);
    driver.outcomes(1, quick.id, [Outcome::Done]);
    driver.put("zz");
    let third = driver.only(1);
    driver.pass(Duration::from_millis(100));
    assert_eq!(driver.core.take_resets(), [].into(), "the store was heard");
    let moved = driver.only(2);
    assert_eq!(said(&moved).3, said(&stuck).3);
    driver.outcomes(1, third.id, [Outcome::Done]);
    assert_eq!(driver.done(), [("z", DONE), ("zz", DONE)]);
}

#[test]
fn what_waits_follows_the_leader_when_it_moves() {
    let mut driver = Driver::new(&[(region(1, "..", 1), 1)]);
    driver.put("a");
    let first = driver.only(1);
    driver.put("b");
    driver.core.on_routes(Routes { regions: vec![], ..routes(&[]) }, driver.now);
    let leader = Some((s(2), "host2:1".to_owned()));
    driver.trouble(1, first.id, Trouble::NotLeader { leader, term: Term(2) });
    assert_eq!(driver.take(1), []);
    let batches = driver.take(2);
    let ids: Vec<_> = batches.iter().flat_map(|batch| said(batch).3).collect();
    assert_eq!(ids, [1, 2]);
}

#[test]
fn a_deadline_tells_whether_the_write_may_have_happened() {
    let mut driver = Driver::new(&[(region(1, "..", 1), 0)]);
    // Never sent: nothing was changed.
    driver.put("a");
    driver.pass(Duration::from_secs(10));
    let error = driver.only_done().unwrap_err();
    assert!(!error.outcome_unknown() && error.is_retryable(), "{error}");

    // Sent and not answered: unknown. A read is never unknown.
    let mut driver = Driver::new(&[(region(1, "..", 1), 1)]);
    driver.put("b");
    driver.get("c");
    assert_eq!(driver.take(1).len(), 2);
    driver.pass(Duration::from_secs(10));
    let unknown = driver.done().into_iter().map(|(name, result)| match result {
        Err(error @ Error::Deadline { .. }) => (name, error.outcome_unknown()),
        result => panic!("{result:?}"),
    });
    let mut unknown: Vec<_> = unknown.collect();
    unknown.sort_unstable();
    assert_eq!(unknown, [("b", true), ("c", false)]);

    // The same when the deadline is shorter than the attempt time-out.
    let mut driver = Driver::new(&[(region(1, "..", 1), 1)]);
    for (name, is_sent) in [("not sent", false), ("sent", true)] {
        let soon = driver.now + ATTEMPT / 2;
        let command = Command::Delete { key: bytes("a") };
        driver.core.on_call(Ask::Write(command), soon, name, driver.now);
        assert!(!is_sent || driver.take(1).len() == 1);
        driver.pass(ATTEMPT);
        assert_eq!(driver.only_done().unwrap_err().outcome_unknown(), is_sent);
    }
}

#[test]
fn a_write_that_may_have_happened_stays_so_whatever_later_tries_say() {
    let mut driver = Driver::new(&[(region(1, "..", 1), 1)]);
    driver.put("a");
    let first = driver.only(1);
    driver.trouble(1, first.id, Trouble::Unknown("leadership lost".into()));
    let second = driver.only(2);
    assert_eq!(said(&second), said(&first));
    driver.trouble(2, second.id, Trouble::TooLarge { what: "value".into(), limit: 1, actual: 2 });
    let error = driver.only_done().unwrap_err();
    assert!(error.outcome_unknown(), "{error}");
}

#[test]
fn a_forgotten_session_is_replaced_only_while_the_write_surely_did_not_happen() {
    let mut driver = Driver::new(&[(region(1, "..", 1), 1)]);
    driver.put("a");
    let first = driver.only(1);
    driver.outcomes(1, first.id, [Outcome::Refused(Refusal::SessionUnknown)]);
    let second = driver.only(1);
    let (client, lowest, open, ids) = said(&second);
    assert_ne!(client, said(&first).0);
    assert_eq!((lowest, open, ids), (1, true, vec![1]));

    driver.core.on_down(s(1), driver.now);
    let third = driver.only(2);
    assert_eq!(said(&third), said(&second));
    driver.outcomes(2, third.id, [Outcome::Refused(Refusal::SessionUnknown)]);
    let error = driver.only_done().unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
    for store in 1..=3 {
        assert_eq!(driver.take(store), [], "never executed again");
    }
}

#[test]
fn an_old_session_asks_no_region_to_open_it() {
    let mut driver = Driver::new(&[(region(1, "..", 1), 1)]);
    let late = DEADLINE + SESSION_AGE_MAX * 2;
    let command = Command::Put { key: bytes("a"), value: bytes("v") };
    driver.core.on_call(Ask::Write(command), late, "a", driver.now);
    let first = driver.only(1);
    driver.now = Moment::ZERO + SESSION_AGE_MAX;
    driver.core.on_down(s(1), driver.now);
    let second = driver.only(2);
    assert_eq!(said(&second), (said(&first).0, 1, false, vec![1]));
    let late_call = Command::Put { key: bytes("b"), value: bytes("v") };
    driver.core.on_call(Ask::Write(late_call), late, "b", driver.now);
    let (client, _, open, ids) = said(&driver.only(2));
    assert!(client != said(&first).0 && open && ids == [1], "new writes take a new session");
}

#[test]
fn a_write_that_left_a_young_session_may_open_it_when_that_is_older() {
    let mut driver = Driver::new(&[(region(1, "..", 1), 1)]);
    driver.now = Moment::ZERO + SESSION_OPEN_MAX - Duration::from_millis(1);
    let command = Command::Put { key: bytes("a"), value: bytes("v") };
    driver.core.on_call(Ask::Write(command), driver.now + SESSION_OPEN_MAX * 2, "a", driver.now);
    let first = driver.only(1);
    assert_eq!(said(&first), (said(&first).0, 1, true, vec![1]));
    driver.now = driver.now + Duration::from_secs(1);
    driver.core.on_down(s(1), driver.now);
    assert_eq!(said(&driver.only(2)), said(&first), "sim seed 620259021380: it stayed unknown");
}

#[test]
fn a_split_is_learned_from_the_refusal() {
    let mut driver = Driver::new(&[(region(1, "..", 1), 1)]);
    driver.put("a");
    driver.put("z");
    let first = driver.only(1);
    assert_eq!(first.epoch.version, 1);
    let regions = vec![region(1, "..m", 2), region(2, "m..", 2)];
    driver.trouble(1, first.id, Trouble::EpochNotMatch(regions));
    let batches = driver.take(1);
    let sent: Vec<_> =
        batches.iter().map(|batch| (batch.region.0, batch.epoch.version, said(batch).3)).collect();
    assert_eq!(sent, [(1, 2, vec![1]), (2, 2, vec![2])]);
    driver.outcomes(1, batches[1].id, [Outcome::Done]);
    assert_eq!(driver.done(), [("z", DONE)]);
}

fn batch_of(keys: &[&str]) -> Ask {
    let changes = keys.iter().map(|key| (bytes(key), None)).collect();
    Ask::Write(Command::Batch { changes })
}

#[test]
fn a_batch_over_two_regions_is_refused_and_says_whether_it_may_have_happened() {
    let halves = || vec![region(1, "..m", 2), region(2, "m..", 2)];
    let mut driver = Driver::new(&[(region(1, "..", 1), 1)]);
    driver.call("batch", batch_of(&["a", "z"]));
    let first = driver.only(1);
    driver.trouble(1, first.id, Trouble::EpochNotMatch(halves()));
    assert_eq!(driver.only_done(), Err(Error::NotAtomic { region: RegionId(1) }));

    let mut driver = Driver::new(&[(region(1, "..", 1), 1)]);
    driver.call("batch", batch_of(&["a", "z"]));
    driver.only(1);
    driver.core.on_down(s(1), driver.now);
    let second = driver.only(2);
    driver.trouble(2, second.id, Trouble::EpochNotMatch(halves()));
    assert!(driver.only_done().unwrap_err().outcome_unknown());
}

#[test]
fn a_range_deletion_goes_region_by_region_and_never_anew_when_it_may_have_happened() {
    let two = [(region(1, "..m", 1), 1), (region(2, "m..", 1), 1)];
    let delete = || Ask::Write(Command::DeleteRange { range: range("c..x") });
    let sent_range = |batch: &Outgoing| match &batch.body {
        Body::Writes { commands, .. } => match &commands[0].1 {
            Command::DeleteRange { range } => range.clone(),
            command => panic!("{command:?}"),
        },
        Body::Reads { .. } => panic!("{batch:?}"),
    };
    let mut driver = Driver::new(&two);
    driver.call("delete", delete());
    let first = driver.only(1);
    assert_eq!(sent_range(&first), range("c..m"));
    let smaller = vec![region(1, "..g", 2), region(3, "g..m", 2)];
    driver.trouble(1, first.id, Trouble::EpochNotMatch(smaller.clone()));
    let second = driver.only(1);
    assert_eq!(sent_range(&second), range("c..g"), "surely not done: cut anew");
    driver.outcomes(1, second.id, [Outcome::Removed(4)]);
    let rest = Some(range("g..x"));
    assert_eq!(driver.only_done(), Ok(Got::Removed { count: 4, rest }));

    let mut driver = Driver::new(&two);
    driver.call("delete", delete());
    driver.only(1);
    driver.core.on_down(s(1), driver.now);
    let second = driver.only(2);
    assert_eq!(sent_range(&second), range("c..m"));
    driver.trouble(2, second.id, Trouble::EpochNotMatch(smaller));
    assert!(driver.only_done().unwrap_err().outcome_unknown());
}

#[test]
fn scans_go_on_where_the_page_or_the_region_ends() {
    let two = [(region(1, "..m", 1), 1), (region(2, "m..", 1), 1)];
    let row = |key| (bytes(key), bytes("v"));
    let cases = [
        (Direction::Forward, 1, "c..m", true, Some("d\0..x")),
        (Direction::Forward, 1, "c..m", false, Some("m..x")),
        (Direction::Reverse, 2, "m..x", true, Some("c..d")),
        (Direction::Reverse, 2, "m..x", false, Some("c..m")),
    ];
    for (direction, region_id, sent, more, rest) in cases {
        let mut driver = Driver::new(&two);
        let (range_asked, columns) = (range("c..x"), Columns::KeysAndValues);
        let scan = Scan { range: range_asked, direction, row_limit: 9, columns };
        driver.call("scan", Ask::Read(Read::Scan(scan), ReadMode::Linearizable));
        let batch = driver.only(1);
        assert_eq!(batch.region.0, region_id);
        match &batch.body {
            Body::Reads { reads, .. } => match &reads[0] {
                Read::Scan(scan) => assert_eq!(scan.range, range(sent)),
                Read::Get(key) => panic!("{key:?}"),
            },
            Body::Writes { .. } => panic!("{batch:?}"),
        }
        let rows = vec![row("d")];
        let found = Found::Rows { rows: rows.clone(), more };
        driver.answer(1, batch.id, AnswerBody::Found(vec![Ok(found)]));
        assert_eq!(driver.only_done(), Ok(Got::Rows { rows, rest: rest.map(range) }));
    }
}

#[test]
fn one_read_that_fails_is_tried_again_alone() {
    let mut driver = Driver::new(&[(region(1, "..", 1), 1)]);
    driver.get("a");
    driver.get("b");
    let batch = driver.only(1);
    let busy = Trouble::Busy { reason: "answer full".into(), retry_after_ms: 0 };
    let found = vec![Ok(Found::Value(Some(bytes("1")))), Err(busy)];
    driver.answer(1, batch.id, AnswerBody::Found(found));
    assert_eq!(driver.done(), [("a", Ok(Got::Value(Some(bytes("1")))))]);
    driver.pass(Duration::from_millis(5));
    assert!(matches!(driver.only(1).body, Body::Reads { reads, .. } if reads.len() == 1));
}

#[test]
fn unreadable_answers_never_pass_for_success() {
    for body in [
        AnswerBody::Outcomes(vec![None]),
        AnswerBody::Outcomes(vec![]),
        AnswerBody::Failed(Trouble::Garbled("?".into())),
        AnswerBody::Found(vec![Ok(Found::Value(None))]),
        AnswerBody::Outcomes(vec![Some(Outcome::Removed(1))]),
    ] {
        let mut driver = Driver::new(&[(region(1, "..", 1), 1)]);
        driver.put("a");
        let batch = driver.only(1);
        driver.answer(1, batch.id, body.clone());
        driver.pass(Duration::from_secs(10));
        let error = driver.only_done().unwrap_err();
        assert!(error.outcome_unknown(), "{body:?}: {error}");
    }
}

#[test]
fn a_key_without_region_waits_for_the_map() {
    let mut driver = Driver::new(&[(region(1, "..m", 1), 1)]);
    driver.pass(Duration::from_millis(50));
    driver.put("z");
    assert_eq!(driver.take(1), []);
    assert!(driver.core.take_refresh(driver.now));
    driver.core.on_routes(routes(&[(region(2, "m..", 1), 3)]), driver.now);
    assert_eq!(driver.only(3).region.0, 2);
}
