//! What is recorded is read again: every byte, in the order of time, by number, within its bounds.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::{SystemTime, UNIX_EPOCH};

use common::{everything, files, line, mold, settings, settle, source, START_NS};
use lanecast_relay_core::EpochKey;
use lanecast_relay_journal::{
    show, Archive, Journal, JournalReader, JournalSettings, LineIdentity, Selection,
};

const SESSION: &[u8; 10] = b"SESSION001";

#[test]
fn every_datagram_comes_back_as_it_was_in_the_order_of_time() {
    let directory = tempfile::tempdir().unwrap();
    let mut recorder = Journal::open(settings(directory.path())).unwrap();
    let a = recorder.line(&line("A", "moldudp64"));
    let raw = recorder.line(&line("R", "raw"));
    let mut expected = Vec::new();
    let sizes = [0, 1, 2, 3, 4, 5, 1400, 9000, 65_507];
    for number in 0..9000u64 {
        let at_ns = START_NS + number * 1000;
        let size = sizes[number as usize % sizes.len()];
        let size = if number % 500 == 8 {
            size
        } else {
            size.min(1400)
        };
        // Line R comes in one batch with A, and its times lie before those of A that were recorded already.
        let packet = mold(SESSION, number + 1, &vec![number as u8; size.min(1000)]);
        let bytes: Vec<u8> = (0..size).map(|at| (at as u64 ^ number) as u8).collect();
        let other = "198.51.100.7:9".parse().unwrap();
        recorder.record(a, at_ns, source(), &packet);
        recorder.record(raw, at_ns - 70_500, other, &bytes);
        expected.push((at_ns, "A".to_owned(), source(), packet));
        expected.push((at_ns - 70_500, "R".to_owned(), other, bytes));
        if number % 64 == 63 {
            recorder.publish();
        }
        if number == 5000 {
            recorder.line(&line("late", "moldudp64")); // a line more, in the middle of a segment
        }
    }
    let late = recorder.line(&line("late", "moldudp64"));
    recorder.record(late, START_NS + 10_000_000, source(), b"odd");
    expected.push((
        START_NS + 10_000_000,
        "late".to_owned(),
        source(),
        b"odd".to_vec(),
    ));
    settle(&mut recorder);
    assert_eq!(recorder.counters().recorded, expected.len() as u64);
    expected.sort_by_key(|record| record.0);
    assert!(everything(directory.path()) == expected, "while it is open");
    let counters = recorder.close();
    assert_eq!(
        (counters.dropped, counters.failed, counters.errors.len()),
        (0, 0, 0)
    );
    assert!(counters.segments > 3);
    assert!(everything(directory.path()) == expected, "closed");
    let reader = JournalReader::open(directory.path()).unwrap();
    let from_ns = START_NS + 4_000_100;
    let part: Vec<_> = reader
        .records(Selection::default(), from_ns)
        .unwrap()
        .collect();
    assert_eq!(
        part.len(),
        expected.iter().filter(|record| record.0 >= from_ns).count()
    );
    let only = Selection {
        lines: vec!["late".to_owned()],
        ..Selection::default()
    };
    let only: Vec<_> = reader
        .records(only, 0)
        .unwrap()
        .map(|record| record.unwrap())
        .collect();
    assert_eq!(only.len(), 1);
    assert_eq!(only[0].datagram(), b"odd");
    assert_eq!(only[0].line.protocol, "moldudp64");
}

