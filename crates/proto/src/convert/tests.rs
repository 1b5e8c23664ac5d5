//! Everything goes through its bytes and back unchanged; what is missing is named; the hot path's
//! messages keep their size.

use bytes::Bytes;
use kontiki_types::{
    Command, Epoch, KeyRange, Outcome, Peer, PeerId, PeerRole, Refusal, Region, RegionId,
    RequestId, StoreId,
};
use prost::Message;

use crate::{Error, v1};

fn through_bytes<M: Message + Default>(message: &M) -> M {
    M::decode(Bytes::from(message.encode_to_vec())).unwrap()
}

fn a_region() -> Region {
    let peer = |id, role| Peer { id: PeerId(id), store: StoreId(id + 100), role };
    Region {
        id: RegionId(7),
        range: KeyRange::new(&b"r\0\0\0\x00\xff"[..], Some(Bytes::from_static(b""))),
        epoch: Epoch { conf_ver: 3, version: u64::MAX },
        peers: vec![
            peer(1, PeerRole::Voter),
            peer(2, PeerRole::Learner),
            peer(3, PeerRole::Incoming),
            peer(4, PeerRole::Outgoing),
            peer(5, PeerRole::Demoting),
        ],
    }
}

#[test]
fn regions_survive_the_wire() {
    for end in [None, Some(Bytes::new()), Some(Bytes::from_static(&[0, 0xff]))] {
        let mut region = a_region();
        region.range.end = end;
        let wire = through_bytes(&v1::Region::from(region.clone()));
        assert_eq!(Region::try_from(wire), Ok(region));
    }
}

#[test]
fn commands_survive_the_wire() {
    let bytes = Bytes::from_static;
    let present = || [None, Some(Bytes::new()), Some(Bytes::from_static(b"\0\xff"))];
    let mut commands = vec![
        Command::Put { key: bytes(b""), value: bytes(b"") },
        Command::Put { key: bytes(b"\0\xff"), value: bytes(b"\x80") },
        Command::Delete { key: bytes(b"k") },
        Command::DeleteRange { range: KeyRange::all() },
        Command::DeleteRange { range: KeyRange::new(&b"a"[..], Some(bytes(b"b"))) },
        Command::PutIfAbsent { key: bytes(b"k"), value: bytes(b"") },
        Command::Batch { changes: present().map(|value| (bytes(b"k"), value)).into() },
        Command::Batch { changes: Vec::new() },
    ];
    for expect in present() {
        for update in present() {
            let (expect, key) = (expect.clone(), bytes(b"k"));
            commands.push(Command::CompareAndPut { key, expect, update });
        }
    }
    for command in commands {
        let said = (RequestId(u64::MAX), command);
        let wire = through_bytes(&v1::Write::try_from(said.clone()).unwrap());
        assert_eq!(wire.try_into(), Ok(said));
    }
}

#[test]
fn outcomes_survive_the_wire() {
    let mut outcomes = vec![Outcome::Done, Outcome::Removed(0), Outcome::Removed(u64::MAX)];
    for previous in [None, Some(Bytes::new()), Some(Bytes::from_static(b"\0"))] {
        for applied in [false, true] {
            outcomes.push(Outcome::Conditional { applied, previous: previous.clone() });
        }
    }
    let refusals = [
        Refusal::EpochNotMatch(vec![a_region(), a_region()]),
        Refusal::KeyNotInRegion,
        Refusal::SessionUnknown,
        Refusal::RequestForgotten,
        Refusal::SessionFull,
        Refusal::Invalid,
    ];
    outcomes.extend(refusals.map(Outcome::Refused));
    for outcome in outcomes {
        let wire = through_bytes(&v1::Outcome::from(outcome.clone()));
        assert_eq!(Outcome::try_from(wire), Ok(outcome));
    }
}

#[test]
fn what_is_missing_or_unknown_is_named_and_never_taken_for_success() {
    assert_eq!(
        Outcome::try_from(v1::Outcome::default()),
        Err(Error::Missing("outcome of a write"))
    );
    let refusal = v1::Refusal { reason: 99, regions: Vec::new() };
    let error = Error::Unknown { what: "reason of a refusal", number: 99 };
    assert_eq!(Refusal::try_from(refusal), Err(error));
    assert!(Refusal::try_from(v1::Refusal::default()).is_err());
    assert!(Region::try_from(v1::Region::default()).is_err());
    assert!(<(RequestId, Command)>::try_from(v1::Write::default()).is_err());
    let peer = v1::RegionPeer { role: 5, ..Default::default() };
    assert!(Peer::try_from(peer).is_err());
    let hash = (RequestId(1), Command::HashState);
    assert_eq!(v1::Write::try_from(hash), Err(Error::NotForClients("a state hash")));
}

#[test]
fn values_share_the_memory_of_the_message() {
    let put = Command::Put { key: Bytes::from_static(b"k"), value: vec![7; 4096].into() };
    let write = v1::Write::try_from((RequestId(1), put)).unwrap();
    let message = Bytes::from(write.encode_to_vec());
    let range = message.as_ptr_range();
    let (_, command) = v1::Write::decode(message).unwrap().try_into().unwrap();
    let Command::Put { value, .. } = command else { panic!("{command:?}") };
    assert!(range.contains(&value.as_ptr()), "the value was copied");
}

#[test]
fn a_small_put_costs_few_bytes() {
    let put = Command::Put { key: vec![1; 20].into(), value: vec![2; 256].into() };
    let mut writes =
        v1::Writes { client_id: u64::MAX, lowest: 1 << 40, open: true, writes: vec![] };
    let batch = |writes: &v1::Writes| {
        let body = Some(v1::batch::Body::Writes(writes.clone()));
        let epoch = Some(Epoch { conf_ver: 9, version: 900 }.into());
        let batch = v1::Batch { id: 1 << 30, region_id: 1 << 20, epoch, timeout_ms: 5000, body };
        v1::Requests { batches: vec![batch] }.encoded_len()
    };
    let empty = batch(&writes);
    writes.writes.push((RequestId(1 << 40), put).try_into().unwrap());
    let one = batch(&writes);
    assert!(empty < 48, "an empty batch costs {empty} bytes");
    assert!(one - empty < 300, "a put of 16+256 bytes costs {} bytes", one - empty);
    assert!(v1::Outcome::from(Outcome::Done).encoded_len() <= 2);
}
