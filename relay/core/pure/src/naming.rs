//! Names for epochs that no header names, and numbers that go on where another process left them.
//!
//! ```text
//! first packet heard                               its epoch's name
//! -----------------------------------------------  ---------------------------------------------------------------
//! the header names the epoch                       that
//! of this process, not below where the stream was  the name that was in use
//! any other                                        the UTC day; the first of that day, or one after the last known
//! ```
//!
//! So two relays that hear the same epochs of a day use the same names, and one that knows where its streams were goes on
//! under the same name, or under one that was never in use. A clock that is set back makes no name come again.

use crate::numbers::Numbers;
use crate::protocol::{EpochKey, Kind, Packet, Protocol};

const DAY_NS: u64 = 86_400_000_000_000;

/// Where a stream is: its latest epoch, and how far that has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub epoch: EpochKey,
    /// The number to come, as [`Numbers::counted`] gives it; the highest there is when nothing may follow in that epoch.
    pub next: u64,
}

/// Names the epochs of one stream.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Naming {
    /// What monotonic time lacks to nanoseconds since 1970.
    utc_offset_ns: u64,
    /// The latest name in use that is a day and an ordinal.
    last: Option<Name>,
    /// Where the stream was before the first packet.
    was_at: Option<Position>,
}

/// Days since 1970, and which epoch of that day, from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Name {
    day: u32,
    ordinal: u64,
}

impl Naming {
    pub(crate) fn set_utc_offset(&mut self, utc_offset_ns: u64) {
        self.utc_offset_ns = utc_offset_ns;
    }

    /// Go on from `position`.
    pub(crate) fn resume(&mut self, protocol: &Protocol, position: Position) {
        self.was_at = Some(position);
        self.last = (!protocol.names_epochs()).then(|| Name::read(position.epoch));
    }

    /// The key of the epoch that `packet` begins, and the packet's number there.
    pub(crate) fn open(
        &mut self,
        protocol: &Protocol,
        packet: &Packet,
        now_ns: u64,
    ) -> (EpochKey, u64) {
        let (numbers, wire) = (protocol.numbers(), packet.number());
        let afresh = numbers.first_round(wire);
        if protocol.names_epochs() {
            let same = self.was_at.filter(|at| at.epoch == packet.epoch);
            let number = same.and_then(|at| continued(numbers, packet, at));
            return (packet.epoch, number.unwrap_or(afresh));
        }
        if let Some(at) = self.was_at.take() {
            if let Some(number) = continued(numbers, packet, at) {
                return (at.epoch, number);
            }
        }
        let name = self.after_last(now_ns);
        self.last = Some(name);
        (name.key(), afresh)
    }

    fn after_last(&self, now_ns: u64) -> Name {
        let utc_ns = now_ns.wrapping_add(self.utc_offset_ns);
        let day = u32::try_from(utc_ns / DAY_NS).unwrap_or(u32::MAX);
        match self.last.filter(|last| last.day >= day) {
            Some(last) => Name {
                ordinal: last.ordinal + 1,
                ..last
            },
            None => Name { day, ordinal: 1 },
        }
    }
}

/// The number of `packet` when it goes on from `position`. A heartbeat may be one off, should a protocol's word on what its
/// number means be wrong.
fn continued(numbers: Numbers, packet: &Packet, position: Position) -> Option<u64> {
    let next = numbers.uncounted(position.next);
    let number = numbers.unwrap(packet.number(), next);
    let spare = u64::from(matches!(packet.kind, Kind::Heartbeat { .. }));
    let may_follow = !packet.reset && position.next < u64::MAX;
    (may_follow && number.saturating_add(spare) >= next).then_some(number)
}

impl Name {
    /// The day's bytes, then as many of the ordinal's as have room.
    const DAY_BYTES: usize = 4;
    const ORDINAL_BYTES: usize = EpochKey::BYTES - Self::DAY_BYTES;

    fn key(self) -> EpochKey {
        let mut key = EpochKey::default();
        let (day, ordinal) = key.0.split_at_mut(Self::DAY_BYTES);
        day.copy_from_slice(&self.day.to_be_bytes());
        ordinal.copy_from_slice(&self.ordinal.to_be_bytes()[8 - Self::ORDINAL_BYTES..]);
        key
    }

    fn read(key: EpochKey) -> Self {
        let number = |bytes: &[u8]| {
            let shifted = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
            bytes.iter().fold(0, shifted)
        };
        let (day, ordinal) = key.0.split_at(Self::DAY_BYTES);
        Self {
            day: u32::try_from(number(day)).unwrap_or(u32::MAX),
            ordinal: number(ordinal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_was_written() {
        for name in [(0, 1), (20_000, 7), (u32::MAX, (1 << 48) - 1)] {
            let (day, ordinal) = name;
            let name = Name { day, ordinal };
            assert_eq!(Name::read(name.key()), name);
        }
    }
}
