//! Where a number lies in a journal: the newest of its epochs that has it, and every line's copy of it there.

use std::collections::BTreeMap;
use std::io;

use lanecast_relay_core::{find, EpochKey, Protocol};
use serde::{Deserialize, Serialize};

use crate::index::{End, Entry};
use crate::reader::{each_copy, has_number, JournalReader, Wanted};
use crate::settings::LineName;

/// Where nothing names the epoch, copies of a number on several lines are of one epoch if they came within this time.
const COPIES_APART_NS: u64 = 10_000_000_000;

/// A block of the journal. What was recorded later has a higher one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    pub segment: u64,
    pub offset: u64,
}

/// Where a number was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Located {
    /// When its first and its last copy were received. `CLOCK_REALTIME`, nanoseconds.
    pub first_ns: u64,
    pub last_ns: u64,
    pub first: Position,
    pub last: Position,
    /// None where packets do not name it.
    pub epoch: Option<[u8; EpochKey::BYTES]>,
}

/// One line's copy.
#[derive(Clone, Debug)]
struct Copy {
    line: LineName,
    epoch: EpochKey,
    received_ns: u64,
    position: Position,
}

impl JournalReader {
    /// Where the newest epoch that has a number has it, or the one that is wanted.
    pub fn locate(&self, wanted: Wanted) -> io::Result<Option<Located>> {
        let mut found: Vec<Copy> = Vec::new();
        let mut wanted = wanted;
        for at in (0..self.segments.len()).rev() {
            let before = found.len();
            self.add_copies(at, wanted, &mut found)?;
            // The other line's copy may stand in the segment before.
            if found.len() == before && before > 0 {
                break;
            }
            if let Some(newest) = found.iter().max_by_key(|copy| copy.position).cloned() {
                if names_epochs(&newest.line) {
                    wanted.epoch = Some(newest.epoch);
                    found.retain(|copy| copy.epoch == newest.epoch);
                } else {
                    found = of_one_epoch(found, newest.received_ns);
                }
            }
        }
        Ok(located(&found))
    }

    fn add_copies(&self, at: usize, wanted: Wanted, found: &mut Vec<Copy>) -> io::Result<()> {
        let end = self.known_end(at)?;
        if end.is_none_or(|end| !may_have(&end, wanted)) {
            return Ok(());
        }
        let name = self.segments.get(at).copied();
        let Some(file) = name.map(|name| self.segment(name)).transpose()?.flatten() else {
            return Ok(());
        };
        let mut bytes = Vec::new();
        for chunk in &file.contents.chunks {
            if has_number(&file, chunk, wanted) {
                file.read(chunk, &mut bytes)?;
                each_copy(&file, &bytes, wanted, |start, block, packet| {
                    let line = file.contents.lines.get(block.interface as usize);
                    found.extend(line.map(|line| Copy {
                        line: line.clone(),
                        epoch: packet.epoch,
                        received_ns: block.received_ns,
                        position: Position {
                            segment: file.contents.sequence,
                            offset: chunk.offset.saturating_add(start as u64),
                        },
                    }));
                });
            }
        }
        Ok(())
    }
}

/// Whether a closed segment may have the number.
fn may_have(end: &End, wanted: Wanted) -> bool {
    let Some(entries) = &end.entries else {
        return true;
    };
    entries.iter().any(|entry: &Entry| {
        let line = end.lines.get(entry.interface as usize);
        let own = line.is_some_and(|line| wanted.is_on(&line.name));
        own && entry.stream == wanted.stream
            && wanted.epoch.is_none_or(|epoch| entry.epoch == epoch)
            && (entry.low..=entry.high).contains(&wanted.number)
    })
}

fn names_epochs(line: &LineName) -> bool {
    find(&line.protocol).is_some_and(Protocol::names_epochs)
}

/// Without a name, each line's last copy is the newest epoch's, unless that line was silent in it.
fn of_one_epoch(found: Vec<Copy>, newest_ns: u64) -> Vec<Copy> {
    let mut last: BTreeMap<LineName, Copy> = BTreeMap::new();
    for copy in found {
        if copy.received_ns.abs_diff(newest_ns) > COPIES_APART_NS {
            continue;
        }
        let known = last
            .entry(copy.line.clone())
            .or_insert_with(|| copy.clone());
        if known.position < copy.position {
            *known = copy;
        }
    }
    last.into_values().collect()
}

fn located(found: &[Copy]) -> Option<Located> {
    let times = || found.iter().map(|copy| copy.received_ns);
    let positions = || found.iter().map(|copy| copy.position);
    let any = found.first()?;
    Some(Located {
        first_ns: times().min()?,
        last_ns: times().max()?,
        first: positions().min()?,
        last: positions().max()?,
        epoch: names_epochs(&any.line).then_some(any.epoch.0),
    })
}
