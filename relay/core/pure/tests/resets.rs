//! CME's in-band reset: one number space ends, another begins, and nothing in the header says which one a packet is of.

mod common;

use common::{cme, cme_reset, Driver, MS, WAIT};

const A: usize = 0;
const B: usize = 1;

/// A stream whose lines have both shown numbers up to `last`, and the time.
fn running(last: u32) -> (Driver, u64) {
    let mut driver = Driver::new("cme-mdp3", 2);
    for (line, number) in [(A, last - 1), (B, last - 1), (A, last), (B, last)] {
        driver.receive(line, &cme(number, b"old"), 0);
    }
    driver.advance(WAIT);
    assert_eq!(driver.sent_cme(), [last - 1, last]);
    driver.sent.clear();
    (driver, WAIT)
}

#[test]
fn numbers_start_anew_at_the_reset() {
    let (mut driver, now) = running(1_000_000);
    for line in [A, B] {
        driver.receive(line, &cme_reset(1, b"reset"), now);
        driver.receive(line, &cme(2, b"new"), now);
    }
    driver.advance(now + WAIT);
    driver.receive(B, &cme(3, b"new"), now + WAIT);
    driver.receive(A, &cme(3, b"new"), now + WAIT);
    assert_eq!(
        driver.sent,
        [cme_reset(1, b"reset"), cme(2, b"new"), cme(3, b"new")]
    );
    assert!(driver.lost.is_empty());
    let (a, b) = (driver.arbiter.counters(A), driver.arbiter.counters(B));
    assert_eq!((a.late, b.late, a.duplicate + b.duplicate), (0, 0, 5));
    assert_eq!(driver.arbiter.state().epochs, 2);
}

#[test]
fn a_line_that_lags_across_the_reset_is_no_giant_hole() {
    let (mut driver, now) = running(1_000_000);
    driver.receive(A, &cme(1_000_001, b"old"), now);
    driver.receive(A, &cme_reset(1, b"reset"), now);
    driver.receive(A, &cme(2, b"new"), now);
    // A lost 1,000,002; the lagging line has it, inside the window.
    driver.receive(B, &cme(1_000_001, b"old"), now + 3 * MS);
    driver.receive(B, &cme(1_000_002, b"old"), now + 3 * MS);
    assert_eq!(
        driver.sent,
        [cme(1_000_001, b"old"), cme(1_000_002, b"old")]
    );
    driver.receive(B, &cme_reset(1, b"reset"), now + 4 * MS);
    driver.receive(B, &cme(2, b"new"), now + 4 * MS);
    driver.advance(now + WAIT);
    assert_eq!(driver.sent[2..], [cme_reset(1, b"reset"), cme(2, b"new")]);
    assert!(driver.lost.is_empty());
    assert_eq!(driver.arbiter.state().epochs, 2);
}

#[test]
fn old_packets_after_the_window_are_late_and_hurt_nothing() {
    let (mut driver, now) = running(1_000_000);
    driver.receive(A, &cme_reset(1, b"reset"), now);
    driver.advance(now + WAIT);
    driver.receive(B, &cme(1_000_001, b"old"), now + WAIT);
    driver.receive(A, &cme(1_000_001, b"old, reordered"), now + WAIT);
    driver.receive(B, &cme_reset(1, b"reset"), now + WAIT);
    driver.receive(B, &cme(2, b"new"), now + WAIT);
    assert_eq!(driver.sent, [cme_reset(1, b"reset"), cme(2, b"new")]);
    assert!(driver.lost.is_empty());
    let (a, b) = (driver.arbiter.counters(A), driver.arbiter.counters(B));
    assert_eq!((a.late, b.late, b.duplicate), (1, 1, 3));
}

#[test]
fn a_short_old_run_and_the_new_one_are_told_apart_by_the_lines_own_numbers() {
    let (mut driver, now) = running(20);
    driver.receive(A, &cme_reset(1, b"reset"), now);
    driver.receive(B, &cme(21, b"old"), now + MS);
    driver.receive(B, &cme_reset(1, b"reset"), now + 2 * MS);
    for number in 2..40 {
        driver.receive(A, &cme(number, b"new"), now + 3 * MS);
        driver.receive(B, &cme(number, b"new"), now + 3 * MS);
    }
    driver.advance(now + WAIT);
    let mut expected = vec![21, 1];
    expected.extend(2..40);
    assert_eq!(driver.sent_cme(), expected);
    assert!(driver.lost.is_empty(), "{:?}", driver.lost);
}

