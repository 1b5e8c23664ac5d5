//! The client's side of exactly-once: who we are, which request ids are outstanding, and when a
//! region may open a session for us. Pure.
//!
//! A region keeps the outcomes of a session's requests until it learns, by `lowest`, that nobody
//! will ask again. So request ids are handed out in order, and `lowest` is the least that is not
//! over. A session is left for a fresh one
//! - when it is half as old as regions remember unused ones;
//! - when its window is nearly as wide as the outcomes a region keeps (one request is stuck while
//!   thousands pass it);
//! - when a region says that it does not know it.
//!
//! A session that was left lives on until its last request is over.
//!
//! A region is asked to open a session only for writes that left it a short while ago. A region
//! that does not know the session of an older one may have forgotten it, together with the outcome
//! that a retry looks for. New writes are named in a session that is young, or known there.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use kontiki_types::limits::{SESSION_OPEN_MS, SESSION_OUTCOMES_MAX, SESSION_TTL_MS};
use kontiki_types::{ClientId, Moment, RegionId, RequestId};

/// How long a session takes new requests.
pub const SESSION_AGE_MAX: Duration = Duration::from_millis(SESSION_TTL_MS / 2);
/// How long regions are asked to open it: for new writes from its birth, and for each write from
/// its first try.
pub const SESSION_OPEN_MAX: Duration = Duration::from_millis(SESSION_OPEN_MS);
/// Widest window of request ids, from the least outstanding one to the newest.
pub const SESSION_WINDOW_MAX: usize = SESSION_OUTCOMES_MAX / 8 * 7;
const _: () = assert!(SESSION_WINDOW_MAX < SESSION_OUTCOMES_MAX);

/// All sessions of one client: the one that takes new requests, then those that were left.
#[derive(Debug)]
pub struct Sessions {
    current: Session,
    left: Vec<Session>,
}

/// One session.
#[derive(Debug)]
struct Session {
    client: ClientId,
    born: Moment,
    /// The least id that is not over; `over[n]` belongs to `lowest + n`.
    lowest: u64,
    over: VecDeque<bool>,
    /// Regions that answered a write of this session, so that they know it.
    known_at: BTreeSet<RegionId>,
}

/// The name of one write, for all its tries.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct WriteId {
    /// The session.
    pub client: ClientId,
    /// The number in the session.
    pub request: RequestId,
}

/// What a batch of a session says about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Every request below is over.
    pub lowest: RequestId,
    /// The region shall open the session if it does not know it.
    pub open: bool,
}

impl Sessions {
    /// The first session, under a client id drawn at random.
    pub fn new(client: ClientId, now: Moment) -> Self {
        Self { current: Session::new(client, now), left: Vec::new() }
    }

    /// Names a new write. `fresh` draws a client id at random, in case a new session is due.
    pub fn begin(&mut self, now: Moment, fresh: impl FnOnce() -> ClientId) -> WriteId {
        let too_old = now.since(self.current.born) >= SESSION_AGE_MAX;
        if too_old || self.current.over.len() >= SESSION_WINDOW_MAX {
            self.leave_current(fresh(), now);
        }
        let session = &mut self.current;
        let request = RequestId(session.lowest + session.over.len() as u64);
        session.over.push_back(false);
        WriteId { client: session.client, request }
    }

    /// The write is over: answered, or given up for good.
    ///
    /// # Panics
    /// When it was over before, or never began.
    pub fn finish(&mut self, id: WriteId) {
        let session = self.session_mut(id.client);
        session.finish(id.request);
        if id.client != self.current.client {
            self.left.retain(|session| !session.over.is_empty());
        }
    }

    /// What a batch to a region says about a session that has writes outstanding. `first_left` is
    /// when the oldest of the batch left for the first time, if any of them has.
    pub fn standing(
        &self,
        client: ClientId,
        region: RegionId,
        first_left: Option<Moment>,
        now: Moment,
    ) -> Standing {
        let session = self.session(client);
        let young = now.since(first_left.unwrap_or(session.born)) < SESSION_OPEN_MAX;
        let open = young && !session.known_at.contains(&region);
        Standing { lowest: RequestId(session.lowest), open }
    }

    /// The region never answered a write of the session, and will not be asked to open it any more:
    /// a write that has not left yet does better in a fresh one.
    pub fn is_too_old_for(&self, client: ClientId, region: RegionId, now: Moment) -> bool {
        let session = self.session(client);
        now.since(session.born) >= SESSION_OPEN_MAX && !session.known_at.contains(&region)
    }

    /// A region told the outcome of a write of the session, so from now on it must know it.
    pub fn on_outcome(&mut self, client: ClientId, region: RegionId) {
        self.session_mut(client).known_at.insert(region);
    }

    /// A region does not know the session: no new write shall use it.
    pub fn on_forgotten(
        &mut self,
        client: ClientId,
        now: Moment,
        fresh: impl FnOnce() -> ClientId,
    ) {
        if client == self.current.client {
            self.leave_current(fresh(), now);
        }
    }

    fn leave_current(&mut self, client: ClientId, now: Moment) {
        let left = std::mem::replace(&mut self.current, Session::new(client, now));
        if !left.over.is_empty() {
            self.left.push(left);
        }
    }

    fn session(&self, client: ClientId) -> &Session {
        let mut all = std::iter::once(&self.current).chain(&self.left);
        let found = all.find(|session| session.client == client);
        found.expect("a session lives as long as it has writes outstanding")
    }

