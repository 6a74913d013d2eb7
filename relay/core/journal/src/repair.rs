//! Segments as they are found: closed, still being written, or as a crash left them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::contents::Contents;
use crate::directory::{remove, segments, SegmentName};
use crate::index::{append, Chunk, Decoder, End, Ending, Record, MAGIC, TRAILER_BYTES};
use crate::segment::append_end;

/// How much of a segment without index is looked at in one go.
const PIECE_BYTES: u64 = 8 << 20;

/// A segment that is open for reading.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    data: File,
    pub contents: Contents,
    /// How long the segment's whole blocks are, and the file.
    pub whole_bytes: u64,
    pub file_bytes: u64,
    index: Option<File>,
    /// How much of the index was read, and how much of `contents` came from there and not from the segment's end.
    index_read: u64,
    indexed_chunks: usize,
    indexed_lines: usize,
}

impl SegmentFile {
    pub(crate) fn open(directory: &Path, name: SegmentName) -> io::Result<Self> {
        let index = match File::open(name.index(directory)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            other => other.ok(),
        };
        let mut file = Self {
            data: File::open(name.data(directory))?,
            contents: Contents {
                sequence: name.sequence,
                ..Contents::default()
            },
            whole_bytes: 0,
            file_bytes: 0,
            index,
            index_read: 0,
            indexed_chunks: 0,
            indexed_lines: 0,
        };
        file.refresh()?;
        Ok(file)
    }

    /// Take in what was written since.
    pub(crate) fn refresh(&mut self) -> io::Result<()> {
        if self.contents.end.is_some() {
            return Ok(());
        }
        self.contents.chunks.truncate(self.indexed_chunks);
        self.contents.lines.truncate(self.indexed_lines);
        // The index first: what it tells of was in the segment before.
        self.read_index()?;
        self.file_bytes = self.data.metadata()?.len();
        self.keep_what_the_segment_has();
        self.indexed_chunks = self.contents.chunks.len();
        self.indexed_lines = self.contents.lines.len();
        match &self.contents.end {
            Some(end) => self.whole_bytes = end.bytes,
            None => self.whole_bytes = self.scan_from(self.contents.indexed_bytes())?,
        }
        Ok(())
    }

    /// Chunks follow each other from the segment's start to its end at most; an index that tells otherwise is damaged, and
    /// from there on the segment speaks for itself.
    fn keep_what_the_segment_has(&mut self) {
        let mut left = self.file_bytes;
        let sound = self.contents.chunks.iter().take_while(|chunk| {
            let follows = chunk.offset == self.file_bytes - left && chunk.bytes <= left;
            left = left.saturating_sub(chunk.bytes);
            follows
        });
        let sound = sound.count();
        let end = self.contents.end.as_ref();
        if sound < self.contents.chunks.len() || end.is_some_and(|end| end.bytes > self.file_bytes)
        {
            self.contents.chunks.truncate(sound);
            self.contents.end = None;
        }
    }

    fn read_index(&mut self) -> io::Result<()> {
        let Some(index) = &mut self.index else {
            return Ok(());
        };
        let mut bytes = Vec::new();
        index.seek(SeekFrom::Start(self.index_read))?;
        index.read_to_end(&mut bytes)?;
        let mut rest = bytes.as_slice();
        if self.index_read == 0 {
            match rest.strip_prefix(MAGIC) {
                Some(records) => rest = records,
                None => return Ok(()), // not yet written, or torn: the segment itself tells
            }
            self.index_read = MAGIC.len() as u64;
        }
        let mut records = Decoder::new(rest);
        for record in records.by_ref() {
            self.contents.take(record);
        }
        self.index_read += records.end() as u64;
        Ok(())
    }

    /// Look at the segment itself from `offset` on. Returns where its whole blocks end.
    fn scan_from(&mut self, mut offset: u64) -> io::Result<u64> {
        let mut bytes = Vec::new();
        while offset < self.file_bytes {
            let length = PIECE_BYTES.min(self.file_bytes - offset);
            bytes.resize(usize::try_from(length).unwrap_or(0), 0);
            self.data.read_exact_at(&mut bytes, offset)?;
            let taken = self.contents.scan(offset, &bytes);
            if taken == 0 {
                break;
            }
            offset += taken as u64;
        }
        Ok(offset.min(self.file_bytes))
    }

    /// The bytes of a chunk.
    pub(crate) fn read(&self, chunk: &Chunk, bytes: &mut Vec<u8>) -> io::Result<()> {
        bytes.resize(usize::try_from(chunk.bytes).unwrap_or(0), 0);
        self.data.read_exact_at(bytes, chunk.offset)
    }

