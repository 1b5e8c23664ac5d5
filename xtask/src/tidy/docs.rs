//! Rules about documents: crates introduce themselves, links lead somewhere.
//!
//! A crate's lib.rs is its front door: five lines of prose at least, and the prohibition of unsafe
//! code where the compiler sees it. ARCHITECTURE.md is the map: a crate that is not on it cannot be
//! found. A relative link in a document must lead to a file of the tree.

use super::source::{Source, is_kind};
use super::tree::{Tree, Violation};

pub(super) const RULES: &[&str] = &["crate-prose", "forbid-unsafe", "code-map", "dead-link"];

/// How many lines with words a crate's introduction has at least.
const PROSE_LINE_COUNT_MIN: usize = 5;

pub(super) fn check(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for source in &tree.sources {
        if is_lib_root(&source.path) {
            violations.extend(root(source));
            violations.extend(map(source, tree.text("ARCHITECTURE.md")));
        }
    }
    for (path, text) in tree.texts.iter().filter(|(path, _)| is_kind(path, "md")) {
        violations.extend(links(path, text, tree));
    }
    violations
}

fn is_lib_root(path: &str) -> bool {
    path.strip_prefix("crates/")
        .and_then(|rest| rest.split_once('/'))
        .is_some_and(|(_, inside)| inside == "src/lib.rs")
}

fn root(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    let prose = source.text.lines().take_while(|line| line.starts_with("//!"));
    let count = prose.filter(|line| line.len() > "//! ".len()).count();
    if count < PROSE_LINE_COUNT_MIN {
        let advice = format!(
            "{count} lines of `//!`, {PROSE_LINE_COUNT_MIN} are the least: what the crate is, who calls \
             it, what it must never do, where to start reading"
        );
        violations.push(Violation::new(&source.path, 1, "crate-prose", advice));
    }
    if !source.code.contains("#![forbid(unsafe_code)]") {
        let advice = "add `#![forbid(unsafe_code)]`".to_owned();
        violations.push(Violation::new(&source.path, 1, "forbid-unsafe", advice));
    }
    violations
}

/// While there is no ARCHITECTURE.md there is no map to be on.
fn map(source: &Source, architecture: Option<&str>) -> Option<Violation> {
    let krate = source.krate()?;
    let architecture = architecture?;
    let is_named = [format!("`{krate}`"), format!("crates/{krate}`"), format!("crates/{krate})")]
        .iter()
        .any(|name| architecture.contains(name));
    let advice = format!("name `{krate}` in the code map of ARCHITECTURE.md");
    (!is_named).then(|| Violation::new(&source.path, 1, "code-map", advice))
}

fn links(path: &str, text: &str, tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut is_fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        }
        if is_fenced {
            continue;
        }
        for target in targets(line) {
            let resolved = resolve(path, &target);
            if !resolved.as_ref().is_some_and(|file| tree.existing.contains(file)) {
                let advice =
                    format!("{target} leads nowhere: fix the link, or add the file to git");
                violations.push(Violation::new(path, index + 1, "dead-link", advice));
            }
        }
    }
    violations
}

/// The relative link targets of a line, without their `#place`.
fn targets(line: &str) -> Vec<String> {
    // Text between backticks is code; every second piece is.
    let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("code");
    let inline = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let reference = prose
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("]:"))
        .map(|(_, target)| target.trim());
    inline
        .chain(reference)
        .map(|target| target.split_whitespace().next().unwrap_or_default())
        .map(|target| target.trim_matches(['<', '>']))
        .filter(|target| !target.contains("://") && !target.starts_with("mailto:"))
        .map(|target| target.split('#').next().unwrap_or_default().to_owned())
        .filter(|target| !target.is_empty())
        .collect()
}

/// The path from the root; `None` when it leaves the tree.
fn resolve(from: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    if target.starts_with('/') {
        parts.clear();
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned())));
        let tree = Tree::new("".into(), files.collect());
        check(&tree).iter().map(ToString::to_string).collect()
    }

    const GOOD_ROOT: &str = "//! a\n//! b\n//!\n//! c\n//! d\n//! e\n#![forbid(unsafe_code)]\n";

    #[test]
    fn a_crate_must_introduce_itself() {
        let short = "//! a\n//!\n//!\n//! b\n//!\n#![forbid(unsafe_code)]\n";
        let found_short = found(&[("crates/raft/src/lib.rs", short)]);
        assert!(found_short[0].contains("crate-prose: 2 lines"), "{found_short:?}");
        assert!(found(&[("crates/raft/src/lib.rs", GOOD_ROOT)]).is_empty());
        // Only the root of a library.
        assert!(found(&[("crates/raft/src/role/lib.rs", short)]).is_empty());
    }

    #[test]
    fn a_crate_root_must_forbid_unsafe_code_in_code() {
        let root = GOOD_ROOT.replace("#![forbid", "// #![forbid");
        assert!(found(&[("crates/raft/src/lib.rs", &root)])[0].contains("forbid-unsafe"));
    }

    #[test]
    fn a_crate_must_be_on_the_map() {
        let lib = ("crates/raft/src/lib.rs", GOOD_ROOT);
        assert!(found(&[lib, ("ARCHITECTURE.md", "`multiraft` and raft")])[0].contains("code-map"));
        assert!(found(&[lib, ("ARCHITECTURE.md", "### `raft`")]).is_empty());
        assert!(found(&[lib, ("ARCHITECTURE.md", "### `crates/raft`")]).is_empty());
    }

    #[test]
    fn a_link_must_lead_to_a_file_of_the_tree() {
        let linking = |target: &str| {
            let text = format!("see [it]({target}) here\n");
            found(&[("docs/a.md", &text), ("docs/b.md", ""), ("crates/x/c.rs", "")])
        };
        for dead in ["c.md", "../docs", "b.md/", "../../b.md", "/b.md"] {
            let is_folder = dead == "../docs" || dead == "b.md/";
            assert_eq!(linking(dead).is_empty(), is_folder, "{dead}");
        }
        for good in ["b.md", "./b.md#place", "#here", "../crates/x", "/docs/b.md", "https://a.b/c"]
        {
            assert!(linking(good).is_empty(), "{good}");
        }
        assert_eq!(linking("c.md")[0].split(": ").next(), Some("docs/a.md:1"));
    }

    #[test]
    fn links_in_code_are_not_links() {
        assert!(found(&[("a.md", "```\n[a](b.md)\n```\n`[c](d.md)`\n")]).is_empty());
        assert!(found(&[("a.md", "```\n```\n[`a`](b.md)\n")])[0].contains("a.md:3: dead-link"));
        assert!(found(&[("a.md", "[a]: b.md\n")])[0].contains("dead-link"));
    }
}
