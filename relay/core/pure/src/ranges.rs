//! Sets of numbers, kept as ranges.

use std::collections::{BTreeMap, VecDeque};

/// Disjoint half-open ranges that touch nowhere.
#[derive(Debug, Default)]
pub(crate) struct RangeSet {
    /// Start to end (one past the last).
    ranges: BTreeMap<u64, u64>,
}

impl RangeSet {
    /// Whether every number from `first` to before `end` is in the set.
    pub(crate) fn covers(&self, first: u64, end: u64) -> bool {
        self.ranges
            .range(..=first)
            .next_back()
            .is_some_and(|(_, covered)| *covered >= end)
    }

    pub(crate) fn insert(&mut self, first: u64, end: u64) {
        let (mut first, mut end) = (first, end);
        while let Some((&start, &stop)) = self.ranges.range(..=end).next_back() {
            if stop < first {
                break;
            }
            self.ranges.remove(&start);
            first = first.min(start);
            end = end.max(stop);
        }
        self.ranges.insert(first, end);
    }

    /// The ranges of numbers from `first` to before `end` that are not in the set, ascending.
    pub(crate) fn gaps(&self, first: u64, end: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        let before = self.ranges.range(..first).next_back();
        let mut at = before.map_or(first, |(_, stop)| first.max(*stop));
        let ranges = self.ranges.range(first..end.max(first));
        let starts = ranges.map(|(start, stop)| (*start, *stop));
        starts
            .chain(std::iter::once((end, end)))
            .filter_map(move |(start, stop)| {
                let gap = (at, start);
                at = at.max(stop);
                (gap.0 < gap.1).then_some(gap)
            })
    }

    pub(crate) fn remove_below(&mut self, number: u64) {
        while let Some(range) = self.ranges.first_entry() {
            if *range.key() >= number {
                break;
            }
            let end = range.remove();
            if end > number {
                self.ranges.insert(number, end);
            }
        }
    }
}

/// The last ranges that were declared lost, ascending. What it forgets counts as delivered from then on.
#[derive(Debug, Default)]
pub(crate) struct LostRanges {
    /// First and last, both lost.
    ranges: VecDeque<(u64, u64)>,
}

impl LostRanges {
    const KEPT: usize = 1000;

    /// `first` is above everything declared before.
    pub(crate) fn push(&mut self, first: u64, last: u64) {
        if self.ranges.len() == Self::KEPT {
            self.ranges.pop_front();
        }
        self.ranges.push_back((first, last));
    }

    /// Whether a number from `first` to before `end` was declared lost.
    pub(crate) fn touches(&self, first: u64, end: u64) -> bool {
        let at = self.ranges.partition_point(|(_, last)| *last < first);
        self.ranges.get(at).is_some_and(|(start, _)| *start < end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_touch_become_one() {
        let mut set = RangeSet::default();
        set.insert(10, 12);
        set.insert(14, 16);
        assert!(!set.covers(10, 16));
        set.insert(12, 14);
        assert!(set.covers(10, 16));
        set.remove_below(15);
        assert!(!set.covers(14, 16));
        assert!(set.covers(15, 16));
    }

    #[test]
    fn a_range_swallows_those_inside_it() {
        let mut set = RangeSet::default();
        set.insert(5, 6);
        set.insert(8, 9);
        set.insert(20, 21);
        set.insert(1, 10);
        assert!(set.covers(1, 10));
        assert!(!set.covers(1, 11));
        assert!(set.covers(20, 21));
    }

    #[test]
    fn gaps_are_what_lies_between() {
        let mut set = RangeSet::default();
        set.insert(3, 5);
        set.insert(8, 9);
        let gaps = |first, end| set.gaps(first, end).collect::<Vec<_>>();
        assert_eq!(gaps(1, 10), [(1, 3), (5, 8), (9, 10)]);
        assert_eq!(gaps(4, 7), [(5, 7)]);
        assert_eq!(gaps(5, 9), [(5, 8)]);
        assert!(gaps(3, 5).is_empty() && gaps(8, 8).is_empty());
        assert_eq!(RangeSet::default().gaps(2, 4).collect::<Vec<_>>(), [(2, 4)]);
    }

    #[test]
    fn a_number_is_lost_only_inside_a_lost_range() {
        let mut lost = LostRanges::default();
        lost.push(5, 7);
        lost.push(9, 9);
        assert!(lost.touches(7, 8) && lost.touches(1, 6) && lost.touches(8, 10));
        assert!(!lost.touches(8, 9) && !lost.touches(10, 99) && !lost.touches(1, 5));
    }
}
