//! Single packets by number, for whoever asks for the past: also while the journal is being written.

use std::collections::HashMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lanecast_relay_core::{find, EpochKey, Kind, Protocol};

use crate::directory::{segments, SegmentName};
use crate::index::{Chunk, End, Entry};
use crate::pcapng::{Blocks, Content};
use crate::reader::{each_with_number, has_number, Wanted};
use crate::repair::{read_end, SegmentFile};

/// Segments whose whole index is kept at hand.
const OPEN_SEGMENTS: usize = 8;

/// What was seen is taken as it is for so long, unless it does not have what is wanted.
const FRESH_FOR: Duration = Duration::from_millis(100);

/// A packet that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// `CLOCK_REALTIME`, nanoseconds.
    pub received_ns: u64,
    pub packet: Vec<u8>,
}

/// Finds packets by number. One thread's own; several may look at one journal.
pub struct Archive {
    directory: PathBuf,
    names: Vec<SegmentName>,
    /// What closed segments say of themselves.
    ends: HashMap<SegmentName, Option<Arc<End>>>,
    /// The most recently used last.
    open: Vec<(SegmentName, Arc<SegmentFile>)>,
    looked: Option<Instant>,
    buffer: Vec<u8>,
}

impl Archive {
    pub fn open(directory: &Path) -> io::Result<Self> {
        let mut archive = Self {
            directory: directory.to_owned(),
            names: Vec::new(),
            ends: HashMap::new(),
            open: Vec::new(),
            looked: None,
            buffer: Vec::new(),
        };
        archive.look()?;
        Ok(archive)
    }

    /// The packet that holds `number`, as on the wire, of whichever line has it; the newest where there are several.
    ///
    /// Where a protocol's header names the epoch, `epoch` is that. Where epochs are told in band the journal knows no
    /// name for them: then only what came since the last reset is looked at, and `epoch` does not matter.
    pub fn packet(
        &mut self,
        feed: &str,
        channel: &str,
        stream: u64,
        epoch: EpochKey,
        number: u64,
    ) -> io::Result<Option<Vec<u8>>> {
        let found = self.find(feed, channel, stream, epoch, number, 0)?;
        Ok(found.map(|found| found.packet))
    }

    /// As [`Self::packet`], with its receive time, and only what was received at `not_before_ns` or later: for whoever
    /// knows when an epoch that has no name began.
    pub fn find(
        &mut self,
        feed: &str,
        channel: &str,
        stream: u64,
        epoch: EpochKey,
        number: u64,
        not_before_ns: u64,
    ) -> io::Result<Option<Found>> {
        let wanted = Wanted {
            feed,
            channel,
            line: None,
            stream,
            epoch: Some(epoch),
            number,
        };
        let looked = self.looked;
        if looked.is_none_or(|looked| looked.elapsed() >= FRESH_FOR) {
            self.look()?;
        }
        let found = self.find_in_known(wanted, not_before_ns)?;
        if found.is_some() || self.looked != looked {
            return Ok(found);
        }
        // It may have been written since.
        self.look()?;
        self.find_in_known(wanted, not_before_ns)
    }

    fn find_in_known(&mut self, wanted: Wanted, not_before_ns: u64) -> io::Result<Option<Found>> {
        for at in (0..self.names.len()).rev() {
            let Some(name) = self.names.get(at).copied() else {
                continue;
            };
            if !self.may_have(name, wanted, not_before_ns)? {
                continue;
            }
            let Some(file) = self.segment(name)? else {
                continue;
            };
            match search(&file, wanted, not_before_ns, &mut self.buffer)? {
                Search::Found(found) => return Ok(Some(found)),
                Search::Reset => return Ok(None),
                Search::Nothing => {}
            }
        }
        Ok(None)
    }

    /// Learn of segments that are new or gone.
    fn look(&mut self) -> io::Result<()> {
        self.names = segments(&self.directory)?;
        let names = &self.names;
        self.ends
            .retain(|name, _| names.binary_search(name).is_ok());
        self.open
            .retain(|(name, _)| names.binary_search(name).is_ok());
        // What is still being written says more than last time.
        self.ends.retain(|_, end| end.is_some());
        for (_, file) in &mut self.open {
            if file.contents.end.is_none() {
                if let Some(file) = Arc::get_mut(file) {
                    file.refresh()?;
                }
            }
        }
        self.looked = Some(Instant::now());
        Ok(())
    }

