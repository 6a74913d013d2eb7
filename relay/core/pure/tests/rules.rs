//! The arbiter's rules one by one, in the order of its table, on moldudp64 and raw.

mod common;

use common::{limits, mold, mold_header, Driver, MS, SESSION, WAIT};
use lanecast_relay_core::arbiter::HEARTBEAT_SILENCE_NS;
use lanecast_relay_core::Limits;

const A: usize = 0;
const B: usize = 1;
const OTHER: &[u8; 10] = b"20261124BB";

/// A stream that has started: number 1 has left, at the end of its window, which is the time returned.
fn started() -> (Driver, u64) {
    let mut driver = Driver::new("moldudp64", 2);
    driver.receive(A, &mold(SESSION, 1, 1), 0);
    driver.advance(WAIT);
    assert_eq!(driver.sent_numbers(), [1]);
    driver.sent.clear();
    (driver, WAIT)
}

#[test]
fn nothing_leaves_before_the_start_window_closes_and_then_all_of_it_sorted() {
    let mut driver = Driver::new("moldudp64", 2);
    driver.receive(A, &mold(SESSION, 12, 2), 0);
    driver.receive(B, &mold(SESSION, 10, 2), 5 * MS);
    driver.receive(A, &mold(SESSION, 14, 1), WAIT - 1);
    assert!(driver.sent.is_empty());
    assert_eq!(driver.arbiter.state().next, None);
    assert_eq!(driver.arbiter.next_deadline_ns(), Some(WAIT));
    driver.advance(WAIT);
    assert_eq!(driver.sent_numbers(), [10, 11, 12, 13, 14]);
    assert_eq!(driver.arbiter.state().next, Some(15));
    assert!(driver.lost.is_empty());
}

#[test]
fn a_number_below_the_start_is_late() {
    let (mut driver, now) = started();
    driver.receive(B, &mold(SESSION, 0, 1), now);
    assert_eq!(driver.arbiter.counters(B).late, 1);
}

#[test]
fn packets_in_order_leave_at_once_and_unchanged() {
    let (mut driver, now) = started();
    driver.receive(A, &mold(SESSION, 2, 3), now);
    driver.receive(B, &mold(SESSION, 5, 1), now);
    assert_eq!(driver.sent, [mold(SESSION, 2, 3), mold(SESSION, 5, 1)]);
    assert_eq!(driver.arbiter.next_deadline_ns(), None);
}

#[test]
fn the_other_lines_copy_is_a_duplicate_whether_its_twin_left_or_is_in_hold() {
    let (mut driver, now) = started();
    driver.receive(B, &mold(SESSION, 1, 1), now);
    driver.receive(A, &mold(SESSION, 4, 2), now);
    driver.receive(B, &mold(SESSION, 4, 2), now);
    driver.receive(B, &mold(SESSION, 5, 1), now);
    let (a, b) = (driver.arbiter.counters(A), driver.arbiter.counters(B));
    assert_eq!((b.duplicate, b.held, a.held), (3, 0, 1));
}

#[test]
fn a_hole_is_filled_by_the_other_line() {
    let (mut driver, now) = started();
    driver.receive(A, &mold(SESSION, 3, 1), now);
    assert!(driver.sent.is_empty());
    assert_eq!(driver.arbiter.next_deadline_ns(), Some(now + WAIT));
    driver.receive(B, &mold(SESSION, 2, 1), now + WAIT - 1);
    assert_eq!(driver.sent_numbers(), [2, 3]);
    assert!(driver.lost.is_empty());
    assert_eq!(driver.arbiter.counters(A).held, 0);
    assert_eq!(driver.arbiter.counters(A).forwarded, 2);
}

#[test]
fn a_hole_is_given_up_after_hole_wait_and_what_comes_then_is_late() {
    let (mut driver, now) = started();
    driver.receive(A, &mold(SESSION, 5, 1), now);
    driver.advance(now + WAIT - 1);
    assert!(driver.lost.is_empty());
    driver.advance(now + WAIT);
    assert_eq!(driver.lost, [(2, 4)]);
    assert_eq!(driver.arbiter.state().lost_messages, 3);
    assert_eq!(driver.sent_numbers(), [5]);
    driver.receive(B, &mold(SESSION, 2, 2), now + WAIT);
    driver.receive(B, &mold(SESSION, 5, 1), now + WAIT);
    let b = driver.arbiter.counters(B);
    assert_eq!((b.late, b.duplicate), (1, 1));
    assert_eq!(driver.sent_numbers(), [5]);
}

