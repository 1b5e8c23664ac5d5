//! The examples are run, small, as a user would.

use std::path::PathBuf;
use std::process::Command;

/// Built by the same `cargo test` beside this very test.
fn example(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().expect("this test");
    path.pop();
    path.pop();
    path.join("examples").join(name)
}

fn run(name: &str, arguments: &[&str]) -> String {
    let output = Command::new(example(name)).args(arguments).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {text}\n{complaints}");
    text
}

#[test]
fn counter_adds_and_reads_over_three_processes_and_survives_its_leader() {
    let text = run("counter", &[]);
    assert!(text.contains("store 1 reads 55") && text.contains("store 3 reads 55"), "{text}");
    assert!(text.contains("reads 155") && text.ends_with("done\n"), "{text}");
}

#[test]
fn replicated_log_keeps_its_lines() {
    let text = run("replicated_log", &[]);
    assert!(text.contains("a learner has 101 lines"), "{text}");
    assert!(text.contains("a restarted store has 102 lines"), "{text}");
}

#[test]
fn many_groups_sleep_and_wake() {
    let text = run("many_groups", &["--groups", "30", "--seconds", "1"]);
    assert!(text.contains("\"groups\":30") && text.contains("\"kill_settle_s\":"), "{text}");
}
