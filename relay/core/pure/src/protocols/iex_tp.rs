//! IEX-TP, of IEX TOPS and DEEP. Numbers belong to a channel, count messages, and come with the messages' byte offset in
//! the stream. A heartbeat has count 0 and carries the next number. Every session has an id of its own. The two lines
//! may pack messages differently.

use crate::protocol::{
    at, ByteOrder, Epoch, Heartbeat, Messages, Number, Numbering, Protocol, Size,
};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "iex-tp",
    spec: "IEX Transport Protocol 1.25: Outbound header, Message Block, Heartbeats, Session",
    order: ByteOrder::Little,
    header_bytes: 40,
    number: Some(Number::plain(24, 8)),
    numbering: Numbering::Messages(at(14, 2)),
    heartbeat: Heartbeat::CarriesNext,
    messages: Messages::Prefixed {
        length: at(0, 2),
        uncounted: 2,
        shortest: 2,
    },
    epoch: Epoch::InHeader(8, 4),
    stream: Some(at(4, 4)),
    size: Some(Size {
        field: at(12, 2),
        uncounted: 40,
    }),
    byte_offset: Some(at(16, 8)),
    ..Protocol::BARE
};