#[test]
fn each_hole_has_its_own_time() {
    let (mut driver, now) = started();
    driver.receive(A, &mold(SESSION, 3, 1), now);
    driver.receive(A, &mold(SESSION, 5, 1), now + 7 * MS);
    driver.advance(now + WAIT);
    assert_eq!(
        (driver.sent_numbers(), driver.lost.clone()),
        (vec![3], vec![(2, 2)])
    );
    assert_eq!(driver.arbiter.next_deadline_ns(), Some(now + 7 * MS + WAIT));
    driver.receive(B, &mold(SESSION, 4, 1), now + 7 * MS + WAIT - 1);
    assert_eq!(driver.sent_numbers(), [3, 4, 5]);
}

#[test]
fn a_packet_across_what_left_is_trimmed() {
    let (mut driver, now) = started();
    driver.receive(A, &mold(SESSION, 2, 2), now);
    driver.receive(B, &mold(SESSION, 1, 5), now);
    assert_eq!(driver.sent, [mold(SESSION, 2, 2), mold(SESSION, 4, 2)]);
    assert_eq!(driver.arbiter.counters(B).forwarded, 1);
}

#[test]
fn packets_in_hold_that_overlap_are_trimmed_as_they_leave() {
    let (mut driver, now) = started();
    driver.receive(A, &mold(SESSION, 4, 4), now);
    driver.receive(B, &mold(SESSION, 6, 4), now);
    driver.receive(A, &mold(SESSION, 3, 2), now);
    driver.receive(B, &mold(SESSION, 2, 1), now);
    assert_eq!(driver.sent_numbers(), (2..10).collect::<Vec<_>>());
    assert_eq!(driver.sent[2], mold(SESSION, 5, 3));
    assert_eq!(driver.sent[3], mold(SESSION, 8, 2));
}

#[test]
fn a_packet_in_hold_that_others_make_needless_becomes_a_duplicate() {
    let (mut driver, now) = started();
    driver.receive(A, &mold(SESSION, 4, 2), now);
    driver.receive(B, &mold(SESSION, 2, 9), now);
    assert_eq!(driver.sent, [mold(SESSION, 2, 9)]);
    let a = driver.arbiter.counters(A);
    assert_eq!((a.held, a.duplicate, a.forwarded), (0, 1, 1));
}

#[test]
fn a_packet_across_a_declared_loss_delivers_only_what_is_new() {
    let (mut driver, now) = started();
    driver.receive(A, &mold(SESSION, 4, 1), now);
    driver.advance(now + WAIT);
    driver.receive(B, &mold(SESSION, 2, 5), now + WAIT);
    assert_eq!(driver.sent_numbers(), [4, 5, 6]);
    assert_eq!(driver.lost, [(2, 3)]);
}

#[test]
fn a_heartbeat_reveals_a_hole_at_the_tail() {
    let (mut driver, now) = started();
    driver.receive(A, &mold_header(SESSION, 4, 0), now);
    driver.receive(A, &mold_header(SESSION, 4, 0), now + MS);
    assert_eq!(driver.arbiter.next_deadline_ns(), Some(now + WAIT));
    driver.receive(B, &mold(SESSION, 2, 1), now + 2 * MS);
    driver.advance(now + WAIT);
    assert_eq!(
        (driver.sent_numbers(), driver.lost.clone()),
        (vec![2], vec![(3, 3)])
    );
    assert_eq!(driver.arbiter.state().next, Some(4));
    assert_eq!(driver.arbiter.counters(A).heartbeat, 2);
}

