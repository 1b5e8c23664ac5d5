//! The commands about one failing run: make it short, run it again.

use std::fmt::Write as _;
use std::io;

use kontiki_sim::run::{Report, run};
use kontiki_sim::schedule::Schedule;
use kontiki_sim::shrink::{Shrunk, shrink};

use crate::arguments::{Replay, Settings, Shrink};
use crate::tell;

/// Makes a failing seed short and prints the schedule, or writes it. True when there was one.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn shorten(order: &Shrink) -> io::Result<bool> {
    let Some(shrunk) = shrink(whole(order.seed, &order.settings)) else {
        println!("seed {} breaks no rule", order.seed);
        return Ok(false);
    };
    let text = describe(&shrunk);
    match &order.out {
        Some(path) => {
            let named = |error| io::Error::other(format!("{}: {error}", path.display()));
            std::fs::write(path, &text).map_err(named)?;
            println!("{} runs; replay {}", shrunk.runs, path.display());
        }
        None => print!("{text}"),
    }
    Ok(true)
}

/// Runs a schedule again. True when it breaks no rule.
///
/// # Errors
/// The file cannot be read, or is no schedule.
pub(crate) fn replay(order: &Replay) -> io::Result<bool> {
    let named = |error: &dyn std::fmt::Display| {
        io::Error::other(format!("{}: {error}", order.file.display()))
    };
    let text = std::fs::read_to_string(&order.file).map_err(|error| named(&error))?;
    let schedule = Schedule::parse(&text).map_err(|error| named(&error))?;
    let options = schedule.options();
    println!("{options}");
    let report = if order.is_traced {
        run(options, Some(&mut |text| print!("{text}")))
    } else {
        run(options, None)
    };
    tell(&report);
    Ok(report.violation.is_none())
}

fn whole(seed: u64, settings: &Settings) -> Schedule {
    Schedule {
        mutant: settings.mutant,
        is_black_box: settings.is_black_box,
        has_lying_disks: settings.has_lying_disks,
        ..Schedule::whole(seed, settings.duration)
    }
}

/// The schedule with what a reader wants to know, as comments.
fn describe(shrunk: &Shrunk) -> String {
    let Shrunk { schedule, report, runs } = shrunk;
    let mut text = format!("# after {runs} runs\n");
    if let Report { violation: Some(violation), .. } = report {
        let first = violation.to_string();
        let first = first.lines().next().unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# {first}");
    }
    for strike in &report.strikes {
        let _ = writeln!(text, "# {}: {:?} at {}", strike.number, strike.fault, strike.at);
    }
    text + &schedule.to_string()
}
