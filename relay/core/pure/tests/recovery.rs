//! Holes that no line fills are asked for, as often and as long as configured, and answers leave in their place.

mod common;

use std::collections::BTreeSet;

use common::{limits, mold, protocol, Driver, Random, MS, SESSION, WAIT};
use lanecast_relay_core::{EpochKey, Limits, Recovery, StreamArbiter};
use proptest::prelude::*;

const A: usize = 0;
const B: usize = 1;
const ANSWERS: usize = 2;
const ASKED_FOR: u64 = 200 * MS;
const RETRY: u64 = 20 * MS;

fn recovering(limits: Limits) -> Driver {
    let mut driver = Driver::with_limits("moldudp64", 3, limits);
    driver.arbiter = StreamArbiter::new(protocol("moldudp64"), 3, limits).with_recovery(Recovery {
        line: ANSWERS,
        wait_ns: ASKED_FOR,
        retry_ns: RETRY,
    });
    driver
}

/// A stream whose number 1 has left, and whose numbers 2 to 4 came on no line; the time is that of number 5.
fn with_a_hole() -> (Driver, u64) {
    let mut driver = recovering(limits());
    driver.receive(A, &mold(SESSION, 1, 1), 0);
    driver.advance(WAIT);
    driver.receive(A, &mold(SESSION, 5, 1), WAIT);
    assert_eq!(driver.sent_numbers(), [1]);
    (driver, WAIT)
}

#[test]
fn the_lines_have_their_time_first() {
    let (mut driver, now) = with_a_hole();
    driver.advance(now + WAIT - 1);
    assert!(driver.asked.is_empty());
    driver.receive(B, &mold(SESSION, 2, 3), now + WAIT - 1);
    assert_eq!(driver.sent_numbers(), [1, 2, 3, 4, 5]);
    driver.advance(now + 1000 * MS);
    assert!(driver.asked.is_empty() && driver.lost.is_empty());
}

#[test]
fn a_hole_is_asked_for_at_doubling_intervals_and_then_given_up() {
    let (mut driver, now) = with_a_hole();
    driver.advance(now + 1000 * MS);
    let asked = now + WAIT;
    let times = [0, 20, 60, 140].map(|after| (2, 4, asked + after * MS));
    assert_eq!(driver.asked, times);
    assert_eq!(driver.lost, [(2, 4)]);
    assert_eq!(driver.sent_ns.last(), Some(&(asked + ASKED_FOR)));
    assert_eq!(driver.sent_numbers(), [1, 5]);
}

#[test]
fn an_answer_in_parts_is_asked_on_at_once() {
    let (mut driver, now) = with_a_hole();
    let asked = now + WAIT;
    driver.advance(asked);
    driver.receive(ANSWERS, &mold(SESSION, 2, 2), asked + MS);
    assert_eq!(driver.sent_numbers(), [1, 2, 3]);
    driver.advance(asked + MS);
    assert_eq!(driver.asked, [(2, 4, asked), (4, 4, asked + MS)]);
    driver.receive(ANSWERS, &mold(SESSION, 4, 1), asked + 2 * MS);
    assert_eq!(driver.sent_numbers(), [1, 2, 3, 4, 5]);
    driver.advance(asked + 1000 * MS);
    assert_eq!(driver.asked.len(), 2);
    assert!(driver.lost.is_empty());
}

#[test]
fn what_a_late_line_fills_is_not_asked_for_again_at_once() {
    let (mut driver, now) = with_a_hole();
    let asked = now + WAIT;
    driver.receive(B, &mold(SESSION, 2, 1), asked + MS);
    driver.advance(asked + RETRY - 1);
    assert_eq!(driver.asked, [(2, 4, asked)]);
    driver.advance(asked + RETRY);
    assert_eq!(driver.asked.last(), Some(&(3, 4, asked + RETRY)));
}

#[test]
fn the_next_hole_has_its_own_time_at_the_lines_and_its_own_questions() {
    let (mut driver, now) = with_a_hole();
    let asked = now + WAIT;
    driver.receive(A, &mold(SESSION, 8, 1), asked + 5 * MS);
    driver.receive(ANSWERS, &mold(SESSION, 2, 3), asked + 6 * MS);
    assert_eq!(driver.sent_numbers(), [1, 2, 3, 4, 5]);
    driver.advance(asked + 5 * MS + WAIT);
    assert_eq!(driver.asked, [(2, 4, asked), (6, 7, asked + 5 * MS + WAIT)]);
}

#[test]
fn holes_are_asked_for_side_by_side_so_that_none_waits_for_another() {
    let (mut driver, now) = with_a_hole();
    driver.receive(A, &mold(SESSION, 8, 1), now + MS);
    driver.receive(A, &mold(SESSION, 11, 1), now + 5 * MS);
    let asked = now + WAIT;
    driver.advance(asked + RETRY);
    // The first question is about what the lines have had their time for; the second about everything.
    let again = asked + RETRY;
    assert_eq!(
        driver.asked,
        [(2, 4, asked), (2, 4, again), (6, 7, again), (9, 10, again)]
    );
    driver.receive(ANSWERS, &mold(SESSION, 6, 2), again + MS);
    driver.receive(ANSWERS, &mold(SESSION, 9, 2), again + MS);
    driver.advance(now + 1000 * MS);
    assert_eq!(driver.lost, [(2, 4)]);
    assert_eq!(driver.sent_numbers(), [1, 5, 6, 7, 8, 9, 10, 11]);
    assert_eq!(driver.sent_ns[1..], [asked + ASKED_FOR; 5]);
}