#[test]
fn heartbeats_leave_only_in_silence_and_with_nothing_outstanding() {
    let (mut driver, _) = started();
    let now = 0; // when number 1 left
    let beat = mold_header(SESSION, 2, 0);
    driver.receive(A, &beat, now + HEARTBEAT_SILENCE_NS - 1);
    assert!(driver.sent.is_empty());
    let quiet = now + HEARTBEAT_SILENCE_NS;
    driver.receive(A, &beat, quiet);
    driver.receive(B, &beat, quiet + MS);
    assert_eq!(driver.sent, std::slice::from_ref(&beat));
    // A stale number, or one that opens a hole, says that something is outstanding.
    driver.receive(A, &mold_header(SESSION, 1, 0), quiet + HEARTBEAT_SILENCE_NS);
    driver.receive(A, &mold_header(SESSION, 5, 0), quiet + HEARTBEAT_SILENCE_NS);
    assert_eq!(driver.sent, [beat]);
    assert_eq!(driver.arbiter.counters(A).heartbeat, 4);
}

#[test]
fn a_stream_may_start_with_a_heartbeat() {
    let mut driver = Driver::new("moldudp64", 2);
    driver.receive(A, &mold_header(SESSION, 50, 0), 0);
    driver.receive(B, &mold(SESSION, 48, 1), MS);
    driver.receive(B, &mold(SESSION, 49, 2), 2 * MS);
    driver.advance(WAIT);
    assert_eq!(driver.sent_numbers(), [48, 49, 50]);
    assert!(driver.lost.is_empty());
}

#[test]
fn the_end_of_a_session_leaves_once_after_everything_before_it() {
    let (mut driver, now) = started();
    let end = mold_header(SESSION, 3, 0xFFFF);
    driver.receive(A, &end, now);
    driver.receive(B, &end, now);
    assert!(driver.sent.is_empty());
    driver.receive(B, &mold(SESSION, 2, 1), now + MS);
    assert_eq!(driver.sent, [mold(SESSION, 2, 1), end.clone()]);
    driver.receive(A, &end, now + 900 * MS);
    assert_eq!(driver.sent.len(), 2);
    let (a, b) = (driver.arbiter.counters(A), driver.arbiter.counters(B));
    assert_eq!((a.passed_on, a.duplicate, b.duplicate), (1, 1, 1));
}

#[test]
fn a_new_session_waits_for_the_old_one_and_then_closes_it() {
    let (mut driver, now) = started();
    driver.receive(A, &mold(SESSION, 4, 1), now);
    driver.receive(A, &mold(OTHER, 1, 2), now + MS);
    driver.receive(B, &mold(SESSION, 2, 1), now + 2 * MS);
    assert_eq!(driver.sent, [mold(SESSION, 2, 1)]);
    driver.receive(B, &mold(OTHER, 3, 1), now + 3 * MS);
    driver.advance(now + MS + WAIT);
    assert_eq!(driver.lost, [(3, 3)]);
    let expected = [
        mold(SESSION, 2, 1),
        mold(SESSION, 4, 1),
        mold(OTHER, 1, 2),
        mold(OTHER, 3, 1),
    ];
    assert_eq!(driver.sent, expected);
    driver.receive(B, &mold(SESSION, 5, 1), now + 2 * WAIT);
    driver.receive(B, &mold_header(SESSION, 5, 0), now + 2 * WAIT);
    let b = driver.arbiter.counters(B);
    assert_eq!((b.late, b.heartbeat), (1, 1));
    assert_eq!(driver.sent, expected);
    assert_eq!(driver.arbiter.state().epochs, 2);
}

#[test]
fn a_third_session_closes_the_first_at_once() {
    let (mut driver, now) = started();
    driver.receive(A, &mold(SESSION, 3, 1), now);
    driver.receive(A, &mold(OTHER, 1, 1), now);
    driver.receive(A, &mold(b"20261125CC", 1, 1), now);
    assert_eq!(driver.sent, [mold(SESSION, 3, 1)]);
    assert_eq!(driver.lost, [(2, 2)]);
    driver.advance(now + WAIT);
    assert_eq!(
        driver.sent[1..],
        [mold(OTHER, 1, 1), mold(b"20261125CC", 1, 1)]
    );
}

#[test]
fn too_much_in_hold_declares_the_loss_early() {
    let packet_bytes = mold(SESSION, 10, 1).len();
    for small in [
        Limits {
            held_bytes: 3 * packet_bytes,
            ..limits()
        },
        Limits {
            held_packets: 3,
            ..limits()
        },
    ] {
        let mut driver = Driver::with_limits("moldudp64", 1, small);
        driver.receive(A, &mold(SESSION, 5, 1), 0);
        driver.advance(WAIT);
        for number in [10, 15, 20] {
            driver.receive(A, &mold(SESSION, number, 1), WAIT);
        }
        assert_eq!(driver.sent_numbers(), [5]);
        driver.receive(A, &mold(SESSION, 25, 1), WAIT);
        assert_eq!(driver.sent_numbers(), [5, 10]);
        assert_eq!(driver.lost, [(6, 9)]);
        assert_eq!(driver.arbiter.counters(A).held, 3);
    }
}

