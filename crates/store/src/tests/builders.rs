//! Short words for the values tests are made of.

use bytes::Bytes;
use kontiki_codec::keys::{Keyspace, raw_key, raw_range};
use kontiki_codec::payloads;
use kontiki_codec::store_ident::StoreIdent;
use kontiki_multiraft::{Committed, CommittedKind, Payloads, Token};
use kontiki_types::{
    ClientId, ClusterId, Command, Epoch, Header, Index, KeyRange, Peer, PeerId, PeerRole, Position,
    RequestId, StoreId, Term, WriteBatch,
};

pub(super) const IDENT: StoreIdent = StoreIdent { cluster: ClusterId(9), store: StoreId(1) };
pub(super) const FIRST_EPOCH: Epoch = Epoch { conf_ver: 1, version: 1 };

pub(super) fn key(text: &str) -> Bytes {
    raw_key(Keyspace::DEFAULT, text.as_bytes())
}

pub(super) fn value(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub(super) fn range(start: &str, end: Option<&str>) -> KeyRange {
    raw_range(Keyspace::DEFAULT, &KeyRange::new(value(start), end.map(value)))
}

pub(super) fn put(name: &str, text: &str) -> Command {
    Command::Put { key: key(name), value: value(text) }
}

pub(super) fn peers(count: u64) -> Vec<Peer> {
    (1..=count).map(|n| Peer { id: PeerId(n), store: StoreId(n), role: PeerRole::Voter }).collect()
}

pub(super) fn header(client: u64, lowest: u64) -> Header {
    Header {
        client: ClientId(client),
        lowest: RequestId(lowest),
        open: true,
        epoch: FIRST_EPOCH,
        wall_ms: 1000,
    }
}

/// A payload of commands with consecutive request ids.
pub(super) fn payload(header: Header, first: u64, commands: Vec<Command>) -> Bytes {
    let commands = (first..).map(RequestId).zip(commands).collect();
    kontiki_codec::command::to_bytes(&WriteBatch { header, commands })
}

pub(super) fn entry(index: u64, payloads: Vec<Bytes>) -> Committed {
    committed(index, CommittedKind::Normal(joined(payloads, Vec::new())))
}

/// These payloads as one entry holds them.
pub(super) fn joined(payloads: impl IntoIterator<Item = Bytes>, tokens: Vec<Token>) -> Payloads {
    let mut data = payloads::Builder::default();
    payloads.into_iter().for_each(|payload| data.push(&payload));
    Payloads::new(data.finish(), tokens)
}

pub(super) fn committed(index: u64, kind: CommittedKind) -> Committed {
    Committed { position: Position::new(Term(1), Index(index)), kind }
}