#[test]
fn a_packet_that_overtakes_the_reset_does_not_make_its_line_look_old() {
    let (mut driver, now) = running(10_000);
    // A loses the reset, and is so fast that 30 comes before B shows the reset: it counts as an old copy.
    driver.receive(A, &cme(30, b"new"), now);
    driver.receive(B, &cme_reset(1, b"reset"), now + MS);
    for number in 2..50 {
        driver.receive(B, &cme(number, b"new"), now + MS);
    }
    driver.receive(A, &cme(50, b"new"), now + 2 * MS);
    driver.receive(B, &cme(51, b"new"), now + 3 * MS);
    driver.advance(now + 3 * WAIT);
    assert_eq!(driver.sent_cme(), (1..52).collect::<Vec<u32>>());
    assert!(driver.lost.is_empty(), "{:?}", driver.lost);
}

#[test]
fn a_reset_may_keep_counting() {
    let (mut driver, now) = running(100);
    driver.receive(A, &cme_reset(101, b"reset"), now);
    driver.receive(B, &cme(100, b"old"), now);
    driver.receive(A, &cme(102, b"new"), now);
    driver.receive(B, &cme_reset(101, b"reset"), now);
    driver.receive(B, &cme(102, b"new"), now);
    driver.advance(now + WAIT);
    assert_eq!(driver.sent, [cme_reset(101, b"reset"), cme(102, b"new")]);
    assert!(driver.lost.is_empty());
}

#[test]
fn a_second_reset_with_the_same_number_is_one() {
    let (mut driver, now) = running(50);
    for (round, at) in [(b'1', now), (b'2', now + 10 * WAIT)] {
        for line in [A, B] {
            driver.receive(line, &cme_reset(1, &[round]), at);
            driver.receive(line, &cme(2, &[round]), at);
        }
        driver.advance(at + WAIT);
    }
    assert_eq!(driver.arbiter.state().epochs, 3);
    let expected = [
        cme_reset(1, b"1"),
        cme(2, b"1"),
        cme_reset(1, b"2"),
        cme(2, b"2"),
    ];
    assert_eq!(driver.sent, expected);
}

#[test]
fn a_late_copy_of_the_reset_is_still_a_copy() {
    let (mut driver, now) = running(50);
    driver.receive(A, &cme_reset(1, b"r"), now);
    driver.receive(A, &cme_reset(1, b"r"), now + MS);
    driver.advance(now + WAIT);
    driver.receive(B, &cme_reset(1, b"r"), now + 3 * WAIT);
    assert_eq!((driver.sent.len(), driver.arbiter.state().epochs), (1, 2));
}

#[test]
fn the_old_run_closes_with_its_holes_declared() {
    let (mut driver, now) = running(50);
    driver.receive(A, &cme(53, b"old"), now);
    driver.receive(A, &cme_reset(1, b"r"), now + MS);
    driver.drain(now + 2 * MS);
    assert_eq!(driver.sent_cme(), [53, 1]);
    assert_eq!(driver.lost, [(51, 52)]);
}

#[test]
fn numbers_come_round() {
    let mut driver = Driver::new("cme-mdp3", 2);
    let numbers: Vec<u32> = (0..10)
        .map(|step| 0xFFFF_FFFB_u32.wrapping_add(step))
        .collect();
    for number in &numbers {
        driver.receive(A, &cme(*number, b""), 0);
    }
    driver.advance(WAIT);
    assert_eq!(driver.sent_cme(), numbers);
    driver.receive(A, &cme(7, b""), WAIT);
    driver.receive(B, &cme(0xFFFF_FFFF, b""), WAIT);
    driver.advance(2 * WAIT);
    assert_eq!(driver.lost, [(5, 6)]);
    assert_eq!(driver.arbiter.state().next, Some(8));
    assert_eq!(driver.arbiter.counters(B).duplicate, 1);
}

