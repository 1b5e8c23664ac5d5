//! Reads of a region: points, pages in both directions, and what is refused.

use bytes::Bytes;
use kontiki_engine::Direction;
use kontiki_types::{Epoch, KeyRange};

use crate::tests::builders::{FIRST_EPOCH, entry, header, key, payload, put, range, value};
use crate::tests::node::Node;
use crate::{ReadError, Scan, Tuning};

fn node() -> Node {
    let mut node = Node::new(Tuning::default());
    let rows = ["a", "b", "c", "d", "e"].map(|name| put(name, name)).to_vec();
    node.apply(&[entry(1, vec![payload(header(1, 1), 1, rows)])], 1).unwrap();
    node
}

fn scan(range: KeyRange, direction: Direction, rows_max: usize) -> Scan {
    Scan { range, direction, rows_max, bytes_max: 0, keys_only: false }
}

/// All keys of a scan, page by page.
fn pages(node: &Node, mut request: Scan) -> Vec<Vec<Bytes>> {
    let mut pages = Vec::new();
    loop {
        let page = node.read(|reader| reader.scan(FIRST_EPOCH, &request)).unwrap();
        pages.push(page.rows.into_iter().map(|row| row.key).collect());
        match (page.resume, request.direction) {
            (None, _) => return pages,
            (Some(next), Direction::Forward) => request.range.start = next,
            (Some(next), Direction::Backward) => request.range.end = Some(next),
        }
    }
}

#[test]
fn a_get_finds_what_is_there() {
    let node = node();
    assert_eq!(node.read(|r| r.get(FIRST_EPOCH, &key("a"))).unwrap(), Some(value("a")));
    assert_eq!(node.read(|r| r.get(FIRST_EPOCH, &key("z"))).unwrap(), None);
    let keys = [key("c"), key("z"), key("a")];
    let found = node.read(|r| r.multi_get(FIRST_EPOCH, &keys)).unwrap();
    assert_eq!(found, [Some(value("c")), None, Some(value("a"))]);
}

#[test]
fn pages_join_without_gap_or_double_in_both_directions() {
    let node = node();
    let forward = pages(&node, scan(range("a", Some("e")), Direction::Forward, 3));
    assert_eq!(forward, [vec![key("a"), key("b"), key("c")], vec![key("d")]]);
    let backward = pages(&node, scan(range("b", None), Direction::Backward, 3));
    assert_eq!(backward, [vec![key("e"), key("d"), key("c")], vec![key("b")]]);
}

#[test]
fn a_byte_limit_gives_at_least_one_row() {
    let node = node();
    let mut request = scan(range("a", None), Direction::Forward, 0);
    request.bytes_max = 1;
    assert_eq!(pages(&node, request).concat().len(), 5);
}

#[test]
fn another_epoch_and_keys_outside_the_raw_space_are_refused() {
    let node = node();
    let stale = Epoch { conf_ver: 0, version: 1 };
    let error = node.read(|r| r.get(stale, &key("a"))).unwrap_err();
    assert!(matches!(error, ReadError::EpochNotMatch { .. }), "{error}");
    let error = node.read(|r| r.get(FIRST_EPOCH, b"?")).unwrap_err();
    assert!(matches!(error, ReadError::Invalid), "{error}");
}
