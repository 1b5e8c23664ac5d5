//! What every actor of the simulation shares: time, the heap, the network, the record of the run.
//!
//! Actors get it by reference with each happening; it is their only way to act on the world, and
//! the only place from which anything is planned.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kontiki_codec::crc;
use kontiki_raft::Priority;
use kontiki_types::{Moment, PeerId, RegionId, StoreId};

use crate::check::{Book, Safety};
use crate::cluster::Cluster;
use crate::fault;
use crate::marks::{Mark, Marks};
use crate::mutant::Outside;
use crate::network::{Address, Network};
use crate::options::Options;
use crate::queue::Queue;
use crate::trace::Trace;
use crate::violation::{Rule, Violation};
use crate::wire::{Packet, SnapshotPart};

/// Something that happens at a planned moment.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A store does something of its own.
    Store {
        /// Which.
        store: StoreId,
        /// In which life; nothing of an earlier life happens any more.
        life: u64,
        /// What.
        work: Work,
    },
    /// A packet arrives.
    Packet {
        /// From whom.
        from: Address,
        /// At whom.
        to: Address,
        /// What.
        packet: Packet,
    },
    /// A client does something of its own.
    Client {
        /// Which.
        client: usize,
        /// In which life.
        life: u64,
        /// What.
        step: ClientStep,
    },
    /// A fault strikes.
    Strike,
    /// A fault ends.
    End(fault::End),
    /// A store gets power.
    PowerOn {
        /// Which.
        store: StoreId,
    },
    /// A store loses power if it is still in this life.
    PowerOff {
        /// Which.
        store: StoreId,
        /// In which life.
        life: u64,
    },
}

/// Work of a store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Work {
    /// The shard takes in what waits and acts.
    Turn,
    /// A deadline of the shard may have come.
    Timer,
    /// The log sync under way is done.
    LogSync,
    /// The apply worker gets to what waits.
    Apply,
    /// The engine sync under way is done.
    EngineSync,
    /// A log segment is prepared, and freed ones are removed.
    Segment,
    /// Nothing was logged for a while, perhaps.
    LogRest,
    /// A replica that was removed from its group goes.
    Destroy {
        /// Of which group.
        group: RegionId,
        /// Which replica.
        peer: PeerId,
    },
    /// The snapshot that a group in memory makes of itself is written.
    Save {
        /// Which group.
        group: RegionId,
        /// Which snapshot.
        number: u64,
    },
    /// The owner of a replica in memory notices that it has halted.
    Rest {
        /// Of which group.
        group: RegionId,
        /// Which replica.
        peer: PeerId,
    },
    /// And brings it back.
    Revive {
        /// Of which group.
        group: RegionId,
        /// Which replica.
        peer: PeerId,
    },
    /// The receiver of a snapshot has not acknowledged this part in time.
    ChunkTimeout {
        /// Which stream.
        stream: u64,
        /// Which part.
        number: u64,
    },
}

/// What a client does by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientStep {
    /// Begin the next operation.
    Think,
    /// No answer came to this call.
    Timeout {
        /// Which call.
        call: u64,
    },
    /// Try this operation again.
    Retry {
        /// Which operation.
        operation: u64,
    },
    /// Give this operation up.
    GiveUp {
        /// Which operation.
        operation: u64,
    },
    /// The core of the client library wants to know the time.
    CoreTime,
    /// No store told the map.
    RoutesTimeout {
        /// Which question.
        ask: u64,
    },
}

/// What all actors share.
pub struct Env {
    /// Global virtual time.
    pub now: Moment,
    /// Number of the happening under way: the time of histories.
    pub count: u64,
    /// What will happen.
    pub queue: Queue<Happening>,
    /// The choices of this run.
    pub options: Options,
    /// The groups as they are born.
    pub cluster: Cluster,
    /// The links.
    pub network: Network,
    /// The record of the run.
    pub trace: Trace,
    /// Rare states reached.
    pub marks: Marks,
    /// Watches over the rules of Raft.
    pub safety: Safety,
    /// What clients asked and were told.
    pub book: Book,
    /// All faults are over for good.
    pub is_healed: bool,
    /// Parts of snapshots that arrived.
    pub snapshot_parts: u64,
    /// The first broken rule; ends the run.
    pub violation: Option<Violation>,
    /// Stores that may have lost what they promised, and whether they found out since.
    pub rotten: BTreeMap<StoreId, bool>,
    /// How often a disk was damaged.
    pub rotted: u64,
    /// How much the newest leader of each group is wanted as one.
    pub led_by: BTreeMap<RegionId, Priority>,
    /// Last number given by [`Env::unique`].
    pub last_unique: u64,
}

