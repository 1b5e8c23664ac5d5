//! The decision as a table: failure, whether it may have happened, tries at once so far, decision.

use super::*;

const FRESH: History = History {
    failed_count: 1,
    immediate_count: 0,
    afresh_count: 0,
    may_have_happened: false,
    deadline: Moment(10_000_000),
};

fn name(decision: Decision) -> &'static str {
    match decision {
        Decision::Now => "now",
        Decision::NowAfresh => "afresh",
        Decision::After(_) => "after",
        Decision::Fail => "fail",
        Decision::FailUnknown => "unknown",
    }
}

#[test]
fn each_failure_has_its_answer() {
    use Failure as F;
    let busy = || F::Busy { reason: "log".into(), retry_after_ms: 0 };
    // failure; then the decision when it surely did not happen, when it may have happened, and
    // when it surely did not happen after IMMEDIATE_MAX tries without a pause.
    let table = [
        (F::NotLeader { hinted: true }, ["now", "now", "after"]),
        (F::NotLeader { hinted: false }, ["after", "after", "after"]),
        (F::RegionChanged { learned: true }, ["now", "now", "after"]),
        (F::RegionChanged { learned: false }, ["after", "after", "after"]),
        (F::NoRoute, ["after", "after", "after"]),
        (busy(), ["after", "after", "after"]),
        (F::Unavailable("x".into()), ["after", "after", "after"]),
        (F::SessionFull, ["after", "after", "after"]),
        (F::Forgotten, ["afresh", "unknown", "afresh"]),
        (F::Rejected("x".into()), ["fail", "unknown", "fail"]),
        (F::NotSent, ["now", "now", "after"]),
        (F::ConnectionLost, ["now", "now", "after"]),
        (F::NoAnswer, ["now", "now", "after"]),
        (F::Unknown("x".into()), ["now", "now", "after"]),
    ];
    for (failure, expected) in table {
        let histories = [
            FRESH,
            History { may_have_happened: true, ..FRESH },
            History { immediate_count: IMMEDIATE_MAX, ..FRESH },
        ];
        let decided = histories.map(|h| name(decide(&failure, h, Moment::ZERO, 0)));
        assert_eq!(decided, expected, "{failure}");
    }
}

#[test]
fn a_store_that_forgets_every_session_is_given_up() {
    let decided = |afresh_count| {
        decide(&Failure::Forgotten, History { afresh_count, ..FRESH }, Moment::ZERO, 0)
    };
    assert_eq!(decided(AFRESH_MAX - 1), Decision::NowAfresh);
    assert_eq!(decided(AFRESH_MAX), Decision::Fail);
}

#[test]
fn an_election_is_asked_about_often_and_a_full_queue_seldom() {
    let history = History { failed_count: 99, immediate_count: IMMEDIATE_MAX, ..FRESH };
    let pause = |failure| match decide(&failure, history, Moment::ZERO, 12_345) {
        Decision::After(pause) => pause,
        other => panic!("{failure}: {other:?}"),
    };
    let about_the_leader =
        [Failure::NotLeader { hinted: false }, Failure::NotSent, Failure::ConnectionLost];
    for failure in about_the_leader {
        assert!(pause(failure.clone()) <= ELECTION_PAUSE_MAX, "{failure}");
    }
    assert!(pause(Failure::Busy { reason: "log".into(), retry_after_ms: 0 }) > ELECTION_PAUSE_MAX);
}

#[test]
fn nothing_is_tried_beyond_the_deadline_and_the_news_is_honest() {
    let hinted = Failure::NotLeader { hinted: true };
    let lost = History { may_have_happened: true, ..FRESH };
    let at = |moment, history| name(decide(&hinted, history, moment, 0));
    assert_eq!(at(FRESH.deadline - Duration::from_micros(1), FRESH), "now");
    assert_eq!(at(FRESH.deadline, FRESH), "fail");
    assert_eq!(at(FRESH.deadline, lost), "unknown");
    let pause_too_long = FRESH.deadline - Duration::from_millis(1);
    let unhinted = Failure::NotLeader { hinted: false };
    assert_eq!(decide(&unhinted, FRESH, pause_too_long, 0), Decision::Fail);
    assert_eq!(decide(&unhinted, lost, pause_too_long, 0), Decision::FailUnknown);
}

#[test]
fn a_busy_store_is_left_alone_as_long_as_it_asks() {
    let busy = Failure::Busy { reason: "log".into(), retry_after_ms: 700 };
    let decision = decide(&busy, FRESH, Moment::ZERO, 0);
    assert_eq!(decision, Decision::After(Duration::from_millis(700)));
}
