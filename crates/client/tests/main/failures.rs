//! What calls do when stores redirect, forget, break, refuse and keep silent.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kontiki_client::{Error, Op, Options};
use kontiki_types::{Epoch, RegionId};

use crate::fake::{Fake, Mood, group};

/// Options under which silence is noticed quickly.
fn hasty() -> Options {
    Options { attempt_timeout: Duration::from_millis(100), ..Options::default() }
}

#[tokio::test]
async fn a_redirection_is_followed_at_once_and_remembered() {
    let fake = Fake::start().await;
    let client = fake.client().await;
    fake.lock().groups[0].leader = 3;
    client.put("k", "1").await.unwrap();
    client.put("k", "2").await.unwrap();
    assert_eq!(fake.lock().asked, [1, 3, 3]);
    let ids: Vec<_> = fake.lock().arrived.iter().map(|&(_, _, id)| id).collect();
    assert_eq!(ids, [1, 2]);
}

#[tokio::test]
async fn without_a_leader_calls_wait_until_there_is_one() {
    let fake = Fake::start().await;
    let client = fake.client().await;
    fake.lock().groups[0].leader = 0;
    let write = tokio::spawn({
        let client = client.clone();
        async move { client.put("k", "1").await }
    });
    fake.until(|truth| truth.stores_asked().len() == 3).await;
    fake.lock().groups[0].leader = 2;
    write.await.unwrap().unwrap();
    assert_eq!(fake.lock().effect_count, 1);
}

#[tokio::test]
async fn a_split_is_learned_and_calls_go_on() {
    let fake = Fake::start().await;
    let client = fake.client().await;
    client.put("a", "1").await.unwrap();
    {
        let mut truth = fake.lock();
        let mut groups = vec![group(1, ("", Some("m")), 1), group(2, ("m", None), 2)];
        for group in &mut groups {
            group.region.epoch = Epoch { conf_ver: 1, version: 2 };
        }
        assert_eq!(groups[1].region.id, RegionId(2));
        truth.groups = groups;
    }
    client.put("b", "1").await.unwrap();
    client.put("z", "1").await.unwrap();
    assert_eq!(fake.lock().rows.len(), 3);
}

#[tokio::test]
async fn a_broken_stream_is_opened_anew_and_the_write_takes_effect_once() {
    let fake = Fake::start().await;
    let client = fake.client().await;
    client.put("warm", "up").await.unwrap();
    fake.lock().moods[0] = Mood::BreakOnce;
    let swap = client.put_if_absent("k", "1").await.unwrap();
    assert!(swap.applied, "the retry saw its own first try: {swap:?}");
    let truth = fake.lock();
    let ids: Vec<_> = truth.arrived.iter().filter(|(.., id)| *id == 2).collect();
    assert_eq!(ids.len(), 2, "executed, then asked again: {ids:?}");
    assert_eq!(ids.iter().map(|(_, client, _)| client).collect::<BTreeSet<_>>().len(), 1);
    assert_eq!(truth.effect_count, 2);
}

#[tokio::test]
async fn a_busy_store_is_asked_again_later() {
    let fake = Fake::start().await;
    let client = fake.client().await;
    fake.lock().moods[0] = Mood::Busy(5);
    client.put("k", "1").await.unwrap();
    assert_eq!(fake.lock().effect_count, 1);
}

#[tokio::test]
async fn a_silent_leader_is_left_for_the_new_one_under_the_same_id() {
    let fake = Fake::start().await;
    let client = fake.client_with(hasty()).await;
    client.put("warm", "up").await.unwrap();
    {
        let mut truth = fake.lock();
        truth.moods[0] = Mood::Silent;
        truth.groups[0].leader = 2;
    }
    let begin = Instant::now();
    client.put("k", "1").await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_eq!(client.get("k").await.unwrap().as_deref(), Some(&b"1"[..]));
    let truth = fake.lock();
    assert_eq!(truth.effect_count, 2);
    assert_eq!(truth.arrived.last().map(|&(store, _, id)| (store, id)), Some((2, 2)));
}

#[tokio::test]
async fn at_the_deadline_a_write_may_have_happened_and_a_read_has_not() {
    let fake = Fake::start().await;
    let client = fake.client_with(hasty()).await.with_deadline(Duration::from_millis(150));
    fake.lock().moods = vec![Mood::Silent; 3];
    let begin = Instant::now();
    let error = client.put("k", "1").await.unwrap_err();
    assert!(matches!(error, Error::Deadline { outcome_unknown: true, .. }), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    let error = client.get("k").await.unwrap_err();
    assert!(matches!(error, Error::Deadline { outcome_unknown: false, .. }), "{error}");
    fake.lock().moods = vec![Mood::Serve; 3];
    client.with_deadline(Duration::from_secs(10)).put("k", "2").await.unwrap();
}

#[tokio::test]
async fn a_full_client_refuses_by_name_once_the_deadline_has_passed() {
    let fake = Fake::start().await;
    let client = fake.client_with(Options { calls_max: 2, ..Options::default() }).await;
    fake.lock().moods = vec![Mood::Silent; 3];
    let op = || Op::Get { key: Bytes::from("k") };
    let first = client.submit(op()).await.unwrap();
    let second = client.submit(op()).await.unwrap();
    let hasty = client.with_deadline(Duration::from_millis(20));
    let error = hasty.get("k").await.unwrap_err();
    assert!(matches!(error, Error::Busy { .. }), "{error}");
    fake.lock().moods = vec![Mood::Serve; 3];
    first.await.unwrap();
    second.await.unwrap();
    hasty.with_deadline(Duration::from_secs(10)).get("k").await.unwrap();
}

#[tokio::test]
async fn dropping_the_last_handle_ends_streams_and_calls() {
    let fake = Fake::start().await;
    let client = fake.client().await;
    client.put("k", "1").await.unwrap();
    fake.until(|truth| truth.stream_count == 1).await;
    fake.lock().moods = vec![Mood::Silent; 3];
    let op = Op::Delete { key: Bytes::from("k") };
    let pending = client.submit(op).await.unwrap();
    drop(client);
    let error = pending.await.unwrap_err();
    assert!(error == Error::Closed && error.outcome_unknown(), "{error}");
    fake.until(|truth| truth.stream_count == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_survive_a_storm_of_breaks_and_moves() {
    const TASKS: u64 = 8;
    const ROUNDS: u64 = 40;
    let fake = Fake::start().await;
    let client = fake.client_with(hasty()).await;
    let count = |task: u64| {
        let client = client.clone();
        async move {
            let mut current: Option<Bytes> = None;
            for round in 0..ROUNDS {
                let next = Some(Bytes::from(round.to_string()));
                let key = format!("counter/{task}");
                let swap = client.compare_and_put(key, current, next.clone()).await.unwrap();
                assert!(swap.applied, "round {round} of {task}: {swap:?}");
                current = next;
            }
        }
    };
    let tasks: Vec<_> = (0..TASKS).map(|task| tokio::spawn(count(task))).collect();
    let mut turn: u64 = 0;
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        turn += 1;
        {
            let mut truth = fake.lock();
            truth.groups[0].leader = turn % 3 + 1;
            truth.moods = vec![Mood::Serve; 3];
            let mood = if turn.is_multiple_of(5) { Mood::Silent } else { Mood::BreakOnce };
            truth.moods[usize::try_from(turn % 3).unwrap()] = mood;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(fake.lock().effect_count, TASKS * ROUNDS);
}
