//! The tree as tidy sees it: every text file that git tracks or would track, read once.
//!
//! Asking git keeps build output and editors' droppings out. Files that are not UTF-8 are left
//! alone. Nothing here judges.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::source::{self, Source};

/// A finding. Sorted by place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Violation {
    path: String,
    line: usize,
    rule: &'static str,
    advice: String,
}

impl Violation {
    /// `line` counts from 1.
    pub(super) fn new(path: &str, line: usize, rule: &'static str, advice: String) -> Self {
        debug_assert!(super::rule_names().contains(&rule), "rule {rule} is in no RULES list");
        Self { path: path.to_owned(), line, rule, advice }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.rule, self.advice)
    }
}

/// All texts, and the Rust ones taken apart.
pub(super) struct Tree {
    pub(super) root: PathBuf,
    /// Path from the root, with `/` → content.
    pub(super) texts: BTreeMap<String, String>,
    pub(super) sources: Vec<Source>,
    /// Every listed file, texts or not, and every folder above one.
    pub(super) existing: BTreeSet<String>,
}

impl Tree {
    /// A tree out of thin air.
    pub(super) fn new(root: PathBuf, files: BTreeMap<String, Option<String>>) -> Self {
        let mut existing = BTreeSet::new();
        for path in files.keys() {
            existing.extend(Path::new(path).ancestors().map(|p| p.to_string_lossy().into_owned()));
        }
        let texts: BTreeMap<String, String> =
            files.into_iter().filter_map(|(path, text)| Some((path, text?))).collect();
        let sources = source::read_all(&texts);
        Self { root, texts, sources, existing }
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }
}

/// Reads the tree this program was built from.
pub(super) fn read() -> anyhow::Result<Tree> {
    // Cargo sets it for `cargo xtask`, and it moves with the clone; `env!` would not.
    let here = std::env::var("CARGO_MANIFEST_DIR").context("start it as `cargo xtask tidy`")?;
    let root = Path::new(&here).parent().context("xtask lies in the workspace")?.to_path_buf();
    let mut files = BTreeMap::new();
    for path in list(&root)? {
        let full = root.join(&path);
        // Listed but deleted, or a link to nowhere: not in the tree.
        if !full.is_file() {
            continue;
        }
        let bytes = std::fs::read(&full).with_context(|| format!("read {path}"))?;
        files.insert(path, String::from_utf8(bytes).ok());
    }
    Ok(Tree::new(root, files))
}

/// Tracked files and new ones that are not ignored.
fn list(root: &Path) -> anyhow::Result<Vec<String>> {
    let output = Command::new("git")
        // The clone may belong to another user than the one who checks it.
        .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others"])
        .arg("--exclude-standard")
        .current_dir(root)
        .output()
        .context("run git ls-files; tidy needs git and a clone")?;
    ensure!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr).trim());
    let listed = String::from_utf8(output.stdout).context("file names are UTF-8")?;
    let mut paths: Vec<String> =
        listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect();
    paths.sort_unstable();
    paths.dedup();
    ensure!(!paths.is_empty(), "git lists no files in {}", root.display());
    Ok(paths)
}
