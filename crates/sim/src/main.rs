//! The command line of the simulator: judge many seeds, or tell one.
//!
//! `sweep`, `soak`, `run`, `shrink`, `replay`, `mutants`: see `arguments` for what each wants.
//!
//! The last line of `mutants` is `N mutants, K caught, median S seeds`, that of a sweep
//! `N seeds, V violations, M virtual minutes, S s`; minutes are those with faults, the phases after
//! them come on top. Exit code 1 means a broken rule, 2 a wrong
//! command. Seeds of a sweep run on all cores; each world itself is on one thread.

#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "this is a command line")]

mod arguments;
mod failing;
mod hunt;
mod sweep;

use std::process::ExitCode;

use arguments::{Command, USAGE};
use kontiki_sim::run::{Report, run};

/// A run makes and drops small things all the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code for a command that makes no sense.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    // A panic of the product is caught and reported as a broken rule; its own words are enough.
    std::panic::set_hook(Box::new(|info| {
        if std::env::var_os("KONTIKI_SIM_PANICS").is_some() {
            eprintln!("{info}\n{}", std::backtrace::Backtrace::force_capture());
        }
    }));
    let is_well = match arguments::parse(std::env::args().skip(1)) {
        Ok(Command::Run(one)) => {
            println!("{}", one.options());
            let report = if one.is_traced {
                run(one.options(), Some(&mut |text| print!("{text}")))
            } else {
                run(one.options(), None)
            };
            tell(&report);
            report.violation.is_none()
        }
        Ok(Command::Sweep(many)) => sweep::sweep(&many),
        Ok(Command::Soak(order)) => sweep::soak(&order),
        Ok(Command::Mutants(order)) => hunt::hunt(&order),
        Ok(Command::Shrink(order)) => or_told(failing::shorten(&order)),
        Ok(Command::Replay(order)) => or_told(failing::replay(&order)),
        Ok(Command::Help) => {
            println!("{USAGE}");
            true
        }
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether it went well; an error is told and did not.
fn or_told(result: std::io::Result<bool>) -> bool {
    result.unwrap_or_else(|error| {
        eprintln!("{error}");
        false
    })
}

/// Tells how a run went.
fn tell(report: &Report) {
    print!("{}", report.marks);
    println!(
        "seed {}: {} operations, {} entries, {} states compared, {} happenings in {:.1} virtual s, \
         trace {:016x}",
        report.seed,
        report.operations,
        report.committed,
        report.state_hashes,
        report.happenings,
        report.total.as_secs_f64(),
        report.trace_hash,
    );
    match &report.violation {
        Some(violation) => println!("violation of {violation}"),
        None => println!("no violation"),
    }
}
