//! The flags that name a range of keys, for scan, delete-range and dump.

use std::ffi::OsString;

use bytes::Bytes;
use kontiki_client::{Client, Scan};

use crate::bytes_arg;
use crate::connect::prefix_end;
use crate::exit::Failure;

/// Which keys.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct RangeArgs {
    /// Keys that begin with this
    #[arg(long, env = "KONTIKI_PREFIX", conflicts_with_all = ["start", "end"])]
    prefix: Option<OsString>,
    /// From this key on
    #[arg(long, env = "KONTIKI_START", value_name = "KEY")]
    start: Option<OsString>,
    /// Up to, and without, this key
    #[arg(long, env = "KONTIKI_END", value_name = "KEY")]
    end: Option<OsString>,
}

/// Start and end (excluded); no end means no bound.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Range {
    /// First key.
    pub(crate) start: Bytes,
    /// First key after the range.
    pub(crate) end: Option<Bytes>,
}

impl RangeArgs {
    /// True when no flag narrows the range.
    pub(crate) fn is_everything(&self) -> bool {
        self.prefix.is_none() && self.start.is_none() && self.end.is_none()
    }

    /// The range.
    pub(crate) fn resolve(&self, hex: bool) -> Result<Range, Failure> {
        if let Some(prefix) = &self.prefix {
            let start = bytes_arg::argument("--prefix", prefix, hex)?;
            let end = prefix_end(&start).map(Bytes::from);
            return Ok(Range { start, end });
        }
        let bound = |what, text: &Option<OsString>| {
            text.as_deref().map(|text| bytes_arg::argument(what, text, hex)).transpose()
        };
        let start = bound("--start", &self.start)?.unwrap_or_default();
        let end = bound("--end", &self.end)?;
        if let Some(end) = &end
            && *end <= start
        {
            return Err(Failure::usage("--end is not greater than --start")
                .hint("--start is the lower bound, with --reverse too"));
        }
        Ok(Range { start, end })
    }
}

impl Range {
    /// A scan over it.
    pub(crate) fn scan(&self, client: &Client) -> Scan {
        client.scan(&self.start, self.end.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_in_the_wrong_order_are_refused() {
        let args = |start: &str, end: &str| RangeArgs {
            prefix: None,
            start: Some(start.into()),
            end: Some(end.into()),
        };
        assert!(args("a", "b").resolve(false).is_ok());
        assert!(args("b", "a").resolve(false).is_err());
        assert!(args("a", "a").resolve(false).is_err());
        let hex = args("00ff", "01").resolve(true).unwrap();
        assert_eq!(hex.start, &[0, 255][..]);
    }
}
