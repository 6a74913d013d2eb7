//! Records what stands on its standard input, for tests: `script DIRECTORY SEGMENT_BYTES`.
//!
//! Each line is a JSON array `[feed, channel, line, protocol, endpoint, received_ns, datagram in hexadecimal]`; they are
//! recorded in this order, as if the packet thread had read them so.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a tool for tests: what goes wrong ends it

use std::collections::HashMap;
use std::io::BufRead;
use std::net::SocketAddrV4;

use lanecast_relay_core::find;
use lanecast_relay_journal::{Journal, JournalSettings, LineIdentity};

type Script = (String, String, String, String, SocketAddrV4, u64, String);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().expect("a directory").into();
    let segment_bytes = arguments.next().expect("bytes").parse().expect("a number");
    let mut recorder = Journal::open(JournalSettings {
        directory,
        max_bytes: 1 << 40,
        max_age_ns: u64::MAX / 2,
        segment_bytes,
        sync_interval_ns: 100_000_000,
        queue_bytes: 64 << 20,
    })
    .expect("the journal opens");
    let mut lines = HashMap::new();
    let source = "192.0.2.1:31001".parse().unwrap();
    for line in std::io::stdin().lock().lines() {
        let script: Script = serde_json::from_str(&line.unwrap()).expect("a datagram");
        let (feed, channel, name, protocol, endpoint, received_ns, hex) = script;
        let key = (feed.clone(), channel.clone(), name.clone());
        let handle = lines.entry(key).or_insert_with(|| {
            recorder.line(&LineIdentity {
                feed,
                channel,
                line: name,
                protocol: find(&protocol).expect("a protocol"),
                endpoint,
            })
        });
        let octets = (0..hex.len()).step_by(2);
        let octet = |at: usize| u8::from_str_radix(hex.get(at..at + 2).unwrap(), 16).unwrap();
        let datagram: Vec<u8> = octets.map(octet).collect();
        recorder.record(*handle, received_ns, source, &datagram);
        recorder.publish();
    }
    let counters = recorder.close();
    assert_eq!((counters.dropped, counters.failed), (0, 0));
}
