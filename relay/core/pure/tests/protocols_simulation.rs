//! Long seeded runs of protocols with units, or with several packets in a datagram: two lines that pack messages each in
//! its own way, lose, double and delay them. What any line brought in time leaves once, in order, unchanged.
//!
//! A failure prints its seed; `LANECAST_SEED=<seed> cargo test -p lanecast-relay-core --test protocols_simulation`
//! repeats it.

#![allow(clippy::unwrap_used)] // a test that cannot unwrap has failed

mod common;
#[path = "common/wire.rs"]
mod wire;

use std::collections::{BTreeMap, BTreeSet};

use common::{limits, protocol, Random, MS};
use lanecast_relay_core::{Action, ChannelArbiter, Outgoing};

const SEEDS: u64 = 40;
const NUMBERS: u64 = 300;

/// One message: its unit, its number counted from the first, and its bytes.
type Message = (u64, u64, Vec<u8>);

struct Framing {
    name: &'static str,
    units: u64,
    /// The datagram that holds `count` messages of `unit` from the `index`th on.
    write: fn(unit: u64, index: u64, count: u64) -> Vec<u8>,
    /// What a datagram holds, read without the crate.
    read: fn(&[u8]) -> Vec<Message>,
}

fn body(unit: u64, index: u64) -> Vec<u8> {
    let mut body = format!("{unit}:{index}:").into_bytes();
    body.resize(body.len() + (index % 4) as usize, b'.');
    body
}

fn some(unit: u64, index: u64, count: u64) -> Vec<Vec<u8>> {
    (index..index + count).map(|at| body(unit, at)).collect()
}

/// Where PITCH's numbers begin here, so that they come round on the way.
const PITCH_BASE: u32 = u32::MAX - 100;

fn pitch_number(index: u64) -> u32 {
    let number = u64::from(PITCH_BASE) + index;
    (if number > u64::from(u32::MAX) {
        number - u64::from(u32::MAX)
    } else {
        number
    }) as u32
}

fn read_pitch(datagram: &[u8]) -> Vec<Message> {
    let length = usize::from(u16::from_le_bytes(datagram[..2].try_into().unwrap()));
    assert_eq!(length, datagram.len());
    let unit = u64::from(datagram[3]);
    let number = u32::from_le_bytes(datagram[4..8].try_into().unwrap());
    let first = if number >= PITCH_BASE {
        u64::from(number - PITCH_BASE)
    } else {
        u64::from(number) + u64::from(u32::MAX - PITCH_BASE)
    };
    let (mut at, mut found) = (8, Vec::new());
    for index in first..first + u64::from(datagram[2]) {
        let size = usize::from(datagram[at]);
        found.push((unit, index, datagram[at + 2..at + size].to_vec()));
        at += size;
    }
    assert_eq!(at, datagram.len());
    found
}

fn read_mach(datagram: &[u8]) -> Vec<Message> {
    let (mut at, mut found) = (0, Vec::new());
    while at < datagram.len() {
        let index = u64::from_le_bytes(datagram[at..at + 8].try_into().unwrap()) - 1;
        let size = u16::from_le_bytes(datagram[at + 8..at + 10].try_into().unwrap());
        let end = at + usize::from(size);
        found.push((0, index, datagram[at + 12..end].to_vec()));
        at = end;
    }
    found
}

fn read_iex(datagram: &[u8]) -> Vec<Message> {
    let unit = u32::from_le_bytes(datagram[4..8].try_into().unwrap());
    let unit = u64::from(unit);
    let length = u16::from_le_bytes(datagram[12..14].try_into().unwrap());
    assert_eq!(usize::from(length) + 40, datagram.len());
    let count = u16::from_le_bytes(datagram[14..16].try_into().unwrap());
    let offset = u64::from_le_bytes(datagram[16..24].try_into().unwrap());
    let first = u64::from_le_bytes(datagram[24..32].try_into().unwrap()) - 1;
    assert_eq!(offset, iex_offset(unit, first));
    let (mut at, mut found) = (40, Vec::new());
    for index in first..first + u64::from(count) {
        let size = u16::from_le_bytes(datagram[at..at + 2].try_into().unwrap());
        let end = at + 2 + usize::from(size);
        found.push((unit, index, datagram[at + 2..end].to_vec()));
        at = end;
    }
    assert_eq!(at, datagram.len());
    found
}

fn iex_offset(unit: u64, index: u64) -> u64 {
    (0..index).map(|at| 2 + body(unit, at).len() as u64).sum()
}

