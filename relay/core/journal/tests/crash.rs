//! A recorder that is killed at any moment: what it synced is there, no more is missing than is stated, and the journal opens.

#![allow(clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use common::{everything, example, recorded, settings};
use lanecast_relay_core::EpochKey;
use lanecast_relay_journal::{show, Archive, Journal};

const BYTES: usize = 160;
const SYNC_INTERVAL_NS: u64 = 5_000_000;

/// How long a busy machine may keep the writer from running at the very end, where nobody is left to tell of it.
const STALL_NS: u64 = 300_000_000;

/// Numbers 1 to the returned one on line A, and the same or one less on line B; in order, byte by byte.
fn check_prefix(directory: &std::path::Path) -> u64 {
    let mut last = [0u64; 2];
    for (_, line, _, bytes) in everything(directory) {
        let line = usize::from(line == "B");
        last[line] += 1;
        assert!(
            bytes == recorded(last[line], BYTES),
            "number {}",
            last[line]
        );
    }
    assert!(last[0] == last[1] || last[0] == last[1] + 1, "{last:?}");
    last[0]
}

#[test]
fn what_was_synced_before_a_kill_is_there_and_the_journal_opens() {
    for seed in 0..12u64 {
        let directory = tempfile::tempdir().unwrap();
        let journal = directory.path();
        let mut child = Command::new(example("record"))
            .arg(journal)
            .args([
                "--datagrams",
                "100000000",
                "--rate",
                "40000",
                "--tell",
                "--patient",
            ])
            .args(["--segment-bytes", &(300_000 + seed * 50_000).to_string()])
            .args(["--sync-interval-ns", &SYNC_INTERVAL_NS.to_string()])
            .args(["--batch", &(1 + seed * 17 % 64).to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
        let until = 3 + seed * 7919 % 41;
        for _ in 0..until {
            told.next().unwrap().unwrap();
        }
        let seen = check_prefix(journal); // a reader while it is being written
        for _ in 0..seed * 7919 % 50_000 {
            std::hint::spin_loop(); // the kill comes at another moment of the writer's round
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let told = told.map_while(Result::ok);
        let told = told.filter_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok());
        let synced = told
            .last()
            .map_or(0, |told| told["synced"].as_u64().unwrap());

        let left = check_prefix(journal);
        assert!(
            left >= synced && left >= seen,
            "seed {seed}: {left} of {synced}, {seen}"
        );
        let report = show(journal).unwrap();
        assert!(!report.is_written);
        let torn = report
            .segments
            .iter()
            .filter(|segment| segment.state == "torn");
        assert!(torn.clone().count() <= 1, "seed {seed}");
        for segment in torn {
            assert!(segment.missing_at_most_ns >= Some(SYNC_INTERVAL_NS));
        }
        drop(Journal::open(settings(journal)).unwrap().close());
        assert_eq!(check_prefix(journal), left, "seed {seed}: repaired");
        let states: Vec<_> = show(journal)
            .unwrap()
            .segments
            .iter()
            .map(|it| it.state)
            .collect();
        assert!(
            states
                .iter()
                .all(|state| ["closed", "recovered"].contains(state)),
            "{states:?}"
        );
        let mut archive = Archive::open(journal).unwrap();
        for number in [1, left.div_ceil(2), left] {
            let found = archive.packet("quotes", "main", 0, EpochKey(*b"SESSION001"), number);
            assert_eq!(found.unwrap(), Some(recorded(number, BYTES)), "seed {seed}");
        }
    }
}

#[test]
fn no_more_is_missing_after_a_kill_than_is_stated() {
    for seed in 0..4u64 {
        let directory = tempfile::tempdir().unwrap();
        let journal = directory.path();
        // So few that no buffer gets full: whatever is there, a sync brought there.
        let mut child = Command::new(example("record"))
            .arg(journal)
            .args(["--datagrams", "100000000", "--rate", "300", "--batch", "1"])
            .args(["--tell", "--sync-interval-ns", "20000000"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut recorded: Vec<(u64, u64)> = Vec::new();
        let enough = 300 + seed * 7;
        while recorded.last().is_none_or(|last| last.1 < enough) {
            let line: serde_json::Value =
                serde_json::from_str(&told.next().unwrap().unwrap()).unwrap();
            let number = |name: &str| line[name].as_u64().unwrap();
            recorded.push((number("at_ns"), number("recorded")));
        }
        let killed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let killed_ns = killed.as_nanos() as u64;
        let segment = show(journal).unwrap().segments.pop().unwrap();
        let stated_ns = segment.missing_at_most_ns.unwrap();
        let left = check_prefix(journal);
        let before_ns = killed_ns - stated_ns - STALL_NS;
        let due = recorded.iter().rev().find(|(at_ns, _)| *at_ns <= before_ns);
        let (_, due) = due.unwrap();
        assert!(
            left >= *due,
            "seed {seed}: {left} of {due}, {stated_ns} ns stated"
        );
    }
}
