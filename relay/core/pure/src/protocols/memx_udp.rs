//! MEMX-UDP. Heartbeats (type 0) and the end of a session (type 1, repeated) have the header alone and carry the last
//! number sent; data (type 2) has a count behind the header.

use crate::protocol::{
    at, Epoch, Heartbeat, Meaning, Messages, Number, Numbering, Protocol, Types,
};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "memx-udp",
    spec: "MEMX-UDP Protocol: Common Header, Heartbeat, Session Shutdown, Sequenced Message",
    header_bytes: 18,
    number: Some(Number::plain(10, 8)),
    numbering: Numbering::Messages(at(18, 2)),
    heartbeat: Heartbeat::CarriesLast,
    messages: Messages::Prefixed {
        length: at(0, 2),
        uncounted: 2,
        shortest: 2,
    },
    epoch: Epoch::InHeader(2, 8),
    constants: &[(at(1, 1), 18)],
    types: Some(Types {
        field: at(0, 1),
        known: &[
            (0, Meaning::Heartbeat),
            (1, Meaning::EndOfSession),
            (2, Meaning::Data),
        ],
    }),
    ..Protocol::BARE
};
