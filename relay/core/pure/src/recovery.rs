//! Asking elsewhere for what no line brought: when a hole is asked for, how often, and for how long.
//!
//! The lines have their time first (hole-wait). Then the hole is asked for until it is filled or `wait_ns` is over; only
//! then its loss is declared. Each question that stays without an answer doubles the time to the next; an answer that
//! fills a part asks on for the rest at once, because a server answers with one datagram's worth.
//!
//! The time of every hole runs from when it showed, whatever becomes of the holes below it, so that nothing waits longer
//! than hole-wait and `wait_ns` together. A question is therefore put for all holes whose lines have had their time: one
//! that nobody can fill must not use up the time of the others.

/// How a stream's holes are recovered.
#[derive(Clone, Copy, Debug)]
pub struct Recovery {
    /// The line as which answers are handed in.
    pub line: usize,
    /// How long a hole is asked for altogether, after the lines have had their time. Nanoseconds.
    pub wait_ns: u64,
    /// How long the first answer is waited for. Nanoseconds.
    pub retry_ns: u64,
}

/// Questions are never put faster than this, whatever is configured. Nanoseconds.
const SHORTEST_RETRY_NS: u64 = 1_000_000;

/// How many holes are asked for at a time; the others when these are filled, or with the next question.
pub(crate) const HOLES_A_QUESTION: usize = 32;

/// The holes that are being asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    /// One past the highest number that was asked for.
    end: u64,
    /// When it is put again, and how long that wait is.
    again_ns: u64,
    interval_ns: u64,
}

impl Question {
    pub(crate) fn put(recovery: Recovery, now_ns: u64) -> Self {
        let interval_ns = recovery.retry_ns.max(SHORTEST_RETRY_NS);
        Self {
            end: 0,
            again_ns: now_ns.saturating_add(interval_ns),
            interval_ns,
        }
    }

    /// The numbers before `end` were asked for with it.
    pub(crate) fn reaches(&mut self, end: u64) {
        self.end = self.end.max(end);
    }

    /// Whether the hole that begins at `next` was asked for, or is what is left of one that was.
    pub(crate) fn is_about(&self, next: u64) -> bool {
        next < self.end
    }

    /// When it is put again. Monotonic, nanoseconds.
    pub(crate) fn again_ns(&self) -> u64 {
        self.again_ns
    }

    /// It was put again.
    pub(crate) fn repeat(&mut self, now_ns: u64) {
        self.interval_ns = self.interval_ns.saturating_mul(2);
        self.again_ns = now_ns.saturating_add(self.interval_ns);
    }

    /// A part of the answer came: ask on at once, and no longer wait than at first.
    pub(crate) fn answered(&mut self, recovery: Recovery, now_ns: u64) {
        self.interval_ns = recovery.retry_ns.max(SHORTEST_RETRY_NS) / 2;
        self.again_ns = now_ns;
    }
}
