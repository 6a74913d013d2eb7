//! Journals to test with, and what must stand in them.
#![allow(dead_code)] // each test file uses a part
#![allow(clippy::unwrap_used)]

use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};

use lanecast_relay_core::find;
use lanecast_relay_journal::{JournalReader, JournalSettings, LineIdentity, Recorder, Selection};

pub const START_NS: u64 = 1_700_000_000_000_000_000;

pub fn settings(directory: &Path) -> JournalSettings {
    JournalSettings {
        directory: directory.to_owned(),
        max_bytes: 1 << 30,
        max_age_ns: u64::MAX / 2,
        segment_bytes: 1 << 20,
        sync_interval_ns: 5_000_000,
        queue_bytes: 32 << 20,
    }
}

pub fn line(name: &str, protocol: &str) -> LineIdentity {
    LineIdentity {
        feed: "quotes".to_owned(),
        channel: "main".to_owned(),
        line: name.to_owned(),
        protocol: find(protocol).unwrap(),
        endpoint: "239.10.1.1:20001".parse().unwrap(),
    }
}

pub fn source() -> SocketAddrV4 {
    "192.0.2.1:31001".parse().unwrap()
}

/// A MoldUDP64 packet of one message, from its specification.
pub fn mold(session: &[u8; 10], number: u64, body: &[u8]) -> Vec<u8> {
    let mut packet = session.to_vec();
    packet.extend(number.to_be_bytes());
    packet.extend(1u16.to_be_bytes());
    packet.extend((body.len() as u16).to_be_bytes());
    packet.extend(body);
    packet
}

/// What `examples/record.rs` makes of a number.
pub fn recorded(number: u64, bytes: usize) -> Vec<u8> {
    let mut body = number
        .wrapping_mul(0x9E37_79B9_7F4A_7C15)
        .to_be_bytes()
        .to_vec();
    body.resize((bytes - 22).max(8), number as u8);
    mold(b"SESSION001", number, &body)
}

/// Everything that a journal has: time, line, source, bytes.
pub fn everything(directory: &Path) -> Vec<(u64, String, SocketAddrV4, Vec<u8>)> {
    let reader = JournalReader::open(directory).unwrap();
    let records = reader.records(Selection::default(), 0).unwrap();
    records
        .map(|record| {
            let record = record.unwrap();
            let bytes = record.datagram().to_vec();
            (
                record.received_ns,
                record.line.line.clone(),
                record.source,
                bytes,
            )
        })
        .collect()
}

/// Wait until all that was published is on disk, or counted as lost.
pub fn settle(recorder: &mut Recorder) {
    recorder.publish();
    loop {
        let counters = recorder.counters();
        if counters.recorded == counters.written + counters.failed {
            return;
        }
        std::thread::yield_now();
    }
}

/// The recorder of `examples/`, which cargo builds for tests.
pub fn example(name: &str) -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let example = tests
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples")
        .join(name);
    assert!(
        example.exists(),
        "cargo test makes it, cargo test --test does not"
    );
    example
}

pub fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == extension));
    paths.sort();
    paths
}
