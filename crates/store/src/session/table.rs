//! The table of sessions of one region, in memory.
//!
//! Changed by apply, one payload at a time, and rebuilt from rows at open. Two replicas with the
//! same log hold equal tables, so eviction and expiry are counted in payloads and measured in what
//! the region lived, never in anything local, nor by the clock of a leader alone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kontiki_codec::outcome_record::Touch;
use kontiki_codec::session::Session as Row;
use kontiki_types::limits::{SESSION_KEPT_MS, SESSION_OUTCOMES_MAX, SESSION_TTL_MS, SESSIONS_MAX};
use kontiki_types::mutants::{self, Mutant};
use kontiki_types::{ClientId, Outcome, Refusal, RegionTime, RequestId};

use crate::limits::{
    EXPIRED_PER_PAYLOAD, OUTCOME_OVERHEAD_BYTES, SESSION_BYTES_MAX, SESSIONS_BYTES_MAX,
};

/// All sessions of a region.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Sessions {
    by_client: BTreeMap<ClientId, Session>,
    /// The same sessions, the one unused longest first.
    by_use: BTreeSet<(u64, ClientId)>,
    /// Memory of all outcomes.
    bytes: usize,
    time: RegionTime,
    /// Sessions that changed or went since the last fold.
    dirty: BTreeSet<ClientId>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Session {
    lowest: RequestId,
    /// How long the region had lived then.
    used_ms: u64,
    /// In order of request, each once. Requests mostly arrive in order, so this is a queue.
    outcomes: VecDeque<(RequestId, Outcome)>,
    bytes: usize,
}

/// What a session knows about a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Known {
    /// Nothing: carry it out and remember the outcome.
    Fresh,
    /// It was carried out; this was the outcome.
    Answered(Outcome),
    /// It must not be carried out.
    Refused(Refusal),
}

impl Sessions {
    /// An empty table at a time of its region.
    pub(crate) fn at(time: RegionTime) -> Self {
        Self { time, ..Self::default() }
    }

    /// The time of the region.
    pub(crate) fn time(&self) -> RegionTime {
        self.time
    }

    /// A payload of a client begins: time moves, old things are forgotten, its session is found
    /// or opened.
    ///
    /// # Errors
    /// [`Refusal::SessionUnknown`] or, when there is no room for it, [`Refusal::SessionFull`]: none
    /// of its commands may be carried out.
    pub(crate) fn begin(&mut self, touch: Touch) -> Result<(), Refusal> {
        self.time = self.time.after(touch.wall_ms);
        self.expire(touch.client);
        if !self.by_client.contains_key(&touch.client) {
            // Opening it regardless would let a retry take effect twice: once before the session
            // was forgotten, once now.
            if !touch.open {
                return Err(Refusal::SessionUnknown);
            }
            self.evict(SESSIONS_MAX - 1);
            if self.by_client.len() >= SESSIONS_MAX {
                return Err(Refusal::SessionFull);
            }
            self.insert(touch.client, Session::new(touch.lowest, self.time.lived_ms));
        }
        self.use_session(touch);
        self.evict(SESSIONS_MAX);
        Ok(())
    }

    /// The next fold must write this session, though its payload began before the last one.
    pub(crate) fn mark_changed(&mut self, client: ClientId) {
        self.dirty.insert(client);
    }

    /// What is known about a request of a client whose payload has begun.
    pub(crate) fn known(&self, client: ClientId, request: RequestId) -> Known {
        let session = self.session(client);
        if request < session.lowest && !mutants::is_on(Mutant::ForgottenRuns) {
            return Known::Refused(Refusal::RequestForgotten);
        }
        if let Some(outcome) = session.outcome(request) {
            return Known::Answered(outcome.clone());
        }
        let full = session.outcomes.len() >= SESSION_OUTCOMES_MAX
            || session.bytes >= SESSION_BYTES_MAX
            || self.bytes >= SESSIONS_BYTES_MAX;
        if full { Known::Refused(Refusal::SessionFull) } else { Known::Fresh }
    }

    /// Remembers what became of a fresh request.
    ///
    /// # Panics
    /// When it was remembered before, or is a refusal.
    pub(crate) fn remember(&mut self, client: ClientId, request: RequestId, outcome: Outcome) {
        assert!(!matches!(outcome, Outcome::Refused(_)), "{client} {request}: {outcome:?}");
        let session = self.by_client.get_mut(&client).expect("its payload has begun");
        self.bytes += session.remember(request, outcome);
    }