    fn may_have(
        &mut self,
        name: SegmentName,
        wanted: Wanted,
        not_before_ns: u64,
    ) -> io::Result<bool> {
        let end = match self.ends.get(&name) {
            Some(end) => end.clone(),
            None => {
                let end = read_end(&self.directory, name)?.map(Arc::new);
                self.ends.insert(name, end.clone());
                end
            }
        };
        let Some(end) = end else {
            return Ok(true);
        };
        let Some(entries) = &end.entries else {
            return Ok(end.last_ns >= not_before_ns);
        };
        let may = |entry: &Entry| {
            let line = end
                .lines
                .get(entry.interface as usize)
                .map(|line| &line.name);
            let own =
                line.is_some_and(|line| line.feed == wanted.feed && line.channel == wanted.channel);
            let named = line.is_some_and(|line| names_epochs(&line.protocol));
            own && entry.stream == wanted.stream
                && (!named || wanted.epoch == Some(entry.epoch))
                && (entry.reset || (entry.low..=entry.high).contains(&wanted.number))
        };
        Ok(end.last_ns >= not_before_ns && entries.iter().any(may))
    }

    fn segment(&mut self, name: SegmentName) -> io::Result<Option<Arc<SegmentFile>>> {
        if let Some(at) = self.open.iter().position(|(known, _)| *known == name) {
            let used = self.open.remove(at);
            let file = Arc::clone(&used.1);
            self.open.push(used);
            return Ok(Some(file));
        }
        let file = match SegmentFile::open(&self.directory, name) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None), // too old by now
            other => Arc::new(other?),
        };
        if self.open.len() == OPEN_SEGMENTS {
            self.open.remove(0);
        }
        self.open.push((name, Arc::clone(&file)));
        Ok(Some(file))
    }
}

enum Search {
    Found(Found),
    /// The numbers start anew here, so what is older is another epoch's.
    Reset,
    Nothing,
}

/// Whether the header of the protocol's packets says which epoch they belong to.
fn names_epochs(protocol: &str) -> bool {
    use lanecast_relay_core::protocol::Epoch;
    find(protocol).is_some_and(|protocol: &Protocol| {
        matches!(protocol.epoch, Epoch::InHeader(..) | Epoch::Counter(_))
    })
}

fn search(
    file: &SegmentFile,
    wanted: Wanted,
    not_before_ns: u64,
    bytes: &mut Vec<u8>,
) -> io::Result<Search> {
    let own = |line: &&crate::settings::LineName| {
        line.feed == wanted.feed && line.channel == wanted.channel
    };
    let line = file.contents.lines.iter().find(own);
    let Some(line) = line else {
        return Ok(Search::Nothing);
    };
    let named = names_epochs(&line.protocol);
    let wanted = Wanted {
        epoch: wanted.epoch.filter(|_| named),
        ..wanted
    };
    let recent = |chunk: &&Chunk| chunk.last_ns >= not_before_ns;
    for chunk in file.contents.chunks.iter().rev().filter(recent) {
        let resets = |entry: &Entry| entry.reset && file.is_stream(entry, wanted);
        let reset = !named && chunk.entries.iter().any(resets);
        if !reset && !has_number(file, chunk, wanted) {
            continue;
        }
        file.read(chunk, bytes)?;
        let after = if reset {
            last_reset(file, bytes, wanted)
        } else {
            0
        };
        let mut found = None;
        let rest = bytes.get(after..).unwrap_or_default();
        each_with_number(file, rest, wanted, |block, packet| {
            if block.received_ns >= not_before_ns {
                found = Some(Found {
                    received_ns: block.received_ns,
                    packet: packet.to_vec(),
                });
            }
        });
        match found {
            Some(found) => return Ok(Search::Found(found)),
            None if reset => return Ok(Search::Reset),
            None => {}
        }
    }
    Ok(Search::Nothing)
}

/// Where the last block begins that starts the stream's numbers anew. Lines tell of a reset one after the other, so this
/// is the earliest of their last ones.
fn last_reset(file: &SegmentFile, bytes: &[u8], wanted: Wanted) -> usize {
    let mut last: HashMap<u32, usize> = HashMap::new();
    for block in Blocks::new(bytes) {
        let Content::Packet(packet) = block.content else {
            continue;
        };
        let line = file.contents.lines.get(packet.interface as usize);
        let protocol = line.and_then(|line| find(&line.protocol));
        let packets = protocol.and_then(|protocol| protocol.packets(packet.datagram).ok());
        let starts = packets.is_some_and(|packets| {
            packets.iter().any(|one| {
                one.stream == wanted.stream
                    && (one.reset || matches!(one.kind, Kind::Restart { .. }))
            })
        });
        if starts && file.is_wanted(packet.interface, wanted) {
            last.insert(packet.interface, block.start);
        }
    }
    last.into_values().min().unwrap_or(0)
}
