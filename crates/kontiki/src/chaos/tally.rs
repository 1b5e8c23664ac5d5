//! Counters and races: what is known of them, and whether their end may be.
//!
//! A counter is raised by compare-and-put loops of several writers: every acknowledged swap counts
//! one, a swap without answer counts one at most. A race is a key that several racers put if
//! absent at once: exactly one wins. Pure.

use super::findings::{Findings, Kind};

/// What the writers of one counter know together.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Counter {
    /// Swaps that were acknowledged.
    pub(crate) acked: u64,
    /// Swaps without an answer.
    pub(crate) unanswered: u64,
}

impl Counter {
    /// Judges a read that began when `floor` swaps were acknowledged.
    pub(crate) fn judge_read(name: &str, floor: u64, seen: Option<u64>, findings: &Findings) {
        if seen.unwrap_or(0) < floor {
            let what = format!("{name}: read {seen:?} after {floor} acknowledged swaps");
            findings.add(Kind::StaleRead, 1, what);
        }
    }

    /// Judges the value when nothing is under way any more.
    pub(crate) fn judge_end(self, name: &str, value: Option<u64>, findings: &Findings) {
        let value = value.unwrap_or(0);
        let Self { acked, unanswered } = self;
        if value < acked {
            let what = format!("{name}: is {value}, but {acked} swaps were acknowledged");
            findings.add(Kind::Lost, acked - value, what);
        }
        let most = acked + unanswered;
        if value > most {
            let what = format!(
                "{name}: is {value}, but only {acked} swaps were acknowledged and {unanswered} \
                 have no answer"
            );
            findings.add(Kind::Doubled, value - most, what);
        }
    }
}

/// What one racer was told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum RacerEnd {
    /// Its value was stored.
    Won,
    /// This value was there before.
    Lost(Option<Vec<u8>>),
    /// No answer.
    Unknown,
    /// Refused: it certainly did not take effect.
    Refused,
}

/// Judges a race: what each racer tried to store and was told, and the value at the end.
pub(crate) fn judge_race(
    name: &str,
    racers: &[(Vec<u8>, RacerEnd)],
    value: Option<&[u8]>,
    findings: &Findings,
) {
    let winners: Vec<&[u8]> =
        racers.iter().filter(|(_, end)| *end == RacerEnd::Won).map(|(own, _)| &own[..]).collect();
    if winners.len() > 1 {
        let what = format!("{name}: {} racers were told that they won", winners.len());
        findings.add(Kind::Doubled, winners.len() as u64 - 1, what);
        return;
    }
    let show =
        |bytes: Option<&[u8]>| bytes.map_or("nothing".to_owned(), crate::bytes_text::escaped);
    match (winners.first(), value) {
        (Some(winner), _) if value != Some(winner) => {
            let what = format!("{name}: {} won, but it holds {}", show(Some(winner)), show(value));
            findings.add(Kind::Lost, 1, what);
            return;
        }
        (None, Some(value)) => judge_silent_winner(name, racers, value, findings),
        _ => {}
    }
    // Whoever lost was shown the winner, and that must be the one who stays.
    for (own, end) in racers {
        if let RacerEnd::Lost(shown) = end
            && shown.as_deref() != value
        {
            let what = format!(
                "{name}: {} lost to {}, but it holds {}",
                show(Some(own)),
                show(shown.as_deref()),
                show(value)
            );
            findings.add(Kind::Lost, 1, what);
        }
    }
}

/// Nobody was told that it won: the value must be that of a racer without answer.
fn judge_silent_winner(
    name: &str,
    racers: &[(Vec<u8>, RacerEnd)],
    value: &[u8],
    findings: &Findings,
) {
    let holds = crate::bytes_text::escaped(value);
    match racers.iter().find(|(own, _)| own == value) {
        Some((_, RacerEnd::Unknown)) => {}
        Some((_, end)) => {
            let what = format!("{name}: holds {holds}, whose racer was told {end:?}");
            findings.add(Kind::Doubled, 1, what);
        }
        None => {
            findings.add(Kind::Doubled, 1, format!("{name}: holds {holds}, which nobody wrote"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RacerEnd::{Lost, Refused, Unknown, Won};

    fn counter(acked: u64, unanswered: u64, value: Option<u64>) -> (u64, u64) {
        let findings = Findings::default();
        Counter { acked, unanswered }.judge_end("c", value, &findings);
        (findings.count(Kind::Lost), findings.count(Kind::Doubled))
    }

    #[test]
    fn a_counter_equals_its_acknowledged_swaps_plus_at_most_the_unanswered() {
        assert_eq!(counter(5, 0, Some(5)), (0, 0));
        assert_eq!(counter(5, 2, Some(7)), (0, 0));
        assert_eq!(counter(0, 0, None), (0, 0));
        assert_eq!(counter(5, 0, Some(3)), (2, 0), "lost");
        assert_eq!(counter(5, 0, None), (5, 0), "lost whole");
        assert_eq!(counter(5, 1, Some(8)), (0, 2), "doubled");
    }

    #[test]
    fn a_counter_read_below_what_was_acknowledged_is_stale() {
        let findings = Findings::default();
        Counter::judge_read("c", 4, Some(4), &findings);
        assert_eq!(findings.count(Kind::StaleRead), 0);
        Counter::judge_read("c", 4, Some(3), &findings);
        Counter::judge_read("c", 4, None, &findings);
        assert_eq!(findings.count(Kind::StaleRead), 2);
    }

    fn race(ends: &[RacerEnd], value: Option<&[u8]>) -> (u64, u64) {
        let findings = Findings::default();
        let racers: Vec<_> =
            (b'a'..).zip(ends).map(|(name, end)| (vec![name], end.clone())).collect();
        judge_race("race", &racers, value, &findings);
        (findings.count(Kind::Lost), findings.count(Kind::Doubled))
    }

    fn lost_to(name: &[u8]) -> RacerEnd {
        Lost(Some(name.to_vec()))
    }

    #[test]
    fn exactly_one_wins_and_stays() {
        assert_eq!(race(&[Won, lost_to(b"a"), Unknown, Refused], Some(b"a")), (0, 0));
        assert_eq!(race(&[Unknown, lost_to(b"a")], Some(b"a")), (0, 0), "silent winner");
        assert_eq!(race(&[Unknown, Unknown], None), (0, 0), "nobody");
    }

    #[test]
    fn two_winners_a_vanished_winner_and_a_secret_winner_are_reported() {
        assert_eq!(race(&[Won, Won, Won], Some(b"a")), (0, 2));
        assert_eq!(race(&[Won, lost_to(b"a")], None), (1, 0));
        assert_eq!(race(&[Won, Unknown], Some(b"b")), (1, 0));
        assert_eq!(race(&[lost_to(b"a"), Unknown], Some(b"a")), (0, 1), "told that it lost");
        assert_eq!(race(&[Refused], Some(b"a")), (0, 1), "told that it was refused");
        assert_eq!(race(&[Unknown], Some(b"z")), (0, 1), "nobody's value");
        assert_eq!(race(&[Unknown, lost_to(b"a")], None), (1, 0), "seen, then gone");
        assert_eq!(race(&[Won, lost_to(b"c"), Unknown], Some(b"a")), (1, 0), "shown another");
    }
}
