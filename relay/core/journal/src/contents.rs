//! What a segment holds, as its index says it or as its blocks do: both come to the same.

use std::collections::HashMap;

use lanecast_relay_core::{find, EpochKey, Kind, Packet, Protocol};

use crate::index::{Chunk, Decoder, End, Ending, Entry, LineTotal, Record, MAGIC};
use crate::pcapng::{Blocks, Content, PacketBlock};
use crate::settings::LineName;

/// How much of a segment one entry of the index covers: what has to be read to find one packet.
pub(crate) const CHUNK_BYTES: u64 = 64 << 10;

/// No relay has more lines; an interface beyond is none of ours.
const INTERFACES: usize = 1 << 20;

/// A segment with more streams than this says so by its chunks alone.
const SUMMARY_ENTRIES: usize = 8192;

/// Everything that is known of one segment.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    pub sequence: u64,
    pub sync_interval_ns: u64,
    /// By how much a sync was done later than this interval after the last one began, at most.
    pub overrun_ns: u64,
    pub lines: Vec<LineName>,
    pub chunks: Vec<Chunk>,
    /// Datagrams and bytes that were not recorded.
    pub unrecorded: (u64, u64),
    pub end: Option<End>,
}

impl Contents {
    /// What an index says, and the whole blocks of the segment that it does not tell of; whatever the bytes are.
    #[must_use]
    pub fn of(index: &[u8], segment: &[u8]) -> Self {
        let mut contents = Self::default();
        let records = index.strip_prefix(MAGIC).unwrap_or_default();
        for record in Decoder::new(records) {
            contents.take(record);
        }
        let known = contents.indexed_bytes();
        let rest =
            usize::try_from(known).map_or(&[][..], |at| segment.get(at..).unwrap_or_default());
        contents.scan(known, rest);
        contents
    }

    pub(crate) fn take(&mut self, record: Record) {
        match record {
            Record::Segment {
                sequence,
                sync_interval_ns,
            } => {
                self.sequence = sequence;
                self.sync_interval_ns = sync_interval_ns;
            }
            Record::Line(name) => self.lines.push(name),
            Record::Chunk(chunk) => self.chunks.push(chunk),
            Record::Unrecorded {
                datagrams, bytes, ..
            } => {
                self.unrecorded.0 = self.unrecorded.0.saturating_add(datagrams);
                self.unrecorded.1 = self.unrecorded.1.saturating_add(bytes);
            }
            Record::Overrun { overrun_ns } => self.overrun_ns = self.overrun_ns.max(overrun_ns),
            Record::End(end) => self.end = Some(end),
            Record::Trailer { .. } => {}
        }
    }

    /// How much of the segment the index knows.
    pub(crate) fn indexed_bytes(&self) -> u64 {
        self.chunks.last().map_or(0, Chunk::end)
    }

    /// Take in the blocks at `offset` of the segment, which follow what is known. Returns how many bytes were whole blocks.
    pub(crate) fn scan(&mut self, offset: u64, bytes: &[u8]) -> usize {
        let mut builder = Builder::at(offset);
        let mut blocks = Blocks::new(bytes);
        let (mut hashed, mut interfaces) = (0, 0);
        for block in blocks.by_ref() {
            match block.content {
                // An index that lacks lines was lost with them; interfaces are numbered in order.
                Content::Interface(name) if offset == 0 => {
                    interfaces += 1;
                    if interfaces > self.lines.len() {
                        self.lines.push(name);
                    }
                }
                Content::Interface(name) if !self.lines.contains(&name) => self.lines.push(name),
                Content::Packet(packet) => {
                    let line = self.lines.get(packet.interface as usize);
                    builder.add(line.and_then(|line| find(&line.protocol)), &packet);
                }
                _ => {}
            }
            if builder.bytes_with(block.end - hashed) >= CHUNK_BYTES {
                builder.hash(bytes.get(hashed..block.end).unwrap_or_default());
                hashed = block.end;
                self.chunks.extend(builder.finish());
            }
        }
        builder.hash(bytes.get(hashed..blocks.end()).unwrap_or_default());
        self.chunks.extend(builder.finish());
        blocks.end()
    }

    /// The earliest and the latest receive time; none where there is no datagram.
    #[must_use]
    pub fn times(&self) -> Option<(u64, u64)> {
        let chunks = || self.chunks.iter().filter(|chunk| chunk.datagrams > 0);
        let first = chunks().map(|chunk| chunk.first_ns).min()?;
        Some((first, chunks().map(|chunk| chunk.last_ns).max()?))
    }

    /// What is said of the segment when it gets no more.
    pub(crate) fn end(&self, ending: Ending, bytes: u64, cut_bytes: u64) -> End {
        let (first_ns, last_ns) = self.times().unwrap_or_default();
        let mut counts = vec![0; self.lines.len()];
        for (interface, datagrams) in self.chunks.iter().flat_map(|chunk| &chunk.lines) {
            if let Some(count) = counts.get_mut(*interface as usize) {
                *count = datagrams.saturating_add(*count);
            }
        }
        let totals = self.lines.iter().zip(counts);
        let totals = totals.map(|(name, datagrams)| LineTotal {
            name: name.clone(),
            datagrams,
        });
        End {
            ending,
            bytes,
            cut_bytes,
            datagrams: self
                .chunks
                .iter()
                .fold(0, |sum, chunk| chunk.datagrams.saturating_add(sum)),
            first_ns,
            last_ns,
            unrecorded: self.unrecorded,
            sync_interval_ns: self.sync_interval_ns,
            overrun_ns: self.overrun_ns,
            lines: totals.collect(),
            entries: summary(self.chunks.iter().flat_map(|chunk| &chunk.entries)),
        }
    }
}

