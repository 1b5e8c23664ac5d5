//! What a state machine is told of leaders that come and go, and of its end.

use std::time::Instant;

use kontiki_host::library::{Cause, Successor};
use kontiki_types::StoreId;

use crate::cluster::{Cluster, PATIENCE};
use crate::machine::Call;

impl Cluster {
    /// What the state machine of this store was told so far.
    fn heard(&self, store: StoreId) -> Vec<Call> {
        let calls = self.calls.all().into_iter();
        calls.filter(|(told, _)| *told == store).map(|(_, call)| call).collect()
    }

    /// The same, only of the leaders it follows.
    fn followed(&self, store: StoreId) -> Vec<Call> {
        let mut heard = self.heard(store);
        heard.retain(|call| matches!(call, Call::StartFollowing(_) | Call::StopFollowing(_)));
        heard
    }

    fn waits_for(&self, store: StoreId, call: &Call) {
        self.calls.wait(|told, heard| told == store && heard == call);
    }
}

#[test]
fn a_follower_hears_that_its_leader_is_gone_before_it_hears_of_the_next() {
    let (cluster, first) = Cluster::with_leader(3);
    let [target, third] = cluster.others(first)[..] else { panic!("three stores") };
    for follower in [target, third] {
        cluster.words_in_time(follower);
    }
    // Handed over: who only follows follows another, and the target nobody any more.
    let moved = cluster.node(first).transfer_leadership_to(Successor::On(target));
    moved.wait_timeout(PATIENCE).expect("done");
    assert_eq!(cluster.calls.leader(), target);
    cluster.words_in_time(third);
    let (start, stop) = (Call::StartFollowing, Call::StopFollowing);
    // On a slow day they lost sight of it before.
    let ends = |store, with: &[Call]| {
        let followed = cluster.followed(store);
        assert!(followed.ends_with(with), "{store} followed {followed:?}");
    };
    ends(third, &[start(first), stop(first), start(target)]);
    ends(target, &[start(first), stop(first)]);
    let last_why = |store| cluster.probes[&store].whys().pop().expect("it was told why");
    assert_eq!(last_why(first), Cause::HandedOver);
    assert_eq!(last_why(target), Cause::Stands);
    let began = last_why(third);
    assert!(matches!(began, Cause::ElectionBegan | Cause::LeaderSpoke), "{began}");

    // Lost: nobody says goodbye, and silence is told alike.
    cluster.network.isolate(target);
    cluster.waits_for(third, &stop(target));
    let next = cluster.calls.leader();
    for store in [first, third] {
        cluster.words_in_time(store);
        let last = cluster.followed(store).last().cloned();
        assert_eq!(last, Some(if next == store { stop(target) } else { start(next) }), "{store}");
    }
    let noticed = |store: &StoreId| cluster.probes[store].whys().contains(&Cause::AsksForVotes);
    assert!([first, third].iter().any(noticed), "nobody noticed");
    let deadline = Instant::now() + PATIENCE;
    while last_why(target) != Cause::QuorumSilent {
        assert!(Instant::now() < deadline, "{}", last_why(target));
        std::thread::yield_now();
    }
}

#[test]
fn a_state_machine_hears_of_its_end_once_and_of_nothing_after_it() {
    let (mut cluster, leader) = Cluster::with_leader(3);
    let [follower, failing] = cluster.others(leader)[..] else { panic!("three stores") };
    cluster.say(leader, "a").expect("applied");
    cluster.words_in_time(follower);
    let ends = |cluster: &Cluster, store| {
        let heard = cluster.heard(store);
        assert_eq!(heard.last(), Some(&Call::Shutdown), "{heard:?}");
        heard.iter().filter(|call| **call == Call::Shutdown).count()
    };
    // A node that was shut down, twice, on a host that goes on; it comes back and ends again.
    for lives in 1..=2 {
        let node = cluster.node(follower);
        node.shutdown();
        node.shutdown();
        assert_eq!(ends(&cluster, follower), lives);
        cluster.create(follower).expect("brought back");
        cluster.words_in_time(follower);
    }
    // One that has failed, and was told so, ends like any other.
    cluster.say(leader, &format!("fail on {}", failing.0)).expect("others do");
    cluster.calls.wait(|store, call| store == failing && matches!(call, Call::Error(_)));
    assert!(!cluster.heard(failing).contains(&Call::Shutdown), "an error is not the end");
    cluster.node(failing).shutdown();
    assert_eq!(ends(&cluster, failing), 1);
    // All that is left ends with its host; the leader first ends its reign.
    let leads = cluster.heard(leader);
    assert!(!leads.contains(&Call::Shutdown), "{leads:?}");
    for (store, lives) in [(leader, 1), (follower, 3), (failing, 1)] {
        cluster.stop(store);
        assert_eq!(ends(&cluster, store), lives, "{store}");
    }
    let leads = cluster.heard(leader);
    assert!(leads.iter().any(|call| matches!(call, Call::LeaderStop(_))), "{leads:?}");
}
