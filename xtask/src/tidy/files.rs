//! Rules about files and functions: how they begin, how they are named, how wide and how long.
//!
//! A file is one noun or one operation and opens with prose; a function fits on a screen. Lengths
//! are only measured here: whether one is too much is the ratchet's business, because old offenders
//! are tolerated and new ones are not.

use super::source::Source;
use super::tree::Violation;

pub(super) const RULES: &[&str] = &["file-prose", "file-name", "line-width"];

/// The widest line, in characters.
const COLUMN_COUNT_MAX: usize = 100;

/// Names that say nothing about what is inside, and so collect everything.
const BANNED_NAMES: &[&str] =
    &["util", "utils", "misc", "common", "helper", "helpers", "manager", "types", "v2"];

/// How long something is, under the name the exceptions list uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Measure {
    pub(super) path: String,
    pub(super) line: usize,
    /// `file`, `test-file` or `fn:name`.
    pub(super) kind: String,
    pub(super) number: usize,
}

pub(super) fn check(sources: &[Source]) -> Vec<Violation> {
    sources
        .iter()
        .flat_map(|source| [prose(source), name(source), width(source)])
        .flatten()
        .collect()
}

/// The lengths of every file and function.
pub(super) fn measure(sources: &[Source]) -> Vec<Measure> {
    let mut measures = Vec::new();
    for source in sources {
        let (kind, number) = if source.is_test_file {
            ("test-file", source.text.lines().count())
        } else {
            ("file", source.production_line_count())
        };
        let path = &source.path;
        measures.push(Measure { path: path.clone(), line: 1, kind: kind.to_owned(), number });
        for function in source.functions() {
            let kind = format!("fn:{}", function.name);
            let number = function.code_line_count;
            measures.push(Measure { path: path.clone(), line: function.line, kind, number });
        }
    }
    measures
}

fn prose(source: &Source) -> Vec<Violation> {
    if source.text.starts_with("//!") {
        return Vec::new();
    }
    let advice = "begin with `//!`: what this file is, who calls it, what it must never do";
    vec![Violation::new(&source.path, 1, "file-prose", advice.to_owned())]
}

fn name(source: &Source) -> Vec<Violation> {
    // The name of a crate's own folder is not the name of a file.
    let inside = source.path.split_once("/src/").map_or(source.path.as_str(), |(_, inside)| inside);
    let banned = inside
        .split('/')
        .map(|part| part.trim_end_matches(".rs"))
        .find(|part| BANNED_NAMES.contains(part));
    let Some(word) = banned else { return Vec::new() };
    let advice = format!("`{word}` names nothing: name the noun or the operation inside");
    vec![Violation::new(&source.path, 1, "file-name", advice)]
}

fn width(source: &Source) -> Vec<Violation> {
    let is_wide = |(index, line): &(usize, &str)| {
        line.chars().count() > COLUMN_COUNT_MAX
            && !line.contains("://")
            // A row of a table in prose cannot be broken.
            && !line.trim_start().starts_with("//! |")
            && !line.trim_start().starts_with("/// |")
            && !source.has_literal(index + 1)
    };
    let advice = |line: &str| {
        format!("{} columns: break it, {COLUMN_COUNT_MAX} is the limit", line.chars().count())
    };
    (source.text.lines().enumerate().filter(is_wide))
        .map(|(index, line)| Violation::new(&source.path, index + 1, "line-width", advice(line)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&[Source::new(path, text)]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_without_prose_is_found() {
        assert!(found("crates/x/src/a.rs", "use b;\n")[0].contains(":1: file-prose: begin"));
        assert!(found("crates/x/src/a.rs", "// a\n")[0].contains("file-prose"));
        assert!(found("crates/x/src/a.rs", "//! a\n").is_empty());
    }

    #[test]
    fn a_name_that_says_nothing_is_found() {
        for path in
            ["crates/x/src/utils.rs", "crates/x/src/helpers/a.rs", "crates/x/tests/common.rs"]
        {
            assert!(found(path, "//! a\n")[0].contains("file-name"), "{path}");
        }
        assert!(found("crates/types/src/region_manager_lease.rs", "//! a\n").is_empty());
    }

    #[test]
    fn a_wide_line_is_found_unless_it_cannot_be_broken() {
        let wide = "x".repeat(101);
        assert!(found("a.rs", &format!("//! a\n{wide}\n"))[0].contains(":2: line-width: 101"));
        assert!(found("a.rs", &format!("//! a\n// {wide}\n"))[0].contains("line-width"));
        assert!(found("a.rs", &format!("//! a\nlet a = \"{wide}\";\n")).is_empty());
        assert!(found("a.rs", &format!("//! a\n// https://{wide}\n")).is_empty());
        assert!(found("a.rs", &format!("//! {}\n", "→".repeat(96))).is_empty());
    }

    #[test]
    fn files_and_functions_are_measured() {
        let text = "//! a\nfn b() {\n    c();\n}\n#[cfg(test)]\nmod tests {\n}\n";
        let measures = measure(&[Source::new("crates/x/src/a.rs", text)]);
        let shown: Vec<(String, usize)> =
            measures.iter().map(|m| (m.kind.clone(), m.number)).collect();
        assert_eq!(shown, [("file".to_owned(), 4), ("fn:b".to_owned(), 3)]);
    }
}
