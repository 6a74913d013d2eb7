//! Arbitration against a model that knows nothing of how it is done: what arrived in time, sorted, once.
//!
//! Every case is drawn from one number, which a failure prints.

#![allow(clippy::unwrap_used)] // a test that cannot unwrap has failed

use std::collections::{BTreeMap, BTreeSet};

use lanecast_relay_core::arbiter::{Action, Limits, Outgoing, StreamArbiter};
use lanecast_relay_core::protocol;
use proptest::prelude::*;

const HOLE_WAIT_NS: u64 = 20_000_000;
const LIMITS: Limits = Limits {
    hole_wait_ns: HOLE_WAIT_NS,
    held_bytes: 1 << 30,
    held_packets: 1 << 20,
};

/// SplitMix64: small, seeded, and nobody else's.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }
}

fn body(number: u64) -> Vec<u8> {
    number
        .to_be_bytes()
        .iter()
        .copied()
        .cycle()
        .take(1 + (number % 13) as usize)
        .collect()
}

fn mold(session: &[u8; 10], first: u64, count: u64) -> Vec<u8> {
    let mut datagram = session.to_vec();
    datagram.extend(first.to_be_bytes());
    datagram.extend(u16::try_from(count).unwrap().to_be_bytes());
    for number in first..first + count {
        let text = body(number);
        datagram.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        datagram.extend(text);
    }
    datagram
}

/// Numbers and bodies of a datagram, read without the code under test.
fn read(datagram: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let first = u64::from_be_bytes(datagram[10..18].try_into().unwrap());
    let count = u16::from_be_bytes(datagram[18..20].try_into().unwrap());
    let mut at = 20;
    let mut messages = Vec::new();
    for number in first..first + u64::from(count) {
        let length = usize::from(u16::from_be_bytes(datagram[at..at + 2].try_into().unwrap()));
        messages.push((number, datagram[at + 2..at + 2 + length].to_vec()));
        at += 2 + length;
    }
    assert_eq!(at, datagram.len(), "trailing bytes");
    messages
}

struct Case {
    lines: u64,
    messages: u64,
    loss_percent: u64,
    jitter_ns: u64,
    duplicates_percent: u64,
}

/// Each line packs the messages in its own way, loses, delays and repeats datagrams. Returns (arrival, line, datagram).
fn arrivals(case: &Case, random: &mut Random) -> Vec<(u64, usize, Vec<u8>)> {
    let start = 1 + random.below(1 << 40);
    let mut found = Vec::new();
    for line in 0..case.lines {
        let mut number = start;
        while number < start + case.messages {
            let count = (1 + random.below(4)).min(start + case.messages - number);
            let copies = 1 + u64::from(random.below(100) < case.duplicates_percent);
            for _ in 0..copies {
                if random.below(100) >= case.loss_percent {
                    let sent_ns = 1_000_000_000 + (number - start) * 300_000;
                    let arrival_ns = sent_ns + random.below(case.jitter_ns + 1);
                    found.push((
                        arrival_ns,
                        line as usize,
                        mold(b"SESSION001", number, count),
                    ));
                }
            }
            number += count;
        }
    }
    found.sort_by_key(|(arrival_ns, line, _)| (*arrival_ns, *line));
    found
}

#[derive(Default)]
struct Outcome {
    delivered: Vec<(u64, Vec<u8>)>,
    lost: Vec<(u64, u64)>,
}

fn collect(actions: &mut Vec<Action>, received: &[u8], outcome: &mut Outcome) {
    for action in actions.drain(..) {
        match action {
            Action::Send(Outgoing::Received, _) => outcome.delivered.extend(read(received)),
            Action::Send(Outgoing::Owned(bytes), _) => outcome.delivered.extend(read(&bytes)),
            Action::Missing { .. } => unreachable!("nobody was to be asked"),
            Action::Lost { first, last, .. } => outcome.lost.push((first, last)),
        }
    }
}

fn run(case: &Case, events: &[(u64, usize, Vec<u8>)]) -> Outcome {
    let protocol = protocol::find("moldudp64").unwrap();
    let mut arbiter = StreamArbiter::new(protocol, case.lines as usize, LIMITS);
    let mut outcome = Outcome::default();
    let mut actions = Vec::new();
    for (now_ns, line, datagram) in events {
        while let Some(due_ns) = arbiter.next_deadline_ns().filter(|due_ns| due_ns <= now_ns) {
            arbiter.on_deadline(due_ns, &mut actions);
            collect(&mut actions, &[], &mut outcome);
        }
        arbiter.receive(*line, datagram, *now_ns, &mut actions);
        collect(&mut actions, datagram, &mut outcome);
        for line in 0..case.lines as usize {
            let counters = arbiter.counters(line);
            assert_eq!(
                counters.received,
                counters.accounted(),
                "every datagram is accounted for"
            );
        }
    }
    arbiter.on_deadline(u64::MAX, &mut actions);
    collect(&mut actions, &[], &mut outcome);
    outcome
}