impl Env {
    /// Plans something.
    pub fn after(&mut self, delay: Duration, what: Happening) {
        self.queue.push(self.now + delay, what);
    }

    /// Whether a disk of this store may be damaged, which then counts. A group has three voters at
    /// least, so one store may be ill at a time; any may where disks lie.
    pub fn may_rot(&mut self, store: StoreId) -> bool {
        self.forget_cured();
        let is_fine = self.options.has_lying_disks || self.rotten.keys().all(|&r| r == store);
        if is_fine {
            if self.rotten.insert(store, false).is_none() && self.rotted > 0 {
                self.marks.hit(Mark::RottedAfterCure);
            }
            self.rotted += 1;
            if self.rotten.len() as u64 > self.options.cluster.store_count / 2 {
                self.marks.hit(Mark::MajorityDamaged);
            }
        }
        is_fine
    }

    /// A store found all that was damaged when it started.
    pub fn on_damage_found(&mut self, store: StoreId) {
        if let Some(is_found) = self.rotten.get_mut(&store) {
            *is_found = true;
        }
    }

    /// A store is well again when no membership in effect counts on what it lost: an heir votes in
    /// its place, or the replica was removed.
    pub fn forget_cured(&mut self) {
        if !self.options.has_lying_disks {
            self.rotten.retain(|&store, is_found| !*is_found || self.safety.misses(store));
        }
    }

    /// A number never given before in this run.
    pub fn unique(&mut self) -> u64 {
        self.last_unique += 1;
        self.last_unique
    }

    /// Sends a packet: the network decides whether and when it arrives.
    pub fn send(&mut self, from: Address, to: Address, packet: Packet) {
        let copies = if packet.may_repeat() { 2 } else { 1 };
        let [first, second] = self.network.arrivals(from, to, copies, self.now, &mut self.marks);
        let Some(first) = first else { return };
        let again = second.map(|second| (second, packet.clone()));
        for (at, packet) in [(first, packet)].into_iter().chain(again) {
            self.trace.mix(at.0);
            let packet = self.damaged(packet);
            self.queue.push(at, Happening::Packet { from, to, packet });
        }
    }

    /// Records the first broken rule. Later ones are its consequences more often than not.
    pub fn fail(&mut self, rule: Rule, what: String) {
        // Where a majority may be damaged, a cluster may stop. It must not lie.
        let may_stop = self.options.has_lying_disks;
        if may_stop && matches!(rule, Rule::Liveness | Rule::Workload) {
            return;
        }
        if self.options.is_white_box || rule.is_black_box() || rule == Rule::Budget {
            self.violation.get_or_insert(Violation { rule, what });
        }
    }

    /// Passes on the judgement of a checker.
    pub fn judge(&mut self, judgement: Result<(), Violation>) {
        if let Err(violation) = judgement {
            self.fail(violation.rule, violation.what);
        }
    }

    /// Adds a line to the told trace.
    pub fn tell(&mut self, what: std::fmt::Arguments<'_>) {
        self.trace.line(self.now, what);
    }

    /// The packet as it arrives: a byte of a frame or of a snapshot may be damaged on its way.
    fn damaged(&mut self, mut packet: Packet) -> Packet {
        let bytes = match &mut packet {
            Packet::Peer(frame) => frame,
            Packet::Snapshot { part: SnapshotPart::Chunk(chunk), .. } => chunk,
            _ => return packet,
        };
        if let Some(at) = self.network.damage(bytes.len()) {
            let mut copy = bytes.to_vec();
            copy[at] ^= 1 << (at % 8);
            if self.options.is_mutant(Outside::DamagePasses) {
                hide_damage(&mut copy);
            }
            *bytes = Bytes::from(copy);
        }
        packet
    }
}

/// Makes the checksum of a frame good again: its last four bytes, over all before.
fn hide_damage(frame: &mut Vec<u8>) {
    let covered = frame.len().saturating_sub(4);
    let crc = crc::salted(crc::SALT_FRAME, &frame[..covered]);
    frame.truncate(covered);
    frame.extend(crc.to_le_bytes());
}
