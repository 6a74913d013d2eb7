//! How long the archive of a journal takes to find packets: `find DIRECTORY LAST COUNT`, numbers spread over 1 to LAST.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a tool for measuring

use std::time::Instant;

use lanecast_relay_core::EpochKey;
use lanecast_relay_journal::Archive;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (last, count): (u64, u64) = (arguments[2].parse().unwrap(), arguments[3].parse().unwrap());
    let mut archive = Archive::open(arguments[1].as_ref()).unwrap();
    let mut nanoseconds = Vec::new();
    for step in 0..count {
        let number = 1 + step.wrapping_mul(0x9E37_79B9_7F4A_7C15) % last;
        let before = Instant::now();
        let found = archive.packet("quotes", "main", 0, EpochKey(*b"SESSION001"), number);
        nanoseconds.push(before.elapsed().as_nanos());
        assert!(found.unwrap().is_some(), "number {number} is not there");
    }
    nanoseconds.sort_unstable();
    let at = |share: f64| nanoseconds[(share * (nanoseconds.len() - 1) as f64) as usize] / 1000;
    println!(
        "p50 {} µs, p99 {} µs, max {} µs",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}
