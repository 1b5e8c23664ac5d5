//! Rules about tests that documents promise: what a document says is shown, some test must show.
//!
//! `docs/internals/known-raft-bugs.md` lists bugs that other implementations had, each with our
//! test; `docs/acceptance/` lists the tests of others by name, each with ours that covers its
//! meaning, or the reason why it does not apply. A row of their tables begins with a number or a
//! name and ends with tests in backticks: the path of a golden script, or `path.rs::name_of_it`. A
//! row without a test, with one that is not there, or a list that lost a row, is a violation.

use std::collections::BTreeSet;

use super::source::{Source, identifier, words};
use super::tree::{Tree, Violation};

pub(super) const RULES: &[&str] = &["known-bugs", "acceptance"];

const BUGS: &str = "docs/internals/known-raft-bugs.md";

/// They are numbered from one.
const BUG_COUNT: usize = 68;

/// The lists of tests of others, and how many names each has. A list may only grow with its model.
const LISTS: &[(&str, usize)] = &[
    ("docs/acceptance/jraft-cli-service-test.md", 10),
    ("docs/acceptance/jraft-node-test.md", 64),
    ("docs/acceptance/tinykv.md", 92),
];

/// How a row of an acceptance list says that no test of ours is needed; the reason follows.
const NOT_APPLICABLE: &str = "not applicable: ";

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = check_bugs(tree, BUG_COUNT);
    for &(path, count) in LISTS {
        violations.extend(check_list(tree, path, count));
    }
    violations
}

/// A row of a table.
struct Row<'a> {
    /// From 1.
    line: usize,
    first: &'a str,
    last: &'a str,
}

/// Every row of every table of a document; heads and the lines under them are none.
fn rows(text: &str) -> Vec<Row<'_>> {
    let is_rule = |line: &str| line.starts_with("|--") || line.starts_with("|:-");
    let mut rows = Vec::new();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((index, line)) = lines.next() {
        let is_head = lines.peek().is_some_and(|(_, next)| is_rule(next));
        if !line.starts_with('|') || is_head || is_rule(line) {
            continue;
        }
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        if let [first, .., last] = cells[..] {
            rows.push(Row { line: index + 1, first, last });
        }
    }
    rows
}

fn check_bugs(tree: &Tree, count: usize) -> Vec<Violation> {
    let violation = |line, advice| Violation::new(BUGS, line, "known-bugs", advice);
    let Some(text) = tree.text(BUGS) else {
        return vec![violation(1, "the list is gone".to_owned())];
    };
    let rows = rows(text);
    let mut violations = Vec::new();
    for (expected, row) in (1..).zip(&rows) {
        if row.first != expected.to_string() {
            let advice = format!("row {} where {expected} was expected", row.first);
            violations.push(violation(row.line, advice));
        }
        violations.extend(missing(tree, row).map(|advice| violation(row.line, advice)));
    }
    if rows.len() != count {
        violations.push(violation(1, format!("{} bugs, there are {count}", rows.len())));
    }
    violations
}

fn check_list(tree: &Tree, path: &str, count: usize) -> Vec<Violation> {
    let violation = |line, advice| Violation::new(path, line, "acceptance", advice);
    let Some(text) = tree.text(path) else {
        return vec![violation(1, "the list is gone".to_owned())];
    };
    let rows = rows(text);
    let mut violations = Vec::new();
    let mut names = BTreeSet::new();
    for row in &rows {
        if !names.insert(row.first) {
            violations.push(violation(row.line, format!("{} stands here twice", row.first)));
        }
        let reason = row.last.strip_prefix(NOT_APPLICABLE.trim_end()).map(str::trim);
        let advice = match reason {
            Some("") => Some("say why it does not apply".to_owned()),
            Some(_) => None,
            None => missing(tree, row),
        };
        violations.extend(advice.map(|advice| violation(row.line, advice)));
    }
    if names.len() != count {
        violations.push(violation(1, format!("{} names, its model has {count}", names.len())));
    }
    violations
}

/// What is wrong with the tests that a row names, if anything.
fn missing(tree: &Tree, row: &Row<'_>) -> Option<String> {
    let mut named = row.last.split('`').skip(1).step_by(2).peekable();
    if named.peek().is_none() {
        return Some(format!("{} has no test: name it in backticks", row.first));
    }
    named.find_map(|test| wrong(tree, test))
}

/// Why this names no test; nothing when it does.
fn wrong(tree: &Tree, test: &str) -> Option<String> {
    let Some((path, name)) = test.split_once("::") else {
        let is_script = test.contains("/testscripts/")
            && tree.text(test).is_some_and(|text| text.lines().any(|line| line == "---"));
        return (!is_script).then(|| format!("{test} is no golden script"));
    };
    match tree.sources.iter().find(|source| source.path == path) {
        None => Some(format!("{path} is no file of the tree")),
        Some(source) if !has_test(source, name) => Some(format!("{path} has no test {name}")),
        Some(_) => None,
    }
}

