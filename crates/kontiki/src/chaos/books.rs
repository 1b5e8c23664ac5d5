//! What all tasks of a chaos run share: every key with its history, counters, races, findings.
//!
//! A value names its version, so that whoever reads it knows which write it shows:
//! `VERSION LF record`. Keys live under one prefix, apart from anything else in the store.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes, BytesMut};

use super::ack_clock::{AckClock, Gap};
use super::dice::Dice;
use super::findings::{Findings, Kind};
use super::history::{History, Seen, Version, Wrong};
use super::tally::{Counter, RacerEnd};
use crate::bytes_text::escaped;
use crate::records::Record;

/// Every key of a run begins so.
pub(crate) const PREFIX: &str = "chaos/";
/// How many of the last written keys readers prefer.
const RECENT: usize = 512;

/// One key of a writer.
pub(crate) struct KeyBook {
    /// The key in the store.
    pub(crate) key: Bytes,
    payload: Bytes,
    history: Mutex<History>,
}

/// One race that is over.
pub(crate) struct RaceBook {
    /// The key.
    pub(crate) key: String,
    /// What each racer tried to store and was told.
    pub(crate) racers: Vec<(Vec<u8>, RacerEnd)>,
}

/// Everything.
pub(crate) struct Books {
    /// Keys of the writers.
    pub(crate) keys: Vec<KeyBook>,
    /// Counters, by number.
    pub(crate) counters: Vec<Mutex<Counter>>,
    /// Races that are over.
    pub(crate) races: Mutex<Vec<RaceBook>>,
    /// What is wrong so far.
    pub(crate) findings: Findings,
    /// Acknowledgements.
    pub(crate) clock: AckClock,
    /// What was done to the stores, and when since the start of the load.
    pub(crate) timeline: Mutex<Vec<(Duration, String)>>,
    /// Reads that were answered.
    pub(crate) reads: AtomicU64,
    /// Writes without an answer.
    pub(crate) unanswered: AtomicU64,
    /// When no new operation begins any more.
    until: Mutex<Instant>,
    recent: Vec<AtomicUsize>,
    recent_next: AtomicUsize,
}

impl KeyBook {
    fn new(record: Record) -> Self {
        let mut key = BytesMut::from(format!("{PREFIX}record/").as_bytes());
        key.put_slice(&record.key);
        Self { key: key.freeze(), payload: record.value, history: Mutex::default() }
    }

    /// The history, while no other task may change it.
    pub(crate) fn history(&self) -> std::sync::MutexGuard<'_, History> {
        self.history.lock().expect("no task panics while it holds a history")
    }

    /// What the store holds at this version.
    pub(crate) fn value(&self, version: Version) -> Bytes {
        let mut value = BytesMut::from(format!("{version}\n").as_bytes());
        value.put_slice(&self.payload);
        value.freeze()
    }

    /// Which version a value shows.
    fn seen(&self, value: Option<&[u8]>) -> Seen {
        let Some(value) = value else { return Seen::Absent };
        let digits = value.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let version = str::from_utf8(digits).ok().and_then(|text| text.parse().ok());
        match version {
            Some(version) if value == self.value(version) => Seen::Version(version),
            _ => Seen::Foreign,
        }
    }

    /// Judges a read that began when the floor was `floor`; `stale` is what an old answer is.
    pub(crate) fn judge(
        &self,
        floor: Version,
        value: Option<&[u8]>,
        stale: Kind,
        findings: &Findings,
    ) {
        let seen = self.seen(value);
        let wrong = self.history().judge(floor, seen);
        let name = escaped(&self.key);
        match wrong {
            Ok(()) => {}
            Err(Wrong::Old { floor }) => {
                findings.add(stale, 1, format!("{name}: shows {seen:?}, but {floor} was known"));
            }
            Err(Wrong::NeverWritten) => {
                let shown = value.map(|value| escaped(&value[..value.len().min(60)]));
                let what = format!("{name}: shows {seen:?}, which nobody wrote: {shown:?}");
                findings.add(Kind::Doubled, 1, what);
            }
        }
    }
}

impl Books {
    /// Empty books over these records.
    pub(crate) fn new(records: Vec<Record>, counters: usize, until: Instant) -> Self {
        Self {
            keys: records.into_iter().map(KeyBook::new).collect(),
            counters: (0..counters).map(|_| Mutex::default()).collect(),
            races: Mutex::default(),
            findings: Findings::default(),
            clock: AckClock::new(),
            timeline: Mutex::default(),
            reads: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            until: Mutex::new(until),
            recent: (0..RECENT).map(|_| AtomicUsize::new(0)).collect(),
            recent_next: AtomicUsize::new(0),
        }
    }