    /// Forget chunks that are not on the disk as they were written, and look at the segment itself from there.
    fn verify(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut sound = 0;
        for chunk in &self.contents.chunks {
            if chunk.end() > self.file_bytes || chunk.bytes > PIECE_BYTES * 2 {
                break;
            }
            self.read(chunk, &mut bytes)?;
            if crc32fast::hash(&bytes) != chunk.checksum {
                break;
            }
            sound += 1;
        }
        if sound < self.contents.chunks.len() {
            self.contents.chunks.truncate(sound);
            self.whole_bytes = self.scan_from(self.contents.indexed_bytes())?;
        }
        Ok(())
    }
}

/// What is told at the end of a closed segment's index, without reading the rest; none where it was not closed.
pub(crate) fn read_end(directory: &Path, name: SegmentName) -> io::Result<Option<End>> {
    let file = match File::open(name.index(directory)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let length = file.metadata()?.len();
    let Some(trailer_offset) = length.checked_sub(TRAILER_BYTES) else {
        return Ok(None);
    };
    let mut bytes = vec![0; TRAILER_BYTES as usize];
    file.read_exact_at(&mut bytes, trailer_offset)?;
    let Some(Record::Trailer { end_offset }) = Decoder::new(&bytes).next() else {
        return Ok(None);
    };
    let Some(room) = trailer_offset.checked_sub(end_offset) else {
        return Ok(None);
    };
    bytes.resize(usize::try_from(room).unwrap_or(0), 0);
    file.read_exact_at(&mut bytes, end_offset)?;
    Ok(match Decoder::new(&bytes).next() {
        Some(Record::End(end)) => Some(end),
        _ => None,
    })
}

/// Close every segment that its writer did not, in a journal that nobody writes. Returns what hindered it.
///
/// A segment that cannot be read, or written, stays as it is: readers do without, and the others are none the worse.
pub fn repair_all(directory: &Path) -> io::Result<Vec<io::Error>> {
    let mut hindered = Vec::new();
    for name in segments(directory)? {
        let repaired = read_end(directory, name).and_then(|end| match end {
            Some(_) => Ok(()),
            None => repair(directory, name, Ending::Recovered),
        });
        hindered.extend(repaired.err());
    }
    Ok(hindered)
}

/// Cut the torn end off a segment that was not closed, and close it; one without a datagram goes.
pub(crate) fn repair(directory: &Path, name: SegmentName, ending: Ending) -> io::Result<()> {
    let mut file = SegmentFile::open(directory, name)?;
    if file.contents.end.is_some() {
        return Ok(());
    }
    file.verify()?;
    if file.contents.times().is_none() {
        return remove(directory, name);
    }
    let cut_bytes = file.file_bytes.saturating_sub(file.whole_bytes);
    if cut_bytes > 0 {
        let data = OpenOptions::new().write(true).open(name.data(directory))?;
        data.set_len(file.whole_bytes)?;
        data.sync_data()?;
    }
    let end = file.contents.end(ending, file.whole_bytes, cut_bytes);
    let fresh = name.fresh_index(directory);
    let bytes = whole_index(&file.contents, end);
    let written =
        write_synced(&fresh, &bytes).and_then(|()| fs::rename(&fresh, name.index(directory)));
    if written.is_err() {
        // It may not even have been begun; where it cannot go now, it goes when the journal is opened.
        drop(fs::remove_file(&fresh));
    }
    written
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_data()
}

fn whole_index(contents: &Contents, end: End) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    let segment = Record::Segment {
        sequence: contents.sequence,
        sync_interval_ns: contents.sync_interval_ns,
    };
    append(&mut bytes, &segment);
    for line in &contents.lines {
        append(&mut bytes, &Record::Line(line.clone()));
    }
    for chunk in &contents.chunks {
        append(&mut bytes, &Record::Chunk(chunk.clone()));
    }
    if contents.overrun_ns > 0 {
        let overrun_ns = contents.overrun_ns;
        append(&mut bytes, &Record::Overrun { overrun_ns });
    }
    let (datagrams, unrecorded_bytes) = contents.unrecorded;
    if datagrams > 0 {
        let unrecorded = Record::Unrecorded {
            until_ns: end.last_ns,
            datagrams,
            bytes: unrecorded_bytes,
        };
        append(&mut bytes, &unrecorded);
    }
    append_end(&mut bytes, 0, end);
    bytes
}
