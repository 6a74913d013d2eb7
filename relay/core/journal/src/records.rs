//! Datagrams in the order of their times, all lines merged.
//!
//! A journal is almost sorted: each line is, and the packet thread takes turns among them. So datagrams go into a heap as
//! they were recorded, and the earliest leaves it once nothing that follows can be earlier, as the timeline says.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::net::SocketAddrV4;
use std::sync::Arc;

use crate::directory::SegmentName;
use crate::index::Chunk;
use crate::locate::Position;
use crate::pcapng::{Blocks, Content, DATAGRAM_OFFSET};
use crate::reader::JournalReader;
use crate::repair::SegmentFile;
use crate::settings::LineName;
use crate::timeline::Timeline;

/// Which lines are wanted; an empty list: all.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    pub feed: Option<String>,
    pub channels: Vec<String>,
    pub lines: Vec<String>,
}

impl Selection {
    #[must_use]
    pub fn has(&self, line: &LineName) -> bool {
        let any = |names: &[String], name: &String| names.is_empty() || names.contains(name);
        self.feed.as_ref().is_none_or(|feed| *feed == line.feed)
            && any(&self.channels, &line.channel)
            && any(&self.lines, &line.line)
    }
}

/// One datagram of the journal.
#[derive(Clone, Debug)]
pub struct Record {
    /// `CLOCK_REALTIME`, nanoseconds.
    pub received_ns: u64,
    /// The same, without the steps back that the clock made meanwhile: never before that of an earlier record.
    pub at_ns: u64,
    pub source: SocketAddrV4,
    pub line: Arc<LineName>,
    pub position: Position,
    chunk: Arc<Vec<u8>>,
    start: usize,
    end: usize,
}

impl Record {
    #[must_use]
    pub fn datagram(&self) -> &[u8] {
        self.chunk.get(self.start..self.end).unwrap_or_default()
    }
}

/// Ordered by time, and as they were recorded where times are equal.
struct Waiting {
    order: u64,
    record: Record,
}

impl Waiting {
    fn key(&self) -> (u64, u64) {
        (self.record.at_ns, self.order)
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Waiting {}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

/// A segment that is open, with its lines as they are wanted, and which lines of the timeline they are.
struct Open {
    file: SegmentFile,
    sequence: u64,
    lines: Vec<Option<(Arc<LineName>, usize)>>,
}

/// An iterator over datagrams; see [`JournalReader::records`].
pub struct Records {
    reader: JournalReader,
    selection: Selection,
    from_ns: u64,
    /// Segments of the reader that are not yet open, the next one first.
    segments: VecDeque<SegmentName>,
    /// Chunks to come, with the segment that they are in.
    chunks: VecDeque<(Arc<Open>, Chunk)>,
    /// A chunk that reaches `from_ns` was seen, so every later one belongs to what is wanted.
    begun: bool,
    timeline: Timeline,
    heap: BinaryHeap<Reverse<Waiting>>,
    order: u64,
}

impl Records {
    pub(crate) fn open(
        reader: JournalReader,
        selection: Selection,
        from_ns: u64,
    ) -> io::Result<Self> {
        let first = reader.segment_at(from_ns)?;
        Ok(Self {
            segments: reader.segments.iter().skip(first).copied().collect(),
            reader,
            selection,
            from_ns,
            chunks: VecDeque::new(),
            begun: false,
            timeline: Timeline::default(),
            heap: BinaryHeap::new(),
            order: 0,
        })
    }

    /// Open segments until there is a chunk. Returns whether there is one.
    fn find_chunk(&mut self) -> io::Result<bool> {
        while self.chunks.is_empty() {
            let Some(name) = self.segments.pop_front() else {
                return Ok(false);
            };
            if let Some(file) = self.reader.segment(name)? {
                self.add_chunks(name.sequence, file);
            }
        }
        Ok(true)
    }

    fn add_chunks(&mut self, sequence: u64, mut file: SegmentFile) {
        let (selection, timeline) = (&self.selection, &mut self.timeline);
        let line = |line: &LineName| {
            let wanted = selection.has(line);
            wanted.then(|| (Arc::new(line.clone()), timeline.line(line)))
        };
        let lines: Vec<_> = file.contents.lines.iter().map(line).collect();
        let mut chunks = std::mem::take(&mut file.contents.chunks);
        let wanted = |(interface, _): &(u32, u64)| {
            let line = lines.get(*interface as usize);
            line.is_some_and(Option::is_some)
        };
        chunks.retain(|chunk| {
            self.begun |= chunk.last_ns >= self.from_ns;
            self.begun && chunk.lines.iter().any(wanted)
        });
        let open = Arc::new(Open {
            file,
            sequence,
            lines,
        });
        let chunks = chunks.into_iter().map(|chunk| (Arc::clone(&open), chunk));
        self.chunks.extend(chunks);
    }

    /// Read the next chunk. Returns whether there was one.
    fn read_chunk(&mut self) -> io::Result<bool> {
        if !self.find_chunk()? {
            return Ok(false);
        }
        let Some((open, chunk)) = self.chunks.pop_front() else {
            return Ok(false);
        };
        let mut bytes = Vec::new();
        open.file.read(&chunk, &mut bytes)?;
        let bytes = Arc::new(bytes);
        for block in Blocks::new(&bytes) {
            let Content::Packet(packet) = block.content else {
                continue;
            };
            let line = open.lines.get(packet.interface as usize);
            let Some((line, place)) = line.and_then(Option::as_ref) else {
                continue;
            };
            let at_ns = self.timeline.place(*place, packet.received_ns);
            if at_ns < self.from_ns {
                continue;
            }
            let start = block.start + DATAGRAM_OFFSET;
            let record = Record {
                received_ns: packet.received_ns,
                at_ns,
                source: packet.source,
                line: Arc::clone(line),
                position: Position {
                    segment: open.sequence,
                    offset: chunk.offset.saturating_add(block.start as u64),
                },
                chunk: Arc::clone(&bytes),
                start,
                end: start + packet.datagram.len(),
            };
            self.order += 1;
            let order = self.order;
            self.heap.push(Reverse(Waiting { order, record }));
        }
        Ok(true)
    }
}

impl Iterator for Records {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let settled_ns = self.timeline.settled_ns();
            let first = self.heap.peek();
            if first.is_some_and(|waiting| waiting.0.record.at_ns <= settled_ns) {
                return self.heap.pop().map(|waiting| Ok(waiting.0.record));
            }
            match self.read_chunk() {
                Ok(true) => {}
                Ok(false) => return self.heap.pop().map(|waiting| Ok(waiting.0.record)),
                Err(error) => {
                    self.chunks.clear();
                    self.segments.clear();
                    self.heap.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}
