//! `kontiki completion`: prints a completion script for a shell.

use std::io::Write;

use clap_complete::Shell;

use crate::exit::Failure;

/// Print a completion script, for example
/// `kontiki completion bash > ~/.local/share/bash-completion/completions/kontiki`
#[derive(clap::Args, Debug)]
pub(crate) struct Completion {
    /// Which shell
    #[arg(value_parser = ["bash", "zsh", "fish"])]
    shell: String,
}

impl Completion {
    /// Prints it.
    pub(crate) fn run(self) -> Result<(), Failure> {
        let shell: Shell = self.shell.parse().map_err(Failure::usage)?;
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut crate::cli::definition(), "kontiki", &mut script);
        std::io::stdout()
            .write_all(&script)
            .map_err(|error| Failure::machine("cannot write to standard output", error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_completes_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut crate::cli::definition(), "kontiki", &mut script);
            let script = String::from_utf8(script).unwrap();
            for command in crate::cli::definition().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
            }
        }
    }
}
