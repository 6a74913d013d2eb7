//! How long datagrams took, in buckets that double.

use serde::Serialize;

/// Upper bounds are 2^10 ns (about 1 µs) to 2^30 ns (about 1.07 s), and what took longer.
const LOWEST_POWER: u32 = 10;
const BUCKETS: usize = 22;

#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    counts: [u64; BUCKETS],
    sum_ns: u64,
}

/// As it is told to others: cumulative, as Prometheus wants it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct HistogramSnapshot {
    /// Upper bounds in nanoseconds; the last bucket has none.
    pub bounds_ns: Vec<u64>,
    /// How many took at most that long; one more than there are bounds.
    pub counts: Vec<u64>,
    pub sum_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: [0; BUCKETS],
            sum_ns: 0,
        }
    }
}

impl Histogram {
    pub(crate) fn add(&mut self, took_ns: u64) {
        // The power of two that is not below it.
        let power = u64::BITS - took_ns.saturating_sub(1).leading_zeros();
        let at = (power.saturating_sub(LOWEST_POWER) as usize).min(BUCKETS - 1);
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        self.sum_ns = self.sum_ns.saturating_add(took_ns);
    }

    pub(crate) fn snapshot(&self) -> HistogramSnapshot {
        let mut sum = 0;
        let cumulative = self.counts.iter().map(|count| {
            sum += count;
            sum
        });
        HistogramSnapshot {
            counts: cumulative.collect(),
            bounds_ns: (0..BUCKETS as u32 - 1)
                .map(|at| 1 << (at + LOWEST_POWER))
                .collect(),
            sum_ns: self.sum_ns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_as_long_as_a_bound_is_within_it() {
        let mut histogram = Histogram::default();
        for took_ns in [0, 1024, 1025, 2048, 1 << 30, (1 << 30) + 1, u64::MAX] {
            histogram.add(took_ns);
        }
        let snapshot = histogram.snapshot();
        let at_most = |bound: u64| {
            let bounds = snapshot.bounds_ns.iter().zip(&snapshot.counts);
            bounds
                .filter(|(ns, _)| **ns == bound)
                .map(|(_, count)| *count)
                .next()
        };
        assert_eq!(at_most(1024), Some(2));
        assert_eq!(at_most(2048), Some(4));
        assert_eq!(at_most(1 << 30), Some(5));
        assert_eq!(snapshot.counts.last(), Some(&7));
    }
}
