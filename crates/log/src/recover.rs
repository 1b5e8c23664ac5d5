//! Opening: what is in the directory, what of it counts, and where the log goes on.
//!
//! 1. Read every header; refuse a newer format before anything is changed.
//! 2. Find the frames of every segment ([`crate::scan`]).
//! 3. Decide what counts ([`Verdict`]): frames through the watermark must all be there, and what is
//!    missing is damage; behind it, the first frame that is not whole ends the log.
//! 4. Replay what counts ([`crate::replay`]).
//! 5. Erase what does not count, sync what does, and only then hand out anything.

use crate::broken::{self, Broken};
use crate::frame::{HEAD_BYTES, Head, Marks};
use crate::header::{HEADER_BYTES, Header, Unusable};
use crate::name::{self, Kind};
use crate::prepare::{Prepared, prepare_segment, sync_dir};
use crate::replay::{Replay, Replayed};
use crate::scan::{Found, Scanned, read_upto};
use crate::segments::{Active, Sealed, Segments};
use crate::{Config, Disk, Error, File, SegmentRequest, Tail};

/// Everything in the directory.
struct Directory<F> {
    /// Segments with a usable header, by number.
    segments: Vec<Scanned<F>>,
    /// Numbers of segments without one.
    unreadable: Vec<u64>,
}

/// Which frames count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Verdict {
    /// Frames before this one count.
    cut: u64,
    /// Newest frame known durable.
    watermark: u64,
    /// Newest frame that counts and was found.
    last: u64,
    /// Oldest segment that the log needs.
    oldest: u64,
    /// First frame of that segment.
    start: u64,
    /// A segment behind the last frame is missing, was cut, or cannot be read: what it held is
    /// unknown.
    blind: bool,
    /// The last frame ends its segment.
    ended: bool,
}

/// An opened log, before it becomes one.
pub(crate) struct Opened<F> {
    pub(crate) segments: Segments<F>,
    pub(crate) replayed: Replayed,
    pub(crate) tail: Tail,
    /// Sequence number of the next frame.
    pub(crate) next: u64,
    /// What the next frame says.
    pub(crate) oldest: u64,
    /// What the next frame says.
    pub(crate) start: u64,
}

/// Opens or begins the log of this directory.
pub(crate) fn open<D: Disk>(disk: &D, config: &Config) -> Result<Opened<D::File>, Error> {
    let names = disk.list().map_err(|e| Error::io("list", "", e))?;
    let headers = read_headers(disk, &names)?;
    // From here on the directory may be changed.
    for name in names.iter().filter(|name| name::parse(name) == Kind::Unfinished) {
        disk.remove(name).map_err(|e| Error::io("remove", name, e))?;
    }
    sync_dir(disk)?;
    let mut buffer = Vec::new();
    let mut directory = scan_all(disk, headers, &mut buffer)?;
    let verdict = judge(&directory)?;
    let replayed = replay(&directory, &verdict, &mut buffer)?;
    let torn = settle(&mut directory, &verdict)?;
    let tail = torn.map_or(Tail::Whole, |frame| Tail::Torn { frame });
    // After damage one number is left out, so that every later open sees it too.
    let next = verdict.last.max(verdict.watermark) + 1 + u64::from(verdict.blind);
    let segments = place(disk, config, directory, &verdict, next)?;
    // Without a frame that says so, the log needs every segment there is.
    let oldest = if verdict.last > 0 { verdict.oldest } else { segments.oldest() };
    Ok(Opened { segments, replayed, tail, next, oldest, start: verdict.start })
}

/// Headers of all segments, by number; changes nothing.
fn read_headers<D: Disk>(disk: &D, names: &[String]) -> Result<Vec<(u64, Option<Header>)>, Error> {
    let mut headers = Vec::new();
    for name in names {
        let Kind::Segment(number) = name::parse(name) else { continue };
        let file = disk.open(name).map_err(|e| Error::io("open", name, e))?;
        let mut page = vec![0; usize::try_from(HEADER_BYTES).expect("a page fits in memory")];
        file.read_at(0, &mut page).map_err(|e| Error::io("read", name, e))?;
        let header = match Header::from_page(&page, number) {
            Ok(header) => Some(header),
            Err(Unusable::Damaged) => None,
            Err(Unusable::Newer(found)) => {
                let (name, supported) = (name.clone(), crate::header::VERSION);
                return Err(Error::Version { name, found, supported });
            }
        };
        headers.push((number, header));
    }
    headers.sort_by_key(|(number, _)| *number);
    Ok(headers)
}