#[test]
fn a_full_start_window_closes_early() {
    let mut driver = Driver::with_limits(
        "moldudp64",
        1,
        Limits {
            held_packets: 2,
            ..limits()
        },
    );
    for number in [7, 6, 5] {
        driver.receive(A, &mold(SESSION, number, 1), 0);
    }
    assert_eq!(driver.sent_numbers(), [5, 6, 7]);
}

#[test]
fn draining_lets_everything_leave_and_declares_the_rest() {
    let (mut driver, now) = started();
    driver.receive(A, &mold(SESSION, 3, 1), now);
    driver.receive(A, &mold_header(SESSION, 6, 0), now);
    driver.drain(now + MS);
    assert_eq!(
        (driver.sent_numbers(), driver.lost.clone()),
        (vec![3], vec![(2, 2), (4, 5)])
    );
    let mut starting = Driver::new("moldudp64", 1);
    starting.receive(A, &mold(SESSION, 3, 1), 0);
    starting.drain(MS);
    assert_eq!(starting.sent_numbers(), [3]);
}

#[test]
fn stray_datagrams_are_counted_and_passed_over() {
    let (mut driver, now) = started();
    driver.receive(A, b"not a packet", now);
    driver.receive(A, &mold(SESSION, 2, 1)[..21], now);
    driver.receive(A, &mold(SESSION, 2, 1), now);
    let a = driver.arbiter.counters(A);
    assert_eq!((a.malformed, a.forwarded, a.received), (2, 2, 4));
}

#[test]
fn raw_is_passed_on_as_it_comes() {
    let mut driver = Driver::new("raw", 1);
    for datagram in [&b"same"[..], b"same", b""] {
        driver.receive(A, datagram, 0);
    }
    assert_eq!(
        driver.sent,
        [b"same".to_vec(), b"same".to_vec(), Vec::new()]
    );
    assert_eq!(driver.arbiter.counters(A).passed_on, 3);
    assert_eq!(driver.arbiter.next_deadline_ns(), None);
}

#[test]
fn a_wait_of_nothing_still_sorts_out_duplicates() {
    let mut driver = Driver::with_limits(
        "moldudp64",
        2,
        Limits {
            hole_wait_ns: 0,
            ..limits()
        },
    );
    for (line, number) in [(A, 1), (B, 1), (A, 2), (A, 4), (B, 3)] {
        driver.receive(line, &mold(SESSION, number, 1), number);
        driver.advance(number);
    }
    assert_eq!(
        (driver.sent_numbers(), driver.lost.clone()),
        (vec![1, 2, 4], vec![(3, 3)])
    );
}

#[test]
fn a_datagram_of_zeros_ends_no_session() {
    let (mut driver, now) = started();
    driver.receive(A, &[0; 20], now);
    driver.advance(now + 2 * WAIT);
    driver.receive(A, &mold(SESSION, 2, 1), now + 2 * WAIT);
    driver.receive(B, &mold(SESSION, 2, 1), now + 2 * WAIT);
    assert_eq!(driver.sent, [mold(SESSION, 2, 1)]);
    assert_eq!(driver.arbiter.counters(A).heartbeat, 1);
    assert_eq!(driver.arbiter.counters(B).duplicate, 1);
    let state = driver.arbiter.state();
    assert_eq!((state.epochs, state.next), (1, Some(3)));
    assert_eq!(driver.arbiter.next_deadline_ns(), None);
}

#[test]
fn sixteen_zeros_end_no_impact_session() {
    let packet = |first: u32| {
        let mut packet = vec![0, 31];
        packet.extend(first.to_be_bytes());
        packet.extend([0, 1, 0, 0, 0, 0, 0, 0, 0, 0, b'g', 0, 1, b'x']);
        packet
    };
    let mut driver = Driver::new("impact", 2);
    driver.receive(A, &packet(7), 0);
    driver.advance(WAIT);
    driver.receive(B, &[0; 16], WAIT);
    driver.advance(3 * WAIT);
    driver.receive(A, &packet(8), 3 * WAIT);
    assert_eq!(driver.sent, [packet(7), packet(8)]);
}

