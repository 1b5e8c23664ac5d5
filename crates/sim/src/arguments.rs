//! What the user asked for, parsed by hand: there is little of it.

use std::ops::Range;
use std::time::Duration;

use kontiki_sim::Options;
use kontiki_sim::mutant::Mutant;

/// How to use the command.
pub(crate) const USAGE: &str = "\
usage:
  kontiki-sim sweep --seeds A..B [--minutes M] [--seconds S] [--mutant NAME] [--black-box] [--quiet]
  kontiki-sim run SEED [--minutes M] [--seconds S] [--trace] [--mutant NAME] [--black-box]

  --minutes M    virtual minutes with faults per seed (default 2); --seconds adds to them
  --trace        tell everything that happens
  --mutant NAME  with this mistake made on purpose
  --black-box    judge only what clients can see
  --quiet        a sweep prints only violations and its last lines";

/// What to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Tell one seed.
    Run(One),
    /// Judge many.
    Sweep(Many),
    /// Tell how to use it.
    Help,
}

/// How to run a seed.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) duration: Duration,
    pub(crate) mutant: Option<Mutant>,
    pub(crate) is_black_box: bool,
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

impl Settings {
    /// The options of a seed under these settings.
    pub(crate) fn options(&self, seed: u64) -> Options {
        let mut options = Options::draw(seed, self.duration).with_mutant(self.mutant);
        options.is_white_box = !self.is_black_box;
        options
    }

    /// The command that runs a seed again under these settings.
    pub(crate) fn replay(&self, seed: u64) -> String {
        let mut command = format!(
            "cargo run --release -p kontiki-sim -- run {seed} --trace --minutes {} --seconds {}",
            self.duration.as_secs() / 60,
            self.duration.as_secs() % 60,
        );
        if let Some(mutant) = self.mutant {
            command.extend([" --mutant ".to_owned(), format!("{mutant:?}")]);
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

/// Reads the arguments after the name of the program.
///
/// # Errors
/// In words, what makes no sense.
pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut rest = arguments;
    let command = rest.next().unwrap_or_default();
    if matches!(command.as_str(), "" | "help" | "-h" | "--help") {
        return Ok(Command::Help);
    }
    let mut seed = None;
    let mut seeds = None;
    let (mut minutes, mut seconds) = (None, 0);
    let (mut mutant, mut is_black_box, mut is_quiet, mut is_traced) = (None, false, false, false);
    while let Some(argument) = rest.next() {
        let mut value = || rest.next().ok_or_else(|| format!("{argument} wants a value"));
        match argument.as_str() {
            "--seeds" => seeds = Some(parse_range(&value()?)?),
            "--minutes" => minutes = Some(parse_number(&value()?)?),
            "--seconds" => seconds = parse_number(&value()?)?,
            "--mutant" => {
                let name = value()?;
                let known = || format!("no mutant {name}; there are {:?}", Mutant::ALL);
                mutant = Some(Mutant::named(&name).ok_or_else(known)?);
            }
            "--black-box" => is_black_box = true,
            "--quiet" => is_quiet = true,
            "--trace" => is_traced = true,
            number if seed.is_none() => seed = Some(parse_number(number)?),
            other => return Err(format!("unknown argument {other}")),
        }
    }
    // Seconds alone mean just them.
    let minutes = minutes.unwrap_or(if seconds > 0 { 0 } else { 2 });
    let duration = Duration::from_secs(60 * minutes + seconds);
    let settings = Settings { duration, mutant, is_black_box };
    match command.as_str() {
        "run" => {
            let seed = seed.ok_or("run wants a seed")?;
            Ok(Command::Run(One { seed, settings, is_traced }))
        }
        "sweep" => {
            let seeds = seeds.ok_or("sweep wants --seeds A..B")?;
            Ok(Command::Sweep(Many { seeds, settings, is_quiet }))
        }
        other => Err(format!("unknown command {other}")),
    }
}

fn parse_number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let (start, end) = text.split_once("..").ok_or_else(|| format!("{text} is no A..B"))?;
    Ok(parse_number(start)?..parse_number(end)?)
}
