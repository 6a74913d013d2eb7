//! Numbers as they stand on the wire, which come round, and as the arbiter counts them, which do not.

/// The circle of numbers that a field can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    lowest: u64,
    /// How many numbers there are before the first comes again; none for 64 bits, which never come round.
    round: Option<u64>,
}

impl Numbers {
    /// Numbers of `bits` from `lowest` on.
    #[must_use]
    pub fn new(bits: u32, lowest: u64) -> Self {
        let round = (bits < 64).then(|| (1u64 << bits).saturating_sub(lowest).max(1));
        Self { lowest, round }
    }

    /// An arbiter's number as it stands on the wire.
    #[must_use]
    pub fn wire(self, number: u64) -> u64 {
        self.round
            .map_or(number, |round| number % round + self.lowest)
    }

    /// An arbiter's number as the wire would have it if its field had 64 bits.
    #[must_use]
    pub fn counted(self, number: u64) -> u64 {
        self.round.map_or(number, |round| {
            number.saturating_sub(round).saturating_add(self.lowest)
        })
    }

    /// The arbiter's number that [`Self::counted`] gives as `counted`.
    #[must_use]
    pub fn uncounted(self, counted: u64) -> u64 {
        self.round.map_or(counted, |round| {
            counted.saturating_sub(self.lowest).saturating_add(round)
        })
    }

    /// The number on the wire that is `count` after `wire`; `None` where 64 bits end.
    #[must_use]
    pub fn after(self, wire: u64, count: u64) -> Option<u64> {
        let sum = self.place(wire).checked_add(count)?;
        Some(self.wire(sum))
    }

    /// How many numbers after `from` on the wire `to` comes; `None` where 64 bits would have to come round for it.
    #[must_use]
    pub fn distance(self, from: u64, to: u64) -> Option<u64> {
        let Some(round) = self.round else {
            return to.checked_sub(from);
        };
        Some((self.place(to) % round + round - self.place(from) % round) % round)
    }

    /// Whether `wire` comes before `other`: of numbers that come round, within a quarter of the circle.
    #[must_use]
    pub fn is_before(self, wire: u64, other: u64) -> bool {
        let near = |distance: &u64| self.round.is_none_or(|round| *distance <= round / 4);
        wire != other && self.distance(wire, other).as_ref().is_some_and(near)
    }

    /// The arbiter's number of an epoch's first packet. Epochs start one round up, so that lower numbers fit below.
    pub(crate) fn first_round(self, wire: u64) -> u64 {
        self.place(wire) + self.round.unwrap_or(0)
    }

    /// The number nearest to `reference` that is `wire` on the wire.
    pub(crate) fn unwrap(self, wire: u64, reference: u64) -> u64 {
        let Some(round) = self.round else {
            return wire;
        };
        let ahead = (self.place(wire) % round + round - reference % round) % round;
        if ahead < round / 2 {
            reference.saturating_add(ahead)
        } else {
            reference.saturating_sub(round - ahead)
        }
    }

    /// Counted from 0; 64 bits have no lowest number to subtract, since they never come round.
    fn place(self, wire: u64) -> u64 {
        self.round
            .map_or(wire, |_| wire.saturating_sub(self.lowest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_round_in_both_directions() {
        let numbers = Numbers::new(32, 0);
        let start = numbers.first_round(0xFFFF_FFFE);
        assert_eq!(numbers.unwrap(0xFFFF_FFFF, start), start + 1);
        assert_eq!(numbers.unwrap(1, start), start + 3);
        assert_eq!(numbers.unwrap(0xFFFF_FFFE, start + 3), start);
        assert_eq!(Numbers::new(64, 0).unwrap(7, 5), 7);
    }

    #[test]
    fn where_0_is_no_number_1_follows_the_highest() {
        let numbers = Numbers::new(32, 1);
        let last = numbers.first_round(0xFFFF_FFFF);
        assert_eq!(numbers.unwrap(1, last), last + 1);
        assert_eq!(numbers.wire(last), 0xFFFF_FFFF);
        assert_eq!(numbers.wire(last + 1), 1);
        assert_eq!(numbers.after(0xFFFF_FFFF, 1), Some(1));
        assert_eq!(numbers.after(0xFFFF_FFFF, 3), Some(3));
    }

    #[test]
    fn what_comes_before_is_told_around_the_end_of_a_round() {
        let numbers = Numbers::new(32, 1);
        assert_eq!(numbers.distance(0xFFFF_FFFF, 3), Some(3));
        assert_eq!(numbers.distance(3, 0xFFFF_FFFF), Some(0xFFFF_FFFC));
        assert!(numbers.is_before(0xFFFF_FFF0, 3) && !numbers.is_before(3, 0xFFFF_FFF0));
        assert!(numbers.is_before(3, 4) && !numbers.is_before(4, 4));
        let endless = Numbers::new(64, 0);
        assert_eq!(
            (endless.distance(3, 9), endless.distance(9, 3)),
            (Some(6), None)
        );
        assert!(endless.is_before(1, u64::MAX) && !endless.is_before(u64::MAX, 1));
    }

    #[test]
    fn numbers_of_64_bits_end() {
        assert_eq!(Numbers::new(64, 0).after(u64::MAX, 1), None);
        assert_eq!(Numbers::new(64, 1).wire(9), 9);
    }
}
