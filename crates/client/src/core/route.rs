//! From a call to the lane of a store: find the region of its first key, cut or refuse what reaches
//! over several regions, choose the store to ask.

use kontiki_types::limits::{BATCH_BYTES_MAX, MESSAGE_BYTES_MAX, SCAN_BYTES_MAX};
use kontiki_types::{Command, KeyRange, Moment, Region, StoreId};

use super::calls::Call;
use super::{CallKey, Core};
use crate::ask::{Ask, Direction, Read, Scan};
use crate::batcher::Kind;
use crate::region_cache::{Known, RegionCache};
use crate::retry::Failure;
use crate::{Error, ReadMode, cut, size};

impl<W> Core<W> {
    /// Puts a call that is nowhere into a lane, or among the unrouted.
    pub(super) fn route(&mut self, key: CallKey, now: Moment) {
        if !self.try_route(key, now) {
            self.unrouted.push(key);
            self.refresh.want(now);
        }
    }

    /// The same, when the map has just been asked for: what it still does not have must wait.
    pub(super) fn route_with_new_map(&mut self, key: CallKey, now: Moment) {
        if !self.try_route(key, now) {
            self.fail(key, Failure::NoRoute, now);
        }
    }

    /// False when the map does not tell where the call belongs.
    fn try_route(&mut self, key: CallKey, now: Moment) -> bool {
        let Some(call) = self.calls.get_mut(key) else { return true };
        let Some(known) = locate(&self.cache, &call.ask) else { return false };
        let region = known.region.id;
        let aimed = aim(call, &known.region);
        if let Err(error) = aimed {
            self.complete(key, Err(error));
            return true;
        }
        let unsent = call.write.filter(|_| !call.may_have_happened);
        if unsent.is_some_and(|write| self.sessions.is_too_old_for(write.client, region, now)) {
            self.rename(key, now);
        }
        let Some(call) = self.calls.get(key) else { return true };
        let (kind, mode) = kind_and_mode(call);
        let bytes = ask_bytes(&call.ask);
        let draw = if mode == ReadMode::Stale { self.rng.draw() } else { 0 };
        let lanes = &self.lanes;
        let is_down = |store: StoreId| lanes.get(&store).is_some_and(|lane| lane.is_down(now));
        let Some(store) = self.cache.candidate(region, mode, draw, is_down) else { return false };
        let lane = self.lanes.entry(store).or_default();
        let was_ready = lane.batcher.is_ready();
        lane.batcher.push(region, kind, key, bytes);
        if !was_ready && lane.batcher.is_ready() {
            self.wake.insert(store);
        }
        true
    }
}

/// The region of the call's first key.
fn locate<'a>(cache: &'a RegionCache, ask: &Ask) -> Option<&'a Known> {
    match ask {
        Ask::Write(command) => cache.locate(first_key(command)),
        Ask::Read(Read::Get(key), _) => cache.locate(key),
        Ask::Read(Read::Scan(scan), _) => match scan.direction {
            Direction::Forward => cache.locate(&scan.range.start),
            Direction::Reverse => cache.locate_below(scan.range.end.as_deref()),
        },
    }
}

fn first_key(command: &Command) -> &[u8] {
    match command {
        Command::Put { key, .. }
        | Command::Delete { key }
        | Command::PutIfAbsent { key, .. }
        | Command::CompareAndPut { key, .. } => key,
        Command::DeleteRange { range } => &range.start,
        Command::Batch { changes } => changes.first().map_or(&[], |(key, _)| key),
        Command::HashState => &[],
    }
}

/// Makes a call fit the region it is sent to.
///
/// # Errors
/// When it cannot fit: a batch over several regions, or a write that may have happened as a whole
/// in a region that was split since.
pub(super) fn aim<W>(call: &mut Call<W>, region: &Region) -> Result<(), Error> {
    let (range, direction) = match &call.ask {
        Ask::Write(Command::Batch { changes }) => {
            if changes.iter().all(|(key, _)| region.range.contains(key)) {
                return Ok(());
            }
            if call.may_have_happened {
                return Err(Error::OutcomeUnknown { why: MOVED_APART.into() });
            }
            return Err(Error::NotAtomic { region: region.id });
        }
        Ask::Write(Command::DeleteRange { range }) => (range, Direction::Forward),
        Ask::Read(Read::Scan(Scan { range, direction, .. }), _) => (range, *direction),
        Ask::Write(_) | Ask::Read(Read::Get(_), _) => return Ok(()),
    };
    match &call.part {
        // The try that may have happened spoke of this very part: only the same part under the same
        // id finds that try's outcome.
        Some(part) if call.may_have_happened => {
            if !region.range.contains_range(part) {
                return Err(Error::OutcomeUnknown { why: MOVED_APART.into() });
            }
        }
        _ => call.part = Some(cut::part(range, &region.range, direction)),
    }
    Ok(())
}

const MOVED_APART: &str = "its keys moved into several regions while the answer was awaited";

/// True when the region holds everything that the call will ask of it.
pub(super) fn fits<W>(call: &Call<W>, region: &KeyRange) -> bool {
    match (&call.ask, &call.part) {
        (_, Some(part)) => region.contains_range(part),
        (Ask::Write(Command::Batch { changes }), None) => {
            changes.iter().all(|(key, _)| region.contains(key))
        }
        (Ask::Write(command), None) => region.contains(first_key(command)),
        (Ask::Read(Read::Get(key), _), None) => region.contains(key),
        (Ask::Read(Read::Scan(_), _), None) => false,
    }
}

fn kind_and_mode<W>(call: &Call<W>) -> (Kind, ReadMode) {
    match (&call.ask, call.write) {
        (Ask::Write(_), Some(write)) => (Kind::Writes(write.client), ReadMode::Linearizable),
        (Ask::Write(_), None) => unreachable!("a write has an id from its first moment"),
        (Ask::Read(_, mode), _) => (Kind::Reads(*mode), *mode),
    }
}

/// What a scan counts for in a batch.
const SCAN_COST_BYTES: usize = BATCH_BYTES_MAX / 4;
const _: () = assert!(BATCH_BYTES_MAX / SCAN_COST_BYTES * SCAN_BYTES_MAX < MESSAGE_BYTES_MAX);

fn ask_bytes(ask: &Ask) -> usize {
    match ask {
        Ask::Write(command) => size::bytes(command),
        Ask::Read(Read::Get(key), _) => key.len(),
        // Counted by its answer: few share a batch, whose answer must fit one message.
        Ask::Read(Read::Scan(_), _) => SCAN_COST_BYTES,
    }
}
