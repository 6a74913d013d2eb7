//! NYSE XDP and Pillar. A heartbeat (delivery flag 1) has count 0 and carries the next number. Message type 1 (Sequence
//! Number Reset) comes in a packet of its own with number 1, which it consumes; the delivery flag is then 12, or 10 on
//! failover.

use crate::protocol::{
    at, ByteOrder, Epoch, Heartbeat, Messages, Number, Numbering, Protocol, Size,
};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "xdp",
    spec: "NYSE XDP/Pillar Common Client Specification: Packet Header, Heartbeats, Sequence Number Reset (type 1)",
    order: ByteOrder::Little,
    header_bytes: 16,
    number: Some(Number::plain(4, 4)),
    numbering: Numbering::Messages(at(3, 1)),
    heartbeat: Heartbeat::CarriesNext,
    messages: Messages::Prefixed {
        length: at(0, 2),
        uncounted: 0,
        shortest: 4,
    },
    epoch: Epoch::ResetMessage(at(2, 2), 1),
    size: Some(Size {
        field: at(0, 2),
        uncounted: 0,
    }),
    ..Protocol::BARE
};
