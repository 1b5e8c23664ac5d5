//! Check 1: what is not proposed, and what the client is told.

use bytes::Bytes;
use kontiki_types::limits::{BATCH_BYTES_MAX, BATCH_COMMANDS_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use kontiki_types::{Command, Epoch, Region, RequestId, WriteBatch};

use crate::bootstrap::first_region;
use crate::propose::{ProposeError, check};
use crate::tests::builders::{header, key, peers, put, range, value};

/// A region of the keys from "b" up to "d".
fn region() -> Region {
    Region { range: range("b", Some("d")), ..first_region(peers(3)) }
}

fn checked(commands: Vec<Command>) -> Result<(), ProposeError> {
    let commands = (1..).map(RequestId).zip(commands).collect();
    check(Some(&region()), &WriteBatch { header: header(1, 1), commands })
}

fn put_of(key_bytes: usize, value_bytes: usize) -> Command {
    let value = Bytes::from(vec![0; value_bytes]);
    Command::Put { key: key(&"b".repeat(key_bytes)), value }
}

#[test]
fn good_commands_pass_up_to_the_limits() {
    let whole = Command::DeleteRange { range: range("b", Some("d")) };
    let swap = Command::CompareAndPut { key: key("c"), expect: None, update: None };
    let batch = Command::Batch { changes: vec![(key("b"), None), (key("c"), Some(value("1")))] };
    assert_eq!(checked(vec![put("b", "1"), whole, swap, batch, Command::HashState]), Ok(()));
    assert_eq!(checked(vec![put_of(KEY_BYTES_MAX, VALUE_BYTES_MAX)]), Ok(()));
    assert_eq!(checked(vec![put("b", "1"); BATCH_COMMANDS_MAX]), Ok(()));
}

#[test]
fn a_region_that_is_not_here_or_changed_is_named() {
    let batch = WriteBatch { header: header(1, 1), commands: vec![(RequestId(1), put("b", "1"))] };
    assert_eq!(check(None, &batch), Err(ProposeError::RegionNotFound));
    let epoch = Epoch { conf_ver: 1, version: 2 };
    let newer = Region { epoch, ..region() };
    let current = vec![newer.clone()];
    assert_eq!(check(Some(&newer), &batch), Err(ProposeError::EpochNotMatch { current }));
}

#[test]
fn keys_outside_the_region_are_refused_wherever_they_hide() {
    let outside = Err(ProposeError::KeyNotInRegion { current: vec![region()] });
    let hidden = Command::Batch { changes: vec![(key("b"), None), (key("d"), None)] };
    for command in [
        put("a", "1"),
        put("d", "1"),
        Command::Delete { key: key("a") },
        hidden,
        Command::DeleteRange { range: range("b", Some("e")) },
        Command::DeleteRange { range: range("a", Some("c")) },
        Command::DeleteRange { range: range("b", None) },
        Command::PutIfAbsent { key: key("d"), value: value("") },
        Command::CompareAndPut { key: key("a"), expect: None, update: None },
    ] {
        assert_eq!(checked(vec![put("b", "1"), command.clone()]), outside, "{command:?}");
    }
}

#[test]
fn what_breaks_a_limit_is_refused_by_its_place() {
    let long = Some(Bytes::from(vec![0; VALUE_BYTES_MAX + 1]));
    for command in [
        put_of(KEY_BYTES_MAX + 1, 0),
        put_of(1, VALUE_BYTES_MAX + 1),
        Command::Put { key: Bytes::new(), value: value("1") },
        Command::Put { key: Bytes::from_static(b"s\0\0\0b"), value: value("1") },
        Command::Batch { changes: Vec::new() },
        Command::CompareAndPut { key: key("b"), expect: long.clone(), update: None },
        Command::CompareAndPut { key: key("b"), expect: None, update: long },
        Command::DeleteRange { range: range("c", Some("b")) },
        Command::DeleteRange { range: kontiki_types::KeyRange::all() },
    ] {
        assert_eq!(checked(vec![put("b", "1"), command]), Err(ProposeError::Invalid(1)));
    }
}

#[test]
fn a_batch_is_neither_empty_nor_too_large() {
    assert_eq!(checked(Vec::new()), Err(ProposeError::Empty));
    let many = checked(vec![put("b", "1"); BATCH_COMMANDS_MAX + 1]);
    assert!(matches!(many, Err(ProposeError::TooLarge { .. })), "{many:?}");
    let large = checked(vec![put_of(1, VALUE_BYTES_MAX); BATCH_BYTES_MAX / VALUE_BYTES_MAX]);
    assert!(matches!(large, Err(ProposeError::TooLarge { .. })), "{large:?}");
}