#[test]
fn nothing_waits_longer_than_for_one_hole_however_many_are_below_it() {
    let mut driver = recovering(limits());
    for number in [1, 3, 5, 7, 9, 11] {
        driver.receive(A, &mold(SESSION, number, 1), number * MS);
    }
    driver.advance(10_000 * MS);
    assert_eq!(driver.sent_numbers(), [1, 3, 5, 7, 9, 11]);
    for (number, left) in [1, 3, 5, 7, 9, 11].iter().zip(&driver.sent_ns).skip(1) {
        assert_eq!(*left, number * MS + WAIT + ASKED_FOR, "number {number}");
    }
}

#[test]
fn an_answer_that_fills_its_hole_asks_for_no_other_again() {
    let (mut driver, now) = with_a_hole();
    driver.receive(A, &mold(SESSION, 8, 1), now);
    let asked = now + WAIT;
    driver.advance(asked);
    driver.receive(ANSWERS, &mold(SESSION, 2, 3), asked + MS);
    driver.advance(asked + RETRY - 1);
    assert_eq!(driver.asked, [(2, 4, asked), (6, 7, asked)]);
}

#[test]
fn a_hold_that_is_full_gives_up_although_it_is_still_asked_for() {
    let small = Limits {
        held_packets: 3,
        ..limits()
    };
    let mut driver = recovering(small);
    driver.receive(A, &mold(SESSION, 1, 1), 0);
    driver.advance(WAIT);
    driver.receive(A, &mold(SESSION, 5, 1), WAIT);
    driver.advance(2 * WAIT);
    assert_eq!(driver.asked, [(2, 4, 2 * WAIT)]);
    for number in 6..9 {
        driver.receive(A, &mold(SESSION, number, 1), 2 * WAIT + MS);
    }
    assert_eq!(driver.lost, [(2, 4)]);
    assert_eq!(driver.sent_numbers(), [1, 5, 6, 7, 8]);
}

#[test]
fn a_drain_asks_nobody() {
    let (mut driver, now) = with_a_hole();
    driver.drain(now);
    assert!(driver.asked.is_empty());
    assert_eq!(driver.lost, [(2, 4)]);
}

#[test]
fn a_request_is_a_header_with_the_first_number_and_how_many() {
    let mold = protocol("moldudp64");
    let request = mold.request(EpochKey(*SESSION), 0x0102, 0x0104);
    let wanted = [SESSION.as_slice(), &[0, 0, 0, 0, 0, 0, 1, 2], &[0, 3]].concat();
    assert_eq!(request, Some(wanted));
    let most = mold.request(EpochKey(*SESSION), 1, 1_000_000);
    assert_eq!(
        most.map(|bytes| bytes[18..].to_vec()),
        Some(vec![0xFF, 0xFE])
    );
    assert_eq!(mold.request(EpochKey(*SESSION), 2, 1), None);
    assert_eq!(protocol("cme-mdp3").request(EpochKey(*SESSION), 1, 2), None);
}

/// One run: two lines with losses and a server that answers late, in parts, or not at all.
fn run(seed: u64, line_loss: u64, answer_loss: u64) -> Result<(), TestCaseError> {
    let mut random = Random(seed);
    let last = 400;
    let mut driver = recovering(limits());
    let mut answers: Vec<(u64, u64, u16)> = Vec::new(); // (when, first, count)
    let mut asked = 0;
    let mut arrived = BTreeSet::new();
    let mut judged = 0;
    let end = last * MS + 2 * ASKED_FOR + 2 * WAIT;
    for now in (0..=end).step_by(MS as usize) {
        driver.advance(now);
        for (first, end) in driver.lost.iter().skip(judged).copied() {
            let came = (first..=end).find(|number| arrived.contains(number));
            prop_assert_eq!(came, None, "given up although it had come");
        }
        judged = driver.lost.len();
        answers.sort_unstable();
        while answers.first().is_some_and(|(when, ..)| *when <= now) {
            let (_, first, count) = answers.remove(0);
            driver.receive(ANSWERS, &mold(SESSION, first, count), now);
            arrived.extend(first..first + u64::from(count));
            driver.advance(now);
        }
        let number = now / MS + 1;
        if number <= last {
            // The ends come for sure: what is below the first is nobody's, and nothing reveals a lost tail.
            let safe = number == 1 || number == last;
            for line in [A, B] {
                if safe || !random.chance(line_loss) {
                    driver.receive(line, &mold(SESSION, number, 1), now);
                    arrived.insert(number);
                }
            }
        }
        for (first, end, when) in driver.asked.iter().skip(asked).copied() {
            if !random.chance(answer_loss) {
                let count = 1 + random.below((end - first + 1).min(5)) as u16;
                answers.push((when + random.below(8) * MS, first, count));
            }
        }
        asked = driver.asked.len();
    }
    driver.drain(end);
    let sent = driver.sent_numbers();
    prop_assert!(
        sent.windows(2).all(|pair| pair[0] < pair[1]),
        "in order, once"
    );
    let lost: BTreeSet<u64> = driver
        .lost
        .iter()
        .flat_map(|(first, last)| *first..=*last)
        .collect();
    let all: BTreeSet<u64> = sent.iter().copied().chain(lost.iter().copied()).collect();
    prop_assert_eq!(all, (1..=last).collect::<BTreeSet<u64>>());
    prop_assert!(lost.iter().all(|number| !sent.contains(number)));
    prop_assert!(answer_loss > 0 || lost.is_empty());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn everything_leaves_once_and_in_order_and_what_is_answered_is_not_lost(
        seed: u64, line_loss in 0u64..400, answer_loss in prop_oneof![Just(0u64), 0u64..700],
    ) {
        run(seed, line_loss, answer_loss)?;
    }
}
