//! Identifiers. Each is its own type, so that a store cannot be passed where a peer is meant.
//!
//! `Display` is short (`r2`, `s1`, `p3`), the form used in logs, golden scripts and status output.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

id!(
    /// One region of the key space, which is one Raft group of the same id. 0 is never used.
    RegionId, "r"
);
id!(
    /// One store process with its own data directory. 0 is never used.
    StoreId, "s"
);
id!(
    /// One replica of one region, unique per incarnation: a peer that is removed and added again
    /// gets a new id, so late messages to the old one cannot be taken for the new one.
    PeerId, "p"
);
id!(
    /// One cluster; frames and data directories of another cluster are refused.
    ClusterId, "c"
);
id!(
    /// One client session, drawn at random by the client library.
    ClientId, "k"
);
id!(
    /// One write of a client session; grows by one per write, starts at 1.
    RequestId, "q"
);