    /// True when no new operation shall begin.
    pub(crate) fn over(&self) -> bool {
        Instant::now() >= *self.until.lock().expect("nobody panics while it reads a time")
    }

    /// Ends the load before its time.
    pub(crate) fn end_now(&self) {
        *self.until.lock().expect("nobody panics while it reads a time") = Instant::now();
    }

    /// A key was written just now: readers shall look at it.
    pub(crate) fn note_recent(&self, index: usize) {
        let slot = self.recent_next.fetch_add(1, Relaxed) % RECENT;
        self.recent[slot].store(index, Relaxed);
    }

    /// A key worth reading: mostly one that was written just now.
    pub(crate) fn any_key(&self, dice: &mut Dice) -> &KeyBook {
        let index = if dice.one_in(4) {
            dice.below(self.keys.len())
        } else {
            self.recent[dice.below(RECENT)].load(Relaxed)
        };
        &self.keys[index]
    }

    /// The key of a counter.
    pub(crate) fn counter_key(number: usize) -> String {
        format!("{PREFIX}counter/{number}")
    }

    /// A counter, while no other task may change it.
    pub(crate) fn counter(&self, number: usize) -> std::sync::MutexGuard<'_, Counter> {
        self.counters[number].lock().expect("no task panics while it holds a counter")
    }

    /// Notes what was done to a store just now.
    pub(crate) fn note_fault(&self, what: String) {
        let mut timeline = self.timeline.lock().expect("nobody panics while noting a fault");
        timeline.push((self.clock.now(), what));
    }

    /// Every long time without acknowledgement, with what was done shortly before and in it.
    pub(crate) fn outages(&self) -> Vec<String> {
        const BEFORE: Duration = Duration::from_secs(4);
        let timeline = self.timeline.lock().expect("nobody panics while noting a fault");
        let describe = |gap: Gap| {
            let near = |at: Duration| at + BEFORE >= gap.from && at <= gap.until;
            let faults = timeline.iter().filter(|(at, _)| near(*at));
            let faults: Vec<String> =
                faults.map(|(at, what)| format!("{:.1} s {what}", at.as_secs_f64())).collect();
            let length = gap.until.saturating_sub(gap.from).as_millis();
            format!("{:.1} s for {length} ms: {}", gap.from.as_secs_f64(), faults.join(", "))
        };
        self.clock.long_gaps().into_iter().map(describe).collect()
    }

    /// Notes a race that is over.
    pub(crate) fn note_race(&self, race: RaceBook) {
        self.races.lock().expect("no task panics while it notes a race").push(race);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::history::{Change, Fate};

    #[test]
    fn a_value_shows_its_version_and_damage_is_seen() {
        let record = Record { key: "k".into(), value: "a\nb".into() };
        let book = KeyBook::new(record);
        let value = book.value(12);
        assert_eq!(value, &b"12\na\nb"[..]);
        assert_eq!(book.seen(Some(&value)), Seen::Version(12));
        assert_eq!(book.seen(None), Seen::Absent);
        for bad in [&b"12\na\nc"[..], b"012\na\nb", b"12", b"", b"x\na\nb"] {
            assert_eq!(book.seen(Some(bad)), Seen::Foreign, "{}", bad.escape_ascii());
        }
    }

    #[test]
    fn a_lost_write_a_stale_read_and_a_foreign_value_are_counted() {
        let book = KeyBook::new(Record { key: "k".into(), value: "v".into() });
        let findings = Findings::default();
        for _ in 0..2 {
            let version = book.history().begin(Change::Put);
            book.history().end(version, Fate::Acked);
        }
        book.judge(2, Some(&book.value(2)), Kind::Lost, &findings);
        assert!(findings.described().is_empty());
        book.judge(2, Some(&book.value(1)), Kind::StaleRead, &findings);
        book.judge(2, None, Kind::Lost, &findings);
        book.judge(2, Some(b"else"), Kind::Lost, &findings);
        let counts = [Kind::Lost, Kind::Doubled, Kind::StaleRead].map(|kind| findings.count(kind));
        assert_eq!(counts, [1, 1, 1]);
    }
}
