//! How late datagrams left: counted in buckets, each an eighth of a power of two wide.

const STEPS: u32 = 3;
const BUCKETS: usize = 64 << STEPS;

#[derive(Debug)]
pub(crate) struct Lateness {
    counts: Vec<u64>,
    total: u64,
    pub max_ns: u64,
}

impl Default for Lateness {
    fn default() -> Self {
        Self {
            counts: vec![0; BUCKETS],
            total: 0,
            max_ns: 0,
        }
    }
}

impl Lateness {
    pub(crate) fn note(&mut self, late_ns: u64) {
        if let Some(count) = self.counts.get_mut(bucket(late_ns)) {
            *count += 1;
        }
        self.total += 1;
        self.max_ns = self.max_ns.max(late_ns);
    }

    /// What `share` of all were at most, rounded up to the bucket's end.
    pub(crate) fn quantile_ns(&self, share: f64) -> u64 {
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (at, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return end(at).min(self.max_ns);
            }
        }
        self.max_ns
    }
}

fn bucket(value: u64) -> usize {
    if value < 1 << STEPS {
        return value as usize;
    }
    let power = value.ilog2();
    let step = (value >> (power - STEPS)) & ((1 << STEPS) - 1);
    (((power - STEPS + 1) << STEPS) as u64 | step) as usize
}

fn end(bucket: usize) -> u64 {
    let (row, step) = ((bucket >> STEPS) as u32, bucket as u64 & ((1 << STEPS) - 1));
    if row == 0 {
        return step;
    }
    let width = row - 1;
    let next = (((1 << STEPS) | step) + 1) as u128;
    u64::try_from((next << width) - 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_meet_and_quantiles_are_upper_bounds() {
        for value in (0..5000).chain([u64::MAX / 2, u64::MAX]) {
            let at = bucket(value);
            assert!(value <= end(at));
            assert!(at == 0 || end(at - 1) < value);
        }
        let mut lateness = Lateness::default();
        (1..=1000).for_each(|value| lateness.note(value));
        assert!((500..=576).contains(&lateness.quantile_ns(0.5)));
        assert!((990..=1000).contains(&lateness.quantile_ns(0.99)));
    }
}
