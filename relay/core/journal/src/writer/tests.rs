//! The writer in a time of its own, on a disk that fails when it is told to.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use lanecast_relay_core::{find, EpochKey};
use tempfile::TempDir;

use super::*;
use crate::archive::Archive;
use crate::recorder::{JournalCounters, LineHandle, Recorder, Running};
use crate::settings::LineIdentity;
use crate::show::{show, SegmentReport};
use crate::{JournalReader, Selection};

const SECOND_NS: u64 = 1_000_000_000;
const INTERVAL_NS: u64 = 100_000_000;
const START_NS: u64 = 1_700_000_000 * SECOND_NS;

#[derive(Clone, Default)]
struct Fake(Arc<Mutex<FakeState>>);

#[derive(Default)]
struct FakeState {
    realtime_ns: u64,
    monotonic_ns: u64,
    /// How long each sync takes, and the errno with which it ends.
    sync_takes_ns: u64,
    sync_ends_with: Option<i32>,
}

impl Fake {
    fn state(&self) -> MutexGuard<'_, FakeState> {
        self.0.lock().unwrap()
    }

    fn pass(&self, ns: u64) {
        let mut state = self.state();
        state.realtime_ns += ns;
        state.monotonic_ns += ns;
    }
}

impl Machine for Fake {
    fn realtime_ns(&self) -> u64 {
        self.state().realtime_ns
    }

    fn monotonic_ns(&self) -> u64 {
        self.state().monotonic_ns
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        let (takes_ns, ends_with) = {
            let state = self.state();
            (state.sync_takes_ns, state.sync_ends_with)
        };
        self.pass(takes_ns);
        match ends_with {
            Some(errno) => Err(io::Error::from_raw_os_error(errno)),
            None => file.sync_data(),
        }
    }
}

/// A recorder and its writer, one step after the other.
struct Rig {
    machine: Fake,
    recorder: Recorder,
    line: LineHandle,
    running: Running,
    number: u64,
}

impl Rig {
    fn open(settings: JournalSettings) -> Self {
        let machine = Fake::default();
        machine.state().realtime_ns = START_NS;
        Self::on(machine, settings).unwrap()
    }

    fn on(machine: Fake, settings: JournalSettings) -> io::Result<Self> {
        let (mut recorder, running) = Recorder::with_writer(settings, Box::new(machine.clone()))?;
        let line = recorder.line(&LineIdentity {
            feed: "quotes".to_owned(),
            channel: "main".to_owned(),
            line: "A".to_owned(),
            protocol: find("moldudp64").unwrap(),
            endpoint: "239.10.1.1:20001".parse().unwrap(),
        });
        Ok(Self {
            machine,
            recorder,
            line,
            running,
            number: 0,
        })
    }

    /// The next `count` numbers come, now.
    fn record(&mut self, count: u64) {
        for _ in 0..count {
            self.number += 1;
            let at_ns = self.machine.realtime_ns();
            let source = "192.0.2.1:31001".parse().unwrap();
            self.recorder
                .record(self.line, at_ns, source, &packet(self.number));
        }
        self.recorder.publish();
    }

    fn round(&mut self) {
        let Running {
            writer, full, free, ..
        } = &mut self.running;
        writer.on_time_to_sync(full, free);
    }

    fn counters(&self) -> JournalCounters {
        self.recorder.counters()
    }

    /// Recorded, written, failed.
    fn sums(&self) -> (u64, u64, u64) {
        let counters = self.counters();
        (counters.recorded, counters.written, counters.failed)
    }

    fn finish(mut self) -> JournalCounters {
        self.round();
        let Self {
            recorder, running, ..
        } = self;
        running.writer.finish();
        recorder.counters()
    }
}

/// MoldUDP64: one message.
fn packet(number: u64) -> Vec<u8> {
    let mut packet = b"SESSION001".to_vec();
    packet.extend(number.to_be_bytes());
    packet.extend([0, 1, 0, 8]);
    packet.extend(number.to_be_bytes());
    packet
}

fn settings(directory: &Path) -> JournalSettings {
    JournalSettings {
        directory: directory.to_owned(),
        max_bytes: 1 << 30,
        max_age_ns: 3600 * SECOND_NS,
        segment_bytes: 1 << 20,
        sync_interval_ns: INTERVAL_NS,
        queue_bytes: 1 << 20,
    }
}

