//! The segment that is being written.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{fadvise, Advice};

use crate::buffer::Line;
use crate::calls::Machine;
use crate::contents::{Builder, Contents, CHUNK_BYTES};
use crate::directory::SegmentName;
use crate::index::{append, Ending, Record, MAGIC};
use crate::pcapng::{interface_description, section_header, Blocks, Content};

/// A chunk that gets no more is told after this long, so that little is searched twice. Nanoseconds.
const CHUNK_AGE_NS: u64 = 1_000_000_000;

#[derive(Debug)]
pub(crate) struct Segment {
    pub name: SegmentName,
    data: File,
    index: File,
    contents: Contents,
    builder: Builder,
    /// Records that are not yet in the index, because what they tell of was not yet in the segment.
    records: Vec<u8>,
    pub data_bytes: u64,
    pub index_bytes: u64,
    protocols: Vec<Line>,
    /// When the chunk that is being filled began, and the segment. Monotonic.
    chunk_began_ns: u64,
    pub began_ns: u64,
    /// How much of the segment is safe on disk.
    synced_bytes: u64,
    /// The disk did not take what is beyond that, whatever it says later.
    refused: bool,
}

impl Segment {
    pub(crate) fn create(
        directory: &Path,
        name: SegmentName,
        (sync_interval_ns, overrun_ns): (u64, u64),
        now_ns: u64,
    ) -> io::Result<Self> {
        let open = |path| OpenOptions::new().create_new(true).append(true).open(path);
        let (data, index) = (open(name.data(directory))?, open(name.index(directory))?);
        let mut segment = Self {
            name,
            data,
            index,
            contents: Contents::default(),
            builder: Builder::at(0),
            records: MAGIC.to_vec(),
            data_bytes: 0,
            index_bytes: 0,
            protocols: Vec::new(),
            chunk_began_ns: now_ns,
            began_ns: now_ns,
            synced_bytes: 0,
            refused: false,
        };
        segment.tell(Record::Segment {
            sequence: name.sequence,
            sync_interval_ns,
        });
        segment.tell(Record::Overrun { overrun_ns });
        let comment = format!(
            "Lanecast journal, segment {}; times are CLOCK_REALTIME, and Ethernet, IPv4 and UDP headers were made \
             around datagrams as a socket gave them",
            name.sequence
        );
        segment.write_other(&section_header(&comment))?;
        Ok(segment)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.data_bytes + self.index_bytes
    }

    /// Introduce the lines that are not yet known.
    pub(crate) fn add_lines(&mut self, lines: &[Line]) -> io::Result<()> {
        for line in lines.iter().skip(self.protocols.len()) {
            self.write_other(&interface_description(&line.name))?;
            self.tell(Record::Line(line.name.clone()));
            self.protocols.push(line.clone());
        }
        Ok(())
    }