    /// Puts back a session as a row had it.
    ///
    /// # Panics
    /// When the client has one already.
    pub(crate) fn restore(&mut self, client: ClientId, row: Row) {
        let mut session = Session::new(row.lowest, row.used_ms);
        for (request, outcome) in row.outcomes {
            session.remember(request, outcome);
        }
        assert!(!self.by_client.contains_key(&client), "{client} restored twice");
        self.bytes += session.bytes;
        self.insert(client, session);
    }

    /// A restored table differs from its rows only by what happens from now on.
    pub(crate) fn clear_dirty(&mut self) -> BTreeSet<ClientId> {
        std::mem::take(&mut self.dirty)
    }

    /// The row of a session; nothing when it is gone.
    pub(crate) fn row(&self, client: ClientId) -> Option<Row> {
        self.by_client.get(&client).map(Session::row)
    }

    /// All sessions in order of client.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ClientId, Row)> + '_ {
        self.by_client.iter().map(|(&client, session)| (client, session.row()))
    }

    /// How many sessions there are.
    pub(crate) fn len(&self) -> usize {
        self.by_client.len()
    }

    /// Continues the time of a record; records are replayed in order, so it never goes back.
    ///
    /// # Panics
    /// When it would go back.
    pub(crate) fn advance(&mut self, time: RegionTime) {
        assert!(self.time.is_before(time), "{time:?} after {:?}", self.time);
        self.time = time;
    }

    fn session(&self, client: ClientId) -> &Session {
        self.by_client.get(&client).expect("its payload has begun, so the session is there")
    }

    fn insert(&mut self, client: ClientId, session: Session) {
        self.by_use.insert((session.used_ms, client));
        self.by_client.insert(client, session);
        self.dirty.insert(client);
    }

    fn remove(&mut self, client: ClientId) {
        let session = self.by_client.remove(&client).expect("sessions are removed once");
        let listed = self.by_use.remove(&(session.used_ms, client));
        assert!(listed, "{client} used at {} is not in the order of use", session.used_ms);
        self.bytes -= session.bytes;
        self.dirty.insert(client);
    }

    fn use_session(&mut self, touch: Touch) {
        let lived_ms = self.time.lived_ms;
        let session = self.by_client.get_mut(&touch.client).expect("found or opened just now");
        if session.used_ms != lived_ms {
            self.by_use.remove(&(session.used_ms, touch.client));
            self.by_use.insert((lived_ms, touch.client));
            session.used_ms = lived_ms;
        }
        self.bytes -= session.forget_below(touch.lowest);
        self.dirty.insert(touch.client);
    }

    /// Forgets some sessions whose time is over, and in any case that of `client`, whose payload
    /// must see the same table whether or not its turn came already.
    fn expire(&mut self, client: ClientId) {
        for _ in 0..EXPIRED_PER_PAYLOAD {
            match self.by_use.first() {
                Some(&(used_ms, oldest)) if self.is_over(used_ms) => self.remove(oldest),
                _ => break,
            }
        }
        if self.by_client.get(&client).is_some_and(|session| self.is_over(session.used_ms)) {
            self.remove(client);
        }
    }

    fn is_over(&self, used_ms: u64) -> bool {
        used_ms.saturating_add(SESSION_TTL_MS) < self.time.lived_ms
    }

    /// Makes room, the session unused longest first, but never at the cost of one that was used a
    /// moment ago: its client may be trying again what was carried out and not answered, and would
    /// open it anew. So there may be no room.
    fn evict(&mut self, count_max: usize) {
        while self.by_client.len() > count_max || self.bytes > SESSIONS_BYTES_MAX {
            match self.by_use.first() {
                Some(&(used_ms, oldest)) if used_ms + SESSION_KEPT_MS < self.time.lived_ms => {
                    self.remove(oldest);
                }
                _ => break,
            }
        }
    }
}

impl Session {
    fn new(lowest: RequestId, used_ms: u64) -> Self {
        Self { lowest, used_ms, outcomes: VecDeque::new(), bytes: 0 }
    }

    fn outcome(&self, request: RequestId) -> Option<&Outcome> {
        // Most requests are new and greater than all before.
        if self.outcomes.back().is_none_or(|(last, _)| *last < request) {
            return None;
        }
        let at = self.outcomes.binary_search_by_key(&request, |(request, _)| *request).ok()?;
        self.outcomes.get(at).map(|(_, outcome)| outcome)
    }

