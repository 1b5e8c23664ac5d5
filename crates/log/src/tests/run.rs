//! A random life of a log: writes, syncs, rests, collections, segments prepared and removed.
//!
//! Keeps every state that may be recovered: one per frame, from the last synced one on.

use crate::simdisk::Crash;
use crate::{Config, Error, Log, Recovered, SimDisk, prepare_segment, remove_segments};

use super::model::{Draw, Model, Shape};

/// What a checker found wrong.
pub(super) type Checked = Result<(), String>;

pub(super) fn config(segment_bytes: u64) -> Config {
    Config { segment_bytes, ready_segments: 2, keep_segments: 3, salt: 77 }
}

pub(super) const CRASHES: [Crash; 5] =
    [Crash::Lose, Crash::Keep, Crash::TearLast, Crash::Subset, Crash::Subset];

pub(super) const SHAPE: Shape = Shape { groups: 6, data_bytes: 300, forgets: true };

/// A log and what it must hold.
pub(super) struct Run {
    pub(super) disk: SimDisk,
    pub(super) log: Log<SimDisk>,
    pub(super) draw: Draw,
    pub(super) shape: Shape,
    /// States that may be recovered, oldest first; the last is the current one.
    pub(super) history: Vec<Model>,
    /// Which of them is known durable.
    pub(super) synced: usize,
}

impl Run {
    pub(super) fn new(seed: u64, disk: &SimDisk, config: Config) -> Result<Self, Error> {
        let (log, recovered) = Log::open(disk.clone(), config)?;
        assert!(recovered.groups.is_empty(), "a new disk holds {recovered:?}");
        Ok(Self {
            disk: disk.clone(),
            log,
            draw: Draw(seed),
            shape: SHAPE,
            history: vec![Model::default()],
            synced: 0,
        })
    }

    /// Goes on after a crash, at the state that was recovered.
    pub(super) fn resume(&mut self, config: Config) -> Result<Checked, Error> {
        let (log, recovered) = Log::open(self.disk.clone(), config)?;
        self.log = log;
        Ok(self.check(&recovered))
    }

    /// What was recovered must be a state at or after the last synced one, and becomes the present.
    pub(super) fn check(&mut self, recovered: &Recovered) -> Checked {
        if !recovered.damage.is_empty() {
            return Err(format!("damage after a mere crash: {:?}", recovered.damage));
        }
        let Some(state) = Model::of(recovered) else {
            return Err(format!("quarantine after a mere crash: {recovered:?}"));
        };
        let may_be = &self.history[self.synced..];
        if !may_be.contains(&state) {
            return Err(match self.history.iter().rposition(|model| *model == state) {
                Some(at) => format!("went back to state {at}, synced was {}", self.synced),
                None => format!("a state that never was: {state:?}\n{:?}", self.history.last()),
            });
        }
        self.history = vec![state];
        self.synced = 0;
        Ok(())
    }

    pub(super) fn model(&self) -> &Model {
        self.history.last().expect("there is always a present")
    }

    /// One random thing.
    pub(super) fn step(&mut self) -> Result<(), Error> {
        match self.draw.below(16) {
            0..8 => self.write(),
            8..13 => self.sync(),
            13 => self.log.rest(),
            14 => self.chores(),
            _ => self.log.collect().map(|_| ()),
        }
    }

    pub(super) fn write(&mut self) -> Result<(), Error> {
        let mut model = self.model().clone();
        let mut records = Vec::new();
        let mut states = Vec::new();
        for _ in 0..=self.draw.below(4) {
            let record = model.draw_record(&mut self.draw, &self.shape);
            model.apply(&record);
            records.push(record);
            states.push(model.clone());
        }
        // One frame is all or nothing; several are cut between records.
        if self.log.frame_count(&records)? > 1 {
            self.history.extend(states);
        } else {
            self.history.push(model);
        }
        self.log.write(&records).map(|_| ())
    }

    pub(super) fn sync(&mut self) -> Result<(), Error> {
        self.log.sync()?;
        self.synced = self.history.len() - 1;
        Ok(())
    }

    pub(super) fn chores(&mut self) -> Result<(), Error> {
        let removable = self.log.take_removable();
        if !removable.is_empty() {
            remove_segments(&self.disk, &removable)?;
        }
        let Some(request) = self.log.segment_request() else { return Ok(()) };
        match prepare_segment(&self.disk, &request) {
            Ok(prepared) => {
                self.log.add_ready(prepared);
                Ok(())
            }
            Err(error) => {
                self.log.prepare_failed();
                Err(error)
            }
        }
    }

    pub(super) fn crash_somehow(&mut self) {
        let at = self.draw.below(CRASHES.len() as u64);
        self.crash(CRASHES[usize::try_from(at).unwrap()]);
    }

    pub(super) fn crash(&mut self, crash: Crash) {
        let draw = &mut self.draw;
        self.disk.crash(crash, &mut || draw.next());
    }
}
