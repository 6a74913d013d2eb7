//! Long seeded runs: two lines with loss, duplication, reordering and skew of their own, over several epochs.
//!
//! A failure prints its seed; `LANECAST_SEED=<seed> cargo test -p lanecast-relay-core --test simulation` repeats it.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeSet;

use common::{cme, cme_number, cme_reset, mold, mold_numbers, Driver, Random, MS, WAIT};

const SEEDS: u64 = 60;
const PER_EPOCH: u64 = 400;
const EPOCHS: u64 = 3;

/// One line's way from the exchange: what it loses, doubles and delays.
struct FaultyLine {
    loss_per_mille: u64,
    duplication_per_mille: u64,
    skew_ns: u64,
    jitter_ns: u64,
}

impl FaultyLine {
    fn drawn(random: &mut Random) -> Self {
        Self {
            loss_per_mille: random.below(80),
            duplication_per_mille: random.below(50),
            skew_ns: random.below(4 * MS),
            // Packets are 100 microseconds apart, so jitter reorders.
            jitter_ns: random.below(2 * MS),
        }
    }

    /// When the copies of a packet sent at `due_ns` arrive.
    fn carry(&self, due_ns: u64, random: &mut Random) -> Vec<u64> {
        if random.chance(self.loss_per_mille) {
            return Vec::new();
        }
        let copies = 1 + u64::from(random.chance(self.duplication_per_mille));
        (0..copies)
            .map(|_| due_ns + self.skew_ns + random.below(self.jitter_ns + 1))
            .collect()
    }
}

struct Arrival {
    at_ns: u64,
    line: usize,
    epoch: u64,
    numbers: (u64, u64),
    datagram: Vec<u8>,
}

fn session(epoch: u64) -> [u8; 10] {
    let mut session = *b"2026112300";
    session[9] = b'0' + epoch as u8;
    session
}

fn datagram(framing: &str, epoch: u64, first: u64, count: u64) -> Vec<u8> {
    match framing {
        "moldudp64" => mold(&session(epoch), first, count as u16),
        _ if first == 1 && epoch > 0 => cme_reset(1, &[epoch as u8]),
        _ => cme(first as u32, &[epoch as u8]),
    }
}

/// Everything that arrives, in order of time. Epochs follow one another after `pause_ns`.
fn traffic(framing: &str, pause_ns: u64, random: &mut Random) -> Vec<Arrival> {
    let mut arrivals = Vec::new();
    for line in 0..2 {
        let faulty = FaultyLine::drawn(random);
        for epoch in 0..EPOCHS {
            let begin = epoch * (PER_EPOCH * MS / 10 + 2 * pause_ns);
            let mut first = 1;
            while first <= PER_EPOCH {
                let most = if framing == "moldudp64" {
                    1 + random.below(5)
                } else {
                    1
                };
                let count = most.min(PER_EPOCH + 1 - first);
                // An in-band reset is not overtaken by what follows it (see `restart`): the exchange pauses after it.
                let pause_ns = if first > 1 { pause_ns } else { 0 };
                for at_ns in faulty.carry(begin + pause_ns + first * MS / 10, random) {
                    let datagram = datagram(framing, epoch, first, count);
                    arrivals.push(Arrival {
                        at_ns,
                        line,
                        epoch,
                        numbers: (first, first + count),
                        datagram,
                    });
                }
                first += count;
            }
        }
    }
    arrivals.sort_by_key(|one| one.at_ns);
    arrivals
}

fn number_of(framing: &str, packet: &[u8]) -> Vec<(u64, u64)> {
    match framing {
        "moldudp64" => {
            let epoch = u64::from(packet[9] - b'0');
            mold_numbers(packet)
                .into_iter()
                .map(|number| (epoch, number))
                .collect()
        }
        _ => vec![(
            u64::from(packet[packet.len() - 1]),
            u64::from(cme_number(packet)),
        )],
    }
}

fn run(framing: &str, seed: u64) {
    println!("framing {framing}, seed {seed}");
    let mut random = Random(seed);
    // CME's first epoch carries no mark of its own, and a lost reset on both lines is not this test's question.
    let arrivals = traffic(framing, 5 * MS, &mut random);
    let reset_lost = framing == "cme-mdp3"
        && (1..EPOCHS).any(|epoch| {
            (0..2).any(|line| {
                !arrivals
                    .iter()
                    .any(|one| (one.epoch, one.line, one.numbers.0) == (epoch, line, 1))
            })
        });
    if reset_lost {
        return;
    }
    let mut driver = Driver::new(framing, 2);
    let mut came = BTreeSet::new();
    for one in &arrivals {
        driver.receive(one.line, &one.datagram, one.at_ns);
        came.extend((one.numbers.0..one.numbers.1).map(|number| (one.epoch, number)));
    }
    let end = arrivals.last().map_or(0, |one| one.at_ns) + 10 * WAIT;
    driver.advance(end);
    driver.drain(end);

    let left: Vec<(u64, u64)> = driver
        .sent
        .iter()
        .flat_map(|packet| number_of(framing, packet))
        .collect();
    assert!(
        left.windows(2).all(|pair| pair[0] < pair[1]),
        "out of order, or twice"
    );
    // Delays differ by less than hole-wait, so whatever came on either line leaves.
    let left: BTreeSet<_> = left.into_iter().collect();
    assert_eq!(left, came);
    let counted: u64 = driver
        .lost
        .iter()
        .map(|(first, last)| last - first + 1)
        .sum();
    let between: u64 = (0..EPOCHS)
        .map(|epoch| {
            let of_epoch: Vec<u64> = came
                .range((epoch, 0)..(epoch + 1, 0))
                .map(|(_, number)| *number)
                .collect();
            of_epoch.last().unwrap() - of_epoch.first().unwrap() + 1 - of_epoch.len() as u64
        })
        .sum();
    assert_eq!(
        counted, between,
        "what is missing and what was declared differ"
    );
    let (a, b) = (driver.arbiter.counters(0), driver.arbiter.counters(1));
    assert_eq!((a.received + b.received) as usize, arrivals.len());
    assert_eq!(
        a.late + b.late + a.held + b.held + a.malformed + b.malformed,
        0,
        "{a:?} {b:?}"
    );
}

fn seeds() -> Vec<u64> {
    match std::env::var("LANECAST_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (1..=SEEDS).collect(),
    }
}

#[test]
fn mold_sessions_follow_one_another_without_a_loss_of_ours() {
    seeds().into_iter().for_each(|seed| run("moldudp64", seed));
}

#[test]
fn cme_resets_follow_one_another_without_a_loss_of_ours() {
    seeds().into_iter().for_each(|seed| run("cme-mdp3", seed));
}
