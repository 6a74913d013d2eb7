//! Euronext Optiq. Numbers belong to a channel, one a packet, and have 35 bits: the packet flags' bits 4 to 6 are the
//! highest. Bits 1 to 3 count the gateway's restarts of the day, each of which starts at number 1. Health Status (1103)
//! is in band. When bit 0 is set the messages are compressed.

use crate::protocol::{at, Bits, ByteOrder, Epoch, Field, Messages, Number, Protocol};

const FLAGS: Field = at(12, 2);

const fn flags(lowest: u32, count: u32) -> Bits {
    Bits {
        field: FLAGS,
        lowest,
        count,
    }
}

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "optiq",
    spec: "Euronext Optiq MDG Messages Interface Specification: Market Data Packet Header, Packet Flags, Frame",
    order: ByteOrder::Little,
    header_bytes: 16,
    number: Some(Number {
        high: Some(flags(4, 3)),
        ..Number::plain(8, 4)
    }),
    messages: Messages::Prefixed {
        length: at(0, 2),
        uncounted: 0,
        shortest: 10,
    },
    epoch: Epoch::Counter(flags(1, 3)),
    stream: Some(at(14, 2)),
    compressed: Some(flags(0, 1)),
    ..Protocol::BARE
};
