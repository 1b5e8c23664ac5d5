//! A run in a few lines: the seed, which of its faults strike, and what else is left out.
//!
//! A seed draws everything; a schedule says what of that is not needed to break a rule. The
//! shrinker makes it short, `replay` reads it back. Every line is a word and its value; lines that
//! begin with `#` are for people.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::mutant::Mutant;
use crate::options::Options;

/// See the module.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Schedule {
    /// Where all choices come from.
    pub seed: u64,
    /// Virtual time with faults.
    pub duration: Duration,
    /// What is broken on purpose.
    pub mutant: Option<Mutant>,
    /// Only what clients see is judged.
    pub is_black_box: bool,
    /// More than a minority of disks may rot.
    pub has_lying_disks: bool,
    /// Clients, if not those of the seed.
    pub clients: Option<usize>,
    /// Numbers of the faults that strike, if not all.
    pub strikes: Option<BTreeSet<u64>>,
    /// What else does not happen.
    pub without: BTreeSet<Noise>,
}

/// What goes wrong all the time, apart from the faults that strike.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Noise {
    /// Lost packets.
    Loss,
    /// Doubled packets.
    Duplication,
    /// Late packets.
    Delays,
    /// Packets that overtake each other.
    Reordering,
    /// Damaged packets.
    Damage,
    /// Crashes at interesting moments.
    Temptation,
    /// Clocks that run fast or slow.
    Drift,
    /// A store that stays dead.
    DeadStore,
    /// Several operations of a client at once.
    Window,
}

impl Noise {
    /// All of it.
    pub const ALL: &'static [Self] = &[
        Self::Loss,
        Self::Duplication,
        Self::Delays,
        Self::Reordering,
        Self::Damage,
        Self::Temptation,
        Self::Drift,
        Self::DeadStore,
        Self::Window,
    ];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|noise| format!("{noise:?}") == name)
    }

    fn silence(self, options: &mut Options) {
        let (network, faults) = (&mut options.network, &mut options.faults);
        match self {
            Self::Loss => network.loss = 0,
            Self::Duplication => network.duplication = 0,
            Self::Delays => (network.spikes, network.holds) = (0, 0),
            Self::Reordering => network.is_ordered = true,
            Self::Damage => network.damage = 0,
            Self::Temptation => faults.temptation = 0,
            Self::Drift => options.store.drift_ppm.fill(0),
            Self::DeadStore => faults.dead_at_end = None,
            Self::Window => options.workload.window = 1,
        }
    }
}

impl Schedule {
    /// A seed with everything it draws.
    pub fn whole(seed: u64, duration: Duration) -> Self {
        Self {
            seed,
            duration,
            mutant: None,
            is_black_box: false,
            has_lying_disks: false,
            clients: None,
            strikes: None,
            without: BTreeSet::new(),
        }
    }

    /// The options of the run.
    pub fn options(&self) -> Options {
        let mut options = Options::draw(self.seed, self.duration).with_mutant(self.mutant);
        options.is_white_box = !self.is_black_box;
        if self.has_lying_disks {
            options.let_disks_lie();
        }
        if let Some(clients) = self.clients {
            options.client_count = clients;
        }
        options.faults.kept.clone_from(&self.strikes);
        for noise in &self.without {
            noise.silence(&mut options);
        }
        options
    }

    /// Reads a schedule.
    ///
    /// # Errors
    /// In words, the first line that makes no sense.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut schedule = Self::whole(0, Duration::ZERO);
        let words = || text.lines().map(|line| line.split_whitespace().next().unwrap_or_default());
        if !words().any(|word| word == "seed") {
            return Err("a schedule wants a seed".to_owned());
        }
        for line in text.lines().map(str::trim) {
            if !line.is_empty() && !line.starts_with('#') {
                schedule.read_line(line).ok_or_else(|| format!("no line of a schedule: {line}"))?;
            }
        }
        if schedule.duration.is_zero() {
            return Err("a schedule wants a duration_ms".to_owned());
        }
        Ok(schedule)
    }

    fn read_line(&mut self, line: &str) -> Option<()> {
        let (word, value) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "seed" => self.seed = value.parse().ok()?,
            "duration_ms" => self.duration = Duration::from_millis(value.parse().ok()?),
            "mutant" => {
                self.mutant = Some(Mutant::named(value).filter(|mutant| mutant.is_possible())?);
            }
            "black_box" => self.is_black_box = true,
            "lying_disks" => self.has_lying_disks = true,
            "clients" => self.clients = Some(value.parse().ok().filter(|&clients| clients > 0)?),
            "strikes" => {
                let numbers = value.split_whitespace().map(|number| number.parse().ok());
                self.strikes = Some(numbers.collect::<Option<_>>()?);
            }
            "without" => {
                let noises = value.split_whitespace().map(Noise::named);
                self.without = noises.collect::<Option<_>>()?;
            }
            _ => return None,
        }
        Some(())
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        writeln!(f, "duration_ms {}", self.duration.as_millis())?;
        if let Some(mutant) = self.mutant {
            writeln!(f, "mutant {mutant:?}")?;
        }
        if self.is_black_box {
            writeln!(f, "black_box")?;
        }
        if self.has_lying_disks {
            writeln!(f, "lying_disks")?;
        }
        if let Some(clients) = self.clients {
            writeln!(f, "clients {clients}")?;
        }
        if let Some(strikes) = &self.strikes {
            let strikes: Vec<_> = strikes.iter().map(u64::to_string).collect();
            writeln!(f, "strikes {}", strikes.join(" "))?;
        }
        if !self.without.is_empty() {
            let noises: Vec<_> = self.without.iter().map(|noise| format!("{noise:?}")).collect();
            writeln!(f, "without {}", noises.join(" "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutant::Outside;

    #[test]
    fn what_is_written_reads_back() {
        let mut schedule = Schedule::whole(77, Duration::from_millis(8_050));
        assert_eq!(Schedule::parse(&schedule.to_string()), Ok(schedule.clone()));
        schedule.mutant = Some(Mutant::Outside(Outside::SyncLies));
        schedule.is_black_box = true;
        schedule.has_lying_disks = true;
        schedule.clients = Some(2);
        schedule.strikes = Some([3, 1, 40].into());
        schedule.without = [Noise::Loss, Noise::Drift].into();
        let text = format!("# for people\n\n{schedule}");
        assert_eq!(Schedule::parse(&text), Ok(schedule));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "seed 1",
            "duration_ms 5",
            "seed x\nduration_ms 5",
            "seed 1\nduration_ms 5\nclients 0",
            "seed 1\nduration_ms 5\nwithout Rain",
            "seed 1\nduration_ms 5\nmutant Nobody",
            "seed 1\nduration_ms 5\nstrikes 1 two",
            "hello",
        ] {
            assert!(Schedule::parse(text).is_err(), "{text:?}");
        }
    }
}