/// True when the file has a function of this name under an attribute that makes it a test.
fn has_test(source: &Source, name: &str) -> bool {
    let lines: Vec<&str> = source.text.lines().collect();
    words(&source.code, "fn")
        .filter(|&at| identifier(source.code[at + 2..].trim_start()) == name)
        .any(|at| {
            let above = &lines[..source.line(at) - 1];
            above
                .iter()
                .rev()
                .map(|line| line.trim())
                .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
                .any(|line| line.starts_with("#[") && line.contains("test"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: &str = "crates/x/src/testscripts/a/b_does_c";
    const TESTS: &str = "crates/x/src/tests/d.rs";
    const LIST: &str = "docs/acceptance/list.md";

    fn tree(path: &str, rows: &[&str]) -> Tree {
        let list = format!("# T\n\n| no | what | test |\n|---|---|---|\n{}\n", rows.join("\n"));
        let tests = "//! d\n#[test]\n/// Why.\nfn shows() {}\n\nfn helper() {}\n";
        let files = [
            (path, list.as_str()),
            (SCRIPT, "# why\nrun\n---\nok\n"),
            ("crates/x/src/testscripts/a/empty", "run\n"),
            ("docs/a.md", "---\n"),
            (TESTS, tests),
        ];
        let files = files.map(|(path, text)| (path.to_owned(), Some(text.to_owned())));
        Tree::new("".into(), files.into_iter().collect())
    }

    fn bugs(rows: &[&str]) -> Vec<String> {
        let found = check_bugs(&tree(BUGS, rows), 2);
        found.iter().map(ToString::to_string).collect()
    }

    fn list(rows: &[&str]) -> Vec<String> {
        let found = check_list(&tree(LIST, rows), LIST, 2);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn scripts_and_functions_are_tests() {
        let first = format!("| 1 | a | `{SCRIPT}` |");
        let second = format!("| 2 | b | `{SCRIPT}`, and `{TESTS}::shows` |");
        assert_eq!(bugs(&[&first, &second]), [""; 0]);
        assert_eq!(list(&[&first, "| T2 | b | not applicable: no such thing |"]), [""; 0]);
    }

    #[test]
    fn what_is_no_test_is_found() {
        let broken = [
            ("open", "2 has no test"),
            ("`crates/x/src/testscripts/a/gone`", "is no golden script"),
            ("`crates/x/src/testscripts/a/empty`", "is no golden script"),
            ("`docs/a.md`", "is no golden script"),
            ("`crates/x/src/tests/e.rs::shows`", "is no file of the tree"),
            ("`crates/x/src/tests/d.rs::gone`", "has no test gone"),
            ("`crates/x/src/tests/d.rs::helper`", "has no test helper"),
            ("not applicable: nobody wants it", "2 has no test"),
        ];
        for (cell, said) in broken {
            let rows = [format!("| 1 | a | `{SCRIPT}` |"), format!("| 2 | b | {cell} |")];
            let found = bugs(&[&rows[0], &rows[1]]);
            assert_eq!(found.len(), 1, "{cell}: {found:?}");
            assert!(found[0].starts_with(&format!("{BUGS}:6: known-bugs: ")), "{found:?}");
            assert!(found[0].contains(said), "{cell}: {found:?}");
        }
    }

    #[test]
    fn a_list_loses_no_row_and_has_none_twice() {
        let [one, two, three] = [1, 2, 3].map(|n| format!("| {n} | a | `{SCRIPT}` |"));
        assert!(bugs(&[&one])[0].contains("1 bugs, there are 2"));
        assert!(bugs(&[&one, &three])[0].contains("row 3 where 2 was expected"));
        assert!(bugs(&[&one, &two, &two])[0].contains("row 2 where 3 was expected"));
        assert!(bugs(&[&one, &two, &three])[0].contains("3 bugs, there are 2"));
        assert!(list(&[&one])[0].contains("1 names, its model has 2"));
        assert!(list(&[&one, &one, &two])[0].contains("1 stands here twice"));
        assert!(check_bugs(&tree(LIST, &[]), 2)[0].to_string().contains("the list is gone"));
    }

    #[test]
    fn a_row_may_only_be_excused_with_a_reason() {
        let first = format!("| T1 | a | `{SCRIPT}` |");
        assert!(list(&[&first, "| T2 | b | not applicable: |"])[0].contains("say why"));
        assert!(list(&[&first, "| T2 | b | open |"])[0].contains("T2 has no test"));
    }
}
