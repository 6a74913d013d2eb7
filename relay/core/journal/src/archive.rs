//! Single packets by number, for whoever asks for the past: also while the journal is being written.

use std::collections::{BTreeMap, HashMap};
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

/// How many entries and lines of closed segments are kept at hand, about 100 bytes each. Beyond that the oldest segments are
/// read again when they are asked for.
const MOST_AT_HAND: usize = 1 << 16;

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
    ends: Ends,
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
            ends: Ends::new(MOST_AT_HAND),
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

    /// Nobody asks: keep no file open, so that one that is deleted gives its room back.
    pub fn rest(&mut self) {
        self.open.clear();
    }

    /// A segment that the disk refuses hides what it has and no other's.
    fn find_in_known(&mut self, wanted: Wanted, not_before_ns: u64) -> io::Result<Option<Found>> {
        let mut refused = Ok(None);
        for at in (0..self.names.len()).rev() {
            let Some(name) = self.names.get(at).copied() else {
                continue;
            };
            match self.find_in_segment(name, wanted, not_before_ns) {
                Ok(Search::Found(found)) => return Ok(Some(found)),
                Ok(Search::Reset) => return Ok(None),
                Ok(Search::Nothing) => {}
                Err(error) => refused = Err(error),
            }
        }
        refused
    }

    fn find_in_segment(
        &mut self,
        name: SegmentName,
        wanted: Wanted,
        not_before_ns: u64,
    ) -> io::Result<Search> {
        if !self.may_have(name, wanted, not_before_ns)? {
            return Ok(Search::Nothing);
        }
        match self.segment(name)? {
            Some(file) => search(&file, wanted, not_before_ns, &mut self.buffer),
            None => Ok(Search::Nothing),
        }
    }

    /// Learn of segments that are new or gone.
    fn look(&mut self) -> io::Result<()> {
        self.names = segments(&self.directory)?;
        let names = &self.names;
        self.ends.keep_only(names);
        self.open.retain_mut(|(name, file)| {
            // What is still being written says more than last time. One that cannot be read is tried anew when it is needed.
            let is_read = match Arc::get_mut(file) {
                Some(file) if file.contents.end.is_none() => file.refresh().is_ok(),
                _ => true,
            };
            is_read && names.binary_search(name).is_ok()
        });
        self.looked = Some(Instant::now());
        Ok(())
    }

    fn may_have(
        &mut self,
        name: SegmentName,
        wanted: Wanted,
        not_before_ns: u64,
    ) -> io::Result<bool> {
        let end = match self.ends.by_name.get(&name) {
            Some(end) => Arc::clone(end),
            None => {
                let Some(end) = read_end(&self.directory, name)?.map(Arc::new) else {
                    return Ok(true);
                };
                self.ends.insert(name, Arc::clone(&end));
                end
            }
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

/// What closed segments say of themselves: of the newest ones, as many as there is room for.
#[derive(Debug)]
struct Ends {
    by_name: BTreeMap<SegmentName, Arc<End>>,
    /// How many entries and lines they have, and may have.
    weight: usize,
    most: usize,
}

impl Ends {
    fn new(most: usize) -> Self {
        Self {
            by_name: BTreeMap::new(),
            weight: 0,
            most,
        }
    }

    fn insert(&mut self, name: SegmentName, end: Arc<End>) {
        self.weight += weight(&end);
        if let Some(known) = self.by_name.insert(name, end) {
            self.weight -= weight(&known);
        }
        while self.weight > self.most {
            let Some((_, oldest)) = self.by_name.pop_first() else {
                break;
            };
            self.weight -= weight(&oldest);
        }
    }

    /// `names` are in their order.
    fn keep_only(&mut self, names: &[SegmentName]) {
        self.by_name
            .retain(|name, _| names.binary_search(name).is_ok());
        self.weight = self.by_name.values().map(|end| weight(end)).sum();
    }
}

fn weight(end: &End) -> usize {
    1 + end.lines.len() + end.entries.as_ref().map_or(0, Vec::len)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::index::Ending;

    fn end(entries: usize) -> Arc<End> {
        let entry = Entry {
            interface: 0,
            stream: 0,
            epoch: EpochKey::default(),
            reset: false,
            low: 1,
            high: 2,
            datagrams: 2,
        };
        Arc::new(End {
            ending: Ending::Closed,
            bytes: 0,
            cut_bytes: 0,
            datagrams: 0,
            first_ns: 0,
            last_ns: 0,
            unrecorded: (0, 0),
            sync_interval_ns: 0,
            overrun_ns: 0,
            lines: Vec::new(),
            entries: Some(vec![entry; entries]),
        })
    }

    #[test]
    fn of_many_segments_the_newest_are_at_hand_and_no_more_than_there_is_room_for() {
        let name = |sequence| SegmentName {
            sequence,
            first_ns: sequence,
        };
        let mut ends = Ends::new(100);
        // As a search reads them, the newest first; and one that was closed later.
        for sequence in (1..=1000).rev().chain([1001]) {
            ends.insert(name(sequence), end(9));
            assert!(ends.weight <= 100);
        }
        let kept: Vec<_> = ends.by_name.keys().map(|name| name.sequence).collect();
        assert_eq!(kept, (992..=1001).collect::<Vec<_>>());
        ends.keep_only(&[name(995), name(2000)]);
        assert_eq!((ends.by_name.len(), ends.weight), (1, 10));
        ends.insert(name(3000), end(100));
        assert_eq!((ends.by_name.len(), ends.weight), (0, 0), "larger than all");
    }
}
