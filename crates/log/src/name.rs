//! File names of the log: the number of a segment in 16 hexadecimal digits.
//!
//! `.log` is a segment with a durable header; `.new` is one being made, worth nothing after a
//! crash. Files of any other name are not ours and are left alone.

/// What a file of the directory is to the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A segment of this number.
    Segment(u64),
    /// A segment that was never finished.
    Unfinished,
    /// Not ours.
    Foreign,
}

/// Name of a finished segment.
pub(crate) fn segment(number: u64) -> String {
    format!("{number:016x}.log")
}

/// Name of a segment being made.
pub(crate) fn unfinished(number: u64) -> String {
    format!("{number:016x}.new")
}

/// What a name says.
pub(crate) fn parse(name: &str) -> Kind {
    let Some((stem, suffix)) = name.split_once('.') else { return Kind::Foreign };
    let Ok(number) = u64::from_str_radix(stem, 16) else { return Kind::Foreign };
    match suffix {
        "log" if name == segment(number) => Kind::Segment(number),
        "new" if name == unfinished(number) => Kind::Unfinished,
        _ => Kind::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_others_left_alone() {
        assert_eq!(parse(&segment(255)), Kind::Segment(255));
        assert_eq!(parse(&unfinished(u64::MAX)), Kind::Unfinished);
        for foreign in
            ["LOCK", "ff.log", "00000000000000FF.log", "00000000000000ff.log.bak", "x.new"]
        {
            assert_eq!(parse(foreign), Kind::Foreign, "{foreign}");
        }
    }
}
