//! The bytes of membership entries, for the Raft core that knows no bytes.
//!
//! Whoever makes a `kontiki_raft::Config` for a [`crate::Shard`] passes this in.

use kontiki_codec::membership;
use kontiki_raft::MembershipCodec;

/// Memberships as `kontiki_codec::membership` writes them.
pub fn membership_codec() -> MembershipCodec {
    MembershipCodec {
        encode: membership::to_bytes,
        decode: |data| membership::from_bytes(data).ok(),
    }
}
