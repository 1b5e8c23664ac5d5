//! What each call does when nothing goes wrong.

use bytes::Bytes;
use kontiki_client::{Batch, Client, Error, Keyspace, Op, Options, Reply, Row, Swap};

use crate::fake::{Fake, group};

#[expect(clippy::unnecessary_wraps, reason = "the calls take and give options")]
fn some(text: &'static str) -> Option<Bytes> {
    Some(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn any_bytes_are_keys_and_an_empty_value_is_not_a_missing_one() {
    let fake = Fake::start().await;
    let client = fake.client().await;
    let keys = [&b""[..], b"\0", b"\xff\xff", b"\r\n", "schlüssel".as_bytes(), &[7; 4096]];
    for key in keys {
        assert_eq!(client.get(key).await, Ok(None));
        client.put(key, key.to_vec()).await.unwrap();
        assert_eq!(client.get(key).await.unwrap().as_deref(), Some(key));
    }
    client.put("empty", "").await.unwrap();
    assert_eq!(client.get("empty").await, Ok(some("")));
    client.delete("empty").await.unwrap();
    assert_eq!(client.get("empty").await, Ok(None));
    let values = client.multi_get([&b"\xff\xff"[..], b"missing", b"\0"]).await.unwrap();
    let expected = [Some(&b"\xff\xff"[..]), None, Some(b"\0")];
    assert_eq!(values.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn conditional_writes_tell_what_was_there() {
    let client = Fake::start().await.client().await;
    let swap = |applied, previous| Ok(Swap { applied, previous });
    assert_eq!(client.put_if_absent("k", "1").await, swap(true, None));
    assert_eq!(client.put_if_absent("k", "2").await, swap(false, some("1")));
    assert_eq!(client.compare_and_put("k", some("2"), some("3")).await, swap(false, some("1")));
    assert_eq!(client.compare_and_put("k", some("1"), some("3")).await, swap(true, some("1")));
    assert_eq!(client.compare_and_put("k", None, some("4")).await, swap(false, some("3")));
    assert_eq!(client.compare_and_put("k", some("3"), None).await, swap(true, some("3")));
    assert_eq!(client.get("k").await, Ok(None));
}

#[tokio::test]
async fn keyspaces_do_not_see_each_other() {
    let client = Fake::start().await.client().await;
    let other = client.with_keyspace(Keyspace::new(7).unwrap());
    client.put("k", "here").await.unwrap();
    other.put("k", "there").await.unwrap();
    assert_eq!(client.get("k").await, Ok(some("here")));
    let rows = other.scan("", None).collect().await.unwrap();
    assert_eq!(rows, [Row { key: Bytes::from("k"), value: Bytes::from("there") }]);
    assert_eq!(client.delete_range("", None).await, Ok(1));
    assert_eq!(other.get("k").await, Ok(some("there")));
}

/// Three regions with different leaders, pages of two rows.
async fn three_regions() -> (Fake, Client) {
    let fake = Fake::start().await;
    {
        let mut truth = fake.lock();
        truth.groups = vec![
            group(1, ("", Some("d")), 1),
            group(2, ("d", Some("h")), 2),
            group(3, ("h", None), 3),
        ];
        truth.page_rows = 2;
    }
    let client = fake.client().await;
    (fake, client)
}

fn keys(rows: &[Row]) -> String {
    rows.iter().map(|row| String::from_utf8(row.key.to_vec()).unwrap()).collect()
}

#[tokio::test]
async fn scans_cross_pages_and_regions_in_both_directions() {
    let (fake, client) = three_regions().await;
    let mut batch = Batch::new();
    for key in "abcdefghijk".chars() {
        batch.push(key.to_string(), some("v"));
    }
    client.write_each(batch).await.unwrap();
    assert_eq!(fake.lock().stores_asked().len(), 3);
    let all = client.scan("", None);
    assert_eq!(keys(&all.collect().await.unwrap()), "abcdefghijk");
    assert_eq!(keys(&client.scan("", None).reverse().collect().await.unwrap()), "kjihgfedcba");
    let part = || client.scan("b", Some(b"j"));
    assert_eq!(keys(&part().collect().await.unwrap()), "bcdefghi");
    assert_eq!(keys(&part().reverse().limit(5).collect().await.unwrap()), "ihgfe");
    assert_eq!(keys(&part().limit(3).collect().await.unwrap()), "bcd");
    assert_eq!(keys(&part().limit(0).collect().await.unwrap()), "");
    assert_eq!(keys(&client.scan_prefix("g").collect().await.unwrap()), "g");
    assert_eq!(keys(&client.scan("x", Some(b"c")).collect().await.unwrap()), "");
    let rows = part().keys_only().collect().await.unwrap();
    assert!(rows.iter().all(|row| row.value.is_empty()), "{rows:?}");
    let mut scan = client.scan("", None).page_rows(1);
    let page = scan.next_page().await.unwrap().unwrap();
    assert_eq!(keys(&page), "a");

    assert_eq!(client.delete_range("c", Some(b"i")).await, Ok(6));
    assert_eq!(keys(&client.scan("", None).collect().await.unwrap()), "abijk");
}

#[tokio::test]
async fn a_batch_is_atomic_or_refused() {
    let (fake, client) = three_regions().await;
    client.batch(Batch::new().put("a", "1").delete("b").put("a", "2")).await.unwrap();
    assert_eq!(client.get("a").await, Ok(some("2")));
    let before = fake.lock().effect_count;
    let error = client.batch(Batch::new().put("a", "3").put("z", "3")).await.unwrap_err();
    assert!(matches!(error, Error::NotAtomic { .. }), "{error}");
    assert!(!error.outcome_unknown());
    assert_eq!(fake.lock().effect_count, before);
    let too_large = Batch::new().put("a", vec![0; 1 << 20]).put("b", vec![0; 1 << 20]);
    let too_large = too_large.put("c", vec![0; 1 << 20]).put("d", vec![0; 1 << 20]);
    let error = client.batch(too_large).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn many_calls_of_one_task_share_batches_within_their_limits() {
    let fake = Fake::start().await;
    let client = fake.client().await;
    let mut pending = Vec::new();
    for n in 0..2000_u32 {
        let (key, value) = (Bytes::from(format!("{n:05}")), Bytes::from(vec![1; 10_000]));
        pending.push(client.submit(Op::Put { key, value }).await.unwrap());
    }
    for pending in pending {
        assert_eq!(pending.await, Ok(Reply::Done));
    }
    let truth = fake.lock();
    assert_eq!((truth.rows.len(), truth.effect_count), (2000, 2000));
    let most = truth.batch_sizes.iter().max().unwrap();
    assert!(*most <= kontiki_client::batcher::BATCH_WRITES_MAX, "{most}");
    let count = truth.batch_sizes.len();
    assert!(count < 200, "2000 puts took {count} batches");
}

#[tokio::test]
async fn endpoints_are_checked_and_need_a_store_behind_them() {
    for bad in ["", "host name:1", "http://", "host", "http://host"] {
        let error = Client::connect([bad], Options::default()).await.err().unwrap();
        assert!(matches!(error, Error::Invalid { .. }), "{bad:?}: {error}");
    }
    let none: [&str; 0] = [];
    let error = Client::connect(none, Options::default()).await.err().unwrap();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let options = Options { deadline: std::time::Duration::from_millis(100), ..Options::default() };
    let error = Client::connect([address], options).await.err().unwrap();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
}
