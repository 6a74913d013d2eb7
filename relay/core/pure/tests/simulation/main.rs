//! Long seeded runs in virtual time, and a judge that knows nothing but what arrived when.
//!
//! A seed draws the framing, how the exchange sends, what each of two to four lines does to it, and a re-request server.
//! Everything is decided by the seed, so a failure, which prints the command that repeats it, is the same everywhere.
//!
//! | variable                         | says                                                            | otherwise |
//! |----------------------------------|-----------------------------------------------------------------|-----------|
//! | `LANECAST_SIMULATION_SEED`       | this seed alone                                                 |           |
//! | `LANECAST_SIMULATION_FIRST_SEED` | seeds from this one on                                          | 1         |
//! | `LANECAST_SIMULATION_PACKETS`    | until so many packets have arrived                              | 1,500,000 |
//! | `LANECAST_SIMULATION_S`          | until so many seconds are over, however many packets that makes |           |

#![allow(clippy::unwrap_used, clippy::panic)] // a test that panics has failed

#[path = "../common/framings.rs"]
mod framings;
#[path = "../common/random.rs"]
mod random;

mod exchange;
mod judge;
mod play;

use std::time::{Duration, Instant};

const PACKETS: u64 = 1_500_000;

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} has to be a number, not {text:?}")),
    )
}

/// Says how to repeat a run that panics.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "seed {seed} failed; this repeats it:\n  LANECAST_SIMULATION_SEED={seed} cargo test --release \
                 -p lanecast-relay-core --test simulation -- --nocapture",
                seed = self.0
            );
        }
    }
}

/// Returns how many packets arrived, and messages left and were given up.
fn run(seed: u64) -> (u64, u64, u64) {
    let _replay = Replay(seed);
    let scenario = exchange::Scenario::drawn(seed);
    if variable("LANECAST_SIMULATION_SEED").is_some() {
        eprintln!("{scenario:#?}");
    }
    let record = play::play(&scenario);
    let (left, lost) = judge::judge(&scenario, &record);
    (record.arrivals.len() as u64, left, lost)
}

#[test]
fn what_the_lines_brought_in_time_leaves_once_and_in_order_and_what_is_missing_is_declared() {
    if let Some(seed) = variable("LANECAST_SIMULATION_SEED") {
        run(seed);
        return;
    }
    let first = variable("LANECAST_SIMULATION_FIRST_SEED").unwrap_or(1);
    let limit = variable("LANECAST_SIMULATION_S").map(Duration::from_secs);
    let packets = variable("LANECAST_SIMULATION_PACKETS").unwrap_or(PACKETS);
    let begin = Instant::now();
    let (mut sum, mut seed) = ((0, 0, 0), first);
    while limit.map_or(sum.0 < packets, |limit| begin.elapsed() < limit) {
        let (arrived, left, lost) = run(seed);
        sum = (sum.0 + arrived, sum.1 + left, sum.2 + lost);
        seed += 1;
    }
    println!(
        "simulator: seeds {first} to {}, {} packets in, {} messages out, {} declared lost, {:.0} s",
        seed - 1,
        sum.0,
        sum.1,
        sum.2,
        begin.elapsed().as_secs_f64()
    );
    assert!(
        sum.1 > 0 && sum.2 > 0,
        "seeds that lose nothing show nothing"
    );
}
