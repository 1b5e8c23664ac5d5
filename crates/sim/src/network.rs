//! The links between stores and clients: delay, loss, duplication, reordering, partitions.
//!
//! The network decides when a packet arrives, if at all; the world delivers it. Blocked links are a
//! set of ordered pairs, so one direction can be cut alone. What is under way when a link is cut
//! still arrives: that is how a stale message survives a partition.

use std::collections::BTreeMap;
use std::time::Duration;

use kontiki_testkit::Rng;
use kontiki_types::{Moment, StoreId};

use crate::marks::{Mark, Marks};
use crate::options::NetworkOptions;

/// One end of a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Address {
    /// A store.
    Store(StoreId),
    /// A client, by number.
    Client(usize),
}

/// The links.
#[derive(Debug)]
pub struct Network {
    options: NetworkOptions,
    rng: Rng,
    /// Links that carry nothing, with how many faults block each.
    blocked: BTreeMap<(Address, Address), u32>,
    /// Links that deliver nothing before a moment, and then all of it.
    clogged: BTreeMap<(Address, Address), Moment>,
    /// Latest arrival on each link, for links that keep order.
    latest: BTreeMap<(Address, Address), Moment>,
    /// Loss on top of the usual one, per mille.
    burst: u64,
}

impl Network {
    /// The links of a run.
    pub fn new(options: NetworkOptions, rng: Rng) -> Self {
        Self {
            options,
            rng,
            blocked: BTreeMap::new(),
            clogged: BTreeMap::new(),
            latest: BTreeMap::new(),
            burst: 0,
        }
    }

    /// When a packet sent now arrives; nothing if it is lost, twice if it is doubled and may be.
    pub fn arrivals(
        &mut self,
        from: Address,
        to: Address,
        copies_max: usize,
        now: Moment,
        marks: &mut Marks,
    ) -> [Option<Moment>; 2] {
        if self.is_blocked(from, to) || self.rng.chance(self.options.loss + self.burst) {
            return [None, None];
        }
        let first = self.arrival(from, to, now, marks);
        let is_doubled = copies_max > 1 && self.rng.chance(self.options.duplication);
        let second = is_doubled.then(|| {
            marks.hit(Mark::PacketDuplicated);
            self.arrival(from, to, now, marks)
        });
        [Some(first), second]
    }

    /// Whether a frame between stores is damaged on its way, and where.
    pub fn damage(&mut self, bytes: usize) -> Option<usize> {
        (bytes > 0 && self.rng.chance(self.options.damage)).then(|| self.rng.index(bytes))
    }

    /// Cuts a link in one direction. Cuts add up: each needs its own [`Network::unblock`].
    pub fn block(&mut self, from: Address, to: Address) {
        *self.blocked.entry((from, to)).or_default() += 1;
    }

    /// Takes back one cut.
    pub fn unblock(&mut self, from: Address, to: Address) {
        if let Some(count) = self.blocked.get_mut(&(from, to)) {
            *count -= 1;
            if *count == 0 {
                self.blocked.remove(&(from, to));
            }
        }
    }

    /// Whether a link carries nothing.
    pub fn is_blocked(&self, from: Address, to: Address) -> bool {
        !self.blocked.is_empty() && self.blocked.contains_key(&(from, to))
    }

    /// A link delivers nothing before this moment.
    pub fn clog(&mut self, from: Address, to: Address, until: Moment) {
        let clogged = self.clogged.entry((from, to)).or_default();
        *clogged = (*clogged).max(until);
    }

    /// Loss on top of the usual one; 0 ends it.
    pub fn set_burst(&mut self, per_mille: u64) {
        self.burst = per_mille;
    }

    /// Ends every fault of the network for good.
    pub fn heal(&mut self) {
        self.options = self.options.healed();
        self.blocked.clear();
        self.clogged.clear();
        self.burst = 0;
    }

    fn arrival(&mut self, from: Address, to: Address, now: Moment, marks: &mut Marks) -> Moment {
        let delay = self.delay(marks);
        let mut at = now + delay;
        if !self.clogged.is_empty()
            && let Some(&until) = self.clogged.get(&(from, to))
        {
            at = at.max(until + delay);
        }
        if self.options.is_ordered {
            let latest = self.latest.entry((from, to)).or_default();
            at = at.max(*latest);
            *latest = at;
        }
        at
    }

