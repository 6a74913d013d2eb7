//! Which epoch a packet belongs to when its header does not say: resets that travel in band (CME's ChannelReset, the start
//! of a MACH session), and restarts that nothing announces.
//!
//! After a reset two runs of numbers are under way, because lines lag: the old one, near where it ended, and the new one,
//! near where it began. A line that has not yet shown the new run, and whose packet continues its own old run, is still in
//! the old one. Any other packet belongs to the run that it is nearer to, the new one unless that would be a giant hole.
//!
//! What follows a reset on a line and overtakes it there, before any line has shown the reset, looks like old numbers and
//! counts as such: the other line has to bring it. Where no line shows the reset, see `insisting`.
//!
//! Where packets carry a session's number, which may come back, another one than before is another run whatever the
//! numbers; only a restart that uses the same one again is told as above.
//!
//! A line that was away while the others moved on, and returns within [`MEMORY_NS`] when the new run is at numbers that the
//! old one had after this line left it, looks like one that lags: it counts as late until it is past them.
//!
//! The second line's copy of the reset must not be a second reset: it carries the number of the epoch's own reset, on a
//! line that has not shown it yet (or again at once, where the network duplicates).

use crate::numbers::Numbers;
use crate::protocol::EpochKey;

/// How long a line may lag behind a reset and still be told from the new run. Nanoseconds.
///
/// Lines were seen 48 ms apart; after this long the new run's numbers may come near the old run's end.
pub(crate) const MEMORY_NS: u64 = 5_000_000_000;

/// How far behind its fastest line another may be, in packets: 98 a millisecond were seen, for 48 ms, doubled.
const LAG_PACKETS: u64 = 10_000;

/// How long after a line has shown the new run a packet of the old one, or the reset once more, may still come on it:
/// reordered or doubled, not lagging. A jump after that is a hole, however near to the old run's end it leads. Nanoseconds.
pub(crate) const REORDERED_NS: u64 = 100_000_000;

/// How far above 1 an epoch may have begun for a 1 that follows to be a copy that lags.
pub(crate) const COPIES_WITHIN: u64 = LAG_PACKETS;

/// A jump inside the new run that a line makes less likely than a straggler of the old one. Packets.
const FAR_PACKETS: u64 = 1_000;

/// How long nothing new must have come before a lower number means that the exchange restarted without saying so.
///
/// Lines lag by milliseconds, so a number that comes back after this long is no copy. Nanoseconds.
pub(crate) const SILENT_RESTART_NS: u64 = 10_000_000_000;

/// How far `number` is outside `low..=high`.
fn distance(number: u64, low: u64, high: u64) -> u64 {
    low.saturating_sub(number).max(number.saturating_sub(high))
}

/// The run of numbers before the reset.
#[derive(Clone, Copy, Debug)]
struct OldRun {
    /// One past its highest number.
    end: u64,
    /// Monotonic, nanoseconds.
    forget_ns: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct LineState {
    /// When it first showed a packet of the new run. Monotonic, nanoseconds.
    moved_ns: Option<u64>,
    /// It has shown the reset itself.
    reset_seen: bool,
    /// Its highest number in the run that it is in: not its latest, which may have overtaken the reset and look old.
    last: Option<u64>,
}

/// What is remembered across a reset, for each line.
#[derive(Debug)]
pub(crate) struct Runs {
    old: Option<OldRun>,
    /// What the headers of the run and of the one before carry beside the number.
    session: Option<EpochKey>,
    old_session: Option<EpochKey>,
    lines: Vec<LineState>,
}

impl Runs {
    pub(crate) fn new(lines: usize) -> Self {
        Self {
            old: None,
            session: None,
            old_session: None,
            lines: vec![LineState::default(); lines],
        }
    }

    pub(crate) fn grow(&mut self, lines: usize) {
        self.lines.resize(lines, LineState::default());
    }

    /// The run that has begun has this in its headers.
    pub(crate) fn change_session(&mut self, session: EpochKey) {
        self.old_session = self.session.replace(session);
    }

    pub(crate) fn is_session(&self, session: EpochKey) -> bool {
        self.session == Some(session)
    }

    pub(crate) fn was_session(&self, session: EpochKey) -> bool {
        self.old_session == Some(session)
    }

    /// Whether the run is of another session than the one before.
    pub(crate) fn changed_session(&self) -> bool {
        self.old_session.is_some() && self.old_session != self.session
    }

    /// One past the highest number of the run before.
    pub(crate) fn old_end(&self) -> Option<u64> {
        self.old.map(|old| old.end)
    }

    /// A new run begins on `line`; the old one ended before `old_end`.
    pub(crate) fn begin(&mut self, line: usize, old_end: Option<u64>, is_reset: bool, now_ns: u64) {
        self.old = old_end.map(|end| OldRun {
            end,
            forget_ns: now_ns.saturating_add(MEMORY_NS),
        });
        for state in &mut self.lines {
            // A line that slept through the whole run before has no number in it.
            let last = state.last.filter(|_| state.moved_ns.is_some());
            *state = LineState {
                last,
                ..LineState::default()
            };
        }
        if let Some(state) = self.lines.get_mut(line) {
            *state = LineState {
                moved_ns: Some(now_ns),
                reset_seen: is_reset,
                last: None,
            };
        }
    }

    /// Whether a reset with the current epoch's own number is a copy of it rather than a second one.
    pub(crate) fn is_copy(
        &mut self,
        line: usize,
        age_ns: u64,
        hole_wait_ns: u64,
        now_ns: u64,
    ) -> bool {
        let Some(state) = self.lines.get_mut(line) else {
            return true;
        };
        let copy =
            age_ns <= hole_wait_ns.max(REORDERED_NS) || (!state.reset_seen && age_ns < MEMORY_NS);
        if copy {
            *state = LineState {
                moved_ns: Some(now_ns),
                reset_seen: true,
                last: None,
            };
        }
        copy
    }

    /// The number in the old run when the packet belongs there. `current` is the new run's `low..highest + 1`.
    pub(crate) fn in_old_run(
        &mut self,
        line: usize,
        wire: u64,
        numbers: Numbers,
        current: (u64, u64),
        now_ns: u64,
    ) -> Option<u64> {
        // A run before that had another session's number cannot be this packet's.
        let alike = !self.changed_session();
        let state = self.lines.get_mut(line)?;
        let new_number = numbers.unwrap(wire, current.1);
        let found = self
            .old
            .filter(|old| alike && now_ns < old.forget_ns)
            .and_then(|old| {
                let number = numbers.unwrap(wire, old.end);
                let last = old.end.saturating_sub(1);
                let to_new = distance(new_number, current.0, current.1);
                let is_old = if let Some(moved_ns) = state.moved_ns {
                    now_ns.saturating_sub(moved_ns) < REORDERED_NS
                        && to_new > FAR_PACKETS
                        && distance(number, last, last) < to_new
                } else {
                    let own = state
                        .last
                        .map(|own| own.max(last.saturating_sub(LAG_PACKETS)));
                    let to_old = distance(number, own.map_or(last, |own| own.min(last)), last);
                    to_old < to_new || (to_old == 0 && own.is_some())
                };
                is_old.then_some(number)
            });
        if found.is_none() {
            state.moved_ns = state.moved_ns.or(Some(now_ns));
            state.last = state.last.max(Some(new_number));
        } else if state.moved_ns.is_none() {
            state.last = state.last.max(found);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_is_zero_inside() {
        assert_eq!(distance(5, 4, 6), 0);
        assert_eq!(distance(3, 4, 6), 1);
        assert_eq!(distance(9, 4, 6), 3);
    }
}