#[test]
fn a_restart_without_a_reset_is_noticed_after_a_long_silence_only() {
    let (mut driver, now) = running(5_000);
    driver.receive(A, &cme(1, b"new"), now + 1_000 * MS);
    assert_eq!(driver.arbiter.counters(A).late, 1);
    let monday = now + 60_000 * MS;
    driver.receive(A, &cme(1, b"new"), monday);
    driver.receive(B, &cme(1, b"new"), monday);
    driver.receive(B, &cme(2, b"new"), monday);
    driver.advance(monday + WAIT);
    assert_eq!(driver.sent_cme(), [1, 2]);
    assert!(driver.lost.is_empty());
}

#[test]
fn a_reset_that_the_network_doubles_is_one_however_short_holes_wait() {
    let (mut driver, now) = running(50);
    driver.receive(A, &cme_reset(1, b"reset"), now);
    driver.receive(A, &cme(2, b"new"), now);
    driver.advance(now + WAIT);
    driver.receive(A, &cme_reset(1, b"reset"), now + WAIT + 5 * MS);
    driver.receive(A, &cme(3, b"new"), now + WAIT + 6 * MS);
    driver.advance(now + 3 * WAIT);
    let expected = [cme_reset(1, b"reset"), cme(2, b"new"), cme(3, b"new")];
    assert_eq!(driver.sent, expected);
    assert_eq!(driver.arbiter.state().epochs, 2);
}

#[test]
fn a_hole_that_leads_to_where_the_old_run_ended_is_a_hole() {
    let (mut driver, now) = running(6000);
    driver.receive(A, &cme_reset(1, b"reset"), now);
    for line in [A, B] {
        driver.receive(line, &cme(2, b"new"), now);
    }
    let later = now + 500 * MS;
    driver.receive(B, &cme(5990, b"new"), later);
    driver.advance(later + WAIT);
    assert_eq!(driver.sent.last(), Some(&cme(5990, b"new")));
    assert_eq!(driver.lost.len(), 1, "declared at once");
}

/// MIAX MACH: number, length, kind (1 starts a session, 3 is data), session.
fn mach(number: u64, kind: u8, session: u8) -> Vec<u8> {
    let mut packet = number.to_le_bytes().to_vec();
    packet.extend([12, 0, kind, session]);
    packet
}

#[test]
fn a_start_of_session_with_the_highest_number_there_is_is_a_start_like_any_other() {
    let mut driver = Driver::new("mach", 2);
    for number in [u64::MAX, 0] {
        driver.receive(A, &mach(5, 3, 1), 0);
        driver.receive(A, &mach(number, 1, 1), 0);
        driver.receive(A, &mach(number, 1, 2), 10 * WAIT);
    }
    for number in 1..4 {
        driver.receive(A, &mach(number, 3, 2), 20 * WAIT);
    }
    driver.advance(30 * WAIT);
    let last = driver.sent.last().map(Vec::as_slice);
    assert_eq!(last, Some(mach(3, 3, 2).as_slice()));
}

#[test]
fn a_session_that_a_stray_of_another_ended_goes_on_and_what_was_dropped_meanwhile_is_declared() {
    let mut driver = Driver::new("mach", 2);
    for number in 1..=20 {
        driver.receive(A, &mach(number, 3, 1), number * MS);
    }
    driver.advance(100 * MS);
    driver.receive(B, &mach(5, 3, 7), 100 * MS);
    driver.advance(200 * MS);
    for number in 21..=200 {
        driver.receive(A, &mach(number, 3, 1), 200 * MS + number * MS);
    }
    driver.advance(1_000 * MS);
    let number = |packet: &Vec<u8>| u64::from_le_bytes(packet[..8].try_into().unwrap());
    let back: Vec<u64> = driver
        .sent
        .iter()
        .map(number)
        .filter(|one| *one > 20)
        .collect();
    let (first, last) = (back[0], *back.last().unwrap());
    assert_eq!(last, 200);
    assert!(first < 190, "it goes on: {first}");
    assert_eq!(back, (first..=200).collect::<Vec<_>>());
    let declared = &driver.lost;
    assert!(declared.contains(&(21, first - 1)), "{declared:?}");
}
