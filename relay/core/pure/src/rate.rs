//! A limit on what one subscriber gets of one feed: so many datagrams and bits a second, with a short burst.

/// How much of a second's allowance may leave at once: market data comes in bursts, and a limit that forbids them would
/// refuse what fits the second well.
const BURST_NS: u64 = 100_000_000;

const SECOND_NS: u64 = 1_000_000_000;

/// What is allowed; none is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    pub datagrams_per_second: Option<u64>,
    pub bits_per_second: Option<u64>,
}

/// Counts what was allowed against the clock: two token buckets, of which both must have room.
#[derive(Clone, Debug)]
pub struct RateLimit {
    rate: Rate,
    datagrams: Option<Bucket>,
    bits: Option<Bucket>,
}

impl RateLimit {
    /// Full at `now_ns`, which is monotonic.
    #[must_use]
    pub fn new(rate: Rate, now_ns: u64) -> Self {
        // One datagram of any size always fits a full bucket; else a low limit would be none at all.
        Self {
            rate,
            datagrams: rate
                .datagrams_per_second
                .map(|each| Bucket::full(each, 1, now_ns)),
            bits: rate
                .bits_per_second
                .map(|each| Bucket::full(each, 65_535 * 8, now_ns)),
        }
    }

    /// With nothing left at `now_ns`: for who comes and goes, so that coming again is worth nothing.
    #[must_use]
    pub fn empty(rate: Rate, now_ns: u64) -> Self {
        let mut limit = Self::new(rate, now_ns);
        for bucket in [&mut limit.datagrams, &mut limit.bits]
            .into_iter()
            .flatten()
        {
            bucket.level = 0;
        }
        limit
    }

    /// Whether it is as a new one would be.
    pub fn is_full(&mut self, now_ns: u64) -> bool {
        let mut buckets = [&mut self.datagrams, &mut self.bits].into_iter().flatten();
        buckets.all(|bucket| bucket.has(0, now_ns) && bucket.level == bucket.most)
    }

    #[must_use]
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Whether a datagram of `bytes` may leave now; if so it counts.
    pub fn admit(&mut self, bytes: usize, now_ns: u64) -> bool {
        let bits = bytes as u64 * 8;
        let fits = |bucket: &mut Option<Bucket>, units| {
            bucket
                .as_mut()
                .is_none_or(|bucket| bucket.has(units, now_ns))
        };
        if !fits(&mut self.datagrams, 1) || !fits(&mut self.bits, bits) {
            return false;
        }
        if let Some(bucket) = &mut self.datagrams {
            bucket.take(1);
        }
        if let Some(bucket) = &mut self.bits {
            bucket.take(bits);
        }
        true
    }
}

/// Holds nanoseconds' worth of units, so that no rate is rounded away.
#[derive(Clone, Debug)]
struct Bucket {
    units_per_second: u64,
    most: u128,
    level: u128,
    at_ns: u64,
}

impl Bucket {
    fn full(units_per_second: u64, least_units: u64, now_ns: u64) -> Self {
        let burst = u128::from(units_per_second) * u128::from(BURST_NS);
        let most = burst.max(u128::from(least_units) * u128::from(SECOND_NS));
        Self {
            units_per_second,
            most,
            level: most,
            at_ns: now_ns,
        }
    }

    fn has(&mut self, units: u64, now_ns: u64) -> bool {
        let passed_ns = now_ns.saturating_sub(self.at_ns);
        self.at_ns = self.at_ns.max(now_ns);
        let gained = u128::from(self.units_per_second) * u128::from(passed_ns);
        self.level = (self.level + gained).min(self.most);
        self.level >= u128::from(units) * u128::from(SECOND_NS)
    }

    fn take(&mut self, units: u64) {
        self.level = self
            .level
            .saturating_sub(u128::from(units) * u128::from(SECOND_NS));
    }
}
