//! Any bytes as a journal's segment and index: whatever reads a journal says what stands there, or that it cannot.
//!
//! The input is a segment and the records of its index without their frames, which are put around them here: the checksum of
//! a record would else keep everything but the frames from being tried.

use std::fs;
use std::path::Path;

use lanecast_relay_core::EpochKey;
use lanecast_relay_journal::index::MAGIC;
use lanecast_relay_journal::{
    repair_all, show, Archive, Contents, JournalReader, Selection, Wanted,
};

use crate::input::Input;

const SEGMENT: &str = "0000000001-01700000000000000000";
const EPOCH: EpochKey = EpochKey(*b"SESSION001");

/// More than any reader may make of a few kilobytes.
const MOST_RECORDS: usize = 10_000;

/// A segment and an index as a fuzzer may change them: see [`unpack`].
#[must_use]
pub fn pack(segment: &[u8], index: &[u8]) -> Vec<u8> {
    let mut packed = (segment.len() as u16).to_be_bytes().to_vec();
    packed.extend(segment);
    let mut rest = index.strip_prefix(MAGIC).unwrap_or_default();
    while let Some((head, records)) = rest.split_at_checked(8) {
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let (payload, after) = records.split_at(length.min(records.len()));
        packed.extend((length as u16).to_be_bytes());
        packed.extend(payload);
        rest = after;
    }
    packed
}

fn unpack(data: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let input = &mut Input::new(data);
    let length = usize::from(input.two_bytes());
    let segment = input.bytes(length).to_vec();
    let mut index = MAGIC.to_vec();
    while !input.is_empty() {
        let length = usize::from(input.two_bytes());
        let payload = input.bytes(length);
        index.extend((payload.len() as u32).to_le_bytes());
        index.extend(crc32fast::hash(payload).to_le_bytes());
        index.extend(payload);
    }
    (segment, index)
}

/// Read by everything, repaired as at the start of a relay, and read again.
pub fn check(data: &[u8]) {
    let (segment, index) = unpack(data);
    let _ = Contents::of(&index, &segment);
    let directory = tempfile::tempdir_in("/dev/shm").expect("there is shared memory");
    let path = directory.path();
    let write = |kind: &str, bytes: &[u8]| {
        fs::write(path.join(format!("{SEGMENT}.{kind}")), bytes).expect("it was made a moment ago");
    };
    write("pcapng", &segment);
    write("index", &index);
    read(path, &segment);
    let _ = repair_all(path);
    let repaired = read(path, &segment);
    let _ = repair_all(path);
    assert!(
        repaired == read(path, &segment),
        "what is repaired stays as it is"
    );

    // Without an index the segment speaks for itself, before it is repaired and after.
    write("pcapng", &segment);
    fs::remove_file(path.join(format!("{SEGMENT}.index"))).unwrap_or_default();
    let alone = read(path, &segment);
    let _ = repair_all(path);
    assert!(
        alone == read(path, &segment),
        "repairing loses nothing and invents nothing"
    );
}

/// Every datagram that a reader gives, with its time. What a damaged journal cannot give is an error, and no panic.
fn read(path: &Path, segment: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let _ = show(path);
    let reader = JournalReader::open(path).expect("the directory is there");
    let _ = reader.times();
    let _ = reader.lines();
    let mut archive = Archive::open(path).expect("the directory is there");
    for number in [0, 1, 2, 5, u64::MAX] {
        let _ = reader.locate(Wanted {
            feed: "quotes",
            channel: "main",
            line: None,
            stream: 0,
            epoch: Some(EPOCH),
            number,
        });
        if let Ok(Some(packet)) = archive.packet("quotes", "main", 0, EPOCH, number) {
            assert!(
                stands_in(segment, &packet),
                "a packet that was never recorded"
            );
        }
    }
    let mut given = Vec::new();
    if let Ok(records) = reader.records(Selection::default(), 0) {
        for record in records.take(MOST_RECORDS).map_while(Result::ok) {
            assert!(
                stands_in(segment, record.datagram()),
                "a datagram that was never recorded"
            );
            given.push((record.received_ns, record.datagram().to_vec()));
        }
    }
    assert!(
        given.len() < MOST_RECORDS,
        "more than the segment has room for"
    );
    given
}

fn stands_in(segment: &[u8], bytes: &[u8]) -> bool {
    bytes.is_empty() || segment.windows(bytes.len()).any(|part| part == bytes)
}
