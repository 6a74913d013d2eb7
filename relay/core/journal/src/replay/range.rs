//! The numbers that are replayed: of one stream in one epoch, from one to another, perhaps across the end of a round.

use lanecast_relay_core::numbers::Numbers;
use lanecast_relay_core::{EpochKey, Kind, Packet, Protocol};
use serde::Deserialize;

use crate::locate::Position;

/// Packets without a number in here stay out. As on the wire, both included.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberRange {
    pub stream: u64,
    /// As the packets name it; none: they do not.
    pub epoch: Option<[u8; EpochKey::BYTES]>,
    pub first: Option<u64>,
    pub last: Option<u64>,
    /// Where the last copy of `last` lies.
    pub end: Option<Position>,
}

impl NumberRange {
    /// Whether a datagram has something of the range.
    pub(crate) fn has(&self, protocol: &Protocol, datagram: &[u8]) -> bool {
        let packets = protocol.packets(datagram);
        packets.is_ok_and(|packets| {
            let mut packets = packets.iter();
            packets.any(|packet| self.has_packet(protocol.numbers(), packet))
        })
    }

    fn has_packet(&self, numbers: Numbers, packet: &Packet) -> bool {
        self.is_of(packet.stream, packet.epoch)
            && match packet.kind {
                Kind::Data => self.count_of(numbers, packet.first, packet.count.max(1)) > 0,
                Kind::Heartbeat { next } => {
                    self.first != Some(next) && self.count_of(numbers, next, 1) > 0
                }
                _ => self.last.is_none(),
            }
    }

    fn is_of(&self, stream: u64, epoch: EpochKey) -> bool {
        stream == self.stream && self.epoch.is_none_or(|own| own == epoch.0)
    }

    /// How many of the `count` numbers from `wire` on it has.
    fn count_of(&self, numbers: Numbers, wire: u64, count: u64) -> u64 {
        match (self.first, self.last) {
            (None, None) => count,
            (Some(first), None) if numbers.is_before(wire, first) => {
                count.saturating_sub(numbers.distance(wire, first).unwrap_or(count))
            }
            (Some(_), None) => count,
            (None, Some(last)) if numbers.is_before(last, wire) => 0,
            (None, Some(last)) => {
                let left = numbers.distance(wire, last).unwrap_or(0);
                count.min(left.saturating_add(1))
            }
            (Some(first), Some(last)) => {
                let Some(span) = numbers.distance(first, last) else {
                    return 0;
                };
                match numbers.distance(first, wire).filter(|at| *at <= span) {
                    Some(at) => count.min((span - at).saturating_add(1)),
                    None => {
                        let before = numbers.distance(wire, first).unwrap_or(count);
                        count.saturating_sub(before).min(span.saturating_add(1))
                    }
                }
            }
        }
    }

    /// How many of the messages that were given up it has.
    pub(crate) fn lost(
        &self,
        numbers: Numbers,
        (stream, epoch): (u64, EpochKey),
        first: u64,
        count: u64,
    ) -> u64 {
        if self.is_of(stream, epoch) {
            self.count_of(numbers, numbers.wire(first), count)
        } else {
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(ends: (Option<u64>, Option<u64>), bits: u32, wire: u64, count: u64) -> u64 {
        let range = NumberRange {
            stream: 0,
            epoch: None,
            first: ends.0,
            last: ends.1,
            end: None,
        };
        range.count_of(Numbers::new(bits, 0), wire, count)
    }

    #[test]
    fn numbers_are_told_from_those_around_them() {
        for bits in [64, 32] {
            let both = |wire, many| count((Some(100), Some(200)), bits, wire, many);
            assert_eq!([both(99, 1), both(99, 2), both(95, 500)], [0, 1, 101]);
            assert_eq!([both(150, 3), both(200, 3), both(201, 3)], [3, 1, 0]);
            let from = |wire, many| count((Some(100), None), bits, wire, many);
            assert_eq!([from(98, 2), from(98, 3), from(9000, 3)], [0, 1, 3]);
            let to = |wire, many| count((None, Some(200)), bits, wire, many);
            assert_eq!([to(5, 2), to(199, 3), to(201, 1)], [2, 2, 0]);
        }
    }

    #[test]
    fn a_range_goes_on_across_the_end_of_a_round() {
        let both = |wire, many| count((Some(0xFFFF_FFF0), Some(15)), 32, wire, many);
        assert_eq!([both(0xFFFF_FFEF, 1), both(0xFFFF_FFEF, 3)], [0, 2]);
        assert_eq!([both(0xFFFF_FFFF, 5), both(3, 5), both(15, 5)], [5, 5, 1]);
        assert_eq!([both(16, 1), both(0x8000_0000, 9)], [0, 0]);
        assert_eq!(count((Some(0xFFFF_FFF0), None), 32, 3, 1), 1);
        assert_eq!(count((None, Some(3)), 32, 0xFFFF_FFF0, 1), 1);
        assert_eq!(count((Some(9), Some(3)), 64, 5, 1), 0);
    }
}