    fn delay(&mut self, marks: &mut Marks) -> Duration {
        let usual = self.options.delay_min + exponential(&mut self.rng, self.options.jitter_mean);
        if self.options.holds > 0 && self.rng.below(100_000) < self.options.holds {
            marks.hit(Mark::PacketHeld);
            // A link that keeps order would stand still for so long: there, only a short hold.
            let longest = if self.options.is_ordered { 500 } else { 60_000 };
            return usual + Duration::from_millis(self.rng.range(100..longest));
        }
        // And everything behind a late packet is late: there, they are rarer, or two stores would
        // hardly ever hear each other within an election timeout.
        let spikes = self.options.spikes / if self.options.is_ordered { 10 } else { 1 };
        if self.rng.chance(spikes) {
            let micros = u64::try_from(self.options.spike_max.as_micros()).expect("below an hour");
            return usual + Duration::from_micros(self.rng.below(micros + 1));
        }
        usual
    }
}

/// A random time with about this mean and a long tail: half a mean on average, and another one for
/// each head of a coin. No floating point, so the same on every platform.
pub fn exponential(rng: &mut Rng, mean: Duration) -> Duration {
    let micros = u64::try_from(mean.as_micros()).expect("below an hour");
    if micros == 0 {
        return Duration::ZERO;
    }
    let heads = rng.next_u64().trailing_ones().min(6);
    let drawn = (0..=heads).map(|_| rng.below(micros) + 1).sum();
    Duration::from_micros(drawn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    const A: Address = Address::Store(StoreId(1));
    const B: Address = Address::Store(StoreId(2));

    fn network(change: impl FnOnce(&mut NetworkOptions)) -> Network {
        let mut options = Options::draw(1, Duration::from_secs(1)).network.healed();
        change(&mut options);
        Network::new(options, Rng::new(5))
    }

    #[test]
    fn a_cut_link_carries_nothing_one_way_until_every_cut_is_taken_back() {
        let mut network = network(|_| {});
        let mut marks = Marks::default();
        network.block(A, B);
        network.block(A, B);
        assert_eq!(network.arrivals(A, B, 2, Moment(0), &mut marks), [None, None]);
        assert!(network.arrivals(B, A, 2, Moment(0), &mut marks)[0].is_some());
        network.unblock(A, B);
        assert_eq!(network.arrivals(A, B, 2, Moment(0), &mut marks), [None, None]);
        network.unblock(A, B);
        assert!(network.arrivals(A, B, 2, Moment(0), &mut marks)[0].is_some());
    }

    #[test]
    fn an_ordered_link_never_lets_a_packet_overtake() {
        let mut network = network(|options| {
            options.spikes = 300;
            options.is_ordered = true;
        });
        let mut marks = Marks::default();
        let mut last = Moment(0);
        for now in 0..1000 {
            let at = network.arrivals(A, B, 2, Moment(now), &mut marks)[0].expect("no loss");
            assert!(at >= last);
            last = at;
        }
    }

    #[test]
    fn an_unordered_link_reorders_doubles_and_loses() {
        let mut network = network(|options| {
            options.is_ordered = false;
            options.loss = 100;
            options.duplication = 100;
            options.jitter_mean = Duration::from_millis(1);
        });
        let mut marks = Marks::default();
        let arrivals: Vec<_> =
            (0..1000).map(|now| network.arrivals(A, B, 2, Moment(now), &mut marks)).collect();
        let lost = arrivals.iter().filter(|a| a[0].is_none()).count();
        let doubled = arrivals.iter().filter(|a| a[1].is_some()).count();
        let firsts: Vec<_> = arrivals.iter().filter_map(|a| a[0]).collect();
        assert!((50..200).contains(&lost), "{lost} lost");
        assert!((50..200).contains(&doubled), "{doubled} doubled");
        assert!(firsts.windows(2).any(|w| w[0] > w[1]), "nothing was reordered");
    }
}
