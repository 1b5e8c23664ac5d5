//! Readable bytes for memberships, so that tests need no codec: `1v 2v 3l`.
//!
//! In production the bytes are `kontiki_codec`'s; the core must not care.

use bytes::Bytes;
use kontiki_types::{Membership, Peer, PeerId, PeerRole, StoreId};

use crate::MembershipCodec;

/// The codec of this module.
pub const READABLE: MembershipCodec = MembershipCodec { encode, decode };

/// Roles and their letters.
const ROLES: [(PeerRole, &str); 5] = [
    (PeerRole::Voter, "v"),
    (PeerRole::Learner, "l"),
    (PeerRole::Incoming, "i"),
    (PeerRole::Outgoing, "o"),
    (PeerRole::Demoting, "d"),
];

/// A membership as text. Stores carry the number of their peer.
pub fn encode(membership: &Membership) -> Bytes {
    let peers: Vec<String> = membership
        .peers()
        .map(|peer| {
            let role = ROLES.iter().find(|(role, _)| *role == peer.role);
            format!("{}{}", peer.id.0, role.expect("every role has a letter").1)
        })
        .collect();
    Bytes::from(peers.join(" "))
}

/// Text as a membership.
pub fn decode(data: Bytes) -> Option<Membership> {
    let text = String::from_utf8(data.into()).ok()?;
    let peers: Option<Vec<Peer>> = text.split_whitespace().map(decode_peer).collect();
    peers.map(Membership::new)
}

fn decode_peer(word: &str) -> Option<Peer> {
    let (role, letter) = ROLES.iter().find(|(_, letter)| word.ends_with(letter))?;
    let number = word.strip_suffix(letter)?.parse().ok()?;
    Some(Peer { id: PeerId(number), store: StoreId(number), role: *role })
}
