//! Lines that insist: several packets in a row, with rising numbers, that belong where nothing is expected.
//!
//! What is decided from one packet can be a mistake: a reset may be lost on every line, and a stray may have ended the
//! session that is under way. What a line brings then looks like copies, or like the rest of what is over. It is believed
//! when a line has brought [`ENOUGH`] such packets, one after the other, for longer than lines lag, while none brought
//! anything new: lines that lag bring what is new to themselves, and a network that doubles or reorders does not do it in
//! order for so long.

use crate::protocol::EpochKey;
use crate::restart::REORDERED_NS;

/// How many packets a line has to bring.
const ENOUGH: u64 = 8;

/// How many numbers may be missing between two of them.
const STEP: u64 = 1_000;

#[derive(Clone, Copy, Debug)]
struct Run {
    epoch: EpochKey,
    first: u64,
    end: u64,
    packets: u64,
    began_ns: u64,
    /// When something new had last come, of which `packets` have to come after.
    new_ns: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct LineState {
    /// One past the highest number that it brought in the current epoch.
    end: u64,
    run: Option<Run>,
}

/// What is known of each line.
#[derive(Debug)]
pub(crate) struct Insisting(Vec<LineState>);

impl Insisting {
    pub(crate) fn new(lines: usize) -> Self {
        Self(vec![LineState::default(); lines])
    }

    pub(crate) fn grow(&mut self, lines: usize) {
        self.0.resize(lines, LineState::default());
    }

    /// The current epoch is another one.
    pub(crate) fn clear(&mut self) {
        self.0.fill(LineState::default());
    }

    /// Whether the line has had all numbers before `end`, or higher ones.
    pub(crate) fn is_below(&self, line: usize, end: u64) -> bool {
        self.0.get(line).is_some_and(|state| end <= state.end)
    }

    /// The line goes on in the current epoch, where it is expected.
    pub(crate) fn go_on(&mut self, line: usize, end: u64) {
        if let Some(state) = self.0.get_mut(line) {
            state.end = state.end.max(end);
            state.run = None;
        }
    }

    /// The numbers `first..end` came on `line`; the last new one came at `new_ns`. Returns the number that the run began
    /// with when it is long enough.
    pub(crate) fn hear(
        &mut self,
        line: usize,
        (epoch, first, end): (EpochKey, u64, u64),
        (new_ns, now_ns): (u64, u64),
    ) -> Option<u64> {
        let state = self.0.get_mut(line)?;
        let goes_on = |run: &Run| {
            run.epoch == epoch && (run.end..run.end.saturating_add(STEP)).contains(&first)
        };
        let is_copy = |run: &Run| run.epoch == epoch && run.first <= first && end <= run.end;
        // What another line brought meanwhile shows that the stream is elsewhere; just after a restart it lags.
        let stands =
            |run: &Run| new_ns == run.new_ns || new_ns < run.began_ns.saturating_add(REORDERED_NS);
        let run = match state.run.filter(stands) {
            Some(run) if is_copy(&run) => return None,
            Some(run) if goes_on(&run) => Run {
                end,
                packets: if new_ns == run.new_ns {
                    run.packets + 1
                } else {
                    1
                },
                new_ns,
                ..run
            },
            _ => Run {
                epoch,
                first,
                end,
                packets: 1,
                began_ns: now_ns,
                new_ns,
            },
        };
        state.run = Some(run);
        // The word that numbers start anew may still come, on a line that lags.
        let settled = now_ns.saturating_sub(run.began_ns.max(new_ns)) >= REORDERED_NS;
        (settled && run.packets >= ENOUGH).then_some(run.first)
    }
}
