//! Clocks, in nanoseconds.

use std::mem::MaybeUninit;

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: `time` is writable for one timespec, and an all-zero timespec is valid should the call fail.
    let time = unsafe {
        libc::clock_gettime(clock, time.as_mut_ptr());
        time.assume_init()
    };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// `CLOCK_REALTIME` now.
pub fn realtime_ns() -> u64 {
    read(libc::CLOCK_REALTIME)
}

/// `CLOCK_MONOTONIC` now.
pub fn monotonic_ns() -> u64 {
    read(libc::CLOCK_MONOTONIC)
}

/// Both clocks, realtime first, of one instant: being interrupted between two readings would pass for a clock step.
pub fn both_ns() -> (u64, u64) {
    const CLOSE_NS: u64 = 1_000;
    const ATTEMPTS: usize = 8;
    let mut best = (u64::MAX, 0, 0);
    for _ in 0..ATTEMPTS {
        let before = monotonic_ns();
        let realtime = realtime_ns();
        let gap = monotonic_ns() - before;
        if gap < best.0 {
            best = (gap, realtime, before + gap / 2);
        }
        if gap < CLOSE_NS {
            break;
        }
    }
    (best.1, best.2)
}

/// Sleep until `due_ns` of `CLOCK_REALTIME`; returns early when a signal comes.
pub fn sleep_until_realtime(due_ns: u64) {
    let time = libc::timespec {
        tv_sec: (due_ns / 1_000_000_000) as libc::time_t,
        tv_nsec: (due_ns % 1_000_000_000) as libc::c_long,
    };
    // SAFETY: `time` outlives the call; no remainder is asked for with an absolute time.
    unsafe {
        libc::clock_nanosleep(
            libc::CLOCK_REALTIME,
            libc::TIMER_ABSTIME,
            &time,
            std::ptr::null_mut(),
        )
    };
}

/// Ask the kernel to wake this thread as exactly as it can: its default slack is 50 µs (prctl(2)).
pub fn wake_exactly() {
    // SAFETY: takes integers only and changes nothing but this thread's timer slack.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1, 0, 0, 0) };
}

/// How far `CLOCK_REALTIME` has moved against `CLOCK_MONOTONIC` since [`StepMeter::start`].
pub struct StepMeter {
    difference_ns: i128,
}

impl StepMeter {
    /// Start measuring.
    pub fn start() -> Self {
        Self {
            difference_ns: Self::difference_ns(),
        }
    }

    fn difference_ns() -> i128 {
        let (realtime, monotonic) = both_ns();
        i128::from(realtime) - i128::from(monotonic)
    }

    /// The step so far, in nanoseconds, without its sign.
    pub fn step_ns(&self) -> u64 {
        u64::try_from((Self::difference_ns() - self.difference_ns).unsigned_abs())
            .unwrap_or(u64::MAX)
    }
}

/// Nearest-rank percentile of unsorted values; 0 of none.
pub fn percentile(values: &mut [u64], percent: usize) -> u64 {
    if values.is_empty() {
        return 0;
    }
    let rank = (values.len() * percent).div_ceil(100).max(1) - 1;
    *values.select_nth_unstable(rank).1
}

#[cfg(test)]
mod tests {
    use super::{both_ns, percentile, StepMeter};

    #[test]
    fn the_clocks_keep_their_distance() {
        let meter = StepMeter::start();
        let (first, second) = (both_ns(), both_ns());
        assert!(second.1 >= first.1);
        assert!(meter.step_ns() < 1_000_000, "{}", meter.step_ns());
    }

    #[test]
    fn percentiles_are_nearest_rank() {
        let mut values: Vec<u64> = (1..=100).rev().collect();
        assert_eq!(percentile(&mut values, 50), 50);
        assert_eq!(percentile(&mut values, 99), 99);
        assert_eq!(percentile(&mut values, 100), 100);
        assert_eq!(percentile(&mut [], 99), 0);
    }
}
