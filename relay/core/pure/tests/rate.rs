//! Limits: never more than the rate and one burst in any interval, and no datagram costs what it did not get.

#![allow(clippy::unwrap_used)]

use lanecast_relay_core::{Rate, RateLimit};
use proptest::prelude::*;

const SECOND: u64 = 1_000_000_000;

fn datagrams(per_second: u64) -> Rate {
    Rate {
        datagrams_per_second: Some(per_second),
        bits_per_second: None,
    }
}

/// How many of `offered` are admitted at one moment.
fn admitted(limit: &mut RateLimit, offered: usize, bytes: usize, now_ns: u64) -> usize {
    (0..offered).filter(|_| limit.admit(bytes, now_ns)).count()
}

#[test]
fn a_tenth_of_a_second_leaves_at_once_and_then_the_rate() {
    let mut limit = RateLimit::new(datagrams(1000), 0);
    assert_eq!(admitted(&mut limit, 500, 60, 0), 100);
    assert_eq!(admitted(&mut limit, 500, 60, SECOND / 1000), 1);
    assert_eq!(
        admitted(&mut limit, 500, 60, SECOND / 1000 + 50_000_000),
        50
    );
    assert_eq!(
        admitted(&mut limit, 500, 60, 10 * SECOND),
        100,
        "what was not used does not pile up"
    );
}

#[test]
fn who_begins_with_nothing_has_no_burst_until_it_has_come_in() {
    let mut limit = RateLimit::empty(datagrams(1000), 0);
    assert!(!limit.is_full(0));
    assert_eq!(admitted(&mut limit, 500, 60, 0), 0);
    assert_eq!(admitted(&mut limit, 500, 60, SECOND / 1000), 1);
    assert!(!limit.is_full(SECOND / 1000 + 99_999_999));
    assert!(limit.is_full(SECOND / 1000 + 100_000_000));
    assert_eq!(admitted(&mut limit, 500, 60, SECOND), 100);
}

#[test]
fn who_comes_again_and_again_gets_no_more_than_the_rate() {
    let rate = Rate {
        datagrams_per_second: Some(1000),
        bits_per_second: Some(100_000),
    };
    let each = |at: u64| admitted(&mut RateLimit::empty(rate, at), 500, 1250, at + SECOND / 20);
    let sent: usize = (0..20).map(|turn| each(turn * SECOND / 20)).sum();
    assert!(sent <= 10, "100 kbit are ten of these, and {sent} left");
}

#[test]
fn a_datagram_of_any_size_leaves_however_low_the_limit() {
    let rate = Rate {
        datagrams_per_second: None,
        bits_per_second: Some(1000),
    };
    let mut limit = RateLimit::new(rate, 0);
    assert!(limit.admit(65_507, 0));
    assert!(!limit.admit(1200, SECOND), "1000 bits are 125 bytes");
    assert!(!limit.admit(1200, 9 * SECOND));
    assert!(limit.admit(1200, 10 * SECOND));
}

#[test]
fn a_refusal_by_one_limit_takes_nothing_from_the_other() {
    let rate = Rate {
        datagrams_per_second: Some(100),
        bits_per_second: Some(8_000_000),
    };
    let mut limit = RateLimit::new(rate, 0);
    // Ten datagrams are the burst, far from a tenth of 8 Mbit; the refused ones would have been a hundred times that.
    assert_eq!(admitted(&mut limit, 1000, 1000, 0), 10);
    assert_eq!(admitted(&mut limit, 1000, 1000, SECOND / 10), 10);
}

#[test]
fn no_limit_admits_everything_and_a_clock_that_steps_back_gives_nothing() {
    assert_eq!(
        admitted(&mut RateLimit::new(Rate::default(), 0), 10_000, 65_507, 0),
        10_000
    );
    let mut limit = RateLimit::new(datagrams(1000), SECOND);
    assert_eq!(admitted(&mut limit, 500, 60, SECOND), 100);
    assert_eq!(admitted(&mut limit, 500, 60, 0), 0);
    assert_eq!(admitted(&mut limit, 500, 60, SECOND), 0);
}

proptest! {
    #[test]
    fn no_interval_has_more_than_the_rate_and_a_burst(
        per_second in 1u64..100_000,
        bits in 1u64..10_000_000,
        offers in prop::collection::vec((0u64..20_000_000, 1usize..1500), 1..200),
    ) {
        let rate = Rate { datagrams_per_second: Some(per_second), bits_per_second: Some(bits) };
        let mut limit = RateLimit::new(rate, 0);
        let (mut now_ns, mut left) = (0, Vec::new());
        for (later_ns, bytes) in offers {
            now_ns += later_ns;
            if limit.admit(bytes, now_ns) {
                left.push((now_ns, bytes));
            }
        }
        // One datagram of any size always fits a full bucket (docs of the relay's file, `limits`).
        let (burst, bit_burst) = ((per_second as f64 / 10.0).max(1.0), (bits as f64 / 10.0).max(65_535.0 * 8.0));
        for from in 0..left.len() {
            for to in from..left.len() {
                let seconds = (left[to].0 - left[from].0) as f64 / SECOND as f64;
                let sent = (to - from + 1) as f64;
                let sent_bits = left[from..=to].iter().map(|(_, bytes)| *bytes as f64 * 8.0).sum::<f64>();
                prop_assert!(sent <= burst + seconds * per_second as f64 + 1e-6);
                prop_assert!(sent_bits <= bit_burst + seconds * bits as f64 + 1e-3);
            }
        }
    }
}
