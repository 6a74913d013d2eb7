//! What a journal holds, for people and programs: segments, lines, ranges of numbers, and what is missing.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::Serialize;

use crate::calls::{is_locked, realtime_ns};
use crate::directory::SegmentName;
use crate::index::{End, Ending, Entry};
use crate::reader::{merged, JournalReader};
use crate::repair::read_end;
use crate::settings::LineName;
use crate::writer::LOCK;

/// A whole journal.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub directory: String,
    /// A relay writes it now.
    pub is_written: bool,
    pub segments: Vec<SegmentReport>,
    pub lines: Vec<LineReport>,
}

#[derive(Clone, Debug, Serialize)]
pub struct SegmentReport {
    pub file: String,
    pub sequence: u64,
    /// `closed`, `open` (it is being written), `torn` (its writer died and it was not yet repaired), `recovered` (it was),
    /// or `failed` (the disk refused to take more).
    pub state: &'static str,
    pub bytes: u64,
    pub datagrams: u64,
    /// The earliest and latest receive time. `CLOCK_REALTIME`, nanoseconds.
    pub first_ns: u64,
    pub last_ns: u64,
    /// At the end, what is no whole block, or was before it was cut off.
    pub torn_bytes: u64,
    /// What the relay could not record while it wrote this segment.
    pub unrecorded_datagrams: u64,
    pub unrecorded_bytes: u64,
    /// Where the writer died, or the disk failed: datagrams that came at most so long after `last_ns` may be missing. Those
    /// that a failing disk refused are among the unrecorded ones of later segments, once there is one.
    pub missing_at_most_ns: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
pub struct LineReport {
    #[serde(flatten)]
    pub name: LineName,
    pub datagrams: u64,
    pub streams: Vec<StreamReport>,
}

#[derive(Clone, Debug, Serialize)]
pub struct StreamReport {
    pub stream: u64,
    /// As the packets name it, in hexadecimal; empty where they do not.
    pub epoch: String,
    pub lowest: u64,
    pub highest: u64,
    pub datagrams: u64,
}

/// Look at a journal.
pub fn show(directory: &Path) -> io::Result<Report> {
    let reader = JournalReader::open(directory)?;
    let is_written = is_locked(&directory.join(LOCK))?;
    let mut segments = Vec::new();
    let mut lines: BTreeMap<LineName, (u64, Vec<Entry>)> = BTreeMap::new();
    let newest = reader.segments.last();
    // A segment that failed is followed by the first that did not, and by nothing yet while the disk still fails.
    let next = reader.segments.iter().skip(1).map(|name| name.first_ns);
    let next = next.chain([realtime_ns()]);
    for (name, next_ns) in reader.segments.iter().zip(next) {
        let closed = read_end(directory, *name)?.is_some();
        let Some(end) = reader.end(*name)? else {
            continue;
        };
        let is_open = is_written && newest == Some(name);
        segments.push(segment(*name, &end, closed, is_open, next_ns));
        for (interface, line) in end.lines.iter().enumerate() {
            let (datagrams, entries) = lines.entry(line.name.clone()).or_default();
            *datagrams = datagrams.saturating_add(line.datagrams);
            let own = end.entries.iter().flatten();
            let own = own.filter(|entry| entry.interface as usize == interface);
            // Interfaces are numbered by segment; a line is known by its name here.
            let own = own.map(|entry| Entry {
                interface: 0,
                ..*entry
            });
            let known = std::mem::take(entries);
            let all: Vec<Entry> = known.into_iter().chain(own).collect();
            *entries = merged(all.iter());
        }
    }
    Ok(Report {
        directory: directory.display().to_string(),
        is_written,
        segments,
        lines: lines.into_iter().map(line).collect(),
    })
}

fn segment(
    name: SegmentName,
    end: &End,
    closed: bool,
    is_open: bool,
    next_ns: u64,
) -> SegmentReport {
    let state = match (closed, end.ending) {
        (true, Ending::Closed) => "closed",
        (true, Ending::Recovered) => "recovered",
        (true, Ending::Failed) => "failed",
        (false, _) if is_open => "open",
        (false, _) => "torn",
    };
    let missing_at_most_ns = match state {
        "torn" | "recovered" => Some(end.sync_interval_ns.saturating_add(end.overrun_ns)),
        "failed" => Some(next_ns.saturating_sub(end.last_ns)),
        _ => None,
    };
    SegmentReport {
        file: format!("{}.pcapng", name.stem()),
        sequence: name.sequence,
        state,
        bytes: end.bytes,
        datagrams: end.datagrams,
        first_ns: end.first_ns,
        last_ns: end.last_ns,
        torn_bytes: if state == "open" { 0 } else { end.cut_bytes },
        unrecorded_datagrams: end.unrecorded.0,
        unrecorded_bytes: end.unrecorded.1,
        missing_at_most_ns,
    }
}

fn line((name, (datagrams, entries)): (LineName, (u64, Vec<Entry>))) -> LineReport {
    let stream = |entry: &Entry| StreamReport {
        stream: entry.stream,
        epoch: epoch_text(&entry.epoch.0),
        lowest: entry.low,
        highest: entry.high,
        datagrams: entry.datagrams,
    };
    LineReport {
        name,
        datagrams,
        streams: entries.iter().map(stream).collect(),
    }
}

fn epoch_text(epoch: &[u8]) -> String {
    let used = epoch.iter().rposition(|byte| *byte != 0);
    let used = epoch.iter().take(used.map_or(0, |last| last + 1));
    used.map(|byte| format!("{byte:02x}")).collect()
}