#[test]
fn a_packet_is_found_by_number_while_the_journal_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let mut recorder = Journal::open(settings(directory.path())).unwrap();
    let a = recorder.line(&line("A", "moldudp64"));
    let b = recorder.line(&line("B", "moldudp64"));
    let other = recorder.line(&LineIdentity {
        channel: "other".to_owned(),
        ..line("A", "moldudp64")
    });
    let mut archive = Archive::open(directory.path()).unwrap();
    let epoch = EpochKey(*SESSION);
    let there = |number: u64| {
        let lost = number % 35 == 0 || number == 7777;
        (!lost).then(|| mold(SESSION, number, &number.to_be_bytes()))
    };
    let mut get =
        |channel: &str, epoch, number| archive.packet("quotes", channel, 0, epoch, number).unwrap();
    for number in 1..=20_000u64 {
        let packet = mold(SESSION, number, &number.to_be_bytes());
        let at_ns = START_NS + number;
        // Each line loses some, and 7777 is on neither.
        if number % 5 != 0 && number != 7777 {
            recorder.record(a, at_ns, source(), &packet);
        }
        if number % 7 != 0 && number != 7777 {
            recorder.record(b, at_ns, source(), &packet);
        }
        recorder.record(
            other,
            at_ns,
            source(),
            &mold(b"SESSION002", number, b"elsewhere"),
        );
        if number % 2000 == 0 {
            settle(&mut recorder);
            for wanted in [1, number / 2 + 1, number - 1] {
                assert_eq!(get("main", epoch, wanted), there(wanted), "{wanted}");
            }
            assert_eq!(get("main", epoch, number + 1), None);
        }
    }
    recorder.close();
    for wanted in (1..=20_000u64).step_by(37) {
        assert_eq!(get("main", epoch, wanted), there(wanted), "{wanted}");
    }
    assert_eq!(get("main", EpochKey(*b"SESSION002"), 100), None);
    assert!(get("other", EpochKey(*b"SESSION002"), 100).is_some());
    assert_eq!(get("nowhere", epoch, 100), None);
}

#[test]
fn after_a_reset_in_band_the_numbers_before_it_are_another_epochs() {
    let directory = tempfile::tempdir().unwrap();
    let mut recorder = Journal::open(settings(directory.path())).unwrap();
    let a = recorder.line(&line("A", "mitch"));
    let mitch = |number: u32, mark: u8| {
        let mut packet = vec![11, 0, 1, 3];
        packet.extend(number.to_le_bytes());
        packet.extend([3, 0x41, mark]);
        packet
    };
    for number in 1..=50_000u32 {
        recorder.record(
            a,
            START_NS + u64::from(number),
            source(),
            &mitch(number, b'x'),
        );
    }
    for number in 1..=100u32 {
        recorder.record(
            a,
            START_NS + 60_000 + u64::from(number),
            source(),
            &mitch(number, b'y'),
        );
    }
    settle(&mut recorder);
    recorder.close();
    let mut archive = Archive::open(directory.path()).unwrap();
    let mut get = |number| {
        archive
            .packet("quotes", "main", 3, EpochKey::default(), number)
            .unwrap()
    };
    assert_eq!(get(40), Some(mitch(40, b'y')));
    assert_eq!(get(100), Some(mitch(100, b'y')));
    assert_eq!(get(101), None, "it was sent before the reset only");
    assert_eq!(get(45_000), None);
    let since = archive.find(
        "quotes",
        "main",
        3,
        EpochKey::default(),
        40,
        START_NS + 60_041,
    );
    assert_eq!(since.unwrap(), None);
}

