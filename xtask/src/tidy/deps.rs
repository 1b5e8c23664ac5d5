//! Rules about who may import whom: the layering table of ARCHITECTURE.md as data.
//!
//! The table is checked against `cargo metadata`, so it is the truth about the build and not about
//! the drawing. A new edge is a change to this file and to ARCHITECTURE.md in the same commit, with
//! a sentence that says why.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::banned::QUIET;
use super::tree::{Tree, Violation};

pub(super) const RULES: &[&str] = &["layering", "quiet-dependency", "manifest"];

/// What each crate may import of ours, by folder name. Crates that are not here may not exist.
const EDGES: &[(&str, &[&str])] = &[
    // Words.
    ("types", &[]),
    ("codec", &["types"]),
    ("proto", &["types"]),
    // Mechanisms.
    ("raft", &["types"]),
    ("log", &["types", "codec", "raft"]),
    ("engine", &[]),
    // Systems.
    ("multiraft", &["types", "codec", "raft", "log"]),
    ("store", &["types", "codec", "raft", "multiraft", "engine"]),
    ("pd", &["types", "codec", "multiraft"]),
    // Edges of the system.
    ("engine-fjall", &["engine"]),
    ("engine-rocksdb", &["engine"]),
    ("host", &["types", "codec", "raft", "log", "multiraft"]),
    ("client", &["types", "proto"]),
    (
        "server",
        &[
            "types",
            "codec",
            "raft",
            "log",
            "multiraft",
            "engine",
            "engine-fjall",
            "engine-rocksdb",
            "store",
            "pd",
            "proto",
            "host",
            "client",
        ],
    ),
    ("gateway-redis", &["types", "client"]),
    ("dashboard", &["types", "client"]),
    // The binary.
    ("kontiki", &["types", "client", "server", "gateway-redis", "dashboard"]),
    // Beside.
    ("testkit", &["types"]),
    (
        "sim",
        &[
            "types",
            "codec",
            "raft",
            "log",
            "engine",
            "multiraft",
            "store",
            "pd",
            "client",
            "testkit",
        ],
    ),
    (
        "bench",
        &[
            "types",
            "codec",
            "raft",
            "log",
            "engine",
            "engine-fjall",
            "engine-rocksdb",
            "multiraft",
            "host",
            "client",
        ],
    ),
    ("e2e", &["types", "client", "testkit"]),
    ("xtask", &[]),
];

/// What tests of any crate may import on top.
const TEST_EDGES: &[&str] = &["testkit", "engine"];

/// Foreign crates that quiet code may use: data structures, checksums, errors. No I/O, no time.
const QUIET_FOREIGN: &[&str] = &["bytes", "crc32c", "imbl", "rand_pcg", "thiserror", "tracing"];

/// Foreign crates that tests of quiet code may use on top: deterministic ones.
const QUIET_TEST_FOREIGN: &[&str] = &["goldenscript", "proptest", "test_each_file"];

/// `cargo metadata` of the workspace, without foreign packages: needs no network.
pub(super) fn read_metadata(root: &Path) -> anyhow::Result<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root)
        .output()
        .context("run cargo metadata")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim());
    serde_json::from_slice(&output.stdout).context("read the answer of cargo metadata")
}

/// Compares every member's dependencies with the tables.
pub(super) fn check(metadata: &Value) -> Vec<Violation> {
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    packages.iter().flat_map(check_package).collect()
}

fn check_package(package: &Value) -> Vec<Violation> {
    let name = package["name"].as_str().unwrap_or_default();
    let krate = folder(name);
    let manifest = if krate == "xtask" {
        "xtask/Cargo.toml".to_owned()
    } else {
        format!("crates/{krate}/Cargo.toml")
    };
    let mut violations = Vec::new();
    let mut found = |rule, advice| violations.push(Violation::new(&manifest, 1, rule, advice));
    let Some((_, allowed)) = EDGES.iter().find(|(from, _)| *from == krate) else {
        found(
            "layering",
            format!("{name} has no row: give it one in xtask/src/tidy/deps.rs and ARCHITECTURE.md"),
        );
        return violations;
    };
    for dependency in package["dependencies"].as_array().map_or(&[][..], Vec::as_slice) {
        let to = dependency["name"].as_str().unwrap_or_default();
        let is_test = dependency["kind"].as_str() == Some("dev");
        // Ours are found by the path they come from, so that a foreign kontiki-x is foreign.
        if dependency["path"].is_string() {
            let to = folder(to);
            let is_test_edge = is_test && (TEST_EDGES.contains(&to) || to == krate);
            if !allowed.contains(&to) && !is_test_edge {
                found("layering", layering_advice(krate, to, is_test, allowed));
            }
        } else if (QUIET.contains(&krate) || krate == "testkit") && !is_quiet_foreign(to, is_test) {
            found(
                "quiet-dependency",
                format!(
                    "{krate} is pure and may not use {to}: the list is in xtask/src/tidy/deps.rs"
                ),
            );
        }
    }
    violations
}

fn layering_advice(krate: &str, to: &str, is_test: bool, allowed: &[&str]) -> String {
    let kind = if is_test { "tests of " } else { "" };
    let allowed =
        if allowed.is_empty() { "nothing of ours".to_owned() } else { allowed.join(", ") };
    format!("{kind}{krate} may not import {to}, only {allowed}: move the code, or change the table")
}

