//! Asking elsewhere for what no line brought: when a hole is asked for, how often, and for how long.
//!
//! The lines have their time first (hole-wait). Then the hole is asked for until it is filled or `wait_ns` is over; only
//! then its loss is declared. Each question that stays without an answer doubles the time to the next; an answer that
//! fills a part asks on for the rest at once, because a server answers with one datagram's worth.

/// How a stream's holes are recovered.
#[derive(Clone, Copy, Debug)]
pub struct Recovery {
    /// The line as which answers are handed in.
    pub line: usize,
    /// How long a hole is asked for altogether. Nanoseconds.
    pub wait_ns: u64,
    /// How long the first answer is waited for. Nanoseconds.
    pub retry_ns: u64,
}

/// Questions are never put faster than this, whatever is configured. Nanoseconds.
const SHORTEST_RETRY_NS: u64 = 1_000_000;

/// A hole that is being asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question {
    /// One past the hole's last number when it was first asked for.
    end: u64,
    /// When it is asked for again, and how long that wait is.
    again_ns: u64,
    interval_ns: u64,
    /// When it is given up.
    until_ns: u64,
}

impl Question {
    pub(crate) fn put(recovery: Recovery, end: u64, now_ns: u64) -> Self {
        let interval_ns = recovery.retry_ns.max(SHORTEST_RETRY_NS);
        Self {
            end,
            again_ns: now_ns.saturating_add(interval_ns),
            interval_ns,
            until_ns: now_ns.saturating_add(recovery.wait_ns),
        }
    }

    /// Whether the hole that begins at `next` is the one that was asked for, or what is left of it.
    pub(crate) fn is_about(&self, next: u64) -> bool {
        next < self.end
    }

    pub(crate) fn is_over(&self, now_ns: u64) -> bool {
        now_ns >= self.until_ns
    }

    /// When something has to be done about it.
    pub(crate) fn due_ns(&self) -> u64 {
        self.again_ns.min(self.until_ns)
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
