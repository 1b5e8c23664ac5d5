//! Reads of a region: points, pages in both directions, and what is refused.

use bytes::Bytes;
use kontiki_engine::Direction;
use kontiki_types::{Epoch, KeyRange, Region};

use crate::read::scan as scan_region;
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

/// What a scan finds in the part of the rows that a region of "b" up to "d" owns.
fn scan_part(node: &Node, request: &Scan) -> Result<(Vec<Bytes>, Option<Bytes>), ReadError> {
    let whole = node.replica.region().clone();
    let region = Region { range: range("b", Some("d")), ..whole };
    let page = scan_region(&*node.engine, &region, 0, request)?;
    Ok((page.rows.into_iter().map(|row| row.key).collect(), page.resume))
}

/// RheaKV read the key on the border through the wrong region when it scanned backward.
#[test]
fn a_scan_ends_at_the_border_and_tells_where_to_go_on() {
    let node = node();
    let forward = |range| scan_part(&node, &scan(range, Direction::Forward, 0)).unwrap();
    let owned = || vec![key("b"), key("c")];
    assert_eq!(forward(range("b", Some("e"))), (owned(), Some(key("d"))));
    assert_eq!(forward(range("b", None)), (owned(), Some(key("d"))));
    assert_eq!(forward(range("b", Some("d"))), (owned(), None));
    assert_eq!(forward(range("c", Some("c1"))), (vec![key("c")], None));

    let backward = |range| scan_part(&node, &scan(range, Direction::Backward, 0)).unwrap();
    let reversed = || vec![key("c"), key("b")];
    assert_eq!(backward(range("a", Some("d"))), (reversed(), Some(key("b"))));
    assert_eq!(backward(range("b", Some("d"))), (reversed(), None));
    assert_eq!(backward(range("a", Some("b1"))), (vec![key("b")], Some(key("b"))));
}

#[test]
fn a_scan_that_begins_elsewhere_is_refused() {
    let node = node();
    let refused = |range, direction| {
        let result = scan_part(&node, &scan(range, direction, 0));
        assert!(matches!(result, Err(ReadError::KeyNotInRegion { .. })), "{result:?}");
    };
    refused(range("a", Some("c")), Direction::Forward);
    refused(range("d", None), Direction::Forward);
    // The last key before the end belongs to the next region, or to the one before.
    refused(range("b", Some("e")), Direction::Backward);
    refused(range("b", None), Direction::Backward);
    refused(range("a", Some("b")), Direction::Backward);
}

#[test]
fn a_limit_met_exactly_at_the_end_leaves_nothing_to_go_on_with() {
    let node = node();
    let exact = pages(&node, scan(range("a", None), Direction::Forward, 5));
    assert_eq!(exact.len(), 1);
    let exact = pages(&node, scan(range("a", None), Direction::Backward, 5));
    assert_eq!(exact.len(), 1);
}
