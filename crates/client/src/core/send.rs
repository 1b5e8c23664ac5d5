//! From the lane of a store to batches on the wire.

use std::time::Duration;

use kontiki_types::{Command, KeyRange, Moment, RegionId, StoreId};

use super::lane::InFlight;
use super::route::{aim, fits};
use super::{CallKey, Core};
use crate::ReadMode;
use crate::ask::{Ask, Body, Outgoing, Read, Scan};
use crate::batcher::{Group, Kind};
use crate::region_cache::Known;

/// Bytes after which a message is full; batches that still wait go with the next one.
const MESSAGE_BYTES: usize = 128 * 1024;
/// Doublings of the attempt time-out.
const TIMEOUT_DOUBLINGS_MAX: u32 = 3;

impl<W> Core<W> {
    /// Everything that waits for a store and may leave now, up to a message's worth; it is in
    /// flight from now on. Call again while it gives something.
    pub fn take_batches(&mut self, store: StoreId, now: Moment) -> Vec<Outgoing> {
        let mut batches = Vec::new();
        let mut bytes = 0;
        while bytes < MESSAGE_BYTES {
            let lane = self.lanes.get_mut(&store);
            let Some(group) = lane.and_then(|lane| lane.batcher.take()) else { break };
            bytes += group.bytes;
            batches.extend(self.build(store, group, now));
        }
        batches
    }

    /// A batch of those of the group that are still wanted and still belong to its region.
    fn build(&mut self, store: StoreId, group: Group<CallKey>, now: Moment) -> Option<Outgoing> {
        let (region, kind) = (group.region, group.kind);
        let elsewhere = self.leads_elsewhere(region, kind, store, now);
        let known = self.cache.region(region).filter(|_| !elsewhere);
        let mut sent = Vec::with_capacity(group.items.len());
        let mut moved = Vec::new();
        for key in group.items {
            match (self.calls.get_mut(key), known) {
                // The caller's time ran out while the request waited here.
                (None, _) => {}
                (Some(call), Some(Known { region, .. })) if fits(call, &region.range) => {
                    let aimed = aim(call, region);
                    assert!(aimed.is_ok(), "a call that fits {region:?}: {aimed:?}");
                    sent.push(key);
                }
                // The region shrank, left the map, or got another leader while the request waited.
                (Some(_), _) => moved.push(key),
            }
        }
        let epoch = known.map(|known| known.region.epoch);
        for key in moved {
            self.route(key, now);
        }
        let Some(epoch) = epoch.filter(|_| !sent.is_empty()) else {
            let lane = self.lanes.get_mut(&store).expect("a group comes from a lane");
            lane.batcher.done(region, kind);
            return None;
        };
        let body = self.body(&sent, region, kind, now);
        let expires_at = self.put_in_flight(&sent, store, now);
        let id = self.next_batch;
        self.next_batch += 1;
        let lane = self.lanes.get_mut(&store).expect("a group comes from a lane");
        lane.in_flight.insert(id, InFlight { region, kind, calls: sent, sent_at: now, expires_at });
        self.sweep_by(expires_at);
        let timeout_ms = u32::try_from(expires_at.since(now).as_millis()).unwrap_or(u32::MAX);
        Some(Outgoing { id, region, epoch, timeout_ms, body })
    }

    /// Another store is known to lead and can be asked: `route` would not come back here.
    fn leads_elsewhere(&self, region: RegionId, kind: Kind, store: StoreId, now: Moment) -> bool {
        let leader = self.cache.region(region).and_then(|known| known.leader);
        kind != Kind::Reads(ReadMode::Stale)
            && leader.is_some_and(|leader| {
                let is_down = self.lanes.get(&leader).is_some_and(|lane| lane.is_down(now));
                leader != store && !is_down && self.cache.address(leader).is_some()
            })
    }

    fn body(&self, calls: &[CallKey], region: RegionId, kind: Kind, now: Moment) -> Body {
        let live = calls.iter().map(|&key| self.calls.get(key).expect("checked while building"));
        match kind {
            Kind::Reads(mode) => {
                let reads = live.map(|call| match &call.ask {
                    Ask::Read(read, _) => said_read(read, call.part.as_ref()),
                    Ask::Write(_) => unreachable!("a write among reads"),
                });
                Body::Reads { mode, reads: reads.collect() }
            }
            Kind::Writes(client) => {
                let first_left = live.clone().filter_map(|call| call.first_left).min();
                let standing = self.sessions.standing(client, region, first_left, now);
                let commands = live.map(|call| match (&call.ask, call.write) {
                    (Ask::Write(command), Some(write)) => {
                        assert!(
                            write.request >= standing.lowest,
                            "{write:?} is over: {standing:?}"
                        );
                        (write.request, said_command(command, call.part.as_ref()))
                    }
                    _ => unreachable!("a read among writes"),
                });
                let (lowest, open) = (standing.lowest, standing.open);
                Body::Writes { client, lowest, open, commands: commands.collect() }
            }
        }
    }

    /// Marks the calls, and tells when they are tried elsewhere.
    fn put_in_flight(&mut self, calls: &[CallKey], store: StoreId, now: Moment) -> Moment {
        let mut unanswered_count = 0;
        for &key in calls {
            let call = self.calls.get_mut(key).expect("checked while building");
            call.in_flight = true;
            call.first_left.get_or_insert(now);
            unanswered_count = unanswered_count.max(call.unanswered_count(store));
        }
        let patience = 1 << unanswered_count.min(TIMEOUT_DOUBLINGS_MAX);
        now + self.config.attempt_timeout.max(Duration::from_millis(1)) * patience
    }
}

fn said_read(read: &Read, part: Option<&KeyRange>) -> Read {
    match (read, part) {
        (Read::Scan(scan), Some(part)) => Read::Scan(Scan { range: part.clone(), ..scan.clone() }),
        _ => read.clone(),
    }
}

fn said_command(command: &Command, part: Option<&KeyRange>) -> Command {
    match (command, part) {
        (Command::DeleteRange { .. }, Some(part)) => Command::DeleteRange { range: part.clone() },
        _ => command.clone(),
    }
}
