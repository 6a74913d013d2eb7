//! A journal as it lies on disk: which segments, lines and times there are. Changes nothing, and needs no lock.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use lanecast_relay_core::{find, EpochKey};

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

impl JournalReader {
    pub fn open(directory: &Path) -> io::Result<Self> {
        Ok(Self {
            directory: directory.to_owned(),
            segments: segments(directory)?,
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

    /// When the first segment's first datagram was received, and the latest of the last segment; none: nothing was.
    pub fn times(&self) -> io::Result<Option<(u64, u64)>> {
        let (Some(first), Some(last)) = (self.segments.first(), self.segments.last()) else {
            return Ok(None);
        };
        let end = self.end(*last)?;
        let last_ns = end.map_or(last.first_ns, |end| end.last_ns);
        Ok(Some((first.first_ns, last_ns.max(last.first_ns))))
    }

    /// Every line that the journal has, in the order of their names.
    pub fn lines(&self) -> io::Result<Vec<LineName>> {
        let mut lines = BTreeMap::new();
        for name in &self.segments {
            for line in self.end(*name)?.into_iter().flat_map(|end| end.lines) {
                lines.insert(line.name, ());
            }
        }
        Ok(lines.into_keys().collect())
    }

    /// When a number was received first and last, over the lines: in the newest segments that have it. `CLOCK_REALTIME`.
    pub fn locate(&self, wanted: Wanted) -> io::Result<Option<(u64, u64)>> {
        let mut times: Option<(u64, u64)> = None;
        for name in self.segments.iter().rev() {
            let mut found = false;
            if let Some(file) = self.segment(*name)? {
                let mut bytes = Vec::new();
                for chunk in &file.contents.chunks {
                    if !has_number(&file, chunk, wanted) {
                        continue;
                    }
                    file.read(chunk, &mut bytes)?;
                    each_with_number(&file, &bytes, wanted, |block, _| {
                        let at = block.received_ns;
                        let (first, last) = times.unwrap_or((at, at));
                        times = Some((first.min(at), last.max(at)));
                        found = true;
                    });
                }
            }
            // The other line's copy may stand in the segment before.
            if !found && times.is_some() {
                break;
            }
        }
        Ok(times)
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
        line.is_some_and(|line| {
            line.feed == wanted.feed
                && line.channel == wanted.channel
                && wanted.line.is_none_or(|name| line.line == name)
        })
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
    for block in Blocks::new(bytes) {
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
                let own = block.datagram.get(packet.start..packet.end);
                found(&block, own.unwrap_or_default());
            }
        }
    }
}

/// The streams of several segments made one list.
pub(crate) fn merged<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<Entry> {
    summary(entries).unwrap_or_default()
}
