//! What callers see while leadership is handed over: a short wait, and then where to go.

use std::time::Duration;

use bytes::Bytes;
use kontiki_types::{PeerId, StoreId};

use super::stores::{Answer, GROUP, Stores};
use crate::{Event, Refused, Token};

fn propose(stores: &mut Stores) -> Token {
    let payload = Bytes::from_static(b"a");
    stores.queue(1, |token| Event::Propose { group: GROUP, payload, token, expected_term: None })
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
    assert_eq!(stores.store(2).shard.statuses().next().map(|s| s.role), Some("leader"));
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
