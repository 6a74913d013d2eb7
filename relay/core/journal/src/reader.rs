//! A journal as it lies on disk: which segments, lines and times there are. Changes nothing, and needs no lock.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use lanecast_relay_core::{find, EpochKey, Packet};

use crate::contents::{holds, summary};
use crate::directory::{segments, SegmentName};
use crate::index::{Chunk, End, Entry};
use crate::pcapng::{Blocks, Content, PacketBlock};
use crate::records::{Records, Selection};
use crate::repair::{read_end, SegmentFile};
use crate::settings::LineName;

/// A directory of segments.
#[derive(Clone, Debug)]
pub struct JournalReader {
    directory: PathBuf,
    pub(crate) segments: Vec<SegmentName>,
    /// What each of them says of itself, as far as it was asked for.
    ends: Arc<[OnceLock<Option<Arc<End>>>]>,
}

/// Where numbers are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    pub feed: &'a str,
    pub channel: &'a str,
    /// None: any line.
    pub line: Option<&'a str>,
    pub stream: u64,
    /// None: any epoch.
    pub epoch: Option<EpochKey>,
    pub number: u64,
}

impl Wanted<'_> {
    /// Whether it is looked for on this line.
    pub(crate) fn is_on(&self, line: &LineName) -> bool {
        self.feed == line.feed
            && self.channel == line.channel
            && self.line.is_none_or(|name| line.line == name)
    }
}

impl JournalReader {
    pub fn open(directory: &Path) -> io::Result<Self> {
        let segments = segments(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            ends: segments.iter().map(|_| OnceLock::new()).collect(),
            segments,
        })
    }

    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What a closed segment says of itself; for another what is found in it. None: it is gone.
    pub(crate) fn end(&self, name: SegmentName) -> io::Result<Option<End>> {
        if let Some(end) = read_end(&self.directory, name)? {
            return Ok(Some(end));
        }
        Ok(self.segment(name)?.map(|file| file.as_if_closed()))
    }

    pub(crate) fn segment(&self, name: SegmentName) -> io::Result<Option<SegmentFile>> {
        match SegmentFile::open(&self.directory, name) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None), // too old by now
            other => other.map(Some),
        }
    }

    /// The same, read once for as long as this reader lives: what is being written has grown since.
    pub(crate) fn known_end(&self, at: usize) -> io::Result<Option<Arc<End>>> {
        let (Some(name), Some(known)) = (self.segments.get(at), self.ends.get(at)) else {
            return Ok(None);
        };
        if let Some(end) = known.get() {
            return Ok(end.clone());
        }
        let end = self.end(*name)?.map(Arc::new);
        Ok(known.get_or_init(|| end).clone())
    }

    /// The earliest and the latest receive time; none: nothing was received.
    pub fn times(&self) -> io::Result<Option<(u64, u64)>> {
        let mut times: Option<(u64, u64)> = None;
        for run in self.runs() {
            let begin_ns = self.segments.get(run.start).map(|name| name.first_ns);
            let end_ns = self.known_end(run.end - 1)?.map(|end| end.last_ns);
            for time_ns in begin_ns.into_iter().chain(end_ns) {
                let (first_ns, last_ns) = times.unwrap_or((time_ns, time_ns));
                times = Some((first_ns.min(time_ns), last_ns.max(time_ns)));
            }
        }
        Ok(times)
    }

    /// Segments between which the clock was not seen to be set back: their names are in the order of time.
    fn runs(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut start = 0;
        let later = self.segments.iter().skip(1).map(Some).chain([None]);
        let pairs = self.segments.iter().zip(later).enumerate();
        pairs.filter_map(move |(at, (name, next))| {
            let goes_on = next.is_some_and(|next| next.first_ns >= name.first_ns);
            (!goes_on).then(|| std::mem::replace(&mut start, at + 1)..at + 1)
        })
    }

    /// The first segment to look into for what was received from `from_ns` on.
    pub(crate) fn segment_at(&self, from_ns: u64) -> io::Result<usize> {
        let mut last = 0;
        for run in self.runs() {
            let names = self.segments.get(run.clone()).unwrap_or_default();
            let begun = names.partition_point(|name| name.first_ns <= from_ns);
            // It stands in the segment that began last before, or at the end of the one before that.
            last = (run.start + begun).saturating_sub(2);
            let reaches = |end: Arc<End>| end.last_ns >= from_ns;
            if begun < names.len() || self.known_end(run.end - 1)?.is_some_and(reaches) {
                break;
            }
        }
        Ok(last)
    }

    /// Every line that the journal has, in the order of their names.
    pub fn lines(&self) -> io::Result<Vec<LineName>> {
        let mut lines = BTreeSet::new();
        for at in 0..self.segments.len() {
            for line in self.known_end(at)?.iter().flat_map(|end| &end.lines) {
                if !lines.contains(&line.name) {
                    lines.insert(line.name.clone());
                }
            }
        }
        Ok(lines.into_iter().collect())
    }

    /// The datagrams of the lines that are wanted in the order of their receive times, from `from_ns` on.
    pub fn records(&self, selection: Selection, from_ns: u64) -> io::Result<Records> {
        Records::open(self.clone(), selection, from_ns)
    }
}

