//! Cboe Streaming Market (CSM). Nothing marks a restart, and nothing but the count tells a packet without messages, whose
//! number is taken for the next one. That a message's length counts itself is not confirmed on captured bytes.

use crate::protocol::{at, Heartbeat, Messages, Number, Numbering, Protocol, Size};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "csm",
    spec: "Cboe Streaming Markets: Packet Header, Message Header",
    header_bytes: 16,
    number: Some(Number::plain(12, 4)),
    numbering: Numbering::Messages(at(11, 1)),
    heartbeat: Heartbeat::CarriesNext,
    messages: Messages::Prefixed {
        length: at(0, 2),
        uncounted: 0,
        shortest: 4,
    },
    size: Some(Size {
        field: at(1, 2),
        uncounted: 0,
    }),
    ..Protocol::BARE
};
