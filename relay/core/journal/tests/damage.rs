//! Torn and damaged files: what is whole is read, nothing is invented, and nothing panics.

#![allow(clippy::unwrap_used)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{everything, files, line, mold, settings, settle, source, START_NS};
use lanecast_relay_core::EpochKey;
use lanecast_relay_journal::index::{Decoder, MAGIC};
use lanecast_relay_journal::pcapng::Blocks;
use lanecast_relay_journal::{show, Archive, Contents, Journal, JournalSettings};
use proptest::prelude::*;

type All = Vec<(u64, String, std::net::SocketAddrV4, Vec<u8>)>;

/// One segment of two lines, its files' bytes, and what it holds.
fn journal(directory: &Path) -> (PathBuf, PathBuf, All) {
    let mut recorder = Journal::open(settings(directory)).unwrap();
    let lines = ["A", "B"].map(|name| recorder.line(&line(name, "moldudp64")));
    for number in 1..=2000u64 {
        let packet = mold(b"SESSION001", number, &number.to_be_bytes().repeat(4));
        recorder.record(
            lines[number as usize % 2],
            START_NS + number,
            source(),
            &packet,
        );
    }
    settle(&mut recorder);
    recorder.close();
    let data = files(directory, "pcapng").remove(0);
    (
        data.clone(),
        data.with_extension("index"),
        everything(directory),
    )
}

fn find(directory: &Path, number: u64) -> Option<Vec<u8>> {
    let mut archive = Archive::open(directory).unwrap();
    archive
        .packet("quotes", "main", 0, EpochKey(*b"SESSION001"), number)
        .unwrap()
}

#[test]
fn an_index_that_is_gone_or_torn_anywhere_is_made_up_for() {
    let directory = tempfile::tempdir().unwrap();
    let (_, index, all) = journal(directory.path());
    assert_eq!(all.len(), 2000);
    let whole = fs::read(&index).unwrap();
    let step = whole.len() / 97;
    for length in (0..whole.len()).step_by(step.max(1)) {
        fs::write(&index, &whole[..length]).unwrap();
        assert!(everything(directory.path()) == all, "cut to {length}");
        assert_eq!(
            find(directory.path(), 1999),
            Some(all[1998].3.clone()),
            "cut to {length}"
        );
    }
    fs::remove_file(&index).unwrap();
    assert!(everything(directory.path()) == all);
    drop(Journal::open(settings(directory.path())).unwrap().close());
    assert!(everything(directory.path()) == all, "repaired");
    let report = show(directory.path()).unwrap();
    assert_eq!(report.segments[0].state, "recovered");
    assert_eq!(
        report
            .lines
            .iter()
            .map(|line| line.datagrams)
            .collect::<Vec<_>>(),
        [1000, 1000]
    );
}

#[test]
fn a_segment_that_is_torn_anywhere_keeps_what_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let (data, index, all) = journal(directory.path());
    let (whole, told) = (fs::read(&data).unwrap(), fs::read(&index).unwrap());
    for seed in 0..60usize {
        let length = 2000 + (seed * 7919 * 131) % (whole.len() - 2000);
        fs::write(&data, &whole[..length]).unwrap();
        // As a crash leaves it: not closed, and here and there without an index.
        fs::write(&index, &told[..if seed % 3 == 0 { 0 } else { 60 }]).unwrap();
        let left = everything(directory.path());
        assert!(left == all[..left.len()], "torn at {length}");
        drop(Journal::open(settings(directory.path())).unwrap().close());
        assert!(
            everything(directory.path()) == left,
            "repaired after {length}"
        );
        let segment = show(directory.path()).unwrap().segments.remove(0);
        assert_eq!(segment.state, "recovered");
        let cut = length as u64 - fs::metadata(&data).unwrap().len();
        assert_eq!(segment.torn_bytes, cut);
        assert!(cut < 128, "no more than one block was torn");
    }
}

#[test]
fn pages_that_a_power_cut_lost_end_the_segment_where_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let (data, index, all) = journal(directory.path());
    let mut bytes = fs::read(&data).unwrap();
    let told = fs::read(&index).unwrap();
    bytes[100_000..104_096].fill(0);
    fs::write(&data, bytes).unwrap();
    // All but the records that close it: the index speaks of chunks that are not there.
    let end = told.len() - 17;
    let offset = u64::from_le_bytes(told[told.len() - 8..].try_into().unwrap()) as usize;
    assert!(offset < end);
    fs::write(&index, &told[..offset]).unwrap();
    drop(Journal::open(settings(directory.path())).unwrap().close());
    let left = everything(directory.path());
    assert!(left.len() > 500 && left.len() < 1500 && left == all[..left.len()]);
}

#[test]
fn a_segment_without_a_datagram_goes_when_the_journal_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let (data, index, _) = journal(directory.path());
    fs::write(&data, &fs::read(&data).unwrap()[..100]).unwrap();
    fs::write(&index, MAGIC).unwrap();
    assert_eq!(everything(directory.path()).len(), 0);
    drop(Journal::open(settings(directory.path())).unwrap().close());
    assert_eq!(files(directory.path(), "pcapng").len(), 0);
    assert_eq!(files(directory.path(), "index").len(), 0);
}

