//! Rules about words: what may not be named below the quiet line, and what may not be named at all.
//!
//! Below the line there is no clock, thread, socket, file, environment, hash order or unseeded
//! randomness: that is what lets one seed replay a whole cluster. clippy.toml bans most of these by
//! resolved path; the rules here also see an import that nobody calls yet, and cannot be silenced
//! with an attribute. Tests are free to use what they need, except for what hides them (`ignore`)
//! or proves nothing (`should_panic`).

use std::collections::BTreeMap;

use super::source::{Source, identifier, words};
use super::tree::{Tree, Violation};

pub(super) const RULES: &[&str] =
    &["quiet-line", "unwrap", "leftover", "test-attribute", "unsafe", "todo", "machine-path"];

/// The crates below the line, in the order of the data path.
pub(super) const QUIET: &[&str] =
    &["types", "codec", "raft", "log", "engine", "multiraft", "store", "pd"];

/// Paths that reach out of the pure world: each with what to use instead.
const QUIET_PATHS: &[(&str, &str)] = &[
    ("std::thread", "ask the host for background work by an effect"),
    ("std::fs", "files are behind the Disk trait or the host"),
    ("std::net", "messages are effects"),
    ("std::env", "configuration is passed in"),
    ("std::process", "the host ends the process"),
    ("rand::rng", "randomness comes from a seed"),
];

/// Names that are banned wherever they stand in a path.
const QUIET_NAMES: &[(&str, &str)] = &[
    ("Instant", "time arrives as kontiki_types::Moment"),
    ("SystemTime", "time arrives as a value"),
    ("HashMap", "its order reaches outputs: use BTreeMap"),
    ("HashSet", "its order reaches outputs: use BTreeSet"),
    ("tokio", "pure code is not async"),
    ("OsRng", "randomness comes from a seed"),
    ("thread_rng", "randomness comes from a seed"),
];

const QUIET_MACROS: &[&str] = &["print", "println", "eprint", "eprintln"];

pub(super) fn check_sources(sources: &[Source]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in sources {
        if source.krate().is_some_and(|krate| QUIET.contains(&krate)) {
            violations.extend(quiet(source));
        }
        violations.extend(unwraps(source));
        violations.extend(leftovers(source));
        violations.extend(todos(source));
    }
    violations
}

fn quiet(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (at, path) in paths(&source.code) {
        let by_path = QUIET_PATHS.iter().find(|(banned, _)| is_under(&path, banned));
        let by_name = QUIET_NAMES.iter().find(|(name, _)| path.split("::").any(|p| p == *name));
        if let Some((banned, instead)) = by_path.or(by_name)
            && !source.is_test(at)
        {
            let advice = format!("`{banned}` is above the quiet line: {instead}");
            violations.push(Violation::new(&source.path, source.line(at), "quiet-line", advice));
        }
    }
    for name in QUIET_MACROS {
        for at in macro_calls(&source.code, name).filter(|&at| !source.is_test(at)) {
            let advice = format!("`{name}!` writes to a stream: return it, or trace it");
            violations.push(Violation::new(&source.path, source.line(at), "quiet-line", advice));
        }
    }
    violations
}

fn is_under(path: &str, banned: &str) -> bool {
    path.strip_prefix(banned).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn unwraps(source: &Source) -> Vec<Violation> {
    let advice = "say why it cannot fail with `expect`, or return the error";
    (source.code.match_indices(".unwrap()").map(|(at, _)| at))
        .filter(|&at| !source.is_test(at))
        .map(|at| Violation::new(&source.path, source.line(at), "unwrap", advice.to_owned()))
        .collect()
}

fn leftovers(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut found = |at: usize, rule: &'static str, advice: String| {
        violations.push(Violation::new(&source.path, source.line(at), rule, advice));
    };
    for name in ["todo", "unimplemented", "dbg"] {
        for at in macro_calls(&source.code, name) {
            found(at, "leftover", format!("`{name}!` cannot land: finish it or take it out"));
        }
    }
    for (attribute, instead) in [
        ("ignore", "a test that does not run protects nothing: fix it or remove it"),
        ("should_panic", "check the message with std::panic::catch_unwind or a script's `!`"),
    ] {
        for at in words(&source.code, attribute) {
            if source.code[..at].trim_end().ends_with("#[") {
                found(at, "test-attribute", instead.to_owned());
            }
        }
    }
    for at in words(&source.code, "unsafe") {
        found(at, "unsafe", "there is no unsafe code in Kontiki: use a safe crate".to_owned());
    }
    violations
}

