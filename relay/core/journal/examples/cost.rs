//! What recording costs a datagram: on the packet thread alone, and with the writer on the same processor.
//!
//! `cost DIRECTORY BYTES DATAGRAMS`; run it below `taskset -c N` to have both on one processor.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // a tool for measuring

use std::net::SocketAddrV4;
use std::time::{Duration, Instant};

use lanecast_relay_core::find;
use lanecast_relay_journal::{Journal, JournalSettings, LineIdentity};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (bytes, datagrams): (usize, u64) =
        (arguments[2].parse().unwrap(), arguments[3].parse().unwrap());
    let mut recorder = Journal::open(JournalSettings {
        directory: arguments[1].clone().into(),
        max_bytes: 2 << 30,
        max_age_ns: u64::MAX / 2,
        segment_bytes: 64 << 20,
        sync_interval_ns: 100_000_000,
        queue_bytes: 64 << 20,
    })
    .expect("the journal opens");
    let line = recorder.line(&LineIdentity {
        feed: "f".to_owned(),
        channel: "c".to_owned(),
        line: "A".to_owned(),
        protocol: find("cme-mdp3").unwrap(),
        endpoint: "239.0.0.1:1".parse().unwrap(),
    });
    let source: SocketAddrV4 = "192.0.2.1:31001".parse().unwrap();
    // 64 datagrams as they lie in a batch's buffers, each with one CME message
    let mut batch = vec![vec![0u8; bytes]; 64];
    for datagram in &mut batch {
        let size = ((bytes - 12) as u16).to_le_bytes();
        datagram[12..14].copy_from_slice(&size);
    }
    let clock = Instant::now();
    let mut record_ns = 0;
    let mut number = 0u32;
    while u64::from(number) < datagrams {
        for datagram in &mut batch {
            number += 1;
            datagram[..4].copy_from_slice(&number.to_le_bytes());
        }
        let before = clock.elapsed();
        for datagram in &batch {
            recorder.record(
                line,
                1_700_000_000_000_000_000 + u64::from(number),
                source,
                datagram,
            );
        }
        recorder.publish();
        record_ns += (clock.elapsed() - before).as_nanos() as u64;
        // Where the disk does not keep up, wait: what is measured is the work, not the disk.
        while number % 65_536 == 0 && {
            let counters = recorder.counters();
            counters.recorded - counters.written > 65_536
        } {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let counters = recorder.close();
    let usage = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = usage
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    println!(
        "record() {:.1} ns a datagram (wall, with what interrupts it); processor time of both threads {:.1} ns a \
         datagram; dropped {}, elapsed {:.2} s, {:?}",
        record_ns as f64 / datagrams as f64,
        ticks as f64 * 10_000_000.0 / datagrams as f64,
        counters.dropped,
        clock.elapsed().as_secs_f64(),
        counters.errors,
    );
}
