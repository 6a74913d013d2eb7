//! LSE MITCH over its unit header. Numbers belong to a market data group. A heartbeat has count 0 and carries the next
//! number. Numbers that go back to 1 are a new run; nothing else says so.

use crate::protocol::{
    at, ByteOrder, Epoch, Heartbeat, Messages, Number, Numbering, Protocol, Size,
};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "mitch",
    spec: "LSE MIT303 Level 2 MITCH: Unit Header, Message Header, Heartbeats, Resetting sequence numbers",
    order: ByteOrder::Little,
    header_bytes: 8,
    number: Some(Number::plain(4, 4)),
    numbering: Numbering::Messages(at(2, 1)),
    heartbeat: Heartbeat::CarriesNext,
    messages: Messages::Prefixed {
        length: at(0, 1),
        uncounted: 0,
        shortest: 2,
    },
    epoch: Epoch::BackToOne(None),
    stream: Some(at(3, 1)),
    size: Some(Size {
        field: at(0, 2),
        uncounted: 0,
    }),
    ..Protocol::BARE
};