    /// Write as many of the blocks as fit below `limit` bytes, but one at least where there is none yet. Returns how
    /// many bytes and datagrams were taken; on an error none were, and the segment is to be given up.
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        limit: u64,
        now_ns: u64,
    ) -> io::Result<(usize, u64)> {
        let room = usize::try_from(limit.saturating_sub(self.data_bytes)).unwrap_or(usize::MAX);
        let empty = self.contents.chunks.is_empty() && self.contents.end.is_none();
        let (mut end, mut hashed, mut datagrams) = (0, 0, 0);
        for block in Blocks::new(bytes) {
            if block.end > room && !(empty && datagrams == 0) {
                break;
            }
            if let Content::Packet(packet) = block.content {
                let line = self.protocols.get(packet.interface as usize);
                self.builder
                    .add(line.and_then(|line| line.protocol), &packet);
                datagrams += 1;
            }
            end = block.end;
            if self.builder.bytes_with(end - hashed) >= CHUNK_BYTES {
                self.builder
                    .hash(bytes.get(hashed..end).unwrap_or_default());
                hashed = end;
                self.finish_chunk(now_ns);
            }
        }
        self.builder
            .hash(bytes.get(hashed..end).unwrap_or_default());
        self.write_data(bytes.get(..end).unwrap_or_default())?;
        if let Err(error) = self.write_index() {
            // Its datagrams count as failed: giving the segment up cuts them off.
            self.data_bytes -= end as u64;
            return Err(error);
        }
        Ok((end, datagrams))
    }

    /// So much was not recorded.
    pub(crate) fn note_unrecorded(&mut self, until_ns: u64, (datagrams, bytes): (u64, u64)) {
        self.tell(Record::Unrecorded {
            until_ns,
            datagrams,
            bytes,
        });
    }

    /// A sync was so late; whoever finds the segment after a crash reckons with it.
    pub(crate) fn note_overrun(&mut self, overrun_ns: u64) -> io::Result<()> {
        self.tell(Record::Overrun { overrun_ns });
        self.write_index()
    }

    /// Bring what was written to the disk, and tell of a chunk that waits.
    pub(crate) fn sync(&mut self, machine: &dyn Machine) -> io::Result<()> {
        if self.data.metadata()?.nlink() == 0 {
            self.refused = true;
            return Err(io::Error::from_raw_os_error(libc::ENOENT));
        }
        let now_ns = machine.monotonic_ns();
        if now_ns.saturating_sub(self.chunk_began_ns) >= CHUNK_AGE_NS {
            self.finish_chunk(now_ns);
        }
        self.write_index()?;
        self.sync_data(machine)
    }

    fn sync_data(&mut self, machine: &dyn Machine) -> io::Result<()> {
        if self.synced_bytes < self.data_bytes {
            // fsync(2): an error is told once, and pages that did not reach the disk count as clean from then on; a second
            // call would say that all is well.
            self.refused = true;
            machine.sync_data(&self.data)?;
            self.refused = false;
            self.synced_bytes = self.data_bytes;
        }
        Ok(())
    }

    /// Say what the segment holds, after its last sync, and sync that.
    pub(crate) fn close(mut self, machine: &dyn Machine) -> io::Result<u64> {
        self.finish_chunk(machine.monotonic_ns());
        let end = self.contents.end(Ending::Closed, self.data_bytes, 0);
        append_end(&mut self.records, self.index_bytes, end);
        self.write_index()?;
        machine.sync_data(&self.index)?;
        // Fresh memory for every page costs more than the copy into it; what a closed segment took is used again.
        let advised = fadvise(&self.data, 0, None, Advice::DontNeed);
        debug_assert!(advised.is_ok(), "a file of ours takes advice");
        Ok(self.bytes())
    }

    /// Get no more: take back what an error left half written, and what did not reach the disk. Returns whether everything
    /// that was taken is safe. What cannot be cut off is seen by whoever reads it, and goes when the journal is opened.
    pub(crate) fn give_up(mut self, machine: &dyn Machine) -> bool {
        if !self.refused {
            drop(self.data.set_len(self.data_bytes));
            if self.sync_data(machine).is_ok() {
                return true;
            }
        }
        drop(self.data.set_len(self.synced_bytes));
        false
    }

    fn tell(&mut self, record: Record) {
        append(&mut self.records, &record);
        self.contents.take(record);
    }

    fn finish_chunk(&mut self, now_ns: u64) {
        self.chunk_began_ns = now_ns;
        if let Some(chunk) = self.builder.finish() {
            self.tell(Record::Chunk(chunk));
        }
    }

    fn write_other(&mut self, block: &[u8]) -> io::Result<()> {
        self.builder.hash(block);
        self.write_data(block)
    }

    fn write_data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.data.write_all(bytes)?;
        self.data_bytes += bytes.len() as u64;
        Ok(())
    }

    fn write_index(&mut self) -> io::Result<()> {
        if !self.records.is_empty() {
            self.index.write_all(&self.records)?;
            self.index_bytes += self.records.len() as u64;
            self.records.clear();
        }
        Ok(())
    }
}

/// The records that close an index of which `written` bytes stand before `records`.
pub(crate) fn append_end(records: &mut Vec<u8>, written: u64, end: crate::index::End) {
    let end_offset = written + records.len() as u64;
    append(records, &Record::End(end));
    append(records, &Record::Trailer { end_offset });
}
