//! HKEX OMD-C and OMD-D, and OMD-CC with SSE and SZSE. A heartbeat has count 0 and carries the last number sent. Message
//! 100 (SequenceReset) says what number comes next; its own packet's number is to be ignored. The two lines may pack
//! messages differently. OMD-D 2.0 may compress messages, and says so in the header.

use crate::protocol::{
    at, Bits, ByteOrder, Epoch, Heartbeat, Meaning, Messages, Next, Notice, Number, Numbering,
    Protocol, Size,
};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "omd",
    spec: "HKEX OMD Binary Interface Specification: Packet Header, Message Header, Heartbeats, Sequence Reset (100)",
    order: ByteOrder::Little,
    header_bytes: 16,
    number: Some(Number::plain(4, 4)),
    numbering: Numbering::Messages(at(2, 1)),
    heartbeat: Heartbeat::CarriesLast,
    messages: Messages::Prefixed {
        length: at(0, 2),
        uncounted: 0,
        shortest: 4,
    },
    epoch: Epoch::Announced,
    size: Some(Size {
        field: at(0, 2),
        uncounted: 0,
    }),
    compressed: Some(Bits {
        field: at(3, 1),
        lowest: 0,
        count: 8,
    }),
    notices: &[Notice {
        field: at(2, 2),
        value: 100,
        next: Next::At(at(4, 4)),
        meaning: Meaning::Restart,
    }],
    ..Protocol::BARE
};
