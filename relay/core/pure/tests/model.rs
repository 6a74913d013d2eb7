//! The arbiter against a model that knows only when each number arrived, and computes the outcome in one go.
//!
//! With `t(n)` the first arrival of number `n` on any line, and `E` the end of the start window: the stream starts at the
//! lowest number before `E`; `n` leaves exactly if `t(n) < cutoff(n) = max(E, min t(m > n) + wait)`; and it leaves when
//! the last of the numbers up to it arrived or was cut off. The arbiter has queues and states; the model has neither.

mod common;

use std::collections::BTreeMap;

use common::{cme, mold, mold_header, Driver, MS, SESSION, WAIT};
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum What {
    Data { first: u64, count: u64 },
    Heartbeat { next: u64 },
}

#[derive(Clone, Copy, Debug)]
struct Arrived {
    at_ns: u64,
    line: usize,
    what: What,
}

/// What the model says: each number that leaves with its time, and each that is given up.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    left: Vec<(u64, u64)>,
    lost: Vec<u64>,
}

fn model(arrivals: &[Arrived], wait_ns: u64, begins_at: Option<u64>) -> Outcome {
    let Some(earliest) = arrivals.iter().min_by_key(|one| one.at_ns) else {
        return Outcome::default();
    };
    // Nothing can come before the number that a session begins at, so nothing is waited for.
    let begins = match earliest.what {
        What::Data { first, .. } => begins_at == Some(first),
        What::Heartbeat { .. } => false,
    };
    let window_end = earliest.at_ns + if begins { 0 } else { wait_ns };
    let mut came: BTreeMap<u64, u64> = BTreeMap::new();
    // A heartbeat tells of everything below its number, as data at that number would.
    let mut told: Vec<(u64, u64)> = Vec::new();
    let mut start = u64::MAX;
    for one in arrivals {
        let (first, end) = match one.what {
            What::Data { first, count } => (first, first + count),
            What::Heartbeat { next } => (next, next),
        };
        for number in first..end {
            let at = came.entry(number).or_insert(one.at_ns);
            *at = one.at_ns.min(*at);
        }
        told.push((end, one.at_ns));
        if one.at_ns < window_end || one.at_ns == earliest.at_ns {
            start = start.min(first);
        }
    }
    let top = told.iter().map(|(end, _)| *end).max().unwrap_or(0);
    let mut outcome = Outcome::default();
    let mut clock = window_end;
    for number in start..top {
        // What proves that `number` exists: data above it, or a heartbeat above it.
        let above = came.range(number + 1..).map(|(_, at)| *at);
        let beats = arrivals.iter().filter_map(|one| match one.what {
            What::Heartbeat { next } if next > number => Some(one.at_ns),
            _ => None,
        });
        let revealed = above.chain(beats).min();
        let cutoff = revealed.map_or(u64::MAX, |at| window_end.max(at + wait_ns));
        match came.get(&number) {
            Some(at) if *at < cutoff => {
                clock = clock.max(*at);
                outcome.left.push((number, clock));
            }
            _ => {
                clock = clock.max(cutoff);
                outcome.lost.push(number);
            }
        }
    }
    outcome
}

#[derive(Clone, Copy, PartialEq)]
enum Framing {
    Mold,
    Cme,
}

/// The internal number 0 of a CME run, close to where numbers come round.
const CME_BASE: u32 = 0xFFFF_FFC0;

fn play(arrivals: &[Arrived], framing: Framing, lines: usize) -> (Outcome, Driver) {
    let name = if framing == Framing::Mold {
        "moldudp64"
    } else {
        "cme-mdp3"
    };
    let mut driver = Driver::new(name, lines);
    for one in arrivals {
        let datagram = match (framing, one.what) {
            (Framing::Mold, What::Data { first, count }) => mold(SESSION, first, count as u16),
            (Framing::Mold, What::Heartbeat { next }) => mold_header(SESSION, next, 0),
            (Framing::Cme, What::Data { first, .. }) => {
                cme(CME_BASE.wrapping_add(first as u32), b"x")
            }
            (Framing::Cme, What::Heartbeat { .. }) => continue,
        };
        driver.receive(one.line, &datagram, one.at_ns);
    }
    let end = arrivals.last().map_or(0, |one| one.at_ns) + 10 * WAIT;
    driver.advance(end);
    assert_eq!(driver.arbiter.next_deadline_ns(), None);
    driver.drain(end);
    let mut outcome = Outcome::default();
    for (packet, at) in driver.sent.iter().zip(&driver.sent_ns) {
        match framing {
            Framing::Mold => outcome.left.extend(
                common::mold_numbers(packet)
                    .into_iter()
                    .map(|number| (number, *at)),
            ),
            Framing::Cme => {
                let number = common::cme_number(packet).wrapping_sub(CME_BASE);
                outcome.left.push((u64::from(number), *at));
            }
        }
    }
    for (first, last) in &driver.lost {
        let base = if framing == Framing::Cme {
            u64::from(CME_BASE)
        } else {
            0
        };
        let span = |wire: u64| {
            if base == 0 {
                wire
            } else {
                wire.wrapping_sub(base) & 0xFFFF_FFFF
            }
        };
        outcome.lost.extend(span(*first)..=span(*last));
    }
    (outcome, driver)
}

