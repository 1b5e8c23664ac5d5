//! `kontiki chaos` finds nothing, whatever engine and faults.

use std::path::Path;

use kontiki_e2e::run;
use serde_json::Value;

use crate::temporary;

#[test]
fn chaos_finds_nothing_lost_doubled_or_stale() {
    let dir = temporary();
    let json = dir.path().join("chaos.json");
    let json = json.to_str().expect("text");
    for (engine, pause) in [("fjall", None), ("memory", None), ("fjall", Some("2s"))] {
        let mut args = vec!["chaos", "--kill", "1s", "--for", "8s"];
        args.extend(["--engine", engine, "--json", json]);
        args.extend(pause.iter().flat_map(|pause| ["--pause", pause]));
        let words = "/usr/share/dict/words";
        if Path::new(words).exists() {
            args.extend(["--input", words]);
        }
        let output = run(&args, b"");
        let report = std::fs::read_to_string(json).unwrap_or_default();
        assert_eq!(output.code, 0, "{engine}: {report}\n{output:?}");
        let report: Value = serde_json::from_str(&report).expect("a report");
        for zero in ["lost", "doubled", "stale_reads"] {
            assert_eq!(report[zero], 0, "{engine}: {report}");
        }
        assert_eq!(report["replicas_equal"], true, "{engine}: {report}");
        let faults = report["kills"].as_u64().zip(report["pauses"].as_u64());
        assert!(faults.is_some_and(|(kills, pauses)| kills + pauses >= 3), "{engine}: {report}");
        assert!(report["acked"].as_u64() > Some(100), "{engine}: {report}");
    }
}
