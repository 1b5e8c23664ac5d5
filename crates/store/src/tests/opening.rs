//! What a store refuses to open, and that a restart changes nothing.

use std::sync::Arc;

use kontiki_engine::{Engine, SimDisk};
use kontiki_types::{PeerId, Position, RegionId, StoreId};

use crate::tests::builders::{IDENT, entry, header, payload, peers, put};
use crate::tests::node::Node;
use crate::{Background, Error, Inline, Tuning, bootstrap, heir, open};

fn try_open(disk: &SimDisk, ident: kontiki_codec::store_ident::StoreIdent) -> Result<(), Error> {
    let engine: Arc<dyn Engine> = Arc::new(disk.open());
    let background: Arc<dyn Background> = Arc::new(Inline);
    open::open(&engine, ident, &background, Tuning::default()).map(|_| ())
}

#[test]
fn an_engine_without_identity_or_of_another_store_is_refused() {
    let disk = SimDisk::new();
    assert!(matches!(try_open(&disk, IDENT), Err(Error::NotBootstrapped)));
    let first = bootstrap::first_region(peers(3));
    bootstrap::bootstrap(&disk.open(), IDENT, std::slice::from_ref(&first)).unwrap();
    assert!(try_open(&disk, IDENT).is_ok());
    let mut other = IDENT;
    other.store = StoreId(77);
    assert!(matches!(try_open(&disk, other), Err(Error::OtherStore { .. })));
    let again = bootstrap::bootstrap(&disk.open(), IDENT, std::slice::from_ref(&first));
    assert!(matches!(again, Err(Error::AlreadyBootstrapped)));
}

/// Sim seed 415629533744: it waited for its first snapshot when its log was damaged.
#[test]
fn a_replica_that_was_succeeded_before_it_held_anything_opens() {
    let disk = SimDisk::new();
    bootstrap::bootstrap(&disk.open(), IDENT, &[]).unwrap();
    let engine: Arc<dyn Engine> = Arc::new(disk.open());
    heir::appoint(&*engine, RegionId(6), PeerId(77)).unwrap();
    let background: Arc<dyn Background> = Arc::new(Inline);
    let opened = open::open(&engine, IDENT, &background, Tuning::default()).unwrap();
    let [replica] = &opened.replicas[..] else { panic!("{opened:?}") };
    assert_eq!((replica.id(), replica.heir()), (RegionId(6), Some(PeerId(77))));
    assert_eq!(replica.applied(), Position::ZERO);
}

#[test]
fn a_restart_changes_nothing() {
    let mut node = Node::new(Tuning { records_max: 2, ..Tuning::default() });
    let log: Vec<_> = (1..=7)
        .map(|n| entry(n, vec![payload(header(n % 3, 1), n, vec![put("k", &n.to_string())])]))
        .collect();
    for _ in 0..7 {
        node.apply(&log, 1).unwrap();
        let (hash, applied) = (node.hash(), node.replica.applied());
        node.reopen();
        node.check();
        assert_eq!((node.hash(), node.replica.applied()), (hash, applied));
    }
}

#[test]
fn unsynced_batches_lost_in_a_crash_are_applied_again_from_the_log() {
    let mut node = Node::new(Tuning::default());
    let log: Vec<_> = (1..=5)
        .map(|n| entry(n, vec![payload(header(1, 1), n, vec![put("k", &n.to_string())])]))
        .collect();
    for _ in 0..5 {
        node.apply(&log, 1).unwrap();
    }
    let hash = node.hash();
    assert_eq!(node.unsynced_count(), 5);
    node.crash(2);
    assert_eq!(node.replica.applied().index.0, 2);
    node.apply(&log, 3).unwrap();
    assert_eq!(node.hash(), hash);
}