/// The numbers that a reader finds.
fn numbers(directory: &Path) -> Vec<u64> {
    let reader = JournalReader::open(directory).unwrap();
    let records = reader.records(Selection::default(), 0).unwrap();
    let number = |bytes: &[u8]| u64::from_be_bytes(bytes[10..18].try_into().unwrap());
    records
        .map(|record| number(record.unwrap().datagram()))
        .collect()
}

fn segments_shown(directory: &Path) -> Vec<SegmentReport> {
    show(directory).unwrap().segments
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn what_a_crash_may_cost_is_reckoned_from_where_a_sync_begins_and_with_the_longest() {
    let folder = directory();
    let mut rig = Rig::open(settings(folder.path()));
    rig.record(1);
    rig.machine.pass(INTERVAL_NS);
    rig.machine.state().sync_takes_ns = 2 * SECOND_NS;
    rig.round(); // from 0.1 s to 2.1 s
    assert_eq!(rig.running.writer.due_ns, 2 * INTERVAL_NS);
    rig.record(1);
    rig.round(); // from 2.1 s to 4.1 s: what came just after 0.1 s is safe only now
    assert_eq!(rig.running.writer.due_ns, 2 * SECOND_NS + 2 * INTERVAL_NS);
    rig.machine.state().sync_takes_ns = 1_500_000;
    rig.record(1);
    rig.round();
    let stated = Some(4 * SECOND_NS);
    assert_eq!(
        segments_shown(folder.path())[0].missing_at_most_ns,
        None,
        "open"
    );
    drop(rig); // as a crash leaves it
    let torn = segments_shown(folder.path()).remove(0);
    assert_eq!((torn.state, torn.missing_at_most_ns), ("torn", stated));
    let rig = Rig::open(settings(folder.path()));
    let recovered = segments_shown(folder.path()).remove(0);
    assert_eq!(
        (recovered.state, recovered.missing_at_most_ns),
        ("recovered", stated)
    );
    drop(rig);
}

#[test]
fn a_quick_disk_costs_the_interval_and_a_millisecond() {
    let folder = directory();
    let mut rig = Rig::open(settings(folder.path()));
    rig.machine.state().sync_takes_ns = 300_000;
    for _ in 0..50 {
        rig.record(3);
        let left_ns = rig.running.writer.due_ns - rig.machine.monotonic_ns();
        rig.machine.pass(left_ns);
        rig.round();
    }
    drop(rig);
    let torn = segments_shown(folder.path()).remove(0);
    assert_eq!(torn.missing_at_most_ns, Some(INTERVAL_NS + 1_000_000));
    // A later segment knows what an earlier one met.
    let mut rig = Rig::open(settings(folder.path()));
    rig.machine.pass(INTERVAL_NS + 7_000_000);
    rig.record(1);
    rig.round();
    rig.running.writer.close_segment();
    rig.record(1);
    rig.running.writer.due_ns = 0;
    rig.round();
    drop(rig);
    let newest = segments_shown(folder.path()).pop().unwrap();
    assert_eq!(newest.missing_at_most_ns, Some(INTERVAL_NS + 7_000_000));
}

#[test]
fn what_a_sync_did_not_bring_to_the_disk_counts_as_failed_and_is_cut_off() {
    let folder = directory();
    let mut rig = Rig::open(settings(folder.path()));
    rig.record(10);
    rig.round();
    assert_eq!(rig.sums(), (10, 10, 0));
    rig.record(5);
    rig.machine.state().sync_ends_with = Some(libc::EIO);
    let synced_ns = rig.counters().synced_ns;
    rig.machine.pass(INTERVAL_NS);
    rig.round();
    assert_eq!(rig.sums(), (15, 10, 5));
    assert_eq!(rig.counters().errors["EIO"], 1, "and not asked again");
    assert!(rig.counters().state.contains("EIO"));
    assert_eq!(rig.counters().synced_ns, synced_ns);
    assert_eq!(numbers(folder.path()), (1..=10).collect::<Vec<_>>());
    rig.machine.state().sync_ends_with = None;
    rig.record(1); // the disk is left alone
    rig.round();
    assert_eq!(rig.sums(), (16, 10, 6));
    rig.machine.pass(SECOND_NS);
    rig.record(4);
    rig.round();
    assert_eq!(rig.counters().state, "writing");
    assert_eq!(rig.finish().written, 14);
    assert_eq!(
        numbers(folder.path()),
        (1..=10).chain(17..=20).collect::<Vec<_>>()
    );
    let shown = segments_shown(folder.path());
    assert_eq!(
        shown.iter().map(|it| it.state).collect::<Vec<_>>(),
        ["failed", "closed"]
    );
    let gap_ns = SECOND_NS + INTERVAL_NS;
    assert_eq!(shown[0].missing_at_most_ns, Some(gap_ns));
    assert_eq!(shown[1].unrecorded_datagrams, 6);
}

#[test]
fn a_segment_whose_last_sync_fails_is_not_closed_as_if_it_were_whole() {
    let folder = directory();
    let small = JournalSettings {
        segment_bytes: 70_000,
        ..settings(folder.path())
    };
    let mut rig = Rig::open(small);
    rig.record(5);
    rig.round();
    rig.machine.state().sync_ends_with = Some(libc::EIO);
    rig.record(1000); // more than fits, so that the segment is to be closed
    rig.round();
    assert_eq!(rig.sums(), (1005, 5, 1000));
    assert_eq!(rig.counters().segments_opened, 1);
    assert_eq!(numbers(folder.path()), [1, 2, 3, 4, 5]);
    assert_eq!(segments_shown(folder.path())[0].state, "failed");
}

#[test]
fn a_clock_that_is_set_back_delays_no_other_try() {
    let folder = directory();
    let mut rig = Rig::open(settings(folder.path()));
    rig.record(1);
    rig.machine.state().sync_ends_with = Some(libc::EIO);
    rig.round();
    rig.machine.state().sync_ends_with = None;
    rig.machine.state().realtime_ns -= 3600 * SECOND_NS;
    rig.machine.pass(SECOND_NS);
    rig.record(1);
    rig.round();
    assert_eq!(rig.counters().state, "writing");
    assert_eq!(rig.sums(), (2, 1, 1));
}

#[test]
fn what_is_too_old_goes_while_it_runs_whatever_is_done_to_the_clock() {
    let folder = directory();
    let sixteen_seconds = JournalSettings {
        max_age_ns: 16 * SECOND_NS,
        ..settings(folder.path())
    };
    let mut rig = Rig::open(sixteen_seconds);
    for second in 1..=200u64 {
        rig.record(1);
        rig.round();
        rig.machine.pass(SECOND_NS);
        match second {
            50 | 51 => rig.machine.state().realtime_ns -= 3600 * SECOND_NS,
            120 => rig.machine.state().realtime_ns += 5 * 3600 * SECOND_NS,
            _ => {}
        }
        let mut left = numbers(folder.path());
        left.sort_unstable();
        // A segment is closed after two seconds, and goes when its end is 16 old.
        let age = second - left[0];
        assert!(second < 20 || (14..=19).contains(&age), "{second}: {age}");
        assert_eq!(left.len() as u64, age + 1, "{second}: nothing else went");
    }
}

#[test]
fn what_an_earlier_relay_recorded_by_a_clock_that_was_fast_grows_old_too() {
    let folder = directory();
    let minute = JournalSettings {
        max_age_ns: 60 * SECOND_NS,
        ..settings(folder.path())
    };
    let mut rig = Rig::open(minute.clone());
    rig.record(1);
    rig.round();
    rig.finish();
    let machine = Fake::default();
    machine.state().realtime_ns = START_NS - 3600 * SECOND_NS;
    let mut rig = Rig::on(machine, minute).unwrap();
    for _ in 0..61 {
        assert_eq!(numbers(folder.path()), [1]);
        rig.machine.pass(SECOND_NS);
        rig.round();
    }
    assert!(numbers(folder.path()).is_empty());
}

#[test]
fn a_directory_that_cannot_be_made_is_told_and_tried_again() {
    let folder = directory();
    let place = folder.path().join("place");
    fs::write(&place, b"a file is in the way").unwrap();
    let mut rig = Rig::open(settings(&place.join("journal")));
    assert!(rig.counters().state.starts_with("failing since"));
    assert_eq!(rig.counters().errors["ENOTDIR"], 1);
    rig.record(3);
    rig.round();
    assert_eq!(rig.sums(), (3, 0, 3));
    // Nothing comes, and it is tried all the same; but not before its time.
    rig.machine.pass(SECOND_NS);
    rig.round();
    rig.round();
    assert_eq!(rig.counters().errors["ENOTDIR"], 2);
    fs::remove_file(&place).unwrap();
    rig.machine.pass(SECOND_NS);
    rig.record(2);
    rig.round();
    assert_eq!(rig.counters().state, "writing");
    assert_eq!(rig.sums(), (5, 2, 3));
    rig.finish();
    assert_eq!(numbers(&place.join("journal")), [4, 5]);
}

#[test]
fn a_file_that_cannot_be_read_costs_nothing_but_itself() {
    let folder = directory();
    let small = JournalSettings {
        segment_bytes: 70_000,
        ..settings(folder.path())
    };
    let mut rig = Rig::open(small.clone());
    for _ in 0..5 {
        rig.record(1000);
        rig.round();
    }
    rig.finish();
    let all = numbers(folder.path());
    let names = segments(folder.path()).unwrap();
    assert!(names.len() > 5);
    // A folder opens like a file and cannot be read: EISDIR, where a bad disk has EIO.
    let bad = names[names.len() / 2].index(folder.path());
    fs::remove_file(&bad).unwrap();
    fs::create_dir(&bad).unwrap();
    let mut rig = Rig::open(small);
    assert_eq!(rig.counters().errors["EISDIR"], 1);
    assert_eq!(rig.counters().state, "writing");
    assert_eq!(rig.counters().segments, names.len() as u64);
    rig.record(1);
    rig.round();
    assert_eq!(rig.sums(), (1, 1, 0));
    let mut archive = Archive::open(folder.path()).unwrap();
    let mut get = |number| archive.packet("quotes", "main", 0, EpochKey(*b"SESSION001"), number);
    let found = all
        .iter()
        .filter(|number| matches!(get(**number), Ok(Some(_))));
    let hidden = all.len() - found.count();
    assert!((1..1000).contains(&hidden), "{hidden}");
    assert!(get(10_000).is_err(), "it may be in there");
}

#[test]
fn what_belongs_to_no_segment_goes_when_the_journal_is_opened() {
    let folder = directory();
    let mut rig = Rig::open(settings(folder.path()));
    rig.record(10);
    rig.finish();
    let name = segments(folder.path()).unwrap().remove(0);
    let other = SegmentName {
        sequence: 77,
        ..name
    };
    let own = folder.path().join("notes.index");
    for path in [
        other.index(folder.path()),
        other.fresh_index(folder.path()),
        name.fresh_index(folder.path()),
        own.clone(),
    ] {
        fs::write(path, b"left behind").unwrap();
    }
    drop(Rig::open(settings(folder.path())));
    let mut left: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    left.sort();
    let mut expected = vec![
        name.index(folder.path()),
        name.data(folder.path()),
        folder.path().join(LOCK),
        own,
    ];
    expected.sort();
    assert_eq!(left, expected);
    assert_eq!(numbers(folder.path()).len(), 10);
}

#[test]
fn a_directory_that_another_relay_made_in_the_place_of_ours_is_left_to_it() {
    let folder = directory();
    let place = folder.path().join("journal");
    let mut rig = Rig::open(settings(&place));
    rig.record(1);
    rig.round();
    fs::rename(&place, folder.path().join("away")).unwrap();
    let mut other = Rig::open(settings(&place));
    other.record(7);
    other.round();
    rig.running.writer.close_segment();
    rig.record(1);
    rig.round();
    assert!(rig.counters().state.contains("another relay"));
    assert!(rig.counters().errors["EBUSY"] >= 1);
    assert_eq!(numbers(&place), (1..=7).collect::<Vec<_>>());
    other.finish();
    rig.machine.pass(SECOND_NS);
    rig.record(1);
    rig.round();
    assert_eq!(rig.counters().state, "writing");
    assert_eq!(segments(&place).unwrap().len(), 2);
    assert!(
        Rig::on(Fake::default(), settings(&place)).is_err(),
        "it holds the new lock"
    );
}

#[test]
fn an_archive_that_rests_holds_no_file() {
    let folder = directory();
    let mut rig = Rig::open(settings(folder.path()));
    rig.record(10);
    rig.finish();
    let held = || {
        let open = fs::read_dir("/proc/self/fd").unwrap();
        let open = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        open.filter(|path| path.starts_with(folder.path())).count()
    };
    let mut archive = Archive::open(folder.path()).unwrap();
    let mut get = || archive.packet("quotes", "main", 0, EpochKey(*b"SESSION001"), 3);
    assert_eq!(get().unwrap(), Some(packet(3)));
    assert_eq!(held(), 2);
    archive.rest();
    assert_eq!(held(), 0);
    let again = archive.packet("quotes", "main", 0, EpochKey(*b"SESSION001"), 3);
    assert_eq!(again.unwrap(), Some(packet(3)));
}