#[test]
fn yesterdays_end_of_session_ends_not_todays() {
    let (mut driver, now) = started();
    for at in 0..5 {
        driver.receive(A, &mold_header(OTHER, 900, 0xFFFF), now + at * 1000 * MS);
        driver.receive(B, &mold_header(OTHER, 900, 0xFFFF), now + at * 1000 * MS);
    }
    driver.receive(A, &mold(SESSION, 2, 1), now + 5000 * MS);
    assert_eq!(driver.sent, [mold(SESSION, 2, 1)]);
    driver.drain(now + 6000 * MS);
    assert_eq!(driver.arbiter.counters(A).late, 1);
}

#[test]
fn what_told_of_a_session_before_its_data_counts_when_they_come() {
    let (mut driver, now) = started();
    driver.receive(A, &mold_header(OTHER, 3, 0), now);
    driver.advance(now + 5 * WAIT);
    driver.receive(A, &mold_header(OTHER, 9, 0xFFFF), now + 5 * WAIT);
    driver.receive(B, &mold(OTHER, 5, 4), now + 6 * WAIT);
    driver.advance(now + 8 * WAIT);
    assert_eq!(driver.lost, [(3, 4)]);
    assert_eq!(
        driver.sent,
        [mold(OTHER, 5, 4), mold_header(OTHER, 9, 0xFFFF)]
    );
}

#[test]
fn a_session_that_begins_after_a_long_silence_begins_once() {
    let (mut driver, now) = started();
    let later = now + 60_000 * MS;
    // The other line is far ahead already.
    driver.receive(A, &mold_header(OTHER, 900, 0), later);
    driver.receive(B, &mold(OTHER, 1, 1), later + MS);
    driver.receive(B, &mold(OTHER, 2, 1), later + 2 * MS);
    driver.receive(A, &mold(OTHER, 2, 1), later + 3 * MS);
    driver.advance(later + 5 * WAIT);
    assert_eq!(driver.sent_numbers(), [1, 2]);
    assert_eq!(driver.arbiter.state().epochs, 2);
    assert_eq!(driver.lost, [(3, 899)]);
}

#[test]
fn strays_of_many_sessions_are_all_accounted_for() {
    let (mut driver, now) = started();
    for stray in 0..50u64 {
        let name: [u8; 10] = std::array::from_fn(|_| b'a' + (stray % 26) as u8);
        driver.receive(A, &mold_header(&name, stray, 0xFFFF), now + stray);
        driver.receive(B, &mold_header(&name, 99, 0), now + stray);
    }
    assert!(driver.arbiter.state().held_packets <= 16);
    driver.receive(A, &mold(SESSION, 2, 1), now + WAIT);
    assert_eq!(driver.sent, [mold(SESSION, 2, 1)]);
    driver.drain(now + WAIT);
}

#[test]
fn a_session_that_a_stray_packet_of_data_ended_goes_on() {
    let (mut driver, now) = started();
    driver.receive(A, &mold(OTHER, 70, 1), now);
    driver.advance(now + WAIT);
    assert_eq!(driver.sent_numbers(), [70]);
    driver.sent.clear();
    for number in 2..40 {
        driver.receive(A, &mold(SESSION, number, 1), now + WAIT + number * 10 * MS);
        driver.receive(
            B,
            &mold(SESSION, number, 1),
            now + WAIT + number * 10 * MS + MS,
        );
    }
    driver.advance(now + 1000 * MS);
    let left = driver.sent_numbers();
    let first = left[0];
    assert!((9..20).contains(&first), "{first} is the first to leave");
    assert_eq!(left, (first..40).collect::<Vec<_>>());
    assert_eq!(driver.lost, [(2, first - 1)], "what was skipped is told");
    // What it had sent before does not leave again.
    driver.receive(B, &mold(SESSION, 1, 1), now + 1000 * MS);
    assert_eq!(driver.sent_numbers(), left);
}

