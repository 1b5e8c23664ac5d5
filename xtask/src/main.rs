//! `cargo xtask`: the project's automation. Today there is one task, `tidy`.
//!
//! Contributors and `.ci/run` call it; nothing of the product depends on it. It only reads the tree
//! and must never change a file.

#![forbid(unsafe_code)]

mod tidy;

use std::io::Write as _;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask tidy

  tidy    check the rules that compilers do not: layering, file and function
          length, banned words, documents (see CONTRIBUTING.md)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments != ["tidy"] {
        // Nothing can be done about a closed stderr, here and below.
        let _ = std::io::stderr().write_all(USAGE.as_bytes());
        return ExitCode::from(2);
    }
    let result = tidy::run(&mut std::io::stdout().lock());
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}
