//! What the user asked for, parsed by hand: there is little of it.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use kontiki_sim::Options;
use kontiki_sim::mutant::Mutant;

/// How to use the command.
pub(crate) const USAGE: &str = "\
usage:
  kontiki-sim sweep --seeds A..B       judge these seeds
  kontiki-sim soak --hours H           judge seeds of this commit for so many virtual hours
  kontiki-sim run SEED [--trace]       tell one
  kontiki-sim shrink SEED [--out FILE] find a short schedule that breaks the rule this seed breaks
  kontiki-sim replay FILE [--trace]    run such a schedule again
  kontiki-sim mutants [--seeds N]      see how soon mistakes on purpose are noticed (at most N seeds
                                       each, 300 unless told); wants a build with --features mutants

  --minutes M    virtual minutes with faults per seed (default 2); --seconds adds to them
  --from SEED    the first seed of soak and mutants
  --trace        tell everything that happens
  --mutant NAME  with this mistake made on purpose
  --lying-disks  more than a minority of disks may rot: the cluster may stop, it must not lie
  --black-box    judge only what clients can see
  --quiet        print only violations and the last lines";

/// Virtual seconds of a seed when mutants are hunted.
const HUNT_SECONDS: u64 = 60;
/// Seeds that a mutant may survive before it counts as not caught.
const HUNT_SEEDS: u64 = 300;

/// Longest run of one seed.
const DURATION_MAX: Duration = Duration::from_hours(24);

/// What to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Tell one seed.
    Run(One),
    /// Judge many.
    Sweep(Many),
    /// Judge seeds for some virtual time.
    Soak(Soak),
    /// Make a failing seed short.
    Shrink(Shrink),
    /// Run a schedule again.
    Replay(Replay),
    /// See how soon mutants are noticed.
    Mutants(Hunt),
    /// Tell how to use it.
    Help,
}

/// How to run a seed.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) duration: Duration,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) is_black_box: bool,
    pub(crate) has_lying_disks: bool,
}

/// One seed.
#[derive(Debug)]
pub(crate) struct One {
    pub(crate) seed: u64,
    pub(crate) settings: Settings,
    pub(crate) is_traced: bool,
}

/// Many seeds.
#[derive(Debug)]
pub(crate) struct Many {
    pub(crate) seeds: Range<u64>,
    pub(crate) settings: Settings,
    pub(crate) is_quiet: bool,
}

/// Seeds for some virtual time.
#[derive(Debug)]
pub(crate) struct Soak {
    pub(crate) hours: u64,
    pub(crate) first_seed: Option<u64>,
    pub(crate) settings: Settings,
}

/// A failing seed to make short.
#[derive(Debug)]
pub(crate) struct Shrink {
    pub(crate) seed: u64,
    pub(crate) settings: Settings,
    pub(crate) out: Option<PathBuf>,
}

/// A schedule to run again.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) file: PathBuf,
    pub(crate) is_traced: bool,
}

/// How long to hunt each mutant.
#[derive(Debug)]
pub(crate) struct Hunt {
    pub(crate) first_seed: u64,
    pub(crate) seeds_max: u64,
    pub(crate) settings: Settings,
}

impl Settings {
    /// The options of a seed under these settings.
    pub(crate) fn options(&self, seed: u64) -> Options {
        let mut options = Options::draw(seed, self.duration).with_mutant(self.mutant);
        options.is_white_box = !self.is_black_box;
        if self.has_lying_disks {
            options.let_disks_lie();
        }
        options
    }

    /// The command that runs a seed again under these settings.
    pub(crate) fn replay(&self, seed: u64) -> String {
        let mut command = "cargo run --release -p kontiki-sim".to_owned();
        if matches!(self.mutant, Some(Mutant::Inside(_))) {
            command += " --features mutants";
        }
        let (minutes, seconds) = (self.duration.as_secs() / 60, self.duration.as_secs() % 60);
        let run = format!(" -- run {seed} --trace --minutes {minutes} --seconds {seconds}");
        command.push_str(&run);
        if let Some(mutant) = self.mutant {
            command.extend([" --mutant ".to_owned(), format!("{mutant:?}")]);
        }
        if self.has_lying_disks {
            command += " --lying-disks";
        }
        if self.is_black_box {
            command += " --black-box";
        }
        command
    }
}

