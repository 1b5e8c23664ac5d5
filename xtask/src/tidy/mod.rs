//! Tidy: the rules of the house that neither rustc nor clippy can check, as a program.
//!
//! `cargo xtask tidy` reads every file of the tree once and hands it to the rule modules below. A
//! rule is a pure function from text to violations, so that each is tested with small bad inputs,
//! here and not on the tree. A violation is one line, `path:line: rule: what to do`. Rules never
//! fix anything.

mod banned;
mod deps;
mod docs;
mod files;
mod named_tests;
mod ratchet;
mod source;
mod tree;

use std::io::Write;

use anyhow::Context as _;

/// Checks the tree and writes the findings; true when there are none.
pub(crate) fn run(out: &mut impl Write) -> anyhow::Result<bool> {
    let tree = tree::read()?;
    let mut violations = Vec::new();
    violations.extend(deps::check(&deps::read_metadata(&tree.root)?));
    violations.extend(deps::check_manifests(&tree));
    violations.extend(files::check(&tree.sources));
    let exceptions = tree.text("xtask/tidy-exceptions.txt").context("the list must exist")?;
    violations.extend(ratchet::check(exceptions, &files::measure(&tree.sources)));
    violations.extend(banned::check_sources(&tree.sources));
    violations.extend(banned::check_texts(&tree));
    violations.extend(docs::check(&tree));
    violations.extend(named_tests::check(&tree));
    violations.sort();

    for line in banned::assert_counts(&tree.sources) {
        writeln!(out, "{line}")?;
    }
    for violation in &violations {
        writeln!(out, "{violation}")?;
    }
    let rules = rule_names().len();
    let files = tree.texts.len();
    writeln!(out, "tidy: {rules} rules, {files} files, {} violations", violations.len())?;
    Ok(violations.is_empty())
}

/// Every rule there is; a violation names one of them.
fn rule_names() -> Vec<&'static str> {
    [deps::RULES, files::RULES, ratchet::RULES, banned::RULES, docs::RULES, named_tests::RULES]
        .concat()
}

#[cfg(test)]
mod tests {
    use super::tree::Violation;
    use super::*;

    #[test]
    fn rule_names_are_unique() {
        let mut names = rule_names();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count, "two rules of one name: {names:?}");
    }

    #[test]
    fn a_violation_reads_path_line_rule_advice() {
        let violation =
            Violation::new("crates/raft/src/a.rs", 7, "unwrap", "use expect".to_owned());
        assert_eq!(violation.to_string(), "crates/raft/src/a.rs:7: unwrap: use expect");
    }
}
