//! The command line as a whole: which commands there are, and where their exit codes stand.
//!
//! The rules that every command keeps, held by the tests below: each flag can also be given as a
//! `KONTIKI_*` variable, each `--help` ends with the exit codes.

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::chaos::Chaos;
use crate::cmd;
use crate::exit::{self, Failure};

/// A strongly consistent, sharded, replicated key-value store.
#[derive(Parser, Debug)]
#[command(name = "kontiki", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Playground(cmd::playground::Playground),
    Serve(Box<cmd::serve::Serve>),
    Rejoin(cmd::rejoin::Rejoin),
    Put(cmd::put::Put),
    Get(cmd::get::Get),
    #[command(visible_alias = "del")]
    Delete(cmd::delete::Delete),
    Scan(cmd::scan::Scan),
    DeleteRange(cmd::delete_range::DeleteRange),
    Cas(cmd::cas::Cas),
    Load(cmd::load::Load),
    Dump(cmd::dump::Dump),
    Status(cmd::status::Status),
    Bench(cmd::bench::Bench),
    Chaos(Chaos),
    Completion(cmd::completion::Completion),
}

impl Command {
    /// Does it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            Self::Playground(playground) => playground.run(),
            Self::Serve(serve) => serve.run(),
            Self::Rejoin(rejoin) => rejoin.run(),
            Self::Put(put) => cmd::block_on(put.run()),
            Self::Get(get) => cmd::block_on(get.run()),
            Self::Delete(delete) => cmd::block_on(delete.run()),
            Self::Scan(scan) => cmd::block_on(scan.run()),
            Self::DeleteRange(delete_range) => cmd::block_on(delete_range.run()),
            Self::Cas(cas) => cmd::block_on(cas.run()),
            Self::Load(load) => cmd::block_on(load.run()),
            Self::Dump(dump) => cmd::block_on(dump.run()),
            Self::Status(status) => cmd::block_on(status.run()),
            Self::Bench(bench) => cmd::block_on(bench.run()),
            Self::Chaos(chaos) => chaos.run(),
            Self::Completion(completion) => completion.run(),
        }
    }
}

/// The command line as clap sees it.
pub(crate) fn definition() -> clap::Command {
    Cli::command().after_help(exit::HELP).mut_subcommands(|sub| sub.after_help(exit::HELP))
}

/// The command that this process was started with; leaves the process on `--help` and on usage
/// errors (exit code 2).
pub(crate) fn parse() -> Command {
    let matches = definition().get_matches();
    match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli.command,
        Err(error) => error.exit(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_holds_together() {
        definition().debug_assert();
    }

    #[test]
    fn every_flag_is_a_variable_too_and_explains_itself() {
        for command in definition().get_subcommands() {
            let flags = command.get_arguments().filter(|arg| !arg.is_positional());
            for arg in flags.filter(|arg| !arg.is_hide_set() && arg.get_id() != "help") {
                let place = format!("{} --{}", command.get_name(), arg.get_id());
                let wanted = format!("KONTIKI_{}", arg.get_id().as_str().to_uppercase());
                let env = arg.get_env().map(|env| env.to_string_lossy().into_owned());
                assert_eq!(env, Some(wanted), "{place}");
                assert!(arg.get_help().is_some(), "{place} has no help");
            }
            assert!(command.get_about().is_some(), "{} says nothing", command.get_name());
        }
    }

    #[test]
    fn every_help_documents_the_exit_codes() {
        for command in definition().get_subcommands_mut() {
            let help = command.render_long_help().to_string();
            assert!(help.contains("outcome unknown"), "{help}");
        }
    }
}
