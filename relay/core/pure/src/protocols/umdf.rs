//! B3 Binary UMDF. Numbers belong to a channel and a sequence version, one a packet. Packets with number 0 stand outside:
//! Sequence (template 2) in one is a heartbeat that names the next number, SequenceReset (template 1) the start of a
//! version.

use crate::protocol::{
    at, Bits, ByteOrder, Epoch, Meaning, Messages, Next, Notice, Number, Protocol,
};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "umdf",
    spec: "B3 Binary UMDF: Packet Header, Framing Header, Sequence_2, SequenceReset_1",
    order: ByteOrder::Little,
    header_bytes: 16,
    number: Some(Number {
        zero: false,
        ..Number::plain(4, 4)
    }),
    messages: Messages::Prefixed {
        length: at(0, 2),
        uncounted: 0,
        shortest: 12,
    },
    epoch: Epoch::Counter(Bits {
        field: at(2, 2),
        lowest: 0,
        count: 16,
    }),
    stream: Some(at(0, 1)),
    notices: &[
        Notice {
            field: at(6, 2),
            value: 1,
            next: Next::Always(1),
            meaning: Meaning::Restart,
        },
        Notice {
            field: at(6, 2),
            value: 2,
            next: Next::At(at(12, 4)),
            meaning: Meaning::Heartbeat,
        },
    ],
    ..Protocol::BARE
};