#[test]
fn the_rest_of_a_session_that_is_over_does_not_bring_it_back() {
    let (mut driver, now) = started();
    driver.receive(A, &mold(OTHER, 1, 1), now);
    driver.advance(now + WAIT);
    for number in 2..40 {
        let at = now + WAIT + number * 10 * MS;
        driver.receive(A, &mold(OTHER, number, 1), at);
        driver.receive(B, &mold(SESSION, number, 1), at + MS);
    }
    assert_eq!(driver.sent_numbers(), (1..40).collect::<Vec<_>>());
    assert_eq!(driver.arbiter.counters(B).late, 38);
    assert_eq!(driver.arbiter.state().epochs, 2);
}

#[test]
fn a_session_whose_name_comes_back_after_a_long_silence_is_a_new_one() {
    let (mut driver, now) = started();
    driver.receive(A, &mold(SESSION, 2, 3), now);
    let morning = now + 60_000 * MS;
    // Neither a heartbeat nor an old packet that a line repeats at once says so.
    driver.receive(A, &mold(SESSION, 1, 1), now + 5_000 * MS);
    driver.receive(A, &mold_header(SESSION, 1, 0), morning - MS);
    assert_eq!(driver.arbiter.state().epochs, 1);
    driver.receive(A, &mold(SESSION, 1, 1), morning);
    driver.receive(B, &mold(SESSION, 1, 1), morning);
    driver.receive(B, &mold(SESSION, 2, 1), morning);
    driver.advance(morning + WAIT);
    assert_eq!(driver.sent_numbers(), [2, 3, 4, 1, 2]);
    assert!(driver.lost.is_empty());
}

#[test]
fn a_number_that_is_nonsense_ends_no_stream() {
    for nonsense in [1 << 63, u64::MAX - 1, 1 << 40] {
        let (mut driver, now) = started();
        driver.receive(A, &mold(SESSION, nonsense, 1), now);
        driver.receive(A, &mold_header(SESSION, nonsense, 0), now);
        driver.receive(B, &mold(SESSION, 2, 1), now + MS);
        driver.advance(now + 2 * WAIT);
        driver.receive(A, &mold(SESSION, 3, 1), now + 2 * WAIT);
        assert_eq!(driver.sent_numbers(), [2, 3]);
        assert!(driver.lost.is_empty());
        let a = driver.arbiter.counters(A);
        assert_eq!((a.malformed, a.forwarded, a.held), (1, 2, 0));
        // The same once more confirms nothing.
        driver.receive(B, &mold(SESSION, nonsense, 1), now + 3 * WAIT);
        driver.advance(now + 5 * WAIT);
        driver.receive(A, &mold(SESSION, 4, 1), now + 5 * WAIT);
        assert_eq!(driver.sent_numbers(), [2, 3, 4]);
    }
}

#[test]
fn a_jump_that_a_second_packet_confirms_is_a_loss() {
    let far = 1 << 30;
    let (mut driver, now) = started();
    driver.receive(A, &mold(SESSION, far, 1), now);
    driver.receive(B, &mold(SESSION, far + 1, 1), now + MS);
    driver.advance(now + 2 * WAIT);
    assert_eq!(driver.lost, [(2, far - 1)]);
    assert_eq!(driver.sent_numbers(), [far, far + 1]);
    // So does one that comes when the first was given up already.
    let (mut driver, now) = started();
    for step in 0..3 {
        driver.receive(A, &mold(SESSION, far + step, 1), now + step * 10 * WAIT);
    }
    driver.advance(now + 40 * WAIT);
    assert_eq!(driver.sent_numbers(), [far + 1, far + 2]);
    assert_eq!(driver.lost, [(2, far)]);
}

#[test]
fn numbers_that_are_nonsense_do_not_make_the_count_of_losses_start_over() {
    let (mut driver, now) = started();
    for session in [SESSION, OTHER] {
        driver.receive(A, &mold(session, 1, 1), now);
        driver.advance(now + 2 * WAIT);
        driver.receive(A, &mold(session, u64::MAX - 3, 1), now + 2 * WAIT);
        driver.receive(A, &mold(session, u64::MAX - 1, 1), now + 2 * WAIT);
        driver.advance(now + 4 * WAIT);
    }
    assert_eq!(driver.lost[0], (2, u64::MAX - 4));
    assert_eq!(driver.arbiter.state().lost_messages, u64::MAX);
}