    fn session_mut(&mut self, client: ClientId) -> &mut Session {
        let mut all = std::iter::once(&mut self.current).chain(&mut self.left);
        let found = all.find(|session| session.client == client);
        found.expect("a session lives as long as it has writes outstanding")
    }
}

impl Session {
    fn new(client: ClientId, born: Moment) -> Self {
        Self { client, born, lowest: 1, over: VecDeque::new(), known_at: BTreeSet::new() }
    }

    fn finish(&mut self, request: RequestId) {
        let place = request.0.checked_sub(self.lowest).and_then(|n| usize::try_from(n).ok());
        let over = place.and_then(|place| self.over.get_mut(place));
        let over = over.unwrap_or_else(|| panic!("{request} of {} never began", self.client));
        assert!(!*over, "{request} of {} is over twice", self.client);
        *over = true;
        while self.over.front() == Some(&true) {
            self.over.pop_front();
            self.lowest += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const R: RegionId = RegionId(1);
    const NO_DRAW: fn() -> ClientId = || panic!("no new session is due");

    #[test]
    fn lowest_is_the_least_request_that_is_not_over() {
        let mut sessions = Sessions::new(ClientId(7), Moment::ZERO);
        let ids: Vec<_> = (0..4).map(|_| sessions.begin(Moment::ZERO, NO_DRAW)).collect();
        let lowest =
            |sessions: &Sessions| sessions.standing(ClientId(7), R, None, Moment::ZERO).lowest.0;
        assert_eq!(ids.iter().map(|id| id.request.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
        let mut seen = vec![lowest(&sessions)];
        for n in [1, 0, 3, 2] {
            sessions.finish(ids[n]);
            seen.push(lowest(&sessions));
        }
        assert_eq!(seen, [1, 1, 3, 3, 5]);
        assert_eq!(sessions.begin(Moment::ZERO, NO_DRAW).request.0, 5);
    }

    #[test]
    fn a_session_is_opened_only_while_young_and_not_known_to_the_region() {
        let mut sessions = Sessions::new(ClientId(7), Moment::ZERO);
        let id = sessions.begin(Moment::ZERO, NO_DRAW);
        let limit = Moment::ZERO + SESSION_OPEN_MAX;
        let just_before = limit - Duration::from_micros(1);
        let opens = |first_left, now| sessions.standing(id.client, R, first_left, now).open;
        assert!(opens(None, just_before));
        assert!(!opens(None, limit), "old: a region may have known and forgotten it");
        assert!(!opens(Some(Moment::ZERO), limit), "and the outcome of this write");
        assert!(opens(Some(just_before), just_before + SESSION_OPEN_MAX / 2), "it left late");
        let open =
            |sessions: &Sessions, region, now| sessions.standing(id.client, region, None, now).open;
        assert!(sessions.is_too_old_for(id.client, R, limit));
        assert!(!sessions.is_too_old_for(id.client, R, Moment::ZERO));
        sessions.on_outcome(id.client, R);
        assert!(!open(&sessions, R, Moment::ZERO), "known: not knowing it means forgotten");
        assert!(open(&sessions, RegionId(2), Moment::ZERO));
        assert!(!sessions.is_too_old_for(id.client, R, limit), "known: it need not be opened");
    }

    #[test]
    fn an_old_session_is_left_but_serves_its_outstanding_writes() {
        let mut sessions = Sessions::new(ClientId(7), Moment::ZERO);
        let old = sessions.begin(Moment::ZERO, NO_DRAW);
        let late = Moment::ZERO + SESSION_AGE_MAX;
        let new = sessions.begin(late, || ClientId(8));
        assert_eq!((new.client, new.request), (ClientId(8), RequestId(1)));
        assert!(sessions.standing(new.client, R, None, late).open);
        assert!(!sessions.standing(old.client, R, None, late).open);
        sessions.finish(old);
        assert!(sessions.left.is_empty(), "{sessions:?}");
    }

    #[test]
    fn a_stuck_write_does_not_fill_the_table_of_outcomes() {
        let mut sessions = Sessions::new(ClientId(0), Moment::ZERO);
        let stuck = sessions.begin(Moment::ZERO, NO_DRAW);
        let mut drawn = 0;
        for _ in 0..3 * SESSION_OUTCOMES_MAX {
            let id = sessions.begin(Moment::ZERO, || {
                drawn += 1;
                ClientId(drawn)
            });
            let lowest = sessions.standing(id.client, R, None, Moment::ZERO).lowest;
            assert!(id.request.0 - lowest.0 < SESSION_OUTCOMES_MAX as u64);
            sessions.finish(id);
        }
        assert_eq!(drawn, 1, "the new session has nothing stuck and can go on");
        assert_eq!(sessions.left.len(), 1);
        sessions.finish(stuck);
        assert!(sessions.left.is_empty());
    }

    #[test]
    fn a_forgotten_session_is_left_once() {
        let mut sessions = Sessions::new(ClientId(7), Moment::ZERO);
        let id = sessions.begin(Moment::ZERO, NO_DRAW);
        sessions.on_forgotten(id.client, Moment::ZERO, || ClientId(8));
        sessions.on_forgotten(id.client, Moment::ZERO, NO_DRAW);
        assert_eq!(sessions.begin(Moment::ZERO, NO_DRAW).client, ClientId(8));
    }
}