fn is_quiet_foreign(name: &str, is_test: bool) -> bool {
    QUIET_FOREIGN.contains(&name) || is_test && QUIET_TEST_FOREIGN.contains(&name)
}

/// The folder of a package: published names carry a prefix, folders do not.
fn folder(package: &str) -> &str {
    package.strip_prefix("kontiki-").unwrap_or(package)
}

/// Every member takes the workspace's lints, and quiet crates have their own list for clippy,
/// because the nearest clippy.toml wins and does not merge.
pub(super) fn check_manifests(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (path, text) in &tree.texts {
        let Some(member) = path.strip_suffix("/Cargo.toml") else { continue };
        if !text.contains("[lints]\nworkspace = true") {
            let advice = "add `[lints]` with `workspace = true`".to_owned();
            violations.push(Violation::new(path, 1, "manifest", advice));
        }
        let is_quiet = member.strip_prefix("crates/").is_some_and(|krate| QUIET.contains(&krate));
        if is_quiet && tree.text(&format!("{member}/clippy.toml")).is_none() {
            let advice = "a quiet crate needs a clippy.toml with the bans: copy raft's".to_owned();
            violations.push(Violation::new(path, 1, "manifest", advice));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(package: &str, dependency: &str, kind: Option<&str>, is_ours: bool) -> Vec<String> {
        let path = is_ours.then_some("somewhere");
        let metadata = json!({ "packages": [{
            "name": package,
            "dependencies": [{ "name": dependency, "kind": kind, "path": path }],
        }]});
        check(&metadata).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_edge_outside_the_table_is_found() {
        for (from, to) in [
            ("kontiki-raft", "kontiki-codec"),
            ("kontiki-store", "kontiki-pd"),
            ("kontiki-client", "kontiki-engine"),
            ("kontiki-engine", "kontiki-types"),
            ("kontiki-host", "kontiki-store"),
            ("kontiki-server", "kontiki-sim"),
        ] {
            for kind in [None, Some("build")] {
                let found = found(from, to, kind, true);
                assert!(
                    found.len() == 1 && found[0].contains(": layering: "),
                    "{from} → {to}: {found:?}"
                );
            }
        }
        assert_eq!(
            found("kontiki-raft", "kontiki-codec", None, true),
            [
                "crates/raft/Cargo.toml:1: layering: raft may not import codec, only types: move the code, \
              or change the table"
            ]
        );
    }

    #[test]
    fn edges_of_the_table_and_of_tests_are_free() {
        assert!(found("kontiki-raft", "kontiki-types", None, true).is_empty());
        assert!(found("kontiki-raft", "kontiki-testkit", Some("dev"), true).is_empty());
        assert!(found("kontiki-raft", "kontiki-raft", Some("dev"), true).is_empty());
        assert!(found("kontiki-multiraft", "kontiki-engine", Some("dev"), true).is_empty());
        assert!(!found("kontiki-raft", "kontiki-testkit", None, true).is_empty());
        assert!(!found("kontiki-raft", "kontiki-store", Some("dev"), true).is_empty());
    }

    #[test]
    fn a_crate_without_a_row_is_found() {
        assert!(found("kontiki-new", "bytes", None, false)[0].contains("has no row"));
    }

    #[test]
    fn foreign_crates_below_the_line_are_on_a_list() {
        for foreign in
            ["tokio", "tonic", "prost", "rustix", "lsm_tree", "rand", "serde", "getrandom"]
        {
            assert!(found("kontiki-store", foreign, None, false)[0].contains("quiet-dependency"));
            assert!(found("kontiki-server", foreign, None, false).is_empty());
        }
        assert!(found("kontiki-store", "bytes", None, false).is_empty());
        assert!(found("kontiki-store", "proptest", Some("dev"), false).is_empty());
        assert!(!found("kontiki-store", "proptest", None, false).is_empty());
        // Published under our prefix by somebody else: foreign.
        assert!(
            found("kontiki-store", "kontiki-types", None, false)[0].contains("quiet-dependency")
        );
    }

    #[test]
    fn the_table_has_no_cycle_and_no_unknown_name() {
        for (index, (from, to)) in EDGES.iter().enumerate() {
            for target in *to {
                let row = EDGES.iter().position(|(name, _)| name == target);
                assert!(row.is_some(), "{from} → {target}: no such row");
                assert!(row != Some(index), "{from} imports itself");
                let back = EDGES.iter().find(|(name, _)| name == target).expect("found above").1;
                assert!(!back.contains(from), "{from} and {target} import each other");
            }
        }
        for quiet in QUIET {
            let row = EDGES.iter().find(|(name, _)| name == quiet).expect("each has a row").1;
            assert!(
                row.iter().all(|to| QUIET.contains(to)),
                "{quiet} reaches above the line: {row:?}"
            );
        }
    }

    #[test]
    fn manifests_take_the_lints_and_quiet_crates_the_bans() {
        let manifest = "[package]\nname = \"a\"\n".to_owned();
        let files = [("crates/raft/Cargo.toml".to_owned(), Some(manifest))].into();
        let violations = check_manifests(&Tree::new("".into(), files));
        assert_eq!(violations.len(), 2, "{violations:?}");
    }
}