#[test]
fn it_keeps_within_its_bounds_of_bytes_and_age() {
    let directory = tempfile::tempdir().unwrap();
    let bounded = JournalSettings {
        max_bytes: 900_000,
        segment_bytes: 128 << 10,
        ..settings(directory.path())
    };
    let on_disk = || {
        let sizes = ["pcapng", "index"].map(|extension| {
            let files = files(directory.path(), extension);
            files
                .iter()
                .map(|path| std::fs::metadata(path).map_or(0, |it| it.len()))
                .sum::<u64>()
        });
        sizes[0] + sizes[1]
    };
    let mut recorder = Journal::open(bounded.clone()).unwrap();
    let a = recorder.line(&line("A", "moldudp64"));
    for number in 1..=40_000u64 {
        recorder.record(
            a,
            START_NS + number,
            source(),
            &mold(SESSION, number, &[7; 100]),
        );
        if number % 1000 == 0 {
            settle(&mut recorder);
            assert!(on_disk() <= bounded.max_bytes, "{}", on_disk());
        }
    }
    let counters = recorder.close();
    assert!(counters.segments_opened > 40);
    assert!(on_disk() > bounded.max_bytes / 2);
    let left = everything(directory.path());
    assert_eq!(left.last().unwrap().0, START_NS + 40_000);
    assert_eq!(
        left.len() as u64,
        40_000 - (left[0].0 - START_NS) + 1,
        "the oldest went, no other"
    );
    // Also between two syncs, when only full buffers are written.
    let rarely = JournalSettings {
        sync_interval_ns: 3_600_000_000_000,
        queue_bytes: 1 << 20,
        ..bounded.clone()
    };
    let mut recorder = Journal::open(rarely).unwrap();
    let a = recorder.line(&line("A", "moldudp64"));
    let packet = mold(SESSION, 1, &[7; 100]);
    for number in 1..=20_000u64 {
        // Where all four buffers wait for the disk, so does this: the disk is never behind by more than they hold.
        while recorder.counters().recorded < number {
            recorder.record(a, START_NS + 40_000 + number, source(), &packet);
        }
        if number % 1000 == 0 {
            assert!(on_disk() <= bounded.max_bytes, "{}", on_disk());
        }
    }
    assert!(recorder.counters().segments_opened > 15);
    drop(recorder.close());
    // Nothing of 2023 is young enough for a minute.
    let young = JournalSettings {
        max_age_ns: 60_000_000_000,
        ..bounded
    };
    let mut recorder = Journal::open(young.clone()).unwrap();
    assert_eq!(files(directory.path(), "pcapng").len(), 0);
    let now_ns = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_nanos() as u64;
    let a = recorder.line(&line("A", "moldudp64"));
    recorder.record(a, now_ns, source(), b"young");
    recorder.close();
    let recorder = Journal::open(young).unwrap();
    assert_eq!(recorder.counters().oldest_ns, now_ns);
    assert_eq!(everything(directory.path()).len(), 1);
}

#[test]
fn two_relays_never_write_one_journal_and_a_reader_does_not_mind() {
    let directory = tempfile::tempdir().unwrap();
    let recorder = Journal::open(settings(directory.path())).unwrap();
    let second = Journal::open(settings(directory.path()));
    assert!(second.err().unwrap().to_string().contains("another relay"));
    assert!(show(directory.path()).unwrap().is_written);
    drop(recorder.close());
    assert!(!show(directory.path()).unwrap().is_written);
    Journal::open(settings(directory.path())).unwrap();
}

#[test]
fn what_finds_no_room_is_dropped_and_counted_and_the_journal_says_so() {
    let directory = tempfile::tempdir().unwrap();
    // No sync within the test, so that nothing comes back before the queue is full.
    let small = JournalSettings {
        queue_bytes: 1 << 20,
        sync_interval_ns: 3_600_000_000_000,
        ..settings(directory.path())
    };
    let mut recorder = Journal::open(small).unwrap();
    let a = recorder.line(&line("A", "moldudp64"));
    let mut number = 0;
    while recorder.counters().dropped < 100 {
        number += 1;
        recorder.record(
            a,
            START_NS + number,
            source(),
            &mold(SESSION, number, &[0; 60_000]),
        );
        recorder.publish();
    }
    let counters = recorder.close();
    assert_eq!(counters.recorded + counters.dropped, number);
    assert_eq!(counters.recorded, counters.written);
    assert_eq!(everything(directory.path()).len() as u64, counters.recorded);
    let segments = show(directory.path()).unwrap().segments;
    let said: u64 = segments
        .iter()
        .map(|segment| segment.unrecorded_datagrams)
        .sum();
    assert_eq!(said, counters.dropped);
}