#[test]
fn the_directory_may_go_and_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("journal");
    let quick = JournalSettings {
        sync_interval_ns: 1_000_000,
        ..settings(&inner)
    };
    let mut recorder = Journal::open(quick).unwrap();
    let a = recorder.line(&line("A", "moldudp64"));
    let packet = |number: u64| mold(b"SESSION001", number, b"body");
    recorder.record(a, START_NS, source(), &packet(1));
    settle(&mut recorder);
    fs::remove_dir_all(&inner).unwrap();
    let began = std::time::Instant::now();
    // Nothing more comes, and it is noticed all the same.
    while recorder.counters().errors.is_empty() {
        std::thread::yield_now();
        assert!(began.elapsed().as_secs() < 60, "{:?}", recorder.counters());
    }
    let mut number = 1;
    while recorder.counters().segments_opened < 2 || recorder.counters().state != "writing" {
        number += 1;
        recorder.record(a, START_NS + number, source(), &packet(number));
        recorder.publish();
        std::thread::yield_now();
        assert!(began.elapsed().as_secs() < 60, "{:?}", recorder.counters());
    }
    settle(&mut recorder);
    let counters = recorder.close();
    assert!(counters.errors["ENOENT"] >= 1);
    let left = everything(&inner);
    assert_eq!(left.last().unwrap().3, packet(number));
    assert!(left.len() as u64 <= counters.written);
}

proptest! {
    #[test]
    fn no_bytes_make_the_readers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut blocks = Blocks::new(&bytes);
        let count = blocks.by_ref().count();
        prop_assert!(blocks.end() <= bytes.len() && count * 12 <= bytes.len());
        let mut records = Decoder::new(&bytes);
        let _ = records.by_ref().count();
        prop_assert!(records.end() <= bytes.len());
        let contents = Contents::of(&[MAGIC, &bytes[..]].concat(), &bytes);
        prop_assert_eq!(contents.times(), None);
    }

    #[test]
    fn changed_bytes_make_no_datagrams(changes in proptest::collection::vec((any::<u32>(), any::<u8>()), 1..40)) {
        static SOUND: std::sync::OnceLock<(Vec<u8>, Vec<u8>)> = std::sync::OnceLock::new();
        let (data, index) = SOUND.get_or_init(|| {
            let directory = tempfile::tempdir().unwrap();
            let (data, index, _) = journal(directory.path());
            (fs::read(data).unwrap(), fs::read(index).unwrap())
        });
        let (mut data, mut index) = (data.clone(), index.clone());
        for (place, value) in changes {
            let place = place as usize % (data.len() + index.len());
            match data.get_mut(place) {
                Some(byte) => *byte = value,
                None => index[place - data.len()] = value,
            }
        }
        let contents = Contents::of(&index, &data);
        let datagrams: u64 = contents.chunks.iter().map(|chunk| chunk.datagrams).sum();
        prop_assert!(datagrams <= 2000);
        prop_assert!(contents.chunks.iter().all(|chunk| chunk.end() <= data.len() as u64));
    }

    #[test]
    fn a_changed_byte_is_refused_or_changes_nothing_else(place in 0usize..10_000, value in 1u8..) {
        let directory = tempfile::tempdir().unwrap();
        let mut recorder = Journal::open(settings(directory.path())).unwrap();
        let a = recorder.line(&line("A", "moldudp64"));
        for number in 1..=20u64 {
            recorder.record(a, START_NS + number, source(), &mold(b"SESSION001", number, b"x"));
        }
        recorder.close();
        let index = files(directory.path(), "index").remove(0);
        let mut bytes = fs::read(&index).unwrap();
        let place = place % bytes.len();
        bytes[place] ^= value;
        fs::write(&index, bytes).unwrap();
        prop_assert_eq!(everything(directory.path()).len(), 20);
    }
}

/// One record of an index, framed as `docs/journal-format.md` has it.
fn record(payload: &[u8]) -> Vec<u8> {
    let mut framed = (payload.len() as u32).to_le_bytes().to_vec();
    framed.extend(crc32fast::hash(payload).to_le_bytes());
    framed.extend(payload);
    framed
}

#[test]
fn an_index_that_tells_of_more_than_the_segment_has_is_not_believed() {
    let directory = tempfile::tempdir().unwrap();
    let (_, index, all) = journal(directory.path());
    for (offset, bytes) in [(0, 1 << 60), (u64::MAX, 1), (0, u64::MAX), (7, 100)] {
        let mut chunk = vec![3];
        for number in [offset, bytes, 0, 1, 0, u64::MAX, 1, 0, 1, 0] {
            chunk.extend(u64::to_le_bytes(number));
        }
        fs::write(&index, [&MAGIC[..], &record(&chunk)].concat()).unwrap();
        assert!(everything(directory.path()) == all, "{offset} {bytes}");
        assert!(show(directory.path()).is_ok());
        assert_eq!(
            find(directory.path(), 1999),
            Some(all[1998].3.clone()),
            "{offset} {bytes}"
        );
    }
}