const FRAMINGS: [Framing; 3] = [
    Framing {
        name: "pitch",
        units: 3,
        write: |unit, index, count| {
            wire::unit(
                unit as u8,
                pitch_number(index),
                0x21,
                &some(unit, index, count),
            )
        },
        read: read_pitch,
    },
    Framing {
        name: "iex-tp",
        units: 2,
        write: |unit, index, count| {
            let (session, bodies) = (77, some(unit, index, count));
            wire::iex(
                unit as u32,
                session,
                iex_offset(unit, index),
                index + 1,
                &bodies,
            )
        },
        read: read_iex,
    },
    Framing {
        name: "mach",
        units: 1,
        write: |_, index, count| {
            let packets = index..index + count;
            packets
                .flat_map(|at| wire::mach(at + 1, 3, 1, &body(0, at)))
                .collect()
        },
        read: read_mach,
    },
];

/// Everything that arrives, in order of time: `(time, line, datagram)`.
fn arrivals(framing: &Framing, random: &mut Random) -> Vec<(u64, usize, Vec<u8>)> {
    let mut found = Vec::new();
    for line in 0..2 {
        let (loss, doubles) = (random.below(80), random.below(50));
        let (skew_ns, jitter_ns) = (random.below(4 * MS), random.below(2 * MS));
        for unit in 0..framing.units {
            let mut index = 0;
            while index < NUMBERS {
                let count = (1 + random.below(5)).min(NUMBERS - index);
                let copies =
                    u64::from(!random.chance(loss)) * (1 + u64::from(random.chance(doubles)));
                for _ in 0..copies {
                    let at_ns = index * MS / 10 + skew_ns + random.below(jitter_ns + 1);
                    found.push((at_ns, line, (framing.write)(unit, index, count)));
                }
                index += count;
            }
        }
    }
    found.sort_by_key(|(at_ns, line, _)| (*at_ns, *line));
    found
}

fn collect(
    framing: &Framing,
    actions: Vec<Action>,
    received: &[u8],
    left: &mut Vec<Message>,
) -> u64 {
    let mut lost = 0;
    for action in actions {
        match action {
            Action::Send(Outgoing::Received, _) => left.extend((framing.read)(received)),
            Action::Send(Outgoing::Owned(bytes), _) => left.extend((framing.read)(&bytes)),
            Action::Missing { .. } => unreachable!("nobody was to be asked"),
            Action::Lost { first, last, .. } => lost += last - first + 1,
        }
    }
    lost
}

fn run(framing: &Framing, seed: u64) {
    println!("{}, seed {seed}", framing.name);
    let arrivals = arrivals(framing, &mut Random(seed));
    let mut arbiter = ChannelArbiter::new(protocol(framing.name), 2, limits());
    let (mut left, mut lost) = (Vec::new(), 0);
    for (now_ns, line, datagram) in &arrivals {
        while let Some(at) = arbiter.next_deadline_ns().filter(|at| at <= now_ns) {
            let mut actions = Vec::new();
            arbiter.on_deadline(at, &mut actions);
            lost += collect(framing, actions, &[], &mut left);
        }
        let mut actions = Vec::new();
        arbiter.receive(*line, datagram, *now_ns, &mut actions);
        lost += collect(framing, actions, datagram, &mut left);
    }
    let mut actions = Vec::new();
    arbiter.on_deadline(u64::MAX, &mut actions);
    lost += collect(framing, actions, &[], &mut left);

    let mut came: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for (unit, index, _) in arrivals.iter().flat_map(|(_, _, one)| (framing.read)(one)) {
        came.entry(unit).or_default().insert(index);
    }
    let mut missing = 0;
    for (unit, numbers) in &came {
        let of_unit: Vec<u64> = left
            .iter()
            .filter(|(one, _, _)| one == unit)
            .map(|(_, index, _)| *index)
            .collect();
        assert_eq!(
            of_unit,
            numbers.iter().copied().collect::<Vec<_>>(),
            "unit {unit}"
        );
        missing += numbers.last().unwrap() - numbers.first().unwrap() + 1 - numbers.len() as u64;
    }
    assert_eq!(lost, missing);
    assert!(left
        .iter()
        .all(|(unit, index, bytes)| *bytes == body(*unit, *index)));
    for line in 0..2 {
        let counters = arbiter.counters(line);
        let arrived = arrivals.iter().filter(|(_, one, _)| *one == line).count();
        assert_eq!(counters.received, arrived as u64);
        assert_eq!(counters.accounted(), counters.received);
        assert_eq!(
            (counters.malformed, counters.held, counters.late),
            (0, 0, 0)
        );
    }
}

#[test]
fn what_any_line_brought_leaves_once_in_order_and_unchanged() {
    let seeds = match std::env::var("LANECAST_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (1..=SEEDS).collect::<Vec<u64>>(),
    };
    for framing in &FRAMINGS {
        seeds.iter().for_each(|seed| run(framing, *seed));
    }
}