impl SegmentFile {
    /// What would be told of it if it got no more.
    pub(crate) fn as_if_closed(&self) -> End {
        match &self.contents.end {
            Some(end) => end.clone(),
            None => {
                let torn = self.file_bytes.saturating_sub(self.whole_bytes);
                let ending = crate::index::Ending::Recovered;
                self.contents.end(ending, self.whole_bytes, torn)
            }
        }
    }

    pub(crate) fn is_wanted(&self, interface: u32, wanted: Wanted) -> bool {
        let line = self.contents.lines.get(interface as usize);
        line.is_some_and(|line| wanted.is_on(line))
    }

    /// Whether an entry may have the number, or an earlier one of its epoch.
    pub(crate) fn is_stream(&self, entry: &Entry, wanted: Wanted) -> bool {
        entry.stream == wanted.stream
            && wanted.epoch.is_none_or(|epoch| entry.epoch == epoch)
            && self.is_wanted(entry.interface, wanted)
    }
}

/// Whether the chunk may have the number.
pub(crate) fn has_number(file: &SegmentFile, chunk: &Chunk, wanted: Wanted) -> bool {
    let spans = |entry: &&Entry| (entry.low..=entry.high).contains(&wanted.number);
    let mut entries = chunk.entries.iter().filter(spans);
    entries.any(|entry| file.is_stream(entry, wanted))
}

/// Call `found` with each packet that holds the number, and where it lies in its datagram.
pub(crate) fn each_with_number(
    file: &SegmentFile,
    bytes: &[u8],
    wanted: Wanted,
    mut found: impl FnMut(&PacketBlock, &[u8]),
) {
    each_copy(file, bytes, wanted, |_, block, packet| {
        let own = block.datagram.get(packet.start..packet.end);
        found(block, own.unwrap_or_default());
    });
}

/// The same, with where its block begins in `bytes`, and the packet as its protocol reads it.
pub(crate) fn each_copy(
    file: &SegmentFile,
    bytes: &[u8],
    wanted: Wanted,
    mut found: impl FnMut(usize, &PacketBlock, &Packet),
) {
    for block in Blocks::new(bytes) {
        let start = block.start;
        let Content::Packet(block) = block.content else {
            continue;
        };
        if !file.is_wanted(block.interface, wanted) {
            continue;
        }
        let line = file.contents.lines.get(block.interface as usize);
        let Some(protocol) = line.and_then(|line| find(&line.protocol)) else {
            continue;
        };
        let Ok(packets) = protocol.packets(block.datagram) else {
            continue;
        };
        for packet in packets.iter() {
            let stream = packet.stream == wanted.stream;
            let epoch = wanted.epoch.is_none_or(|epoch| packet.epoch == epoch);
            if stream && epoch && holds(protocol, packet, wanted.number) {
                found(start, &block, packet);
            }
        }
    }
}

/// The streams of several segments made one list.
pub(crate) fn merged<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<Entry> {
    summary(entries).unwrap_or_default()
}