/// Notes to oneself. The words are put together here so that this file does not find itself.
fn todos(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    let (fix, later) = (concat!("FIX", "ME"), concat!("TO", "DO"));
    for at in words(&source.comments, fix) {
        let advice = format!("{fix} cannot land: fix it, or open an issue and write {later}(#n)");
        violations.push(Violation::new(&source.path, source.line(at), "todo", advice));
    }
    for at in words(&source.comments, later) {
        let number = source.comments[at + later.len()..].strip_prefix("(#");
        if !number.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            let advice = format!("name the issue: {later}(#n)");
            violations.push(Violation::new(&source.path, source.line(at), "todo", advice));
        }
    }
    violations
}

/// Absolute paths of somebody's machine, in any text of the tree.
pub(super) fn check_texts(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, text) in &tree.texts {
        for (index, line) in text.lines().enumerate() {
            if let Some(folder) = machine_path(line) {
                let advice = format!("{folder} exists on one machine only: use a relative path");
                violations.push(Violation::new(path, index + 1, "machine-path", advice));
            }
        }
    }
    violations
}

fn machine_path(line: &str) -> Option<&'static str> {
    // Put together for the same reason as above.
    let folders = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tm", "p/t/")];
    folders.into_iter().find(|folder| {
        line.match_indices(folder).any(|(at, _)| {
            // In the middle of a path or an address it is somebody's folder name and harmless.
            let before = line[..at].chars().next_back();
            !before.is_some_and(|c| c.is_alphanumeric() || "._-}/~*".contains(c))
        })
    })
}

/// How many asserts production code has, per crate: `asserts: raft 120 in 100 functions (1.20)`.
pub(super) fn assert_counts(sources: &[Source]) -> Vec<String> {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.is_test_file) {
        let Some(krate) = source.krate() else { continue };
        let (asserts, functions) = counts.entry(krate).or_default();
        for name in [
            "assert",
            "assert_eq",
            "assert_ne",
            "debug_assert",
            "debug_assert_eq",
            "debug_assert_ne",
        ] {
            *asserts += macro_calls(&source.code, name).filter(|&at| !source.is_test(at)).count();
        }
        *functions += source.functions().iter().filter(|function| !function.is_test).count();
    }
    counts
        .into_iter()
        .map(|(krate, (asserts, functions))| {
            let ratio = asserts as f64 / functions.max(1) as f64;
            format!("asserts: {krate} {asserts} in {functions} functions ({ratio:.2})")
        })
        .collect()
}

fn macro_calls<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = usize> {
    words(code, name).filter(move |&at| code[at + name.len()..].starts_with('!'))
}

/// Every path in the code with its place: chains of identifiers, and `use` trees written out in
/// full.
fn paths(code: &str) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    let mut at = 0;
    while at < code.len() {
        let word = identifier(&code[at..]);
        if word.is_empty() {
            at += code[at..].chars().next().map_or(1, char::len_utf8);
        } else if word == "use" {
            let start = at + word.len();
            let end = code[start..].find(';').map_or(code.len(), |len| start + len);
            use_tree(code, start..end, "", &mut paths);
            at = end;
        } else {
            let len = chain_len(&code[at..]);
            paths.push((at, code[at..at + len].to_owned()));
            at += len;
        }
    }
    paths
}

/// The length of `a::b::c`.
fn chain_len(code: &str) -> usize {
    let mut len = identifier(code).len();
    while let Some(rest) = code[len..].strip_prefix("::") {
        let next = identifier(rest).len();
        if next == 0 {
            break;
        }
        len += 2 + next;
    }
    len
}

/// Writes out `prefix::{a, b::{c, d}}`. Braces nest as deep as people write them by hand.
fn use_tree(
    code: &str,
    range: std::ops::Range<usize>,
    prefix: &str,
    paths: &mut Vec<(usize, String)>,
) {
    let mut at = range.start;
    while at < range.end {
        let rest = &code[at..range.end];
        let len = chain_len(rest);
        if len == 0 {
            at += rest.chars().next().map_or(1, char::len_utf8);
            continue;
        }
        let path = format!("{prefix}{}", &rest[..len]);
        let open = at + len + 2;
        if code[at + len..range.end].starts_with("::{") {
            let close = closing_brace(code, open).unwrap_or(range.end);
            use_tree(code, open + 1..close, &format!("{path}::"), paths);
            at = close + 1;
        } else {
            paths.push((at, path));
            at += len;
        }
    }
}

