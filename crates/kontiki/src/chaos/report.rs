//! What a chaos run ends with: the numbers, the verdict, in words and in JSON.

use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde::Serialize;

use super::books::Books;
use super::faults::Done;
use super::findings::Kind;
use crate::output::count_text;

/// The numbers of a run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Report {
    /// Stores killed.
    pub(crate) kills: u64,
    /// Stores paused.
    pub(crate) pauses: u64,
    /// Writes acknowledged.
    pub(crate) acked: u64,
    /// Acknowledged writes that are gone.
    pub(crate) lost: u64,
    /// Effects that nobody asked for, or more often than asked.
    pub(crate) doubled: u64,
    /// Reads that showed what was over when they began.
    pub(crate) stale_reads: u64,
    /// All replicas have the same hash at the same index.
    pub(crate) replicas_equal: bool,
    /// Longest time without an acknowledged write.
    pub(crate) longest_outage_ms: u64,
    /// Stores that ended by themselves.
    pub(crate) crashes: u64,
    /// Reads answered.
    pub(crate) reads: u64,
    /// Writes without an answer.
    pub(crate) unanswered: u64,
    /// Seed of the dice.
    pub(crate) seed: u64,
    /// Why the end could not be verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unverified: Option<String>,
    /// Nothing is wrong.
    pub(crate) passed: bool,
}

impl Report {
    /// The numbers of these books. `replicas_equal`: or why it could not be verified.
    pub(crate) fn new(
        books: &Books,
        done: Done,
        seed: u64,
        replicas_equal: Result<bool, String>,
    ) -> Self {
        let count = |kind| books.findings.count(kind);
        let outage = books.clock.longest().as_millis();
        let mut report = Self {
            kills: done.kills,
            pauses: done.pauses,
            acked: books.clock.count(),
            lost: count(Kind::Lost),
            doubled: count(Kind::Doubled),
            stale_reads: count(Kind::StaleRead),
            replicas_equal: replicas_equal == Ok(true),
            longest_outage_ms: u64::try_from(outage).unwrap_or(u64::MAX),
            crashes: count(Kind::Crash),
            reads: books.reads.load(Relaxed),
            unanswered: books.unanswered.load(Relaxed),
            seed,
            unverified: replicas_equal.err(),
            passed: false,
        };
        report.passed = report.is_clean();
        report
    }

    /// A run that acknowledged nothing proves nothing, so it does not pass either.
    fn is_clean(&self) -> bool {
        let wrong = self.lost + self.doubled + self.stale_reads + self.crashes;
        wrong == 0 && self.replicas_equal && self.unverified.is_none() && self.acked > 0
    }

    /// The report in words.
    pub(crate) fn text(&self, books: &Books, took: Duration) -> String {
        let mut text = format!(
            "{} kills and {} pauses in {} s; {} writes acknowledged, {} without answer; {} reads\n",
            self.kills,
            self.pauses,
            took.as_secs(),
            count_text(self.acked),
            count_text(self.unanswered),
            count_text(self.reads)
        );
        let _ = writeln!(
            text,
            "longest time without an acknowledgement: {} ms",
            self.longest_outage_ms
        );
        let _ = writeln!(
            text,
            "lost {}, doubled {}, stale reads {}, crashes {}, replicas {}",
            self.lost,
            self.doubled,
            self.stale_reads,
            self.crashes,
            if self.replicas_equal { "equal" } else { "NOT proved equal" }
        );
        if let Some(why) = &self.unverified {
            let _ = writeln!(text, "could not be verified: {why}");
        }
        for outage in books.outages() {
            let _ = writeln!(text, "  no acknowledgement from {outage}");
        }
        for finding in books.findings.described() {
            let _ = writeln!(text, "  {finding}");
        }
        text.push_str(if self.passed { "PASSED\n" } else { "FAILED\n" });
        text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn report(kind: Option<Kind>, acked: bool, equal: Result<bool, String>) -> Report {
        let books = Books::new(Vec::new(), 0, Instant::now());
        if let Some(kind) = kind {
            books.findings.add(kind, 1, "something".to_owned());
        }
        if acked {
            books.clock.ack();
        }
        Report::new(&books, Done::default(), 1, equal)
    }

    #[test]
    fn only_a_clean_run_passes() {
        assert!(report(None, true, Ok(true)).passed);
        for kind in [Kind::Lost, Kind::Doubled, Kind::StaleRead, Kind::Crash] {
            assert!(!report(Some(kind), true, Ok(true)).passed, "{kind:?}");
        }
        assert!(!report(None, true, Ok(false)).passed, "replicas differ");
        assert!(!report(None, true, Err("no leader".to_owned())).passed, "not verified");
        assert!(!report(None, false, Ok(true)).passed, "nothing was acknowledged");
    }

    #[test]
    fn the_json_has_the_promised_fields() {
        let json = serde_json::to_value(report(Some(Kind::Lost), true, Ok(true))).unwrap();
        for field in [
            "kills",
            "pauses",
            "acked",
            "lost",
            "doubled",
            "stale_reads",
            "replicas_equal",
            "longest_outage_ms",
        ] {
            assert!(json.get(field).is_some(), "{field}");
        }
        assert_eq!(json["lost"], 1);
    }
}
