//! When a datagram leaves: recorded time, from the first datagram on, at some speed.

use std::time::{Duration, Instant};

use super::lateness::Lateness;

/// A sleep ends late by about this much (the kernel's timer slack is 50 µs); the rest of the wait is spun.
const SPIN: Duration = Duration::from_micros(150);

/// How long it sleeps at a time, so that it can be stopped.
const NAP: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Pace {
    speed: Option<f64>,
    /// When the first datagram was due, and when it had been received.
    start: Option<(Instant, u64)>,
    pub late: Lateness,
}

impl Pace {
    pub(crate) fn new(speed: Option<f64>) -> Self {
        Self {
            speed,
            start: None,
            late: Lateness::default(),
        }
    }

    /// When the first datagram was due.
    pub(crate) fn started(&self) -> Option<Instant> {
        self.start.map(|(at, _)| at)
    }

    /// Wait until what was received at `received_ns` is due. Returns whether it may leave: `stopped` ends the wait.
    pub(crate) fn wait(&mut self, received_ns: u64, stopped: impl Fn() -> bool) -> bool {
        let (start, first_ns) = *self
            .start
            .get_or_insert_with(|| (Instant::now(), received_ns));
        let Some(speed) = self.speed else {
            return !stopped();
        };
        let after_ns = received_ns.saturating_sub(first_ns) as f64 / speed;
        let due = start + Duration::from_nanos(after_ns as u64);
        loop {
            if stopped() {
                return false;
            }
            let now = Instant::now();
            let left = due.saturating_duration_since(now);
            if left.is_zero() {
                let late = now.saturating_duration_since(due).as_nanos();
                self.late.note(u64::try_from(late).unwrap_or(u64::MAX));
                return true;
            }
            if left > SPIN {
                std::thread::sleep((left - SPIN).min(NAP));
            } else {
                std::hint::spin_loop();
            }
        }
    }
}