fn closing_brace(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 1 => return Some(at),
            b'}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check_sources(&[Source::new(path, text)]).iter().map(ToString::to_string).collect()
    }

    fn assert_found(path: &str, text: &str, part: &str) {
        let found = found(path, text);
        assert!(found.len() == 1 && found[0].contains(part), "{text}: {found:?}");
    }

    #[test]
    fn below_the_line_the_world_is_banned_however_it_is_imported() {
        for text in [
            "use std::time::Instant;",
            "use std::time::{Duration, Instant};",
            "use std::{io, time::{self, SystemTime}};",
            "fn a() { std::thread::spawn(b); }",
            "use std::{fs, io};",
            "use std::net::TcpStream;",
            "fn a() { let _ = std::env::var(b); }",
            "use std::collections::{BTreeMap, HashMap};",
            "fn a(b: HashSet<u8>) {}",
            "use tokio::sync::mpsc;",
            "fn a() { rand::rng(); }",
            "fn a() { println!(); }",
            "fn a() { std::process::exit(1) }",
        ] {
            assert_found("crates/raft/src/a.rs", text, "crates/raft/src/a.rs:1: quiet-line: ");
            assert_eq!(found("crates/host/src/a.rs", text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn below_the_line_tests_prose_and_lookalikes_are_free() {
        for text in [
            "// std::thread and HashMap\n",
            "fn a() { b(\"std::fs\"); }",
            "#[cfg(test)]\nmod tests {\n    use std::collections::HashMap;\n}\n",
            "use std::time::Duration;",
            "use crate::environment::fs_image;",
            "fn a() { writeln!(out, \"b\"); }",
            "struct HashMapLike;",
        ] {
            assert_eq!(found("crates/raft/src/a.rs", text), Vec::<String>::new(), "{text}");
        }
        assert!(found("crates/raft/tests/main.rs", "use std::fs;").is_empty());
    }

    #[test]
    fn unwrap_is_for_tests() {
        assert_found("crates/host/src/a.rs", "fn a() { b.unwrap() }", ":1: unwrap: say why");
        for text in ["#[test]\nfn a() { b.unwrap() }", "fn a() { b.unwrap_or(1) }", "// b.unwrap()"]
        {
            assert!(found("crates/host/src/a.rs", text).is_empty(), "{text}");
        }
    }

    #[test]
    fn leftovers_are_found_in_tests_too() {
        for text in
            ["fn a() { todo!() }", "#[test]\nfn a() { dbg!(b); }", "fn a() { unimplemented!() }"]
        {
            assert_found("xtask/src/a.rs", text, ": leftover: ");
        }
    }

    #[test]
    fn tests_that_hide_or_prove_nothing_are_found() {
        for attribute in ["#[ignore]", "#[ignore = \"slow\"]", "#[should_panic(expected = \"a\")]"]
        {
            let text = format!("#[test]\n{attribute}\nfn a() {{}}");
            assert_found("crates/raft/src/a.rs", &text, ":2: test-attribute: ");
        }
        assert!(found("crates/raft/src/a.rs", "fn ignore() {}").is_empty());
    }

    #[test]
    fn unsafe_is_found_and_its_prohibition_is_not() {
        assert_found("crates/host/src/a.rs", "fn a() { unsafe { b() } }", ": unsafe: ");
        assert!(found("crates/host/src/a.rs", "#![forbid(unsafe_code)]").is_empty());
    }

    #[test]
    fn notes_to_oneself_need_an_issue() {
        let (fix, later) = (concat!("FIX", "ME"), concat!("TO", "DO"));
        assert_found("crates/host/src/a.rs", &format!("// {fix} b"), ": todo: ");
        assert_found("crates/host/src/a.rs", &format!("// {later}: b"), ": todo: ");
        assert_found("crates/host/src/a.rs", &format!("// {later}(me): b"), ": todo: ");
        assert!(found("crates/host/src/a.rs", &format!("// {later}(#12): b")).is_empty());
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        let bad = concat!("/wo", "rk/main");
        for line in [bad.to_owned(), format!("a `{bad}`"), format!("x={bad}"), format!("({bad})")] {
            assert!(machine_path(&line).is_some(), "{line}");
        }
        for line in [format!("$HOME{bad}").replace("HOME", "HOME}"), format!("docs{bad}")] {
            assert!(machine_path(&line).is_none(), "{line}");
        }
    }

    #[test]
    fn asserts_are_counted_in_production_code() {
        let text = "fn a() { assert!(b); debug_assert_eq!(c, d); }\nfn e() {}\n\
                    #[test]\nfn f() { assert!(g); }\n";
        let counts = assert_counts(&[Source::new("crates/raft/src/a.rs", text)]);
        assert_eq!(counts, ["asserts: raft 2 in 2 functions (1.00)"]);
    }
}
