//! What travels between the machines of the simulation.
//!
//! Between stores: the very bytes production sends (frames and snapshot chunks of the codec), so a
//! mistake in an encoding is a mistake here too. Between clients and stores: the words of `types`;
//! their protobuf form belongs to the edges, which the simulator leaves out.

use bytes::Bytes;
use kontiki_client::admin::Routes;
use kontiki_client::ask::{Answer as BatchAnswer, Found, Outgoing, Read};
use kontiki_types::{Epoch, Outcome, Region, RegionId, StoreId, WriteBatch};

/// A packet.
#[derive(Clone, Debug)]
pub enum Packet {
    /// A frame of peer messages.
    Peer(Bytes),
    /// A part of a snapshot stream.
    Snapshot {
        /// The sender.
        from: StoreId,
        /// Which stream, unique in the run.
        stream: u64,
        /// Number of the part, from 0.
        number: u64,
        /// The part.
        part: SnapshotPart,
    },
    /// A part of a snapshot stream was taken in; the sender sends the next.
    SnapshotTaken {
        /// Which stream.
        stream: u64,
        /// Which part.
        number: u64,
        /// Whether the receiver has it; if not, the stream has ended.
        ok: bool,
    },
    /// A client asks.
    Request {
        /// Who.
        client: usize,
        /// Which call of this client; echoed.
        call: u64,
        /// About which group.
        group: RegionId,
        /// What.
        ask: Ask,
    },
    /// A store answers.
    Reply {
        /// Echo.
        call: u64,
        /// What.
        answer: Answer,
    },
    /// The client library asks: what one message of its stream holds.
    Batches {
        /// Who.
        client: usize,
        /// Number of the stream; echoed.
        stream: u64,
        /// What.
        batches: Vec<Outgoing>,
    },
    /// A store answers batches.
    Answers {
        /// Echo.
        stream: u64,
        /// What.
        answers: Vec<BatchAnswer>,
    },
    /// The stream broke: nobody listens at that store.
    Reset {
        /// Echo.
        stream: u64,
    },
    /// The client library asks where everything is.
    AskRoutes {
        /// Who.
        client: usize,
        /// Which question; echoed.
        ask: u64,
    },
    /// A store tells where everything is.
    Routes {
        /// Echo.
        ask: u64,
        /// Where.
        routes: Routes,
    },
}

impl Packet {
    /// True when the network may deliver it twice. What travels on a stream of the client library
    /// is never repeated: a stream is a connection. The library rests on it, as it believes a store
    /// that says "nothing was changed"; a second copy could still change something later.
    pub fn may_repeat(&self) -> bool {
        !matches!(self, Self::Batches { .. } | Self::Answers { .. } | Self::Reset { .. })
    }
}

/// A part of a snapshot stream.
#[derive(Clone, Debug)]
pub enum SnapshotPart {
    /// A frame with the one message that offers the snapshot; begins a stream.
    Offer(Bytes),
    /// Bytes of the state.
    Chunk(Bytes),
    /// There is no more.
    End,
}

/// What a client asks.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Change something.
    Write(WriteBatch),
    /// A key or a range, linearizable, from whichever replica is asked.
    Read {
        /// What.
        read: Read,
        /// The epoch the client routed by.
        epoch: Epoch,
        /// A follower may answer too.
        is_follower_fine: bool,
    },
}

/// What a store answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// What became of each command.
    Outcomes(Vec<Outcome>),
    /// What was read.
    Found(Found),
    /// Ask another store; nothing was proposed.
    NotLeader(Option<StoreId>),
    /// Ask again a little later; nothing was proposed.
    Busy,
    /// The write may take effect or not; ask again with the same request id.
    Lost,
    /// The read could not be confirmed; ask again.
    ReadFailed,
    /// The region has changed; route again.
    EpochNotMatch(Vec<Region>),
    /// The request breaks a limit or a form.
    Invalid(String),
}
