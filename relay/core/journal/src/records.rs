//! Datagrams in the order of their receive times, all lines merged.
//!
//! A journal is almost sorted: each line is, and the packet thread takes turns among them. So chunks go into a heap, and
//! the earliest datagram leaves it once no chunk that follows can have an earlier one, which their index says.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io;
use std::net::SocketAddrV4;
use std::sync::Arc;

use crate::index::Chunk;
use crate::pcapng::{Blocks, Content, DATAGRAM_OFFSET};
use crate::reader::JournalReader;
use crate::repair::SegmentFile;
use crate::settings::LineName;

/// How many chunks ahead an earlier datagram is looked for, so that a step of the clock costs order and not memory.
const AHEAD: usize = 256;

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
    pub source: SocketAddrV4,
    pub line: Arc<LineName>,
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
        (self.record.received_ns, self.order)
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

/// A segment that is open, with its lines as they are wanted.
struct Open {
    file: SegmentFile,
    lines: Vec<Option<Arc<LineName>>>,
}

/// An iterator over datagrams; see [`JournalReader::records`].
pub struct Records {
    reader: JournalReader,
    selection: Selection,
    from_ns: u64,
    /// The next segment of the reader that is not yet open.
    next_segment: usize,
    /// Chunks to come, with the segment that they are in.
    ahead: VecDeque<(Arc<Open>, Chunk)>,
    heap: BinaryHeap<Reverse<Waiting>>,
    order: u64,
    /// The earliest time of the chunks to come.
    ahead_ns: Option<u64>,
}

impl Records {
    pub(crate) fn open(
        reader: JournalReader,
        selection: Selection,
        from_ns: u64,
    ) -> io::Result<Self> {
        // What came at that time stands in the segment that began last before, or at the end of the one before that.
        let after = reader
            .segments
            .partition_point(|name| name.first_ns <= from_ns);
        let mut records = Self {
            reader,
            selection,
            from_ns,
            next_segment: after.saturating_sub(2),
            ahead: VecDeque::new(),
            heap: BinaryHeap::new(),
            order: 0,
            ahead_ns: None,
        };
        records.look_ahead()?;
        Ok(records)
    }

    /// Have the index of what follows at hand.
    fn look_ahead(&mut self) -> io::Result<()> {
        while self.ahead.len() < AHEAD {
            let Some(name) = self.reader.segments.get(self.next_segment).copied() else {
                break;
            };
            self.next_segment += 1;
            let Some(mut file) = self.reader.segment(name)? else {
                continue;
            };
            let lines = file.contents.lines.iter();
            let lines = lines.map(|line| self.selection.has(line).then(|| Arc::new(line.clone())));
            let lines: Vec<_> = lines.collect();
            let mut chunks = std::mem::take(&mut file.contents.chunks);
            let wanted = |(interface, _): &(u32, u64)| {
                let line = lines.get(*interface as usize);
                line.is_some_and(Option::is_some)
            };
            chunks.retain(|chunk| chunk.last_ns >= self.from_ns && chunk.lines.iter().any(wanted));
            let open = Arc::new(Open { file, lines });
            let chunks = chunks.into_iter().map(|chunk| (Arc::clone(&open), chunk));
            self.ahead.extend(chunks);
        }
        let ahead = self.ahead.iter().take(AHEAD);
        self.ahead_ns = ahead.map(|(_, chunk)| chunk.first_ns).min();
        Ok(())
    }

    fn read_chunk(&mut self) -> io::Result<()> {
        let Some((open, chunk)) = self.ahead.pop_front() else {
            return Ok(());
        };
        let mut bytes = Vec::new();
        open.file.read(&chunk, &mut bytes)?;
        let bytes = Arc::new(bytes);
        for block in Blocks::new(&bytes) {
            let Content::Packet(packet) = block.content else {
                continue;
            };
            let line = open.lines.get(packet.interface as usize);
            let Some(line) = line.and_then(Option::as_ref) else {
                continue;
            };
            if packet.received_ns < self.from_ns {
                continue;
            }
            let start = block.start + DATAGRAM_OFFSET;
            let record = Record {
                received_ns: packet.received_ns,
                source: packet.source,
                line: Arc::clone(line),
                chunk: Arc::clone(&bytes),
                start,
                end: start + packet.datagram.len(),
            };
            self.order += 1;
            let order = self.order;
            self.heap.push(Reverse(Waiting { order, record }));
        }
        self.look_ahead()
    }
}

impl Iterator for Records {
    type Item = io::Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let first_ns = self.heap.peek().map(|waiting| waiting.0.record.received_ns);
            match (first_ns, self.ahead_ns) {
                (Some(first_ns), Some(ahead_ns)) if first_ns > ahead_ns => {}
                (Some(_), _) => return self.heap.pop().map(|waiting| Ok(waiting.0.record)),
                (None, None) => return None,
                (None, Some(_)) => {}
            }
            if let Err(error) = self.read_chunk() {
                self.ahead.clear();
                self.ahead_ns = None;
                self.next_segment = usize::MAX;
                return Some(Err(error));
            }
        }
    }
}