/// One line's packets: how many messages each holds, when it is due, and what befalls it.
fn line_of(line: usize, numbers: u64, most: u64) -> impl Strategy<Value = Vec<Arrived>> {
    let fate = (1..=most, 0u64..30 * MS, 0u32..100, 0u32..100);
    (
        proptest::collection::vec(fate, numbers as usize),
        0u64..10 * MS,
    )
        .prop_map(move |(fates, skew)| {
            let mut arrivals = Vec::new();
            let mut first = 1;
            for (count, jitter, luck, beat) in fates {
                if first > numbers {
                    break;
                }
                let count = count.min(numbers + 1 - first);
                let due = first * MS + skew;
                // Most packets are on time; some are late, lost or doubled.
                let delay = if luck < 15 { jitter } else { jitter / 30 };
                let one = Arrived {
                    at_ns: due + delay,
                    line,
                    what: What::Data { first, count },
                };
                if luck < 90 {
                    arrivals.push(one);
                }
                if luck < 5 {
                    arrivals.push(Arrived {
                        at_ns: due + 2 * delay,
                        ..one
                    });
                }
                first += count;
                if beat < 10 {
                    arrivals.push(Arrived {
                        at_ns: due + delay,
                        line,
                        what: What::Heartbeat { next: first },
                    });
                }
            }
            arrivals
        })
}

fn both_lines(numbers: u64, most: u64) -> impl Strategy<Value = Vec<Arrived>> {
    (line_of(0, numbers, most), line_of(1, numbers, most)).prop_map(|(a, b)| {
        let mut all = [a, b].concat();
        // Times are distinct, so that nothing hangs on who is first in the same nanosecond.
        all.sort_by_key(|one| one.at_ns);
        for at in 1..all.len() {
            all[at].at_ns = all[at].at_ns.max(all[at - 1].at_ns + 1);
        }
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn messages_leave_as_the_model_says(arrivals in both_lines(120, 6)) {
        let (outcome, _) = play(&arrivals, Framing::Mold, 2);
        prop_assert_eq!(outcome, model(&arrivals, WAIT, Some(1)));
    }

    #[test]
    fn packets_leave_as_the_model_says_also_where_numbers_come_round(arrivals in both_lines(150, 1)) {
        let data: Vec<Arrived> =
            arrivals.into_iter().filter(|one| matches!(one.what, What::Data { .. })).collect();
        let (outcome, _) = play(&data, Framing::Cme, 2);
        prop_assert_eq!(outcome, model(&data, WAIT, None));
    }

    /// The promise itself, without the model: what came on either line in time leaves exactly once, in order.
    #[test]
    fn a_complete_union_leaves_whole(
        owners in proptest::collection::vec((0u8..3, 0u64..WAIT / 2, 0u64..WAIT / 2), 1..150)
    ) {
        let mut arrivals = Vec::new();
        for (first, (owner, on_a, on_b)) in (1u64..).zip(&owners) {
            let what = What::Data { first, count: 1 };
            if *owner != 1 {
                arrivals.push(Arrived { at_ns: first * MS + on_a, line: 0, what });
            }
            if *owner != 0 {
                arrivals.push(Arrived { at_ns: first * MS + on_b, line: 1, what });
            }
        }
        arrivals.sort_by_key(|one| one.at_ns);
        let (outcome, driver) = play(&arrivals, Framing::Mold, 2);
        let left: Vec<u64> = outcome.left.iter().map(|(number, _)| *number).collect();
        prop_assert_eq!(left, (1..=owners.len() as u64).collect::<Vec<_>>());
        prop_assert!(outcome.lost.is_empty());
        let sum = |of: fn(&lanecast_relay_core::LineCounters) -> u64| {
            (0..2).map(|line| of(&driver.arbiter.counters(line))).sum::<u64>()
        };
        prop_assert_eq!(sum(|line| line.forwarded), owners.len() as u64);
        prop_assert_eq!(sum(|line| line.late + line.held), 0);
        prop_assert_eq!(sum(|line| line.received), arrivals.len() as u64);
    }

    /// Whatever arrives, also nonsense: numbers leave in order within an epoch, bounds hold, and every datagram has a class.
    #[test]
    fn nothing_breaks_the_bounds(
        steps in proptest::collection::vec((0usize..3, 0u64..3, 0u64..60, 0u16..9, 0u64..8 * MS, 0u8..12), 1..200)
    ) {
        let limits = lanecast_relay_core::Limits { hole_wait_ns: WAIT, held_bytes: 400, held_packets: 10 };
        let mut driver = Driver::with_limits("moldudp64", 3, limits);
        let sessions: [&[u8; 10]; 3] = [SESSION, b"20261124BB", b"20261125CC"];
        let mut now = 0;
        for (line, session, first, count, after, kind) in steps {
            now += after;
            let session = sessions[session as usize];
            let datagram = match kind {
                0 => b"nonsense".to_vec(),
                1 => mold_header(session, first, 0xFFFF),
                2 => mold_header(session, first, 0),
                _ => mold(session, first, count),
            };
            driver.receive(line, &datagram, now);
            let state = driver.arbiter.state();
            prop_assert!(state.held_bytes <= limits.held_bytes && state.held_packets <= limits.held_packets);
        }
        driver.drain(now);
        let mut next: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        for packet in driver.sent.iter().filter(|packet| packet[18..20] != [0, 0] && packet[18..20] != [0xFF, 0xFF]) {
            let next = next.entry(packet[..10].to_vec()).or_insert(0);
            for number in common::mold_numbers(packet) {
                prop_assert!(number >= *next, "{number} left after {next}");
                *next = number + 1;
            }
        }
    }
}
