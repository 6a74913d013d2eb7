//! The index beside a segment: what lies where, in records with a checksum each, so that a torn end shows.
//!
//! All integers are little endian. The file is [`MAGIC`] and then records: `length u32 · CRC-32 of the payload u32 ·
//! payload`, whose first byte is the record's kind. `docs/journal-format.md` has the fields.

use lanecast_relay_core::EpochKey;

use crate::settings::LineName;

pub const MAGIC: &[u8; 8] = b"LCJIDX01";

/// No record is longer: a chunk has at most as many entries as datagrams, an end as many as a segment has streams.
const LONGEST_RECORD_BYTES: usize = 1 << 26;

/// An [`Entry`] on disk.
const ENTRY_BYTES: usize = 4 + 8 + EpochKey::BYTES + 1 + 8 + 8 + 8;

/// How the last record of a closed segment is found from the file's end: a record of this many bytes.
pub(crate) const TRAILER_BYTES: u64 = 8 + 9;

/// The numbers of one stream on one line, in a chunk or in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub interface: u32,
    pub stream: u64,
    /// As the header names it; zeros where epochs are told in band.
    pub epoch: EpochKey,
    /// The numbers start anew in here.
    pub reset: bool,
    /// The lowest and the highest number, as on the wire; every number between may or may not be there.
    pub low: u64,
    pub high: u64,
    pub datagrams: u64,
}

impl Entry {
    pub(crate) fn key(&self) -> (u32, u64, EpochKey) {
        (self.interface, self.stream, self.epoch)
    }

    /// Take in what another entry of the same key says.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.reset |= other.reset;
        self.low = self.low.min(other.low);
        self.high = self.high.max(other.high);
        self.datagrams = self.datagrams.saturating_add(other.datagrams);
    }
}

/// A run of whole blocks in the segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunk {
    pub offset: u64,
    pub bytes: u64,
    /// CRC-32 of these bytes.
    pub checksum: u32,
    pub datagrams: u64,
    /// The earliest and the latest receive time in it.
    pub first_ns: u64,
    pub last_ns: u64,
    /// How many datagrams of which interface.
    pub lines: Vec<(u32, u64)>,
    pub entries: Vec<Entry>,
}

impl Chunk {
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.bytes)
    }
}

/// How a segment came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was full, old, or the relay stopped.
    Closed,
    /// Its writer died; what was torn is cut off.
    Recovered,
    /// It could not be written any more.
    Failed,
}

/// What a segment holds, told once it gets no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    pub ending: Ending,
    /// How long the segment is.
    pub bytes: u64,
    /// How many bytes of a torn end were cut off.
    pub cut_bytes: u64,
    pub datagrams: u64,
    pub first_ns: u64,
    pub last_ns: u64,
    /// Datagrams and bytes that were not recorded meanwhile.
    pub unrecorded: (u64, u64),
    /// What a crash might have cost: the interval, and by how much a sync was late at most.
    pub sync_interval_ns: u64,
    pub overrun_ns: u64,
    /// In the order of the interfaces.
    pub lines: Vec<LineTotal>,
    /// None where a segment has too many streams to say: the chunks tell then.
    pub entries: Option<Vec<Entry>>,
}

/// One line's datagrams in a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineTotal {
    pub name: LineName,
    pub datagrams: u64,
}

/// One record of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Always the first: which segment this is, and how much of it a crash may cost.
    Segment {
        sequence: u64,
        sync_interval_ns: u64,
    },
    /// Interfaces are numbered in the order of these records.
    Line(LineName),
    Chunk(Chunk),
    /// Up to this time so many datagrams were not recorded: the queue was full, or the disk refused them.
    Unrecorded {
        until_ns: u64,
        datagrams: u64,
        bytes: u64,
    },
    /// A sync was done so much later than its interval after the last one began; the longest so far counts.
    Overrun {
        overrun_ns: u64,
    },
    End(End),
    /// Always the last: where the record of the end begins.
    Trailer {
        end_offset: u64,
    },
}

/// Append a record.
pub(crate) fn append(to: &mut Vec<u8>, record: &Record) {
    let start = to.len();
    to.extend([0; 8]);
    encode(to, record);
    let payload = to.get(start + 8..).unwrap_or_default();
    let head = ((payload.len() as u64) | u64::from(crc32fast::hash(payload)) << 32).to_le_bytes();
    let room = to.iter_mut().skip(start);
    room.zip(head).for_each(|(to, from)| *to = from);
}

fn encode(to: &mut Vec<u8>, record: &Record) {
    match record {
        Record::Segment {
            sequence,
            sync_interval_ns,
        } => {
            to.push(1);
            numbers(to, &[*sequence, *sync_interval_ns]);
        }
        Record::Line(name) => {
            to.push(2);
            text(to, name);
        }
        Record::Chunk(chunk) => {
            to.push(3);
            numbers(to, &[chunk.offset, chunk.bytes, u64::from(chunk.checksum)]);
            numbers(to, &[chunk.datagrams, chunk.first_ns, chunk.last_ns]);
            numbers(to, &[chunk.lines.len() as u64]);
            for (interface, datagrams) in &chunk.lines {
                numbers(to, &[u64::from(*interface), *datagrams]);
            }
            entries(to, &chunk.entries);
        }
        Record::Unrecorded {
            until_ns,
            datagrams,
            bytes,
        } => {
            to.push(4);
            numbers(to, &[*until_ns, *datagrams, *bytes]);
        }
        Record::End(end) => {
            to.push(5);
            let ending = match end.ending {
                Ending::Closed => 0,
                Ending::Recovered => 1,
                Ending::Failed => 2,
            };
            numbers(to, &[ending, end.bytes, end.cut_bytes]);
            numbers(to, &[end.datagrams, end.first_ns, end.last_ns]);
            numbers(to, &[end.unrecorded.0, end.unrecorded.1]);
            numbers(to, &[end.sync_interval_ns, end.overrun_ns]);
            numbers(to, &[end.lines.len() as u64]);
            for line in &end.lines {
                numbers(to, &[line.datagrams]);
                text(to, &line.name);
            }
            numbers(to, &[u64::from(end.entries.is_some())]);
            entries(to, end.entries.as_deref().unwrap_or_default());
        }
        Record::Trailer { end_offset } => {
            to.push(6);
            numbers(to, &[*end_offset]);
        }
        Record::Overrun { overrun_ns } => {
            to.push(7);
            numbers(to, &[*overrun_ns]);
        }
    }
}