/// Entries of one key made one; none when there are too many.
pub(crate) fn summary<'a>(entries: impl Iterator<Item = &'a Entry>) -> Option<Vec<Entry>> {
    let mut places = HashMap::new();
    let mut merged: Vec<Entry> = Vec::new();
    for entry in entries {
        let place = *places.entry(entry.key()).or_insert(merged.len());
        if let Some(known) = merged.get_mut(place) {
            known.merge(entry);
        } else if place == SUMMARY_ENTRIES {
            return None;
        } else {
            merged.push(*entry);
        }
    }
    Some(merged)
}

/// Makes a chunk of the blocks that it is shown.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    chunk: Chunk,
    hasher: crc32fast::Hasher,
    places: HashMap<(u32, u64, EpochKey), usize>,
    /// By interface, the entry that its last datagram went to: almost always that of the next one too.
    recent: Vec<usize>,
    /// By interface.
    counts: Vec<u64>,
}

impl Builder {
    pub(crate) fn at(offset: u64) -> Self {
        let mut builder = Self::default();
        builder.chunk.offset = offset;
        builder
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunk.bytes == 0
    }

    pub(crate) fn bytes_with(&self, more: usize) -> u64 {
        self.chunk.bytes + more as u64
    }

    pub(crate) fn hash(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.chunk.bytes += bytes.len() as u64;
    }

    pub(crate) fn add(&mut self, protocol: Option<&'static Protocol>, block: &PacketBlock) {
        let chunk = &mut self.chunk;
        if chunk.datagrams == 0 {
            (chunk.first_ns, chunk.last_ns) = (block.received_ns, block.received_ns);
        }
        chunk.first_ns = chunk.first_ns.min(block.received_ns);
        chunk.last_ns = chunk.last_ns.max(block.received_ns);
        chunk.datagrams += 1;
        self.count(block.interface);
        let Some(protocol) = protocol.filter(|protocol| protocol.number.is_some()) else {
            return;
        };
        if let Ok(packets) = protocol.packets(block.datagram) {
            for packet in packets.iter() {
                self.add_packet(protocol, block.interface, packet);
            }
        }
    }

    fn count(&mut self, interface: u32) {
        let at = interface as usize;
        if self.counts.len() <= at && at < INTERFACES {
            self.counts.resize(at + 1, 0);
            self.recent.resize(at + 1, usize::MAX);
        }
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
    }

    fn add_packet(&mut self, protocol: &Protocol, interface: u32, packet: &Packet) {
        let restart = packet.reset || matches!(packet.kind, Kind::Restart { .. });
        if packet.kind != Kind::Data && !restart {
            return;
        }
        let (low, high) = span(protocol, packet);
        let entry = Entry {
            interface,
            stream: packet.stream,
            epoch: packet.epoch,
            reset: restart,
            low,
            high,
            datagrams: 1,
        };
        let at = interface as usize;
        let recent = self.recent.get(at).copied().unwrap_or(usize::MAX);
        if let Some(known) = self.chunk.entries.get_mut(recent) {
            if known.key() == entry.key() {
                return known.merge(&entry);
            }
        }
        let place = *self
            .places
            .entry(entry.key())
            .or_insert(self.chunk.entries.len());
        match self.chunk.entries.get_mut(place) {
            Some(known) => known.merge(&entry),
            None => self.chunk.entries.push(entry),
        }
        if let Some(recent) = self.recent.get_mut(at) {
            *recent = place;
        }
    }

    /// The chunk, unless nothing came; the next one begins where it ends.
    pub(crate) fn finish(&mut self) -> Option<Chunk> {
        if self.is_empty() {
            return None;
        }
        let next = Chunk {
            offset: self.chunk.end(),
            ..Chunk::default()
        };
        let mut chunk = std::mem::replace(&mut self.chunk, next);
        chunk.checksum = std::mem::take(&mut self.hasher).finalize();
        let counts = (0u32..).zip(self.counts.iter_mut());
        let lines = counts.map(|(interface, count)| (interface, std::mem::take(count)));
        chunk.lines = lines.filter(|(_, count)| *count > 0).collect();
        self.places.clear();
        self.recent.fill(usize::MAX);
        Some(chunk)
    }
}

/// The lowest and the highest number that a packet holds. One across the end of a round may hold any.
fn span(protocol: &Protocol, packet: &Packet) -> (u64, u64) {
    if packet.count == 0 {
        let number = packet.number();
        return (number, number);
    }
    let last = protocol.numbers().after(packet.first, packet.count - 1);
    match last {
        Some(last) if last >= packet.first => (packet.first, last),
        _ => (0, u64::MAX),
    }
}

/// Whether a packet of data holds `number`, as on the wire.
pub(crate) fn holds(protocol: &Protocol, packet: &Packet, number: u64) -> bool {
    let Some(last) = protocol
        .numbers()
        .after(packet.first, packet.count.saturating_sub(1))
    else {
        return false;
    };
    packet.kind == Kind::Data
        && packet.count > 0
        && if last >= packet.first {
            (packet.first..=last).contains(&number)
        } else {
            number >= packet.first || number <= last
        }
}
