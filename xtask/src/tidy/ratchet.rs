//! The ratchet: what is too long may only get shorter, and nothing new may become too long.
//!
//! `xtask/tidy-exceptions.txt` lists the offenders with their measured length. An entry must be
//! exact: a file that grew fails, and one that shrank must be lowered in the same commit, so that
//! what was won cannot be lost again. The number of entries is a constant below, so that a new
//! entry is a change to a rule and is reviewed as one.

use std::collections::BTreeMap;

use super::files::Measure;
use super::tree::Violation;

pub(super) const RULES: &[&str] = &["length", "exceptions"];

/// Production lines of a file: without its test items.
const FILE_LINE_COUNT_MAX: usize = 600;

/// Lines of a file of tests: they may be longer, but not a swamp.
const TEST_FILE_LINE_COUNT_MAX: usize = 1000;

/// Code lines of a function: blank and comment lines are free.
const FUNCTION_LINE_COUNT_MAX: usize = 70;

/// How many exceptions there are. Only ever lower this.
const EXCEPTION_COUNT_MAX: usize = 0;

const LIST: &str = "xtask/tidy-exceptions.txt";

struct Exception {
    line: usize,
    number: usize,
}

/// Compares the lengths with the limits and the list.
pub(super) fn check(list: &str, measures: &[Measure]) -> Vec<Violation> {
    check_with(list, measures, EXCEPTION_COUNT_MAX)
}

fn check_with(list: &str, measures: &[Measure], exception_count_max: usize) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut exceptions = parse(list, &mut violations);
    if exceptions.len() != exception_count_max {
        let advice = format!(
            "{} entries, EXCEPTION_COUNT_MAX in xtask/src/tidy/ratchet.rs is {exception_count_max}: \
             shorten instead of adding; lower it after removing",
            exceptions.len()
        );
        violations.push(Violation::new(LIST, 1, "exceptions", advice));
    }
    for ((path, kind), (number, line)) in longest(measures) {
        let exception = exceptions.remove(&(path.to_owned(), kind.to_owned()));
        violations.extend(judge(path, line, kind, number, exception.as_ref()));
    }
    for ((path, kind), exception) in exceptions {
        let advice = format!("{path} has no {kind}: remove the entry");
        violations.push(Violation::new(LIST, exception.line, "exceptions", advice));
    }
    violations
}

fn judge(
    path: &str,
    line: usize,
    kind: &str,
    number: usize,
    exception: Option<&Exception>,
) -> Option<Violation> {
    let max = limit(kind);
    match exception {
        None if number <= max => None,
        None => {
            let part = if kind.starts_with("fn:") { "operations" } else { "nouns" };
            let advice = format!(
                "{kind} has {number} lines, {max} is the limit: split it, it holds two {part}"
            );
            Some(Violation::new(path, line, "length", advice))
        }
        Some(exception) if number <= max => {
            let advice = format!("{path} {kind} is within {max} now: remove the entry");
            Some(Violation::new(LIST, exception.line, "exceptions", advice))
        }
        Some(exception) if number < exception.number => {
            let advice = format!("{path} {kind} has only {number} lines now: lower the entry");
            Some(Violation::new(LIST, exception.line, "exceptions", advice))
        }
        Some(exception) if number > exception.number => {
            let was = exception.number;
            let advice = format!("{kind} grew from {was} to {number} lines: it may only shrink");
            Some(Violation::new(path, line, "length", advice))
        }
        Some(_) => None,
    }
}

fn limit(kind: &str) -> usize {
    match kind {
        "file" => FILE_LINE_COUNT_MAX,
        "test-file" => TEST_FILE_LINE_COUNT_MAX,
        _ => FUNCTION_LINE_COUNT_MAX,
    }
}

/// Functions of one name in one file count as one: the longest.
fn longest(measures: &[Measure]) -> BTreeMap<(&str, &str), (usize, usize)> {
    let mut longest: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
    for measure in measures {
        let entry = longest.entry((&measure.path, &measure.kind)).or_default();
        *entry = (*entry).max((measure.number, measure.line));
    }
    longest
}

/// Lines are `path kind number`; `#` begins a comment.
fn parse(list: &str, violations: &mut Vec<Violation>) -> BTreeMap<(String, String), Exception> {
    let mut exceptions = BTreeMap::new();
    for (index, text) in list.lines().enumerate() {
        let line = index + 1;
        let content = text.split('#').next().unwrap_or_default();
        let words: Vec<&str> = content.split_whitespace().collect();
        if words.is_empty() {
            continue;
        }
        let entry = match words[..] {
            [path, kind, number] => number.parse().ok().map(|number| (path, kind, number)),
            _ => None,
        };
        let Some((path, kind, number)) = entry else {
            let advice = "write `path kind number`, like `crates/a/src/b.rs fn:c 80`".to_owned();
            violations.push(Violation::new(LIST, line, "exceptions", advice));
            continue;
        };
        exceptions.insert((path.to_owned(), kind.to_owned()), Exception { line, number });
    }
    exceptions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(kind: &str, number: usize) -> Measure {
        Measure { path: "crates/x/src/a.rs".to_owned(), line: 5, kind: kind.to_owned(), number }
    }

    fn found(list: &str, measures: &[Measure]) -> Vec<String> {
        let entries = list.lines().filter(|line| line.starts_with("crates")).count();
        check_with(list, measures, entries).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_new_offender_is_told_to_split() {
        for (kind, number) in [("file", 601), ("test-file", 1001), ("fn:b", 71)] {
            let found = found("", &[measured(kind, number)]);
            assert!(found[0].starts_with("crates/x/src/a.rs:5: length: "), "{found:?}");
            assert!(found[0].contains("split it"), "{found:?}");
        }
        let within = [measured("file", 600), measured("test-file", 1000), measured("fn:b", 70)];
        assert!(found("", &within).is_empty());
    }

    #[test]
    fn an_exception_holds_at_its_number_and_nowhere_else() {
        let list = "# why\ncrates/x/src/a.rs fn:b 90\n";
        assert!(found(list, &[measured("fn:b", 90)]).is_empty());
        assert!(found(list, &[measured("fn:b", 91)])[0].contains("grew from 90 to 91"));
        assert!(found(list, &[measured("fn:b", 80)])[0].contains("txt:2: exceptions: "));
        assert!(found(list, &[measured("fn:b", 80)])[0].contains("lower the entry"));
        assert!(found(list, &[measured("fn:b", 70)])[0].contains("remove the entry"));
        assert!(found(list, &[])[0].contains("has no fn:b"));
    }

    #[test]
    fn of_two_functions_of_one_name_the_longer_counts() {
        let both = [measured("fn:new", 80), measured("fn:new", 10)];
        assert!(found("crates/x/src/a.rs fn:new 80\n", &both).is_empty());
    }

    #[test]
    fn adding_an_entry_is_noticed_and_so_is_nonsense() {
        let list = "crates/x/src/a.rs fn:b 90\n";
        let violations = check_with(list, &[measured("fn:b", 90)], 0);
        assert!(violations[0].to_string().contains("shorten instead of adding"));
        assert!(found("crates/x/src/a.rs long\n", &[]).iter().any(|v| v.contains("write `path")));
    }
}