fn scan_all<D: Disk>(
    disk: &D,
    headers: Vec<(u64, Option<Header>)>,
    buffer: &mut Vec<u8>,
) -> Result<Directory<D::File>, Error> {
    let mut directory = Directory { segments: Vec::new(), unreadable: Vec::new() };
    for (number, header) in headers {
        let Some(header) = header else {
            directory.unreadable.push(number);
            continue;
        };
        let name = name::segment(number);
        let file = disk.open(&name).map_err(|e| Error::io("open", &name, e))?;
        directory.segments.push(Scanned::scan(header, file, buffer)?);
    }
    Ok(directory)
}

impl<F: File> Directory<F> {
    /// All frames with their segments, in order of segment and offset.
    fn frames(&self) -> impl Iterator<Item = (&Scanned<F>, Found)> + '_ {
        self.segments
            .iter()
            .flat_map(|segment| segment.frames.iter().map(move |&frame| (segment, frame)))
    }

    /// Frames may have stood behind the last one, which stands in the segment `last`, in a segment
    /// that is missing, was cut, or cannot be read.
    fn is_blind(&self, last: u64, marks: Marks) -> bool {
        let unreadable = self.unreadable.iter().any(|&n| n >= marks.oldest && n > last);
        let cut = |segment: &Scanned<F>| {
            !segment.is_full_length() && segment.header.number >= last.max(marks.oldest)
        };
        let there = self.segments.iter().any(|segment| segment.header.number == marks.next);
        unreadable || self.segments.iter().any(cut) || (marks.next > 0 && !there)
    }
}

/// Decides which frames count.
fn judge<F: File>(directory: &Directory<F>) -> Result<Verdict, Error> {
    let mut before = 0;
    for (segment, frame) in directory.frames() {
        let found = frame.marks.seq;
        if found <= before {
            let name = name::segment(segment.header.number);
            return Err(Error::Mixed { name, found, last: before });
        }
        before = found;
    }
    let by_frames = directory.frames().map(|(_, frame)| frame.marks.synced).max().unwrap_or(0);
    let by_headers = directory.segments.iter().map(|s| s.header.synced).max().unwrap_or(0);
    let watermark = if broken::is(Broken::Watermark) { 0 } else { by_frames.max(by_headers) };

    let mut cut = None;
    let mut kept: Option<(u64, Found)> = None;
    for (segment, frame) in directory.frames() {
        let seq = frame.marks.seq;
        let expected = kept.map_or(1, |(_, last)| last.marks.seq + 1).max(watermark + 1);
        if seq > watermark && (seq > expected || !frame.whole) {
            cut = Some(expected.min(seq));
            break;
        }
        kept = Some((segment.header.number, frame));
    }
    let last_segment = kept.map_or(0, |(number, _)| number);
    let marks = kept.map_or(Marks { start: 1, ..Marks::default() }, |(_, frame)| frame.marks);
    Ok(Verdict {
        cut: cut.unwrap_or(u64::MAX),
        watermark,
        last: marks.seq,
        oldest: marks.oldest,
        start: marks.start,
        blind: directory.is_blind(last_segment, marks),
        ended: marks.next > 0,
    })
}

