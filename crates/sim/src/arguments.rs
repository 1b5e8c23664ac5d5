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
}

impl Words {
    fn read(mut rest: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut words = Self::default();
        while let Some(argument) = rest.next() {
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
                name if words.name.is_none() && !name.starts_with('-') => {
                    words.name = Some(argument);
                }
                other => return Err(format!("unknown argument {other}")),
            }
        }
        Ok(words)
    }

    fn is_set(&self, flag: &str) -> bool {
        self.flags.iter().any(|set| set == flag)
    }

    fn settings(&self, duration: Duration) -> Settings {
        // Seconds alone mean just them.
        let duration = match (self.minutes, self.seconds) {
            (None, None) => duration,
            (minutes, seconds) => {
                Duration::from_secs(60 * minutes.unwrap_or(0) + seconds.unwrap_or(0))
            }
        };
        Settings {
            duration,
            mutant: self.mutant,
            is_black_box: self.is_set("--black-box"),
            has_lying_disks: self.is_set("--lying-disks"),
        }
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
    let settings = words.settings(Duration::from_mins(2));
    let is_traced = words.is_set("--trace");
    Ok(match command.as_str() {
        "" | "help" | "-h" | "--help" => Command::Help,
        "run" => Command::Run(One { seed: words.seed("run")?, settings, is_traced }),
        "sweep" => {
            let seeds = range(words.seeds.as_ref().ok_or("sweep wants --seeds A..B")?)?;
            Command::Sweep(Many { seeds, settings, is_quiet: words.is_set("--quiet") })
        }
        "soak" => {
            let hours = words.hours.ok_or("soak wants --hours H")?;
            Command::Soak(Soak { hours, first_seed: words.from, settings })
        }
        "shrink" => {
            Command::Shrink(Shrink { seed: words.seed("shrink")?, settings, out: words.out })
        }
        "replay" => {
            let file = words.name.ok_or("replay wants a file")?.into();
            Command::Replay(Replay { file, is_traced })
        }
        "mutants" => Command::Mutants(Hunt {
            first_seed: words.from.unwrap_or(0),
            seeds_max: words.seeds.as_deref().map_or(Ok(HUNT_SEEDS), number)?,
            settings: words.settings(Duration::from_secs(HUNT_SECONDS)),
        }),
        other => return Err(format!("unknown command {other}")),
    })
}

fn mutant(name: &str) -> Result<Mutant, String> {
    Mutant::named(name).ok_or_else(|| {
        let all: Vec<_> = Mutant::all().collect();
        format!("no mutant {name}; there are {all:?}")
    })
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let (start, end) = text.split_once("..").ok_or_else(|| format!("{text} is no A..B"))?;
    Ok(number(start)?..number(end)?)
}
