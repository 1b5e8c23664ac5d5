//! After the load: reads everything back and compares it with the books, then compares the
//! replicas with each other.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use kontiki_client::{Client, Error};
use kontiki_types::RegionId;

use super::books::{Books, PREFIX};
use super::findings::Kind;
use super::{load, tally};
use crate::bytes_text::escaped;

/// How often the stores are asked whether they have hashed.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Reads every key back and judges it.
///
/// # Errors
/// When the cluster cannot be read: then nothing is proved.
pub(crate) async fn data(client: &Client, books: &Books) -> Result<(), Error> {
    let mut rows = HashMap::new();
    let mut scan = client.scan_prefix(PREFIX);
    while let Some(page) = scan.next_page().await? {
        for row in page {
            if rows.insert(row.key.clone(), row.value).is_some() {
                let what = format!("{}: the scan showed it twice", escaped(&row.key));
                books.findings.add(Kind::Doubled, 1, what);
            }
        }
    }
    judge(rows, books);
    Ok(())
}

/// Compares what the store holds with what is known of it.
fn judge(mut rows: HashMap<Bytes, Bytes>, books: &Books) {
    let findings = &books.findings;
    for book in &books.keys {
        let floor = book.history().floor();
        let value = rows.remove(&book.key);
        book.judge(floor, value.as_deref(), Kind::Lost, findings);
    }
    for number in 0..books.counters.len() {
        let key = Books::counter_key(number);
        let value = rows.remove(key.as_bytes());
        let value = value.map(|bytes| load::counter_value(&key, &bytes, books));
        books.counter(number).judge_end(&key, value, findings);
    }
    let races = std::mem::take(&mut *books.races.lock().expect("all racers are done"));
    for race in races {
        let value = rows.remove(race.key.as_bytes());
        tally::judge_race(&race.key, &race.racers, value.as_deref(), findings);
    }
    for key in rows.keys() {
        let what = format!("{}: is there, but nobody wrote it", escaped(key));
        findings.add(Kind::Doubled, 1, what);
    }
}

/// Lets every replica of every region hash its rows at one index, and compares.
///
/// # Errors
/// When the stores do not answer.
pub(crate) async fn replicas_equal(client: &Client, endpoints: &[String]) -> Result<bool, Error> {
    let regions: Vec<RegionId> =
        client.routes().await?.regions.into_iter().map(|route| route.region.id).collect();
    for &region in &regions {
        let index = client.hash_state(region).await?.0;
        let mut hashes = Vec::new();
        for endpoint in endpoints {
            loop {
                let status = client.status_of(endpoint).await?;
                let replica = status
                    .replicas
                    .iter()
                    .find(|replica| replica.region.as_ref().is_some_and(|r| r.id == region.0));
                let hash = replica.and_then(|replica| replica.state_hash);
                match hash {
                    Some(hash) if hash.index == index => {
                        hashes.push(hash.hash);
                        break;
                    }
                    _ => tokio::time::sleep(LOOK_EVERY).await,
                }
            }
        }
        if hashes.iter().any(|hash| *hash != hashes[0]) {
            return Ok(false);
        }
    }
    Ok(!regions.is_empty())
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::chaos::books::RaceBook;
    use crate::chaos::history::{Change, Fate};
    use crate::chaos::tally::RacerEnd;
    use crate::records::Record;

    /// Two keys with two acknowledged puts each, a counter with two swaps, a race that a won.
    fn books() -> Books {
        let record = |key: &str| Record { key: key.to_owned().into(), value: "v".into() };
        let books = Books::new(vec![record("a"), record("b")], 1, Instant::now());
        for book in &books.keys {
            for _ in 0..2 {
                let version = book.history().begin(Change::Put);
                book.history().end(version, Fate::Acked);
            }
        }
        books.counter(0).acked = 2;
        let racers = vec![(b"x".to_vec(), RacerEnd::Won), (b"y".to_vec(), RacerEnd::Unknown)];
        books.note_race(RaceBook { key: format!("{PREFIX}race/0"), racers });
        books
    }

    fn rows(changed: &[(&str, Option<&str>)]) -> HashMap<Bytes, Bytes> {
        let mut rows: HashMap<Bytes, Bytes> = [
            ("chaos/record/a", "2\nv"),
            ("chaos/record/b", "2\nv"),
            ("chaos/counter/0", "2"),
            ("chaos/race/0", "x"),
        ]
        .into_iter()
        .map(|(key, value)| (key.into(), value.into()))
        .collect();
        for &(key, value) in changed {
            match value {
                Some(value) => rows.insert(key.to_owned().into(), value.to_owned().into()),
                None => rows.remove(key.as_bytes()),
            };
        }
        rows
    }

    fn lost_and_doubled(changed: &[(&str, Option<&str>)]) -> (u64, u64) {
        let books = books();
        judge(rows(changed), &books);
        (books.findings.count(Kind::Lost), books.findings.count(Kind::Doubled))
    }

    #[test]
    fn a_store_that_kept_everything_passes() {
        assert_eq!(lost_and_doubled(&[]), (0, 0));
    }

    #[test]
    fn every_kind_of_damage_is_found() {
        assert_eq!(lost_and_doubled(&[("chaos/record/a", None)]), (1, 0), "a lost key");
        assert_eq!(lost_and_doubled(&[("chaos/record/a", Some("1\nv"))]), (1, 0), "an old value");
        assert_eq!(lost_and_doubled(&[("chaos/record/a", Some("2\nw"))]), (0, 1), "a torn value");
        assert_eq!(lost_and_doubled(&[("chaos/record/c", Some("1\nv"))]), (0, 1), "a stray key");
        assert_eq!(lost_and_doubled(&[("chaos/counter/0", Some("1"))]), (1, 0), "a lost swap");
        assert_eq!(lost_and_doubled(&[("chaos/counter/0", Some("3"))]), (0, 1), "a doubled swap");
        assert_eq!(lost_and_doubled(&[("chaos/race/0", None)]), (1, 0), "a lost winner");
        assert_eq!(lost_and_doubled(&[("chaos/race/0", Some("y"))]), (1, 0), "another winner");
    }
}