/// Replays every frame that counts, and tells the gaps between them.
fn replay<F: File>(
    directory: &Directory<F>,
    verdict: &Verdict,
    buffer: &mut Vec<u8>,
) -> Result<Replayed, Error> {
    let counts = verdict.start..verdict.cut;
    let mut replay = Replay::new(verdict.start);
    let mut expected = verdict.start;
    for segment in &directory.segments {
        let header = segment.header;
        let mut frames = segment.frames.iter().filter(|f| counts.contains(&f.marks.seq)).peekable();
        if header.number < verdict.oldest || frames.peek().is_none() {
            continue;
        }
        read_upto(&segment.file, header, segment.end(), buffer)?;
        for frame in frames {
            let seq = frame.marks.seq;
            if seq > expected {
                replay.gap(expected, seq - 1);
            }
            expected = seq + 1;
            let at = usize::try_from(frame.offset).expect("a segment fits in memory");
            let bytes = buffer.get(at..).unwrap_or_default();
            match Head::read(bytes, bytes.len() as u64, header.salt(), frame.offset) {
                Some(head) => replay.frame(header.salt(), buffer, frame.offset, &head),
                // Read twice, and the medium changed its mind in between.
                None => replay.gap(seq, seq),
            }
        }
    }
    let missing = if verdict.blind { verdict.last + 1 } else { 0 }.max(verdict.watermark);
    if missing >= expected {
        replay.gap(expected, missing);
    }
    Ok(replay.finish())
}

/// Erases the heads of frames that do not count, so that they never follow a frame to come, and
/// syncs what counts: after a crash of the process only, it may stand in the cache alone. Returns
/// the first frame dropped.
fn settle<F: File>(directory: &mut Directory<F>, verdict: &Verdict) -> Result<Option<u64>, Error> {
    let mut torn = None;
    for segment in &mut directory.segments {
        let name = name::segment(segment.header.number);
        let dropped = segment.frames.iter().filter(|frame| frame.marks.seq >= verdict.cut);
        for frame in dropped {
            torn = torn.or(Some(verdict.cut));
            if broken::is(Broken::Erase) {
                continue;
            }
            let zeroes = [0; HEAD_BYTES];
            segment
                .file
                .write_at(frame.offset, &zeroes)
                .map_err(|e| Error::io("write", &name, e))?;
        }
        segment.frames.retain(|frame| frame.marks.seq < verdict.cut);
        segment.file.sync().map_err(|e| Error::io("sync", &name, e))?;
    }
    Ok(torn)
}

/// Gives every segment its part: needed, written next, ready, or free.
fn place<D: Disk>(
    disk: &D,
    config: &Config,
    directory: Directory<D::File>,
    verdict: &Verdict,
    next: u64,
) -> Result<Segments<D::File>, Error> {
    let highest_used = directory
        .segments
        .iter()
        .filter(|segment| !segment.frames.is_empty())
        .map(|segment| segment.header.number)
        .max();
    let no_further = verdict.ended || verdict.blind || verdict.watermark > verdict.last;
    let mut segments = Segments::new();
    for number in directory.unreadable {
        segments.note_number(number);
        segments.seal(number, Sealed { header: None, first: None });
    }
    for segment in directory.segments {
        let number = segment.header.number;
        segments.note_number(number);
        let first = segment.frames.first().map(|frame| frame.marks.seq);
        let usable = segment.is_full_length();
        let (header, end) = (segment.header, segment.end());
        if number < verdict.oldest {
            segments.free(header, 0);
        } else if Some(number) == highest_used && usable && !no_further {
            segments.activate(Active { header, file: segment.file, offset: end, first });
        } else if first.is_some() {
            segments.seal(number, Sealed { header: Some(header), first });
        } else if usable && highest_used.is_none_or(|used| number > used) {
            segments.add_ready(Prepared { header, file: segment.file });
        } else {
            segments.free(header, 0);
        }
    }
    segments.free_unreadable_below(verdict.oldest);
    if segments.active().is_none() {
        begin(disk, config, &mut segments, next - 1)?;
    }
    Ok(segments)
}

/// Puts a ready segment into use, or makes the first one.
fn begin<D: Disk>(
    disk: &D,
    config: &Config,
    segments: &mut Segments<D::File>,
    synced: u64,
) -> Result<(), Error> {
    if segments.ready_count() == 0 {
        let header = segments.next_header(config, synced);
        let request = SegmentRequest { header, recycle: None };
        let prepared = prepare_segment(disk, &request)?;
        segments.add_ready(prepared);
    }
    let rotated = segments.rotate();
    assert!(rotated, "a segment was just made ready");
    Ok(())
}
