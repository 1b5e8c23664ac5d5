//! What callers see while leadership is handed over: a short wait, and then where to go.

use std::time::Duration;

use bytes::Bytes;
use kontiki_raft::TransferOutcome;
use kontiki_types::{PeerId, ReadMode, StoreId};

use super::stores::{Answer, GROUP, Stores};
use crate::{Effects, Event, Refused, Token};

fn propose(stores: &mut Stores) -> Token {
    propose_at(stores, 1)
}

fn propose_at(stores: &mut Stores, store: u64) -> Token {
    let payload = Bytes::from_static(b"a");
    stores.queue(store, |token| Event::Propose {
        group: GROUP,
        payload,
        token,
        expected_term: None,
    })
}

fn transfer(stores: &mut Stores) -> Token {
    let to = Some(StoreId(2));
    stores.queue(1, |token| Event::Transfer { group: GROUP, to, token })
}

#[test]
fn whoever_asks_during_a_transfer_is_told_who_leads_then() {
    let mut stores = Stores::led(3, 0);
    let (before, order, after) =
        (propose(&mut stores), transfer(&mut stores), propose(&mut stores));
    stores.run();
    assert_eq!(stores.answers[&order], Answer::Accepted);
    let leader = Some((PeerId(2), StoreId(2)));
    for token in [before, after] {
        assert_eq!(stores.answers[&token], Answer::Refused(Refused::NotLeader { leader }));
    }
}

#[test]
fn whoever_asked_before_a_transfer_hears_the_outcome() {
    let mut stores = Stores::led(3, 0);
    let token = propose(&mut stores);
    stores.turn_of(1);
    transfer(&mut stores);
    stores.run();
    assert!(matches!(stores.answers[&token], Answer::Replied(_)), "{:?}", stores.answers);
    assert_eq!(role_of(&mut stores, 2), "leader");
}

#[test]
fn whoever_asks_during_a_transfer_that_fails_is_served_after_it() {
    let mut stores = Stores::led(3, 0);
    stores.all.remove(&StoreId(2));
    transfer(&mut stores);
    let token = propose(&mut stores);
    stores.run();
    assert!(!stores.answers.contains_key(&token), "nobody knows yet who will lead");
    for _ in 0..11 {
        stores.pass(1, Duration::from_millis(100));
    }
    assert!(matches!(stores.answers[&token], Answer::Replied(_)), "{:?}", stores.answers);
}

/// Store 2 was told to take over, and asks for votes.
fn campaigning() -> Stores {
    let mut stores = Stores::led(3, 0);
    transfer(&mut stores);
    stores.round();
    stores.round();
    assert_eq!(role_of(&mut stores, 2), "candidate");
    stores
}

fn role_of(stores: &mut Stores, store: u64) -> &'static str {
    stores.store(store).shard.statuses().next().map_or("none", |status| status.role)
}

#[test]
fn the_leader_that_gave_its_vote_sends_callers_ahead_to_the_target() {
    let mut stores = campaigning();
    let (here, there) = (propose(&mut stores), propose_at(&mut stores, 2));
    let read = |token| Event::Read { group: GROUP, token, mode: ReadMode::Index };
    let (read, read_there) = (stores.queue(1, read), stores.queue(2, read));
    stores.round();
    assert_eq!(role_of(&mut stores, 2), "candidate");
    let leader = Some((PeerId(2), StoreId(2)));
    for token in [here, read] {
        assert_eq!(stores.answers[&token], Answer::Refused(Refused::NotLeader { leader }));
    }
    for token in [there, read_there] {
        assert!(!stores.answers.contains_key(&token), "it may win, and then it takes them");
    }
    stores.run();
    assert!(matches!(stores.answers[&there], Answer::Replied(_)), "{:?}", stores.answers);
    assert_eq!(stores.answers[&read_there], Answer::Readable);
}

#[test]
fn a_target_that_is_not_elected_in_time_sends_callers_away() {
    let mut stores = campaigning();
    stores.cut = Some(StoreId(2));
    let token = propose_at(&mut stores, 2);
    stores.run();
    assert!(!stores.answers.contains_key(&token), "it may win still");
    stores.pass(2, Duration::from_secs(3));
    let nobody = Refused::NotLeader { leader: None };
    assert_eq!(stores.answers[&token], Answer::Refused(nobody));
}

#[test]
fn whoever_ordered_a_transfer_hears_that_the_group_is_destroyed() {
    let mut stores = Stores::led(3, 0);
    let order = transfer(&mut stores);
    stores.turn_of(1);
    let now = stores.now;
    let shard = &mut stores.store(1).shard;
    assert!(shard.destroy_group(GROUP));
    let mut effects = Effects::default();
    shard.take_effects(now, &mut effects);
    assert_eq!(effects.transferred, [(order, TransferOutcome::TimedOut)]);
}
