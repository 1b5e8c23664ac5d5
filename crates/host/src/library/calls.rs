//! Stores that call this one: each says where it is, and hears where all the others are.
//!
//! So a store that begins with nothing but the call of a leader finds its way to everybody, whether
//! it was there when it was added or came later; and one that moved is found by all whom it calls.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use kontiki_codec::hello::{Hello, Purpose};
use kontiki_types::StoreId;

use super::lanes::{Lanes, Source};
use crate::node_host::NodeHost;
use crate::tcp::{Inbound, SnapshotSink};

/// See the module.
pub(super) struct Calls {
    host: NodeHost,
    lanes: Arc<Lanes>,
    callers: Mutex<Callers>,
}

impl Calls {
    pub(super) fn new(host: NodeHost, lanes: Arc<Lanes>) -> Self {
        Self { host, lanes, callers: Mutex::default() }
    }

    fn callers(&self) -> MutexGuard<'_, Callers> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inbound for Calls {
    fn admit(&self, hello: &Hello) -> Result<(), String> {
        let known = self.lanes.address(hello.from);
        self.callers().enter(hello, known.as_deref())?;
        self.lanes.learn(Source::Itself, [(hello.from, hello.address.clone())]);
        if self.callers().must_be_told(hello, self.lanes.version()) {
            self.lanes.tell(hello.from);
        }
        Ok(())
    }

    fn frame(&self, from: StoreId, frame: Bytes) -> Result<(), String> {
        self.host.frame(from, frame)
    }

    fn lost(&self, hello: &Hello) {
        self.callers().leave(hello);
        self.host.lost(hello);
    }

    fn snapshot(&self, offer: Bytes) -> Result<Box<dyn SnapshotSink>, String> {
        self.host.snapshot(offer)
    }
}

/// The newest process of each store that called.
#[derive(Default)]
struct Callers(BTreeMap<StoreId, Caller>);

#[derive(Default)]
struct Caller {
    incarnation: u64,
    /// Its connections for control.
    open: usize,
    /// The version of what it was told last; nothing yet: 0.
    told: u64,
}

impl Callers {
    /// A call of a store that is known to be there.
    ///
    /// # Errors
    /// It is connected from there, and this is another process.
    fn enter(&mut self, hello: &Hello, known: Option<&str>) -> Result<(), String> {
        let caller = self.0.entry(hello.from).or_default();
        if caller.incarnation != hello.incarnation {
            if let Some(at) = known.filter(|at| caller.open > 0 && *at != hello.address) {
                let (store, address) = (hello.from.0, &hello.address);
                return Err(format!("store {store} is at {at} and works: is {address} its twin?"));
            }
            *caller = Caller { incarnation: hello.incarnation, open: 0, told: 0 };
        }
        caller.open += usize::from(hello.purpose == Purpose::Control);
        Ok(())
    }

    /// It has not heard what is known by this version, and will now.
    fn must_be_told(&mut self, hello: &Hello, version: u64) -> bool {
        let caller = self.0.get_mut(&hello.from);
        let caller = caller.filter(|_| hello.purpose == Purpose::Control);
        caller.is_some_and(|caller| std::mem::replace(&mut caller.told, version) < version)
    }

    fn leave(&mut self, hello: &Hello) {
        if let Some(caller) = self.0.get_mut(&hello.from)
            && caller.incarnation == hello.incarnation
            && hello.purpose == Purpose::Control
        {
            // Those from before a later process was heard are not counted.
            caller.open = caller.open.saturating_sub(1);
            // What it was told may be lost with the connection.
            caller.told = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use kontiki_types::ClusterId;

    use super::*;

    const HOME: &str = "home:1";

    fn call(incarnation: u64, purpose: Purpose, address: &str) -> Hello {
        let (cluster, from, to) = (ClusterId(1), StoreId(2), StoreId(3));
        Hello { cluster, from, to, incarnation, purpose, address: address.to_owned() }
    }

    #[test]
    fn a_twin_is_refused_while_the_store_is_connected() {
        let mut callers = Callers::default();
        let first = call(7, Purpose::Control, HOME);
        callers.enter(&first, None).expect("nobody else is there");
        for purpose in [Purpose::Control, Purpose::Append, Purpose::Snapshot] {
            let refused = callers.enter(&call(8, purpose, "away:1"), Some(HOME));
            assert!(refused.expect_err("a twin").contains("store 2 is at home:1"));
        }
        callers.enter(&first, Some(HOME)).expect("once more the same");
        callers.leave(&first);
        callers.enter(&call(8, Purpose::Control, "away:1"), Some(HOME)).expect_err("one is left");
        callers.leave(&first);
        callers.enter(&call(8, Purpose::Control, "away:1"), Some(HOME)).expect("it moved");
    }

    /// Its old connections may seem to be there for seconds.
    #[test]
    fn a_store_that_restarted_in_its_place_is_heard_at_once() {
        let mut callers = Callers::default();
        let (old, new) = (call(7, Purpose::Control, HOME), call(8, Purpose::Control, HOME));
        callers.enter(&old, None).expect("nobody else is there");
        callers.enter(&new, Some(HOME)).expect("the same place");
        callers.leave(&old);
        callers.enter(&call(9, Purpose::Control, "away:1"), Some(HOME)).expect_err("it works");
    }

    #[test]
    fn a_caller_is_told_what_is_news_and_again_when_it_comes_back() {
        let mut callers = Callers::default();
        let control = call(7, Purpose::Control, HOME);
        callers.enter(&control, None).expect("heard");
        assert!(callers.must_be_told(&control, 3));
        assert!(!callers.must_be_told(&control, 3));
        assert!(callers.must_be_told(&control, 4));
        assert!(!callers.must_be_told(&call(7, Purpose::Append, HOME), 5));
        callers.leave(&control);
        callers.enter(&control, Some(HOME)).expect("heard");
        assert!(callers.must_be_told(&control, 4));
    }
}