impl One {
    /// The options of the seed.
    pub(crate) fn options(&self) -> Options {
        self.settings.options(self.seed)
    }
}

/// Everything that can be said after the command, in whichever order.
#[derive(Default)]
struct Words {
    /// A seed or a file.
    name: Option<String>,
    seeds: Option<String>,
    from: Option<u64>,
    hours: Option<u64>,
    minutes: Option<u64>,
    seconds: Option<u64>,
    mutant: Option<Mutant>,
    out: Option<PathBuf>,
    flags: Vec<String>,
    /// Everything that was said, by its first word; a name is `""`.
    said: Vec<String>,
}

/// What every run takes.
const OF_A_RUN: &str = "--minutes --seconds --mutant --lying-disks --black-box";

impl Words {
    fn read(mut rest: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut words = Self::default();
        while let Some(argument) = rest.next() {
            let is_name = !argument.starts_with('-');
            words.said.push(if is_name { String::new() } else { argument.clone() });
            let mut value = || rest.next().ok_or_else(|| format!("{argument} wants a value"));
            match argument.as_str() {
                "--seeds" => words.seeds = Some(value()?),
                "--from" => words.from = Some(number(&value()?)?),
                "--hours" => words.hours = Some(number(&value()?)?),
                "--minutes" => words.minutes = Some(number(&value()?)?),
                "--seconds" => words.seconds = Some(number(&value()?)?),
                "--mutant" => words.mutant = Some(mutant(&value()?)?),
                "--out" => words.out = Some(PathBuf::from(value()?)),
                "--black-box" | "--quiet" | "--trace" | "--lying-disks" => {
                    words.flags.push(argument);
                }
                _ if words.name.is_none() && is_name => {
                    words.name = Some(argument);
                }
                other => return Err(format!("unknown argument {other}")),
            }
        }
        Ok(words)
    }

    /// Refuses what this command has no use for: silence about it would be a wrong answer.
    fn only(&self, command: &str, has_name: bool, options: &str) -> Result<(), String> {
        let known = |said: &&String| {
            if said.is_empty() { has_name } else { options.split(' ').any(|name| name == *said) }
        };
        match self.said.iter().find(|said| !known(said)) {
            None => Ok(()),
            Some(said) if said.is_empty() => Err(format!(
                "{command} does not know what {} is",
                self.name.as_deref().unwrap_or("it")
            )),
            Some(said) => Err(format!("{command} has no use for {said}")),
        }
    }

    fn is_set(&self, flag: &str) -> bool {
        self.flags.iter().any(|set| set == flag)
    }

    fn settings(&self, duration: Duration) -> Result<Settings, String> {
        // Seconds alone mean just them.
        let duration = match (self.minutes, self.seconds) {
            (None, None) => duration,
            (minutes, seconds) => {
                let seconds =
                    minutes.unwrap_or(0).saturating_mul(60).saturating_add(seconds.unwrap_or(0));
                Duration::from_secs(seconds)
            }
        };
        if duration.is_zero() || duration > DURATION_MAX {
            return Err(format!("a run of {duration:?}: from a second to a day makes sense"));
        }
        Ok(Settings {
            duration,
            mutant: self.mutant,
            is_black_box: self.is_set("--black-box"),
            has_lying_disks: self.is_set("--lying-disks"),
        })
    }

    fn seed(&self, command: &str) -> Result<u64, String> {
        number(self.name.as_ref().ok_or_else(|| format!("{command} wants a seed"))?)
    }
}

/// Reads the arguments after the name of the program.
///
/// # Errors
/// In words, what makes no sense.
pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut rest = arguments;
    let command = rest.next().unwrap_or_default();
    let words = Words::read(rest)?;
    let (has_name, options) = match command.as_str() {
        "run" | "replay" => (true, "--trace"),
        "sweep" => (false, "--seeds --quiet"),
        "soak" => (false, "--hours --from"),
        "shrink" => (true, "--out"),
        "mutants" => (false, "--seeds --from"),
        "" | "help" | "-h" | "--help" => return Ok(Command::Help),
        other => return Err(format!("unknown command {other}")),
    };
    // What a schedule says, nobody else may.
    let of_a_run = if command == "replay" { "" } else { OF_A_RUN };
    words.only(&command, has_name, &format!("{options} {of_a_run}"))?;
    command_of(&command, words)
}

