//! Two regions of a store and a snapshot that wants keys of both.

use std::sync::Arc;

use kontiki_engine::{Engine, Family, Range, SimDisk, delete_range};
use kontiki_multiraft::{Error, StateMachine};
use kontiki_types::{KeyRange, Region, RegionId, SnapshotMeta};

use crate::tests::builders::{FIRST_EPOCH, IDENT, entry, header, key, payload, peers, put};
use crate::tests::node::Node;
use crate::{Background, Inline, Replica, Tuning, bootstrap, open};

const SPOOL: u64 = 4;

fn region(id: u64, range: KeyRange) -> Region {
    Region { id: RegionId(id), range, epoch: FIRST_EPOCH, peers: peers(3) }
}

fn opened(disk: &SimDisk) -> (Arc<dyn Engine>, Vec<Replica>) {
    let engine: Arc<dyn Engine> = Arc::new(disk.open());
    let background: Arc<dyn Background> = Arc::new(Inline);
    let opened = open::open(&engine, IDENT, &background, Tuning::default()).unwrap();
    assert_eq!(opened.pending_installs, []);
    (engine, opened.replicas)
}

fn write(replica: &mut Replica, name: &str) {
    let index = replica.applied().index.0 + 1;
    let commands = vec![put(name, "x")];
    let entries = [entry(index, vec![payload(header(1, 1), index, commands)])];
    replica.apply(&entries, &mut Vec::new()).unwrap();
}

fn hashes(engine: &dyn Engine, replicas: &[Replica]) -> Vec<u64> {
    let hash = |replica: &Replica| crate::state_hash::compute(engine, replica.region()).unwrap();
    replicas.iter().map(hash).collect()
}

/// Known Raft bug 65: a store destroyed a region that a snapshot overlapped, and crashed before it
/// held the snapshot.
#[test]
fn a_snapshot_that_overlaps_another_region_destroys_neither() {
    let mut source = Node::new(Tuning::default());
    write(&mut source.replica, "z");
    let position = source.replica.applied();
    let meta = SnapshotMeta { position, membership: source.replica.membership() };
    let chunks = source.snapshot();

    let disk = SimDisk::new();
    let halves = [
        region(1, KeyRange::new(bytes::Bytes::new(), Some(key("m")))),
        region(2, KeyRange::new(key("m"), None)),
    ];
    bootstrap::bootstrap(&disk.open(), IDENT, &halves).unwrap();
    let (engine, mut replicas) = opened(&disk);
    write(&mut replicas[0], "a");
    write(&mut replicas[1], "n");
    let before = hashes(&*engine, &replicas);
    let refused = replicas[0].install(&meta, SPOOL, &mut chunks.clone().into_iter().map(Ok));
    assert!(
        matches!(&refused, Err(Error::Snapshot(why)) if why.contains("r2 holds")),
        "{refused:?}"
    );
    assert_eq!(hashes(&*engine, &replicas), before);
    disk.crash(usize::MAX);
    let (engine, mut replicas) = opened(&disk);
    assert_eq!(hashes(&*engine, &replicas), before);
    replicas.iter_mut().zip(["b", "o"]).for_each(|(replica, name)| write(replica, name));

    // Once the other region is gone, rows and all, it is welcome.
    replicas.truncate(1);
    let meta_rows = kontiki_codec::keys::meta::region_prefix(RegionId(2));
    delete_range(&*engine, Family::Meta, &Range::prefix(&meta_rows), 9).unwrap();
    replicas[0].install(&meta, SPOOL, &mut chunks.into_iter().map(Ok)).unwrap();
    assert_eq!(hashes(&*engine, &replicas), [source.hash()]);
}