    /// Answers the memory it took.
    fn remember(&mut self, request: RequestId, outcome: Outcome) -> usize {
        assert!(request >= self.lowest, "{request} is below {}", self.lowest);
        let cost = outcome_bytes(&outcome);
        self.bytes += cost;
        let Err(at) = self.outcomes.binary_search_by_key(&request, |(request, _)| *request) else {
            panic!("{request} has an outcome already");
        };
        self.outcomes.insert(at, (request, outcome));
        cost
    }

    /// Answers the memory it gave back.
    fn forget_below(&mut self, lowest: RequestId) -> usize {
        self.lowest = self.lowest.max(lowest);
        let before = self.bytes;
        while self.outcomes.front().is_some_and(|(request, _)| *request < self.lowest) {
            let (_, outcome) = self.outcomes.pop_front().expect("there is a front");
            self.bytes -= outcome_bytes(&outcome);
        }
        before - self.bytes
    }

    fn row(&self) -> Row {
        Row {
            lowest: self.lowest,
            used_ms: self.used_ms,
            outcomes: self.outcomes.iter().cloned().collect(),
        }
    }
}

/// Memory an outcome takes: what the limits of bytes count.
pub(crate) fn outcome_bytes(outcome: &Outcome) -> usize {
    let value = match outcome {
        Outcome::Conditional { previous: Some(value), .. } => value.len(),
        _ => 0,
    };
    OUTCOME_OVERHEAD_BYTES + value
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kontiki_types::limits::VALUE_BYTES_MAX;

    use super::*;

    fn touch(client: u64, wall_ms: u64) -> Touch {
        Touch { client: ClientId(client), lowest: RequestId(1), open: true, wall_ms }
    }

    impl Sessions {
        /// Time passes, without a jump and without a payload.
        fn pass(&mut self, to_ms: u64) {
            self.time = RegionTime { now_ms: to_ms, seen_ms: to_ms, lived_ms: to_ms };
        }
    }

    /// A table whose client 0 has a request that was carried out and not answered yet, as far as
    /// the client knows: it will try again, and ask for its session to be opened.
    fn waiting(at_ms: u64) -> Sessions {
        let mut table = Sessions::default();
        table.pass(at_ms);
        table.begin(touch(0, at_ms)).expect("opened");
        table.remember(ClientId(0), RequestId(1), Outcome::Done);
        table
    }

    #[test]
    fn a_session_used_a_moment_ago_is_not_forgotten_for_many_others() {
        let mut table = waiting(1000);
        let others = 1..SESSIONS_MAX as u64;
        others.clone().for_each(|n| table.begin(touch(n, 1000)).expect("there is room"));
        let late = 1000 + SESSION_KEPT_MS;
        table.pass(late);
        assert_eq!(table.begin(touch(others.end, late)), Err(Refusal::SessionFull));
        table.begin(touch(0, late)).expect("it is there");
        assert_eq!(table.known(ClientId(0), RequestId(1)), Known::Answered(Outcome::Done));
        // Now client 1 is the one unused longest, and for long enough.
        table.begin(touch(others.end, late + 1)).expect("there is room");
        assert_eq!(table.len(), SESSIONS_MAX);
        assert!(table.row(ClientId(0)).is_some() && table.row(ClientId(1)).is_none());
    }

    /// The clock of a leader goes wrong by a day, while a client waits to try again.
    #[test]
    fn nor_because_a_clock_jumps() {
        let mut table = waiting(1000);
        for (nth, client) in (1..).zip(1..=10) {
            let jump = 1000 + nth * 24 * 60 * 60 * 1000;
            table.begin(touch(client, jump)).expect("opened");
        }
        assert_eq!(table.known(ClientId(0), RequestId(1)), Known::Answered(Outcome::Done));
    }

    #[test]
    fn nor_for_large_outcomes() {
        let mut table = waiting(1000);
        let previous = Some(Bytes::from(vec![0; VALUE_BYTES_MAX]));
        let large = Outcome::Conditional { applied: true, previous };
        let mut full = 0;
        for client in 1..=2 * (SESSIONS_BYTES_MAX / VALUE_BYTES_MAX) as u64 {
            table.begin(touch(client, 1000)).expect("there is room");
            match table.known(ClientId(client), RequestId(1)) {
                Known::Fresh => table.remember(ClientId(client), RequestId(1), large.clone()),
                known => {
                    assert_eq!(known, Known::Refused(Refusal::SessionFull));
                    full += 1;
                }
            }
        }
        assert!(full > 0, "{} bytes", table.bytes);
        table.begin(touch(0, 1000)).expect("it is there");
        assert_eq!(table.known(ClientId(0), RequestId(1)), Known::Answered(Outcome::Done));
    }
}