fn command_of(command: &str, words: Words) -> Result<Command, String> {
    let settings = words.settings(Duration::from_mins(2))?;
    let is_traced = words.is_set("--trace");
    Ok(match command {
        "run" => Command::Run(One { seed: words.seed("run")?, settings, is_traced }),
        "sweep" => {
            let seeds = range(words.seeds.as_ref().ok_or("sweep wants --seeds A..B")?)?;
            Command::Sweep(Many { seeds, settings, is_quiet: words.is_set("--quiet") })
        }
        "soak" => {
            let hours = words.hours.filter(|&hours| hours > 0);
            let hours = hours.ok_or("soak wants --hours H, at least one")?;
            Command::Soak(Soak { hours, first_seed: words.from, settings })
        }
        "shrink" => {
            Command::Shrink(Shrink { seed: words.seed("shrink")?, settings, out: words.out })
        }
        "replay" => {
            let file = words.name.ok_or("replay wants a file")?.into();
            Command::Replay(Replay { file, is_traced })
        }
        _ => Command::Mutants(Hunt {
            first_seed: words.from.unwrap_or(0),
            seeds_max: words.seeds.as_deref().map_or(Ok(HUNT_SEEDS), number)?,
            settings: words.settings(Duration::from_secs(HUNT_SECONDS))?,
        }),
    })
}

fn mutant(name: &str) -> Result<Mutant, String> {
    let found = Mutant::named(name).ok_or_else(|| {
        let all: Vec<_> = Mutant::all().collect();
        format!("no mutant {name}; there are {all:?}")
    })?;
    if found.is_possible() {
        return Ok(found);
    }
    Err(format!("{name} is a mistake in the product: this build wants --features mutants"))
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let (start, end) = text.split_once("..").ok_or_else(|| format!("{text} is no A..B"))?;
    let range = number(start)?..number(end)?;
    if range.is_empty() { Err(format!("{text} has no seed in it")) } else { Ok(range) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn commands_are_understood() {
        let told = |line: &str| format!("{:?}", read(line).expect("it makes sense"));
        assert!(told("run 7 --trace --seconds 5").contains("seed: 7"));
        assert!(told("sweep --seeds 3..9 --minutes 1 --lying-disks").contains("seeds: 3..9"));
        assert!(told("soak --hours 2 --from 5").contains("hours: 2"));
        assert!(told("shrink 4 --mutant SyncLies --out x").contains("mutant: Some(SyncLies)"));
        assert!(told("replay a.txt").contains("a.txt"));
        assert!(told("mutants --seeds 10").contains("seeds_max: 10"));
        assert!(told("help").contains("Help"));
    }

    #[test]
    fn nonsense_is_refused_in_words() {
        for (line, word) in [
            ("dance", "unknown command"),
            ("run", "wants a seed"),
            ("run x", "no number"),
            ("run 1 2", "unknown argument"),
            ("run 1 --hours 3", "no use for --hours"),
            ("run 1 --seconds 0", "from a second"),
            ("run 1 --minutes 99999999999999999", "from a second"),
            ("run 1 --mutant Nobody", "no mutant"),
            ("run 1 --mutant", "wants a value"),
            ("sweep", "wants --seeds"),
            ("sweep 5 --seeds 1..2", "does not know what 5 is"),
            ("sweep --seeds 5", "no A..B"),
            ("sweep --seeds 5..5", "no seed in it"),
            ("sweep --seeds 9..5", "no seed in it"),
            ("soak", "wants --hours"),
            ("soak --hours 0", "at least one"),
            ("soak --hours -1", "no number"),
            ("replay", "wants a file"),
            ("replay x --minutes 3", "no use for --minutes"),
            ("mutants --seeds 1..3", "no number"),
        ] {
            let refused = read(line).expect_err(line);
            assert!(refused.contains(word), "{line}: {refused}");
        }
    }
}