fn judge(case: &Case, seed: u64) {
    let events = arrivals(case, &mut Random(seed));
    let arrived: BTreeSet<u64> = events
        .iter()
        .flat_map(|(_, _, one)| read(one))
        .map(|(number, _)| number)
        .collect();
    let outcome = run(case, &events);
    let expected: Vec<(u64, Vec<u8>)> = arrived
        .iter()
        .map(|number| (*number, body(*number)))
        .collect();
    assert_eq!(
        outcome.delivered, expected,
        "once, in order, unchanged; seed {seed}"
    );
    let declared: BTreeSet<u64> = outcome
        .lost
        .iter()
        .flat_map(|(first, last)| *first..=*last)
        .collect();
    let missing: BTreeSet<u64> = match (arrived.first(), arrived.last()) {
        (Some(first), Some(last)) => (*first..=*last)
            .filter(|number| !arrived.contains(number))
            .collect(),
        _ => BTreeSet::new(),
    };
    assert_eq!(
        declared, missing,
        "exactly what no line brought is given up; seed {seed}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_arrives_in_time_leaves_once_and_in_order(
        seed in any::<u64>(),
        lines in 1u64..4,
        messages in 1u64..300,
        loss_percent in 0u64..31,
        jitter_ns in 0..HOLE_WAIT_NS,
        duplicates_percent in 0u64..20,
    ) {
        judge(&Case { lines, messages, loss_percent, jitter_ns, duplicates_percent }, seed);
    }

    #[test]
    fn whatever_arrives_whenever_nothing_leaves_twice_or_backwards(
        seed in any::<u64>(),
        messages in 1u64..200,
        jitter_ns in HOLE_WAIT_NS..10 * HOLE_WAIT_NS,
    ) {
        let case = Case { lines: 2, messages, loss_percent: 20, jitter_ns, duplicates_percent: 20 };
        let outcome = run(&case, &arrivals(&case, &mut Random(seed)));
        prop_assert!(outcome.delivered.windows(2).all(|pair| pair[0].0 < pair[1].0));
        let lost: BTreeSet<u64> = outcome.lost.iter().flat_map(|(first, last)| *first..=*last).collect();
        prop_assert!(outcome.delivered.iter().all(|(number, _)| !lost.contains(number)));
    }

    #[test]
    fn no_bytes_make_it_panic(datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..64), 0..40)) {
        for name in ["moldudp64", "cme-mdp3", "raw"] {
            let mut arbiter = StreamArbiter::new(protocol::find(name).unwrap(), 2, LIMITS);
            let mut actions = Vec::new();
            for (index, datagram) in datagrams.iter().enumerate() {
                arbiter.receive(index % 2, datagram, index as u64 * 1_000_000, &mut actions);
            }
            arbiter.on_deadline(u64::MAX, &mut actions);
            let counters = [arbiter.counters(0), arbiter.counters(1)];
            prop_assert_eq!(counters.iter().map(|one| one.received).sum::<u64>(), datagrams.len() as u64);
            prop_assert!(counters.iter().all(|one| one.received == one.accounted()));
        }
    }
}

#[test]
fn a_hole_that_no_line_fills_is_given_up_after_its_wait_and_not_before() {
    let mut arbiter = StreamArbiter::new(protocol::find("moldudp64").unwrap(), 2, LIMITS);
    let mut actions = Vec::new();
    arbiter.receive(0, &mold(b"SESSION001", 1, 1), 0, &mut actions);
    arbiter.on_deadline(HOLE_WAIT_NS, &mut actions);
    arbiter.receive(0, &mold(b"SESSION001", 3, 1), HOLE_WAIT_NS, &mut actions);
    assert_eq!(arbiter.next_deadline_ns(), Some(2 * HOLE_WAIT_NS));
    actions.clear();
    arbiter.on_deadline(2 * HOLE_WAIT_NS - 1, &mut actions);
    assert!(actions.is_empty());
    arbiter.on_deadline(2 * HOLE_WAIT_NS, &mut actions);
    assert!(matches!(
        actions[0],
        Action::Lost {
            first: 2,
            last: 2,
            ..
        }
    ));
    assert!(matches!(actions[1], Action::Send(Outgoing::Owned(_), _)));
    arbiter.receive(
        1,
        &mold(b"SESSION001", 2, 1),
        2 * HOLE_WAIT_NS + 1,
        &mut actions,
    );
    assert_eq!(arbiter.counters(1).late, 1);
}

#[test]
fn a_new_session_starts_over_and_the_old_one_is_finished_first() {
    let mut arbiter = StreamArbiter::new(protocol::find("moldudp64").unwrap(), 2, LIMITS);
    let mut outcome = Outcome::default();
    let mut actions = Vec::new();
    let mut sessions: BTreeMap<Vec<u8>, Vec<u64>> = BTreeMap::new();
    let events = [
        (0, 0, mold(b"SESSION001", 5, 2)),
        (30, 1, mold(b"SESSION001", 7, 1)),
        (31, 0, mold(b"SESSION002", 1, 1)),
        (32, 1, mold(b"SESSION001", 8, 1)),
        (33, 1, mold(b"SESSION002", 2, 1)),
        (80, 1, mold(b"SESSION001", 9, 1)),
    ];
    for (at_ms, line, datagram) in &events {
        arbiter.on_deadline(at_ms * 1_000_000, &mut actions);
        arbiter.receive(*line, datagram, at_ms * 1_000_000, &mut actions);
        for action in &actions {
            if let Action::Send(out, _) = action {
                let bytes = if let Outgoing::Owned(bytes) = out {
                    bytes
                } else {
                    datagram
                };
                sessions
                    .entry(bytes[..10].to_vec())
                    .or_default()
                    .extend(read(bytes).iter().map(|one| one.0));
            }
        }
        collect(&mut actions, datagram, &mut outcome);
    }
    assert_eq!(sessions[b"SESSION001".as_slice()], [5, 6, 7, 8]);
    assert_eq!(sessions[b"SESSION002".as_slice()], [1, 2]);
    assert_eq!(
        arbiter.counters(1).late,
        1,
        "the old session is closed by then"
    );
}