fn numbers(to: &mut Vec<u8>, values: &[u64]) {
    for value in values {
        to.extend(value.to_le_bytes());
    }
}

fn text(to: &mut Vec<u8>, name: &LineName) {
    let json = serde_json::to_vec(name).unwrap_or_default();
    numbers(to, &[json.len() as u64]);
    to.extend(json);
}

fn entries(to: &mut Vec<u8>, entries: &[Entry]) {
    numbers(to, &[entries.len() as u64]);
    for entry in entries {
        to.extend(entry.interface.to_le_bytes());
        to.extend(entry.stream.to_le_bytes());
        to.extend(entry.epoch.0);
        to.push(u8::from(entry.reset));
        numbers(to, &[entry.low, entry.high, entry.datagrams]);
    }
}

/// The records at the start of `bytes`, which follow the magic; ends before the first that is torn.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Decoder<'a> {
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Where the records that were told end.
    #[must_use]
    pub fn end(&self) -> usize {
        self.at
    }
}

impl Iterator for Decoder<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let mut rest = Fields(self.bytes.get(self.at..)?);
        let (length, checksum) = (rest.u32()? as usize, rest.u32()?);
        if length > LONGEST_RECORD_BYTES {
            return None;
        }
        let payload = rest.take(length)?;
        if crc32fast::hash(payload) != checksum {
            return None;
        }
        let record = decode(Fields(payload))?;
        self.at += 8 + length;
        Some(record)
    }
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn name(&mut self) -> Option<LineName> {
        let length = usize::try_from(self.u64()?).ok()?;
        serde_json::from_slice(self.take(length)?).ok()
    }

    fn lines(&mut self) -> Option<Vec<(u32, u64)>> {
        let count = usize::try_from(self.u64()?).ok()?;
        if count.checked_mul(16)? > self.0.len() {
            return None;
        }
        let line = |_| Some((u32::try_from(self.u64()?).ok()?, self.u64()?));
        (0..count).map(line).collect()
    }

    fn entries(&mut self) -> Option<Vec<Entry>> {
        let count = usize::try_from(self.u64()?).ok()?;
        if count.checked_mul(ENTRY_BYTES)? > self.0.len() {
            return None;
        }
        (0..count).map(|_| self.entry()).collect()
    }

    fn entry(&mut self) -> Option<Entry> {
        Some(Entry {
            interface: self.u32()?,
            stream: self.u64()?,
            epoch: EpochKey(self.take(EpochKey::BYTES)?.try_into().ok()?),
            reset: self.u8()? != 0,
            low: self.u64()?,
            high: self.u64()?,
            datagrams: self.u64()?,
        })
    }
}

fn decode(mut fields: Fields) -> Option<Record> {
    Some(match fields.u8()? {
        1 => Record::Segment {
            sequence: fields.u64()?,
            sync_interval_ns: fields.u64()?,
        },
        2 => Record::Line(fields.name()?),
        3 => Record::Chunk(Chunk {
            offset: fields.u64()?,
            bytes: fields.u64()?,
            checksum: u32::try_from(fields.u64()?).ok()?,
            datagrams: fields.u64()?,
            first_ns: fields.u64()?,
            last_ns: fields.u64()?,
            lines: fields.lines()?,
            entries: fields.entries()?,
        }),
        4 => Record::Unrecorded {
            until_ns: fields.u64()?,
            datagrams: fields.u64()?,
            bytes: fields.u64()?,
        },
        5 => Record::End(end(&mut fields)?),
        6 => Record::Trailer {
            end_offset: fields.u64()?,
        },
        7 => Record::Overrun {
            overrun_ns: fields.u64()?,
        },
        _ => return None,
    })
}

fn end(fields: &mut Fields) -> Option<End> {
    let ending = match fields.u64()? {
        0 => Ending::Closed,
        1 => Ending::Recovered,
        2 => Ending::Failed,
        _ => return None,
    };
    let (bytes, cut_bytes) = (fields.u64()?, fields.u64()?);
    let (datagrams, first_ns, last_ns) = (fields.u64()?, fields.u64()?, fields.u64()?);
    let unrecorded = (fields.u64()?, fields.u64()?);
    let (sync_interval_ns, overrun_ns) = (fields.u64()?, fields.u64()?);
    let mut lines = Vec::new();
    for _ in 0..fields.u64()? {
        let datagrams = fields.u64()?;
        let name = fields.name()?;
        lines.push(LineTotal { name, datagrams });
    }
    Some(End {
        ending,
        bytes,
        cut_bytes,
        datagrams,
        first_ns,
        last_ns,
        unrecorded,
        sync_interval_ns,
        overrun_ns,
        lines,
        entries: (fields.u64()? != 0).then_some(fields.entries()?),
    })
}
