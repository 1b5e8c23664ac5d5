//! Ranges that reach over several regions: what one region can do of them, and what is left. Pure.

use bytes::{BufMut, Bytes, BytesMut};
use kontiki_types::KeyRange;

use crate::ask::Direction;

/// The part of `range` that lies in `region`, which holds the range's first key in this direction.
pub(crate) fn part(range: &KeyRange, region: &KeyRange, direction: Direction) -> KeyRange {
    match direction {
        Direction::Forward => KeyRange {
            start: range.start.clone(),
            end: least_end(range.end.as_ref(), region.end.as_ref()),
        },
        Direction::Reverse => KeyRange {
            start: range.start.clone().max(region.start.clone()),
            end: range.end.clone(),
        },
    }
}

/// What is left of `range` once `part` is done; nothing when that was all.
pub(crate) fn beyond(range: &KeyRange, part: &KeyRange, direction: Direction) -> Option<KeyRange> {
    let rest = match direction {
        Direction::Forward => KeyRange { start: part.end.clone()?, end: range.end.clone() },
        Direction::Reverse => {
            KeyRange { start: range.start.clone(), end: Some(part.start.clone()) }
        }
    };
    (!rest.is_empty()).then_some(rest)
}

/// What is left of `range` beyond a row that was read; nothing when no key can be left.
pub(crate) fn beyond_row(
    range: &KeyRange,
    row_key: &Bytes,
    direction: Direction,
) -> Option<KeyRange> {
    let rest = match direction {
        Direction::Forward => KeyRange { start: successor(row_key), end: range.end.clone() },
        Direction::Reverse => KeyRange { start: range.start.clone(), end: Some(row_key.clone()) },
    };
    (!rest.is_empty()).then_some(rest)
}

/// The least key greater than `key`.
fn successor(key: &[u8]) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.put_slice(key);
    next.put_u8(0);
    next.freeze()
}

fn least_end(a: Option<&Bytes>, b: Option<&Bytes>) -> Option<Bytes> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b).clone()),
        (a, b) => a.or(b).cloned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> KeyRange {
        let (start, end) = text.split_once("..").unwrap();
        KeyRange::new(start.to_owned(), (!end.is_empty()).then(|| Bytes::from(end.to_owned())))
    }

    #[test]
    fn a_range_is_cut_at_the_borders_of_the_region_and_nothing_is_lost() {
        use Direction::{Forward, Reverse};
        // asked, region, direction, part, rest
        for (asked, region, direction, expected, rest) in [
            ("b..y", "a..m", Forward, "b..m", Some("m..y")),
            ("b..y", "a..y", Forward, "b..y", None),
            ("b..y", "a..z", Forward, "b..y", None),
            ("b..", "a..m", Forward, "b..m", Some("m..")),
            ("b..", "a..", Forward, "b..", None),
            ("b..y", "m..z", Reverse, "m..y", Some("b..m")),
            ("b..y", "b..z", Reverse, "b..y", None),
            ("b..y", "a..z", Reverse, "b..y", None),
            ("b..", "m..", Reverse, "m..", Some("b..m")),
        ] {
            let asked = range(asked);
            let cut = part(&asked, &range(region), direction);
            assert_eq!(cut, range(expected), "{asked:?} in {region} {direction:?}");
            assert_eq!(beyond(&asked, &cut, direction), rest.map(range), "{asked:?} {region}");
        }
    }

    #[test]
    fn a_scan_goes_on_right_after_its_last_row() {
        let rest = |key: &'static [u8], direction| {
            beyond_row(&range("b..d"), &Bytes::from_static(key), direction)
        };
        assert_eq!(rest(b"c", Direction::Forward), Some(range("c\0..d")));
        assert_eq!(rest(b"c", Direction::Reverse), Some(range("b..c")));
        assert_eq!(rest(b"b", Direction::Reverse), None);
        assert_eq!(rest(b"c\xff", Direction::Forward).unwrap().start, &b"c\xff\0"[..]);
    }
}
