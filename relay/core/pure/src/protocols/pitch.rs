//! Cboe Multicast PITCH. Numbers belong to a unit, and 1 follows 2^32 - 1. A heartbeat has count 0 and carries the next
//! number, or 0 out of hours. Packets with number 0 are unsequenced. End of Session (message 0x2D) is a message like any
//! other, with a number.

use crate::protocol::{at, ByteOrder, Heartbeat, Messages, Number, Numbering, Protocol, Size};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "pitch",
    spec: "Cboe Multicast PITCH: Sequenced Unit Header, Heartbeats, Sequence numbers, Unsequenced messages",
    order: ByteOrder::Little,
    header_bytes: 8,
    number: Some(Number {
        zero: false,
        ..Number::plain(4, 4)
    }),
    numbering: Numbering::Messages(at(2, 1)),
    heartbeat: Heartbeat::CarriesNext,
    messages: Messages::Prefixed {
        length: at(0, 1),
        uncounted: 0,
        shortest: 2,
    },
    stream: Some(at(3, 1)),
    size: Some(Size {
        field: at(0, 2),
        uncounted: 0,
    }),
    ..Protocol::BARE
};
