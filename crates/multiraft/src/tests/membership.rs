//! Replicas that are created by the first message for them, change, and go.

use std::time::Duration;

use bytes::Bytes;
use kontiki_log::Record;
use kontiki_raft::{ChangeError, ChangeFailure, Notice};
use kontiki_types::{
    Body, Membership, MembershipChange, Message, PeerChange, PeerId, Position, StoreId, Term,
};

use super::stores::{Answer, GROUP, Stores};
use crate::{Event, Refused, Token};

fn change(stores: &mut Stores, at: u64, step: PeerChange) -> Token {
    let change = MembershipChange::from(step);
    stores.ask(at, |token| Event::Change { group: GROUP, change, token })
}

fn propose(stores: &mut Stores, at: u64, data: &'static str) -> Token {
    let payload = Bytes::from_static(data.as_bytes());
    stores.ask(at, |token| Event::Propose { group: GROUP, payload, token, expected_term: None })
}

fn add_4() -> PeerChange {
    PeerChange::AddVoter { peer: PeerId(4), store: StoreId(4) }
}

/// Three voters and a fourth, whose store had never heard of the group.
fn four() -> Stores {
    let mut stores = Stores::led(3, 1);
    propose(&mut stores, 1, "a");
    let token = change(&mut stores, 1, add_4());
    assert_eq!(stores.answers[&token], Answer::Changed(Membership::of_voters(4)));
    stores
}

#[test]
fn first_message_for_a_replica_creates_it_and_it_answers_its_leader() {
    let mut stores = four();
    propose(&mut stores, 1, "b");
    for store in stores.all.values() {
        let state = store.machine.as_ref().expect("all take part").state();
        assert_eq!(state.payloads, ["a", "b"], "{}", state.position);
        assert_eq!(state.told.last(), Some(&Membership::of_voters(4)));
    }
    // Its birth is in the log before anything it did.
    let first = stores.store(4).records.first();
    assert!(matches!(first, Some(Record::Snapshot { .. })), "{first:?}");
}

#[test]
fn joint_memberships_pass_the_state_machine_without_a_word() {
    let mut stores = four();
    let steps = [PeerChange::Demote(PeerId(4)), PeerChange::Remove(PeerId(3))];
    let change = MembershipChange::new(steps);
    let token = stores.ask(1, |token| Event::Change { group: GROUP, change, token });
    let Answer::Changed(after) = stores.answers[&token].clone() else { panic!("it is done") };
    let state = stores.store(1).machine.as_ref().expect("here").state();
    assert_eq!(state.told, [Membership::of_voters(4), after]);
}

#[test]
fn removed_replica_is_told_and_can_make_room_for_another() {
    let mut stores = four();
    change(&mut stores, 1, PeerChange::Remove(PeerId(4)));
    assert!(stores.store(4).notices.contains(&Notice::Removed), "{:?}", stores.store(4).notices);
    let old = stores.store(4).machine.clone().expect("still here");
    let store = stores.store(4);
    assert!(store.shard.destroy_group(GROUP));
    assert!(!store.shard.is_free(GROUP), "the applier has not heard of it");
    stores.run();
    let store = stores.store(4);
    assert!(store.shard.is_free(GROUP) && old.state().destroyed);
    assert_eq!(store.records.last(), Some(&Record::Forget { group: GROUP }));
    let add_5 = PeerChange::AddVoter { peer: PeerId(5), store: StoreId(4) };
    let token = change(&mut stores, 1, add_5);
    assert!(matches!(stores.answers[&token], Answer::Changed(_)), "{:?}", stores.answers[&token]);
    assert_eq!(stores.store(4).machine.as_ref().expect("new").state().payloads, ["a"]);
}

#[test]
fn whoever_only_asks_for_votes_creates_nothing() {
    let mut stores = Stores::led(3, 1);
    let body = Body::PreVote { last: Position::ZERO };
    let message = Message { from: PeerId(1), to: PeerId(4), term: Term(9), body };
    let store = StoreId(1);
    stores.ask(4, |_| Event::Message { group: GROUP, store, message });
    assert!(stores.store(4).machine.is_none());
}

#[test]
fn change_that_cannot_begin_is_refused_by_name() {
    let mut stores = four();
    let token = change(&mut stores, 1, add_4());
    let known = Refused::Change(ChangeError::AlreadyMember(PeerId(4)));
    assert_eq!(stores.answers[&token], Answer::Refused(known));
    let token = change(&mut stores, 2, PeerChange::Remove(PeerId(4)));
    let leader = Some((PeerId(1), StoreId(1)));
    assert_eq!(stores.answers[&token], Answer::Refused(Refused::NotLeader { leader }));
}

#[test]
fn change_whose_leader_steps_down_has_an_unknown_outcome() {
    let mut stores = Stores::led(3, 0);
    stores.all.retain(|store, _| *store == StoreId(1));
    let token = change(&mut stores, 1, PeerChange::Remove(PeerId(3)));
    assert!(!stores.answers.contains_key(&token), "nobody else could commit it");
    stores.pass(1, Duration::from_secs(3));
    let unknown = Refused::ChangeFailed(ChangeFailure::Unknown);
    assert_eq!(stores.answers[&token], Answer::Refused(unknown));
}

#[test]
fn callers_of_a_group_that_is_destroyed_are_answered() {
    let mut stores = Stores::led(3, 0);
    stores.all.retain(|store, _| *store == StoreId(1));
    let changing = change(&mut stores, 1, PeerChange::Remove(PeerId(3)));
    let proposing = propose(&mut stores, 1, "a");
    stores.store(1).shard.destroy_group(GROUP);
    stores.run();
    let unknown = Refused::ChangeFailed(ChangeFailure::Unknown);
    assert_eq!(stores.answers[&changing], Answer::Refused(unknown));
    assert_eq!(stores.answers[&proposing], Answer::Refused(Refused::LeadershipLost));
    let token = propose(&mut stores, 1, "b");
    assert_eq!(stores.answers[&token], Answer::Refused(Refused::NoGroup));
}

#[test]
fn majority_that_is_lost_can_be_given_up() {
    let mut stores = Stores::led(3, 0);
    stores.all.retain(|store, _| *store == StoreId(1));
    let membership = Membership::of_voters(1);
    let token = stores.ask(1, |token| Event::Reset { group: GROUP, membership, token });
    assert_eq!(stores.answers[&token], Answer::Accepted);
    stores.pass(1, Duration::from_secs(3));
    let token = propose(&mut stores, 1, "alone");
    assert_eq!(stores.answers[&token], Answer::Replied(Bytes::from_static(b"alone")));
}

/// Found by the simulator (seed 170865461855).
#[test]
fn change_may_begin_in_the_turn_in_which_the_one_before_ends() {
    let mut stores = Stores::led(1, 1);
    let queue = |stores: &mut Stores, step| {
        let change = MembershipChange::from(step);
        stores.queue(1, |token| Event::Change { group: GROUP, change, token })
    };
    let first = queue(&mut stores, PeerChange::AddLearner { peer: PeerId(2), store: StoreId(2) });
    stores.turn_of(1);
    assert!(!stores.answers.contains_key(&first), "its entry is on its way to the disk");
    let second = queue(&mut stores, PeerChange::Remove(PeerId(2)));
    stores.run();
    let Answer::Changed(both) = &stores.answers[&first] else { panic!("it ended well") };
    assert_eq!(both.peers().count(), 2);
    assert_eq!(stores.answers[&second], Answer::Changed(Membership::of_voters(1)));
}
